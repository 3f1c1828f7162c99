"""Thresholds: met, missed or undecided, from the interval where there is one.

With an interval a threshold is met or missed when all of it is on one side, else undecided. Without one
(fewer than four seeds) the value decides. A metric without samples is missed: no pass without evidence.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
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


def compare_numbers(test: str, seen: float, bound: float) -> bool:
    """Whether `seen test bound` holds."""
    return _TESTS[test](seen, bound)


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


#: Share of the attempts that a run may cut off at its end without that being the answer.
FEW: Final = 0.05
#: Shares of which connections that are still under way are not a part.
_OF_SERVED: Final = ("success_ratio", "first_try_ratio", "first_try_loss")


def cut_off(
    rows: Sequence[Mapping[str, Any]], outcomes: Mapping[str, Any], loads: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """A warning for each threshold that is not met only because connections were under way at the end."""
    warnings = []
    for row in rows:
        where, _, name = row["metric"].rpartition(".")
        counts = loads.get(where.removeprefix("load.")) if where else outcomes
        if row["state"] == MET or name not in _OF_SERVED or row["seen"] is None or not counts:
            continue
        pending, attempted = counts["pending"], counts["attempted"]
        test, bound = row["is"].split()
        if_served = row["seen"] + pending / attempted * (-1 if name == "first_try_loss" else 1)
        if 0 < pending < FEW * attempted and _TESTS[test](if_served, float(bound)):
            were = "client was" if pending == 1 else "clients were"
            warnings.append(
                f"{row['text']}: {words.number(pending)} {were} under way when the run ended and count as "
                "not served; run.drain = true plays them to their end"
            )
    return warnings


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
