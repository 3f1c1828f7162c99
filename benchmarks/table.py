"""The lines of the table of `python -m benchmarks`: figure, ratio to the floor, target, mark."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness import Measured

HEAD = f"{'':<52}{'median':>12}     {'spread':<12}{'floors':>8}{'skeletons':>11}   {'target':<18}"

#: What a figure is measured beside, and as multiples of which it is printed, too.
YARDSTICKS = ("floors", "skeletons")


@dataclass(frozen=True, slots=True)
class Target:
    """A limit on a figure, or on its ratio to one of YARDSTICKS measured in the same minutes."""

    limit: float
    of: str = ""
    least: bool = False  # the figure must reach it

    def met(self, value: float) -> bool:
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.least else '<='} {self.limit:,.4g}{f' {self.of}' if self.of else ''}"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `judged` rows are the engine's: `benchmarks.compare` looks for regressions there."""

    name: str
    value: Measured
    unit: str
    floors: Measured | None = None
    target: Target | None = None
    judged: bool = False
    rising: bool = False  # more is better
    skeletons: Measured | None = None

    @property
    def mark(self) -> str:
        if self.target is None:
            return ""
        limited = getattr(self, self.target.of) if self.target.of else self.value
        return "ok" if limited is not None and self.target.met(limited.median) else "BAD"

    def line(self) -> str:
        spread = f"+- {figure(self.value.spread)}" if self.value.samples > 1 else ""
        floors = f"{self.floors.median:,.2f}" if self.floors else ""
        skeletons = f"{self.skeletons.median:,.2f}" if self.skeletons else ""
        target = str(self.target) if self.target else ""
        value = figure(self.value.median)
        text = f"{self.name:<52}{value:>12} {self.unit:<4}{spread:<12}{floors:>8}{skeletons:>11}   "
        return f"{text}{target:<18}{self.mark}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        def rounded(measured: Measured) -> dict[str, float | int]:
            return {
                "median": round(measured.median, 4),
                "spread": round(measured.spread, 4),
                "samples": measured.samples,
            }

        row: dict[str, Any] = {"name": self.name, "value": rounded(self.value), "unit": self.unit}
        for name in YARDSTICKS:
            if (ratio := getattr(self, name)) is not None:
                row[name] = rounded(ratio)
        if self.target:
            row |= {"target": str(self.target), "mark": self.mark}
        return row | {"judged": self.judged, "rising": self.rising}


@dataclass(frozen=True, slots=True)
class Note:
    """A line of text: why there is no figure, or what the next ones include."""

    text: str
    judged: bool = field(default=False, init=False)

    def line(self) -> str:
        return self.text


def figure(value: float) -> str:
    """The number with at least three digits, and at most two after the point."""
    return f"{value:,.0f}" if value >= 10_000 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"


UNITS = {"M": 1_000_000, "k": 1000}


def count(n: int) -> str:
    """A number of connections in short, such as `10k`."""
    for letter, size in UNITS.items():
        if n >= size and n % size == 0:
            return f"{n // size}{letter}"
    return str(n)


def parsed_count(text: str) -> int:
    """The inverse of `count`; ValueError for anything but a positive number with a unit or without."""
    digits, size = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    if not digits.isdecimal() or int(digits) == 0:
        raise ValueError(f"expected connections, such as 10k or 1M, got {text!r}")
    return int(digits) * size


def parsed_counts(text: str) -> tuple[int, ...]:
    """Numbers of connections from a text like `10k,1M`, in increasing order; ValueError as `parsed_count`."""
    return tuple(sorted(map(parsed_count, text.split(","))))
