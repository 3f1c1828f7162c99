"""A SYN flood at a listener whose queue is full, by policy of the queue."""

from __future__ import annotations

from typing import Any

from benchmarks.harness import Measured
from benchmarks.sections.run import Lines, Run
from benchmarks.sides import POLICIES, Flood
from benchmarks.table import Note, Row, Target

TARGETS = {"freebsd": Target(12, least=True)}


def floods(run: Run) -> Lines:
    """SYNs per second with cookies off and on, and under each policy."""
    yield Note("SYNs from spoofed addresses at a full queue, million per second")
    cases: list[tuple[str, Target | None, dict[str, Any]]] = [
        ("drop", Target(50, least=True), {"tcp_syncookies": 0}),
        ("cookies", Target(18, least=True), {"tcp_syncookies": 1}),
    ]
    cases += [
        (f"synq_policy={name}", TARGETS.get(name), {"tcp_syncookies": 0, "synq_policy": name})
        for name in POLICIES[1:]
    ]
    for name, target, knobs in cases:
        flood = Flood(**knobs)
        flood.cycle()
        rates = [1000 / flood.cycle() for _ in range(run.turns(0))]
        yield Row(f"SYN flood, {name}", Measured.of(rates), "M/s", target=target, judged=True, rising=True)
