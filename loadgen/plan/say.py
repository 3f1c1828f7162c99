"""Figures of an answer as text, after `loadgen.report.words`."""

from __future__ import annotations

import math

from loadgen.report import words
from loadgen.report.estimate import Figure
from loadgen.report.result import Result
from loadgen.units import format_bytes

_NS = 1e9


def num(value: float) -> str:
    """A count; no decimals."""
    return f"{value:,.0f}"


def pct(value: float) -> str:
    """A share; `99.98 %`, never rounded to all or nothing."""
    if 0 < value < 1e-50:
        return "< 1e-50"
    if 0 < value < 1e-6:
        return f"{100 * value:.0e} %"
    return words.percent(value)


def rate(value: float) -> str:
    """Per second, three digits or all of a whole number."""
    return f"{value:,.1f}/s" if 100 <= value < 1000 and not float(value).is_integer() else words.rate(value)


def sec(seconds: float) -> str:
    """A time: seconds up to an hour, five digits; smaller ones in the unit that reads best, three digits."""
    if 1 <= seconds < 3600:
        return f"{seconds:.5g} s" if seconds >= 10 else f"{seconds:.3g} s"
    return words.time(seconds * _NS) if seconds else "0 s"


def short(seconds: float) -> str:
    """A time, three digits."""
    return f"{seconds:.3g} s" if 1 <= seconds < 1000 else sec(seconds)


def size(nbytes: float) -> str:
    """Bytes, powers of ten."""
    return format_bytes(nbytes)


def whole(value: float, digits: int = 3) -> str:
    """A count to so many digits: 27,410 as `27,400`."""
    return num(float(f"{value:.{digits}g}"))


def pm(figure: Figure) -> str:
    """A simulated figure with its interval: `96.1 % (95.9 .. 96.3 %)`."""
    said, interval = words.figure(figure), words.interval(figure)
    return f"{said} ({interval})" if interval and not interval.startswith("+-") else said


def of(result: Result, name: str) -> str:
    """`pm` of a figure of a result."""
    return pm(result.figure(name))


def runs(result: Result) -> str:
    """How many seeds a simulated figure is of."""
    n = len(result.replicates)
    return "one run" if n == 1 else f"{n} seeds"


def least(seconds: float) -> str:
    """A time that is still enough: three digits, not rounded up."""
    if seconds <= 0:
        return "0 s"
    scale = 10.0 ** (math.floor(math.log10(seconds)) - 2)
    return short(math.floor(seconds / scale + 1e-9) * scale)
