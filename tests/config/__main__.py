"""Print docs/knobs.md and the table of ADR 5 again."""

from tests.config.page import PAGES

for path, text in PAGES.items():
    path.write_text(text(), encoding="utf-8")
