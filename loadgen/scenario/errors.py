"""The one error of scenarios, and the nearest right word for a wrong one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

_LONGEST: Final = 100  # characters; a longer name is nobody's typing error


class ScenarioError(ValueError):
    """A scenario that cannot be: one line that says where, what was expected and what came.

    The commands answer it with exit code 3.
    """


class Mistake(ValueError):
    """A value that cannot be; `place` is the path to it as far as it is known."""

    place: tuple[str | int, ...] = ()


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'X'?`, or nothing."""
    near = get_close_matches(name, list(known), n=1) if len(name) <= _LONGEST else []
    return f"; did you mean {near[0]!r}?" if near else ""


def shown(value: object) -> str:
    """A value in a message: as Python writes it, cut to a length that can be read."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python prints
        return "a number of very many digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
