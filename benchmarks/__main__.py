"""`python -m benchmarks`: one table, floor, lifecycle, naive twin and memory measured in one run.

Exit status 0 means that everything ran; a figure beyond its limit is printed as BAD.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, pinned, provenance, sampled, uncollected
from benchmarks.lifecycle import PHASES, EnginePair, Lifecycle, NaivePair
from benchmarks.memory import LIMIT, LIMIT_WITHOUT_TIMESTAMPS, bytes_per_connection
from benchmarks.native import native

HISTORY = Path(__file__).with_name("history.jsonl")
FULL, QUICK = 1_000_000, 100_000
CURVE = (10_000, 100_000, 1_000_000, 10_000_000)
FLOORS = 60  # what a pair's life may cost, in floors, with FULL connections
FLOOR_PASSES = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `judged` rows are the engine's own: `compare` looks for regressions there."""

    name: str
    value: Measured
    unit: str
    limit: float | None = None
    judged: bool = False

    @property
    def mark(self) -> str:
        if self.limit is None:
            return ""
        return "ok" if self.value.median <= self.limit else "BAD"


def count(n: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if n >= size and n % size == 0:
            return f"{n // size}{letter}"
    return str(n)


def floors(sizes: tuple[int, ...], n: int) -> Iterator[Row]:
    """The curve; the floor at `n` itself is measured beside the lifecycle."""
    for size in sizes:
        if size != n:
            floor = native("floor").Floor(size)
            steps = Measured.of(sampled(floor.run, floor.steps, FLOOR_PASSES))
            yield Row(f"memory floor, {count(size)}", steps, "ns")


def lives(n: int, cycles: int, phases: bool, floor: Any, name: str, knobs: dict[str, int]) -> Iterator[Row]:
    """Floor and engine by turns, so that whatever slows this machine down slows both of them down."""
    pair = Lifecycle(EnginePair(n, **knobs))
    pair.cycle()  # every page touched, the free lists no longer in sequence
    floor_ns, laps = [], []
    for _ in range(cycles):
        floor_ns.append(Measured.of(sampled(floor.run, floor.steps, FLOOR_PASSES)).median)
        laps.append(pair.cycle())
    pair_ns = [sum(lap.values()) for lap in laps]
    ratios = [ns / least for ns, least in zip(pair_ns, floor_ns, strict=True)]
    yield Row(f"memory floor, {count(n)}{', again' if knobs else ''}", Measured.of(floor_ns), "ns")
    yield Row(name, Measured.of(pair_ns), "ns", judged=True)
    yield Row("  in floors", Measured.of(ratios), "x", FLOORS if n == FULL else None, judged=True)
    if phases:
        for phase, end in PHASES:
            yield Row(f"  {end}: {phase}", Measured.of([lap[phase] for lap in laps]), "ns", judged=True)


def lifecycles(n: int, cycles: int, phases: bool) -> Iterator[Row]:
    """A pair's life with and without timestamps, and the same work in plain Python."""
    floor = native("floor").Floor(n)
    yield from lives(n, cycles, phases, floor, f"life of a pair, {count(n)}", {})
    yield from lives(n, cycles, phases, floor, "the same, tcp_timestamps=0", {"tcp_timestamps": 0})
    naive_floor = Measured.of(sampled(floor.run, floor.steps, FLOOR_PASSES)).median
    with uncollected():
        naive_ns = sum(Lifecycle(NaivePair(n)).cycle().values())
    yield Row("the same in plain Python", Measured.of([naive_ns]), "ns")
    yield Row("  in floors", Measured.of([naive_ns / naive_floor]), "x")


def memory(n: int) -> Iterator[Row]:
    for name, limit, knobs in (
        ("bytes per connection and end", LIMIT, {}),
        ("  with tcp_timestamps=0", LIMIT_WITHOUT_TIMESTAMPS, {"tcp_timestamps": 0}),
    ):
        yield Row(name, Measured.of([bytes_per_connection(n, **knobs)]), "B", limit, judged=True)


def measure(n: int, cycles: int, phases: bool, sizes: tuple[int, ...]) -> Iterator[Row]:
    yield from floors(sizes, n)
    yield from lifecycles(n, cycles, phases)
    yield from memory(n)


def line(row: Row) -> str:
    value = f"{row.value.median:,.1f}"
    spread = f"+- {row.value.spread:,.1f}" if row.value.samples > 1 else ""
    limit = f"{row.limit:,g}" if row.limit is not None else ""
    return f"{row.name:<34}{value:>12} {row.unit:<3}{spread:<12}{limit:>6}  {row.mark}".rstrip()


def result(rows: list[Row], n: int) -> dict[str, Any]:
    told = [asdict(row) | {"mark": row.mark} for row in rows]
    return {"schema": 1, "connections": n, **provenance(), "rows": told}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{count(QUICK)} connections, not {count(FULL)}")
    parser.add_argument("--phases", action="store_true", help="also one line per phase of a life")
    parser.add_argument("--cycles", type=int, default=5, help="measured lives after a first one (default 5)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the result as JSON")
    parser.add_argument("--record", action="store_true", help="append the result to benchmarks/history.jsonl")
    options = parser.parse_args(arguments)
    if options.cycles < 1:
        parser.error("--cycles: expected at least 1")
    n = QUICK if options.quick else FULL
    rows = []
    print(f"{'':<34}{'median':>12}    {'spread':<12}{'limit':>6}")
    with pinned():
        for row in measure(n, options.cycles, options.phases, CURVE[:1] if options.quick else CURVE):
            print(line(row), flush=True)
            rows.append(row)
    told = json.dumps(result(rows, n))
    if options.output:
        options.output.write_text(told + "\n")
    if options.record:
        with HISTORY.open("a") as history:
            history.write(told + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
