"""Kinds of knobs: what a declaration in `knobs` says, and the check that a value has to pass.

A check returns the value normalised (`True` to 1, an address to dotted text, an algorithm's number to its
name) or raises "name: expected ..., got ...". Not here: the knobs themselves (`knobs`), and what depends on
two of them at once (`Config`).
"""

from __future__ import annotations

import difflib
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, Final, TypedDict, Unpack

__all__ = [
    "AS_LINUX", "Knob", "UnknownKnob", "address", "choice", "flag", "hint", "number", "port_range",
    "port_set", "subset", "switch", "wrong",
]  # fmt: skip

Names = tuple[str, ...]


class _AsLinux:
    def __repr__(self) -> str:
        return "AS_LINUX"


#: A profile's value where the declaration names none.
AS_LINUX: Final = _AsLinux()


class UnknownKnob(TypeError, ValueError):
    """A name that is no knob: a `TypeError` as a keyword, a `ValueError` in a file."""


@dataclass(frozen=True)
class Knob:
    """What the declaration of a knob says besides its name, its type and its value on Linux."""

    check: Callable[[str, Any], Any]
    domain: str  # the values it may have, in words
    doc: str
    highest: int = 0  # the largest number that the engine may be given
    names: Names = ()  # of a choice; the place of a name is its number in the engine
    unit: str = ""
    freebsd: Any = AS_LINUX
    strict: Any = AS_LINUX
    rfc: str = ""  # what the RFCs say, and thereby why strict has its value
    live: bool = False  # a host changes it while it runs, and connections that exist obey: `Engine.set_knobs`

    def number(self, value: Any) -> int:
        """A checked value as the engine's struct holds it; None is 0."""
        if self.names:
            return self.names.index(value)
        return 0 if value is None else int(value)


class Said(TypedDict, total=False):
    """What every kind of declaration may say."""

    unit: str
    freebsd: Any
    strict: Any
    rfc: str
    live: bool


def wrong(error: type[Exception], name: str, expected: str, value: object, end: str = "") -> Exception:
    """The error for a bad value: "name: expected ..., got ..."."""
    return error(f"{name}: expected {expected}, got {value!r}{end}")


def hint(name: object, known: Iterable[str]) -> str:
    """The nearest known name as the end of an error message, or nothing."""
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _one_of(names: Iterable[object]) -> str:
    *rest, last = (repr(name) for name in names)
    return f"{', '.join(rest)} or {last}" if rest else last


def _declared(default: Any, knob: Knob) -> Any:
    return field(default=default, metadata={"knob": knob})


def number(
    default: int | None, low: int, high: int, doc: str, *, none: str = "",
    none_is: int | Callable[[], int] | None = None, **said: Unpack[Said],
) -> Any:  # fmt: skip
    """An integer knob. `none` says what None means, `none_is` the value it is kept as, or draws it."""
    few = low == 0 and high <= 2
    expected = _one_of(range(high + 1)) if few else f"an integer from {low} to {high}"
    expected += f", or None ({none})" if none else ""

    def check(name: str, value: Any) -> int | None:
        if value is None and none:
            return none_is() if callable(none_is) else none_is
        if isinstance(value, bool) and not few:
            raise wrong(TypeError, name, expected, value)
        try:
            whole = operator.index(value)
        except TypeError:
            raise wrong(TypeError, name, expected, value) from None
        if not low <= whole <= high:
            raise wrong(ValueError, name, expected, value)
        return whole

    domain = (_one_of(range(high + 1)) if few else f"{low} to {high}") + (f", none: {none}" if none else "")
    return _declared(default, Knob(check, domain, doc, high, **said))


def switch(default: int, doc: str, **said: Unpack[Said]) -> Any:
    """A knob that is 0 or 1."""
    return number(default, 0, 1, doc, **said)


def choice(default: str, names: Names, doc: str, *, numbered: Names = (), **said: Unpack[Said]) -> Any:
    """A named choice; `numbered` are the names that the numbers 1, 2, ... stand for."""
    expected = _one_of(names) + (f" or a number from 1 to {len(numbered)}" if numbered else "")

    def check(name: str, value: Any) -> str:
        if numbered and not isinstance(value, (bool, str)):
            try:
                whole = operator.index(value)
            except TypeError:
                raise wrong(TypeError, name, expected, value) from None
            if 1 <= whole <= len(numbered):
                return numbered[whole - 1]
            raise wrong(ValueError, name, expected, value)
        if not isinstance(value, str):
            raise wrong(TypeError, name, expected, value)
        if value not in names:
            raise wrong(ValueError, name, expected, value, hint(value, names))
        return value

    *rest, last = names
    return _declared(default, Knob(check, f"{', '.join(rest)} or {last}", doc, len(names) - 1, names, **said))


def flag(default: bool, doc: str, **said: Unpack[Said]) -> Any:
    """A knob that is True or False."""

    def check(name: str, value: Any) -> bool:
        if not isinstance(value, int):
            raise wrong(TypeError, name, "True or False", value)
        if value not in (0, 1):
            raise wrong(ValueError, name, "True or False", value)
        return bool(value)

    return _declared(default, Knob(check, "True or False", doc, 1, **said))


def address(default: str, doc: str, **said: Unpack[Said]) -> Any:
    """An IPv4 address, kept as dotted text."""
    expected = "an IPv4 address (dotted or as an integer)"

    def check(name: str, value: Any) -> str:
        if isinstance(value, bool):
            raise wrong(TypeError, name, expected, value)
        try:
            return str(IPv4Address(value if isinstance(value, str) else operator.index(value)))
        except TypeError:
            raise wrong(TypeError, name, expected, value) from None
        except ValueError:
            raise wrong(ValueError, name, expected, value) from None

    return _declared(default, Knob(check, "an IPv4 address", doc, **said))


def port_range(default: tuple[int, int], doc: str, **said: Unpack[Said]) -> Any:
    """The first and the last port of a range."""
    expected = "two ports, 1 <= first <= last <= 65535"

    def check(name: str, value: Any) -> tuple[int, int]:
        try:
            if isinstance(value, str) or any(isinstance(port, bool) for port in value):
                raise TypeError
            ports = tuple(operator.index(port) for port in value)
        except TypeError:
            raise wrong(TypeError, name, expected, value) from None
        if len(ports) != 2 or not 1 <= ports[0] <= ports[1] <= 65535:
            raise wrong(ValueError, name, expected, value)
        return ports[0], ports[1]

    return _declared(default, Knob(check, expected, doc, **said))


def port_set(default: str, doc: str, **said: Unpack[Said]) -> Any:
    """Ports and ranges of ports as Linux writes them, kept in order and without overlap."""
    expected = "ports and ranges of ports from 1 to 65535, as 8080,9148-9150"

    def check(name: str, value: Any) -> str:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # a single port
        if not isinstance(value, str):
            raise wrong(TypeError, name, expected, value)
        ranges = []
        for part in filter(None, value.replace(" ", "").split(",")):
            first, dash, last = part.partition("-")
            ends = first, last if dash else first
            if not all(end.isascii() and end.isdigit() and len(end) <= 5 for end in ends):
                raise wrong(ValueError, name, expected, value)
            ranges.append((int(ends[0]), int(ends[1])))
        if not all(1 <= low <= high <= 65535 for low, high in ranges):
            raise wrong(ValueError, name, expected, value)
        return ",".join(f"{low}-{high}" if low != high else f"{low}" for low, high in merged(ranges))

    return _declared(default, Knob(check, "ports and ranges, `8080,9148-9150`", doc, **said))


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges in order, those that touch as one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def subset(names: Names, doc: str, **said: Unpack[Said]) -> Any:
    """Some of `names`, kept in their order; none unless said."""
    expected = "a sequence of " + _one_of(names)

    def check(name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise wrong(TypeError, name, expected, value)
        wanted = tuple(value)
        for item in wanted:
            if not isinstance(item, str):
                raise wrong(TypeError, name, expected, item)
            if item not in names:
                raise wrong(ValueError, name, expected, item, hint(item, names))
        return tuple(item for item in names if item in wanted)

    return _declared((), Knob(check, f"some of {', '.join(names)}", doc, **said))
