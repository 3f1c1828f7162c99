"""Figures as a reader wants them; no share is rounded to all or nothing."""

from __future__ import annotations

import math

from loadgen.report.estimate import Figure
from loadgen.units import format_bytes, format_duration


def number(value: float) -> str:
    """1234567 as `1,234,567`; with decimals only where they say something."""
    if float(value).is_integer():
        return f"{value:,.0f}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"


def percent(value: float, fewest: int = 1) -> str:
    """0.060 as `6.0 %`. Only 1 is `100 %` and only 0 is `0 %`: near either end there are more digits."""
    if value in (0.0, 1.0):
        return f"{value * 100:.0f} %"
    hundred = 100 * value
    short = min(abs(hundred), abs(100 - hundred))
    digits = max(fewest, -math.floor(math.log10(short) + 1e-9)) if short > 0 else fewest
    return f"{hundred:.{min(digits, 12)}f} %"


def rate(value: float) -> str:
    """470.3 as `470/s`, 0.5 as `0.5/s`."""
    return f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s"


def time(ns: float) -> str:
    """In the unit that reads best, three digits: `56.5 s`, `40 ms`."""
    return format_duration(float(f"{ns:.3g}"))


def in_unit(value: float, unit: str) -> str:
    """A value of a metric."""
    if unit == "ratio":
        return percent(value, 2) if value <= 1 else f"{100 * value:,.0f} %"
    if unit == "ns":
        return time(value)
    if unit == "1/s":
        return rate(value)
    if unit == "bytes":
        return format_bytes(value)
    return number(value)


def figure(figure: Figure) -> str:
    """Its value; `no samples` where there is none."""
    if figure.value is None:
        return "no samples"
    if figure.unit == "ratio" and figure.low is not None and figure.high != figure.low:
        return f"{100 * figure.value:.{_decimals(figure)}f} %"
    return in_unit(figure.value, figure.unit)


def _decimals(figure: Figure) -> int:
    """So many that the half of the interval has two digits."""
    assert figure.low is not None and figure.high is not None
    scale, _ = _scale(figure.high, figure.unit)
    return min(max(0, 1 - math.floor(math.log10((figure.high - figure.low) / 2 / scale))), 9)


def interval(figure: Figure) -> str:
    """`5.97 .. 6.02 %`: the 95 % interval, with as many digits as it is narrow; or nothing."""
    low, high = figure.low, figure.high
    if low is None or high is None or figure.source == "T":
        return ""
    if low == high:
        return "+- 0"
    scale, unit = _scale(high, figure.unit)
    decimals = _decimals(figure)
    return f"{low / scale:,.{decimals}f} .. {high / scale:,.{decimals}f}{unit}"


def _scale(value: float, unit: str) -> tuple[float, str]:
    """What one of the unit that reads best is, and its name."""
    if unit == "ratio":
        return 0.01, " %"
    if unit == "1/s":
        return 1, "/s"
    if unit != "ns":
        return 1, ""
    for name, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if value >= size:
            return size, f" {name}"
    return 1, " ns"


def plural(n: float, one: str, many: str = "") -> str:
    """`1 segment`, `2,000 segments`."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"
