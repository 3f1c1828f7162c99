"""Print docs/metrics.md again."""

from tests.report.page import PAGES

for path, text in PAGES.items():
    path.write_text(text(), encoding="utf-8")
