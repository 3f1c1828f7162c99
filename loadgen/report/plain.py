"""A scenario as JSON and back: every setting as its value and where it came from.

A leaf is `{"value": ..., "from": ...}`; tables are objects, `load`, `flood`, `event` and `threshold` lists of
objects. Times stay ns, rates per second. A trace of more than a thousand entries is told by its length and
hash only and is not read back.
"""

from __future__ import annotations

import hashlib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Final

from loadgen.scenario.model import Scenario
from loadgen.scenario.values import Distribution

_LONGEST: Final = 1000  # entries of a list that is written out
INFINITE: Final = "inf"  # a rate: all at once


def to_json(scenario: Scenario, origins: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Leaves with `from`: what `origins` says for the dotted path, else default or given."""
    return _table(scenario, "", origins or {})


def from_json(document: Mapping[str, Any]) -> Scenario:
    """The scenario of such a document. Raises ValueError for what is none."""
    found = _read(Scenario, document)
    assert isinstance(found, Scenario)
    return found


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted path -> value; a load or flood goes by its name, other lists by number."""
    return dict(_flat(document, ""))


def _table(table: Any, prefix: str, origins: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    standard = type(table)()
    for entry in fields(table):
        value, path = getattr(table, entry.name), prefix + entry.name
        if _is_table(value):
            document[entry.name] = _table(value, path + ".", origins)
        elif isinstance(value, tuple) and value and _is_table(value[0]):
            document[entry.name] = [
                _table(item, f"{path}.{getattr(item, 'name', number)}.", origins)
                for number, item in enumerate(value)
            ]
        elif value == () and entry.name in ("load", "flood", "event", "threshold"):
            document[entry.name] = []
        else:
            default = "default" if value == getattr(standard, entry.name) else "given"
            document[entry.name] = {"value": _value(value), "from": origins.get(path, default)}
    return document


def _is_table(value: Any) -> bool:
    return is_dataclass(value) and not isinstance(value, Distribution)


def _value(value: Any) -> Any:
    if isinstance(value, Distribution):
        return {name: _value(inner) for name, inner in asdict(value).items()}
    if isinstance(value, Mapping):
        return {str(key): _value(inner) for key, inner in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        if len(value) > _LONGEST:
            text = ",".join(map(str, value))
            return {"entries": len(value), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return [_value(inner) for inner in value]
    if value == math.inf:
        return INFINITE  # JSON has no word for it
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def _read(cls: Any, document: Mapping[str, Any]) -> Any:
    hints = typing.get_type_hints(cls)
    given: dict[str, Any] = {}
    for name, inner in document.items():
        if name not in hints:
            continue  # of a later version: a schema only grows
        hint = hints[name]
        items = typing.get_args(hint)
        if is_dataclass(hint) and hint is not Distribution:
            given[name] = _read(hint, inner)
        elif isinstance(inner, list):
            given[name] = tuple(_read(items[0], item) for item in inner)
        else:
            value = inner["value"]
            if isinstance(value, Mapping) and set(value) == {"entries", "sha256"}:
                continue
            given[name] = _leaf(hint, value)
    return cls(**given)


def _leaf(hint: Any, value: Any) -> Any:
    if isinstance(hint, types.UnionType) and value is None:
        return None
    if hint is Distribution:
        samples = value["samples"]
        return Distribution(**value | {"samples": () if isinstance(samples, dict) else _tuples(samples)})
    if isinstance(value, Mapping):
        return {key: _tuples(inner) for key, inner in value.items()}
    return _tuples(value) if hint is not str else value


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(math.inf if inner == INFINITE else _tuples(inner) for inner in value)
    return value


def _flat(document: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, inner in document.items():
        if isinstance(inner, list):
            for number, item in enumerate(inner):
                key = item.get("name", {}).get("value") or number
                yield from _flat(item, f"{prefix}{name}.{key}.")
        elif set(inner) == {"value", "from"} and isinstance(inner["value"], dict):
            yield from ((f"{prefix}{name}.{key}", value) for key, value in inner["value"].items())
        elif set(inner) == {"value", "from"}:
            yield prefix + name, inner["value"]
        else:
            yield from _flat(inner, f"{prefix}{name}.")
