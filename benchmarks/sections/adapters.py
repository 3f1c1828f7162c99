"""The balancer of the examples under SimPy: events of the simulation per second.

An event is a segment delivered, a wake-up of an engine for its timers, or a wait of an application that ended
(`Network.segments`, `wakeups`, `steps`). SimPy's own events are fewer: those of one time are one batch.
"""

from __future__ import annotations

import runpy
import time
from pathlib import Path

from benchmarks.harness import Measured, uncollected
from benchmarks.sections.run import Lines, Run
from benchmarks.table import Note, Row, Target

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "balancer.py"
REQUESTS, PER_SECOND = 2000, 1000


def balancer(run: Run) -> Lines:
    """Segments, wake-ups and steps of the example, per second of wall clock."""
    simulate = runpy.run_path(str(EXAMPLE))["simulate"]
    yield Note("tcpcore.adapters, a balancer and three backends under SimPy")
    rates = []
    with uncollected():
        for _ in range(3):
            began = time.perf_counter()
            net, _ = simulate(REQUESTS, PER_SECOND)
            rates.append((net.segments + net.wakeups + net.steps) / (time.perf_counter() - began))
    target = Target(100_000, least=True)
    yield Row("events of the balancer", Measured.of(rates), "1/s", target=target, rising=True)
    yield Row("  of these segments", Measured.of([float(net.segments)]), "")
