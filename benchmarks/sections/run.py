"""One run of the table: its settings, the memory floor, and what later sections take from earlier ones.

Engine and floor are measured by turns, so that whatever slows the machine down for a while slows both down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Measured, sampled
from benchmarks.native import native
from benchmarks.table import Note, Row, count

FLOOR_PASSES = 3
PLAIN = {"tcp_timestamps": 0}
PAIR = "a pair's life"

Lines = Iterator[Row | Note]


class Floors:
    """The memory floor for any number of connections; the mapping of the last number is kept."""

    def __init__(self) -> None:
        self.floor: Any = None
        self.n = 0
        self.medians: dict[int, list[float]] = {}

    def ns(self, n: int) -> float:
        """Measure it now: ns per step."""
        if n != self.n:
            self.floor = None  # its memory first
            self.floor, self.n = native("floor").Floor(n), n
        ns = Measured.of(sampled(self.floor.run, self.floor.steps, FLOOR_PASSES)).median
        self.medians.setdefault(n, []).append(ns)
        return ns

    def rows(self) -> Iterator[Row]:
        for n, medians in sorted(self.medians.items()):
            yield Row(f"memory floor, {count(n)}", Measured.of(medians), "ns")


class Run:
    """Settings of one run, and the figures of earlier sections that later ones refer to."""

    def __init__(
        self, sizes: tuple[int, ...], n: int, cycles: int, phases: bool = False, huge: int = 0
    ) -> None:
        self.sizes = sizes
        self.huge = huge  # connections of one more server side
        self.n = n
        self.cycles = cycles
        self.phases = phases
        self.floors = Floors()
        self.pair_ns: dict[tuple[int, bool], float] = {}  # by size and whether without timestamps
        self.lap: dict[str, float] = {}  # a warm pair's life with n connections, by phase

    def turns(self, n: int) -> int:
        """How many cycles to measure with n connections: more where they are short."""
        if n < 1_000_000:
            return 3 * self.cycles
        return self.cycles if n < 10_000_000 else (self.cycles + 1) // 2

    def by_turns(self, n: int, cycle: Callable[[], Any], warm: bool = False) -> tuple[list[float], list[Any]]:
        """Floor and cycle by turns, after a cycle that touches every page and mixes the free lists."""
        if not warm:
            cycle()
        floors, laps = [], []
        for _ in range(self.turns(n)):
            floors.append(self.floors.ns(n))
            laps.append(cycle())
        return floors, laps


def ratios(values: list[float], floors: list[float]) -> Measured:
    """Each value as a multiple of the floor measured beside it."""
    return Measured.of([value / floor for value, floor in zip(values, floors, strict=True)])


def suffix(knobs: dict[str, Any]) -> str:
    """The part of a row's name that says which knobs it was measured with."""
    return ", no timestamps" if knobs == PLAIN else ""


def floor_curve(run: Run) -> Lines:
    """The memory floor by number of connections, as it was measured beside the other sections."""
    yield Note("one random head read and one random 64-byte block changed, both prefetched")
    yield from run.floors.rows()
