"""Intervals from within few runs: batch means, where there are not enough seeds.

A run's points after the warm-up are cut into batches of equal length whose means are taken for independent
(Schmeiser 1982). That they are is tested: of twice as many
batches, the neighbours must not go together, by their correlation. Where they do (a population that still
grows, a memory as long as the run) there is no interval. A ratio's batches are its residuals (Cochran 6.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.report.estimate import student_t

BATCHES: Final = 10  # of a run
_FEWEST_POINTS: Final = 4  # in each of twice as many
_CORRELATED: Final = 0.3  # what 2 x BATCHES independent values exceed in one of ten cases

Numbers = npt.NDArray[Any]


def of_mean(runs: Sequence[Numbers]) -> tuple[float, int] | None:
    """Half of the 95 % interval of a mean over the points of the runs, and of how many batches it is."""
    return _half(runs)


def of_ratio(runs: Sequence[tuple[Numbers, Numbers]], value: float) -> tuple[float, int] | None:
    """The same of a ratio; (part, whole) up to each point, of each run."""
    residuals, wholes = [], []
    for part, whole in runs:
        if len(part) < 2:
            return None
        residuals.append(np.diff(part) - value * np.diff(whole))
        wholes.append(float(np.diff(whole).mean()))
    if not wholes or not math.fsum(wholes):
        return None
    found = _half(residuals)
    return None if found is None else (found[0] * len(wholes) / math.fsum(wholes), found[1])


def _half(runs: Sequence[Numbers]) -> tuple[float, int] | None:
    batches: list[float] = []
    for points in runs:
        length = len(points) // (2 * BATCHES)
        if length < _FEWEST_POINTS:
            return None
        cut = np.asarray(points[len(points) - 2 * BATCHES * length :], dtype=np.float64)
        fine = cut.reshape(2 * BATCHES, length).mean(axis=1)
        if _correlation(fine - fine.mean()) > _CORRELATED:
            return None
        batches += fine.reshape(BATCHES, 2).mean(axis=1).tolist()
    n = len(batches)
    if not n:
        return None
    middle = math.fsum(batches) / n
    variance = math.fsum((one - middle) ** 2 for one in batches) / (n - 1)
    return student_t(n - 1) * math.sqrt(variance / n), n


def _correlation(deviations: Numbers) -> float:
    """Of neighbours; 0 where nothing varies."""
    whole = float((deviations**2).sum())
    return float((deviations[1:] * deviations[:-1]).sum()) / whole if whole else 0.0
