"""Thresholds: met, missed or undecided, from the interval where there is one.

With an interval a threshold is met or missed when all of it is on one side, else undecided. Without one
(fewer than four seeds) the value decides. A metric without samples is missed: no pass without evidence.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

from loadgen.report import words
from loadgen.report.estimate import Figure
from loadgen.report.metrics import UnknownMetric, check_name
from loadgen.scenario.model import Scenario, Threshold

MET, MISSED, UNDECIDED = "met", "missed", "undecided"
_TESTS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}


def check_thresholds(scenario: Scenario) -> None:
    """Raise UnknownMetric, with the nearest name, for a threshold on what no result of this scenario has."""
    for threshold in scenario.threshold:
        try:
            check_name(threshold.metric, scenario)
        except UnknownMetric as error:
            raise UnknownMetric(f"threshold {threshold.text or threshold.metric!r}: {error}") from None


def judge(threshold: Threshold, figure: Figure) -> dict[str, Any]:
    """The threshold as a result has it: what was seen and what that means."""
    low, high = figure.low, figure.high
    return {
        "metric": threshold.metric,
        "is": f"{threshold.test} {threshold.bound:.12g}",
        "text": threshold.text or _text(threshold, figure.unit),
        "seen": figure.value,
        "low": low,
        "high": high,
        "unit": figure.unit,
        "margin": _margin(threshold, figure),
        "state": _state(threshold, figure),
    }


def _text(threshold: Threshold, unit: str) -> str:
    """As one would write it."""
    bound = words.time(threshold.bound) if unit == "ns" else f"{threshold.bound:.12g}"
    return f"{threshold.metric} {threshold.test} {bound}"


def _ends(figure: Figure) -> tuple[float, float] | None:
    if figure.value is None:
        return None
    if figure.low is None or figure.high is None:
        return figure.value, figure.value
    return figure.low, figure.high


def _state(threshold: Threshold, figure: Figure) -> str:
    ends = _ends(figure)
    if ends is None:
        return MISSED
    low, high = ends
    holds, bound = _TESTS[threshold.test], threshold.bound
    if threshold.test in ("==", "!="):
        if low == high:
            return MET if holds(low, bound) else MISSED
        inside = low <= bound <= high
        return UNDECIDED if inside else MET if threshold.test == "!=" else MISSED
    both = {holds(low, bound), holds(high, bound)}
    return UNDECIDED if len(both) == 2 else MET if both == {True} else MISSED


def _margin(threshold: Threshold, figure: Figure) -> float | None:
    """How far the nearer end of the interval is on the good side of the bound; below 0: on the other."""
    ends = _ends(figure)
    if ends is None or threshold.test in ("==", "!="):
        return None
    return ends[0] - threshold.bound if threshold.test[0] == ">" else threshold.bound - ends[1]
