"""The difference of a figure between two results, with its interval.

Runs with the same seed and replicate met the same arrivals, so their difference is taken pair by pair
(Student's t of the differences). Without shared seeds the two means are compared as Welch (1947) does, with
the degrees of freedom of Welch and Satterthwaite. Either is a difference of the runs' own figures, which of
percentiles and ratios is not to the last digit that of the two results' figures. With one run a side there
is no interval and no verdict, nor is there of what only the largest of all runs is known (kernel memory). A
closed form has its difference and no doubt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadgen.report.estimate import CONFIDENCE, Figure, Number
from loadgen.report.result import Result
from loadgen.theory.special import beta_i, student_t

PAIRED, WELCH, EXACT, LARGEST, SINGLE = "paired", "welch", "exact", "largest of all runs", "one run a side"
_FEWEST: Final = 2  # runs a side for an interval

Seed = tuple[int, int]  # of the scenario, of the replicate


@dataclass(frozen=True)
class Difference:
    """New minus old. `error` is the standard error of it, None where nothing is known of it."""

    value: float
    how: str  # paired | welch | exact | largest of all runs | one run a side
    n: tuple[int, int] = (1, 1)  # runs a side; of pairs the same twice
    error: float | None = None
    dof: float = 0.0

    @property
    def half(self) -> float | None:
        """Half of the 95 % interval."""
        if self.error is None:
            return None
        return student_t(CONFIDENCE, self.dof) * self.error if self.error else 0.0

    @property
    def low(self) -> float | None:
        return None if self.half is None else self.value - self.half

    @property
    def high(self) -> float | None:
        return None if self.half is None else self.value + self.half

    def p_of(self, value: float = 0.0) -> float | None:
        """How likely one so far from `value` is if that is the true one, both ways; None: unknown."""
        if self.error is None:
            return None
        apart = abs(self.value - value)
        if not self.error:
            return 0.0 if apart else 1.0
        t = apart / self.error
        return beta_i(self.dof / 2, 0.5, self.dof / (self.dof + t * t))

    def said(self) -> str:
        """`8 pairs`, `8 and 12 runs`."""
        if self.how == PAIRED:
            return f"{self.n[0]} pairs"
        if self.how == WELCH:
            return f"{self.n[0]} and {self.n[1]} runs"
        return "no sampling" if self.how == EXACT else self.how


def seeds_of(result: Result) -> list[Seed]:
    """What each replicate was drawn from."""
    return [(result.seed, int(one["replicate"])) for one in result.replicates]


def difference(old: Figure, new: Figure, seeds: tuple[Sequence[Seed], Sequence[Seed]]) -> Difference | None:
    """None where one of the two has no value."""
    if old.value is None or new.value is None:
        return None
    apart = float(new.value) - float(old.value)
    if not (old.seeds or new.seeds):
        exact = old.source == new.source == "F"
        return Difference(apart, EXACT, error=0.0) if exact else Difference(apart, LARGEST)
    before, after = _known(old, seeds[0]), _known(new, seeds[1])
    shared = [seed for seed in before if seed in after]
    if len(shared) >= _FEWEST:
        mean, error = _mean([after[seed] - before[seed] for seed in shared])
        n = len(shared)
        return Difference(mean, PAIRED, (n, n), error, n - 1)
    if len(before) >= _FEWEST and len(after) >= _FEWEST:
        return _welch(list(before.values()), list(after.values()))
    return Difference(apart, SINGLE, (len(before), len(after)))


def _known(figure: Figure, seeds: Sequence[Seed]) -> Mapping[Seed, Number]:
    return {seed: value for seed, value in zip(seeds, figure.seeds, strict=False) if value is not None}


def _welch(before: Sequence[float], after: Sequence[float]) -> Difference:
    (old, error_old), (new, error_new) = _mean(before), _mean(after)
    variances = [(error_old**2, len(before) - 1), (error_new**2, len(after) - 1)]
    total = math.fsum(variance for variance, _ in variances)
    below = math.fsum(variance**2 / dof for variance, dof in variances)
    dof = total**2 / below if below else float(len(before) + len(after) - 2)
    return Difference(new - old, WELCH, (len(before), len(after)), math.sqrt(total), dof)


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    n = len(values)
    if all(value == values[0] for value in values):
        return float(values[0]), 0.0
    mean = math.fsum(values) / n
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """The p-values for all of a family together (Holm 1979): each at most 5 % in one family of twenty."""
    adjusted: dict[str, float] = {}
    most = 0.0
    for rank, name in enumerate(sorted(p, key=lambda name: p[name])):
        most = max(most, min(1.0, (len(p) - rank) * p[name]))
        adjusted[name] = most
    return adjusted
