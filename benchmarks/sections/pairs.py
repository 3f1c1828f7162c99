"""Two engines as client and server: the cost of a whole lifecycle, and the memory of a connection."""

from __future__ import annotations

from typing import Any

from benchmarks.harness import Measured
from benchmarks.lifecycle import PHASES, EnginePair, Lifecycle
from benchmarks.sections.run import PAIR, PLAIN, Lines, Run, suffix
from benchmarks.table import Note, Row, Target, count
from tcpcore import State

BYTES, BYTES_PLAIN = Target(96), Target(80)


def bytes_per_connection(pair: EnginePair) -> float:
    """Touched pages of every array of the larger end, with all connections established."""
    ends = (pair.client, pair.server)
    established = [int(end.state_counts()[State.ESTABLISHED]) for end in ends]
    if established != [pair.n, pair.n]:
        raise RuntimeError(f"expected {pair.n} established at both ends, got {established}")
    return max(float(end.gauges()["bytes_per_connection"]) for end in ends)


def pair(run: Run, n: int, **knobs: Any) -> Lines:
    """The lifecycle of n pairs, in fresh and in warm engines, and their memory when all are established."""
    life = Lifecycle(EnginePair(n, **knobs))
    opened = life.open()
    occupied = bytes_per_connection(life.pair)
    life.close(*opened)
    cold = {phase: ns / n for phase, ns in life.watch.lap().items()}
    beside, laps = run.by_turns(n, life.cycle, warm=True)
    values = [sum(lap.values()) for lap in laps]
    target = Target(400 if knobs == PLAIN else 480) if n == 1_000_000 else None
    warm = Measured.of(values)
    name = f"{PAIR}, {count(n)}{suffix(knobs)}"
    yield Row(name, warm, "ns", **beside.ratios(values), target=target, judged=True)
    if run.phases:
        for phase, end in PHASES:
            yield Row(f"  {end}: {phase}", Measured.of([lap[phase] for lap in laps]), "ns", judged=True)
    if n >= 100_000:
        limit = BYTES_PLAIN if knobs else BYTES
        yield Row("  bytes per connection and end", Measured.of([occupied]), "B", target=limit, judged=True)
    run.pair_ns[n, knobs == PLAIN] = warm.median
    if not knobs:
        yield Row("  in fresh engines, first touch of every page", Measured.of([sum(cold.values())]), "ns")
    if n == run.n and not knobs:
        run.lap = laps[-1]


def pairs(run: Run) -> Lines:
    """The lifecycle of a pair by number of connections, and how it grows from the least to the most."""
    yield Note("both ends, ns per pair of connections: 7 segments, 12 calls of the Python API")
    for n in run.sizes:
        for knobs in (PLAIN, {}):
            yield from pair(run, n, **knobs)
    low, high = min(run.sizes), max(run.sizes)
    if low != high:
        grown = run.pair_ns[high, False] / run.pair_ns[low, False]
        floor = run.floors
        most = Measured.of(floor.medians[high]).median / Measured.of(floor.medians[low]).median
        name = f"a pair's growth from {count(low)} to {count(high)}"
        yield Row(name, Measured.of([grown]), "x", target=Target(most))
