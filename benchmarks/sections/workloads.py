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
from loadgen.phases.close import Close, CloseSettings
from loadgen.phases.workload import Handshake, Settings

IN_THE_SYSTEM = "in the system, clearing pages"
OPENING = [phase for phase, _ in PHASES][:5]
CLOSED = [phase for phase, _ in PHASES]


def system_s() -> float:
    """CPU seconds that the system spent for this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_stime


class Spent:
    """Time of several runs, per connection: ns of CPU, ns of these in the system, percent inside engines."""

    def __init__(self) -> None:
        self.ns: list[float] = []
        self.system: list[float] = []
        self.inside: list[float] = []

    def add(self, work: Callable[[], dict[str, Any]], n: int) -> None:
        """Time one more run of n connections; `work` returns its "wall" figures."""
        began, system = cpu_ns(), system_s()
        wall = work()
        self.ns.append((cpu_ns() - began) / n)
        self.system.append((system_s() - system) * 1e9 / n)
        self.inside.append(100 * wall["engine_s"] / wall["elapsed_s"])


def warm_runs(workload: Any, settings: Settings, turns: int) -> Spent:
    """Runs in touched memory, after one that is not timed: built, pages touched, then timed."""
    spent = Spent()
    with memory_kept():
        workload(settings).run()
        for _ in range(turns):
            gc.collect()  # a workload and its runner refer to each other: this frees the last one's engines
            built = workload(settings)
            touch_mappings()
            spent.add(lambda built=built: dict(built.run().wall), settings.connections)  # type: ignore[misc]
            del built
    gc.collect()
    return spent


def fresh_runs(workload: Any, settings: Settings, turns: int) -> tuple[Spent, list[dict[str, float]]]:
    """Runs timed with their construction, and by turns with them a fresh pair's first lifecycle."""
    spent, laps = Spent(), []
    for _ in range(turns):
        laps.append(Lifecycle(EnginePair(settings.connections)).cycle())
        spent.add(lambda: dict(workload(settings).run().wall), settings.connections)
        gc.collect()
    return spent, laps


def shares(laps: list[dict[str, float]], phases: list[str], spent: Spent) -> Measured:
    """The time of these phases of a bare pair as a percentage of a workload's run."""
    bare = [sum(lap.get(phase, 0.0) for phase in phases) for lap in laps]
    return Measured.of([100 * ns / run_ns for ns, run_ns in zip(bare, spent.ns, strict=True)])


def workload_rows(run: Run, name: str, workload: Any, settings: Settings, phases: list[str]) -> Lines:
    """One workload, warm and fresh; `phases` are those that a bare pair has in common with it."""
    turns = 3
    fresh, laps = fresh_runs(workload, settings, turns)
    try:
        warm = warm_runs(workload, settings, turns)
    except OSError as reason:
        yield Note(f"loadgen {name}, warm: skipped, {reason}")
        return
    yield Row(f"loadgen {name}, warm, {count(run.n)}", Measured.of(warm.ns), "ns", judged=True)
    if phases:
        share = shares([run.lap] * turns, phases, warm)
        yield Row("  the bare, warm pair's share of it", share, "%", None, Target(60, least=True))
    yield Row("  inside engine calls", Measured.of(warm.inside), "%")
    yield Row("  in fresh engines, first touch of every page", Measured.of(fresh.ns), "ns")
    if phases:
        yield Row("  the bare, fresh pair's share of that", shares(laps, phases, fresh), "%")
    yield Row(f"  {IN_THE_SYSTEM}", Measured.of(fresh.system), "ns")


def workloads(run: Run) -> Lines:
    """Handshake, close, and handshake with a stateless peer."""
    yield Note("loadgen end to end, ns per connection (arrivals, link, metrics included)")
    settings, stateless = Settings(connections=run.n), Settings(connections=run.n, stateless=True)
    yield from workload_rows(run, "handshake", Handshake, settings, OPENING)
    yield from workload_rows(run, "close", Close, CloseSettings(connections=run.n), CLOSED)
    yield from workload_rows(run, "handshake --peer stateless", Handshake, stateless, [])
