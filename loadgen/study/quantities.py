"""Numbers with units as a study takes them: read, divided into steps, written again.

A quantity is an exact number in base units (seconds, per second, a share of 1) and how its unit was written,
so that `1k..8k/8` gives `1k` to `8k` and `10ms..1s/3:log` gives times. What a place of the scenario makes of
the text is the scenario's affair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final

from loadgen.scenario.errors import Mistake, shown
from loadgen.scenario.numbers import write_time
from loadgen.units import UnitError, exact_duration, exact_rate, parse_count, parse_share

_TEXT: Final = re.compile(r"\s*(-?)\s*((?:exp|const):)?\s*([0-9.][^:]*?)\s*")
_DIGITS: Final = 6  # of a step between two ends
_NS: Final = 10**9
_MULTIPLES: Final = (("M", 10**6), ("k", 10**3))


@dataclass(frozen=True)
class Quantity:
    """`number` in base units; `unit` is time, rate, share or count; `family` stands before it (`exp:`)."""

    number: Decimal
    unit: str
    family: str = ""

    def at(self, number: Decimal) -> Quantity:
        """The same kind of quantity with another number."""
        return Quantity(number, self.unit, self.family)

    @property
    def text(self) -> str:
        """As it is typed; read back it is the same quantity."""
        number = self.number
        if self.unit == "time":
            return self.family + write_time(int(number * _NS))
        if self.unit == "share":
            return f"{_plain(number * 100)}%"
        per = "/s" if self.unit == "rate" else ""
        for letter, size in _MULTIPLES:
            if abs(number) >= size and number % (size // 10) == 0:
                return f"{_plain(number / size)}{letter}{per}"
        return _plain(number) + per


def _plain(number: Decimal) -> str:
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def quantity(text: str) -> Quantity:
    """What a text says. Raises Mistake for what is no number with a unit."""
    found = _TEXT.fullmatch(text) if len(text) <= 80 else None
    if found is None:
        raise Mistake(f"expected a number such as 511, 1k, 250ms or 1%, got {shown(text)}")
    sign, family, rest = found[1], found[2] or "", found[3]
    for unit, read in _READERS:
        try:
            number = read(rest)
        except (UnitError, ArithmeticError, ValueError):
            continue
        if family and unit != "time":
            break
        return Quantity(-number if sign else number, unit, family)
    raise Mistake(f"expected a number such as 511, 1k, 250ms or 1%, got {shown(text)}")


def _share(text: str) -> Decimal:
    if not text.endswith("%"):
        raise UnitError(text)
    parse_share(text)
    return Decimal(text[:-1].strip().replace("_", "")).scaleb(-2)


def _rate(text: str) -> Decimal:
    if "/" not in text:
        raise UnitError(text)
    return exact_rate(text)


def _time(text: str) -> Decimal:
    if text.strip(" 0123456789._eE+-") == "":
        raise UnitError(text)
    return exact_duration(text).scaleb(-9)


def _count(text: str) -> Decimal:
    try:
        return Decimal(parse_count(text))
    except UnitError:
        if "/" in text:
            raise
        return exact_rate(text)  # as a rate has it: with a fraction


#: `m` is minutes, and a number without a unit a count.
_READERS: Final = (("count", _count), ("share", _share), ("rate", _rate), ("time", _time))


def pair(low: str, high: str) -> tuple[Quantity, Quantity]:
    """Two ends of one unit, the lower one first. Raises Mistake."""
    first, last = quantity(low), quantity(high)
    if not last.family and first.family:
        last = Quantity(last.number, last.unit, first.family)
    units = {first.unit, last.unit}
    if units == {"count", "rate"}:
        first, last = (Quantity(one.number, "rate", one.family) for one in (first, last))
    elif len(units) > 1 and 0 in (first.number, last.number):
        unit = last.unit if first.number == 0 else first.unit
        first, last = (Quantity(one.number, unit, one.family) for one in (first, last))
    elif len(units) > 1 or first.family != last.family:
        raise Mistake(f"expected two numbers of one unit, got {shown(f'{low}..{high}')}")
    if first.number >= last.number:
        raise Mistake(f"expected the smaller number first, got {shown(f'{low}..{high}')}")
    return first, last


def between(low: Quantity, high: Quantity, share: Decimal, *, log: bool, whole: bool) -> Quantity:
    """The quantity at a share of the way from `low` to `high`, to six digits; whole numbers if `whole`."""
    with localcontext(Context(prec=40)):
        if log:
            number = (low.number.ln() + (high.number.ln() - low.number.ln()) * share).exp()
        else:
            number = low.number + (high.number - low.number) * share
    number = Context(prec=_DIGITS, rounding=ROUND_HALF_EVEN).create_decimal(number)
    if whole:
        number = number.quantize(Decimal(1), ROUND_HALF_EVEN)
    if low.unit == "time":
        number = number.quantize(Decimal(1).scaleb(-9), ROUND_HALF_EVEN)
    return low.at(number)


def steps(low: Quantity, high: Quantity, n: int, *, log: bool, whole: bool) -> list[Quantity]:
    """`n` quantities from `low` to `high`, both in it, evenly apart (`log`: by a constant factor)."""
    inner = (between(low, high, Decimal(k) / (n - 1), log=log, whole=whole) for k in range(1, n - 1))
    return [low, *inner, high]


def value_of(text: str) -> float | str:
    """What a text is in an expression: a number in base units, or the text itself."""
    try:
        return float(quantity(text).number)
    except (Mistake, OverflowError):
        return text
