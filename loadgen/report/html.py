"""A result as one page: no network, no script, light and dark, readable on a phone, two sheets of paper.

The first screen answers: the question, the sentence with its interval, targets, one chart, the limits and who
set them, what is assumed and not modelled, how to have it again. Eleven sections of evidence follow, and the
data are in the page as a link to save them. `fragment` is the short form that a notebook shows.
"""

from __future__ import annotations

import base64
import dataclasses
import gzip
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from loadgen.report import assumed, metrics, nstat, pictures, pictures_theory, sections, table, words
from loadgen.report.drawing import HINT, Drawing, NoLibrary, library, swatch
from loadgen.report.sections import Row, Section
from loadgen.report.style import CSS, PAGE

if TYPE_CHECKING:
    from loadgen.report.result import Result

_MOST_BYTES: Final = 990_000  # of a page
_BAD: Final = ("MISSED", "UNDECIDED")
_FEW_TARGETS: Final = 3
_UNIT: Final = re.compile(r"\d (?:%|(?:ns|us|ms|s|min|h|d|B|kB|MB|GB|runs?|seeds)\b)")
_SIGNS: Final = {"met": "\N{CHECK MARK}", "missed": "\N{BALLOT X}", "undecided": "?"}


def page(result: Result) -> str:
    """A whole HTML document, under 1 MB. Raises NoLibrary where there is no matplotlib."""
    library()
    body = [*_first(result), '<main class="charts">', *evidence(result), "</main>", *lists(result)]
    title = result.scenario.name or f"loadgen {result.kind}"
    return document(title, body, lambda room: download(result, room))


def document(title: str, body: Sequence[str], download: Callable[[int], str]) -> str:
    """The frame of a page around its parts; `download(bytes)` is the data in at most so many bytes."""
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{CSS}{PAGE}</style></head>\n"
        '<body class="lg">\n'
    )
    text = head + "\n".join(part for part in body if part)
    return text + "\n" + download(_MOST_BYTES - len(text.encode())) + "\n</body></html>\n"


def fragment(result: Result) -> str:
    """The sentence, the outcomes and the chart, for a notebook; without matplotlib a line instead of it."""
    try:
        chart = drawing(_main_chart(result))
    except NoLibrary:
        chart = f"<p>{escape(HINT)}</p>"
    tables = [section(sections.thresholds(result)), section(sections.outcomes(result))]
    parts = [*_answer(result), *tables, chart]
    body = "\n".join(part for part in parts if part)
    return f'<style>{CSS}</style><div class="lg">{body}</div>'


# -- the first screen ---------------------------------------------------------------------------------------


def _answer(result: Result) -> list[str]:
    said = str(result.verdict["sentence"])
    return [
        f'<p class="ask">{escape(assumed.question(result))}</p>',
        f"<h1>{unbroken(said[:1].upper() + said[1:])}</h1>",
        f'<p class="answer">{unbroken(_interval(result))}</p>',
        *(f'<p class="bad">! {escape(text)}</p>' for text in result.warnings),
    ]


def _interval(result: Result) -> str:
    """The verdict's figure, its interval, and of how many runs."""
    name = str(result.verdict["metric"])
    figure = result.figure(name)
    n = len(result.replicates)
    known = words.interval(figure)
    few = f"{words.plural(n, 'run')}, too few for an interval"
    how = f"95 % interval {known}, {n} seeds" if known else few
    return f"{name} {words.figure(figure)} ({figure.source}; {how})"


#: Outcomes of which the name alone does not say enough.
_EXPLAINED: Final = ("served", "ghost", "gave_up", "reset", "pending", "not_started", "first_try")


def _in_words(result: Result) -> str:
    """What the names of the outcomes mean that there were."""
    found = []
    for name in _EXPLAINED:
        metric = metrics.find(name)
        if metric is not None and result.outcomes.get(name):
            found.append(f"{name}: {metric.meaning}")
    return ". ".join(found) + "." if found else ""


def unbroken(text: str) -> str:
    """Escaped, a number on one line with its unit."""
    return _UNIT.sub(lambda found: found[0].replace(" ", "&nbsp;"), escape(text))


def _first(result: Result) -> list[str]:
    outcomes = sections.outcomes(result)
    return [
        *_answer(result),
        targets([(row["state"], _target(result, row)) for row in result.thresholds]),
        '<div class="first"><div>',
        drawing(_main_chart(result)),
        "</div><div>",
        section(dataclasses.replace(sections.thresholds(result), title="Targets")),
        section(dataclasses.replace(outcomes, title=outcomes.title.replace("outcomes", "Outcomes", 1))),
        f'<p class="quiet small">{escape(_in_words(result))}</p>',
        "</div></div>",
        '<div class="first small"><div>',
        limits(result),
        "</div><div>",
        listed("Assumed (A)", assumed.shortened(assumed.assumptions(result))),
        listed("Not modelled", assumed.shortened(assumed.not_modelled(result))),
        "</div></div>",
        reproduce(result.command),
    ]


def _main_chart(result: Result) -> Drawing:
    chart = pictures.clients(result)
    return chart if chart.svg else pictures.queues(result, "first")


def targets(rows: Sequence[tuple[str, str]]) -> str:
    """(state, text) of each: what is not met in full, how many are met."""
    if not rows:
        return '<p class="targets"><span>no target was set</span></p>'
    parts = []
    for state, style in (("missed", "bad"), ("undecided", "bad"), ("met", "good")):
        texts = [text for one, text in rows if one == state]
        mark = f' class="{style}"' if texts else ' class="quiet"'
        word = "target" if len(texts) == 1 else "targets"
        which = f": {', '.join(texts)}" if 0 < len(texts) <= _FEW_TARGETS else ""
        parts.append(f"<span{mark}>{_SIGNS[state]} {len(texts)} {word} {state}{escape(which)}</span>")
    return f'<p class="targets">{"".join(parts)}</p>'


def _target(result: Result, row: Mapping[str, Any]) -> str:
    """`first_try_ratio>=0.999 (95.85 %)`."""
    return f"{row['text']} ({words.figure(result.figure(row['metric']))})"


def limits(result: Result) -> str:
    """Each limit, who set it, and what does not act because of it."""
    body = []
    for one in result.limits:
        if isinstance(one, str):
            body.append(f'<tr><td colspan="3">{escape(one)}</td></tr>')
            continue
        value = one.get("value")
        shown = words.number(value) if isinstance(value, (int, float)) else str(value)
        by = f"by {one['set_by']}" if one.get("set_by") else ""
        name = escape(str(one.get("name", "")))
        body.append(f'<tr><td>{name}</td><td class="n">{escape(shown)}</td><td>{escape(by)}</td></tr>')
        beside = "; ".join(map(str, one.get("shadowed") or ()))
        if beside:
            said = f"does not act: {beside}"
            body.append(f'<tr><td colspan="3" class="in quiet">{escape(said)}</td></tr>')
    if not body:
        return ""
    rows = "\n".join(body)
    return f'<h2>Limits in force, and who set them</h2>\n<div class="cells"><table>{rows}</table></div>'


def reproduce(command: str) -> str:
    """The line that gives it again."""
    return f"<p>reproduce: <code>{escape(command)}</code></p>" if command else ""


def listed(title: str, texts: Iterable[str]) -> str:
    """A heading and a list; nothing without texts."""
    body = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<h2>{escape(title)}</h2>\n<ul class="plain">{body}</ul>' if body else ""


# -- the eleven sections ------------------------------------------------------------------------------------


def evidence(result: Result) -> list[str]:
    """Sections 1 to 7: a chart, its legend, and the figures behind it."""
    found = {one.title: one for one in sections.details(result)}

    def figures(*titles: str) -> str:
        text = "".join(section(one, "h3") for title, one in found.items() if title.startswith(titles))
        return f"<details><summary>figures</summary>{text}</details>" if text else ""

    memory = Drawing("7 Kernel memory of the hosts")
    if not any(title.startswith("kernel memory") for title in found):
        memory.notes = ["No connection held any."]
    return [
        _charted(pictures.losses(result), figures("causes", "link", "floods")),
        _charted(pictures.queues(result), ""),
        _charted(pictures.latency(result), figures("latency")),
        _charted(pictures.states(result), figures("states", "populations")),
        _charted(pictures_theory.time_wait(result), figures("ports")),
        _charted(pictures_theory.formulas(result), _theory(found.get("theory"))),
        _charted(memory, _shown(found, "kernel memory")),
        _charted(Drawing("8 Response curve", notes=["One point: `loadgen sweep` plays several."]), ""),
    ]


def _shown(found: Mapping[str, Section], title: str) -> str:
    return "".join(section(one, "h3") for name, one in found.items() if name.startswith(title))


def _theory(found: Section | None) -> str:
    """The rows with the numbers that they have in the chart."""
    if found is None:
        return ""
    rows = [(f"{number} {name}", value, note) for number, (name, value, note) in enumerate(found.rows, 1)]
    text = section(Section(found.title, rows), "h3")
    why = "".join(f"<p>{escape(note)}</p>" for note in found.notes)
    summary = "<summary>preconditions that do not hold</summary>"
    return text + (f"<details>{summary}{why}</details>" if why else "")


def _charted(chart: Drawing, figures: str) -> str:
    return f'<section class="chart">{drawing(chart)}{figures}</section>'


def drawing(chart: Drawing) -> str:
    """The chart with its legend as a list, which wraps where the drawing could not."""
    keys = "".join(f"<li>{swatch(key)}{escape(key.text)}</li>" for key in chart.keys)
    notes = "".join(f'<p class="quiet">{escape(note)}</p>' for note in chart.notes)
    legend = f'<ul class="keys">{keys}</ul>' if keys else ""
    return f"<h2>{escape(chart.title)}</h2>\n<figure>{chart.svg}{legend}{notes}</figure>"


def section(one: Section, level: str = "h2") -> str:
    """Rows as a table, notes as paragraphs; nothing where there is neither."""
    if not (one.rows or one.notes):
        return ""
    title = escape(one.title)
    parts = [f"<h2>{title}</h2>" if level == "h2" else f'<p class="quiet">{title}</p>']
    if one.rows:
        head = ""
        if one.sides:
            head = f'<tr><th>{one.sides}</th><th class="n">client</th><th class="n">server</th></tr>'
        body = "\n".join(_row(row, bool(one.sides)) for row in one.rows)
        parts.append(f'<div class="cells"><table>{head}\n{body}\n</table></div>')
    parts += [f"<p>{escape(note)}</p>" for note in one.notes]
    return "\n".join(parts)


def _row(row: Row, sides: bool) -> str:
    name, value, note = row
    last = ' class="n"' if sides else ' class="bad"' if note in _BAD else ""
    indent = ' class="in"' if name.startswith(" ") else ""
    cells = ((indent, name.strip()), (' class="n"', value), (last, note))
    return "<tr>" + "".join(f"<td{style}>{unbroken(text)}</td>" for style, text in cells) + "</tr>"


def lists(result: Result) -> list[str]:
    """Sections 9 to 11: counters, settings with their origins, wall time."""
    counters = next((one for one in sections.details(result) if one.title.startswith("counters")), None)
    parts = ["<h2>9 Counters</h2>"]
    for side in ("server", "client"):
        if text := nstat.listing(result, side):
            parts.append(f'<p class="quiet">{side}, as nstat prints them</p>')
            parts.append(f'<pre class="nstat">{escape(text)}</pre>')
    if counters is not None:
        both = section(counters, "p")
        parts.append(f"<details><summary>both ends side by side</summary>{both}</details>")
    given, defaults = nstat.settings(result)
    parts.append("<h2>10 Settings and who set them</h2>")
    parts.append(_settings(given))
    parts.append(f"<details><summary>{len(defaults)} more are the defaults</summary>"
                 f"{_settings(defaults)}</details>")  # fmt: skip
    parts.append(f"<h2>11 Wall time</h2>\n<p>{escape(' | '.join(table.run_parts(result)))}</p>")
    return parts


def _settings(rows: Sequence[Row]) -> str:
    if not rows:
        return "<p>none</p>"
    body = "".join(
        f"<li>{escape(name)} <b>{escape(value)}</b>"
        + (f' <span class="quiet">{escape(by)}</span>' if by not in ("", "default") else "")
        + "</li>"
        for name, value, by in rows
    )
    return f'<ul class="many small">{body}</ul>'


# -- the data -----------------------------------------------------------------------------------------------


def download(result: Result, room: int) -> str:
    """The document as a link: as it is, else compressed, else without series, in at most `room` bytes."""
    whole = result.to_text_json().encode()
    short = result.to_dict() | {"series": {}}
    without = json.dumps(short, indent=1, sort_keys=True, allow_nan=False, default=str).encode()
    return link([
        ("result.json", "application/json", whole, "all of it as JSON"),
        ("result.json.gz", "application/gzip", packed(whole), "all of it as JSON, compressed"),
        ("result.json.gz", "application/gzip", packed(without), "all but the series as JSON, compressed"),
    ], room)  # fmt: skip


def packed(data: bytes) -> bytes:
    """Compressed, without a date."""
    return gzip.compress(data, 9, mtime=0)


def link(choices: Sequence[tuple[str, str, bytes, str]], room: int) -> str:
    """The first of (file name, type, data, text) that there is room for."""
    for name, kind, data, said in choices:
        if len(data) * 4 / 3 + 300 <= room:
            text = base64.b64encode(data).decode("ascii")
            return f'<p class="screen"><a download="{name}" href="data:{kind};base64,{text}">{said}</a></p>'
    return "<p>The data are too large to be in this page: write them with --format json.</p>"
