"""Charts by matplotlib as SVG text for a page: no script, no font, no colour that the page does not set.

matplotlib draws in stand-in colours that become the page's CSS variables, so one drawing serves light, dark
and paper. Curves differ in their dashes, too. What is drawn is thinned to the smallest and largest value of
each stretch of time, never to means. The same data give the same text: no date, no random names.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import numpy as np

from loadgen.report.series import Numbers

HINT: Final = "charts need matplotlib: pip install 'tcpcore[report]'"
WIDTH: Final = 600  # units of the drawing; text is 15 of them high
_POINTS: Final = 400  # of a curve, at most
INK, LINE, BAD = "#010101", "#020202", "#030303"
COLOURS: Final = tuple(f"#0000{16 + number:02x}" for number in range(6))
DASHES: Final[tuple[tuple[float, ...], ...]] = ((), (6, 3), (2, 2), (8, 3, 2, 3), (1, 3), (10, 4))
HATCHES: Final = ("", "//", "..", "xx", "--", "\\\\")
_VARIABLES: Final[Mapping[str, str]] = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    BAD: "var(--bad)",
    **{colour: f"var(--c{number})" for number, colour in enumerate(COLOURS)},
}
_SETTINGS: Final[Mapping[str, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tcpcore",
    "font.family": "sans-serif",
    "font.size": 15,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "lines.linewidth": 1.6,
    "hatch.linewidth": 1.2,
    "hatch.color": INK,
    "path.simplify": False,
}


class NoLibrary(Exception):
    """matplotlib is not there; the message says how to have it."""


@dataclass(frozen=True)
class Key:
    """A line of the legend: how it looks, what it says. `style` None: a note without a line."""

    style: int | None
    text: str
    kind: str = "line"  # line | limit | area | form


@dataclass
class Drawing:
    """A chart: what it shows, the SVG, its legend, and sentences below. Without an SVG only the sentences."""

    title: str
    svg: str = ""
    keys: list[Key] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def library() -> Any:
    """matplotlib. Raises NoLibrary."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of fonts and caches
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError:
        raise NoLibrary(HINT) from None
    return matplotlib


def drawn(
    name: str, draw: Callable[[Any], None], *, title: str, height: int = 230, rows: int = 1, columns: int = 1,
    ratios: Sequence[float] = (),
) -> str:  # fmt: skip
    """The SVG of what `draw` puts on the axes; `name` sets its inner names apart from those of others."""
    matplotlib = library()
    standard = matplotlib.rcParamsDefault  # and not what this user has set
    settings = {key: standard[key] for key in standard if not key.startswith(("backend", "date.epoch"))}
    settings |= {**_SETTINGS, "svg.hashsalt": name}
    with matplotlib.rc_context(settings):
        figure = matplotlib.figure.Figure(figsize=(WIDTH / 72, height / 72), layout="constrained")
        shape = {"height_ratios": list(ratios)} if ratios else {}
        sharing = "col" if rows > 1 else False
        axes = figure.subplots(rows, columns, sharex=sharing, sharey=columns > 1, squeeze=False, **shape)
        draw([one for row in axes for one in row] if rows * columns > 1 else axes[0][0])
        text = io.StringIO()
        undated = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=undated)
    return _inline(text.getvalue(), title, name)


_REFERENCED: Final = re.compile(r'(?:xlink:href="|url\()#([^")]+)')
_LONG: Final = re.compile(r"(\d+\.\d)\d+")


def _inline(text: str, title: str, name: str) -> str:
    """What a page takes: no prolog, no metadata, no style sheet, colours as variables, short numbers."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'<style type="text/css">.*?</style>', "", text, flags=re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    used = set(_REFERENCED.findall(text))
    text = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", text)
    text = text.replace("xlink:href=", "href=")
    for one in sorted(used):  # names of a page's drawings must not be the same
        text = re.sub(rf'(id="|#){re.escape(one)}(?=[")])', rf"\1{name}-{one}", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None
    head = f'<svg class="chart" role="img" viewBox="{box[1]}" xmlns="http://www.w3.org/2000/svg">'
    text = head + f"<title>{escape(title)}</title>" + text[text.index(">") + 1 :]
    text = re.sub(r' (d|points)="[^"]*"', lambda found: _LONG.sub(r"\1", found[0]), text)
    text = re.sub(r"font: ?(?:\d+ )?([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r" ?font-family:[^;\"]*;?", "", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(f'fill="{colour}"', f'style="fill: {variable}"').replace(colour, variable)
    return re.sub(r"\n\s*", "\n", text).strip()


def thinned(values: Numbers, most: int = _POINTS) -> Numbers:
    """Positions of the smallest and largest of each of `most` / 2 stretches, in order; all if few."""
    n, columns = len(values), most // 2
    if n <= most:
        return np.arange(n)
    kept = {0, n - 1}
    for column in range(columns):
        start, end = column * n // columns, (column + 1) * n // columns
        kept |= {start + int(np.argmin(values[start:end])), start + int(np.argmax(values[start:end]))}
    return np.array(sorted(kept))


def curve(axes: Any, times: Numbers, values: Numbers, style: int, *, most: int = _POINTS) -> None:
    """A curve over time, thinned."""
    at = thinned(values, most)
    axes.plot(times[at], values[at], color=COLOURS[style % 6], dashes=_dashes(style))


def _dashes(style: int) -> tuple[float, ...] | tuple[None, None]:
    """Of the second six colours the dashes of the next."""
    chosen = DASHES[(style + style // 6) % 6]
    return tuple(float(one) for one in chosen) if chosen else (None, None)


def limit(axes: Any, value: float) -> None:
    """A limit: a thick broken line across."""
    axes.axhline(value, color=BAD, linewidth=1.2, dashes=(9, 4))


def ticks(axes: Any, say: Callable[[float], str], which: str = "y") -> None:
    """Labels of an axis by `say`."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_formatter(FuncFormatter(lambda value, _: say(value)))
    axis.set_minor_formatter(NullFormatter())


def swatch(key: Key) -> str:
    """How a line of the legend looks, as SVG of its own."""
    if key.style is None:
        return ""
    colour = "var(--bad)" if key.kind == "limit" else f"var(--c{key.style % 6})"
    head = '<svg class="key" viewBox="0 0 32 12" aria-hidden="true">'
    if key.kind == "form":
        return f'{head}<path d="M0 6h32" style="stroke:var(--ink);stroke-dasharray:2 3"/></svg>'
    if key.kind == "area":
        dash = " ".join(map(str, DASHES[key.style % 6]))
        return f'{head}<rect x="1" y="1" width="30" height="10" style="fill:{colour};fill-opacity:.45;' \
               f'stroke:{colour};stroke-dasharray:{dash or "none"}"/></svg>'  # fmt: skip
    dashes = (9, 4) if key.kind == "limit" else _dashes(key.style)
    dash = " ".join(f"{one:g}" for one in dashes if one is not None) or "none"
    return f'{head}<path d="M0 6h32" style="stroke:{colour};stroke-width:2.4;stroke-dasharray:{dash}"/></svg>'
