"""A line chart as SVG text: no script, no font, no colour that the page does not set.

Curves are thinned to the smallest and largest value of each column of pixels, never to means. Colours and
text follow the page's CSS variables, so one drawing serves light and dark. Each curve differs in its
dashes, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

import numpy as np

from loadgen.report.chart import Curve, compact, curves, is_log
from loadgen.report.series import Numbers, Series

WIDTH, HEIGHT = 720, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 10, 24
_MOST_POINTS: Final = 600
_PITCH: Final = 22  # from line to line of the legend
_DASHES: Final = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4")


def population(series: Series) -> str:
    """The populations over time; empty without a series of two points."""
    shown, times = curves(series), series.times_ms
    if not shown or len(times) < 2:
        return ""
    top = max(int(curve.values.max()) for curve in shown)
    log = is_log(shown)
    parts = [
        f'<svg class="chart" role="img" viewBox="0 0 {WIDTH} {HEIGHT + _PITCH * len(shown)}" '
        f'xmlns="http://www.w3.org/2000/svg"><title>{_title(shown)}</title>',
        *_axes(top, log, int(times[0]), int(times[-1])),
    ]
    for number, curve in enumerate(shown):
        parts.append(
            f'<path class="c{number}" fill="none" stroke-width="1.5" stroke-dasharray="{_DASHES[number]}" '
            f'd="{_path(curve.values, times, top, log)}"/>'
        )
        y = HEIGHT + 16 + _PITCH * number
        dash = f'stroke-dasharray="{_DASHES[number]}"'
        parts.append(f'<path class="c{number}" stroke-width="2" {dash} d="M{_LEFT} {y - 4}h32"/>')
        said = escape(f"{curve.title}, peak {int(curve.values.max()):,}")
        parts.append(f'<text x="{_LEFT + 40}" y="{y}">{said}</text>')
    return "\n".join([*parts, "</svg>"])


def _title(shown: Sequence[Curve]) -> str:
    return escape("Connections over virtual time: " + ", ".join(curve.title for curve in shown))


def thinned(values: Numbers, columns: int = _MOST_POINTS // 2) -> list[int]:
    """Positions of the smallest and largest of each of so many stretches, in order; all if they are few."""
    n = len(values)
    if n <= 2 * columns:
        return list(range(n))
    kept = {0, n - 1}
    for column in range(columns):
        start, end = column * n // columns, (column + 1) * n // columns
        kept |= {start + int(np.argmin(values[start:end])), start + int(np.argmax(values[start:end]))}
    return sorted(kept)


def _path(values: Numbers, times: Numbers, top: float, log: bool) -> str:
    span = max(int(times[-1]) - int(times[0]), 1)
    wide = WIDTH - _LEFT - _RIGHT
    points = [
        f"{_LEFT + (int(times[at]) - int(times[0])) / span * wide:.1f} {_y(int(values[at]), top, log):.1f}"
        for at in thinned(values)
    ]
    return "M" + "L".join(points)


def _y(value: float, top: float, log: bool) -> float:
    tall = HEIGHT - _TOP - _BOTTOM
    share = math.log1p(value) / math.log1p(top) if log else value / top
    return HEIGHT - _BOTTOM - share * tall


def _round_steps(top: float) -> list[float]:
    """0, then three to six steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(top, 1)))
    step = next(size * power for size in (0.2, 0.5, 1.0, 2.0) if top / (size * power) <= 6)
    return [number * step for number in range(int(top / step) + 1)]


def _axes(top: float, log: bool, start: int, end: int) -> list[str]:
    steps = _round_steps(top)
    if log:
        decades = [0.0, *(10.0**power for power in range(int(math.log10(max(top, 1))) + 1))]
        steps = [*(step for step in decades if step < 0.6 * top), float(top)]
    lines = []
    for step in steps:
        y = _y(step, top, log)
        lines.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{compact(step)}</text>')
    wide = WIDTH - _LEFT - _RIGHT
    for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        x, ms = _LEFT + part * wide, start + part * (end - start)
        said = f"{ms / 1e3:.3g} s"
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - 6}" text-anchor="{anchor}">{said}</text>')
    return lines
