"""The charts that set a result against theory: TIME_WAIT and ports against Little's line, formula by formula.

Little's line is the closed form for the whole run, its start included (M(t)/G/infinity: what has come and not
gone). It is drawn where the loads are open loops; what it supposes besides, `--check` says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from loadgen.report import names, words
from loadgen.report.chart import compact
from loadgen.report.drawing import COLOURS, INK, Drawing, Key, curve, drawn, limit, ticks
from loadgen.report.pictures import (
    FAR,
    NO_SERIES,
    first_run,
    has,
    limit_keys,
    limits_of,
    seconds,
    time_axis,
)
from loadgen.report.result import Result
from loadgen.report.series import Numbers

_POINTS: Final = 120  # of Little's line


def time_wait(result: Result) -> Drawing:
    """TIME_WAIT of either end and ports in use, with Little's line and the caps."""
    title = "5 TIME_WAIT and ports against Little's line and the cap"
    times = seconds(result)
    shown = [(f"{side}.TIME_WAIT", f"TIME_WAIT, {side}") for side in names.SIDES]
    shown = [(name, said) for name, said in shown if has(result, name)]
    if has(result, "client.blocks_used"):
        shown.append(("client.blocks_used", "ports in use"))
    if len(times) < 2 or not shown:
        return Drawing(title, notes=[NO_SERIES if len(times) < 2 else "No TIME_WAIT entry, no port in use."])
    sides = [side for side in names.SIDES if has(result, f"{side}.TIME_WAIT")]
    lines = {side: line for side in sides if (line := _little(result, side, times)) is not None}
    caps = _caps(result, sides)
    top = max(float(result.series[name].max()) for name, _ in shown)
    top = max([top, *(float(ys.max()) for _, ys in lines.values())])
    inside = {one for one in caps.values() if one <= FAR * top}

    def draw(axes: Any) -> None:
        for style, (name, _) in enumerate(shown):
            curve(axes, times, result.series[name], style)
        for at, level in lines.values():
            axes.plot(at, level, color=INK, linewidth=1.2, dashes=(1.5, 3))
        for one in inside:
            limit(axes, one)
        axes.set_ylim(0, 1.08 * max([top, *inside]))
        axes.set_ylabel("entries, ports")
        ticks(axes, compact)
        time_axis(axes, times)

    keys = [Key(style, f"{said}: peak {words.number(int(result.series[name].max()))}")
            for style, (name, said) in enumerate(shown)]  # fmt: skip
    for side, (_, level) in lines.items():
        last = words.number(round(float(level[-1])))
        keys.append(Key(0, f"Little's line of TIME_WAIT, {side} (F): {last} at the end", "form"))
    keys += limit_keys(caps, inside)
    return Drawing(title, drawn("time_wait", draw, title=title), keys, first_run(result))


def _caps(result: Result, sides: list[str]) -> dict[str, float]:
    """Caps of all hosts of an end together."""
    limits, client = limits_of(result), result.scenario.client
    found = {}
    for side in sides:
        if f"time_wait.{side}" in limits:
            hosts = client.hosts if side == "client" else 1
            found[f"TIME_WAIT, {side}"] = limits[f"time_wait.{side}"] * hosts
    if "ports" in limits:
        found["ports"] = limits["ports"] * client.hosts * client.destinations
    return found


def _little(result: Result, side: str, times: Numbers) -> tuple[Numbers, Numbers] | None:
    """Seconds and entries; None where the form does not apply or the host's time is not known."""
    scenario, knob = result.scenario, result.hosts.get(side, {}).get("time_wait_ms")
    closed = any(load.times_ns or load.concurrency or load.count is not None or load.close_at_ns is not None
                 for load in scenario.load)  # fmt: skip
    if closed or not isinstance(knob, Mapping) or not isinstance(knob.get("value"), (int, float)):
        return None
    from loadgen.theory.populations_check import expected_time_wait

    end = min(float(times[-1]), scenario.run.duration_ns / 1e9)
    at = np.linspace(0.0, end, _POINTS)
    try:
        level = [expected_time_wait(scenario, side, float(knob["value"]) / 1e3, float(one)) for one in at]
    except (ValueError, ArithmeticError, OverflowError):
        return None
    values = np.array(level)
    return (at, values) if np.isfinite(values).all() and values.max(initial=0) > 0 else None


def formulas(result: Result) -> Drawing:
    """A row a closed form: where the simulation's interval lies beside the form's value."""
    title = "6 Formula against simulation"
    if not result.theory:
        note = "Not compared in this run: --check does, with every formula that applies."
        return Drawing(title, notes=[note])
    rows = [(number, row, _relative(row)) for number, row in enumerate(result.theory, 1)]
    drawable = [(number, row, ends) for number, row, ends in rows if ends is not None]
    if not drawable:
        return Drawing(title, notes=["No row has both a form's value and an interval."])
    far = min(max(max(abs(low), abs(high)) for _, _, (low, high) in drawable) * 1.1, 100.0) or 1.0

    def draw(axes: Any) -> None:
        axes.axvline(0, color=INK, linewidth=1)
        for place, (_, row, (low, high)) in enumerate(drawable):
            colour = COLOURS[_STATES.get(str(row.get("state")), 0)]
            ends = max(low, -far), min(high, far)
            if ends[0] <= ends[1]:
                axes.plot(ends, (place, place), color=colour, linewidth=4, alpha=0.5, solid_capstyle="butt")
            middle = min(max((low + high) / 2, -far), far)
            mark = _MARKS.get(str(row.get("state")), "o")
            axes.plot([middle], [place], color=colour, marker=mark, markersize=7, linestyle="none")
        axes.set_yticks(range(len(drawable)), [str(number) for number, _, _ in drawable])
        axes.invert_yaxis()
        axes.set_xlim(-1.05 * far, 1.05 * far)
        ticks(axes, lambda value: f"{value:+g} %" if value else "formula", "x")

    note = "0 is the formula's value, the bar the simulation's 95 % interval; numbers as in the table below. "
    note += "o agrees, ^ explained by a precondition that does not hold, x unexplained."
    cut = any(max(abs(low), abs(high)) > far for _, _, (low, high) in drawable)
    notes = [note + (" Cut at 100 %." if cut else "")]
    height = 70 + 24 * len(drawable)
    return Drawing(title, drawn("formulas", draw, title=title, height=height), [], notes)


_MARKS: Final = {"agree": "o", "explained": "^", "unexplained": "x"}
_STATES: Final = {"agree": 2, "explained": 1, "unexplained": 3}


def _relative(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """Both ends of the interval as percent of the form's value apart from it."""
    value, low, high = (row.get(name) for name in ("value", "low", "high"))
    if not all(isinstance(one, (int, float)) and math.isfinite(one) for one in (value, low, high)):
        return None
    assert value is not None and low is not None and high is not None
    if not value:
        return (0.0, 0.0) if low <= 0 <= high and low == high else None
    return 100 * (low / value - 1), 100 * (high / value - 1)
