"""An answer as text: at most 16 lines of 140 columns, wrapped where the terminal is narrower.

A line is a word, a text and at the right edge the letters that say where its figures come from.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from loadgen.plan.answers import Answer, Line, Part, Table

WIDE: Final = 140
NARROWEST: Final = 40
_LABEL: Final = 15


def as_text(answer: Answer, last: Sequence[str], width: int | None = None) -> str:
    """The page; `last` are the parts of the last line, wrapped between them."""
    wide = max(width or WIDE, NARROWEST)
    lines: list[str] = []
    for part in [*answer.limits, _verdict(answer), *answer.parts, *_said(answer)]:
        lines += _part(part, wide)
    lines += _last(last, wide)
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _verdict(answer: Answer) -> Line:
    return Line("verdict", answer.sentence, answer.value.source)


def _said(answer: Answer) -> Iterator[Part]:
    yield from answer.warnings
    if answer.assumed:
        yield Line("assumed", "; ".join(answer.assumed), "A")
    if answer.not_modelled:
        yield Line("not modelled", "; ".join(answer.not_modelled), "-")


def _part(part: Part, width: int) -> list[str]:
    return _line(part, width) if isinstance(part, Line) else _table(part, width)


def _line(line: Line, width: int) -> list[str]:
    label = f"{line.label:<{_LABEL}}"
    letters = ", ".join(dict.fromkeys(line.letters.replace(",", "").replace(" ", "")))
    column = _LABEL if width >= 80 else 2
    room = width - column - (len(letters) + 2 if letters else 0)
    text = (
        line.text if width >= 80 else f"{line.label}: {line.text}" if line.label != "!" else f"! {line.text}"
    )
    wrapped = textwrap.wrap(text, max(room, 20), break_on_hyphens=False) or [""]
    if width >= 80:
        found = [label + wrapped[0], *(" " * column + one for one in wrapped[1:])]
    else:
        found = [wrapped[0], *("  " + one for one in wrapped[1:])]
    if letters:
        found[-1] = f"{found[-1]:<{max(len(found[-1]) + 2, width - len(letters))}}{letters}"
    return found


def _table(table: Table, width: int) -> list[str]:
    rows = [list(table.head), *map(list, table.rows)]
    numbers = len(table.head) - 2
    sizes = [max(len(row[k]) for row in rows) for k in range(len(table.head))]
    letters = ["", *table.letters]
    alone = sum(sizes[:-1]) + 2 * numbers + 2
    if alone + sizes[-1] + 6 <= width or alone + 20 <= width:
        return _grid(rows, letters, sizes, width, alone)
    return _narrow(table, width)


def _grid(rows: list[list[str]], letters: list[str], sizes: list[int], width: int, alone: int) -> list[str]:
    found = []
    for row, letter in zip(rows, letters, strict=True):
        cells = [f"{row[0]:<{sizes[0]}}", *(f"{text:>{sizes[k + 1]}}" for k, text in enumerate(row[1:-1]))]
        notes = textwrap.wrap(row[-1], max(width - alone - 9, 11), break_on_hyphens=False) or [""]
        first = "  ".join([*cells, notes[0]])
        if letter:
            first = f"{first:<{width - len(letter)}}{letter}"
        found += [first, *(" " * alone + one for one in notes[1:])]
    return found


def _narrow(table: Table, width: int) -> list[str]:
    """A row on lines of its own, each value after the name of its column."""
    found = []
    for row, letter in zip(table.rows, table.letters, strict=True):
        parts = [f"{name} {text}".strip() for name, text in zip(table.head[1:], row[1:], strict=True) if text]
        text = f"{row[0]}: {', '.join(parts)}" + (f"  {letter}" if letter else "")
        found += textwrap.wrap(text, width, subsequent_indent="  ", break_on_hyphens=False)
    return found


def _last(parts: Sequence[str], width: int) -> list[str]:
    """One line, wrapped where it is too long; the command is broken so that a shell still takes it."""
    lines = textwrap.wrap(" | ".join(parts), width - 2, subsequent_indent="    ", break_long_words=False,
                          break_on_hyphens=False)  # fmt: skip
    begins = next((k for k, line in enumerate(lines) if "reproduce:" in line), len(lines))
    last = len(lines) - 1
    return [f"{line} \\" if begins <= k < last else line for k, line in enumerate(lines)]
