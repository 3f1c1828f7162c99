"""The lines of the one table: figures, their floors, their targets, a mark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import Measured

HEAD = f"{'':<52}{'median':>12}     {'spread':<12}{'floors':>8}   {'target':<14}"


@dataclass(frozen=True, slots=True)
class Target:
    """A limit on the figure itself, or on its ratio to the memory floor measured in the same minutes."""

    limit: float
    floors: bool = False
    least: bool = False  # the figure must reach it

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:,.4g}{' floors' if self.floors else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `judged` rows are the engine's own: `compare` looks for regressions there."""

    name: str
    value: Measured
    unit: str
    floors: Measured | None = None
    target: Target | None = None
    judged: bool = False
    rising: bool = False  # more is better

    @property
    def mark(self) -> str:
        if self.target is None:
            return ""
        judged = self.floors if self.target.floors else self.value
        return "ok" if judged is not None and self.target.met(judged.median) else "BAD"

    def line(self) -> str:
        spread = f"+- {figure(self.value.spread)}" if self.value.samples > 1 else ""
        floors = f"{self.floors.median:,.2f}" if self.floors else ""
        target = str(self.target) if self.target else ""
        value = figure(self.value.median)
        text = f"{self.name:<52}{value:>12} {self.unit:<4}{spread:<12}{floors:>8}   {target:<14}{self.mark}"
        return text.rstrip()

    def as_dict(self) -> dict[str, Any]:
        def told(measured: Measured) -> dict[str, float | int]:
            return {
                "median": round(measured.median, 4),
                "spread": round(measured.spread, 4),
                "samples": measured.samples,
            }

        row: dict[str, Any] = {"name": self.name, "value": told(self.value), "unit": self.unit}
        if self.floors:
            row["floors"] = told(self.floors)
        if self.target:
            row |= {"target": str(self.target), "mark": self.mark}
        return row | {"judged": self.judged, "rising": self.rising}


@dataclass(frozen=True, slots=True)
class Note:
    """A line that says why there is no figure, or what the next ones include."""

    text: str
    judged: bool = field(default=False, init=False)

    def line(self) -> str:
        return self.text


def figure(value: float) -> str:
    """Three digits at least, no more than two behind the point."""
    return f"{value:,.0f}" if value >= 10_000 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"


def count(n: int) -> str:
    for size, letter in ((1_000_000, "M"), (1000, "k")):
        if n >= size and n % size == 0:
            return f"{n // size}{letter}"
    return str(n)
