"""The metrics: one table of every figure a result has, by its dotted name.

The table is what `loadgen metrics` prints, what docs/metrics.md is made of, what thresholds are checked
against before a run, and what computes the figures after it. SIDE in a name stands for client or server, NAME
for the name of a load or flood. Times are in ns. How replicates are put together is `estimate`'s affair.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any, Final

from loadgen.report import histograms, names, observed
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.model import KINDS, Scenario
from loadgen.sim.outcome import Histogram, LoadOutcome, Outcome

Keys = Mapping[str, str]

#: How a figure is made of the replicates. MEAN: their mean. RATIO: (part, whole), summed. TIMES: of all
#: samples together. MOST: the largest. GIVEN: known without a replicate (see `result.build`).
MEAN, RATIO, TIMES, MOST, GIVEN = "mean", "ratio", "times", "most", "given"
SEEDS: Final[Mapping[str, str]] = {
    MEAN: "mean over seeds",
    RATIO: "sum over seeds / sum over seeds",
    TIMES: "all seeds together",
    MOST: "largest of all seeds",
    GIVEN: "same in all seeds",
}


class UnknownMetric(ScenarioError):
    """A name that is no metric of this scenario; the message has the nearest one."""


@dataclass(frozen=True)
class Metric:
    """A row of the table."""

    name: str
    unit: str
    better: str  # lower | higher | none
    meaning: str
    kind: str
    of: Callable[[Outcome, Keys], Any]
    part: str = ""  # of TIMES: which figure of the distribution
    counts: bool = False  # one of many counters: 0 in all seeds is not listed in a result
    most: float | None = None  # of RATIO: what it cannot exceed
    points: Callable[[Outcome, Keys], Any] | None = None  # of MEAN or RATIO: what batches are made of

    @property
    def pattern(self) -> re.Pattern[str]:
        """Matches its concrete names; groups SIDE and NAME."""
        return _pattern(self.name)


@cache
def _pattern(template: str) -> re.Pattern[str]:
    text = re.sub(r"\bSIDE\b", f"(?P<SIDE>{'|'.join(names.SIDES)})", re.escape(template))
    return re.compile(re.sub(r"\bNAME\b", "(?P<NAME>.+)", text))


def _none(outcome: Outcome, keys: Keys) -> None:
    return None


def _loads(outcome: Outcome, keys: Keys) -> list[LoadOutcome]:
    """The load that is meant, or all."""
    wanted = keys.get("NAME")
    return [load for load in outcome.loads if wanted is None or load.name == wanted]


def outcome_count(load: LoadOutcome, field: str) -> int:
    """How many connections of a load ended so; `refused` is the sum over causes."""
    return sum(load.refused.values()) if field == "refused" else int(getattr(load, field))


def _counted(field: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: sum(outcome_count(load, field) for load in _loads(outcome, keys))


def _share(field: str) -> Callable[[Outcome, Keys], tuple[int, int]]:
    return lambda outcome, keys: (_counted(field)(outcome, keys), _counted("attempted")(outcome, keys))


def _not_first_try(outcome: Outcome, keys: Keys) -> tuple[int, int]:
    part, whole = _share("first_try")(outcome, keys)
    return whole - part, whole


def _per_second(field: str) -> Callable[[Outcome, Keys], float | None]:
    def rate(outcome: Outcome, keys: Keys) -> float | None:
        seconds = (outcome.virtual_ns - outcome.warmup_ns) / 1e9
        return _counted(field)(outcome, keys) / seconds if seconds > 0 else None

    return rate


def _so_far(field: str) -> Callable[[Outcome, Keys], Any] | None:
    """(part, attempted) up to each point after the warm-up, where the series tells the part."""
    if field not in ("served", "connected"):
        return None

    def points(outcome: Outcome, keys: Keys) -> Any:
        names_of = [load.name for load in _loads(outcome, keys)]
        return tuple(observed.of_loads(outcome, names_of, what) for what in (field, "attempted"))

    return points


def _rate_points(outcome: Outcome, keys: Keys) -> Any:
    return observed.rates(outcome, [load.name for load in _loads(outcome, keys)], "served")


def _times(field: str) -> Callable[[Outcome, Keys], Histogram]:
    return lambda outcome, keys: histograms.merge(getattr(load, field) for load in _loads(outcome, keys))


def _first_refusal(outcome: Outcome, keys: Keys) -> int | None:
    known = [load.first_refusal_ns for load in _loads(outcome, keys) if load.first_refusal_ns is not None]
    return min(known, default=None)


def _listen_drops(outcome: Outcome, keys: Keys) -> tuple[int, int]:
    drops = outcome.counters.get("server", {}).get("ListenDrops", 0)
    return drops, sum(load.attempted for load in outcome.loads)


def _refused(cause: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: sum(load.refused.get(cause, 0) for load in _loads(outcome, keys))


def _of_side(field: str, name: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: int(getattr(outcome, field).get(keys["SIDE"], {}).get(name, 0))


def _of_link(name: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: observed.link(outcome).get(name, 0)


def _of_direction(name: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: observed.link(outcome).get(f"{keys['SIDE']}.{name}", 0)


def _state(index: int) -> Callable[[Outcome, Keys], int | None]:
    def count(outcome: Outcome, keys: Keys) -> int | None:
        states = outcome.states.get(keys["SIDE"])
        return None if states is None else int(states[index])

    return count


def _of_load(field: str) -> Callable[[Outcome, Keys], int]:
    return lambda outcome, keys: sum(int(getattr(load, field)) for load in outcome.loads)


def _residence(name: str) -> Callable[[Outcome, Keys], Histogram]:
    return lambda outcome, keys: (
        histograms.empty() if outcome.watched is None else getattr(outcome.watched, name)
    )


def _detected(name: str, ms: bool = False) -> Callable[[Outcome, Keys], int | None]:
    def found(outcome: Outcome, keys: Keys) -> int | None:
        value = None if outcome.watched is None else outcome.watched.detection.get(name)
        return None if value is None else round(value * 1e6) if ms else int(value)

    return found


def _sent(outcome: Outcome, keys: Keys) -> int:
    wanted = keys.get("NAME")
    return sum(flood.sent for flood in outcome.floods if wanted is None or flood.name == wanted)


_OUTCOMES: Final[tuple[tuple[str, str, str], ...]] = (
    ("attempted", "none", "connections that were due; the outcomes below sum to it"),
    ("served", "higher", "accepted, and where the client speaks first its request was read"),
    ("ghost", "lower", "the client is connected, the server never served it"),
    ("refused", "lower", "the last try got no connection, by cause below"),
    ("gave_up", "lower", "patience, tries or the kernel's resends came to an end"),
    ("reset", "lower", "the last try ended by a reset"),
    ("pending", "none", "still trying when the run ended; neither failed nor a ghost"),
    ("not_started", "none", "due, but the run was cut short before"),
)
_ALSO: Final[tuple[tuple[str, str, str], ...]] = (
    ("connected", "higher", "connect() returned, whatever came later"),
    ("first_try", "higher", "served, and no SYN, SYN-ACK or third ACK was sent twice"),
    ("tries", "none", "calls of connect()"),
    ("requests", "higher", "requests that were answered"),
    ("in_warmup", "none", "connections that began in the warm-up; no other figure has them"),
)
_RATIOS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("success_ratio", "served", "higher", "served / attempted"),
    ("first_try_ratio", "first_try", "higher", "first_try / attempted"),
    ("connected_ratio", "connected", "higher", "connected / attempted"),
    ("ghost_ratio", "ghost", "lower", "ghost / attempted"),
    ("refused_ratio", "refused", "lower", "refused / attempted"),
    ("gave_up_ratio", "gave_up", "lower", "gave_up / attempted"),
    ("reset_ratio", "reset", "lower", "reset / attempted"),
    ("pending_ratio", "pending", "lower", "pending / attempted"),
)
_LATENCIES: Final = {
    "connect": "from the first connect() to the one that returned",
    "served_after": "from the first connect() to served",
    "accept_wait": "from established to accepted, on the server",
}
_POPULATIONS: Final = {
    "half_open": "half-open entries of the server",
    "accept_queue": "connections in the server's accept queues",
    "time_wait.SIDE": "TIME_WAIT entries",
    "established.SIDE": "connections in ESTABLISHED",
    "blocks.SIDE": "connections of any state, TIME_WAIT and half-open ones included",
    "orphans.SIDE": "connections without an application",
}
_QUEUES: Final = {
    "half_open": "a listener's half-open queue (for unknown peers)",
    "accept_queue": "a listener's accept queue",
}
_KERNEL: Final = {
    "half_open": "half-open entries",
    "established": "connections with a socket",
    "time_wait": "TIME_WAIT entries",
    "orphan": "connections that no application has any more",
    "total": "all of these at the moment when they take most",
}


def _of_loads(prefix: str) -> Iterator[Metric]:
    """What is told of all loads together and of each."""
    for name, better, meaning in (*_OUTCOMES, *_ALSO):
        yield Metric(prefix + name, "count", better, meaning, MEAN, _counted(name))
    for name, field, better, meaning in _RATIOS:
        of, points = _share(field), _so_far(field)
        yield Metric(prefix + name, "ratio", better, meaning, RATIO, of, most=1.0, points=points)
    meaning = "1 - first_try_ratio"
    yield Metric(prefix + "first_try_loss", "ratio", "lower", meaning, RATIO, _not_first_try, most=1.0)
    meaning = "served connections per second of virtual time after the warm-up"
    served = _per_second("served")
    yield Metric(prefix + "served_per_s", "1/s", "higher", meaning, MEAN, served, points=_rate_points)
    for name in ("connect", "served_after"):
        yield from _latency(prefix + name, _LATENCIES[name], _times(name))


def _latency(name: str, meaning: str, of: Callable[[Outcome, Keys], Histogram]) -> Iterator[Metric]:
    for part in histograms.FIGURES:
        unit, better = ("count", "none") if part == "count" else ("ns", "lower")
        fewest = histograms.FEWEST.get(part)
        said = f"{meaning}: {part}" + (f", of {fewest:,} samples or more" if fewest else "")
        yield Metric(f"{name}.{part}", unit, better, said, TIMES, of, part=part)


def _ports() -> Iterator[Metric]:
    peak = observed.peak_of("ports_in_use")
    meaning = "most (port, destination) pairs taken at once, all hosts"
    yield Metric("ports.in_use_peak", "count", "none", meaning, MOST, peak)
    meaning = "when the first connect() was refused; no sample: none was"
    yield Metric("ports.first_refusal", "ns", "higher", meaning, MEAN, _first_refusal)
    meaning = "ports x hosts x destinations / time for which a connection blocks its port"
    yield Metric("ports.sustainable_rate", "1/s", "higher", meaning, GIVEN, _none)


def _queues() -> Iterator[Metric]:
    for name, meaning in _POPULATIONS.items():
        peak, mean = observed.peak_of(name), observed.mean_of(name)
        yield Metric(f"{name}.peak", "count", "none", f"{meaning}: most at once", MOST, peak)
        over = "time, exact" if name in observed.EXACT else "the points of the series"
        said, points = f"{meaning}: mean over {over}", observed.points_of(name)
        yield Metric(f"{name}.mean", "count", "none", said, MEAN, mean, points=points)
    for name, meaning in _QUEUES.items():
        first, lasted = observed.full_of(name, "first_ns"), observed.full_of(name, "ns")
        said = f"when {meaning} was full first; no sample: it never was"
        yield Metric(f"{name}.full_from", "ns", "higher", said, MEAN, first)
        said = f"how long {meaning} was full, in all; of several that which was longest"
        yield Metric(f"{name}.full_for", "ns", "lower", said, MEAN, lasted)
    meaning = "ListenDrops of the server / attempted; above 1 where resent SYNs are dropped, too"
    yield Metric("listen_drop_ratio", "ratio", "lower", meaning, RATIO, _listen_drops)
    meaning = "connections and entries left when the run ended"
    left = lambda outcome, keys: int(outcome.left.get(keys["SIDE"], 0))  # noqa: E731
    yield Metric("left.SIDE", "count", "none", meaning, MEAN, left)


def _closing() -> Iterator[Metric]:
    meaning = "connections in LAST-ACK or CLOSING that were reset: nobody knew them any more"
    stuck = lambda outcome, keys: int(outcome.stuck)  # noqa: E731
    yield Metric("stuck_last_ack", "count", "lower", meaning, MEAN, stuck)
    meaning = "connections that took text of an earlier connection between the same two ports"
    yield Metric("old_segments_accepted", "count", "lower", meaning, MEAN, _of_load("old_taken"))
    for name, field, unit, meaning in (
        ("connections", "half_closed", "count", "connections whose first closer shut down its side only"),
        ("queued_bytes", "half_queued", "bytes", "what was sent to those after that"),
        ("acknowledged_bytes", "half_read", "bytes", "what those had read at the end of the stream"),
    ):
        yield Metric(f"half_close.{name}", unit, "none", meaning, MEAN, _of_load(field))


def _flooded() -> Iterator[Metric]:
    """Of the half-open queue of a server under a flood."""
    for name in ("answered", "unanswered"):
        meaning = f"how long half-open entries that were {'not ' * (name == 'unanswered')}answered stayed"
        yield from _latency(f"residence.{name}", meaning, _residence(name))
    for name, better, meaning in (
        ("floods", "none", "floods that there were"),
        ("found", "higher", "floods that the queue alone told of"),
        ("false_alarms", "lower", "alarms without a flood"),
        ("honest_bursts", "none", "honest crowds that the detector was shown"),
        ("alarms_on_bursts", "lower", "alarms on those"),
    ):
        yield Metric(f"detection.{name}", "count", better, meaning, MEAN, _detected(name))
    for name, meaning in (
        ("raised_after", "from the begin of a flood to the alarm, the worst"),
        ("begin_error", "where the alarm says that the flood began, against the truth, the worst"),
        ("end_error", "where it says that it ended, the worst"),
    ):
        yield Metric(f"detection.{name}", "ns", "lower", meaning, MEAN, _detected(f"{name}_ms", ms=True))


def _counters() -> Iterator[Metric]:
    for name, meaning in names.COUNTERS.items():
        better = "lower" if name in names.LOSSES else "none"
        of = _of_side("counters", name)
        yield Metric(f"counters.SIDE.{name}", "count", better, meaning, MEAN, of, counts=True)
    for name, meaning in names.LINK.items():
        yield Metric(f"counters.link.{name}", "count", "none", meaning, MEAN, _of_link(name), counts=True)
    for kind in KINDS:
        for part, meaning in (("sent", "sent"), ("lost", "lost by the link")):
            name = f"{kind.replace('-', '_')}.{part}"
            said, of = f"{kind} segments of that end, {meaning}", _of_direction(name)
            yield Metric(f"counters.link.SIDE.{name}", "count", "none", said, MEAN, of, counts=True)
    said = "ends of that side that were reset or gave up after both had closed: left in LAST-ACK"
    of = _of_direction("fin.unanswered")
    yield Metric("counters.link.SIDE.fin.unanswered", "count", "lower", said, MEAN, of, counts=True)
    for name, meaning in names.CAUSES.items():
        of = _of_side("causes", name)
        yield Metric(f"causes.SIDE.{name}", "count", "lower", f"lost: {meaning}", MEAN, of, counts=True)
    for name, meaning in names.CAUSES.items():
        said, of = f"refused: {meaning}", _refused(name)
        yield Metric(f"refused.{name}", "count", "lower", said, MEAN, of, counts=True)
        yield Metric(f"load.NAME.refused.{name}", "count", "lower", said, MEAN, of, counts=True)
    for index, name in enumerate(names.STATES):
        meaning = f"in {name.replace('_', '-')} when the run ended"
        yield Metric(f"states.SIDE.{name}", "count", "none", meaning, MEAN, _state(index), counts=True)


def _rows() -> Iterator[Metric]:
    yield from _of_loads("")
    accept_wait = lambda outcome, keys: outcome.accept_wait  # noqa: E731
    yield from _latency("accept_wait", _LATENCIES["accept_wait"], accept_wait)
    yield from _of_loads("load.NAME.")
    yield from _ports()
    yield from _queues()
    yield from _closing()
    yield from _flooded()
    yield Metric("flood.sent", "count", "none", "spoofed segments of all floods", MEAN, _sent)
    yield Metric("flood.NAME.sent", "count", "none", "spoofed segments of that flood", MEAN, _sent)
    for name, meaning in _KERNEL.items():
        said = f"memory of a host's kernel for {meaning} (largest of the range known)"
        yield Metric(f"memory.kernel.SIDE.{name}", "bytes", "lower", said, GIVEN, _none)
    yield from _counters()


TABLE: Final[tuple[Metric, ...]] = tuple(_rows())


def concrete(scenario: Scenario) -> Mapping[str, tuple[Metric, Keys]]:
    """Every metric that a result of this scenario has, by its name, in the order of the table."""
    return _concrete(
        tuple(load.name for load in scenario.load), tuple(flood.name for flood in scenario.flood)
    )


@lru_cache(maxsize=16)
def _concrete(loads: tuple[str, ...], floods: tuple[str, ...]) -> Mapping[str, tuple[Metric, Keys]]:
    return _expanded(TABLE, loads, floods)


def _expanded(
    table: Iterable[Metric], loads: Sequence[str], floods: Sequence[str]
) -> dict[str, tuple[Metric, Keys]]:
    found: dict[str, tuple[Metric, Keys]] = {}
    for metric in table:
        known = floods if metric.name.startswith("flood.") else loads
        parts = metric.name.split(".")
        for name in known if "NAME" in parts else [""]:
            for side in names.SIDES if "SIDE" in parts else [""]:
                keys = {key: value for key, value in (("NAME", name), ("SIDE", side)) if value}
                found[".".join(keys.get(part, part) for part in parts)] = (metric, keys)
    return found


@cache
def _heads() -> tuple[tuple[str, Metric], ...]:
    """What the names of each row begin with: to compile all patterns took a tenth of a start."""
    return tuple((re.split(r"\b(?:SIDE|NAME)\b", metric.name)[0], metric) for metric in TABLE)


def find(name: str) -> Metric | None:
    """The row of a concrete name, `load.web.served` for load.NAME.served; a plain name before a template."""
    heads = (metric for head, metric in _heads() if name.startswith(head))
    matching = [metric for metric in heads if metric.pattern.fullmatch(name)]
    return min(matching, key=lambda metric: "NAME" in metric.name, default=None)


def lookup(pattern: str = "") -> list[Metric]:
    """The rows whose name has `pattern` in it, or matches it where it has a * or ?; case does not matter."""
    wanted = pattern.lower()
    if any(sign in pattern for sign in "*?["):
        return [metric for metric in TABLE if _matches(metric, wanted)]
    if exact := find(pattern):
        return [exact]
    return [metric for metric in TABLE if wanted in metric.name.lower()]


def _matches(metric: Metric, wanted: str) -> bool:
    return any(fnmatchcase(name.lower(), wanted) for name in (metric.name, *_expanded([metric], [], [])))


def nearest(name: str, scenario: Scenario | None = None, n: int = 1) -> list[str]:
    """The metrics whose names look most like `name`, with the loads of `scenario` where there is one."""
    known = list(concrete(scenario) if scenario else _expanded(TABLE, ["NAME"], ["NAME"]))
    lower = {text.lower(): text for text in known}
    found = get_close_matches(name.lower(), lower, n=n, cutoff=0.5)
    if found:
        return [lower[text] for text in found]
    parts: dict[str, str] = {}  # a part of a name -> the first name that has it
    for text in known:
        for part in text.lower().split("."):
            parts.setdefault(part, text)
    return [parts[part] for part in get_close_matches(name.lower().rpartition(".")[2], parts, n=n)]


def check_name(name: str, scenario: Scenario) -> None:
    """Raise UnknownMetric unless a result of this scenario has it."""
    if name in concrete(scenario):
        return
    near = nearest(name, scenario)
    hint = f"; did you mean {near[0]}?" if near else "; `loadgen metrics` lists them"
    raise UnknownMetric(f"no metric is called {name!r}{hint}")
