"""What is said: a verdict, lines and a table in the order of the page, figures with where they come from.

Every figure has a letter: F closed form, S simulated, R recorded on a real kernel, T table, A assumed by the
user. A line ends with the letters of its figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from loadgen.report.result import Result

LETTERS: Final = "FSRTA"
AGREE, EXPLAINED, UNEXPLAINED = "agree", "explained", "unexplained"
UNDECIDED: Final = "undecided"  # the simulation is too short to tell
NOT_PLAYED: Final = "formula only"


@dataclass(frozen=True)
class Value:
    """A figure of the answer."""

    value: float | None
    unit: str  # count | ratio | ns | 1/s | bytes
    source: str  # one of LETTERS
    low: float | None = None
    high: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "unit": self.unit,
            "source": self.source,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True)
class Line:
    """A line of the page: a word, a text, and the letters of its figures."""

    label: str
    text: str
    letters: str = ""


@dataclass(frozen=True)
class Table:
    """Columns; the first is a name, the last a note. `letters` has one entry a row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    letters: Sequence[str]


Part = Line | Table


@dataclass
class Answer:
    """The answer to one question.

    value: what the verdict is about, with its interval. state: how formula and simulation stand to each
    other. parts: in the order of the page, between the verdict and what is assumed.
    """

    topic: str
    sentence: str
    metric: str
    value: Value
    state: str
    parts: list[Part] = field(default_factory=list)
    limits: list[Part] = field(default_factory=list)
    figures: dict[str, Value] = field(default_factory=dict)
    theory: list[dict[str, Any]] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    not_modelled: list[str] = field(default_factory=list)
    warnings: list[Line] = field(default_factory=list)
    unmet: bool = False  # no value that was tried meets the target
    played: list[tuple[str, Result]] = field(default_factory=list)  # label, result; the first is now

    def say(self, label: str, text: str, letters: str = "") -> None:
        """Add a line."""
        self.parts.append(Line(label, text, letters))

    def warn(self, text: str, letters: str = "") -> None:
        """Add a line that begins with "!"."""
        self.warnings.append(Line("!", text, letters))

    def note(self, name: str, value: float | None, unit: str, source: str) -> None:
        """Add a figure for machines, without an interval."""
        self.figures[name] = Value(value, unit, source)


def reconciled(result: Result | None, rows: Sequence[str] = ()) -> tuple[str, list[dict[str, Any]]]:
    """The state of the closed forms beside a result: the worst of them, of those whose name begins so."""
    if result is None:
        return NOT_PLAYED, []
    found = [row for row in result.theory if not rows or str(row["row"]).startswith(tuple(rows))]
    states = {str(row["state"]) for row in found}
    if not states:
        return UNDECIDED, found
    return next(one for one in (UNEXPLAINED, EXPLAINED, AGREE) if one in states), found


def reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The preconditions that do not hold, each once."""
    said = [
        str(one["what"])
        for row in rows
        if row["state"] != AGREE
        for one in row["preconditions"]
        if not one["holds"]
    ]
    return list(dict.fromkeys(said))
