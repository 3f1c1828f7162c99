"""A study as one page: which points meet the target, the response curve or map, the points, one in detail.

The frame is that of a result's page (`html`), the chart that of `pictures_study`. The point in detail is the
one whose answer is nearest to its target. Limits and assumptions are those of the first point.
"""

from __future__ import annotations

import json
from html import escape
from typing import Any, Final

from loadgen.report import assumed, html, thresholds, words
from loadgen.report.drawing import library
from loadgen.report.pictures_study import bracket, chart, line_of, metric, short, state, value_of
from loadgen.report.reading import Point, Points
from loadgen.report.result import ResultError

_FEW_ROWS: Final = 12  # points that are listed beside the chart
_MOST_ROWS: Final = 200  # points that are listed


def page(study: Points) -> str:
    """A whole HTML document. Raises NoLibrary; ResultError for a study without a point."""
    library()
    if not study.points:
        raise ResultError(f"{study.path}: all {len(study.failed)} points failed: {study.failed[0][1]}")
    first = study.points[0].result
    shown = _in_detail(study)
    drawing, table = chart(study), _table(study)
    few = table if len(study.points) <= _FEW_ROWS else ""
    body = [
        f'<p class="ask">{escape(_question(study))}</p>',
        f"<h1>{html.unbroken(verdict(study))}</h1>",
        *(f'<p class="answer">{escape(text)}</p>' for text in study.searches[1:]),
        *(f'<p class="bad">! point {escape(key)} failed: {escape(why)}</p>' for key, why in study.failed[:5]),
        html.targets([(state(point), point.label) for point in study.points if state(point)]),
        f'<div class="first"><div>{html.drawing(drawing)}</div><div>{few}</div></div>',
        '<div class="first small"><div>',
        html.limits(first),
        "</div><div>",
        html.listed("Assumed (A), at the first point", assumed.shortened(assumed.assumptions(first))),
        html.listed("Not modelled", assumed.shortened(assumed.not_modelled(first))),
        "</div></div>",
        html.reproduce(str(study.about.get("command") or first.command)),
        "" if few else table,
        f"<h1>One point in detail: {escape(shown.label or 'the only one')}</h1>",
        f"<p>{escape(str(shown.result.verdict['sentence']))}</p>",
        '<main class="charts">',
        *[part for part in html.evidence(shown.result) if "8 Response curve" not in part],
        "</main>",
        *html.lists(shown.result)[:-1],
        f"<h2>11 Wall time</h2>\n<p>{escape(_wall(study))}</p>",
    ]
    return html.document(first.scenario.name or "loadgen sweep", body, lambda room: _download(study, room))


# -- what is said -------------------------------------------------------------------------------------------


def _question(study: Points) -> str:
    asked = str(study.about.get("question") or study.points[0].result.question)
    on = " and ".join(study.varied) or "nothing that varies"
    return asked or f"How does {metric(study)} depend on {on}?"


def verdict(study: Points) -> str:
    """What a search found; else how many points meet the targets, and between which values they begin to."""
    if study.searches:
        return study.searches[0]
    states = [state(point) for point in study.points]
    total = words.plural(len(states), "point")
    failed = f"; {len(study.failed)} failed" if study.failed else ""
    if not any(states):
        return f"{metric(study)} of {total}: {_span(study)}; no target was set{failed}"
    met, open_ = states.count(thresholds.MET), states.count(thresholds.UNDECIDED)
    lead = "every one" if met == len(states) else "none" if not met else f"{met:,}"
    undecided = f", {open_:,} undecided" if open_ else ""
    verb = "meet" if 1 < met < len(states) else "meets"
    said = f"{lead} of {total} {verb} the target{undecided}{_bracket_said(study)}{failed}"
    return said[:1].upper() + said[1:]


def _span(study: Points) -> str:
    """The least and the most of the metric at all points."""
    figures = [point.result.figure(metric(study)) for point in study.points]
    known = [figure.value for figure in figures if figure.value is not None]
    if not known:
        return "no samples"
    return " to ".join(words.in_unit(one, figures[0].unit) for one in (min(known), max(known)))


def _bracket_said(study: Points) -> str:
    edge = bracket(study)
    if edge is None:
        both = {thresholds.MET, thresholds.MISSED} <= {state(point) for point in study.points}
        return "; not monotone: there is more than one edge" if both and line_of(study) is not None else ""
    path = study.varied[0]
    return f"; {path} {value_of(path, edge[0])} is met, {value_of(path, edge[1])} is missed"


def _in_detail(study: Points) -> Point:
    """The point whose answer is nearest to its target; without a target the first."""
    judged = [(abs(row["margin"]), number) for number, point in enumerate(study.points)
              for row in point.result.thresholds[:1] if row["margin"] is not None]  # fmt: skip
    return study.points[min(judged)[1]] if judged else study.points[0]


def _table(study: Points) -> str:
    name = metric(study)
    head = "".join(f"<th>{escape(short(path))}</th>" for path in study.varied)
    rows = []
    for point in study.points[:_MOST_ROWS]:
        figure = point.result.figure(name)
        cells = "".join(f"<td>{escape(value_of(path, value))}</td>" for path, value in point.values.items())
        said = state(point)
        style = "bad" if said in (thresholds.MISSED, thresholds.UNDECIDED) else "good" if said else "quiet"
        rows.append(
            f'<tr>{cells}<td class="n">{escape(words.figure(figure))}</td>'
            f"<td>{escape(words.interval(figure))}</td>"
            f'<td class="{style}">{said or "-"}</td></tr>'
        )
    more = len(study.points) - _MOST_ROWS
    note = f"<p>and {more:,} more points: see table.csv</p>" if more > 0 else ""
    return (
        f'<h2>Points</h2>\n<div class="cells"><table><tr>{head}<th class="n">{escape(name)}</th>'
        f"<th>95 %</th><th>target</th></tr>\n{''.join(rows)}</table></div>{note}"
    )


def _wall(study: Points) -> str:
    seconds = sum(float(point.result.wall["seconds"]) for point in study.points)
    runs = sum(len(point.result.replicates) for point in study.points)
    points = words.plural(len(study.points), "point")
    return f"{points} | {words.plural(runs, 'run')} | wall {seconds:.3g} s in all"


# -- the data ---------------------------------------------------------------------------------------------


def _download(study: Points, room: int) -> str:
    """The results of all points, without their series where they are too many; else the table of figures."""
    documents = [point.result.to_dict() for point in study.points]

    def text(parts: list[Any]) -> bytes:
        return json.dumps(parts, indent=1, sort_keys=True, allow_nan=False, default=str).encode()

    short = [{**one, "series": {}} for one in documents]
    kept = ("metrics", "thresholds", "verdict")
    table = [{"values": dict(point.values), **{name: document[name] for name in kept}}
             for point, document in zip(study.points, documents, strict=True)]  # fmt: skip
    return html.link([
        ("study.json", "application/json", text(documents), "all results as JSON"),
        ("study.json.gz", "application/gzip", html.packed(text(documents)), "all results, compressed"),
        ("study.json.gz", "application/gzip", html.packed(text(short)), "all results but series, compressed"),
        ("points.json.gz", "application/gzip", html.packed(text(table)), "all points' figures, compressed"),
    ], room)  # fmt: skip
