"""`python -m benchmarks.history`: recorded runs as a table, a row per figure and a column per revision.

The runs are those of history.jsonl (`make bench RECORD=1`) or, with --instructions, of instructions.jsonl,
oldest first. The last column is the change from the run before the last to the last one, judged as
`benchmarks.compare` does: beyond the noise it is "better" or "WORSE". Figures of two machines, compilers'
flags or numbers of connections are not compared: a letter over each column says which belong together.
Exit status: 0 there is a table, 1 there is nothing to print.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.compare import SAME, named, unit_of, verdict
from benchmarks.page import RECORDS, Entry, entries
from benchmarks.table import figure

HERE = Path(__file__).parent
WIDTH = 11


def rows_of(entry: Entry) -> dict[str, dict[str, Any]]:
    """The rows of a run by name; those of a count of instructions: what a connection costs, by phase."""
    if "rows" in entry:
        return named(entry)
    found = {}
    for one in entry["workloads"]:
        costs = {"a connection": one["per_connection"], "a segment": one["per_segment"], **one["phases"]}
        for name, cost in costs.items():
            value = {"median": cost, "spread": 0.0, "samples": 1}
            found[f"{one['workload']}: {name}"] = {"value": value, "unit": "", "judged": True}
    return found


def setting(entry: Entry) -> tuple[Any, ...]:
    """What two runs must have in common to be compared."""
    return tuple(entry.get(key) for key in SAME)


def table(runs: list[Entry], pattern: str = "*") -> list[str]:
    """The lines of the table, with the settings under it; [] if no row fits the pattern."""
    letters = {one: chr(ord("a") + number) for number, one in enumerate(dict.fromkeys(map(setting, runs)))}
    columns = [rows_of(run) for run in runs]
    names = [name for name in dict.fromkeys(name for rows in reversed(columns) for name in rows)
             if fnmatch.fnmatch(name.lower(), pattern.lower())]  # fmt: skip
    if not names:
        return []
    wide = max(map(len, names))
    marks = ([run["revision"][:9], run["at"][:10], letters[setting(run)]] for run in runs)
    lines = [f"{'':<{wide}}{right(line)}" for line in zip(*marks, strict=True)]
    lines[0] += "          change"
    for name in names:
        found = [rows.get(name) for rows in columns]
        cells = right(figure(row["value"]["median"]) if row else "-" for row in found)
        unit = next(row["unit"] for row in reversed(found) if row)
        lines.append(f"{name:<{wide}}{cells} {unit:<4}{changed(runs, found)}".rstrip())
    lines.append("")
    for one, letter in letters.items():
        lines.append(f"{letter}: {', '.join(f'{key} {value}' for key, value in zip(SAME, one, strict=True))}")
    return lines


def right(cells: Iterable[str]) -> str:
    """The cells of a line, each at the right of its column."""
    return "".join(f"{cell:>{WIDTH}}" for cell in cells)


def changed(runs: list[Entry], found: list[dict[str, Any] | None]) -> str:
    """The change of a row from the run before the last, if there is one to compare with."""
    if len(runs) < 2 or setting(runs[-1]) != setting(runs[-2]):
        return ""
    old, new = found[-2:]
    if old is None or new is None or not old["value"]["median"]:
        return ""
    percent, judgement = verdict(old, new)
    return f"{percent:>+7.1f} {unit_of(old, new):<15}{judgement}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="?", default="*", metavar="ROWS", help="a pattern: 'server side*'")
    parser.add_argument("--last", type=int, default=5, metavar="N", help="runs (default 5)")
    parser.add_argument("--instructions", action="store_true", help="the counts of instructions")
    parser.add_argument("--file", type=Path, help="another file of recorded runs")
    options = parser.parse_args(arguments)
    if options.last < 1:
        parser.error("--last: expected at least 1")
    file = options.file or HERE / RECORDS["instructions" if options.instructions else "figures"]
    runs = entries(file)[-options.last :]
    lines = table(runs, options.rows) if runs else []
    if not lines:
        why = f"no row is called {options.rows!r}" if runs else "nothing is recorded: make bench RECORD=1"
        print(f"history: {file.name}: {why}", file=sys.stderr)
        return 1
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
