"""Rows about how many connections are in ESTABLISHED and TIME_WAIT: Little's law and M(t)/G/infinity.

Little's law gives the mean in the steady state of a constant rate; with Poisson arrivals the number is
Poisson distributed, so its variance is its mean. Where the rate changes, the mean at two moments is compared
instead: when most are expected, and on the way up to that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loadgen.scenario.model import Scenario
from loadgen.scenario.values import Distribution
from loadgen.sim.outcome import Outcome
from loadgen.theory import conditions, evidence, ports
from loadgen.theory.conditions import Condition
from loadgen.theory.populations import Life, forgotten, in_next_stage, present, variance_of_average
from loadgen.theory.rows import Question
from loadgen.theory.stays import (
    CLIENT,
    NS,
    TICK,
    Part,
    constant_rate,
    established,
    parts,
    round_trip,
    shape_of,
)  # fmt: skip
from tcpcore import Config


def questions(
    scenario: Scenario, outcomes: Sequence[Outcome], client: Config, server: Config
) -> Iterator[Question]:
    """Steady rows for a constant rate, rows of the ramp for another; none for closed loops and traces."""
    if any(load.times_ns or load.concurrency or load.count is not None for load in scenario.load):
        return
    if any(not math.isfinite(rate) for load in scenario.load for _, rate in load.shape) or not scenario.load:
        return
    if any(load.close_at_ns is not None for load in scenario.load):
        return
    shared = (
        conditions.no_loss(scenario),
        conditions.no_events(scenario),
        conditions.no_flood(scenario),
        conditions.accepted_at_once(scenario),
        conditions.not_impatient(scenario),
        conditions.had_ports(outcomes),
        conditions.short_round_trip(scenario, client, server),
        conditions.complete(outcomes),
    )
    if ports.total_rate(scenario) is None:
        yield from _ramp(scenario, outcomes, shared)
        return
    yield from _established(scenario, outcomes, shared)
    for side in conditions.closers(scenario):
        config = client if side == CLIENT else server
        waiting: tuple[Condition, ...] = (*shared, conditions.no_cap(scenario, client, server, side))
        if side == CLIENT:
            waiting = (*waiting, conditions.no_reuse(scenario, client, server))
        yield from _time_wait(scenario, outcomes, side, config.time_wait_ms / 1000, waiting)


def _mixed(scenario: Scenario) -> list[tuple[float, Part, Life]]:
    """(per second, part, stay in ESTABLISHED) of each part of the loads."""
    found = []
    for part in parts(scenario):
        rate = constant_rate(part.load)
        found.append(((rate or 0.0) * part.share, part, established(scenario, part)))
    return found


def _established(
    scenario: Scenario, outcomes: Sequence[Outcome], shared: tuple[Condition, ...]
) -> Iterator[Question]:
    mixed = _mixed(scenario)
    rate = math.fsum(rate for rate, _, _ in mixed)
    mean = math.fsum(rate * life.mean for rate, _, life in mixed)
    memory = max(forgotten(life) for _, _, life in mixed)
    inputs = {"rate_per_s": rate, "stay_s": mean / rate if rate else 0.0}

    def variance(times: Sequence[float]) -> float:
        return math.fsum(variance_of_average(rate, life, times) for rate, _, life in mixed)

    begin = memory + round_trip(scenario)
    yield from _pair(
        scenario, outcomes, "ESTABLISHED", CLIENT, begin, memory, mean, inputs, shared, variance, 0.0
    )


def _time_wait(
    scenario: Scenario, outcomes: Sequence[Outcome], side: str, stay: float, shared: tuple[Condition, ...]
) -> Iterator[Question]:
    mixed = [(rate, part.hold) for rate, part, _ in _mixed(scenario) if part.closer == side]
    rate = math.fsum(rate for rate, _ in mixed)
    life = Life(Distribution("const", stay * NS))
    begin = stay + 3 * round_trip(scenario) + max(forgotten(hold) for _, hold in mixed)
    inputs = {"rate_per_s": rate, "stay_s": stay}

    def variance(times: Sequence[float]) -> float:
        return variance_of_average(rate, life, times)

    name = f"TIME_WAIT, {side}"
    yield from _pair(
        scenario, outcomes, name, side, begin, stay, rate * stay, inputs, shared, variance, rate * TICK
    )


def _pair(
    scenario: Scenario, outcomes: Sequence[Outcome], name: str, side: str, begin: float, memory: float,
    mean: float, inputs: dict[str, float], shared: tuple[Condition, ...], variance: evidence.Variance,
    tolerance: float,
) -> Iterator[Question]:  # fmt: skip
    """Mean and variance of a population in its steady state.

    The mean is that of the points of a series. At a fixed moment a Poisson stream's population has its mean;
    one of paced arrivals may keep step with the points: there it is the sum of P(stay > x) over ages x that
    are a gap apart, which is off from its integral over the gap by less than 1, as P falls from 1 to 0.
    """
    state, end = name.partition(",")[0], scenario.run.duration_ns / NS
    begin = max(begin, _warmup(outcomes))
    alias = (state, "time_wait") if state == "TIME_WAIT" else (state,)
    times, values = evidence.windows(outcomes, side, alias, begin, end)
    long = conditions.long_enough(len(times) > 0 and times[-1] - begin >= memory, f"twice {memory:.3g} s")
    drawn = conditions.poisson(scenario)
    level = evidence.of_level(times, values, memory, variance if drawn[1] else None)
    given = (conditions.constant(scenario), *shared, long)
    paced = sum(load.arrivals == "paced" for load in scenario.load)
    yield Question(f"Little's law, {name}", inputs, mean, level, given, tolerance + paced)
    spread = evidence.of_spread_in_time(times, values, memory)
    yield Question(f"M/G/infinity variance, {name}", inputs, mean, spread, (drawn, *given))


def _warmup(outcomes: Sequence[Outcome]) -> float:
    return max((outcome.warmup_ns for outcome in outcomes), default=0) / NS


# -- a rate that changes ----------------------------------------------------------------------------------


def expected(scenario: Scenario, at: float) -> float:
    """Mean number of clients in ESTABLISHED at a moment."""
    rtt = round_trip(scenario)
    return math.fsum(
        part.share * present(shape_of(part.load), established(scenario, part), at - rtt)
        for part in parts(scenario)
    )


def expected_time_wait(scenario: Scenario, side: str, stay: float, at: float) -> float:
    """Mean number in TIME_WAIT of a side at a moment: it begins a round trip after the first close."""
    return math.fsum(
        part.share * in_next_stage(shape_of(part.load), part.hold, stay, at - 2 * round_trip(scenario))
        for part in parts(scenario)
        if part.closer == side
    )


def _ramp(
    scenario: Scenario, outcomes: Sequence[Outcome], shared: tuple[Condition, ...]
) -> Iterator[Question]:
    times, values = evidence.windows(outcomes, CLIENT, ["ESTABLISHED"], 0.0, scenario.run.duration_ns / NS)
    if not len(times):
        return
    means = [expected(scenario, at) for at in times.tolist()]
    top = max(range(len(means)), key=means.__getitem__)
    half = next(k for k, mean in enumerate(means) if mean >= means[top] / 2)
    given = (conditions.poisson(scenario), *shared)
    for what, k in (("at its peak", top), ("on the way up", half)):
        found = evidence.at_a_moment([float(one[k]) for one in values], means[k])
        inputs = {"at_s": float(times[k])}
        yield Question(f"M(t)/G/infinity, ESTABLISHED {what}", inputs, means[k], found, given)
