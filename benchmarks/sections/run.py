"""One run of the table: its settings, the yardsticks, and what later sections take from earlier ones.

Engine, memory floor and look-up skeleton are measured by turns, so that whatever slows the machine down for a
while slows all of them down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks.harness import Measured, sampled
from benchmarks.native import native
from benchmarks.skeleton import STAGES, Skeleton
from benchmarks.table import YARDSTICKS, Note, Row, count

PASSES = 3
PLAIN = {"tcp_timestamps": 0}
PAIR = "a pair's life"

Lines = Iterator[Row | Note]


class Yardstick:
    """What a step costs for any number of connections; the memory of the last number is kept.

    make: gives for n connections what has `steps` and `run()`, a pass over so many.
    """

    def __init__(self, name: str, make: Callable[[int], Any]) -> None:
        self.name, self.make = name, make
        self.made: Any = None
        self.n = 0
        self.medians: dict[int, list[float]] = {}

    def ns(self, n: int) -> float:
        """Measure it now: ns per step."""
        if n != self.n:
            self.made = None  # its memory first
            self.made, self.n = self.make(n), n
        ns = Measured.of(sampled(self.made.run, self.made.steps, PASSES)).median
        self.medians.setdefault(n, []).append(ns)
        return ns

    def rows(self, beside: Yardstick | None = None) -> Iterator[Row]:
        """A row for each number; with the ratio to another yardstick of the same turns."""
        for n, medians in sorted(self.medians.items()):
            mean = Measured.of(medians)
            floors = beside and Measured.of([mean.median / Measured.of(beside.medians[n]).median])
            yield Row(f"{self.name}, {count(n)}", mean, "ns", floors)


@dataclass(frozen=True)
class Beside:
    """What the yardsticks cost in each turn."""

    floors: list[float]
    skeletons: list[float]

    def ratios(self, values: list[float]) -> dict[str, Measured]:
        """Each value as a multiple of either, as arguments of a Row."""
        return {name: ratios(values, getattr(self, name)) for name in YARDSTICKS}


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
        self.floors = Yardstick("memory floor", native("floor").Floor)
        self.skeletons = Yardstick("look-up skeleton", Skeleton)
        self.pair_ns: dict[tuple[int, bool], float] = {}  # by size and whether without timestamps
        self.lap: dict[str, float] = {}  # a warm pair's life with n connections, by phase

    def turns(self, n: int) -> int:
        """How many cycles to measure with n connections: more where they are short."""
        if n < 1_000_000:
            return 3 * self.cycles
        return self.cycles if n < 10_000_000 else (self.cycles + 1) // 2

    def by_turns(self, n: int, cycle: Callable[[], Any], warm: bool = False) -> tuple[Beside, list[Any]]:
        """Yardsticks and cycle by turns, after a cycle that touches every page and mixes the free lists."""
        if not warm:
            cycle()
        beside, laps = Beside([], []), []
        for _ in range(self.turns(n)):
            beside.floors.append(self.floors.ns(n))
            beside.skeletons.append(self.skeletons.ns(n))
            laps.append(cycle())
        return beside, laps


def ratios(values: list[float], floors: list[float]) -> Measured:
    """Each value as a multiple of what was measured beside it."""
    return Measured.of([value / floor for value, floor in zip(values, floors, strict=True)])


def suffix(knobs: dict[str, Any]) -> str:
    """The part of a row's name that says which knobs it was measured with."""
    return ", no timestamps" if knobs == PLAIN else ""


def yardsticks(run: Run) -> Lines:
    """What was measured beside the other sections, by number of connections; then up to the look-up."""
    yield Note("one random head read and one random 64-byte block changed, both prefetched")
    yield from run.floors.rows()
    yield Note("the same in C for rows that stream in: hash of a batch, head, first block, one word written")
    yield from run.skeletons.rows(run.floors)
    yield from stages(run)


def stages(run: Run) -> Lines:
    """From the skeleton to the look-up that the engine makes, stage by stage and by turns."""
    skeleton = Skeleton(run.n)
    spent: list[list[float]] = [[] for _ in STAGES]
    for _ in range(run.turns(run.n)):
        for stage, times in enumerate(spent):
            times.append(Measured.of(sampled(partial(skeleton.run, stage), skeleton.steps, PASSES)).median)
    for name, times in zip(STAGES[1:], spent[1:], strict=True):
        title = f"  and {name}, {count(run.n)}"
        yield Row(title, Measured.of(times), "ns", skeletons=ratios(times, spent[0]))
