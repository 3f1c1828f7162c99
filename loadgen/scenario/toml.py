"""A scenario as TOML, both ways, and with the origin of each line.

`from_toml(to_toml(s)) == s` for every scenario that can be played. Whatever is wrong is a ScenarioError that
names file, line, key and the nearest right word.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from loadgen.scenario.check import mistakes, said
from loadgen.scenario.errors import Mistake, ScenarioError, shown
from loadgen.scenario.lines import line_of, lines_of
from loadgen.scenario.model import Scenario
from loadgen.scenario.schema import Plain, filled, plain
from loadgen.scenario.tables import SCENARIO
from loadgen.scenario.traces import read_text

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_WIDEST: Final = 100  # characters of a line; a longer inline table becomes a table
_COLUMN: Final = 44  # where comments begin

Source = str | os.PathLike[str]


def from_toml(source: Source) -> Scenario:
    """A scenario from a file, or from a text (a string with a line break or "=" in it).

    Files that it names are looked for beside it first, then in the working folder.
    """
    text, label, folder = _opened(source)
    document = _parsed(text, label)
    try:
        scenario = filled(Scenario(), SCENARIO, document, folder)
        mistakes(scenario)
    except Mistake as error:
        line = line_of(text, error.place)
        where = label if line is None else f"{label}:{line}"
        raise ScenarioError(f"{where}: {said(error)}") from None
    assert isinstance(scenario, Scenario)
    return scenario


def origins_of(source: Source) -> dict[str, str]:
    """Dotted path -> `file web.toml:12`, for `print_config`."""
    text, label, _ = _opened(source)
    return {".".join(map(str, place)): f"file {label}:{line}" for place, line in lines_of(text).items()}


def to_toml(scenario: Scenario) -> str:
    """What differs from the defaults, as a file."""
    document = plain(scenario, SCENARIO, Scenario())
    return "\n".join(_blocks(document))


def print_config(
    scenario: Scenario, origins: Mapping[str, str] | None = None, otherwise: str = "preset"
) -> str:
    """The whole scenario as a file, each line with a comment that says who set it.

    `origins` is by dotted path (`load.browsers.hold`, `load.hold` for all loads, `server.knobs.mss`); what it
    leaves out is `default`, or `otherwise` where the value is not the default. Knobs that profile and sysctl
    set are comments.
    """
    from loadgen.scenario.annotated import lines

    return "\n".join(lines(scenario, origins or {}, otherwise)) + "\n"


# -- reading -------------------------------------------------------------------------------------


def _opened(source: Source) -> tuple[str, str, str]:
    """Text, what to call it, and its folder."""
    if isinstance(source, str) and (not source.strip() or "\n" in source or "=" in source):
        return source, "scenario", ""
    if not isinstance(source, (str, os.PathLike)):
        raise ScenarioError(f"expected a path or TOML text, got {shown(source)}")
    path = Path(source)
    try:
        return read_text(str(path)), str(path), "" if str(path.parent) == "." else str(path.parent)
    except Mistake as error:
        raise ScenarioError(str(error)) from None


def _parsed(text: str, label: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ScenarioError(f"{label}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers with more digits than Python converts
        message = str(error)
        found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
        where = f"{label}:{found[1]}:{found[2]}" if found else label
        raise ScenarioError(f"{where}: no TOML: {message[: found.start()] if found else message}") from None


# -- writing -------------------------------------------------------------------------------------


def key_text(name: str) -> str:
    """A key, in quotes where it needs them."""
    return name if _BARE.fullmatch(name) else value_text(name)


def value_text(value: Plain) -> str:
    """A value on one line."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{key_text(name)} = {value_text(one)}" for name, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return repr(value)


def _blocks(document: Mapping[str, Plain]) -> Iterator[str]:
    """A block of lines per table."""
    rows = {name: value for name, value in document.items() if _is_rows(value)}
    tables = {name: value for name, value in document.items() if isinstance(value, dict)}
    yield from _table("", {name: v for name, v in document.items() if name not in {*rows, *tables}})
    for name, value in document.items():
        if name in tables:
            yield from _table(name, value)
        for row in value if name in rows else ():
            yield from _table(name, row, "[[", "]]")


def _is_rows(value: Plain) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _table(name: str, table: Mapping[str, Plain], left: str = "[", right: str = "]") -> Iterator[str]:
    lines: list[str] = []
    below: list[str] = []
    for key, value in table.items():
        line = f"{key_text(key)} = {value_text(value)}"
        if isinstance(value, dict) and len(line) > _WIDEST:
            below += _table(f"{name}.{key_text(key)}", value)
        else:
            lines.append(line)
    header = [f"{left}{name}{right}"] if name else []
    if header or lines:
        yield "\n".join([*header, *lines]) + "\n"
    yield from below
