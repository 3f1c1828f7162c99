"""M(t)/G/infinity: how many are present at a moment when the rate of arrivals changes.

mean N(t) = integral of rate(u) P(S > t - u) du, and N(t) is Poisson distributed (Palm 1943; Eick, Massey and
Whitt 1993), so its variance is its mean. The rate is linear between points, so the integral is exact: it
needs only the first and second integral of P(S > x), which `Life` has in closed form for each distribution of
a scenario. Nothing is lost and arrivals are a Poisson process; the mean alone holds for any arrivals.
Times in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.scenario.values import Distribution
from loadgen.theory.special import normal_cdf

Shape = Sequence[tuple[float, float]]  # (s, per second), linear between, the last rate holds on

_NS: Final = 1e9
FORGOTTEN: Final = 0.01  # share that is still there when a population has forgotten how it began


@dataclass(frozen=True)
class Life:
    """How long something stays: max(S, at_least) + plus, where S has a scenario's distribution (ns)."""

    family: Distribution
    at_least: float = 0.0
    plus: float = 0.0

    @property
    def mean(self) -> float:
        """Mean time of stay, a normal distribution's negative part counted as 0."""
        return self.plus + self.at_least + max(0.0, _mean(self.family) - _first(self.family, self.at_least))

    def first(self, x: float) -> float:
        """Integral of P(stay > y) from 0 to x: the mean of min(stay, x)."""
        if x <= self.plus + self.at_least:
            return max(x, 0.0)
        inner = x - self.plus
        return self.plus + self.at_least + _first(self.family, inner) - _first(self.family, self.at_least)

    def second(self, x: float) -> float:
        """Integral of `first` from 0 to x."""
        least = self.plus + self.at_least
        if x <= least:
            return max(x, 0.0) ** 2 / 2
        rest = x - least
        bent = _second(self.family, x - self.plus) - _second(self.family, self.at_least)
        return least**2 / 2 + rest * (least - _first(self.family, self.at_least)) + bent

    def beyond(self, x: float) -> float:
        """P(stay > x), as the slope of `first` over a millionth of the mean."""
        step = 1e-6 * max(self.mean, 1e-9)
        return (self.first(x + step) - self.first(x)) / step


def forgotten(life: Life, left: float = FORGOTTEN) -> float:
    """Seconds after which at most `left` of those present are still there."""
    mean = life.mean
    if mean <= 0:
        return 0.0
    high = mean
    while mean - life.first(high) > left * mean:
        high *= 1.25
    return high


def arrived(shape: Shape, until: float) -> float:
    """Mean number of arrivals up to a moment: the integral of the rate."""
    return math.fsum(
        (end - begin) * (rate + slope * (end - begin) / 2) for begin, end, rate, slope in _parts(shape, until)
    )


def present(shape: Shape, life: Life, at: float) -> float:
    """Mean number present at a moment; those that arrived before the first point count as none."""
    total = 0.0
    for begin, end, rate, slope in _parts(shape, at):
        # age v = at - u goes from near to far; the rate there is last - slope (v - near)
        near, far = at - end, at - begin
        last = rate + slope * (end - begin)
        first_near, first_far = life.first(near), life.first(far)
        total += last * (first_far - first_near)
        if slope:
            moment = (far - near) * first_far - (life.second(far) - life.second(near))
            total -= slope * moment
    return total


def gone(shape: Shape, life: Life, at: float) -> float:
    """Mean number of those whose stay has ended by a moment."""
    return arrived(shape, at) - present(shape, life, at)


def in_next_stage(shape: Shape, life: Life, stage: float, at: float) -> float:
    """Mean number in a second stage of constant length that follows the stay, as TIME_WAIT does."""
    return gone(shape, life, at) - gone(shape, life, at - stage)


def variance_of_average(rate: float, life: Life, times: Sequence[float]) -> float:
    """Variance of the average of N over moments, in the steady state.

    Two moments are correlated by those present at both: cov(N(s), N(t)) = rate (E stay - first(|t - s|)).
    """
    mean, n = life.mean, len(times)
    total = n * mean
    for i in range(n):
        for j in range(i + 1, n):
            shared = mean - life.first(times[j] - times[i])
            if shared <= 1e-12 * mean:
                break
            total += 2 * shared
    return rate * total / n**2


def _parts(shape: Shape, until: float) -> list[tuple[float, float, float, float]]:
    """(begin, end, rate at the beginning, slope) of each linear part before a moment."""
    parts = []
    for k, (begin, rate) in enumerate(shape):
        end, slope = until, 0.0
        if k + 1 < len(shape):
            follows, next_rate = shape[k + 1]
            end = min(until, follows)
            slope = (next_rate - rate) / (follows - begin) if follows > begin else 0.0
        if end > begin:
            parts.append((begin, end, rate, slope))
    return parts


# -- the distributions: the integral of P(S > y), and its integral ---------------------------------------


def _mean(family: Distribution) -> float:
    if family.family == "normal":
        a, b = family.a / _NS, family.b / _NS
        return b * _normal_tail(-a / b) if b else max(0.0, a)
    return family.mean / _NS


def _first(family: Distribution, x: float) -> float:
    """E min(S, x)."""
    a, b = family.a / _NS, family.b / _NS
    if x <= 0:
        return 0.0
    if family.family == "exp":
        return -a * math.expm1(-x / a) if a else 0.0
    if family.family == "lognormal" and a:
        z, s = _normed(family, x), family.b
        return a * normal_cdf(z - s) + x * normal_cdf(-z) if s else min(a, x)
    if family.family == "normal" and b:
        return b * (_normal_tail(-a / b) - _normal_tail((x - a) / b))
    if family.family == "uniform" and b > a:
        if x <= a:
            return x
        return a + ((b - a) ** 2 - max(0.0, b - x) ** 2) / (2 * (b - a))
    if family.family == "trace":
        return math.fsum(min(sample / _NS, x) for sample in family.samples) / max(1, len(family.samples))
    return min(max(a, 0.0), x)


def _second(family: Distribution, x: float) -> float:
    """Integral of `_first` from 0 to x: E(x**2 / 2 - (x - S)**2 / 2 where S < x)."""
    a, b = family.a / _NS, family.b / _NS
    if x <= 0:
        return 0.0
    if family.family == "exp":
        return a * (x + a * math.expm1(-x / a)) if a else 0.0
    if family.family == "lognormal" and a and family.b:
        z, s = _normed(family, x), family.b
        square = a * a * math.exp(s * s) * normal_cdf(z - 2 * s)
        return x * a * normal_cdf(z - s) - square / 2 + x * x / 2 * normal_cdf(-z)
    if family.family == "normal" and b:
        begin, end = -a / b, (x - a) / b
        return b * x * _normal_tail(begin) - b * b * (_normal_second(begin) - _normal_second(end))
    if family.family == "uniform" and b > a:
        if x <= a:
            return x * x / 2
        inside = min(x, b)
        cubed = ((b - a) ** 3 - (b - inside) ** 3) / 6
        bent = a * a / 2 + a * (inside - a) + ((b - a) ** 2 / 2 * (inside - a) - cubed) / (b - a)
        return bent + (x - inside) * (a + b) / 2
    if family.family == "trace":
        return math.fsum(_of_const(sample / _NS, x) for sample in family.samples) / max(
            1, len(family.samples)
        )
    return _of_const(max(a, 0.0), x)


def _of_const(a: float, x: float) -> float:
    return x * x / 2 if x <= a else a * a / 2 + a * (x - a)


def _normed(family: Distribution, x: float) -> float:
    """The standard normal number at which a lognormal one is x; a is the mean, b sigma of the logarithm."""
    return (math.log(x / (family.a / _NS)) + family.b**2 / 2) / family.b


def _normal_tail(z: float) -> float:
    """Integral of P(Z > y) from z on."""
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * normal_cdf(-z)


def _normal_second(z: float) -> float:
    """Integral of `_normal_tail` from z on."""
    return ((z * z + 1) * normal_cdf(-z) - z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)) / 2
