"""The chart of a study: a response curve with its bracket, or a map of cells with the target's edge.

With one setting that varies it is a curve with intervals, the target and the bracket; with two a map, the
edge of what meets the target as a thick line. A point without a result is hatched. Nothing is averaged over
points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from loadgen.report import nstat, thresholds, words
from loadgen.report.drawing import BAD, COLOURS, INK, Drawing, Key, drawn, ticks
from loadgen.report.estimate import Figure
from loadgen.report.reading import Point, Points

_MOST_CELLS: Final = 10_000
_MOST_TEXTS: Final = 80  # cells with a figure in them
_LOG: Final = 50  # largest / smallest value from which an axis is logarithmic


def metric(study: Points) -> str:
    """The one that is drawn: the first target's, else that of the verdict."""
    result = study.points[0].result
    return str(result.thresholds[0]["metric"] if result.thresholds else result.verdict["metric"])


def state(point: Point) -> str:
    """The worst state of its targets; nothing where it has none."""
    states = [row["state"] for row in point.result.thresholds]
    for one in (thresholds.MISSED, thresholds.UNDECIDED, thresholds.MET):
        if one in states:
            return str(one)
    return ""


def bracket(study: Points) -> tuple[float, float] | None:
    """The last value that meets and the first that misses, where one number varies and there is one edge."""
    found = line_of(study)
    if found is None:
        return None
    states = [(x, state(point)) for x, point in found]
    met = [x for x, one in states if one == thresholds.MET]
    missed = [x for x, one in states if one == thresholds.MISSED]
    if not met or not missed:
        return None
    if max(met) < min(missed):
        return max(met), min(missed)
    return (min(met), max(missed)) if max(missed) < min(met) else None


def line_of(study: Points) -> list[tuple[float, Point]] | None:
    """The points in the order of the one number that varies; None where that is not so."""
    if len(study.varied) != 1:
        return None
    found = []
    for point in study.points:
        value = point.values[study.varied[0]]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        found.append((float(value), point))
    return found if len(found) > 1 else None


def short(path: str) -> str:
    return path.rpartition(".")[2].removesuffix("_ns")


def value_of(path: str, value: Any) -> str:
    return nstat.text_of(path.rpartition(".")[2], value)



def chart(study: Points) -> Drawing:
    line = line_of(study)
    if line is not None:
        return _curve(study, line)
    if len(study.varied) >= 2:
        return _map(study)
    return Drawing("8 Response", notes=["Nothing to draw: fewer than two points, or no number that varies."])


def _bound(study: Points) -> float | None:
    rows = study.points[0].result.thresholds
    return float(rows[0]["is"].split()[1]) if rows else None


def _curve(study: Points, line: list[tuple[float, Point]]) -> Drawing:
    """The figure with its intervals against the number that varies."""
    name, path = metric(study), study.varied[0]
    figures: list[tuple[float, Figure, str]] = [
        (x, point.result.figure(name), state(point)) for x, point in line if point.result[name] is not None
    ]
    title = f"8 {name} against {short(path)}"
    if not figures:
        return Drawing(title, notes=["No point has a sample."])
    bound, edge, unit = _bound(study), bracket(study), figures[0][1].unit

    def draw(axes: Any) -> None:
        xs, ys = [x for x, _, _ in figures], [float(figure.value or 0) for _, figure, _ in figures]
        if edge is not None:
            axes.axvspan(*edge, color=COLOURS[4], alpha=0.15, linewidth=0)
        axes.plot(xs, ys, color=COLOURS[0])
        for (x, figure, one), y in zip(figures, ys, strict=True):
            if figure.low is not None and figure.high is not None:
                axes.plot([x, x], [figure.low, figure.high], color=COLOURS[0], linewidth=2.5)
            axes.plot([x], [y], marker=_MARKS[one], color=_COLOUR[one], markersize=8, linestyle="none")
        if bound is not None:
            axes.axhline(bound, color=BAD, linewidth=1.2, dashes=(9, 4))
        if min(xs) > 0 and max(xs) / min(xs) >= _LOG:
            axes.set_xscale("log")
        ticks(axes, lambda value: value_of(path, float(f"{value:.6g}")), "x")
        ticks(axes, lambda value: _tick(value, unit))
        axes.set_xlabel(short(path))
        if axes.get_xscale() == "linear":
            axes.locator_params(axis="x", nbins=5)

    keys = [Key(0, f"{name}, bars are 95 % intervals; o met, x missed, ^ undecided")]
    if bound is not None:
        keys.append(Key(0, f"target: {study.points[0].result.thresholds[0]['text']}", "limit"))
    if edge is not None:
        ends = f"{value_of(path, edge[0])} and {value_of(path, edge[1])}"
        keys.append(Key(4, f"the edge lies between {ends}", "area"))
    return Drawing(title, drawn("response", draw, title=title, height=300), keys)


_MARKS: Final = {thresholds.MET: "o", thresholds.MISSED: "x", thresholds.UNDECIDED: "^", "": "o"}
_TEXTS: Final = {thresholds.MET: "o ", thresholds.MISSED: "x ", thresholds.UNDECIDED: "? "}
_COLOUR: Final = {
    thresholds.MET: COLOURS[2], thresholds.MISSED: BAD, thresholds.UNDECIDED: COLOURS[1], "": COLOURS[0],
}  # fmt: skip


def _tick(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{100 * value:.5g} %"
    return words.in_unit(value, unit) if value > 0 else "0"


def _map(study: Points) -> Drawing:
    """A cell a point, the darker the larger; the edge of what meets the target; failures hatched."""
    name, (across, up) = metric(study), study.varied[:2]
    rest = study.varied[2:]
    slice_of = {path: study.points[0].values[path] for path in rest}
    points = [one for one in study.points if all(one.values[path] == slice_of[path] for path in rest)]
    xs, ys = (_values(points, path) for path in (across, up))
    cells = {(xs.index(one.values[across]), ys.index(one.values[up])): one for one in points}
    values = [float(value) for one in points if (value := one.result[name]) is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    unit = points[0].result.figure(name).unit
    title = f"8 {name} against {short(across)} and {short(up)}"
    if len(xs) * len(ys) > _MOST_CELLS:
        return Drawing(title, notes=[f"{len(xs)} x {len(ys)} points are too many to draw; see table.csv."])

    with_text = len(cells) <= _MOST_TEXTS

    def draw(axes: Any) -> None:
        for x in range(len(xs)):
            for y in range(len(ys)):
                _cell(axes, (x, y), cells.get((x, y)), name, (low, high), with_text)
        _edges(axes, {place: state(point) == thresholds.MET for place, point in cells.items()})
        axes.set_xticks(range(len(xs)), [value_of(across, x) for x in xs])
        axes.set_yticks(range(len(ys)), [value_of(up, y) for y in ys])
        axes.set_xlim(-0.5, len(xs) - 0.5)
        axes.set_ylim(-0.5, len(ys) - 0.5)
        axes.set_xlabel(short(across))
        axes.set_ylabel(short(up))
        axes.grid(False)

    shades = f"{name}: {_tick(low, unit)} (light) to {_tick(high, unit)} (full); o met, x missed, ? undecided"
    edge = "thick line: the edge of what meets the targets; hatched: no result"
    keys = [Key(None, shades), Key(None, edge)]
    notes = [f"Drawn at {', '.join(f'{path}={value}' for path, value in slice_of.items())}."] if rest else []
    height = min(120 + 46 * len(ys), 560)
    return Drawing(title, drawn("map", draw, title=title, height=height), keys, notes)


def _values(points: list[Point], path: str) -> list[Any]:
    """The values of a setting, each once, in order."""
    found = list({repr(point.values[path]): point.values[path] for point in points}.values())
    numbers = all(isinstance(value, (int, float)) for value in found)
    return sorted(found) if numbers else sorted(found, key=str)


def _cell(
    axes: Any, place: tuple[int, int], point: Point | None, name: str, span: tuple[float, float],
    with_text: bool,
) -> None:  # fmt: skip
    from matplotlib.patches import Rectangle

    corner = (place[0] - 0.5, place[1] - 0.5)
    value = None if point is None else point.result[name]
    if point is None or value is None:
        axes.add_patch(Rectangle(corner, 1, 1, facecolor="none", edgecolor=INK, hatch="//", linewidth=0.5))
        return
    share = (float(value) - span[0]) / (span[1] - span[0]) if span[1] > span[0] else 0.5
    axes.add_patch(Rectangle(corner, 1, 1, facecolor=COLOURS[0], alpha=0.06 + 0.5 * share, linewidth=0))
    if with_text:
        sign = _TEXTS.get(state(point), "")
        said = words.figure(point.result.figure(name))
        axes.text(*place, sign + said, ha="center", va="center", fontsize=12)


def _edges(axes: Any, met: Mapping[tuple[int, int], bool]) -> None:
    """A thick line between a cell that meets and a neighbour that does not."""
    for (x, y), one in met.items():
        if met.get((x + 1, y), one) != one:
            axes.plot([x + 0.5, x + 0.5], [y - 0.5, y + 0.5], color=INK, linewidth=3)
        if met.get((x, y + 1), one) != one:
            axes.plot([x - 0.5, x + 0.5], [y + 0.5, y + 0.5], color=INK, linewidth=3)
