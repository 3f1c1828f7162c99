"""What is measured, in the order of the table. Engine and floor take turns, so that whatever slows this
machine down for a while slows both of them down.
"""

from __future__ import annotations

import gc
import resource
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import (
    Measured,
    batches,
    cpu_ns,
    memory_kept,
    sampled,
    touch_mappings,
    touched,
    uncollected,
    unpinned,
)
from benchmarks.lifecycle import BATCH, PHASES, EnginePair, Lifecycle, NaivePair
from benchmarks.lookup_in_c import cython_against_c
from benchmarks.native import native
from benchmarks.peers import Missing, linux, lwip
from benchmarks.sides import ACK, FIN_ACK, ClientSide, Flood, Mixed, ServerSide, answer, server_engine, syns
from benchmarks.table import Note, Row, Target, count
from loadgen.close import Close, CloseSettings
from loadgen.workload import Handshake, Settings
from tcpcore import SEGMENT, State

FLOOR_PASSES = 3
PAIR, NAIVE = "a pair's life", "a pair's life in plain Python"
IN_THE_SYSTEM = "in the system, clearing pages"

POLICIES = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")
Lines = Iterator[Row | Note]


class Floors:
    """The memory floor for any number of connections; kept for the size in use."""

    def __init__(self) -> None:
        self.floor: Any = None
        self.n = 0
        self.medians: dict[int, list[float]] = {}

    def ns(self, n: int) -> float:
        """Measured now."""
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
    """Settings of one run, and what later rows take from earlier ones."""

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
        """Cycles for n connections: more where they are short."""
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
    return Measured.of([value / floor for value, floor in zip(values, floors, strict=True)])


OPENING = [phase for phase, _ in PHASES][:5]
PLAIN = {"tcp_timestamps": 0}


def named(knobs: dict[str, Any]) -> str:
    return ", no timestamps" if knobs == PLAIN else ""


# --- one end -------------------------------------------------------------------------------------


def side(
    run: Run, make: Any, n: int, title: str, target: Target | None = None, batch: int = BATCH, **knobs: Any
) -> Lines:
    """A cycle of `make`, per segment or step."""
    life = make(n, batch=batch, **knobs)
    floors, laps = run.by_turns(n, life.cycle)
    values = [sum(lap.values()) / life.segments for lap in laps]
    size = "" if batch == BATCH else f", batch {batch}"
    name = f"{title}, {count(n)}{size}{named(knobs)}"
    yield Row(name, Measured.of(values), "ns", ratios(values, floors), target, judged=True)
    if run.phases:
        for phase in laps[0]:
            yield Row(f"  {phase}", Measured.of([lap[phase] for lap in laps]), "ns", judged=True)


SERVER_TARGETS = {
    10_000: Target(25),
    100_000: Target(25),
    1_000_000: Target(2.8, floors=True),
    10_000_000: Target(3.0, floors=True),
}


def servers(run: Run) -> Lines:
    yield Note("one end, ns per inbound segment (the peer is computed outside of the time)")
    for n in run.sizes:
        for knobs in (PLAIN, {}):
            yield from side(run, ServerSide, n, "server side", SERVER_TARGETS.get(n), **knobs)
    if run.huge:
        yield from side(run, ServerSide, run.huge, "server side", **PLAIN)


def ends(run: Run) -> Lines:
    for batch in (256, 1024, 16384):
        yield from side(run, ServerSide, run.n, "server side", batch=batch, **PLAIN)
    for knobs in (PLAIN, {}):
        yield from side(run, Mixed, run.n, "server, all ages mixed", **knobs)
    for knobs in (PLAIN, {}):
        yield from side(run, ClientSide, run.n, "client side, per step of 5", **knobs)
    life = ClientSide(run.n, **PLAIN)
    floors, laps = run.by_turns(run.n, life.cycle)
    ends = [lap["2 MSL"] for lap in laps]
    yield Row(f"TIME_WAIT's end, {count(run.n)}", Measured.of(ends), "ns", ratios(ends, floors), judged=True)


# --- both ends -----------------------------------------------------------------------------------

BYTES, BYTES_PLAIN = Target(160), Target(100)


def bytes_per_connection(pair: EnginePair) -> float:
    """Of the larger end, with all connections established: touched pages of every array."""
    ends = (pair.client, pair.server)
    established = [int(end.state_counts()[State.ESTABLISHED]) for end in ends]
    if established != [pair.n, pair.n]:
        raise RuntimeError(f"expected {pair.n} established at both ends, got {established}")
    return max(float(end.gauges()["bytes_per_connection"]) for end in ends)


def pair(run: Run, n: int, **knobs: Any) -> Lines:
    """A pair's life, and what it occupies in the middle of it."""
    life = Lifecycle(EnginePair(n, **knobs))
    opened = life.open()
    occupied = bytes_per_connection(life.pair)
    life.close(*opened)
    cold = {phase: ns / n for phase, ns in life.watch.lap().items()}
    floors, laps = run.by_turns(n, life.cycle, warm=True)
    values = [sum(lap.values()) for lap in laps]
    target = Target(30, floors=True) if n == 1_000_000 else None
    told = Measured.of(values)
    yield Row(f"{PAIR}, {count(n)}{named(knobs)}", told, "ns", ratios(values, floors), target, judged=True)
    if run.phases:
        for phase, end in PHASES:
            yield Row(f"  {end}: {phase}", Measured.of([lap[phase] for lap in laps]), "ns", judged=True)
    if n >= 100_000:
        limit = BYTES_PLAIN if knobs else BYTES
        yield Row("  bytes per connection and end", Measured.of([occupied]), "B", None, limit, judged=True)
    run.pair_ns[n, knobs == PLAIN] = told.median
    if not knobs:
        yield Row("  in fresh engines, first touch of every page", Measured.of([sum(cold.values())]), "ns")
    if n == run.n and not knobs:
        run.lap = laps[-1]


def pairs(run: Run) -> Lines:
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
        yield Row(name, Measured.of([grown]), "x", None, Target(most))


# --- a full queue ----------------------------------------------------------------------------------


def floods(run: Run) -> Lines:
    yield Note("SYNs of strangers at a full queue, million per second")
    cases: list[tuple[str, Target | None, dict[str, Any]]] = [
        ("drop", Target(15, least=True), {"tcp_syncookies": 0}),
        ("cookies", Target(8, least=True), {"tcp_syncookies": 1}),
    ]
    cases += [
        (f"synq_policy={name}", None, {"tcp_syncookies": 0, "synq_policy": name}) for name in POLICIES[1:]
    ]
    for name, target, knobs in cases:
        flood = Flood(**knobs)
        flood.cycle()
        rates = [1000 / flood.cycle() for _ in range(run.turns(0))]
        yield Row(f"SYN flood, {name}", Measured.of(rates), "M/s", None, target, judged=True, rising=True)


# --- two threads -----------------------------------------------------------------------------------


class Script:
    """The server's life with all segments of a phase at hand: call by call, in a thread."""

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.engine = server_engine(n)
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.syns = syns(n, True, seed)
        self.out = touched(2 * n, SEGMENT)
        self.now = 0
        self.rows = self.syns

    def phases(self) -> Iterator[None]:
        """Prepare a phase; `play` plays it."""
        for flags, answered in ((None, True), (None, False), (FIN_ACK, True), (None, False)):
            if flags is not None:
                self.rows["flags"] = flags
            self.rows = self.rows[self.random.permutation(self.n)]
            yield
            if answered:
                self.rows = answer(self.out[: self.n], ACK, np.zeros(self.n, SEGMENT))
        self.engine.advance(self.now + 3_000_000_000)
        self.now += 3_000_000_000
        self.rows = self.syns

    def play(self) -> None:
        done = 0
        for part in batches(self.n, BATCH):
            done += len(self.engine.receive(self.rows[part], self.now, out=self.out[done : done + 2 * BATCH]))


def together(scripts: list[Script]) -> float:
    """Wall seconds of one life of all, each script in a thread of its own."""
    spent = 0.0
    for _ in zip(*(script.phases() for script in scripts), strict=True):
        threads = [threading.Thread(target=script.play) for script in scripts]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent += time.perf_counter() - began
    return spent


def threads(run: Run) -> Lines:
    yield Note("two engines on two threads, wall time; a neighbour on either CPU shows here")
    n = run.n // 2
    scripts = [Script(n, 21), Script(n, 22)]
    with unpinned():
        together(scripts)
        gains = [2 * together(scripts[:1]) / together(scripts) for _ in range(run.turns(n))]
    best = Measured(max(gains), Measured.of(gains).spread, len(gains))
    yield Row(f"two of {count(n)}, best of {len(gains)}", best, "x", None, Target(1.6, least=True))


# --- the load generator, the references -------------------------------------------------------------------


def system_s() -> float:
    """CPU seconds of this process inside the system."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


class Spent:
    """What runs took, per connection: ns of CPU, of these in the system, percent inside engines."""

    def __init__(self) -> None:
        self.ns: list[float] = []
        self.system: list[float] = []
        self.inside: list[float] = []

    def add(self, work: Callable[[], dict[str, Any]], n: int) -> None:
        """One more: `work` gives the run's "wall" figures."""
        began, cleared = cpu_ns(), system_s()
        wall = work()
        self.ns.append((cpu_ns() - began) / n)
        self.system.append((system_s() - cleared) * 1e9 / n)
        self.inside.append(100 * wall["engine_s"] / wall["elapsed_s"])


def warm_runs(workload: Any, settings: Settings, turns: int) -> Spent:
    """Built, every page touched, and then timed; after a whole run that is not."""
    spent = Spent()
    with memory_kept():
        workload(settings).run()
        for _ in range(turns):
            gc.collect()  # a workload and its runner know each other: the last one's engines go here
            built = workload(settings)
            touch_mappings()
            spent.add(lambda built=built: dict(built.run().wall), settings.connections)  # type: ignore[misc]
            del built
    gc.collect()
    return spent


def fresh_runs(workload: Any, settings: Settings, turns: int) -> tuple[Spent, list[dict[str, float]]]:
    """Timed from the first line of their building on; and by turns with them a fresh pair's first life."""
    spent, laps = Spent(), []
    for _ in range(turns):
        laps.append(Lifecycle(EnginePair(settings.connections)).cycle())
        spent.add(lambda: dict(workload(settings).run().wall), settings.connections)
        gc.collect()
    return spent, laps


def loadgen(run: Run) -> Lines:
    yield Note("loadgen end to end, ns per connection (arrivals, link, metrics included)")
    least, turns = Target(60, least=True), 3
    life = [phase for phase, _ in PHASES]
    cases: list[tuple[str, Any, Settings, list[str]]] = [
        ("handshake", Handshake, Settings(connections=run.n), OPENING),
        ("close", Close, CloseSettings(connections=run.n), life),
        ("handshake --peer stateless", Handshake, Settings(connections=run.n, stateless=True), []),
    ]
    for name, workload, settings, phases in cases:
        fresh, laps = fresh_runs(workload, settings, turns)
        try:
            warm = warm_runs(workload, settings, turns)
        except OSError as reason:
            yield Note(f"loadgen {name}, warm: skipped, {reason}")
            continue
        yield Row(f"loadgen {name}, warm, {count(run.n)}", Measured.of(warm.ns), "ns", judged=True)
        if phases:
            share = shares([run.lap] * turns, phases, warm)
            yield Row("  the bare, warm pair's share of it", share, "%", None, least)
        yield Row("  inside engine calls", Measured.of(warm.inside), "%")
        yield Row("  in fresh engines, first touch of every page", Measured.of(fresh.ns), "ns")
        if phases:
            yield Row("  the bare, fresh pair's share of that", shares(laps, phases, fresh), "%")
        yield Row(f"  {IN_THE_SYSTEM}", Measured.of(fresh.system), "ns")


def shares(laps: list[dict[str, float]], phases: list[str], spent: Spent) -> Measured:
    """What these phases of a bare pair's lives are of whole runs, in percent."""
    bare = [sum(lap.get(phase, 0.0) for phase in phases) for lap in laps]
    return Measured.of([100 * ns / whole for ns, whole in zip(bare, spent.ns, strict=True)])


def references(run: Run) -> Lines:
    yield Note("references on the same work")
    n = min(run.n, 100_000)
    with uncollected():
        life = Lifecycle(NaivePair(n))
        floor = run.floors.ns(n)
        ns = sum(life.cycle().values())
    yield Row(f"{NAIVE}, {count(n)}", Measured.of([ns]), "ns", Measured.of([ns / floor]))
    ours, theirs, ratio = cython_against_c(run.n, run.turns(0))
    yield Row("flow table lookup, Cython", ours, "ns")
    yield Row("the same loop in C", theirs, "ns")
    yield Row("  Cython / C", ratio, "x", None, Target(1.1))


def peers(run: Run) -> Lines:
    yield Note("other TCPs, ns per pair of connections, 7 segments, one after the other, their own CPU time")
    cases: list[tuple[str, Callable[[], Measured], bool, Target | None]] = [
        (
            "Linux loopback, system calls included",
            lambda: linux(run.turns(0)),
            False,
            Target(100, least=True),
        ),
        ("lwIP, raw API, nothing else open", lambda: lwip(run.turns(0), 0), True, Target(2.5, least=True)),
        ("lwIP, 1,000 connections held", lambda: lwip(run.turns(0), 1000), True, None),
    ]
    for name, measure, plain, target in cases:
        try:
            ns = measure()
        except Missing as reason:
            yield Note(f"{name}: skipped, {reason}")
            continue
        floor = run.floors.ns(run.n)
        yield Row(name, ns, "ns", Measured.of([ns.median / floor]))
        times = Measured.of([ns.median / run.pair_ns[run.n, plain]])
        yield Row(f"  times {PAIR}, {count(run.n)}{named(PLAIN if plain else {})}", times, "x", None, target)


def floor_curve(run: Run) -> Lines:
    yield Note("one random head read and one random 64-byte block changed, both asked for ahead")
    yield from run.floors.rows()


SECTIONS: dict[str, Callable[[Run], Lines]] = {
    "server": servers,
    "ends": ends,
    "pair": pairs,
    "flood": floods,
    "threads": threads,
    "loadgen": loadgen,
    "references": references,
    "peers": peers,
    "floor": floor_curve,
}
