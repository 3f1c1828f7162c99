"""docs/metrics.md is what the table says."""

import pytest

from loadgen.report.metrics import TABLE
from tests.report.page import PAGES, SECTIONS


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_page_is_what_the_table_says(path):
    assert path.read_text(encoding="utf-8") == PAGES[path](), "stale: python -m tests.report"


def test_sections_begin_at_metrics():
    given = [metric.name for metric in TABLE]
    assert given[0] in SECTIONS
    assert [name for name in given if name in SECTIONS] == list(SECTIONS)
