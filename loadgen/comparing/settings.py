"""What differs between two results before a figure is looked at: settings, knobs of either end, versions.

It also says whether two results can be compared at all, and whether they are two runs of one thing: the same
settings and seeds, whose figures are then compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from loadgen.report.reading import settings
from loadgen.report.result import Result

#: Settings that change no figure of a result.
_NO_FIGURE: Final = ("run.batch", "threshold.", "name")
_DURATION: Final = "run.duration_ns"


class NotComparable(ValueError):
    """Two results of which no figure can be set beside the other; says why."""


@dataclass(frozen=True)
class Change:
    """A setting that is not the same; None where one side has no such setting."""

    name: str
    old: Any
    new: Any


def changes(old: Result, new: Result) -> list[Change]:
    """Settings, then knobs that follow from other settings (a profile, a file), then versions and seeds."""
    found = [*_between("", _without_targets(old), _without_targets(new))]
    named = {change.name for change in found}
    for side in ("client", "server"):
        knobs = [_values(result.hosts.get(side, {})) for result in (old, new)]
        for change in _between(f"{side}.knobs.", *knobs):
            if change.name not in named:
                found.append(change)
    found += _between("", old.versions, new.versions)
    found += _between("", {"kind": old.kind}, {"kind": new.kind})
    seeds = [len(result.replicates) for result in (old, new)]
    if seeds[0] != seeds[1] and "run.seeds" not in named:
        found.append(Change("runs", *seeds))
    return found


def _without_targets(result: Result) -> dict[str, Any]:
    """The settings, with the targets as they were written."""
    found = {name: value for name, value in settings(result).items() if not name.startswith("threshold.")}
    if result.thresholds:
        found["threshold"] = ", ".join(str(one["text"]) for one in result.thresholds)
    return found


def require_comparable(old: Result, new: Result) -> None:
    """Raise NotComparable where virtual time or the loads are not the same."""
    durations = [settings(result).get(_DURATION) for result in (old, new)]
    if durations[0] != durations[1]:
        raise NotComparable(f"run.duration differs: {_seconds(durations[0])} and {_seconds(durations[1])}")
    if not set(old.figures) & set(new.figures):
        raise NotComparable("the two have no metric in common")


def is_same_run(old: Result, new: Result) -> bool:
    """Whether both are the same settings and seeds, so that every figure has to be the same."""
    alike = [
        [{name: value for name, value in settings(one).items() if not name.startswith(_NO_FIGURE)},
         one.hosts and {side: _values(knobs) for side, knobs in one.hosts.items()},
         one.seed, [run["replicate"] for run in one.replicates]]
        for one in (old, new)
    ]  # fmt: skip
    return alike[0] == alike[1]


#: Parts of a result that no metric stands for.
PARTS: Final = ("series", "histograms", "states", "outcomes", "loads", "floods", "counters", "causes")


def exact(old: Result, new: Result) -> tuple[list[str], list[str]]:
    """Metrics that are not the same in every run, and parts of the result that are not."""
    before, after = old.to_dict(), new.to_dict()
    names = dict.fromkeys([*before["metrics"], *after["metrics"]])
    metrics = [name for name in names if _figures(old, name) != _figures(new, name)]
    return metrics, [part for part in PARTS if before[part] != after[part]]


def _figures(result: Result, name: str) -> Any:
    try:
        figure = result.figure(name)
    except KeyError:
        return None
    return figure.value, figure.seeds


def _values(knobs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry["value"] for name, entry in knobs.items()}


def _between(prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            yield Change(prefix + name, old.get(name), new.get(name))


def _seconds(ns: Any) -> str:
    return f"{ns / 1e9:g} s" if isinstance(ns, (int, float)) else str(ns)
