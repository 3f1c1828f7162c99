"""The result as one page: no network, no script, light and dark, readable on a phone and on paper.

What the table says, in its order, with the chart as SVG. The whole result is in the page as a link to save
it. `fragment` is the short form that a notebook shows.
"""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Final

from loadgen.report import chart, sections, svg, table
from loadgen.report.sections import Row, Section

if TYPE_CHECKING:
    from loadgen.report.result import Result

_MOST_BYTES: Final = 600_000  # of the data in the page
_BAD: Final = ("MISSED", "UNDECIDED")
CSS: Final = """\
.lg{--ink:#1a1a1a;--paper:#fff;--line:#d0d0d0;--bad:#b00020;
--c0:#0060a8;--c1:#b34700;--c2:#2a7a2a;--c3:#8a2d8a;--c4:#7a5a00;--c5:#444;
color:var(--ink);background:var(--paper);font:15px/1.45 system-ui,sans-serif}
@media (prefers-color-scheme:dark){
.lg{--ink:#e6e6e6;--paper:#16181b;--line:#3a3d42;--bad:#ff7b86;
--c0:#6cb6ff;--c1:#ff9e5e;--c2:#7ed07e;--c3:#e08ae0;--c4:#e0c060;--c5:#bbb}}
.lg h1{font-size:1.25em;margin:0 0 .6em}
.lg h2{font-size:1em;margin:1.4em 0 .3em}
.lg table{border-collapse:collapse}
.lg td,.lg th{padding:.1em .9em .1em 0;text-align:left;border-bottom:1px solid var(--line);
background:none;color:inherit;overflow-wrap:anywhere}
.lg td.in{padding-left:1em}
.lg td.n,.lg th.n{text-align:right;font-variant-numeric:tabular-nums}
.lg .bad{color:var(--bad);font-weight:bold}
.lg code{overflow-wrap:anywhere}
.lg a{color:var(--c0)}
.lg svg.chart{width:100%;max-width:720px;height:auto;display:block;margin-top:1em}
.lg svg text{fill:var(--ink);font-size:12px}
@media (max-width:520px){.lg svg text{font-size:18px}}
.lg svg .grid{stroke:var(--line);fill:none}
.lg svg .c0{stroke:var(--c0)}
.lg svg .c1{stroke:var(--c1)}
.lg svg .c2{stroke:var(--c2)}
.lg svg .c3{stroke:var(--c3)}
.lg svg .c4{stroke:var(--c4)}
.lg svg .c5{stroke:var(--c5)}
"""
_PAGE: Final = """\
html,body{margin:0}body.lg{padding:1em;max-width:60em;margin:auto}
@media (prefers-color-scheme:dark){html{background:#16181b}}
@media print{body.lg{--ink:#000;--paper:#fff;font-size:10pt}h2{break-after:avoid}tr{break-inside:avoid}}
"""


def page(result: Result) -> str:
    """A whole HTML document."""
    title = escape(result.scenario.name or f"loadgen {result.kind}")
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f'<title>{title}</title>\n<style>\n{CSS}{_PAGE}</style></head>\n<body class="lg">',
        *_first(result),
        *(_section(section) for section in sections.details(result)),
        f"<h2>run</h2>\n<p>{escape(' | '.join(table.run_parts(result)))}</p>",
        f"<p>reproduce: <code>{escape(result.command)}</code></p>" if result.command else "",
        _download(result),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def fragment(result: Result) -> str:
    """The sentence, the outcomes and the chart, for a notebook."""
    body = "\n".join(part for part in _first(result) if part)
    return f'<style>{CSS}</style><div class="lg">{body}</div>'


def _first(result: Result) -> list[str]:
    """What stands on the first screen."""
    said = str(result.verdict["sentence"])
    return [
        f"<p>{escape(result.question)}</p>" if result.question else "",
        f"<h1>{escape(said[:1].upper() + said[1:])}</h1>",
        *(f'<p class="bad">{escape(text)}</p>' for text in result.warnings),
        _section(sections.thresholds(result)),
        _section(sections.outcomes(result)),
        _chart(result),
    ]


def _chart(result: Result) -> str:
    drawing = svg.population(result.series)
    scale = ", log scale" if drawing and chart.is_log(chart.curves(result.series)) else ""
    return f"<h2>connections over virtual time{scale}</h2>\n{drawing}" if drawing else ""


def _section(section: Section) -> str:
    """Rows as a table, notes as paragraphs; nothing where there is neither."""
    if not (section.rows or section.notes):
        return ""
    parts = [f"<h2>{escape(section.title)}</h2>"]
    if section.rows:
        head = ""
        if section.sides:
            head = f'<tr><th>{section.sides}</th><th class="n">client</th><th class="n">server</th></tr>'
        body = "\n".join(_row(row, bool(section.sides)) for row in section.rows)
        parts.append(f'<table>{head}\n{body}\n</table>')
    parts += [f"<p>{escape(note)}</p>" for note in section.notes]
    return "\n".join(parts)


def _row(row: Row, sides: bool) -> str:
    name, value, note = row
    last = ' class="n"' if sides else ' class="bad"' if note in _BAD else ""
    indent = ' class="in"' if name.startswith(" ") else ""
    cells = ((indent, name.strip()), (' class="n"', value), (last, note))
    return "<tr>" + "".join(f"<td{style}>{escape(text)}</td>" for style, text in cells) + "</tr>"


def _download(result: Result) -> str:
    data = result.to_text_json().encode()
    if len(data) > _MOST_BYTES:
        return "<p>The data are too large to be in this page: write them with --format json.</p>"
    text = base64.b64encode(data).decode("ascii")
    link = f"data:application/json;base64,{text}"
    return f'<p><a download="result.json" href="{link}">all of it as JSON</a></p>'
