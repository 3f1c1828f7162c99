"""`python -m benchmarks.variants A [B ...]`: builds of several revisions by turns in one process.

A, B ... are revisions of git, and `.` is this tree as it is, built. Each revision is built in build/compare,
outside of this tree; all are loaded side by side and take the server's part (SYN, ACK, FIN, last ACK) for
the same rows in the same order, a few batches each in turn. With --work they also make whole pairs of
connections, a phase each in turn, and answer SYN floods. What slows the machine down for longer than a
millisecond thus slows all of them down, and differences of 1 to 2 % show. `same` is a copy of A, loaded from
other files: what it differs from A by is the noise, and less than that is no result.

A revision must have this tree's layout of SEGMENT.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import tcpcore
from benchmarks.harness import Measured, Stopwatch, pinned, sampled
from benchmarks.lifecycle import EnginePair, Lifecycle
from benchmarks.native import ROOT
from benchmarks.revisions import RevisionError, built_tree
from benchmarks.sides import Flood, ServerSide
from benchmarks.skeleton import Skeleton
from benchmarks.table import count, parsed_counts

HERE, SAME = ".", "same"
#: Batches of one build before the next has its turn.
TURN = 4
LEAST, CYCLES, PASSES = 0.01, 7, 3
#: Connections of a cycle: fewer are over too soon to time.
LEAST_LIVES = 1 << 19


#: Floods: knobs by name, in the order of their rows.
FLOODS: dict[str, dict[str, Any]] = {
    "drop": {"tcp_syncookies": 0},
    "cookies": {"tcp_syncookies": 1},
    "freebsd": {"tcp_syncookies": 0, "synq_policy": "freebsd"},
}


class Work(Protocol):
    """What builds do by turns: `steps` is a life of n, `finished` its ns per connection by phase."""

    n: int
    segments: int
    watch: Stopwatch

    def steps(self) -> Iterator[None]: ...

    def finished(self) -> dict[str, float]: ...


class PairLife(Lifecycle):
    """A pair's life as Work."""

    segments = 1

    def __init__(self, n: int, **knobs: Any) -> None:
        super().__init__(EnginePair(n, **knobs))
        self.n = n


@dataclass(frozen=True)
class Ratio:
    """The time of a build as a multiple of A's, cycle by cycle."""

    name: str
    ns: Measured
    ratio: Measured
    skeletons: Measured | None = None  # the same as a multiple of the look-up skeleton, if that was asked for


def loaded(tree: Path) -> ModuleType:
    """The package tcpcore of a tree, beside any that is loaded already."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "tcpcore"}
    sys.path.insert(0, str(tree))
    importlib.invalidate_caches()
    try:
        module = importlib.import_module("tcpcore")
    finally:
        sys.path.pop(0)
        for name in [name for name in sys.modules if name.partition(".")[0] == "tcpcore"]:
            del sys.modules[name]
        sys.modules.update(kept)
    if not Path(str(module.__file__)).is_relative_to(tree):
        raise RevisionError(f"{tree.name}: its tcpcore is not what was loaded")
    if module.SEGMENT != tcpcore.SEGMENT:
        raise RevisionError(f"{tree.name}: its SEGMENT has another layout")
    return module


def copy_of(tree: Path) -> Path:
    """The package of a tree once more, so that it can be loaded once more."""
    target = ROOT / "build" / "compare" / SAME
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(tree / "tcpcore", target / "tcpcore", ignore=shutil.ignore_patterns("*.c", "__pycache__"))
    return target


def modules(revisions: Sequence[str]) -> dict[str, ModuleType]:
    """Each revision's tcpcore, and that of `same`."""
    trees = {name: ROOT if name == HERE else built_tree(name) for name in revisions}
    found = {name: tcpcore if name == HERE else loaded(tree) for name, tree in trees.items()}
    return found | {SAME: loaded(copy_of(trees[revisions[0]]))}


def life(sides: Sequence[Work], first: int) -> list[float]:
    """A life of all connections at each, by turns from `first` on; ns per segment of each."""
    order = [*range(first, len(sides)), *range(first)]
    steps = [side.steps() for side in sides]
    for side in sides:
        side.watch.lap()
    left = set(order)
    while left:
        for i in order:
            for _ in range(TURN):
                if i in left and next(steps[i], steps) is steps:
                    left.discard(i)
    return [sum(side.finished().values()) / side.segments for side in sides]


def cycle(sides: Sequence[Work], first: int) -> list[float]:
    """As many lives as it takes for LEAST_LIVES connections; the mean ns per segment of each."""
    lives = -(-LEAST_LIVES // sides[0].n)
    laps = [life(sides, (first + i) % len(sides)) for i in range(lives)]
    return [sum(spent) / lives for spent in zip(*laps, strict=True)]


def measured(
    builds: dict[str, ModuleType],
    n: int,
    cycles: int,
    work: Callable[..., Work] = ServerSide,
    skeleton: Skeleton | None = None,
    **knobs: Any,
) -> list[Ratio]:
    """Time and ratio of each build, the first one's ratio being 1; a skeleton for n takes turns with them."""
    sides = [work(n=n, make=module.Engine, layout=module.SEGMENT, **knobs) for module in builds.values()]
    cycle(sides, 0)  # touches every page and mixes the free lists
    laps, floors = [], []
    for i in range(cycles):
        if skeleton is not None:
            floors.append(Measured.of(sampled(skeleton.run, skeleton.steps, PASSES)).median)
        laps.append(cycle(sides, i % len(sides)))
    found = []
    for i, name in enumerate(builds):
        ns, ratio = Measured.of(lap[i] for lap in laps), Measured.of(lap[i] / lap[0] for lap in laps)
        times = [lap[i] / floor for lap, floor in zip(laps, floors, strict=False)]
        found.append(Ratio(name, ns, ratio, Measured.of(times) if times else None))
    return found


def noise(ratios: Sequence[Ratio]) -> float:
    """What `same` differs from A by, its spread included."""
    same = next(one.ratio for one in ratios if one.name == SAME)
    return abs(same.median - 1) + same.spread


def worse(one: Ratio, ratios: Sequence[Ratio]) -> bool:
    """True if it is slower than A by more than noise and 1 %."""
    return one.name != SAME and one.ratio.median - 1 > max(LEAST, 2 * noise(ratios) + one.ratio.spread)


def cases(works: Sequence[str], sizes: Sequence[int]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Head, name and arguments of `measured` of what is to be measured."""
    heads = {
        "server": "server side, ns per inbound segment",
        "pair": "a pair's life, ns per pair of connections",
    }
    for work in works:
        if work == "flood":
            for name, knobs in FLOODS.items():
                yield "SYN flood at a full queue, ns per SYN", name, {"n": Flood.SYNS, "work": Flood, **knobs}
            continue
        for n in sizes:
            for stamps in (0, 1):
                name = f"{count(n)}{'' if stamps else ', no timestamps'}"
                yield heads[work], name, {"n": n, "work": WORKS[work], "tcp_timestamps": stamps}


#: What --work may name.
WORKS: dict[str, Callable[..., Work]] = {"server": ServerSide, "pair": PairLife, "flood": Flood}


def table(
    builds: dict[str, ModuleType], sizes: Sequence[int], cycles: int, works: Sequence[str] = ("server",)
) -> int:
    """Print a row per size, knobs and build; how many are worse than A."""
    bad, printed = 0, ""
    for head, case, arguments in cases(works, sizes):
        if head != printed:
            print(f"{head:<46}{'median':>9}{'ratio to A':>14}")
            printed = head
        ratios = measured(builds, cycles=cycles, **arguments)
        for one in ratios:
            judged = "WORSE" if worse(one, ratios) else ""
            bad += bool(judged)
            ratio = f"{one.ratio.median:.3f} +- {one.ratio.spread:.3f}"
            print(
                f"{f'{case}: {one.name}':<46}{one.ns.median:>9.1f}{ratio:>20}  {judged}".rstrip(), flush=True
            )
    return bad


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.variants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("revisions", nargs="+", metavar="REVISION", help="A, and what is compared with it")
    parser.add_argument("--sizes", default="10k,1M", help="connections (default 10k,1M)")
    parser.add_argument(
        "--work", default="server", metavar="WORK,...", help=f"of {', '.join(WORKS)} (default server)"
    )
    parser.add_argument("--cycles", type=int, default=CYCLES, help=f"measured lives (default {CYCLES})")
    options = parser.parse_args(arguments)
    if options.cycles < 1 or len(set(options.revisions)) < len(options.revisions):
        parser.error("expected at least one cycle and no revision twice: `same` is A once more")
    works = options.work.split(",")
    if unknown := [work for work in works if work not in WORKS]:
        parser.error(f"--work: expected of {', '.join(WORKS)}, got {unknown[0]!r}")
    try:
        with pinned():
            sizes = parsed_counts(options.sizes)
            return 1 if table(modules(options.revisions), sizes, options.cycles, works) else 0
    except (RevisionError, ValueError) as error:
        print(f"variants: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
