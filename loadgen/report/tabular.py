"""A result as CSV and as a data frame: one metric a row, or one series a column."""

from __future__ import annotations

import csv
import importlib
import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from loadgen.report.result import Result

COLUMNS: Final = ("value", "low", "high", "n", "numerator", "denominator", "unit", "better", "source")
_LIBRARIES: Final = ("pandas", "polars")


def as_csv(result: Result) -> str:
    """metric,value,low,high,...: a line for each figure; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["metric", *COLUMNS])
    for name, figure in result.figures.items():
        document = figure.to_dict()
        writer.writerow([name, *(_cell(document.get(column)) for column in COLUMNS)])
    return text.getvalue()


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else repr(value)


def to_frame(result: Result, what: str, library: str | None) -> Any:
    """See `Result.to_frame`. Raises ImportError where there is no library, ValueError for another word."""
    if what == "metrics":
        documents = [figure.to_dict() for figure in result.figures.values()]
        columns: dict[str, Any] = {"metric": list(result.figures)}
        columns |= {column: [document.get(column) for document in documents] for column in COLUMNS}
    elif what == "series":
        columns = {name: result.series[name] for name in result.series}
    else:
        raise ValueError(f"what: expected metrics or series, got {what!r}")
    module = _library(library)
    frame = module.DataFrame(columns)
    key = "metric" if what == "metrics" else "time_ms"
    return frame.set_index(key) if module.__name__ == "pandas" and key in columns else frame


def _library(wanted: str | None) -> Any:
    if wanted not in (None, *_LIBRARIES):
        raise ValueError(f"library: expected pandas or polars, got {wanted!r}")
    for name in (wanted,) if wanted else _LIBRARIES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    missing = wanted or "pandas or polars"
    raise ImportError(f"to_frame needs {missing}: pip install {wanted or 'pandas'}") from None
