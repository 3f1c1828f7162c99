"""What replicates say of a figure, as an interval at any confidence, and how it was found.

Over seeds from four up (each a run of its own). With fewer: of independent trials the exact interval of a
share; of a population the variance that M/G/infinity has in time; else means of batches that are long beside
the memory of what they measure. Where none of these can be had there is no interval, and the reader is told.
Missing series are no error: there is no evidence then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.sim.outcome import Outcome
from loadgen.theory.intervals import Interval, of_counts, of_spread, of_variance, over_seeds
from loadgen.theory.stays import NS

Numbers = npt.NDArray[np.float64]
Variance = Callable[[Sequence[float]], float]  # of the average over some times in one run

SEEDS: Final = 4  # from so many on intervals are over seeds
BATCHES: Final = 10
FEWEST_BATCHES: Final = 5
RARE: Final = 20  # hits (or misses) below which runs say nothing of their own spread
MOST_POINTS: Final = 600  # of a series in one average


@dataclass(frozen=True)
class Evidence:
    """An interval for each confidence, None where nothing could be measured, and where it comes from."""

    interval: Callable[[float], Interval] | None
    how: str


def nothing(why: str) -> Evidence:
    """No interval, and why."""
    return Evidence(None, why)


# -- series -----------------------------------------------------------------------------------------------


def times_of(outcome: Outcome) -> Numbers:
    """Seconds of the points of the series; empty without one."""
    for side, name, unit in (("time", "time_ns", NS), ("time_ms", "", 1e3)):
        if name in outcome.series.get(side, {}):
            return np.asarray(outcome.series[side][name], dtype=np.float64) / unit
    return np.empty(0)


def column(outcome: Outcome, side: str, *names: str) -> Numbers | None:
    """The first of the names that the series has, None if it has none of them."""
    columns = outcome.series.get(side, {})
    for name in names:
        if name in columns and len(columns[name]) == len(times_of(outcome)):
            return np.asarray(columns[name], dtype=np.float64)
    return None


def counted(outcome: Outcome, side: str, name: str) -> int:
    """A counter of the whole run, its warm-up included."""
    return sum(counts.get(side, {}).get(name, 0) for counts in (outcome.counters, outcome.warmup_counters))


def total(outcome: Outcome, what: str) -> Numbers | None:
    """Of all loads: attempted, connected or served up to each point."""
    found = [column(outcome, "load", f"{load.name}.{what}") for load in outcome.loads]
    known = [one for one in found if one is not None]
    return np.sum(known, axis=0, dtype=np.float64) if known and len(known) == len(found) else None


def windows(
    outcomes: Sequence[Outcome], side: str, names: Sequence[str], begin: float, end: float
) -> tuple[Numbers, list[Numbers]]:
    """Times within begin .. end, and the values of each replicate there; empty if a replicate lacks them."""
    common: Numbers | None = None
    found = []
    for outcome in outcomes:
        values, times = column(outcome, side, *names), times_of(outcome)
        if values is None or outcome.partial:
            return np.empty(0), []
        inside = (times >= begin - 1e-9) & (times <= end + 1e-9)
        step = max(1, math.ceil(int(inside.sum()) / MOST_POINTS))
        times, values = times[inside][::step], values[inside][::step]
        if common is not None and not np.array_equal(common, times):
            return np.empty(0), []
        common = times
        found.append(values)
    return (np.empty(0), []) if common is None or not len(common) else (common, found)


def averages(
    outcomes: Sequence[Outcome], name: str, begin: float, end: float
) -> tuple[Numbers, list[Numbers]]:
    """Time averages between the points of the series within begin .. end, and the times at which each ends.

    From the integrals that the loop keeps, so each is exact however far the points are apart: what keeps step
    with them, as expiries on whole milliseconds do, is no bias. Empty if a replicate lacks them.
    """
    common: Numbers | None = None
    found = []
    for outcome in outcomes:
        areas, times = outcome.areas.get(name), times_of(outcome)
        if areas is None or outcome.partial or len(areas) != len(times):
            return np.empty(0), []
        inside = np.flatnonzero((times >= begin - 1e-9) & (times <= end + 1e-9))
        chosen = inside[:: max(1, math.ceil(len(inside) / MOST_POINTS))]
        steps = np.diff(times[chosen])
        if len(steps) > 1 and steps[-1] < steps[0] * (1 - 1e-9):  # the end of the run comes before its step
            chosen, steps = chosen[:-1], steps[:-1]
        times = times[chosen][1:]
        if not len(steps) or (common is not None and not np.array_equal(common, times)):
            return np.empty(0), []
        common = times
        found.append(np.diff(areas[chosen]).astype(np.float64) / NS / steps)
    return (np.empty(0), []) if common is None else (common, found)


# -- levels -----------------------------------------------------------------------------------------------


def of_level(
    times: Numbers, values: Sequence[Numbers], memory: float, variance: Variance | None
) -> Evidence:
    """The time average of something in its steady state.

    variance: that of the average over some times in one run, where theory has it.
    """
    if not values:
        return nothing("no series")
    means = [float(one.mean()) for one in values]
    if len(means) >= SEEDS:
        return Evidence(lambda confidence: over_seeds(means, confidence), f"over {len(means)} seeds")
    if variance is not None:
        spread, mean = variance(times.tolist()) / len(means), sum(means) / len(means)
        return Evidence(lambda confidence: of_spread(mean, spread, confidence), _runs(len(means), "Poisson"))
    batches = [float(part.mean()) for one in values for part in _batches(times, one, memory)]
    if len(batches) < FEWEST_BATCHES:
        return nothing("too short for batches")
    return Evidence(lambda confidence: over_seeds(batches, confidence), f"over {len(batches)} batches")


def _batches(times: Numbers, values: Numbers, memory: float) -> list[Numbers]:
    """Parts of equal length, each at least ten memories long."""
    length = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    n = min(BATCHES, int(length / (10 * memory)) if memory > 0 else BATCHES, len(times) // 2)
    return np.array_split(values, n) if n else []


def of_spread_in_time(times: Numbers, values: Sequence[Numbers], memory: float) -> Evidence:
    """The variance of a population, from points that are at least `memory` seconds apart.

    Chi-squared, with the degrees of freedom that a Poisson number's fourth moment leaves.
    """
    if not values:
        return nothing("no series")
    chosen, last = [], -math.inf
    for k, at in enumerate(times.tolist()):
        if at - last >= memory:
            chosen.append(k)
            last = at
    samples = np.concatenate([one[chosen] for one in values])
    if len(samples) < RARE:
        return nothing(f"{len(samples)} independent points")
    mean, found = float(samples.mean()), float(samples.var(ddof=1))
    dof = max(1, int((len(samples) - 1) * 2 / (2 + 1 / max(mean, 1e-9))))
    how = f"{len(samples)} points of {_runs(len(values), 'chi-squared')}, {memory:.3g} s apart"
    return Evidence(lambda confidence: of_variance(found, dof, confidence), how)


def at_a_moment(values: Sequence[float], expected: float) -> Evidence:
    """A population at one moment; with few seeds its variance is the mean that theory expects."""
    return of_moments(values, expected, "no series")


# -- shares -----------------------------------------------------------------------------------------------


def of_share(pairs: Sequence[tuple[float, float]], cluster: float | None = None) -> Evidence:
    """A share of trials, (hits, trials) of each replicate.

    cluster: how many hits come together where trials depend on each other; None: they are independent.
    """
    hits, trials = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    if not pairs or trials <= 0:
        return nothing("nothing tried")
    together = cluster or 1.0
    rare = min(hits, trials - hits) < RARE * together
    if len(pairs) >= SEEDS and not rare and all(pair[1] > 0 for pair in pairs):
        shares = [pair[0] / pair[1] for pair in pairs]
        return Evidence(lambda confidence: over_seeds(shares, confidence), f"over {len(pairs)} seeds")
    if cluster is None or rare:
        most = max(1, math.floor(trials / together))
        some = min(most, math.ceil(max(0.0, hits) / together))
        return Evidence(
            lambda confidence: of_counts(some, most, confidence),
            f"{hits:.0f} of {trials:.0f}, Clopper and Pearson",
        )
    share, spread = hits / trials, 1 / trials  # arrivals vary by their number; what is let in hardly does
    return Evidence(lambda confidence: of_spread(share, spread, confidence), _runs(len(pairs), "Poisson"))


def of_moments(
    samples: Sequence[float], variance: float, otherwise: str = "it did not happen"
) -> Evidence:
    """A moment, one sample of each replicate; with few seeds by the variance that theory has."""
    if not samples:
        return nothing(otherwise)
    if len(samples) >= SEEDS:
        return Evidence(lambda confidence: over_seeds(samples, confidence), f"over {len(samples)} seeds")
    mean, spread = sum(samples) / len(samples), variance / len(samples)
    return Evidence(lambda confidence: of_spread(mean, spread, confidence), _runs(len(samples), "Poisson"))


def _runs(n: int, what: str) -> str:
    return f"{n} run{'s' if n > 1 else ''}, {what}"
