"""Other code on the same work: plain Python, a lookup loop in C, the Linux kernel, lwIP, ns-3, SimPy."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.harness import Measured, uncollected
from benchmarks.lifecycle import Lifecycle, NaivePair
from benchmarks.lookup_in_c import cython_against_c
from benchmarks.peers import Missing, linux, lwip, ns3, simpy
from benchmarks.sections.run import PAIR, PLAIN, Lines, Run, suffix
from benchmarks.table import Note, Row, Target, count

NAIVE = f"{PAIR} in plain Python"


def references(run: Run) -> Lines:
    """The naive implementation in Python, and the flow table's lookup in Cython and in C."""
    yield Note("references on the same work")
    n = min(run.n, 100_000)
    with uncollected():
        life = Lifecycle(NaivePair(n))
        floor = run.floors.ns(n)
        ns = sum(life.cycle().values())
    yield Row(f"{NAIVE}, {count(n)}", Measured.of([ns]), "ns", Measured.of([ns / floor]))
    yield Note("  includes a dict of dataclasses and deques of timers; no options, data or resets")
    cython, c, ratio = cython_against_c(run.n, run.turns(0))
    yield Row("flow table lookup, Cython", cython, "ns")
    yield Row("the same loop in C", c, "ns")
    yield Row("  Cython / C", ratio, "x", target=Target(1.1))


def peers(run: Run) -> Lines:
    """The Linux kernel, lwIP, ns-3 and SimPy, one connection after the other; each with what it includes."""
    yield Note("other TCPs, ns per pair of connections, 7 segments, one after the other, their own CPU time")
    turns = run.turns(0)
    cases: list[tuple[str, str, Callable[[], Measured], bool, Target | None]] = [
        ("Linux loopback", "six system calls, sockets, files, soft interrupts, routing, loopback device",
         lambda: linux(turns), False, Target(100, least=True)),
        ("lwIP, raw API, nothing else open", "both ends in a process, a copy of each packet, checksums",
         lambda: lwip(turns, 0), True, Target(2.5, least=True)),
        ("lwIP, 1,000 connections held", "the same, and its walk along the list of connections",
         lambda: lwip(turns, 1000), True, None),
        ("ns-3", "both nodes in a process, its events, IPv4, packets with headers, no checksums",
         lambda: ns3(turns), False, None),
        ("SimPy", "a process and a store for each end, seven segments; no options, windows or resends",
         lambda: simpy(turns), True, None),
    ]  # fmt: skip
    for name, includes, measure, plain, target in cases:
        try:
            ns = measure()
        except Missing as reason:
            yield Note(f"{name}: skipped, {reason}")
            continue
        floor = run.floors.ns(run.n)
        yield Row(name, ns, "ns", Measured.of([ns.median / floor]))
        yield Note(f"  includes {includes}")
        times = Measured.of([ns.median / run.pair_ns[run.n, plain]])
        name = f"  times {PAIR}, {count(run.n)}{suffix(PLAIN if plain else {})}"
        yield Row(name, times, "x", target=target)
