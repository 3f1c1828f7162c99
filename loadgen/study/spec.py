"""What a study is: a scenario, its space, seeds and target; its points, their keys, and the study's hash.

A point's key is a hash of all that decides what its replicates come to (scenario, hosts, seed, behaviour of
the simulator), not of how many there are: the same point has the same file in every study. All points have
the scenario's seed, so that they meet the same arrivals; `independent` gives each a seed of its own.
`document` is what study.toml holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from loadgen.behaviour import BEHAVIOUR
from loadgen.report import plain
from loadgen.report.figures import hosts as hosts_of
from loadgen.report.reading import SCHEMA, digest
from loadgen.scenario.hosts import Resolved, resolve
from loadgen.scenario.model import Scenario
from loadgen.scenario.paths import replace
from loadgen.study.costs import EFFORTS, task_bytes, task_seconds
from loadgen.study.space import Axis, Space, Span

STORE: Final = SCHEMA
_NO_PART: Final = ("threshold", "name")  # of a point's key: they change no figure


@dataclass(frozen=True)
class Search:
    """Where something is looked for, how narrow a bracket is wanted, and how many seeds that may take."""

    span: Span
    tolerance: float
    max_seeds: int
    longest_ns: int  # a run may be lengthened to this
    effort: str = "normal"  # of costs.EFFORTS


@dataclass(frozen=True)
class Spec:
    """A study. `command` is the line that plays a point of it, but for the point's own values."""

    scenario: Scenario
    space: Space = Space()
    seeds: int = 8
    search: Search | None = None
    independent: bool = False
    check: bool = False
    keep_series: bool = False
    command: str = ""

    def document(self) -> dict[str, Any]:
        """All that decides what the study comes to: tables of plain values."""
        study: dict[str, Any] = {
            "seeds": self.seeds,
            "independent": self.independent,
            "check": self.check,
            "keep_series": self.keep_series,
            "only": self.space.only,
        }
        document: dict[str, Any] = {"schema": STORE, "behaviour": BEHAVIOUR, "study": study}
        for name, axes in (("grid", self.space.grid), ("zip", self.space.zipped)):
            document[name] = {axis.path: list(axis.values) for axis in axes}
        if self.search is not None:
            span = self.search.span
            document["search"] = {
                "path": span.path,
                "from": span.low.text,
                "to": span.high.text,
                "log": span.log,
                "tolerance": self.search.tolerance,
                "max_seeds": self.search.max_seeds,
                "longest_ns": self.search.longest_ns,
                "effort": self.search.effort,
            }
        document["scenario"] = plain.flat(plain.to_json(self.scenario))
        document["hosts"] = _knobs(resolve(self.scenario))
        found = _without_none(document)
        assert isinstance(found, dict)
        return found

    def point(self, values: Mapping[str, str]) -> Point:
        """The point with these values. Raises ScenarioError."""
        changes: dict[str, object] = {**values, "run.seeds": 1}
        scenario = replace(self.scenario, changes)
        if self.independent:
            scenario = dataclasses.replace(scenario, seed=_own_seed(scenario.seed, values))
        return make_point(dict(values), scenario)

    def points(self) -> Iterator[Point]:
        """Those of the grid. Raises Mistake, ScenarioError."""
        return (self.point(values) for values in self.space.points())


@dataclass(frozen=True, eq=False)
class Point:
    """A scenario of a study, to be played with any number of seeds."""

    values: dict[str, Any]
    scenario: Scenario  # with one seed
    hosts: Resolved = field(repr=False)
    key: str
    seconds: float  # of a replicate, about
    nbytes: int

    def with_seeds(self, seeds: int) -> Scenario:
        return dataclasses.replace(
            self.scenario, run=dataclasses.replace(self.scenario.run, seeds=seeds)
        )


def make_point(values: dict[str, Any], scenario: Scenario) -> Point:
    """A point and what is to be known of it before it is played. Raises ScenarioError."""
    scenario = dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, seeds=1))
    hosts = resolve(scenario)
    return Point(
        values,
        scenario,
        hosts,
        _key(scenario, hosts),
        task_seconds(scenario),
        task_bytes(scenario, hosts.client, hosts.server),
    )


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Key -> what it is in either, where that is not the same."""
    before, after = dict(_flat(old)), dict(_flat(new))
    return {
        key: (before.get(key), after.get(key))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    }


#: What `extended` may change.
_GROWS: Final = (
    "study.seeds", "grid.", "zip.", "search.max_seeds", "search.tolerance", "search.longest_ns",
    "search.effort",
)  # fmt: skip


def extended(spec: Spec, old: Mapping[str, Any]) -> Spec:
    """The study with the values and seeds of an older one added; that itself where it is quite another."""
    axes = {"grid": spec.space.grid, "zip": spec.space.zipped}
    if any(set(old[name]) != {axis.path for axis in own} for name, own in axes.items()):
        return spec
    grid = tuple(
        Axis(axis.path, tuple(dict.fromkeys([*old["grid"][axis.path], *axis.values])))
        for axis in spec.space.grid
    )
    zipped = spec.space.zipped
    if zipped:
        before = zip(*(old["zip"][axis.path] for axis in zipped), strict=True)
        rows = dict.fromkeys([*before, *zip(*(axis.values for axis in zipped), strict=True)])
        columns = zip(*rows, strict=True)
        zipped = tuple(Axis(axis.path, values) for axis, values in zip(zipped, columns, strict=True))
    search, was = spec.search, old.get("search")
    if search is not None and was is not None:
        search = dataclasses.replace(
            search,
            tolerance=min(search.tolerance, was["tolerance"]),
            max_seeds=max(search.max_seeds, was["max_seeds"]),
            longest_ns=max(search.longest_ns, was["longest_ns"]),
            effort=max(search.effort, was.get("effort", search.effort), key=EFFORTS.__getitem__),
        )
    seeds = max(spec.seeds, old["study"]["seeds"])
    space = dataclasses.replace(spec.space, grid=grid, zipped=zipped)
    return dataclasses.replace(spec, space=space, seeds=seeds, search=search)


def grows_only(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a study differs from an older one in what `--extend` may add, and in nothing else."""
    same_axes = all(set(old[name]) == set(new[name]) for name in ("grid", "zip"))
    return same_axes and all(key.startswith(_GROWS) for key in differences(old, new))


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _key(scenario: Scenario, hosts: Resolved) -> str:
    settings = plain.flat(plain.to_json(scenario))
    decides = {k: v for k, v in settings.items() if k.partition(".")[0] not in _NO_PART}
    return digest({"behaviour": BEHAVIOUR, "scenario": decides, "hosts": _knobs(hosts)})


def _knobs(hosts: Resolved) -> dict[str, Any]:
    """`server.somaxconn` -> value, of both ends."""
    return {
        f"{side}.{name}": knob["value"]
        for side, knobs in hosts_of(hosts).items()
        for name, knob in knobs.items()
    }


def _own_seed(seed: int, values: Mapping[str, str]) -> int:
    """A seed of the point's own, small enough that every JSON reader keeps it."""
    text = json.dumps([seed, sorted(values.items())])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 11


def _without_none(value: Any) -> Any:
    """TOML has no null."""
    if isinstance(value, Mapping):
        return {name: _without_none(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_none(inner) for inner in value]
    return "none" if value is None else value
