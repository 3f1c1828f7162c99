"""Which figures are judged, how much each may change, and the verdict.

Judged are the targets of the two results and what the user names: `first_try_ratio: -0.1%` lets it fall by
0.1 points, `accept_wait.p99: +5ms` lets it rise by 5 ms. Percent of a ratio are points, of anything else a
share of the old value. A figure is worse if its change is beyond that in the wrong direction even at the
kinder end of the interval (Holm over all that is judged). No alarm without evidence: what is not decided is
not worse.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from loadgen.comparing.differences import LARGEST, SINGLE, Difference
from loadgen.report.metrics import find, nearest
from loadgen.scenario.model import Scenario
from loadgen.units import UnitError, parse_quantity

BETTER, WORSE, SAME, UNDECIDED, UNKNOWN = "better", "worse", "same", "undecided", "?"
WITHIN: Final = "within what is allowed"
MOVED: Final = "moved"
ALPHA: Final = 0.05
_ALLOWED: Final = re.compile(r"\s*([^\s:]+)\s*:\s*([+-]?)\s*(\S(?:.*\S)?)\s*")


class UnknownName(ValueError):
    """A name that is no metric; says the nearest."""


@dataclass(frozen=True)
class Allowed:
    """How far a metric may go in the wrong direction: `amount`, a share of the old value if `relative`."""

    metric: str
    sign: int  # of the direction that is worse: 1 up, -1 down
    amount: float = 0.0
    relative: bool = False
    text: str = ""

    def margin(self, old: float) -> float:
        """In the metric's unit, not below 0."""
        return self.amount * abs(old) if self.relative else self.amount


def parse(text: str, scenario: Scenario) -> Allowed:
    """`METRIC: [+-]AMOUNT`. Raises UnitError for what cannot be read, UnknownName for the metric."""
    found = _ALLOWED.fullmatch(text)
    if found is None:
        raise UnitError(f"expected METRIC: CHANGE, such as 'first_try_ratio: -0.1%', got {text!r}")
    name, sign, amount = found.groups()
    metric = find(name)
    if metric is None:
        near = nearest(name, scenario)
        raise UnknownName(f"no metric is called {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    wrong = direction(name)
    way = -1 if sign == "-" else 1
    if not sign and not wrong:
        raise UnitError(f"{name}: neither way is better: expected + or - before {amount!r}")
    if sign and wrong and way != wrong:
        better = "higher" if wrong < 0 else "lower"
        raise UnitError(f"{name}: {better} is better: expected {'-+'[way < 0]}{amount}")
    value, is_time = parse_quantity(amount)
    if is_time != (metric.unit == "ns") and not amount.endswith("%") and value:
        kind = "time such as 5ms" if metric.unit == "ns" else "number"
        raise UnitError(f"{name}: expected a {kind}, got {amount}")
    relative = amount.endswith("%") and metric.unit != "ratio"
    return Allowed(name, wrong or way, value * (1e6 if is_time else 1), relative, text.strip())


def direction(name: str) -> int:
    """Which way is worse: 1 up, -1 down, 0 neither."""
    metric = find(name)
    return {"lower": 1, "higher": -1}.get(metric.better, 0) if metric else 0


def verdict(difference: Difference | None, allowed: Allowed, old: float | None, p: float | None) -> str:
    """`p` is that of the difference being no more than allowed, for all that is judged together."""
    if difference is None or old is None or difference.how in (SINGLE, LARGEST):
        return UNKNOWN
    margin = allowed.margin(old)
    bad = allowed.sign * difference.value - margin
    if bad > 0 and p is not None and p <= ALPHA:
        return WORSE
    if allowed.sign * difference.value < 0 and sure(difference):
        return BETTER
    if not margin:  # seen alone it is worse, among all that are judged it may be chance
        return UNDECIDED if bad > 0 and sure(difference) else SAME
    half = difference.half or 0.0
    return WITHIN if bad + half <= 0 else UNDECIDED


def sure(difference: Difference) -> bool:
    """Whether the 95 % interval is on one side of 0."""
    p = difference.p_of()
    return p is not None and p <= ALPHA


def p_worse(difference: Difference | None, allowed: Allowed, old: float | None) -> float | None:
    """Of the difference being exactly what is allowed; None where nothing is known."""
    if difference is None or old is None:
        return None
    return difference.p_of(allowed.sign * allowed.margin(old))
