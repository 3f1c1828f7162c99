"""Who put each value there, from the paths of the file to those of the result.

A path of the file (`load.hold`, `server.closes`, `server.knobs.mss`) may stand for several fields, and a
field for several paths: `server.knobs` is one field, whose origins are listed. Both are derived from the
tables by which a file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from loadgen.scenario.model import Scenario
from loadgen.scenario.schema import Key, Node, Part, Rows, Table
from loadgen.scenario.tables import SCENARIO


def of_fields(scenario: Scenario, origins: Mapping[str, str]) -> dict[str, str]:
    """Field (`load.clients.hold`, `run.duration_ns`) -> origin."""
    found: dict[str, list[str]] = {}
    for path, origin in origins.items():
        for field in _fields(scenario, SCENARIO, path.split("."), ""):
            known = found.setdefault(field, [])
            if origin not in known:
                known.append(origin)
    return {field: ", ".join(sorted(known)) for field, known in found.items()}


def _fields(owner: object, keys: Mapping[str, Node], words: Sequence[str], before: str) -> Iterator[str]:
    """The fields for which a path stands: those of a whole table where it ends at one."""
    if not words:
        for name in keys:
            yield from _fields(owner, keys, [name], before)
        return
    node, rest = keys.get(words[0]), words[1:]
    if isinstance(node, Key):
        yield from (before + field for field in node.fields)
    elif isinstance(node, Part):
        yield from _fields(owner, node.keys, rest, before)
    elif isinstance(node, Table):
        yield from _fields(getattr(owner, node.field), node.keys, rest, f"{before}{node.field}.")
    elif isinstance(node, Rows):
        rows = getattr(owner, node.field)
        names = [getattr(row, "name", str(number)) for number, row in enumerate(rows)]
        for number, name in enumerate(names):
            if not rest or rest[0] in (name, str(number)):
                yield from _fields(rows[number], node.keys, rest[1:], f"{before}{node.field}.{name}.")
            elif rest[0] in node.keys:
                yield from _fields(rows[number], node.keys, rest, f"{before}{node.field}.{name}.")
    elif node is not None:
        yield before + node.field
