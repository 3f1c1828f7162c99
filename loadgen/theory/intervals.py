"""Confidence intervals that set a simulation beside a closed form.

Over seeds (independent runs), of counts of independent trials, of variances, of means of known variance. No random
numbers; the distributions behind them are in `special`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loadgen.theory.special import beta_i, chi_squared, normal_quantile, root, student_t


@dataclass(frozen=True)
class Interval:
    """A mean, or a share, and where it may be in truth."""

    mean: float
    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def over_seeds(samples: Sequence[float], confidence: float = 0.99) -> Interval:
    """Interval of the mean of independent runs, one sample each, by Student's t.

    Within a run one arrival's fate depends on the last one's: only runs with seeds of their own, each after
    its warm-up, are independent, and two of them are the least there can be.
    """
    n = len(samples)
    if n < 2:
        raise ValueError(f"samples: expected two or more, got {n}")
    mean = math.fsum(samples) / n
    variance = math.fsum((sample - mean) ** 2 for sample in samples) / (n - 1)
    half = student_t(confidence, n - 1) * math.sqrt(variance / n)
    return Interval(mean, mean - half, mean + half)


def of_counts(hits: int, trials: int, confidence: float = 0.99) -> Interval:
    """Interval of a share of independent trials, exact for small counts (Clopper and Pearson 1934)."""
    if not 0 <= hits <= trials or trials == 0:
        raise ValueError(f"hits: expected 0 .. {trials} of one trial or more, got {hits}")
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else root(lambda p: beta_i(hits, trials - hits + 1, p), tail)
    high = 1.0 if hits == trials else root(lambda p: beta_i(hits + 1, trials - hits, p), 1 - tail)
    return Interval(hits / trials, low, high)


def of_family(points: int, confidence: float = 0.99) -> float:
    """The confidence that each of so many points needs for all of them to have this one (Bonferroni)."""
    return 1 - (1 - confidence) / max(points, 1)


def outside_by_chance(points: int, confidence: float = 0.99) -> int:
    """So many of the points may lie outside their own intervals: more have odds below 1 - confidence."""
    few, odds = 0, 1 - confidence
    while few < points and beta_i(few + 1, points - few, odds) > 1 - confidence:
        few += 1
    return few


def of_variance(variance: float, dof: int, confidence: float = 0.99) -> Interval:
    """Interval of a variance estimated with so many degrees of freedom (chi-squared; normal samples)."""
    if dof < 1:
        raise ValueError(f"dof: expected 1 or more, got {dof}")
    tail = (1 - confidence) / 2
    return Interval(
        variance, variance * dof / chi_squared(1 - tail, dof), variance * dof / chi_squared(tail, dof)
    )


def of_spread(mean: float, variance: float, confidence: float = 0.99) -> Interval:
    """Interval of a mean whose own variance is known from theory, by the normal distribution."""
    half = normal_quantile(confidence) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)
