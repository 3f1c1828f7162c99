"""A text file line by line, and the one error for a line that is not what its file promised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from loadgen.scenario.errors import Mistake, shown


@dataclass(frozen=True)
class Text:
    """A file's name and lines."""

    name: str
    lines: tuple[str, ...]

    @classmethod
    def of(cls, name: str, content: str) -> Text:
        return cls(name, tuple(content.removeprefix("\ufeff").splitlines()))

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Lines with something in them, from 1."""
        return ((number, line) for number, line in enumerate(self.lines, 1) if line.strip())

    def wrong(self, number: int, expected: str) -> Mistake:
        """The error about a line: file, line, what was expected and what is there."""
        got = self.lines[number - 1].strip() if number <= len(self.lines) else ""
        there = f"got {shown(got)}" if got else "the file ends"
        return Mistake(f"{self.name}:{number}: expected {expected}, {there}")

    def integer(self, number: int, word: str, what: str) -> int:
        """The whole number that a word of a line is; negative ones are, too."""
        if not word.removeprefix("-").isdecimal() or not word.isascii() or len(word) > 20:
            raise self.wrong(number, what)
        return int(word)
