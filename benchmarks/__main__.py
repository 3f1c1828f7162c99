"""`python -m benchmarks`: one table of all figures, each beside its target and the memory floor.

Exit status 0 means that everything ran; a figure that misses its target is marked as BAD.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import load, pinned, provenance
from benchmarks.sections import SECTIONS, section
from benchmarks.sections.run import Run
from benchmarks.table import HEAD, Note, Row, count, parsed_counts

HISTORY = Path(__file__).with_name("history.jsonl")
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
FULL, QUICK, HUGE = 1_000_000, 100_000, 50_000_000
SCHEMA = 2


def result(made_by: dict[str, str], rows: list[Row], n: int, table: list[str]) -> dict[str, Any]:
    """The entry for the history: figures, printed table and where both come from."""
    figures = [row.as_dict() for row in rows]
    return {"schema": SCHEMA, "connections": n, **made_by, "rows": figures, "table": table}


def sizes(text: str) -> tuple[int, ...]:
    """`parsed_counts` as a type of argparse, with its message."""
    try:
        return parsed_counts(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line, with `wanted` sections in their order and the `sizes` that are left."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--sizes", type=sizes, default=SIZES, metavar="N,...", help="connections, such as 10k,1M"
    )
    parser.add_argument("--quick", action="store_true", help=f"at most {count(QUICK)} connections")
    parser.add_argument("--huge", action="store_true", help=f"one end with {count(HUGE)}, too (14 GiB)")
    parser.add_argument(
        "--peers", action="store_true", help="also Linux, lwIP, ns-3 and SimPy on the same work"
    )
    parser.add_argument("--phases", action="store_true", help="also one line per phase of a life")
    parser.add_argument("--cycles", type=int, default=5, help="measured cycles with 1M and more (default 5)")
    parser.add_argument("--only", metavar="SECTION,...", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the result as JSON")
    parser.add_argument("--record", action="store_true", help=f"append it to benchmarks/{HISTORY.name}")
    options = parser.parse_args(arguments)
    if options.cycles < 1:
        parser.error("--cycles: expected at least 1")
    wanted = options.only.split(",") if options.only else [name for name in SECTIONS if name != "peers"]
    if options.peers and "peers" not in wanted:
        wanted.insert(-1, "peers")
    options.wanted = wanted
    unknown = [name for name in wanted if name not in SECTIONS]
    if unknown:
        parser.error(f"--only: no section {unknown[0]!r}")
    for name in ("loadgen", "peers"):
        if name in wanted and "pair" not in wanted[: wanted.index(name)]:
            parser.error(f"--only: {name} is compared with pair, which must come first")
    options.sizes = tuple(size for size in options.sizes if size <= QUICK or not options.quick)
    if not options.sizes:
        parser.error(f"--quick: no size up to {count(QUICK)} is left")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parsed(arguments)
    n = max((size for size in options.sizes if size <= FULL), default=min(options.sizes))
    run = Run(options.sizes, n, options.cycles, options.phases, HUGE if options.huge else 0)
    made_by = provenance()  # before the run: a commit made meanwhile is not what is measured
    rows, table = [], [HEAD.rstrip()]
    print(table[0])
    with pinned():
        for name in options.wanted:
            for line in section(name)(run):
                table.append(line.line())
                print(table[-1], flush=True)
                if not isinstance(line, Note):
                    rows.append(line)
    entry = json.dumps(result(made_by | {"load": load()}, rows, n, table))
    if options.output:
        options.output.write_text(entry + "\n")
    if options.record:
        with HISTORY.open("a") as history:
            history.write(entry + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
