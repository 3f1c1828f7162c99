"""A comparison as a table for a terminal, as markdown for a pull request, as JSON for a program.

First what differs in settings, profile and version, then what is judged and what moved, then how many did
not.
"""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Final

from loadgen.comparing import judging
from loadgen.comparing.comparison import Comparison, Pair, Row
from loadgen.comparing.differences import Difference
from loadgen.comparing.settings import Change
from loadgen.report import words
from loadgen.report.estimate import Figure

SCHEMA: Final = 1
_MOST_CHANGES: Final = 30
_FEW: Final = 8
_HEAD: Final = ("", "old", "new", "difference (95 %)", "of", "verdict")


def as_table(done: Comparison, *, everything: bool = False, colour: bool = False) -> str:
    """Plain text; the columns are as wide as they need to be."""
    lines = [f"{'differs':<40} old -> new", *(f"  {line}" for line in _changes(done, everything))]
    if not _all_changes(done):
        lines = ["settings, hosts and versions are the same"]
    lines += ["", *_cells(_table(done, everything), colour)]
    lines += ["", *conclusions(done, everything)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def as_markdown(done: Comparison, *, everything: bool = False) -> str:
    """The verdict first; settings in a table of their own."""
    lines = [f"**{_headline(done)}**", ""]
    if changes := _all_changes(done):
        lines += ["| setting | old | new |", "|---|---|---|"]
        shown = changes if everything else changes[:_MOST_CHANGES]
        for one in shown:
            old, new = _safe(_value(one.name, one.old)), _safe(_value(one.name, one.new))
            lines.append(f"| `{_safe(_name(one.name))}` | {old} | {new} |")
        lines += [""]
    else:
        lines += ["Settings, hosts and versions are the same.", ""]
    rows = _table(done, everything)
    if len(rows) > 1:
        lines += ["| metric | " + " | ".join(rows[0][1:]) + " |", "|---|" + "---:|" * 3 + "---|---|"]
        for row in rows[1:]:
            lines.append("| " + " | ".join([f"`{_safe(row[0].strip())}`", *map(_safe, row[1:])]) + " |")
        lines.append("")
    lines += [f"- {_safe(line)}" for line in conclusions(done, everything)]
    return "\n".join(lines) + "\n"


def as_json(done: Comparison) -> str:
    """Every row, whatever it says; numbers in the units of the metrics."""
    document = {
        "schema": SCHEMA,
        "command": "compare",
        "code": done.code,
        "problems": done.problems,
        "warnings": done.warnings,
        "only": {"old": done.only[0], "new": done.only[1]},
        "wall": None if done.wall is None else vars(done.wall),
        "pairs": [_pair(pair) for pair in done.pairs],
    }
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"


def conclusions(done: Comparison, everything: bool = False) -> list[str]:
    """Sentences below the table, the verdict last."""
    lines = []
    rows = done.rows(lambda row: True)
    still = [row for _, row in rows if not row.moved and not row.judged]
    if still and not everything:
        lines.append(f"{words.plural(len(still), 'figure')} not judged did not move (--all lists them)")
    for pair in done.pairs:
        lines += _exact(pair)
    if wall := _wall(done):
        lines.append(wall)
    lines += [f"warning: {text}" for text in done.warnings]
    lines += [f"error: {text}" for text in done.problems]
    return [*lines, _headline(done)]


def _headline(done: Comparison) -> str:
    """One sentence that says what the exit code stands for."""
    judged_rows = done.rows(lambda row: row.judged)
    if done.problems:
        return "not judged: an input failed or is partial (--allow-partial judges it all the same)"
    if done.behaviour_changed:
        return "behaviour changed: the same settings and seeds gave other figures"
    if done.worse:
        names = list(dict.fromkeys(row.metric for _, row in done.worse))
        return f"worse: {', '.join(names)}"
    if done.wall is not None and done.wall.verdict == judging.WORSE:
        return "worse: wall time"
    if done.pairs and all(pair.same_run and not pair.allowed_changes for pair in done.pairs):
        return "the same: every figure of every run, exactly"
    if not judged_rows:
        return "nothing is judged: neither result has a target, and there is no --threshold"
    n = len(judged_rows)
    said = "the one judged figure is not worse" if n == 1 else f"none of {n:,} judged figures is worse"
    return said + (f", {len(done.undecided)} not decided" if done.undecided else "")


def _exact(pair: Pair) -> Iterator[str]:
    where = f"{pair.label}: " if pair.label else ""
    if pair.changed:
        more = f" and {len(pair.changed) - _FEW} more" if len(pair.changed) > _FEW else ""
        yield f"{where}the same settings and seeds, but other: {', '.join(pair.changed[:_FEW])}{more}"
    if pair.allowed_changes:
        yield f"{where}changed, as --allow-change lets them: {', '.join(pair.allowed_changes[:_FEW])}"


def _wall(done: Comparison) -> str:
    if done.wall is None or done.wall.old is None or done.wall.new is None:
        return ""
    change = f", {100 * (done.wall.new / done.wall.old - 1):+.1f} %" if done.wall.old else ""
    return f"wall, median of a run: {done.wall.old:.3g} s, {done.wall.new:.3g} s{change}: {done.wall.verdict}"


def _all_changes(done: Comparison) -> list[Change]:
    """Those of all pairs, each once; what differs between points is in their labels."""
    found = {(one.name, repr(one.old), repr(one.new)): one for pair in done.pairs for one in pair.changes}
    return list(found.values())


def _changes(done: Comparison, everything: bool) -> Iterator[str]:
    changes = _all_changes(done)
    for one in changes if everything else changes[:_MOST_CHANGES]:
        yield f"{_name(one.name):<38} {_value(one.name, one.old)} -> {_value(one.name, one.new)}"
    if len(changes) > _MOST_CHANGES and not everything:
        yield f"and {len(changes) - _MOST_CHANGES} more (--all)"


def _name(name: str) -> str:
    """Without the unit that the value is then told in."""
    return name.removesuffix("_ns")


def _value(name: str, value: Any) -> str:
    is_time = name.endswith("_ns") and isinstance(value, (int, float)) and not isinstance(value, bool)
    text = "-" if value is None else words.time(value) if is_time else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _table(done: Comparison, everything: bool) -> list[tuple[str, ...]]:
    """The head and a row a figure: what is judged first, then what moved, then the others if asked for."""
    lines: list[tuple[str, ...]] = [_HEAD]
    for pair in done.pairs:
        shown = [row for row in pair.rows if row.judged]
        shown += [row for row in pair.rows if not row.judged and (row.moved or everything)]
        if pair.label and shown:
            lines.append((pair.label, *[""] * 5))
        lines += [_row(row, "  " if pair.label else "") for row in shown]
    return lines


def _row(row: Row, indent: str) -> tuple[str, ...]:
    said = row.difference.said() if row.difference else "no samples"
    verdict = [row.verdict] if row.judged or row.moved else []
    verdict.append(f"target {row.target}" if row.target else "" if row.judged else "not judged")
    old, new = _figure(row.old), _figure(row.new)
    return indent + row.metric, old, new, _difference(row), said, ", ".join(filter(None, verdict))


def _figure(figure: Figure) -> str:
    """`96.55 +- 0.12 %`: the value and the half of its interval, in one unit."""
    if figure.value is None:
        return "no samples"
    if figure.low is None or figure.high is None or figure.source == "T" or figure.low == figure.high:
        return words.figure(figure)
    half = (figure.high - figure.low) / 2
    scale, unit = _scale(max(abs(figure.value), half), figure.unit)
    digits = _digits(half / scale, figure.value / scale)
    return f"{figure.value / scale:,.{digits}f} +- {half / scale:,.{digits}f}{unit}"


def _difference(row: Row) -> str:
    found: Difference | None = row.difference
    if found is None:
        return "-"
    unit_of = row.new.unit
    half = found.half
    scale, unit = _scale(max(abs(found.value), half or 0.0), unit_of)
    unit = " points" if unit_of == "ratio" else unit
    if not found.value and not half:
        return "0"
    digits = _digits((half or abs(found.value) / 10) / scale, found.value / scale)
    shown = f"{found.value / scale:+,.{digits}f}"
    return shown + ("" if half is None or found.how == "exact" else f" +- {half / scale:,.{digits}f}") + unit


def _scale(size: float, unit: str) -> tuple[float, str]:
    if unit == "ratio":
        return 0.01, " %"
    if unit == "1/s":
        return 1.0, "/s"
    table = {
        "ns": ((1e9, " s"), (1e6, " ms"), (1e3, " us"), (1.0, " ns")),
        "bytes": ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"), (1.0, " B")),
    }.get(unit, ((1.0, ""),))
    return next((pair for pair in table if size >= pair[0]), table[-1])


def _digits(half: float, value: float) -> int:
    """So many decimals that the half of an interval has two digits, but no more than five digits in all."""
    most = 4 - math.floor(math.log10(abs(value))) if value else 9
    return 0 if half <= 0 else max(0, min(9, most, 1 - math.floor(math.log10(half))))


def _cells(rows: Sequence[tuple[str, ...]], colour: bool) -> Iterator[str]:
    if len(rows) == 1:
        yield "no figure is judged and none moved"
        return
    wide = [max(len(row[at]) for row in rows if row[1] or at == 0 and not row[4]) for at in range(6)]
    wide[0] = max(len(row[0]) for row in rows if row[1])
    for row in rows:
        if not any(row[1:]):  # the label of a point
            yield from textwrap.wrap(row[0], 110)
            continue
        cells = [f"{row[0]:<{wide[0]}}", *(f"{row[at]:>{wide[at]}}" for at in (1, 2, 3))]
        line = "   ".join([*cells, f"{row[4]:<{wide[4]}}", row[5]])
        bad = colour and row[5].startswith(judging.WORSE)
        yield f"\x1b[1;31m{line}\x1b[0m" if bad else line


def _safe(text: str) -> str:
    """As text of a markdown table: names come from a file."""
    for sign, instead in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("`", "'"), ("\n", " ")):
        text = text.replace(sign, instead)
    return text


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "label": pair.label,
        "same_run": pair.same_run,
        "changed": pair.changed,
        "changes": [{"name": one.name, "old": one.old, "new": one.new} for one in pair.changes],
        "rows": [_json(row) for row in pair.rows],
    }


def _json(row: Row) -> dict[str, Any]:
    found = row.difference
    return {
        "metric": row.metric,
        "old": row.old.value,
        "new": row.new.value,
        "unit": row.new.unit,
        "difference": found and found.value,
        "low": found and found.low,
        "high": found and found.high,
        "how": found and found.how,
        "runs": list(found.n) if found else None,
        "judged": row.judged,
        "target": row.target or None,
        "verdict": row.verdict,
    }
