"""`python -m benchmarks.compare [BASE [NEW]]`: two revisions side by side, with their noise.

BASE and NEW are revisions of git. NEW is this tree as it is unless given, BASE the commit before it (HEAD if
there are changes). Each revision is built in build/compare, outside of this tree. The server side is measured
with both in one process (`benchmarks.variants`); for the rest each gets this tree's benchmarks, and processes
take turns. Two JSON files of `python -m benchmarks --output` can be compared, too.

A row of the engine is worse when it went the wrong way by more than three times the spread of both, and by
at least 3 %; where a yardstick was measured beside it, its ratio to that is what counts.
Exit status: 0 nothing is worse, 1 something is, 2 the results are missing or cannot be compared.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, pinned
from benchmarks.native import ROOT
from benchmarks.revisions import RevisionError, built_tree, default_base, run_in
from benchmarks.table import YARDSTICKS, parsed_counts
from benchmarks.variants import HERE, modules, table

LEAST, SPREADS = 0.03, 3
SAME = ("schema", "connections", "cpu", "flags", "python")
SECTIONS, SIZES = "pair,flood", "10k,1M"

Result = dict[str, Any]


class Incomparable(Exception):
    """The results are of different workloads, machines or builds, or one of them is missing."""


# --- measuring two revisions -------------------------------------------------------------------------


def measured(tree: Path, arguments: list[str]) -> Result:
    """The result of one run of the benchmarks in a tree."""
    output = tree / "build" / "result.json"
    output.parent.mkdir(exist_ok=True)
    run_in(tree, "benchmarks", *arguments, "--output", str(output))
    return dict(json.loads(output.read_text()))


def merged(results: list[Result], name: str) -> Result:
    """Several runs as one: medians of medians, and the larger of the spreads within and between the runs."""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        for key, row in named(result).items():
            rows[key].append(row)

    def combined(values: list[dict[str, Any]]) -> dict[str, float]:
        between = Measured.of(value["median"] for value in values)
        within = max(value["spread"] for value in values)
        return {"median": between.median, "spread": max(between.spread, within), "samples": len(values)}

    merged_rows = []
    for key, same in rows.items():
        row = same[0] | {"name": key, "value": combined([row["value"] for row in same])}
        for yardstick in YARDSTICKS:
            if yardstick in row:
                row[yardstick] = combined([row[yardstick] for row in same])
        merged_rows.append(row)
    return results[0] | {"revision": name, "rows": merged_rows}


def by_turns(base: str, new: str | None, rounds: int, arguments: list[str]) -> tuple[Result, Result]:
    """Results of BASE and NEW, each measured `rounds` times; the order changes from round to round."""
    trees = [built_tree(base), built_tree(new) if new else ROOT]
    results: tuple[list[Result], list[Result]] = ([], [])
    for turn in range(rounds):
        for which in (turn & 1, 1 - (turn & 1)):
            print(f"round {turn + 1} of {rounds}: {(base, new or 'this tree')[which]}", file=sys.stderr)
            results[which].append(measured(trees[which], arguments))
    return merged(results[0], base), merged(results[1], new or "this tree")


# --- comparing ---------------------------------------------------------------------------------------


def named(result: Result) -> dict[str, dict[str, Any]]:
    """The rows of a result by name; an indented row carries the name of the row it belongs to."""
    rows, above = {}, ""
    for row in result["rows"]:
        if row["name"].startswith(" "):
            rows[f"{above}: {row['name'].strip()}"] = row
        else:
            above = row["name"]
            rows[above] = row
    return rows


def figure(value: dict[str, Any]) -> str:
    return f"{value['median']:>12,.1f} +- {value['spread']:<8,.1f}"


def measure(old: dict[str, Any], new: dict[str, Any]) -> str:
    """What of both is compared: the ratio to the nearest yardstick that both have, else the value."""
    return next((name for name in reversed(YARDSTICKS) if name in old and name in new), "value")


def unit_of(old: dict[str, Any], new: dict[str, Any]) -> str:
    """The unit of the change that `verdict` gives."""
    key = measure(old, new)
    return "%" if key == "value" else f"% in {key}"


def verdict(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, str]:
    """The change in percent, and "better" or "WORSE" if it is more than noise."""
    key = measure(old, new)
    before, after = old[key], new[key]
    noise = SPREADS * math.hypot(before["spread"], after["spread"])
    change = after["median"] - before["median"]
    percent = 100 * change / before["median"]
    if not new["judged"] or abs(change) <= max(noise, LEAST * before["median"]):
        return percent, ""
    return percent, "better" if (change > 0) == bool(new.get("rising")) else "WORSE"


def compare(old: Result, new: Result) -> int:
    """Print the table; return how many rows are worse."""
    for key in SAME:
        if old.get(key) != new.get(key):
            raise Incomparable(f"{key}: {old.get(key)!r} and {new.get(key)!r} cannot be compared")
    print(f"{'':<66}{old['revision'][:20]:>24}{new['revision'][:20]:>24}")
    before, worse = named(old), 0
    for name, row in named(new).items():
        if name not in before:
            continue
        change, judgement = verdict(before[name], row)
        worse += judgement == "WORSE"
        unit = unit_of(before[name], row)
        figures = figure(before[name]["value"]) + figure(row["value"])
        print(f"{name:<66}{figures}{change:>+7.1f} {unit:<16}{judgement}".rstrip())
    return worse


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revisions", nargs="*", metavar="REVISION", help="BASE and NEW, or two JSON files")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (default 3)")
    parser.add_argument("--only", default=SECTIONS, help=f"sections of the table (default {SECTIONS})")
    parser.add_argument("--sizes", default=SIZES, help=f"connections (default {SIZES})")
    parser.add_argument("--cycles", type=int, default=3, help="cycles of each run (default 3)")
    options = parser.parse_args(arguments)
    names = options.revisions
    if len(names) > 2 or options.rounds < 1:
        parser.error("expected at most two revisions and at least one round")
    worse = 0
    try:
        files = [Path(name) for name in names if Path(name).is_file()]
        if len(files) == 1:
            raise Incomparable(f"{files[0]}: a file can only be compared with a file")
        if files:
            old, new = (json.loads(file.read_text()) for file in files)
        else:
            wanted = ["--only", options.only, "--sizes", options.sizes, "--cycles", str(options.cycles)]
            base, other = (*names, None, None)[:2]
            base = base or default_base()
            with pinned():
                worse += table(modules([base, other or HERE]), parsed_counts(options.sizes), options.cycles)
            old, new = by_turns(base, other, options.rounds, wanted)
        return 1 if worse + compare(old, new) else 0
    except (Incomparable, RevisionError, ValueError) as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
