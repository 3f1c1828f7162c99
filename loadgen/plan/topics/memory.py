"""`plan memory`: what a load costs a host's kernel, entry by entry.

Counts by Little's law, TIME_WAIT capped by tcp_max_tw_buckets (Erlang B). Bytes from the table of the profile
(`report.memory`, measured on Linux 6.18) or from the user; of a host without figures there is no total.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from loadgen import memory as simulators
from loadgen.host.caches import Cost
from loadgen.plan import say
from loadgen.plan.answers import NOT_PLAYED, Answer, Table, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, limits, settle
from loadgen.report.memory import EXCLUDES, FIGURES
from loadgen.scenario.errors import Mistake, hint
from loadgen.scenario.hosts import kernel_bytes
from loadgen.scenario.model import Client, Load, Run, Scenario
from loadgen.scenario.numbers import count
from loadgen.theory import ports, queues, stays

NAME: Final = "memory"
SUMMARY: Final = "what a load costs a host's kernel in memory"
BASE: Final = Scenario(
    name="memory", load=[Load("clients", rate=1000.0)], client=Client(hosts=1 << 16), run=Run()
)
OPEN: Final = (Quantity("rate", ("load.rate", "load.shape")),)
EXTRAS: Final = ("established", "bytes")
NOT_MODELLED: Final = tuple(EXCLUDES.split(", "))
_WORDS: Final = ("established", "half_open", "time_wait")

Bytes = Mapping[str, Cost]


@dataclasses.dataclass(frozen=True)
class _Counts:
    """Entries of one host."""

    established: float
    churning: float
    half_open: float
    time_wait: float  # wanted
    kept: float
    overflow: float  # share of the closes that keep none


def solve(case: Case) -> Answer:
    """Counts and bytes of the server."""
    idle = case.extra.get("established", 0)
    if case.open and not idle:
        raise Refused("plan memory: give --established, --rate, or both: nothing is known of the load")
    counts, table = _counts(case), _table(case)
    if table is None:
        raise Refused(
            f"plan memory: no figure is known for {case.scenario.server.profile}: give its own with --bytes "
            "established=B,half_open=B,time_wait=B (`vmstat -z` on FreeBSD, /proc/slabinfo on Linux)"
        )
    answer = Answer(NAME, "", "memory.kernel.server.total", Value(None, "bytes", "T"), NOT_PLAYED)
    answer.limits = [*limits(case, "time_wait.server", "half_open", shadowed=False)]
    low, high = _total(counts, table)
    told = f"{say.size(low)} to {say.size(high)}" if say.size(low) != say.size(high) else say.size(high)
    answer.sentence = f"{told} of kernel memory on the server, {say.num(idle)} idle connections"
    answer.value = Value(high, "bytes", "F, T", low, high)
    if not case.open:
        answer.sentence += f" and {say.rate(_rate(case))} that come and go"
    answer.sentence += f"; at +10 % load {_more(case, table)}"
    _rows(answer, case, counts, table)
    _overflow(answer, case, counts)
    _simulator(answer, case, counts)
    if not case.has("link.rtt") and not case.whole and not case.open:
        answer.assumed.append("rtt 0 s (not given)")
    if not case.whole and not case.open:
        answer.assumed += _of_those_that_come(case)
    answer.assumed.append("idle connections carry no data; low: no file descriptor, high: with one")
    return settle(answer, case)


def _of_those_that_come(case: Case) -> list[str]:
    """What is taken for granted of them without being given: that they cost next to nothing."""
    said = [] if case.has("load.hold") else ["hold 0 s (not given)"]
    return said if case.has("server.closes") else [*said, "clients close first: TIME_WAIT is theirs"]


def _more(case: Case, table: Bytes) -> str:
    """The total with a tenth more connections, idle and coming."""
    changes = {} if case.open else {"load.rate": MORE * _rate(case)}
    extra = {"established": MORE * case.extra["established"]} if "established" in case.extra else {}
    _, high = _total(_counts(case.other(changes, extra)), table)
    return say.size(high)


def _rate(case: Case) -> float:
    if case.open:
        return 0.0
    rate = ports.total_rate(case.scenario)
    if rate is None:
        raise Refused("plan memory: needs a constant rate: give --rate, or play the file with loadgen run")
    return rate


def _counts(case: Case) -> _Counts:
    scenario, server = case.scenario, case.hosts.server
    rate, rtt = _rate(case), stays.round_trip(scenario)
    weighed = list(stays.parts(scenario))
    hold = sum(part.share * part.hold.mean for part in weighed) / max(1, len(scenario.load))
    share = sum(part.share for part in weighed if part.closer == stays.SERVER) / max(1, len(scenario.load))
    wanted = rate * share * server.time_wait_ms / 1000
    overflow = queues.erlang_b(server.tcp_max_tw_buckets, wanted) if wanted else 0.0
    idle = float(case.extra.get("established", 0))
    return _Counts(idle, rate * hold, rate * rtt, wanted, wanted * (1 - overflow), overflow)


def _table(case: Case, own: bool = True) -> Bytes | None:
    """Bytes each: the user's if `own`, else those of the profile; None where neither is known."""
    profile = case.scenario.server.profile
    found: dict[str, Cost] = dict(FIGURES.get(profile, {}))
    text = str(case.extra.get("bytes", ""))
    scenario = case.scenario
    if not own:  # of another system than the user's file
        return found if found else None
    if text and "=" not in text:  # the host's own file
        scenario = scenario.replace({"server.bytes": text})
    found.update(kernel_bytes(scenario) or {})
    if "=" not in text:
        return found if all(kind in found for kind in _WORDS) else None
    for part in filter(None, (one.strip() for one in str(case.extra.get("bytes", "")).split(","))):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or name not in _WORDS:
            raise Refused(f"--bytes: expected KIND=BYTES with one of {', '.join(_WORDS)}, got {part!r}"
                          f"{hint(name, _WORDS)}")  # fmt: skip
        try:
            each = count(1, 1 << 30)(value)
        except Mistake as error:
            raise Refused(f"--bytes {name}: {error}") from None
        found[name] = Cost(each, each, "as given")
    return found if all(kind in found for kind in _WORDS) else None


def _lines(counts: _Counts, table: Bytes) -> list[tuple[str, float, Cost]]:
    sockets = table["established"]
    return [
        ("established", counts.established, sockets),
        ("churning", counts.churning, Cost(sockets.high, sockets.high, sockets.objects)),
        ("half-open", counts.half_open, table["half_open"]),
        ("TIME_WAIT", counts.kept, table["time_wait"]),
    ]


def _total(counts: _Counts, table: Bytes) -> tuple[float, float]:
    lines = _lines(counts, table)
    return (sum(n * each.low for _, n, each in lines), sum(n * each.high for _, n, each in lines))


def _rows(answer: Answer, case: Case, counts: _Counts, table: Bytes) -> None:
    others = [case.varied(variant) for variant in case.variants]
    profile = case.scenario.server.profile
    named = profile if profile in FIGURES else "here"
    head = ["", "count", f"{named} bytes each", f"{named} total", *(one.label for one in case.variants), ""]
    rows = []
    there = [
        (_counts(one), _table(one, "server.profile" not in variant.changes or "bytes" in variant.extra))
        for one, variant in zip(others, case.variants, strict=True)
    ]
    for kind, (name, n, each) in enumerate(_lines(counts, table)):
        cells = [name, say.num(n), _span(each), _sizes(n, each)]
        for other, figures in there:
            entries = [other.established, other.churning, other.half_open, other.kept][kind]
            if figures is None:
                cells.append("no figure known" if kind == 0 else f"{say.num(entries)} entries")
            else:
                cells.append(_sizes(entries, _lines(other, figures)[kind][2]))
        rows.append([*cells, ""])
        answer.note(f"{name}.count", n, "count", "A" if name == "established" else "F")
        answer.figures[f"{name}.bytes"] = Value(n * each.high, "bytes", "T", n * each.low, n * each.high)
    answer.parts.append(Table(head, rows, ["A, T", "F, T", "F, T", "F, T"]))
    for variant, (_, figures) in zip(case.variants, there, strict=True):
        if figures is None:
            answer.warn(f"{variant.label}: no figure known: give --bytes from that host's `vmstat -z` output")


def _span(each: Cost) -> str:
    return say.num(each.low) if each.low == each.high else f"{say.num(each.low)}..{say.num(each.high)}"


def _sizes(n: float, each: Cost) -> str:
    low, high = say.size(n * each.low), say.size(n * each.high)
    return low if low == high else f"{low} .. {high}"


def _overflow(answer: Answer, case: Case, counts: _Counts) -> None:
    if counts.overflow < 1e-3:
        return
    per_s = counts.overflow * counts.time_wait / (case.hosts.server.time_wait_ms / 1000)
    who = case.scenario.server.profile.capitalize()
    answer.warn(
        f"{who} wants {say.num(counts.time_wait)} TIME_WAIT: {say.pct(counts.overflow)} of closes keep none "
        f"(TCPTimeWaitOverflow {say.whole(per_s)}/s). Raise tcp_max_tw_buckets or let clients close",
        "F",
    )
    answer.note("time_wait_wanted", counts.time_wait, "count", "F")
    answer.note("time_wait_overflow", counts.overflow, "ratio", "F")


def _simulator(answer: Answer, case: Case, counts: _Counts) -> None:
    """What playing this here would take: blocks of both ends."""
    scenario, hosts = case.scenario, case.hosts
    idle = counts.established + counts.churning
    blocks = 2 * idle + counts.half_open + counts.kept
    empty = simulators.estimate_bytes(
        dataclasses.replace(scenario, load=[], flood=[]), hosts.client, hosts.server
    )
    each = simulators.of_a_connection()
    text = f"{blocks / 1e6:.2g} M blocks, both ends, {say.size(empty + blocks * each)}"
    answer.say("to simulate", text, "T")
