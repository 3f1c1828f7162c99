"""Playing scenarios for a given amount of work, so that results never depend on the machine.

An effort is a number of segments per replicate of one point. A run lasts as long as its question needs,
at most as long as the effort allows; one that is too short says so. How jobs are run is the caller's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from loadgen import memory
from loadgen.api import finished, replicates_of, result_of
from loadgen.plan.ask import Refused
from loadgen.replicates import Job, Played
from loadgen.report import histograms, metrics
from loadgen.report.result import Result
from loadgen.scenario.hosts import resolve
from loadgen.scenario.model import Load, Scenario
from loadgen.theory import ports
from loadgen.units import format_bytes

NS: Final = 10**9
_MSS: Final = 1460
_POINTS: Final = 1000  # of a series


@dataclass(frozen=True)
class Effort:
    """Segments per replicate of one point, and replicates."""

    name: str
    segments: float
    seeds: int
    whole: int  # replicates of a point that is played whole, however long


EFFORTS: Final = {
    one.name: one
    for one in (Effort("quick", 1e6, 4, 1), Effort("normal", 1e7, 8, 4), Effort("long", 1e8, 8, 8))
}


@dataclass
class Player:
    """Plays scenarios with closed forms beside them; None for each where nothing is to be played."""

    effort: Effort
    run: Callable[[Sequence[Job]], Played] | None = None  # None: no simulation
    force: bool = False
    seeds: int | None = None  # as given
    duration_ns: int | None = None  # as given
    interrupted: bool = False
    wall_s: float = 0.0
    lasted: list[tuple[int, int, int]] = field(default_factory=list)  # ns, seeds, connections of each result

    @property
    def plays(self) -> bool:
        """Whether there is a simulation at all."""
        return self.run is not None

    def play(self, scenarios: Sequence[Scenario], whole: bool = False) -> list[Result | None]:
        """Each scenario's result; None for those without a finished replicate."""
        if self.run is None or self.interrupted:
            return [None] * len(scenarios)
        seeds = self.seeds or (self.effort.whole if whole else self.effort.seeds)
        wanted = [
            dataclasses.replace(one, run=dataclasses.replace(one.run, seeds=seeds)) for one in scenarios
        ]
        for one in wanted:
            self._require_memory(one)
        played = self.run([job for one in wanted for job in replicates_of(one)])
        self.interrupted = played.interrupted
        found: list[Result | None] = []
        for number, one in enumerate(wanted):
            outcomes = finished(played.outcomes[number * seeds : (number + 1) * seeds])
            whole_ones = [outcome for outcome in outcomes if not outcome.partial]
            if not whole_ones:
                found.append(None)
                continue
            if len(whole_ones) < seeds:
                one = dataclasses.replace(one, run=dataclasses.replace(one.run, seeds=len(whole_ones)))
            result = result_of(one, whole_ones, check=True, kind="plan")
            _require_samples(result)
            self.wall_s += result.wall["seconds"]
            self.lasted.append((one.run.duration_ns, one.run.seeds, result.outcomes["attempted"]))
            found.append(result)
        return found

    def _require_memory(self, scenario: Scenario) -> None:
        hosts = resolve(scenario)
        need, there_is = memory.estimate_bytes(scenario, hosts.client, hosts.server), memory.available_bytes()
        if there_is is not None and need > there_is and not self.force:
            raise Refused(
                f"to play this takes about {format_bytes(need)} of memory, {format_bytes(there_is)} are "
                "available: --no-sim for the formulas alone, --force to play it all the same"
            )

    def timed(
        self, scenario: Scenario, needed_s: float, least_s: float = 10.0, step_s: float = 0.0
    ) -> tuple[Scenario, bool]:
        """The scenario with a duration within the effort, and whether it is too short for its question.

        `needed_s`: below it the result would say more about its beginning than about the answer. `step_s`:
        the duration is a multiple of it, where it is that long.
        """
        longest = self.effort.segments / max(1e-9, segments_per_s(scenario))
        seconds = max(needed_s, least_s) if self.duration_ns is None else self.duration_ns / NS
        if self.duration_ns is None:
            seconds = min(seconds, max(longest, 1e-3))
        duration = max(1, math.floor(seconds * NS + 0.5))
        step = round(step_s * NS) or NS
        if duration >= step and self.duration_ns is None:
            odd = (duration + 1) % step - 1 if step_s else duration % step
            if odd > 0 and seconds + 1 < longest and not step_s:
                odd -= step  # rounded up
            duration -= odd
        return lasting(scenario, duration), duration / NS < needed_s * (1 - 1e-9)


def _require_samples(result: Result) -> None:
    """Refuse a target on a percentile that has too few samples to be one."""
    for row in result.thresholds:
        metric = metrics.find(row["metric"])
        fewest = histograms.FEWEST.get(metric.part, 0) if metric is not None else 0
        if fewest and row["seen"] is None:
            there_are = result[f"{row['metric'].removesuffix('.' + metric.part)}.count"] if metric else 0
            raise Refused(
                f"{row['metric']}: {there_are:,} samples, {fewest:,} are needed for it to mean "
                "anything: give a longer --duration or more --effort"
            )


def lasting(scenario: Scenario, duration_ns: int, drain: bool = True) -> Scenario:
    """The scenario with this duration, a series as fine as fits, and its events within it."""
    run = dataclasses.replace(
        scenario.run,
        duration_ns=duration_ns,
        warmup_ns=0,
        series_ns=max(10**6, duration_ns // _POINTS // 10**6 * 10**6),
        drain=drain,
    )
    return dataclasses.replace(scenario, run=run)


def segments_per_s(scenario: Scenario) -> float:
    """Segments per second of virtual time, about, both directions."""
    hosts = resolve(scenario)
    allowed = ports.sustainable_rate(scenario, hosts.client, hosts.server) or math.inf
    total = math.fsum(_rate(load) for load in scenario.load)
    share = min(1.0, allowed / total) if total else 1.0
    wanted = math.fsum(_rate(load) * share * _of_a_connection(load) for load in scenario.load)
    resends = hosts.server.tcp_synack_retries if not hosts.server.tcp_syncookies else 1
    wanted += (1 - share) * total  # a refused connect() costs about as much as a segment
    return wanted + math.fsum(flood.rate * (1 + min(1, resends)) for flood in scenario.flood)


def _rate(load: Load) -> float:
    return max((rate for _, rate in load.shape if math.isfinite(rate)), default=0.0)


def _of_a_connection(load: Load) -> float:
    data = math.ceil(load.request / _MSS) + math.ceil(load.response / _MSS)
    return 8.0 + load.requests_per_connection * 1.5 * data
