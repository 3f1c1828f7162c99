"""A closed form beside a simulation: the question, the row that answers it, and the verdict.

agree: the form's value is inside the simulation's interval. explained: it is not, or nothing could be
measured, and a precondition is false. unexplained: it is not although all preconditions hold.

A row shows the 95 % interval. Of many rows some lie outside of theirs by chance, so a row is judged by the
interval that is 99 % for all rows of the scenario together (Bonferroni); `how` says where the two part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadgen.theory.conditions import Condition
from loadgen.theory.evidence import Evidence
from loadgen.theory.intervals import Interval, of_family

SHOWN: Final = 0.95
AGREE: Final = "agree"
EXPLAINED: Final = "explained"
UNEXPLAINED: Final = "unexplained"
_ROUNDING: Final = 1e-9  # a figure that no seed changes has no spread but that of its arithmetic


@dataclass(frozen=True)
class Question:
    """A form for one scenario, and what replicates say of the same figure."""

    name: str
    inputs: Mapping[str, float]
    value: float
    evidence: Evidence
    conditions: tuple[Condition, ...]
    tolerance: float = 0.0  # what the form itself is off by, at most


@dataclass(frozen=True)
class Row:
    """An answered question.

    name, inputs, value: the form, its numbers, what it gives. low, high: 95 % interval of the simulation,
    None where nothing could be measured. how: what the interval is made of. preconditions: (what, holds).
    state: agree, explained or unexplained.
    """

    name: str
    inputs: Mapping[str, float]
    value: float
    low: float | None
    high: float | None
    how: str
    preconditions: tuple[Condition, ...]
    state: str

    def to_dict(self) -> dict[str, Any]:
        """As `theory` of a result file has it."""
        return {
            "row": self.name,
            "inputs": dict(self.inputs),
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "how": self.how,
            "preconditions": [{"what": what, "holds": holds} for what, holds in self.preconditions],
            "state": self.state,
        }


def answered(questions: Iterable[Question]) -> list[Row]:
    """The rows, judged together."""
    asked = list(questions)
    measured = sum(question.evidence.interval is not None for question in asked)
    return [_row(question, of_family(measured)) for question in asked]


def _row(question: Question, confidence: float) -> Row:
    conditions, how = question.conditions, question.evidence.how
    interval = question.evidence.interval
    if interval is None:
        conditions = (*conditions, (f"the run shows it: {how}", False))
        return _made(question, None, how, conditions, EXPLAINED)
    shown, judged = interval(SHOWN), interval(max(SHOWN, confidence))
    if _inside(question, judged):
        if not _inside(question, shown):
            how += "; outside of 95 %, inside of what is 99 % for all rows together"
        state = AGREE
    else:
        state = UNEXPLAINED if all(holds for _, holds in conditions) else EXPLAINED
    return _made(question, shown, how, conditions, state)


def _inside(question: Question, interval: Interval) -> bool:
    slack = question.tolerance + _ROUNDING * max(1.0, abs(question.value))
    return interval.low - slack <= question.value <= interval.high + slack


def _made(
    question: Question, shown: Interval | None, how: str, conditions: tuple[Condition, ...], state: str
) -> Row:
    return Row(
        name=question.name,
        inputs=question.inputs,
        value=question.value,
        low=None if shown is None else shown.low,
        high=None if shown is None else shown.high,
        how=how,
        preconditions=conditions,
        state=state,
    )
