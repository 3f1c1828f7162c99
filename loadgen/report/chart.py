"""The population over time in plain characters: a letter for each of the curves that matter.

A column shows the most there was in its stretch of time, so that a short peak is seen. The axis is
logarithmic where the curves' peaks differ by more than a factor of 20, and says so.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from loadgen.report.series import Numbers, Series

_HEIGHT: Final = 10
_LEFT: Final = 8  # columns of the axis
_FAR_APART: Final = 20
#: Letter, series, what it is called; in the order in which they are looked at.
CURVES: Final[tuple[tuple[str, str, str], ...]] = (
    ("e", "server.ESTABLISHED", "established (server)"),
    ("E", "client.ESTABLISHED", "established (client)"),
    ("t", "client.TIME_WAIT", "TIME_WAIT (client)"),
    ("T", "server.TIME_WAIT", "TIME_WAIT (server)"),
    ("h", "server.half_open", "half-open (server)"),
    ("a", "server.accept_queue", "accept queue (server)"),
    ("s", "client.SYN_SENT", "SYN-SENT (client)"),
    ("f", "client.FIN_WAIT_2", "FIN-WAIT-2 (client)"),
    ("F", "server.FIN_WAIT_2", "FIN-WAIT-2 (server)"),
    ("c", "server.CLOSE_WAIT", "CLOSE-WAIT (server)"),
    ("l", "server.LAST_ACK", "LAST-ACK (server)"),
)
_MOST_CURVES: Final = 6
_MIRROR: Final = 0.1  # of the mean
_MAIN: Final = 6  # the first so many are shown however small they are
_SMALL: Final = 0.02  # of the largest: others are not, below this


@dataclass(frozen=True)
class Curve:
    """A curve that has something to show."""

    letter: str
    name: str
    title: str
    values: Numbers


def curves(series: Series) -> list[Curve]:
    """Those with a peak, the largest six, in the order of CURVES."""
    found = [
        Curve(letter, name, title, series[name])
        for letter, name, title in CURVES
        if name in series and len(series[name]) and series[name].max() > 0
    ]
    found = [curve for curve in found if not _is_mirror(curve, found)]
    top = max((int(curve.values.max()) for curve in found), default=0)
    main = {name for _, name, _ in CURVES[:_MAIN]}
    found = [curve for curve in found if curve.name in main or curve.values.max() >= _SMALL * top]
    large = sorted(found, key=lambda curve: -int(curve.values.max()))[:_MOST_CURVES]
    return [curve for curve in found if curve in large]


def _is_mirror(curve: Curve, found: Sequence[Curve]) -> bool:
    """Whether the client's connections are those of the server, more or less: then one curve is enough."""
    if curve.name != "client.ESTABLISHED":
        return False
    for other in found:
        if other.name == "server.ESTABLISHED" and len(other.values) == len(curve.values):
            apart = float(np.abs(other.values - curve.values).mean())
            return apart <= max(_MIRROR * float(curve.values.mean()), 2)
    return False


def is_log(shown: Sequence[Curve]) -> bool:
    """Whether the axis has to be logarithmic for all to be seen."""
    peaks = [int(curve.values.max()) for curve in shown]
    return max(peaks) > _FAR_APART * min(peaks)


def binned(values: Numbers, columns: int) -> Numbers:
    """The most in each of so many stretches of equal length."""
    n = len(values)
    starts = [column * n // columns for column in range(columns)]
    ends = [max((column + 1) * n // columns, start + 1) for column, start in enumerate(starts)]
    return np.array([values[start:end].max() for start, end in zip(starts, ends, strict=True)])


def compact(value: float) -> str:
    """28232 as `28k`, for an axis."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def as_text(series: Series, width: int = 80, peaks: Mapping[str, int] | None = None) -> str:
    """The chart, a line for the legend of each curve; nothing without a series of two points.

    peaks: the most there was of a series, where that is known better than from its points.
    """
    shown, times = curves(series), series.times_ms
    if not shown or len(times) < 2:
        return ""
    columns = max(min(width - _LEFT - 2, 160), 20)
    top = max(int(curve.values.max()) for curve in shown)
    log = is_log(shown)
    grid = [[" "] * columns for _ in range(_HEIGHT)]
    for curve in shown:
        for column, value in enumerate(binned(curve.values, columns).tolist()):
            if value > 0:
                row = _row(value, top, log)
                grid[row][column] = curve.letter if grid[row][column] == " " else "*"
    lines = ["connections over time, log scale" if log else "connections over time"]
    for row in range(_HEIGHT - 1, -1, -1):
        label = compact(_value(row, top, log)) if row % 3 == 0 else ""
        lines.append(f"{label:>{_LEFT - 1}} |{''.join(grid[row]).rstrip()}")
    lines.append(" " * _LEFT + "+" + "-" * columns)
    lines.append(_times(times, columns))
    many = any("*" in row for row in grid)
    lines += [_legend(curve, width, peaks or {}) for curve in shown]
    lines += [f"{'':{_LEFT}} * several of them"] * many
    return "\n".join(lines + _between(series, peaks or {}, width)) + "\n"


def _between(series: Series, peaks: Mapping[str, int], width: int) -> list[str]:
    """Which peaks no point of the series shows."""
    lines = []
    for _, name, title in CURVES:
        if name in series and series.hides(name, peaks.get(name, 0)):
            text = f"{title}: its peak, {peaks[name]:,}, fell between two points of the series"
            lines += textwrap.wrap(text, width - _LEFT - 1, initial_indent="! ", subsequent_indent="  ")
    return [f"{'':{_LEFT}} {line}" for line in lines]


def _legend(curve: Curve, width: int, peaks: Mapping[str, int]) -> str:
    peak = max(int(curve.values.max()), peaks.get(curve.name, 0))
    whole = f"{'':{_LEFT}} {curve.letter} {curve.title}, peak {peak:,}"
    return whole if len(whole) <= width else f"{curve.letter} {curve.title}, peak {compact(peak)}"


def _row(value: float, top: float, log: bool) -> int:
    if log:
        return min(_HEIGHT - 1, round(math.log(max(value, 1)) / math.log(max(top, 2)) * (_HEIGHT - 1)))
    return min(_HEIGHT - 1, round(value / top * (_HEIGHT - 1)))


def _value(row: int, top: float, log: bool) -> float:
    share = row / (_HEIGHT - 1)
    return float(max(top, 2) ** share if log else top * share)


def _times(times: Numbers, columns: int) -> str:
    start, end = int(times[0]), int(times[-1])
    labels = [f"{ms / 1e3:.3g} s" for ms in (start, (start + end) / 2, end)]
    gap = columns - sum(map(len, labels))
    left = gap // 2
    return " " * (_LEFT + 1) + labels[0] + " " * left + labels[1] + " " * (gap - left) + labels[2]
