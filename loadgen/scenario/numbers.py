"""Single numbers of a scenario, both ways: times, rates, shares and counts, as text or as Python numbers.

A text has its unit (`40ms`, `3k/s`, `1%`); a bare number is in base units: seconds, per second, a share of 1.
Reading is decimal and exact, and what a `write_` function gives is read back as the very same number. All
functions raise Mistake for what is no such number: none, NaN, negative or too large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Final, TypeVar

from loadgen.scenario.errors import Mistake, shown
from loadgen.units import UnitError, exact_duration, exact_rate, parse_count, parse_duration, parse_share

T = TypeVar("T")

LONGEST_NS: Final = 365 * 86400 * 10**9  # a year, so that sums stay far from the end of 64-bit nanoseconds
MOST: Final = 2**53  # whole numbers that a float tells apart
HIGHEST_RATE: Final = 10**9  # per second

_LONGEST: Final = 40  # characters of a number that is written without an exponent

_TIME: Final = "a time with its unit such as 250us, 40ms, 60s or 2h"
_RATE: Final = "a rate such as 50k, 200/s or 30/min"
_SHARE: Final = "a share such as 1%, 0.1% or 0.01 (at most 100%)"


def _text(read: Callable[[str], T], value: str) -> T:
    if value.strip().startswith("-"):
        raise Mistake(f"expected nothing negative, got {shown(value)}")
    try:
        return read(value)
    except UnitError as error:
        raise Mistake(f"{error}{_unit_hint(value)}") from None


#: What people write for a unit.
_UNITS: Final = {
    "s": ("sec", "secs", "second", "seconds", "sek"),
    "ms": ("msec", "msecs", "millis", "millisecond", "milliseconds"),
    "us": ("usec", "usecs", "micros", "microsecond", "microseconds"),
    "ns": ("nsec", "nanos", "nanosecond", "nanoseconds"),
    "min": ("mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "d": ("day", "days"),
    "%": ("percent", "pct"),
    "M": ("m", "mio", "million"),
    "k": ("kilo", "thousand"),
}
_SPELLINGS: Final = {word: unit for unit, words in _UNITS.items() for word in words}


def _unit_hint(text: str) -> str:
    """The right unit for one that is spelt another way."""
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/%")
    unit = text.strip()[len(number) :]
    multiple, slash, per = unit.partition("/")
    multiple = _SPELLINGS.get(multiple.lower(), multiple)
    per = _SPELLINGS.get(per.lower(), per)
    right = multiple + slash + per
    return f"; did you mean {number + right!r}?" if number and right != unit else ""


def _finite(value: object, expected: str) -> Decimal:
    """A Python number, exactly as it prints."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Mistake(f"expected {expected}, got {shown(value)}")
    if not math.isfinite(value):
        raise Mistake(f"expected {expected}, got {value}")
    if abs(value) > 2**64 or value < 0:
        raise Mistake(f"expected {expected}{', nothing negative' if value < 0 else ''}, got {shown(value)}")
    return Decimal(repr(value))


def read_time(value: object, expected: str = _TIME) -> int:
    """Nanoseconds, of a text or a number of seconds."""
    ns = _text(parse_duration, value) if isinstance(value, str) else round(_finite(value, expected) * 10**9)
    if ns > LONGEST_NS:
        raise Mistake(f"expected at most 365d, got {shown(value)}")
    return ns


def read_time_float(value: str, expected: str = _TIME) -> float:
    """Nanoseconds with a fraction."""
    try:
        ns = float(_text(exact_duration, value))
    except Mistake as error:
        raise Mistake(str(error).replace(_TIME, expected)) from None
    if ns > LONGEST_NS:
        raise Mistake(f"expected at most 365d, got {shown(value)}")
    return ns


def read_rate(value: object) -> float:
    """Events per second, of a text or a number; `inf`: all at once."""
    if value == math.inf or (isinstance(value, str) and value.strip() == "inf"):
        return math.inf
    rate = float(_text(exact_rate, value) if isinstance(value, str) else _finite(value, _RATE))
    if rate > HIGHEST_RATE:
        raise Mistake(f"expected at most 1G/s, got {shown(value)}")
    return rate


def read_share(value: object) -> float:
    """A share of 1."""
    share = _text(parse_share, value) if isinstance(value, str) else float(_finite(value, _SHARE))
    if share > 1:
        raise Mistake(f"expected {_SHARE}, got {shown(value)}")
    return share


def read_number(value: object) -> float:
    """A number without a unit."""
    expected = "a number such as 2 or 0.5"
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise Mistake(f"expected {expected}, got {shown(value)}") from None
    return float(_finite(value, expected))


def count(low: int, high: int = MOST) -> Callable[[object], int]:
    """A reader of whole numbers within bounds."""

    def read(value: object) -> int:
        if isinstance(value, str):
            text = value.strip()
            negative = text.startswith("-")
            number = _text(parse_count, text[1:] if negative else text) * (-1 if negative else 1)
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            raise Mistake(f"expected a whole number such as 250, 50k or 1.5M, got {shown(value)}")
        elif math.isinf(value) or value != int(value):
            raise Mistake(f"expected a whole number such as 250, 50k or 1.5M, got {value}")
        else:
            number = int(value)
        if not low <= number <= high:
            raise Mistake(f"expected {low} to {high}, got {shown(value).strip(chr(39))}")
        return number

    return read


def read_flag(value: object) -> bool:
    """True or false, also by the words that shells use."""
    words = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False}
    words["no"] = False
    found = words.get(str(value).strip().lower()) if isinstance(value, (bool, int, str)) else None
    if found is None:
        raise Mistake(f"expected true or false, got {shown(value)}")
    return found


# -- writing -------------------------------------------------------------------------------------


def _plain(number: Decimal) -> str:
    """Without zeros that say nothing, and without an exponent unless that is much shorter."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text if len(text) <= _LONGEST else f"{number:e}"


def write_time(ns: float) -> str:
    """Exact, in the largest unit of which it is at least one."""
    exact = Decimal(repr(ns))
    if ns == 0:
        return "0s"
    for unit, size in (("h", 3600 * 10**9), ("min", 60 * 10**9)):
        if ns >= 10 * 60 * 10**9 and exact % size == 0:
            return f"{_plain(exact / size)}{unit}"
    for unit, digits in (("s", 9), ("ms", 6), ("us", 3)):
        if ns >= 10**digits:
            return f"{_plain(exact.scaleb(-digits))}{unit}"
    return f"{_plain(exact)}ns"


def write_rate(rate: float) -> str:
    """Exact, per second."""
    if rate == math.inf:
        return "inf"
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if rate >= size and rate % (size / 10) == 0:
            return f"{_plain(Decimal(repr(rate)) / size)}{unit}/s"
    return f"{_plain(Decimal(repr(rate)))}/s"


def write_share(share: float) -> str | float:
    """In percent, or as a number where that is shorter."""
    return f"{_plain(Decimal(repr(share)) * 100)}%" if share == 0 or share >= 1e-4 else share


def write_number(number: float) -> str:
    """As Python prints it, whole numbers without a point."""
    return str(int(number)) if float(number).is_integer() and number < MOST else repr(number)
