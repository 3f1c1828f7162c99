"""`python -m benchmarks.compare [OLD NEW]`: two results side by side, with their noise.

OLD and NEW are JSON files of `python -m benchmarks --output`, or revisions recorded in
benchmarks/history.jsonl (the last entry that starts so); by default its last two entries. A row of
the engine is worse when it grew by more than three times the spread of both, and by at least 3 %.
Exit status: 0 nothing is worse, 1 something is, 2 the results are missing or cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

HISTORY = Path(__file__).with_name("history.jsonl")
LEAST, SPREADS = 0.03, 3
SAME = ("connections", "cpu", "flags", "python")


class Incomparable(Exception):
    """No such result, or another workload or machine."""


def history() -> list[dict[str, Any]]:
    if not HISTORY.exists():
        return []
    return [json.loads(entry) for entry in HISTORY.read_text().splitlines() if entry]


def find(name: str) -> dict[str, Any]:
    """A result by file name or revision."""
    if Path(name).is_file():
        return dict(json.loads(Path(name).read_text()))
    for entry in reversed(history()):
        if entry["revision"].startswith(name):
            return entry
    raise Incomparable(f"{name}: neither a file nor a revision in {HISTORY.name}")


def named(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows by name; an indented one carries the name of the row it belongs to."""
    rows, above = {}, ""
    for row in result["rows"]:
        if row["name"].startswith(" "):
            rows[f"{above}, {row['name'].strip()}"] = row
        else:
            above = row["name"]
            rows[above] = row
    return rows


def figure(value: dict[str, Any]) -> str:
    return f"{value['median']:>16,.1f} +- {value['spread']:<10,.1f}"


def verdict(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Smaller is better everywhere."""
    before, after = old["value"], new["value"]
    noise = SPREADS * math.hypot(before["spread"], after["spread"])
    change = after["median"] - before["median"]
    if not new["judged"] or abs(change) <= max(noise, LEAST * before["median"]):
        return ""
    return "WORSE" if change > 0 else "better"


def compare(old: dict[str, Any], new: dict[str, Any]) -> int:
    """Print the table; how many rows are worse."""
    for key in SAME:
        if old[key] != new[key]:
            raise Incomparable(f"{key}: {old[key]!r} and {new[key]!r} cannot be compared")
    print(f"{'':<48}{old['revision']:>16}{'':14}{new['revision']:>16}")
    before, worse = named(old), 0
    for name, row in named(new).items():
        if name not in before:
            continue
        told = verdict(before[name], row)
        worse += told == "WORSE"
        a, b = before[name]["value"], row["value"]
        change = 100 * (b["median"] / a["median"] - 1)
        print(f"{name:<48}{figure(a)}{figure(b)}{change:>+7.1f} %  {told}".rstrip())
    return worse


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("results", nargs="*", metavar="RESULT", help="two JSON files or recorded revisions")
    names = parser.parse_args(arguments).results
    try:
        if names and len(names) != 2:
            raise Incomparable(f"expected two results, got {len(names)}")
        both = [find(name) for name in names] if names else history()[-2:]
        if len(both) < 2:
            raise Incomparable(f"{HISTORY.name} has less than two entries; `--record` adds one")
        return 1 if compare(*both) else 0
    except Incomparable as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
