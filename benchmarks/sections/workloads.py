"""The workloads of loadgen from end to end: arrivals, link and metrics included."""

from __future__ import annotations

import gc
import resource
from collections.abc import Callable
from typing import Any

from benchmarks.harness import Measured, cpu_ns, memory_kept, touch_mappings
from benchmarks.lifecycle import PHASES, EnginePair, Lifecycle
from benchmarks.sections.run import Lines, Run
from benchmarks.table import Note, Row, Target, count
from loadgen.api import replicates_of
from loadgen.scenario import presets
from loadgen.scenario.model import Scenario

IN_THE_SYSTEM = "in the system, clearing pages"
OPENING = [phase for phase, _ in PHASES][:5]
CLOSED = [phase for phase, _ in PHASES]


def system_s() -> float:
    """CPU seconds that the system spent for this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


class Spent:
    """Time of several runs, per connection: ns of CPU, ns of these in the system."""

    def __init__(self) -> None:
        self.ns: list[float] = []
        self.system: list[float] = []

    def add(self, work: Callable[[], Any], n: int) -> None:
        """Time one more run of n connections."""
        began, system = cpu_ns(), system_s()
        work()
        self.ns.append((cpu_ns() - began) / n)
        self.system.append((system_s() - system) * 1e9 / n)


def warm_runs(scenario: Scenario, n: int, turns: int) -> Spent:
    """Runs in touched memory, after one that is not timed."""
    spent = Spent()
    (job,) = replicates_of(scenario)
    with memory_kept():
        job.play()
        for _ in range(turns):
            gc.collect()
            touch_mappings()
            spent.add(job.play, n)
    gc.collect()
    return spent


def fresh_runs(scenario: Scenario, n: int, turns: int) -> tuple[Spent, list[dict[str, float]]]:
    """Runs in fresh memory, and by turns with them a fresh pair's first lifecycle."""
    spent, laps = Spent(), []
    (job,) = replicates_of(scenario)
    for _ in range(turns):
        laps.append(Lifecycle(EnginePair(n)).cycle())
        spent.add(job.play, n)
        gc.collect()
    return spent, laps


def shares(laps: list[dict[str, float]], phases: list[str], spent: Spent) -> Measured:
    """The time of these phases of a bare pair as a percentage of a workload's run."""
    bare = [sum(lap.get(phase, 0.0) for phase in phases) for lap in laps]
    return Measured.of([100 * ns / run_ns for ns, run_ns in zip(bare, spent.ns, strict=True)])


def workload_rows(run: Run, name: str, scenario: Scenario, phases: list[str]) -> Lines:
    """One workload, warm and fresh; `phases` are those that a bare pair has in common with it."""
    turns = 3
    fresh, laps = fresh_runs(scenario, run.n, turns)
    try:
        warm = warm_runs(scenario, run.n, turns)
    except OSError as reason:
        yield Note(f"loadgen {name}, warm: skipped, {reason}")
        return
    yield Row(f"loadgen {name}, warm, {count(run.n)}", Measured.of(warm.ns), "ns", judged=True)
    if phases:
        share = shares([run.lap] * turns, phases, warm)
        yield Row("  the bare, warm pair's share of it", share, "%", target=Target(60, least=True))
    yield Row("  in fresh engines, first touch of every page", Measured.of(fresh.ns), "ns")
    if phases:
        yield Row("  the bare, fresh pair's share of that", shares(laps, phases, fresh), "%")
    yield Row(f"  {IN_THE_SYSTEM}", Measured.of(fresh.system), "ns")


def workloads(run: Run) -> Lines:
    """Handshake and close, flat out."""
    yield Note("loadgen end to end, ns per connection (arrivals, link, metrics included)")
    for kind, phases in (("handshake", OPENING), ("close", CLOSED)):
        scenario = presets.preset(kind, {"connections": run.n})
        yield from workload_rows(run, kind, scenario, phases)
