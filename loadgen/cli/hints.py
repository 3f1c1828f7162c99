"""The nearest right word for a wrong one. Imports nothing that takes time before it is asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LONGEST_NAME: Final = 100  # a longer one is nobody's typing error


def hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or nothing."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1) if len(name) <= _LONGEST_NAME else []
    return f"; did you mean {near[0]!r}?" if near else ""
