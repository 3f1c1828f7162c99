"""The line of a TOML text on which a key stands, for messages.

Not a parser: the text has been read by tomllib already. Where a place is inside an inline table or an array,
it is the line on which that begins.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_PATH: Final = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER: Final = re.compile(rf"\s*(\[\[?)\s*({_PATH})\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(rf"\s*({_PATH})\s*=")

Place = tuple[str | int, ...]


def lines_of(text: str) -> dict[Place, int]:
    """Place -> line, from 1, of every table and key."""
    found: dict[Place, int] = {}
    counts: dict[Place, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            path = _resolved(_split(header[2]), counts)
            if header[1] == "[[":
                counts[path] = counts.get(path, -1) + 1
                path = (*path, counts[path])
            table = path
            found.setdefault(path, number)
            found.setdefault(path[:1], number)
        elif key := _KEY.match(line):
            path = (*table, *_split(key[1]))
            found.setdefault(path, number)
    return found


def line_of(text: str, place: Place) -> int | None:
    """The line of the place, or of the nearest table around it."""
    found = lines_of(text)
    for length in range(len(place), 0, -1):
        if place[:length] in found:
            return found[place[:length]]
    return None


def _split(path: str) -> Place:
    return tuple(word.strip("\"'") for word in re.findall(_WORD, path))


def _resolved(path: Place, counts: dict[Place, int]) -> Place:
    """With the number of the array's last table after each name of an array but the last."""
    full: Place = ()
    for number, word in enumerate(path):
        full = (*full, word)
        if number + 1 < len(path) and full in counts:
            full = (*full, counts[full])
    return full
