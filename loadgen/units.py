"""Numbers with units, both ways: `50k`, `1.5M`, `250ms`, `2h`, `1%`.

Counts are int, times are int nanoseconds, rates are int events per 1000 s, shares are
float in 0..1. Parsing is decimal and exact: `1.1ms` is 1_100_000 ns, not one less.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, localcontext
from typing import Final

_NUMBER: Final = re.compile(
    r"\s*([0-9][0-9_]*\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,3}))?\s*([A-Za-z%µ/]*)\s*"
)

_MULTIPLES: Final[Mapping[str, int]] = {
    "": 1,
    "k": 10**3,
    "K": 10**3,
    "M": 10**6,
    "G": 10**9,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
}
_TIMES: Final[Mapping[str, int]] = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}


_LONGEST: Final = 64  # characters of a number with its unit
_DIGITS: Final = 200  # enough for the product of any such number and any unit to be exact


class UnitError(ValueError):
    """Text that is no number of the kind asked for; the message says what would be."""


class TooLarge(UnitError):
    """A share of more than all."""


class ZeroRate(UnitError):
    """A rate of nothing."""


def _split(text: str, expected: str) -> tuple[Decimal, str]:
    found = _NUMBER.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise UnitError(f"expected {expected}, got {text!r}")
    number, exponent, unit = found.groups()
    return Decimal(number.replace("_", "")).scaleb(int(exponent or 0)), unit


def _times(number: Decimal, multiple: int) -> Decimal:
    """The exact product."""
    with localcontext() as context:
        context.prec = _DIGITS
        return number * multiple


def parse_count(text: str) -> int:
    """`250`, `50k`, `1.5M`, `64Ki` as a whole number."""
    expected = "a whole number such as 250, 50k or 1.5M"
    number, unit = _split(text, expected)
    count = _times(number, _MULTIPLES.get(unit, 0))
    if unit not in _MULTIPLES or count != int(count):
        raise UnitError(f"expected {expected}, got {text!r}")
    return int(count)


def is_number(text: str) -> bool:
    """Whether `int` can be given this: decimal digits of ASCII, and not thousands of them."""
    return text.isascii() and text.isdigit() and len(text) <= 20


_A_RATE: Final = "a rate such as 50k, 200/s or 30/min"


def _rate(text: str) -> tuple[Decimal, int, int]:
    """A number, the multiple it is of, and the ns it is for."""
    number, unit = _split(text, _A_RATE)
    multiple, _, per = unit.partition("/")
    if multiple not in _MULTIPLES or (per or "s") not in _TIMES:
        raise UnitError(f"expected {_A_RATE}, got {text!r}")
    return number, _MULTIPLES[multiple], _TIMES[per or "s"]


def exact_rate(text: str) -> Decimal:
    """`50k`, `50k/s`, `0.5/s`, `30/min`, `2M/h` in events per second; 0 is legal."""
    number, multiple, per = _rate(text)
    with localcontext() as context:
        context.prec = _DIGITS
        return number * multiple * 10**9 / per


def parse_rate(text: str) -> int:
    """`50k`, `50k/s`, `0.5/s`, `30/min`, `2M/h` in events per 1000 s (so that slow rates stay whole)."""
    number, multiple, per = _rate(text)
    rate = int(_times(number, multiple * 10**12)) // per
    if rate == 0:
        raise ZeroRate(f"expected {_A_RATE} of at least one event in 1000 s, got {text!r}")
    return rate


def exact_duration(text: str) -> Decimal:
    """`250ms`, `1.5s`, `2h` in nanoseconds and their fractions. Only 0 may come without a unit."""
    expected = "a time with its unit such as 250us, 40ms, 60s or 2h"
    number, unit = _split(text, expected)
    if unit not in _TIMES and not (unit == "" and number == 0):
        raise UnitError(f"expected {expected}, got {text!r}")
    return _times(number, _TIMES[unit or "ns"])


def parse_duration(text: str) -> int:
    """`250ms`, `1.5s`, `2h` in nanoseconds, whole ones. Only 0 may come without a unit."""
    return int(exact_duration(text))


def parse_share(text: str) -> float:
    """`1%`, `0.1%` or `0.01` as a share of one."""
    expected = "a share such as 1%, 0.1% or 0.01 (at most 100%)"
    number, unit = _split(text, expected)
    share = number.scaleb(-2) if unit == "%" else number
    if unit not in ("", "%"):
        raise UnitError(f"expected {expected}, got {text!r}")
    if share > 1:
        raise TooLarge(f"expected {expected}, got {text!r}")
    return float(share)


def parse_quantity(text: str) -> tuple[float, bool]:
    """Any of the above for a threshold: (value, whether it is a time, then in ms)."""
    _, unit = _split(text, "a number such as 0.999, 99.9%, 50k or 40ms")
    if unit == "%":
        return parse_share(text), False
    if unit in _TIMES:
        return parse_duration(text) / 1e6, True
    if unit in _MULTIPLES:
        number, _ = _split(text, "a number")
        return float(_times(number, _MULTIPLES[unit])), False
    raise UnitError(f"expected a number such as 0.999, 99.9%, 50k or 40ms, got {text!r}")


def format_count(value: float) -> str:
    """1234567 as `1,234,567`."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3f}"


def format_duration(ns: float) -> str:
    """Nanoseconds in the unit that reads best: `250 ms`, `2 h`."""
    for unit, size in (("h", 3600 * 10**9), ("min", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns >= size:
            return f"{ns / size:.4g} {unit}"
    return f"{ns:.4g} ns"


def format_bytes(nbytes: float) -> str:
    """Bytes in the unit that reads best, powers of ten: `420 MB`."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if nbytes >= size:
            return f"{nbytes / size:.3g} {unit}"
    return f"{nbytes:.0f} B"


def format_share(share: float) -> str:
    """0.9987 as `99.87 %`."""
    return f"{100 * share:.6g} %"
