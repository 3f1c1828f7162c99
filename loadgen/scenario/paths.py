"""Changing a scenario by dotted paths, as `-o PATH=VALUE` and `Scenario.replace` do.

A path is that of the file (`server.listen.backlog`, `load.browsers.hold`, `load.hold` for every load) or an
end of one that is the end of no other (`backlog`). `client.KNOB`, `server.KNOB` and `both.KNOB` are knobs, a
bare knob is the server's. `load.rate` scales all loads so that their total peak is that rate.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from loadgen.scenario import knobs
from loadgen.scenario.check import check, said
from loadgen.scenario.errors import Mistake, ScenarioError, hint, shown
from loadgen.scenario.model import KINDS, Load, Scenario
from loadgen.scenario.numbers import read_rate
from loadgen.scenario.schema import Knobs, Node, Part, Rows, Shares, Table, inside, unknown
from loadgen.scenario.tables import SCENARIO

_SIDES: Final = (knobs.SERVER, knobs.CLIENT)


def replace(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """A copy with other values, in the order given; ScenarioError for a path or value that cannot be."""
    scenario = changed(scenario, changes)
    check(scenario)
    return scenario


def changed(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """As `replace`, but what comes of it need not be a scenario that can be played."""
    for path, value in changes.items():
        if hasattr(value, "item") and getattr(value, "shape", None) == ():
            value = value.item()  # numpy's scalars
        try:
            scenario = _changed(scenario, resolve_path(scenario, path), value)
        except Mistake as error:
            message = said(error)
            raise ScenarioError(message if path in message else f"{path}: {message}") from None
    return scenario


def resolve_path(scenario: Scenario, path: str) -> str:
    """The full path that a path, an end of one or the name of a knob stands for. Raises Mistake."""
    path = path.strip()
    top, dot, rest = path.partition(".")
    if top in _SIDES and dot and "." not in rest:
        return _of_side(scenario, top, rest)
    if top in SCENARIO or (top == knobs.BOTH and dot):
        return path
    ends = [full for full in every_path(scenario) if full.endswith(f".{path}")]
    if len(ends) == 1:
        return ends[0]
    if knobs.is_knob(path):
        right = knobs.side_of(path)
        if right == knobs.CLIENT:
            raise Mistake(f"the knob {path} cannot act on the server: write client.{path}")
        return f"server.knobs.{path}"
    if ends:
        raise Mistake(f"{path}: expected one place, could be {', '.join(ends)}")
    places = {full.rpartition(".")[2]: None for full in every_path(scenario)}
    near = hint(path, [*every_path(scenario), *places, *knobs.DECLARED])
    raise Mistake(f"{path}: no such place and no such knob{near}")


def _of_side(scenario: Scenario, side: str, name: str) -> str:
    """An entry of the table, one further in (`server.backlog`), or a knob."""
    node = SCENARIO[side]
    assert isinstance(node, Table)
    if name in node.keys:
        return f"{side}.{name}"
    if knobs.is_knob(name):
        return f"{side}.knobs.{name}"
    inside_it = [full for full in every_path(scenario) if full.startswith(f"{side}.")]
    ends = [full for full in inside_it if full.endswith(f".{name}")]
    if len(ends) == 1:
        return ends[0]
    near = hint(name, [*(full.rpartition(".")[2] for full in inside_it), *knobs.DECLARED])
    raise Mistake(f"{side}.{name}: no such place and no such knob{near}")


def every_path(scenario: Scenario) -> list[str]:
    """The paths of all entries but knobs; a load's and a flood's without their names."""
    return list(_paths(SCENARIO, ""))


def _paths(keys: Mapping[str, Node], before: str) -> Iterator[str]:
    for name, node in keys.items():
        whole = before + name
        yield whole
        if isinstance(node, (Table, Part, Rows)):
            yield from _paths(node.keys, whole + ".")
        elif isinstance(node, Shares):
            yield from (f"{whole}.{kind}" for kind in ("all", *KINDS))


# -- changing ------------------------------------------------------------------------------------


def _changed(scenario: Scenario, path: str, value: object) -> Scenario:
    words = path.split(".")
    if words[0] == knobs.BOTH:
        for side in _SIDES:
            right = knobs.side_of(words[1])
            if knobs.is_knob(words[1]) and right != knobs.BOTH:
                raise Mistake(f"the knob {words[1]} acts on one end only: write {right}.{words[1]}")
            scenario = _set(scenario, SCENARIO, [side, "knobs", words[1]], value)
        return scenario
    if words == ["load", "rate"]:
        with inside("load"), inside("rate"):
            return dataclasses.replace(scenario, load=scaled(scenario.load, read_rate(value)))
    if words[0] == "load" and len(words) == 3 and words[2] == "rate":
        with inside("load"):
            chosen = _rows(scenario.load, words[1], "load")
            with inside("rate"):
                rate = read_rate(value)
            rows = [scaled([load], rate)[0] if i in chosen else load for i, load in enumerate(scenario.load)]
        return dataclasses.replace(scenario, load=tuple(rows))
    changed: Scenario = _set(scenario, SCENARIO, words, value)
    return changed


def _set(owner: Any, keys: Mapping[str, Node], words: Sequence[str], value: object) -> Any:
    name, rest = words[0], words[1:]
    with inside(name):
        node = keys.get(name)
        if node is None:
            raise Mistake(unknown(name, keys))
        if not rest:
            return dataclasses.replace(owner, **node.updates(owner, value, ""))
        if isinstance(node, Table):
            inner = _set(getattr(owner, node.field), node.keys, rest, value)
            return dataclasses.replace(owner, **{node.field: inner})
        if isinstance(node, Part):
            return _set(owner, node.keys, rest, value)
        if isinstance(node, Knobs):
            return dataclasses.replace(owner, **node.updates(owner, {".".join(rest): value}, ""))
        if isinstance(node, Shares):
            kind = node.kind(rest[0])
            merged = {**getattr(owner, node.field), kind: value}
            return dataclasses.replace(owner, **node.updates(owner, merged, ""))
        if isinstance(node, Rows):
            return _set_rows(owner, node, rest, value)
        with inside(rest[0]):
            raise Mistake(f"unknown key {shown(rest[0])}; {name} is one value")


def _set_rows(owner: Any, node: Rows, words: Sequence[str], value: object) -> Any:
    """In one row by its name or number, or in all of them."""
    rows = list(getattr(owner, node.field))
    chosen = range(len(rows))
    if words[0] not in node.keys:
        chosen, words = _rows(rows, words[0], node.field, node.keys), words[1:]
    if not chosen:
        raise Mistake(f"there is no {node.field} in the scenario")
    for number in chosen:
        if words:
            rows[number] = _set(rows[number], node.keys, words, value)
        elif isinstance(value, node.cls):
            rows[number] = value
        else:
            raise Mistake(f"expected a {node.cls.__name__}, got {shown(value)}")
    return dataclasses.replace(owner, **{node.field: tuple(rows)})


def _rows(rows: Sequence[Any], word: str, field: str, keys: Mapping[str, Node] | None = None) -> range:
    names = [getattr(row, "name", "") for row in rows]
    if word in names:
        return range(names.index(word), names.index(word) + 1)
    if word.isascii() and word.isdigit() and int(word[:9]) < len(rows):
        return range(int(word), int(word) + 1)
    known = [name for name in names if name] or [str(i) for i in range(len(rows))]
    with inside(word):
        near = hint(word, [*known, *(keys or ())])
        there = ", ".join(known) or "none"
        raise Mistake(f"unknown key {shown(word)}{near or f' (there are: {there})'}")


# -- the rate of all loads -----------------------------------------------------------------------


def scaled(loads: Sequence[Load], rate: float) -> tuple[Load, ...]:
    """The loads with their shapes scaled so that the peak of their sum is `rate`. Raises Mistake."""
    open_loops = [load for load in loads if not load.concurrency]
    if not open_loops:
        raise Mistake("there is no load with a rate in the scenario")
    peak = total_peak(open_loops)
    return tuple(load if load.concurrency else _scaled(load, rate, peak, len(open_loops)) for load in loads)


def _scaled(load: Load, rate: float, peak: float, loads: int) -> Load:
    if load.times_ns:
        raise Mistake(f"the arrivals of {load.name} are a trace, which has no rate")
    if peak in (0, math.inf) or rate == math.inf:
        return dataclasses.replace(load, shape=((0, rate / loads),))
    return dataclasses.replace(load, shape=tuple((time, each * rate / peak) for time, each in load.shape))


def total_peak(loads: Sequence[Load]) -> float:
    """The highest sum of the rates, per second."""
    times = {time + load.start_ns for load in loads for time, _ in load.shape}
    return max(
        (sum(_rate(load, time, after) for load in loads) for time in times for after in (False, True)),
        default=0.0,
    )


def _rate(load: Load, time: int, after: bool) -> float:
    """Just before or just after a moment: a shape may step."""
    since = time - load.start_ns
    if since < 0 or (since == 0 and not after):
        return 0.0
    points = load.shape
    later = next(
        (i for i, (at, _) in enumerate(points) if at > since or (at == since and not after)), len(points)
    )
    if later == len(points):
        return points[-1][1]
    if later == 0:
        return 0.0
    (begin, low), (end, high) = points[later - 1], points[later]
    return low + (high - low) * ((since - begin) / (end - begin)) if end > begin else low
