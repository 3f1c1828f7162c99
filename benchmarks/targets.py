"""`python -m benchmarks.targets A`: the engine beside revision A and beside its targets, in one run.

A's build and this tree's take turns in one process (`benchmarks.variants`); `same`, A once more, shows the
noise, and the look-up skeleton takes turns with the server side. Instructions are counted by callgrind. The
lines are those of a table in Markdown; with --write it goes into docs/performance.md, between its marks.

With ten million connections there is no `same`: it would take 6 GB and a minute more.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from benchmarks.harness import Measured, load, pinned, provenance
from benchmarks.instructions import counted, per_connection
from benchmarks.lifecycle import BATCH, EnginePair, Lifecycle
from benchmarks.native import ROOT
from benchmarks.page import PAGE, marked
from benchmarks.revisions import RevisionError, built_tree
from benchmarks.sections.pairs import bytes_per_connection
from benchmarks.sides import Flood, ServerSide
from benchmarks.skeleton import Skeleton
from benchmarks.table import count
from benchmarks.variants import FLOODS, HERE, SAME, PairLife, Ratio, measured, modules

#: Of --size: connections of the rows that are not about others.
FULL, MANY, FEW = 1_000_000, 10_000_000, 10_000
CYCLES = 5
FLOOD_TARGETS = {"drop": 50.0, "cookies": 18.0, "freebsd": 12.0}
SERVER_TARGETS = {FEW: 24.0, FULL: 1.9, MANY: 2.2}
STAMPS = ((0, "no timestamps"), (1, "timestamps"))
HEAD = ("| work | {a} | now | now : {a}, by turns | `same` | target | |", "|---|---|---|---|---|---|---|")


@dataclass(frozen=True)
class Line:
    """A row of the table: the figure of A and of this tree, and what it is to be."""

    work: str
    before: float
    now: float
    target: float
    unit: str
    ratio: Measured | None = None
    same: Measured | None = None
    most: bool = True  # the target is a limit, not the least

    def __str__(self) -> str:
        met = self.now <= self.target if self.most else self.now >= self.target
        ratio = (
            f"{self.ratio.median:.3f} ± {self.ratio.spread:.3f}"
            if self.ratio
            else f"{self.now / self.before:.3f}"
        )
        same = f"{self.same.median:.3f}" if self.same else ""
        figures = (f"{value:,.{digits(value)}f} {self.unit}".rstrip() for value in (self.before, self.now))
        target = f"{'≤' if self.most else '≥'} {self.target:g}"
        reached = "reached" if met else "not reached"
        return f"| {' | '.join([self.work, *figures, ratio, same, target, reached])} |"


def digits(value: float) -> int:
    """Decimals of a figure, so that it has three or four digits."""
    return 0 if value >= 100 else 1 if value >= 10 else 2


def by_turns(
    ratios: Sequence[Ratio],
    work: str,
    unit: str,
    target: float,
    figure: Callable[[Ratio], float],
    most: bool = True,
) -> Line:
    """The line of a measurement: A's figure, this tree's, their ratio in time and the noise."""
    a, now = ratios[0], next(one for one in ratios if one.name == HERE)
    same = next((one.ratio for one in ratios if one.name == SAME), None)
    return Line(work, figure(a), figure(now), target, unit, now.ratio, same, most)


def ns_of(one: Ratio) -> float:
    return one.ns.median


def skeletons_of(one: Ratio) -> float:
    return one.skeletons.median if one.skeletons else 0.0


def millions_of(one: Ratio) -> float:
    return 1000 / one.ns.median


def instructions(a: str, n: int = BATCH) -> Iterator[Line]:
    """Instructions per segment of the server side."""
    for name, target in (("server, no timestamps", 340.0), ("server", 380.0)):
        per = [
            per_connection(counted(tree, n, [name])[name], n)["total"] / ServerSide.segments
            for tree in (built_tree(a), ROOT)
        ]
        work = f"instructions per segment of the {name if 'no' in name else 'server, timestamps'}"
        yield Line(work, per[0], per[1], target, "")


def servers(builds: dict[str, ModuleType], size: int, cycles: int) -> Iterator[Line]:
    """The server side by number of connections; `size` and less."""
    for n, target in SERVER_TARGETS.items():
        if n > size:
            continue
        few = {name: module for name, module in builds.items() if n < MANY or name != SAME}
        skeleton = None if n == FEW else Skeleton(n)
        for stamps, name in STAMPS:
            ratios = measured(few, n, cycles if n < MANY else 2, skeleton=skeleton, tcp_timestamps=stamps)
            work = f"server side, {count(n)}, {name}"
            if skeleton is None:
                yield by_turns(ratios, f"{work}, a segment", "ns", target, ns_of)
            else:
                yield by_turns(ratios, f"{work}, in skeletons", "", target, skeletons_of)


def pairs(builds: dict[str, ModuleType], size: int, cycles: int) -> Iterator[Line]:
    """A pair's life, and the bytes of a connection when all are established."""
    n = min(FULL, size)
    for (stamps, name), target in zip(STAMPS, (400.0, 480.0), strict=True):
        ratios = measured(builds, n, cycles, PairLife, tcp_timestamps=stamps)
        yield by_turns(ratios, f"a pair's life, {count(n)}, {name}", "ns", target, ns_of)
    for (stamps, name), target in zip(STAMPS, (80.0, 96.0), strict=True):
        found = {
            build: occupied(module, n, tcp_timestamps=stamps)
            for build, module in builds.items()
            if build != SAME
        }
        before, now = found.values()
        yield Line(f"bytes per connection, {count(n)}, {name}", before, now, target, "B")


def occupied(module: ModuleType, n: int, **knobs: Any) -> float:
    """Bytes per connection and end with n established."""
    life = Lifecycle(EnginePair(n, make=module.Engine, layout=module.SEGMENT, **knobs))
    life.open()
    return bytes_per_connection(life.pair)


def floods(builds: dict[str, ModuleType], cycles: int) -> Iterator[Line]:
    """SYNs per second at a full queue."""
    for name, knobs in FLOODS.items():
        ratios = measured(builds, Flood.SYNS, cycles, Flood, **knobs)
        yield by_turns(ratios, f"SYN flood, {name}", "M/s", FLOOD_TARGETS[name], millions_of, False)


def lines(a: str, size: int, cycles: int) -> Iterator[str]:
    """The table, a line at a time."""
    builds = modules([a, HERE])
    yield from (line.format(a=a) for line in HEAD)
    yield from map(str, instructions(a))
    yield from map(str, servers(builds, size, cycles))
    yield from map(str, pairs(builds, size, cycles))
    yield from map(str, floods(builds, cycles))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.targets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revision", metavar="A", help="the revision to compare with, such as 3ced088")
    parser.add_argument(
        "--size", type=int, default=MANY, help=f"at most so many connections (default {MANY})"
    )
    parser.add_argument("--cycles", type=int, default=CYCLES, help=f"measured lives (default {CYCLES})")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    made, table = provenance(), []
    try:
        with pinned():
            for line in lines(options.revision, options.size, options.cycles):
                table.append(line)
                print(line, flush=True)
    except RevisionError as error:
        print(f"targets: {error}", file=sys.stderr)
        return 2
    table += [
        "",
        f"{made['cpu']}, {made['cpus']} CPUs, load {load()} when it ended. "
        f"Revision {made['revision']}, {made['at']}.",
    ]
    print(table[-1])
    if options.write:
        text = "\n".join(table)
        PAGE.write_text(marked("targets").sub(lambda found: found[1] + text + found[3], PAGE.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
