"""The result of a run: figures by dotted name, series as arrays, a JSON document that is read back.

`build` makes one of the replicates' outcomes, `load` reads one from a file. Outcomes sum to `attempted`,
and that is checked when one is read. Two runs of a seed differ in `wall` and nowhere else. Counts under
`outcomes` and `counters` are sums over the replicates; what a metric's value is over replicates, `estimate`
says.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from loadgen.behaviour import BEHAVIOUR
from loadgen.report import before, histograms, memory, metrics, observed, plain, sentence, thresholds
from loadgen.report import figures as making
from loadgen.report.estimate import Figure
from loadgen.report.series import Series
from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Histogram, Outcome

SCHEMA: Final = 1
COMPLETE, PARTIAL, FAILED = "complete", "partial", "failed"


class ResultError(ValueError):
    """A document that is no result, or one whose figures contradict each other."""


@dataclass(eq=False)
class Result:
    """What a scenario came to: `result["first_try_ratio"]`, `result.series["time_wait"]`."""

    kind: str  # run | handshake | close | churn | flood
    scenario: Scenario
    seed: int
    status: str  # complete | partial | failed
    figures: dict[str, Figure] = field(default_factory=dict)
    outcomes: dict[str, Any] = field(default_factory=dict)  # sum to outcomes["attempted"]
    loads: dict[str, dict[str, Any]] = field(default_factory=dict)
    floods: dict[str, dict[str, int]] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    causes: dict[str, dict[str, int]] = field(default_factory=dict)
    states: dict[str, dict[str, int]] = field(default_factory=dict)  # at the end
    histograms: dict[str, Histogram] = field(default_factory=dict)
    series: Series = field(default_factory=lambda: Series({}))  # of the first replicate
    thresholds: list[dict[str, Any]] = field(default_factory=list)
    theory: list[dict[str, Any]] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict)
    measured: list[dict[str, Any]] = field(default_factory=list)  # a host's own counts beside the simulated
    replicates: list[dict[str, Any]] = field(default_factory=list)
    warmup_ns: int = 0  # of the run's beginning, in no figure but ports.first_refusal and the series
    verdict: dict[str, Any] = field(default_factory=dict)
    limits: list[Any] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    not_modelled: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    versions: dict[str, Any] = field(default_factory=dict)
    question: str = ""
    point: dict[str, Any] = field(default_factory=dict)  # of a study: path -> what it was set to
    plan: dict[str, Any] = field(default_factory=dict)  # of an answer of the planner: its lines and figures
    command: str = ""  # what gives the same bytes again
    origins: dict[str, str] = field(default_factory=dict)  # dotted path of the scenario -> who set it
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)  # knobs of either end
    config: dict[str, Any] | None = None  # flat; None: the scenario's paths
    also: dict[str, Any] = field(default_factory=dict)  # `results` under the names of before
    detection: dict[str, Any] = field(default_factory=dict)  # queues over time, alarms and floods
    wall: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] | None = field(default=None, repr=False)  # the scenario as it was read

    @property
    def partial(self) -> bool:
        """Whether the run was cut short."""
        return self.status != COMPLETE

    @property
    def missed(self) -> list[dict[str, Any]]:
        """The thresholds that are not met: missed, or undecided."""
        return [row for row in self.thresholds if row["state"] != thresholds.MET]

    def figure(self, name: str) -> Figure:
        """A figure with its interval. Raises KeyError, with the nearest name, where there is none."""
        if name in self.figures:
            return self.figures[name]
        if known := metrics.concrete(self.scenario).get(name):
            metric, _ = known
            zero = 0 if metric.counts else None
            seeds = (zero,) * len(self.replicates)
            return Figure(zero, metric.unit, metric.better, n=len(seeds), seeds=seeds)
        near = metrics.nearest(name, self.scenario)
        raise KeyError(f"no metric is called {name!r}" + (f"; did you mean {near[0]}?" if near else ""))

    def __getitem__(self, name: str) -> float | int | None:
        return self.figure(name).value

    def keys(self) -> list[str]:
        """The names of the figures; counters that are 0 are not among them, but are answered, too."""
        return list(self.figures)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self.figure(name) is not None
        except KeyError:
            return False

    def __iter__(self) -> Any:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def __repr__(self) -> str:
        name = f" {self.scenario.name!r}" if self.scenario.name else ""
        seeds = len(self.replicates)
        runs = "one run" if seeds == 1 else f"{seeds} seeds"
        said = self.verdict.get("sentence", "")
        return f"<Result {self.kind}{name}, seed {self.seed}, {runs}, {self.status}: {said}>"

    def _repr_html_(self) -> str:
        return str(importlib.import_module("loadgen.report.html").fragment(self))

    def to_text(self, *, colour: bool = False, width: int | None = None) -> str:
        """The table that the command prints."""
        return str(importlib.import_module("loadgen.report.table").as_table(self, colour=colour, width=width))

    def to_dict(self) -> dict[str, Any]:
        """The JSON document; `schema.json` says what is in it."""
        scenario = self.settings or plain.to_json(self.scenario, self.origins)
        return {
            "schema": SCHEMA,
            "kind": self.kind,
            "name": self.scenario.name,
            "status": self.status,
            "partial": self.partial,
            "question": self.question,
            **{name: part for name, part in (("point", self.point), ("plan", self.plan)) if part},
            "command": self.kind if self.kind in before.KINDS else self.command,
            "reproduce": self.command,
            "seed": self.seed,
            "replicates": self.replicates,
            "warmup_ns": self.warmup_ns,
            "versions": self.versions,
            "scenario": scenario,
            "hosts": self.hosts,
            "config": plain.flat(scenario) if self.config is None else self.config,
            "limits": self.limits,
            "assumptions": self.assumptions,
            "not_modelled": self.not_modelled,
            "warnings": self.warnings,
            "verdict": self.verdict,
            "thresholds": self.thresholds,
            "metrics": {name: figure.to_dict() for name, figure in self.figures.items()},
            "results": making.merged(
                making.plain_results(self.figures, self.outcomes, self.replicates), self.also
            ),
            "detection": self.detection,
            "outcomes": self.outcomes,
            "loads": self.loads,
            "floods": self.floods,
            "counters": self.counters,
            "causes": self.causes,
            "states": self.states,
            "histograms": {name: histograms.to_json(one) for name, one in self.histograms.items()},
            "series": self.series.to_json(),
            "memory": {"kernel": self.memory},
            "measured": self.measured,
            "theory": self.theory,
            "wall": self.wall,
        }

    def to_text_json(self) -> str:
        """The document as text: keys sorted, the same run the same bytes but for `wall`."""
        return json.dumps(self.to_dict(), indent=1, sort_keys=True, allow_nan=False, default=_plain) + "\n"

    def to_json(self, path: str | Path) -> None:
        """Write the document to a file, whole or not at all. Raises loadgen.output.OutputError."""
        from loadgen.output import write_file

        write_file(Path(path), self.to_text_json())

    def to_frame(self, what: str = "metrics", library: str | None = None) -> Any:
        """A data frame by pandas, else polars: of the `metrics`, one a row, or the `series`, one a column."""
        return importlib.import_module("loadgen.report.tabular").to_frame(self, what, library)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Result:
        """The result of what `to_dict` gave. Raises ResultError where it is none or contradicts itself."""
        return read_document(document)


def build(
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    resolved: Any = None,
    theory: Sequence[Any] = (),
    *,
    kind: str = "run",
    question: str = "",
    command: str = "",
    limits: Sequence[Any] = (),
    assumptions: Sequence[str] = (),
    not_modelled: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Result:
    """The result of `outcomes`, one a replicate.

    `resolved` has the two ends' settings, `client` and `server` (`tcpcore.Config`), and may have `origins`
    (side -> knob -> who set it); without it there is no sustainable rate. `theory` are rows, as
    mappings or dataclasses. Raises ValueError where outcomes do not sum to attempted.
    """
    thresholds.check_thresholds(scenario)
    kernel = memory.kernel(scenario, outcomes)
    given = making.given(scenario, resolved, kernel)
    result = Result(
        kind=kind,
        scenario=scenario,
        seed=scenario.seed if not outcomes else outcomes[0].seed,
        status=_status(scenario, outcomes),
        figures=making.figures(scenario, outcomes, given),
        outcomes=making.outcomes(outcomes),
        loads=making.loads(outcomes),
        floods=making.floods(outcomes),
        counters=making.summed(outcomes, "counters"),
        causes=making.summed(outcomes, "causes"),
        states=making.states(outcomes),
        histograms=making.distributions(outcomes),
        series=Series(observed.groups(outcomes[0]) if outcomes else {}),
        theory=[making.row(one) for one in theory],
        memory=kernel,
        replicates=making.replicates(outcomes),
        warmup_ns=max((outcome.warmup_ns for outcome in outcomes), default=0),
        limits=[making.row(one) if not isinstance(one, str) else one for one in limits],
        assumptions=list(assumptions),
        not_modelled=list(not_modelled),
        warnings=list(warnings),
        versions=making.versions(BEHAVIOUR),
        question=question,
        command=command,
        hosts=making.hosts(resolved),
        detection=making.detection(outcomes),
        wall=making.wall(outcomes),
    )
    if kind in before.KINDS and resolved is not None:
        result.config = before.config(kind, scenario, resolved.server)
        result.also = before.results(kind, scenario, outcomes, resolved.server)
    check(result.outcomes)
    for load in result.loads.values():
        check(load)
    result.thresholds = [thresholds.judge(one, result.figure(one.metric)) for one in scenario.threshold]
    result.warnings += making.expected_only(outcomes) + making.without_stall(result.scenario)
    result.warnings += thresholds.cut_off(result.thresholds, result.outcomes, result.loads)
    result.verdict = sentence.verdict(result)
    return result


def check(outcomes: Mapping[str, Any]) -> None:
    """Raise ResultError unless the outcomes sum to attempted."""
    total = sum(making.ends(outcomes).values())
    if total != outcomes["attempted"]:
        raise ResultError(f"outcomes sum to {total:,}, attempted are {outcomes['attempted']:,}")


def load(path: str | Path) -> Result:
    """The result in a file. Raises ResultError, OSError."""
    text = Path(path).read_bytes()
    try:
        document = json.loads(text.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        why = "cut short, it ends in the middle" if _is_cut(error) else f"not JSON: {error}"
        raise ResultError(f"{path}: {why}") from None
    try:
        return read_document(document)
    except ResultError as error:
        raise ResultError(f"{path}: {error}") from None


def read_document(document: Mapping[str, Any]) -> Result:
    """The result of a document; see `Result.from_dict`."""
    if not isinstance(document, Mapping) or "outcomes" not in document:
        raise ResultError(f"expected a result of schema {SCHEMA}")
    if document.get("schema") != SCHEMA:
        found = document.get("schema")
        raise ResultError(f"a result of schema {found!r}; this version reads schema {SCHEMA}")
    try:
        _check_shape(document)
        check(document["outcomes"])
        for one in document["loads"].values():
            check(one)
        same = {name: document[name] for name in _SAME}
        same["command"] = document.get("reproduce", document["command"])
        same |= {"also": document["results"], "detection": document.get("detection", {})}
        scenario = plain.from_json(document["scenario"])
        read = {name: Figure.from_dict(one) for name, one in document["metrics"].items()}
        order = [name for name in metrics.concrete(scenario) if name in read]
        return Result(
            scenario=scenario,
            settings=document["scenario"],
            figures={name: read[name] for name in dict.fromkeys([*order, *read])},
            histograms={name: histograms.from_json(one) for name, one in document["histograms"].items()},
            series=Series.from_json(document["series"]),
            memory=document["memory"]["kernel"],
            warmup_ns=document.get("warmup_ns", 0),
            point=dict(document.get("point", {})),
            plan=dict(document.get("plan", {})),
            measured=document.get("measured", []),
            **same,
        )
    except ResultError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ResultError(f"not a result: {type(error).__name__}: {error}") from None


#: Fields that stand in the document as they are.
_SAME: Final = (
    "kind", "seed", "status", "outcomes", "loads", "floods", "counters", "causes", "states", "thresholds",
    "theory", "replicates", "verdict", "limits", "assumptions", "not_modelled", "warnings", "versions",
    "question", "command", "config", "wall", "hosts",
)  # fmt: skip


_OBJECTS: Final = (
    "scenario", "outcomes", "loads", "floods", "counters", "causes", "states", "verdict", "versions", "hosts",
    "config", "metrics", "histograms", "series", "memory", "wall",
)  # fmt: skip
_TEXTS: Final = ("kind", "status", "question", "command")
_LISTS: Final = ("assumptions", "not_modelled", "warnings")
_OPTIONAL: Final = {"measured": list, "point": Mapping, "plan": Mapping, "warmup_ns": int}
#: Lists of objects, and the keys that each object must have.
_ROWS: Final[Mapping[str, tuple[str, ...]]] = {
    "replicates": ("replicate", "seed", "virtual_ns", "partial", "left"),
    "thresholds": ("metric", "is", "text", "seen", "low", "high", "unit", "margin", "state"),
    "theory": ("row",),
    "limits": (),
}


def _check_shape(document: Mapping[str, Any]) -> None:
    """Raise ResultError where a part is of another type than `schema.json` has it."""
    for names, kind, said in ((_OBJECTS, Mapping, "object"), (_TEXTS, str, "text"), (_LISTS, list, "list")):
        for name in names:
            if not isinstance(document[name], kind):
                raise ResultError(f"not a result: {name} is no {said}")
    for name, whole in _OPTIONAL.items():
        if name in document and not isinstance(document[name], whole):
            raise ResultError(f"not a result: {name} is of another type")
    if not all(isinstance(one, Mapping) for one in document.get("measured", [])):
        raise ResultError("not a result: expected objects in measured")
    texts = [one for name in _LISTS for one in document[name]]
    texts += [one for one in document["limits"] if not isinstance(one, Mapping)]
    if not all(isinstance(one, str) for one in texts):
        raise ResultError("not a result: expected texts in limits, assumptions, not_modelled, warnings")
    if isinstance(document["seed"], bool) or not isinstance(document["seed"], int):
        raise ResultError("not a result: seed is no whole number")
    for name, keys in _ROWS.items():
        rows = document[name]
        if not isinstance(rows, list):
            raise ResultError(f"not a result: {name} is no list")
        for row in rows:
            if keys and not (isinstance(row, Mapping) and all(key in row for key in keys)):
                raise ResultError(f"not a result: {name}: expected objects with {', '.join(keys)}")
    for key, where in (("sentence", "verdict"), ("tcpcore", "versions"), ("seconds", "wall")):
        if key not in document[where]:
            raise ResultError(f"not a result: {where} has no {key}")


def _is_cut(error: Exception) -> bool:
    """Whether the text is the beginning of an object, or nothing."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    text = error.doc.strip()
    return text[:1] in ("", "{") and (not text.endswith("}") or error.pos >= len(error.doc.rstrip()) - 1)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _status(scenario: Scenario, outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return FAILED
    short = any(outcome.partial for outcome in outcomes) or len(outcomes) < scenario.run.seeds
    return PARTIAL if short else COMPLETE


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a result")
