"""Figures over replicates: a value, and from four seeds on its 95 % interval.

A mean has the interval of Student's t. A ratio is that of the sums over all seeds, and its interval that of
the ratio estimator (Cochran, Sampling Techniques, 6.4). A percentile is that of all samples together, its
interval the spread of the seeds' own. A largest or smallest value has none. Below four seeds there is none
either: with two or three, t is so wide that it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any, Final

CONFIDENCE: Final = 0.95
FEWEST_SEEDS: Final = 4
_DIGITS: Final = 10  # of an interval's end: libraries of other machines differ beyond

Number = float | int


@dataclass(frozen=True)
class Figure:
    """A figure of a result. `value` is None where there is no sample."""

    value: Number | None
    unit: str
    better: str  # lower | higher | none
    source: str = "S"  # S simulated, F closed form, T table
    low: float | None = None
    high: float | None = None
    n: int = 1  # replicates that have it
    numerator: int | None = None
    denominator: int | None = None
    seeds: tuple[Number | None, ...] = ()  # one a replicate

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; a figure that is no ratio has neither numerator nor denominator."""
        document: dict[str, Any] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "n": self.n,
            "unit": self.unit,
            "better": self.better,
            "source": self.source,
            "seeds": list(self.seeds),
        }
        if self.denominator is not None:
            document |= {"numerator": self.numerator, "denominator": self.denominator}
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Figure:
        known = {one.name for one in fields(cls)}
        given = {name: value for name, value in document.items() if name in known}
        return cls(**{**given, "seeds": tuple(document.get("seeds", ()))})


@cache
def student_t(dof: int, confidence: float = CONFIDENCE) -> float:
    """t with P(|t'| <= t) = confidence for so many degrees of freedom (NIST DLMF 8.17.24, whole numbers)."""
    low, high = 0.0, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        if _within(middle, dof) < confidence:
            low = middle
        else:
            high = middle
    return high


def _within(t: float, dof: int) -> float:
    """P(|t'| <= t), the finite series in the angle whose tangent is t / sqrt(dof)."""
    angle = math.atan2(t, math.sqrt(dof))
    square = math.cos(angle) ** 2
    odd = dof % 2
    term = total = 0.0
    if dof > 1:
        term = total = math.cos(angle) if odd else 1.0
        for k in range(2 + odd, dof - 1, 2):
            term *= square * (k - 1) / k
            total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def mean(values: Sequence[Number | None], *, least: float | None = 0.0) -> tuple[Any, ...]:
    """Value, low, high, n of the seeds that have one; `low` is not below `least`."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None, None, 0
    same = all(value == known[0] for value in known)
    middle: Number = known[0] if same else math.fsum(known) / len(known)
    return (middle, *spread(middle, known, least=least), len(known))


def spread(
    middle: Number, known: Sequence[Number], *, least: float | None = 0.0
) -> tuple[float | None, float | None]:
    """The interval around `middle` that the seeds' own values give; none below four."""
    n = len(known)
    if n < FEWEST_SEEDS:
        return None, None
    average = math.fsum(known) / n
    half = _half_width([value - average for value in known])
    return _clipped(middle - half, middle + half, least, None)


def ratio(parts: Sequence[tuple[int, int]], *, most: float | None = 1.0) -> tuple[Any, ...]:
    """Value, low, high, n, numerator, denominator of (part, whole), one a seed."""
    numerator, denominator = (sum(part[side] for part in parts) for side in (0, 1))
    some = [part for part in parts if part[1]]
    if not denominator:
        return None, None, None, 0, numerator, denominator
    value = numerator / denominator
    low = high = None
    if len(some) >= FEWEST_SEEDS:
        half = _half_width([part - value * whole for part, whole in some]) * len(some) / denominator
        low, high = _clipped(value - half, value + half, 0.0, most)
    return value, low, high, len(some), numerator, denominator


def at_confidence(figure: Figure, confidence: float) -> Figure:
    """The figure with the interval of another confidence; one without an interval stays without.

    A share that is 0 or 1 in all seeds has the interval of as many independent trials without a hit, of which
    a part `(1 - confidence) / 2` would show none (Clopper and Pearson 1934): no seed contradicts it, and that
    alone is no proof.
    """
    if figure.value is None or figure.low is None or figure.high is None or figure.n < FEWEST_SEEDS:
        return figure
    value, low, high = figure.value, figure.low, figure.high
    if figure.denominator and figure.numerator in (0, figure.denominator):
        room = 1 - ((1 - confidence) / 2) ** (1 / figure.denominator)
        low, high = (0.0, room) if figure.numerator == 0 else (1 - room, 1.0)
    else:
        wider = student_t(figure.n - 1, confidence) / student_t(figure.n - 1)
        half = max(value - low, high - value) * wider  # one end may have been cut off
        low, high = value - half, value + half
    low, high = float(f"{low:.{_DIGITS}g}"), float(f"{high:.{_DIGITS}g}")
    return replace(figure, low=low, high=high)


def _half_width(residuals: Sequence[float]) -> float:
    n = len(residuals)
    variance = math.fsum(residual**2 for residual in residuals) / (n - 1)
    return student_t(n - 1) * math.sqrt(variance / n)


def _clipped(low: float, high: float, least: float | None, most: float | None) -> tuple[float, float]:
    if least is not None:
        low = max(low, least)
    if most is not None:
        high = min(high, most)
    return float(f"{low:.{_DIGITS}g}"), float(f"{high:.{_DIGITS}g}")
