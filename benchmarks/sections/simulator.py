"""The simulator: the table of its costs, each with its target, on one core, building of the engines included.

`--huge` plays the large churn for 120 s of virtual time (24 M connections, 12 M in TIME_WAIT) in a process of
its own and says what memory that took; without it the same rate is played for a tenth of the time.
"""

from __future__ import annotations

import multiprocessing
import resource
import time

from benchmarks.harness import Measured, uncollected
from benchmarks.sections.run import Lines, Run
from benchmarks.table import Note, Row, Target
from loadgen.scenario.model import Client, Flood, Link, Listen, Load, Scenario, Server
from loadgen.scenario.model import Run as Play
from loadgen.sim import simulate

LARGE_RATE = 200_000
PASSES = 3


def churn(rate: float, hold: str, rtt: str, duration: str, hosts: int) -> Scenario:
    """Clients that say nothing, one address each for so many of them; a series of a second."""
    idle = Load(rate=rate, hold=hold, request=0, response=0)
    return Scenario(
        seed=7,
        load=[idle],
        client=Client(hosts=hosts),
        link=Link(rtt=rtt),
        run=Play(duration=duration),
    )


def flood() -> Scenario:
    """The demo: 50k spoofed SYNs a second beside 200 clients a second, for 20 s."""
    return Scenario(
        seed=7,
        load=[Load(rate=200.0, hold="1s")],
        flood=[Flood(rate=50_000.0)],
        server=Server(listen=Listen(backlog=1024)),
        client=Client(hosts=50),
        link=Link(rtt="20ms"),
        run=Play(duration="20s"),
    )


def cost(scenario: Scenario) -> tuple[float, int, int]:
    """CPU seconds of one replicate, its connections, the segments that engines took in."""
    with uncollected():
        began = time.process_time()
        outcome = simulate(scenario)
        seconds = time.process_time() - began
    return seconds, sum(load.attempted for load in outcome.loads), outcome.segments


def _large(seconds: int) -> tuple[float, float]:
    """CPU seconds of the large churn, and GB that its process held at most."""
    began = time.process_time()
    simulate(churn(LARGE_RATE, "exp:100ms", "20ms", f"{seconds}s", 2000))
    cpu = time.process_time() - began
    return cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def large(seconds: int) -> tuple[float, float]:
    """`_large` in a process of its own: its memory alone."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_large, (seconds,))


def simulator(run: Run) -> Lines:
    """Churn, flood, and the large churn."""
    yield Note("the simulator, one core")
    lives = [cost(churn(500, "30ms", "40ms", "600s", 20)) for _ in range(PASSES)]
    us = Measured.of([seconds / connections * 1e6 for seconds, connections, _ in lives])
    yield Row("churn, 500/s for 10 min, rtt 40 ms: a connection", us, "us", target=Target(20))
    floods = [cost(flood()) for _ in range(PASSES)]
    us = Measured.of([seconds / segments * 1e6 for seconds, _, segments in floods])
    yield Row("flood, 50k/s spoofed, 200/s clients, 20 s: a segment", us, "us", target=Target(0.6))
    seconds = 120 if run.huge else 12
    cpu, gigabytes = large(seconds)
    name = f"churn, 200k/s for {seconds} s, rtt 20 ms"
    yield Row(f"{name}: one core", Measured.of([cpu]), "s", target=Target(float(seconds)))
    yield Row(f"{name}: memory", Measured.of([gigabytes]), "GB", target=Target(4) if run.huge else None)
