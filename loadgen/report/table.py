"""The result for a terminal: the sentence that answers, the outcomes, a chart, then the details.

One figure a line; nothing is wider than the terminal (80 columns where there is none). What is said,
`sections` decides. The last lines say how long it took and how to have it again.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from loadgen.report import chart, sections, sentence, words
from loadgen.report.sections import Row, Section
from loadgen.units import format_duration

if TYPE_CHECKING:
    from loadgen.report.result import Result

NARROWEST: Final = 40
_NAME: Final = 38  # columns of a name
_VALUE: Final = 15
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[0m"
_BAD: Final = ("MISSED", "UNDECIDED")


def as_table(result: Result, *, colour: bool = False, width: int | None = None) -> str:
    """All of it as text. Colours repeat what words say."""
    wide = max(width or 80, NARROWEST)
    blocks = [_head(result, wide, colour)]
    for section in (sections.thresholds(result), sections.outcomes(result)):
        blocks.append(_block(section, wide, colour))
    blocks.append(charted(result, wide).splitlines())
    blocks += [_block(section, wide, colour) for section in sections.details(result)]
    blocks.append(last_lines(result, wide))
    text = "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)
    return text + "\n"


def charted(result: Result, width: int) -> str:
    """The chart, with the peaks that the run knows exactly."""
    peaks = {f"server.{name}": int(result[f"{name}.peak"] or 0) for name in ("half_open", "accept_queue")}
    return chart.as_text(result.series, width, peaks)


def _head(result: Result, width: int, colour: bool) -> list[str]:
    lines = _wrapped(result.question, width)
    said = result.verdict["sentence"]
    lines += [_painted(line, _BOLD, colour) for line in _wrapped(said[:1].upper() + said[1:], width)]
    for warning in result.warnings:
        lines += _wrapped(f"! {warning}", width, "  ")
    return lines


def _wrapped(text: str, width: int, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)


def _painted(text: str, paint: str, colour: bool) -> str:
    return f"{paint}{text}{_PLAIN}" if colour else text


def _block(section: Section, width: int, colour: bool) -> list[str]:
    if not (section.rows or section.notes):
        return []
    lines = [_painted(part, _BOLD, colour) for part in textwrap.wrap(section.title, width)]
    if section.sides:
        lines += _sides(section, width)
    else:
        for row in section.rows:
            text = as_line(row, width)
            lines += [_painted(part, _RED, colour and row[2] in _BAD) for part in text]
    for note in section.notes:
        lines += _wrapped(note, width, "  ")
    return lines


def as_line(row: Row, width: int) -> list[str]:
    """`name   value  note`, the values in one column; in more lines where it is too long for one."""
    name, value, note = row
    column = min(_NAME, width - _VALUE - 2)
    first = f"{name:<{column}} {value:>{_VALUE}}"
    if len(name) > column:
        first = f"{name} {value:>{max(column + _VALUE - len(name), len(value))}}"
    whole = f"{first}  {note}" if note else first
    if len(whole) <= width:
        return [whole]
    lines = [first] if len(first) <= width else [*textwrap.wrap(name, width), f"{value:>{width}}"]
    return lines + [f"{part:>{width}}" for part in textwrap.wrap(note, width)]


def _sides(section: Section, width: int) -> Iterator[str]:
    rows = [(section.sides, "client", "server"), *section.rows]
    wide = _VALUE if width >= _NAME + 2 * _VALUE + 2 else max(len(text) for row in rows for text in row[1:])
    column = min(_NAME, width - 2 * wide - 2)
    for name, client, server in rows:
        if len(name) > column:
            yield name
            name = ""
        yield f"{name:<{column}} {client:>{wide}} {server:>{wide}}"


def run_parts(result: Result) -> list[str]:
    """Virtual and wall time, seed, version."""
    n = len(result.replicates)
    virtual = format_duration(max((one["virtual_ns"] for one in result.replicates), default=0))
    return [
        f"virtual {virtual}" + (f" x {n} seeds" if n > 1 else ""),
        words.plural(sentence.begun(result), "connection"),
        f"wall {result.wall['seconds']:.3g} s",
        f"seed {result.seed}",
        f"tcpcore {result.versions['tcpcore']}",
        *(["partial result"] if result.partial else []),
    ]


def last_lines(result: Result, width: int) -> list[str]:
    """virtual | wall | seed | version, as many to a line as fit, and the command that gives it again."""
    parts = run_parts(result)
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 3 + len(part) <= width:
            lines[-1] += f" | {part}"
        else:
            lines.append(part)
    return lines + _reproduce(result.command, width)


def _reproduce(command: str, width: int) -> list[str]:
    """The command, broken so that a shell still takes it."""
    if not command:
        return []
    lines = textwrap.wrap(
        f"reproduce: {command}",
        width - 2,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [text + " \\" for text in lines[:-1]] + lines[-1:]
