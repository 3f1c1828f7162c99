"""The parts of a result, made of the replicates' outcomes: figures, sums, distributions.

Everything here is plain Python numbers. Sums (`outcomes`, `counters`) are over all replicates; what the
figures are, `estimate` says. Nothing depends on the wall clock but `wall`.
"""

from __future__ import annotations

import importlib
import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass, replace
from functools import cache
from typing import Any, Final

from loadgen.report import batches, estimate, histograms, memory, metrics, names, observed, words
from loadgen.report.estimate import Figure
from loadgen.report.metrics import Metric
from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Histogram, LoadOutcome, Outcome
from loadgen.theory.warmup import is_lasting
from tcpcore import __version__

#: How a connection may end, `refused` by cause; they sum to attempted.
ENDS: Final = ("served", "ghost", "refused", "gave_up", "reset", "pending", "not_started")
#: The same with a name for each cause, in the order in which they are told.
END_NAMES: Final = tuple(
    name
    for end in ENDS
    for name in ([f"refused.{cause}" for cause in names.CAUSES] if end == "refused" else [end])
)
#: What is told of connections besides.
ALSO: Final = ("connected", "first_try", "tries", "requests", "in_warmup")


def given(scenario: Scenario, resolved: Any, kernel: Mapping[str, Any]) -> dict[str, Figure]:
    """Figures that no replicate is needed for: sustainable rate (F), kernel memory (T)."""
    found: dict[str, Figure] = {}
    if (rate := sustainable_rate(scenario, resolved)) is not None:
        found["ports.sustainable_rate"] = Figure(rate, "1/s", "higher", source="F")
    for name, (low, high) in memory.figures(kernel).items():
        found[name] = Figure(high, "bytes", "lower", source="T", low=low, high=high)
    return found


def sustainable_rate(scenario: Scenario, resolved: Any) -> float | None:
    """Connections per second for which the ports last, as `loadgen.theory.ports` has it."""
    if resolved is None:
        return None
    try:
        compute: Callable[..., float | None] = importlib.import_module(
            "loadgen.theory.ports"
        ).sustainable_rate
    except (ImportError, AttributeError):
        return None
    rate = compute(scenario, resolved.client, resolved.server)
    return None if rate is None or not math.isfinite(rate) else float(rate)


def figures(
    scenario: Scenario, outcomes: Sequence[Outcome], given: Mapping[str, Figure]
) -> dict[str, Figure]:
    """Every figure of the table; counters that are 0 in all seeds are left out."""
    found: dict[str, Figure] = {}
    steady = is_lasting(scenario) and not scenario.event  # else its parts are not alike
    for name, (metric, keys) in metrics.concrete(scenario).items():
        if name in given:
            found[name] = given[name]
            continue
        figure = _figure(metric, [metric.of(outcome, keys) for outcome in outcomes])
        if steady:
            figure = _with_batches(metric, keys, figure, outcomes)
        if not (metric.counts and not any(figure.seeds)):
            found[name] = figure
    return found


def _figure(metric: Metric, samples: Sequence[Any]) -> Figure:
    unit, better = metric.unit, metric.better
    if metric.kind == metrics.RATIO:
        value, low, high, n, part, whole = estimate.ratio(samples, most=metric.most)
        seeds = tuple(one / of if of else None for one, of in samples)
        return Figure(
            value, unit, better, low=low, high=high, n=n, numerator=part, denominator=whole, seeds=seeds
        )
    if metric.kind == metrics.TIMES:
        return _of_times(metric, samples)
    seeds = tuple(samples)
    if metric.kind == metrics.MOST:
        known = [sample for sample in samples if sample is not None]
        return Figure(max(known, default=None), unit, better, n=len(known), seeds=seeds)
    if metric.kind == metrics.GIVEN:
        return Figure(None, unit, better, source="F", n=0)
    value, low, high, n = estimate.mean(samples)
    if unit == "ns" and value is not None:
        value = round(value)
    return Figure(value, unit, better, low=low, high=high, n=n, seeds=seeds)


def _with_batches(
    metric: Metric, keys: Mapping[str, str], figure: Figure, outcomes: Sequence[Outcome]
) -> Figure:
    """The figure with an interval from within the runs, where there are too few of them and it can be had."""
    if metric.points is None or figure.value is None or not 0 < len(outcomes) < estimate.FEWEST_SEEDS:
        return figure
    if any(outcome.partial for outcome in outcomes):
        return figure
    runs = [metric.points(outcome, keys) for outcome in outcomes]
    if metric.kind == metrics.RATIO:
        found = batches.of_ratio(runs, figure.value)
    else:
        found = batches.of_mean(runs)
    if found is None:
        return figure
    low, high = estimate.clipped(figure.value - found[0], figure.value + found[0], 0.0, metric.most)
    return replace(figure, low=low, high=high, batches=found[1])


def _of_times(metric: Metric, samples: Sequence[Histogram]) -> Figure:
    """A figure of all samples together; the interval is the spread of the seeds' own."""
    value = histograms.figure(histograms.merge(samples), metric.part)
    seeds = tuple(histograms.figure(one, metric.part) for one in samples)
    known = [one for one in seeds if one is not None]
    low = high = None
    if value is not None and metric.part not in ("count", "min", "max"):
        low, high = estimate.spread(value, known)
    return Figure(value, metric.unit, metric.better, low=low, high=high, n=len(known), seeds=seeds)


def outcomes(replicates: Sequence[Outcome]) -> dict[str, Any]:
    """How the connections of all loads ended, summed over replicates."""
    return _ended([load for outcome in replicates for load in outcome.loads])


def loads(replicates: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Name of a load -> how its connections ended."""
    found: dict[str, list[LoadOutcome]] = {}
    for outcome in replicates:
        for load in outcome.loads:
            found.setdefault(load.name, []).append(load)
    return {name: _ended(parts) for name, parts in found.items()}


def _ended(parts: Sequence[LoadOutcome]) -> dict[str, Any]:
    ended: dict[str, Any] = {
        name: sum(int(getattr(part, name)) for part in parts)
        for name in ("attempted", *ENDS, *ALSO)
        if name != "refused"
    }
    causes: dict[str, int] = {}
    for part in parts:
        for cause, n in part.refused.items():
            causes[cause] = causes.get(cause, 0) + int(n)
    return {**ended, "refused": {cause: n for cause, n in sorted(causes.items()) if n}}


def ends(outcomes: Mapping[str, Any]) -> dict[str, int]:
    """Each end on a line of its own, `refused.PortsExhausted` by cause."""
    found = {name: int(outcomes[name]) for name in ENDS if name != "refused"}
    return found | {f"refused.{cause}": int(n) for cause, n in outcomes["refused"].items()}


def expected_only(replicates: Sequence[Outcome]) -> list[str]:
    """A warning for each load of which a number that was expected stands for one that was counted."""
    guessed = {load.name for outcome in replicates for load in outcome.loads if not load.not_started_exact}
    said = "was not counted: it is the number expected of the time that was left"
    return [f"not_started of load {name} {said}" for name in sorted(guessed)]


def without_stall(scenario: Scenario) -> list[str]:
    """A warning where the application never stops accepting, though it is said to."""
    accept = scenario.server.accept
    first, last = accept.stall_every_ns, scenario.run.duration_ns
    if not accept.stall_ns or first < last:
        return []
    return [f"no stall: the first begins after {words.time(first)}, clients arrive for {words.time(last)}"]


def floods(replicates: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Name of a flood -> what it sent."""
    found: dict[str, dict[str, int]] = {}
    for outcome in replicates:
        for flood in outcome.floods:
            found.setdefault(flood.name, {"sent": 0})["sent"] += int(flood.sent)
    return found


def summed(replicates: Sequence[Outcome], field: str) -> dict[str, dict[str, int]]:
    """Counters or causes by side, summed over replicates."""
    found: dict[str, dict[str, int]] = {}
    for outcome in replicates:
        sides = dict(getattr(outcome, field))
        if field == "counters":
            sides["link"] = observed.link(outcome)
        for side, counts in sides.items():
            into = found.setdefault(side, {})
            for name, n in counts.items():
                into[name] = into.get(name, 0) + int(n)
    return found


def states(replicates: Sequence[Outcome]) -> dict[str, dict[str, int]]:
    """Side -> state -> connections in it at the end, summed over replicates."""
    return {
        side: {
            state: sum(int(outcome.states[side][index]) for outcome in replicates if side in outcome.states)
            for index, state in enumerate(names.STATES)
        }
        for side in names.SIDES
        if any(side in outcome.states for outcome in replicates)
    }


def distributions(replicates: Sequence[Outcome]) -> dict[str, Histogram]:
    """All samples of each distribution: connect, served_after, accept_wait, and those of each load."""
    found = {"accept_wait": histograms.merge(outcome.accept_wait for outcome in replicates)}
    every = [load for outcome in replicates for load in outcome.loads]
    for field in ("connect", "served_after"):
        found[field] = histograms.merge(getattr(load, field) for load in every)
        for name in dict.fromkeys(load.name for load in every):
            parts = (getattr(load, field) for load in every if load.name == name)
            found[f"load.{name}.{field}"] = histograms.merge(parts)
    return found


def replicates(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What there is to say of each run."""
    return [
        {
            "replicate": int(outcome.replicate),
            "seed": int(outcome.seed),
            "virtual_ns": int(outcome.virtual_ns),
            "partial": bool(outcome.partial),
            "left": {side: int(n) for side, n in outcome.left.items()},
        }
        for outcome in outcomes
    ]


def versions(behaviour: int) -> dict[str, Any]:
    """Of the two packages, and the number that changes when figures do."""
    return {"tcpcore": __version__, "loadgen": __version__, "behaviour": behaviour}  # one distribution


def wall(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What this process took: the only part in which two runs of a seed may differ."""
    seconds = sum(float(outcome.wall_s) for outcome in outcomes)
    segments = sum(int(outcome.segments) for outcome in outcomes)
    sides = {side for outcome in outcomes for side in outcome.engine_bytes}
    most = {side: max(int(one.engine_bytes.get(side, 0)) for one in outcomes) for side in sorted(sides)}
    return {
        "seconds": seconds,
        "seconds_by_replicate": [float(outcome.wall_s) for outcome in outcomes],
        "segments": segments,
        "segments_per_s": segments / seconds if seconds > 0 else None,
        "simulator_bytes": most,
        "host": host(),
    }


@cache
def host() -> str:
    """The machine by what its speed depends on: wall times of two are not comparable."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.machine()}, {_processor()}, {os.cpu_count()} processors, {platform.system()}, {python}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        lines = []
    return (lines[0] if lines else platform.processor()) or "unknown processor"


#: Of the engine and not of a host; `seed` may have been drawn.
_NOT_KNOBS: Final = ("capacity", "seed", "local_addr", "events")


def hosts(resolved: Any) -> dict[str, dict[str, Any]]:
    """Side -> knob -> its value in this run and who set it; empty without `resolved`."""
    origins = getattr(resolved, "origins", None) or {}
    found: dict[str, dict[str, Any]] = {}
    for side in names.SIDES:
        config = getattr(resolved, side, None)
        if is_dataclass(config):
            given = origins.get(side)
            known = given if isinstance(given, Mapping) else {}
            found[side] = {
                knob.name: {"value": _plain(getattr(config, knob.name)), "from": known.get(knob.name, "")}
                for knob in fields(config)
                if knob.name not in _NOT_KNOBS
            }
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def row(one: Any) -> dict[str, Any]:
    """A row of theory, or a limit, as JSON has it."""
    if isinstance(one, Mapping):
        return dict(one)
    if hasattr(one, "to_dict"):
        return dict(one.to_dict())
    if is_dataclass(one) and not isinstance(one, type):
        return asdict(one)
    raise TypeError(f"expected a mapping or a dataclass, got {type(one).__name__}")


def plain_results(
    figures: Mapping[str, Figure], outcomes: Mapping[str, Any], replicates: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The figures under the names and in the shapes that the commands had before scenarios."""

    def value(name: str) -> Any:
        return figures[name].value if name in figures else None

    def spread_ms(name: str) -> dict[str, Any]:
        parts = {part: value(f"{name}.{part}") for part in histograms.FIGURES}
        return {part: ns if part == "count" or ns is None else ns / 1e6 for part, ns in parts.items()}

    ended = ends(outcomes)
    return {
        **{name: outcomes[name] for name in ("attempted", "connected", "served", "ghost", "pending")},
        **{name: outcomes[name] for name in ("gave_up", "reset", "not_started")},
        "failed": outcomes["gave_up"]
        + outcomes["reset"]
        + sum(n for name, n in ended.items() if name.startswith("refused.")),
        "success_ratio": value("success_ratio"),
        "first_try_ratio": value("first_try_ratio"),
        "handshake_ms": spread_ms("connect"),
        "accepted_ms": spread_ms("served_after"),
        "peak_half_open": value("half_open.peak"),
        "half_open": {"mean": value("half_open.mean"), "peak": value("half_open.peak")},
        "accept_queue": {"mean": value("accept_queue.mean"), "peak": value("accept_queue.peak")},
        "time_wait_peak": {side: value(f"time_wait.{side}.peak") for side in names.SIDES},
        "blocks_left": {side: sum(one["left"].get(side, 0) for one in replicates) for side in names.SIDES},
        "virtual_ms": max((one["virtual_ns"] for one in replicates), default=0) / 1e6,
    }


def merged(plain: Mapping[str, Any], also: Mapping[str, Any]) -> dict[str, Any]:
    """Both; a record that is in both has the entries of both."""
    found = dict(plain)
    for name, value in also.items():
        known = found.get(name)
        found[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, Mapping) else value
    return found


def detection(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Of the first replicate whose half-open queue was watched: the queues, the alarms, the floods."""
    watched = [outcome.watched for outcome in outcomes if outcome.watched is not None]
    return watched[0].series() if watched else {}


def home(population: str) -> str:
    """The end whose series has it: `half_open` is the server's."""
    return observed.HOME.get(population, "server")


def full_from_ms(series: Mapping[str, Any], population: str) -> int | None:
    """When a population of the series was first within 1 % of its largest; None without a series."""
    key = f"{home(population)}.{population}"
    if key not in series or "time_ms" not in series or not len(series[key]) or not series[key].max():
        return None
    values = series[key]
    return int(series["time_ms"][int((values >= 0.99 * values.max()).argmax())])
