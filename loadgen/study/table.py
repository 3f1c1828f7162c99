"""A study as a table: `table.csv`, Parquet, and what the command prints.

Rows are points in the order of the study, columns the places that were set, the seeds, and every figure with
its interval where it has one. Made of the result files alone, so that it is the same whoever played them.
"""

from __future__ import annotations

import csv
import importlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loadgen.report import words
from loadgen.report.estimate import Figure
from loadgen.report.result import Result
from loadgen.study.search import together

_FIRST: Final = ("success_ratio", "first_try_ratio", "served_after.p99")  # shown where no target names any
_MOST_ROWS: Final = 40  # on a terminal


class NoLibrary(Exception):
    """A library that is not installed, and how to get it."""


@dataclass(frozen=True)
class Row:
    """What a table needs of a point: little beside the whole result."""

    values: Mapping[str, Any]
    seeds: int
    status: str
    targets: Mapping[str, str]  # text -> met | missed | undecided
    figures: Mapping[str, tuple[Any, Any, Any]]  # value, low, high
    shown: Mapping[str, Figure]  # what the command prints

    @property
    def state(self) -> str:
        """Of all targets together; "" where there is none."""
        return together(list(self.targets.values())) if self.targets else ""


def row_of(values: Mapping[str, Any], result: Result) -> Row:
    """The row of a result."""
    names = dict.fromkeys(row["metric"] for row in result.thresholds) or dict.fromkeys(_FIRST)
    return Row(
        dict(values),
        len(result.replicates),
        result.status,
        {row["text"]: row["state"] for row in result.thresholds},
        {name: (_number(one.value), one.low, one.high) for name, one in result.figures.items()},
        {name: result.figure(name) for name in names if name in result},
    )


def columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Name of a column -> its cells, None where there is nothing."""
    paths = dict.fromkeys(path for row in rows for path in row.values)
    found: dict[str, list[Any]] = {path: [row.values.get(path) for row in rows] for path in paths}
    found["seeds"] = [row.seeds for row in rows]
    found["status"] = [row.status for row in rows]
    for text in dict.fromkeys(text for row in rows for text in row.targets):
        found[f"target {text}"] = [row.targets.get(text) for row in rows]
    nothing = (None, None, None)
    for name in dict.fromkeys(name for row in rows for name in row.figures):
        cells = [row.figures.get(name, nothing) for row in rows]
        found[name] = [cell[0] for cell in cells]
        for place, end in ((1, "low"), (2, "high")):
            if any(cell[place] is not None for cell in cells):
                found[f"{name}.{end}"] = [cell[place] for cell in cells]
    return found


def as_csv(rows: Sequence[Row]) -> str:
    """The columns with a line of names; what is not known is empty."""
    table = columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table)
    writer.writerows(map(_cell, cells) for cells in zip(*table.values(), strict=True))
    return text.getvalue()


def _cell(cell: Any) -> str:
    return "" if cell is None else cell if isinstance(cell, str) else repr(cell)


def require_parquet() -> Any:
    """The library that writes Parquet. Raises NoLibrary."""
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise NoLibrary("--export parquet: pip install 'tcpcore[parquet]'") from None


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """The columns as a Parquet file, whole or not at all. Raises NoLibrary, OSError."""
    arrow, parquet = require_parquet()
    table = {name: [_float(cell) for cell in cells] for name, cells in columns(rows).items()}
    temporary = path.with_name(f".loadgen-{path.name}")
    try:
        parquet.write_table(arrow.table(table), str(temporary))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _number(value: Any) -> Any:
    """numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else value


def _float(cell: Any) -> Any:
    """One type a column."""
    return float(cell) if isinstance(cell, int) and not isinstance(cell, bool) else cell


# -- what the command prints ---------------------------------------------------------------------


def as_text(rows: Sequence[Row], states: Sequence[str] | None = None, everywhere: str = "table.csv") -> str:
    """Some figures of each point, and whether the targets are met there (`states`, where they are known)."""
    if not rows:
        return ""
    paths = list(dict.fromkeys(path for row in rows for path in row.values))
    names = list(dict.fromkeys(name for row in rows for name in row.shown))
    judged = any(row.targets for row in rows)
    lines = [[*(_short(path, paths) for path in paths), *names, *(["target"] if judged else [])]]
    for number, row in enumerate(rows[:_MOST_ROWS]):
        cells = [str(row.values.get(path, "")) for path in paths]
        cells += [_shown(row.shown.get(name)) for name in names]
        if judged:
            cells.append(states[number] if states else row.state)
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = "".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
    more = len(rows) - _MOST_ROWS
    return text + (f"... and {more:,} more points: {everywhere}\n" if more > 0 else "")


def _short(path: str, paths: Sequence[str]) -> str:
    """The end of a path, where it is the end of no other."""
    end = path.rpartition(".")[2]
    return end if sum(other.rpartition(".")[2] == end for other in paths) == 1 else path


def _shown(figure: Figure | None) -> str:
    """A figure and its interval."""
    if figure is None or figure.value is None:
        return "-"
    interval = words.interval(figure)
    return words.figure(figure) + (f" ({interval})" if ".." in interval else "")
