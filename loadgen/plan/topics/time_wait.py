"""`plan time-wait`: what a shorter TIME_WAIT gains, and what it risks.

Gain by Little's law on ports and entries, risk by `theory.risk`: upper bounds for old duplicates and for a
last ACK that nobody repeats. Nothing is simulated: the events are too rare for any run to show them.
"""

from __future__ import annotations

import math
from typing import Final

from loadgen.plan import say
from loadgen.plan.answers import NOT_PLAYED, Answer, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, NS, limits, settle
from loadgen.scenario import hosts as profiles
from loadgen.scenario.errors import Mistake
from loadgen.scenario.model import Client, Load, Run, Scenario
from loadgen.scenario.numbers import count
from loadgen.scenario.values import Distribution
from loadgen.theory import ports, queues, risk, stays

NAME: Final = "time-wait"
SUMMARY: Final = "what a shorter TIME_WAIT gains, and what it risks"
BASE: Final = Scenario(
    name="time-wait",
    load=[Load("clients", rate=1000.0, hold=Distribution("const", 30e6), request=0, response=1460,
               speaks="server")],
    client=Client(), run=Run(),
)  # fmt: skip
OPEN: Final = (
    Quantity("rate", ("load.rate", "load.shape")),
    Quantity("time_wait", ("client.knobs.time_wait_ms",)),
)
EXTRAS: Final = ("bytes",)
NOT_MODELLED: Final = (
    "middleboxes that keep state longer than the host",
    "TIME_WAIT assassination (RFC 1337)",
)
_LOSS: Final = 1e-4
_LINUX: Final = "Linux has no such knob: tcp_fin_timeout bounds orphaned FIN_WAIT_2; 60 s is compiled in"
#: Profile -> what is to be said of the knob, and whether also where it has its default.
_KNOBS: Final = {"freebsd": (_LINUX + ". Shown for FreeBSD, msl={msl}", True)}
_DAYS: Final = ((365.25, "year"), (30.44, "month"), (1.0, "day"))


def solve(case: Case) -> Answer:
    """What the TIME_WAIT that is asked about gains and risks beside the profile's own."""
    case = _carrying(case)
    left = case.open
    if left == "rate":
        raise Refused("plan time-wait: --rate is unknown: the gain and the risk are per connection rate")
    before = profiles.profile(case.scenario.client.profile, "client").time_wait_ms
    if left == "time_wait":
        case = case.other(_both(_longest(case)))
    after = case.hosts.client.time_wait_ms
    then = case.other(_both(before))
    answer = Answer(NAME, "", "time_wait", Value(after * 1e6, "ns", "A" if not left else "F"), NOT_PLAYED)
    answer.limits = [*limits(case, "ports", "time_wait_ms", shadowed=False)]
    _no_such_knob(answer, case)
    _gain(answer, then, case)
    found = _old_duplicates(answer, case)
    _last_ack(answer, case, found)
    _verdict(answer, case, found, left)
    answer.assumed += list(_assumed(case))
    return settle(answer, case)


def _both(ms: float) -> dict[str, object]:
    whole = max(0, math.floor(ms))
    return {"client.knobs.time_wait_ms": whole, "server.knobs.time_wait_ms": whole}


def _carrying(case: Case) -> Case:
    """With --bytes as what a connection carries, from the server."""
    if "bytes" not in case.extra:
        return case
    try:
        nbytes = count(0, 2**30)(case.extra["bytes"])
    except Mistake as error:
        raise Refused(f"--bytes: {error}") from None
    return case.other({"load.request": 0, "load.response": nbytes, "load.speaks": "server"})


def _longest(case: Case) -> float:
    """The longest TIME_WAIT in ms with which the ports last."""
    scenario, client, server = case.scenario, case.hosts.client, case.hosts.server
    rate = ports.total_rate(scenario) or 0.0
    stay = ports.blocking_time(scenario, client, server) or 0.0
    busy = stay - client.time_wait_ms / 1000
    loss = case.loss(_LOSS)
    longest = queues.load_for(client.ports(), loss) * ports.tuples_of(scenario) / rate - busy
    if longest <= 0:
        raise Refused("plan time-wait: the ports do not last even without TIME_WAIT: see plan ports")
    return min(longest * 1000, profiles.profile(scenario.client.profile).time_wait_ms)


def _at_more(case: Case) -> str:
    """The same for a tenth more connections."""
    more = case.other({"load.rate": MORE * (ports.total_rate(case.scenario) or 0.0)})
    try:
        return say.sec(_longest(more) / 1000)
    except Refused:
        return "none is short enough"


def _no_such_knob(answer: Answer, case: Case) -> None:
    profile, ms = case.scenario.client.profile, case.hosts.client.time_wait_ms
    said, always = _KNOBS.get(profile, (_LINUX, False))
    if always or ms != profiles.profile(profile, "client").time_wait_ms:
        answer.warn(said.format(msl=ms // 2), "R")


def _gain(answer: Answer, then: Case, now: Case) -> None:
    said = []
    for one in (then, now):
        client, scenario = one.hosts.client, one.scenario
        stay = ports.blocking_time(scenario, client, one.hosts.server) or math.inf
        rate = ports.total_rate(scenario)
        if rate is None:
            raise Refused("plan time-wait: needs a constant rate: give --rate")
        said.append((client.ports() / stay, _entries(one, rate)))
    (old, (kept, _)), (new, (keeps, wanted)) = said
    text = f"port limit {say.num(old)}/s -> {say.num(new)}/s per destination; TIME_WAIT {say.num(kept)} -> "
    text += f"{say.num(keeps)}, at +10 % load {say.num(_entries(now, MORE * (rate or 0.0))[0])}"
    if keeps < wanted:
        answer.warn(
            f"{say.num(wanted)} TIME_WAIT are wanted and tcp_max_tw_buckets keeps {say.num(keeps)}: "
            f"{say.pct(1 - keeps / wanted)} of closes keep none, as with no TIME_WAIT; see plan memory",
            "F",
        )
    answer.say("gain", text, "F")
    answer.note("port_limit_before", old, "1/s", "F")
    answer.note("port_limit", new, "1/s", "F")
    answer.note("time_wait_before", kept, "count", "F")
    answer.note("time_wait", keeps, "count", "F")


def _entries(case: Case, rate: float) -> tuple[float, float]:
    """TIME_WAIT entries of all hosts that are kept, and that are wanted."""
    scenario, hosts = case.scenario, case.hosts
    kept = wanted = 0.0
    ends = ((stays.CLIENT, hosts.client, scenario.client.hosts), (stays.SERVER, hosts.server, 1))
    for closer, host, n in ends:
        share = sum(part.share for part in stays.parts(scenario) if part.closer == closer)
        entries = rate * share / len(scenario.load) * host.time_wait_ms / 1000
        wanted += entries
        kept += min(entries, n * host.tcp_max_tw_buckets)
    return kept, wanted


def _risk(case: Case, **ends: object) -> risk.Risk:
    """With a peer's RTO that has FreeBSD's slop in it, and knobs of both ends changed."""
    client, server = (one.replace(**ends) for one in (case.hosts.client, case.hosts.server))
    rto = risk.first_rto(server, stays.round_trip(case.scenario)) + server.rto_slop_ms / 1000
    return risk.risk(case.scenario, client, server, rto=rto)


def _old_duplicates(answer: Answer, case: Case) -> risk.Risk:
    found, bare = _risk(case), _risk(case, tcp_timestamps=0)
    text = f"at most {bare.late_per_day:.3g} late data segments/day"
    if bare.clock_bytes is not None:
        text += f". Clocked ISN: {_a_day(bare.accepted_per_day)} accepted while a connection carries < "
        text += f"{say.size(bare.clock_bytes)} (the clock moved that far)"
        answer.note("clock_bytes", bare.clock_bytes, "bytes", "F")
    else:
        text += f". Random ISN: {_a_day(bare.accepted_per_day)} accepted{_once(bare.accepted_per_day)}"
    answer.say("old duplicate", text, "F")
    answer.note("late_per_day", bare.late_per_day, "count", "F")
    answer.note("accepted_per_day", found.accepted_per_day, "count", "F")
    for variant in case.variants:
        there = _risk(case.varied(variant), tcp_timestamps=0)
        text = f"{variant.label}: {_a_day(there.accepted_per_day)}/day{_once(there.accepted_per_day)}"
        answer.say("", f"{text}; timestamps on: 0", "F")
        answer.note(f"vs.{variant.label}.accepted_per_day", there.accepted_per_day, "count", "F")
    return found


def _a_day(value: float) -> str:
    return f"{value:.1g}" if value else "0"


def _once(per_day: float) -> str:
    """`, one in 6 months`."""
    if not per_day:
        return ""
    days = 1 / per_day
    size, name = next((pair for pair in _DAYS if days >= 2 * pair[0]), _DAYS[-1])
    return f", one in {days / size:.0f} {name}s"


def _last_ack(answer: Answer, case: Case, found: risk.Risk) -> None:
    waits = case.hosts.client.time_wait_ms / 1000
    text = f"peer reset in LAST_ACK: at most {found.unanswered_per_close:.0e} per close "
    text += f"({found.fin_resends} or more FIN resends fit in {say.sec(waits)}); no data lost"
    answer.say("lost last ACK", text, "F")
    answer.note("unanswered_per_close", found.unanswered_per_close, "ratio", "F")


def _verdict(answer: Answer, case: Case, found: risk.Risk, left: str | None) -> None:
    after = case.hosts.client.time_wait_ms / 1000
    bare = _risk(case, tcp_timestamps=0)
    safe = found.accepted_per_day == 0
    text = f"a TIME_WAIT of {say.sec(after)} is {'safe as assumed' if safe else 'not safe'}"
    if left:
        text = f"the ports last with a TIME_WAIT of {say.sec(after)} or less"
        text += f" (at +10 % load {_at_more(case)}); that is "
        text += "safe as assumed" if safe else "not safe"
    unsafe = ["random ISNs"]
    if bare.clock_bytes is not None:
        unsafe.append(f"> {say.size(bare.clock_bytes)} per connection without timestamps")
    unsafe.append(f"paths slower than {say.sec(after)}")
    if not safe:
        often = found.accepted_per_day
        text += f": {_a_day(often)} old segments a day could be taken{_once(often)}"
    text += f". Not safe with {', '.join(unsafe)}"
    answer.sentence = text + " (formula only: too rare for a simulation)"


def _assumed(case: Case) -> list[str]:
    link, load = case.scenario.link, case.scenario.load[0]
    said = [f"{link.late_share:.3g} of segments have a copy {say.sec(link.late_after_ns / NS)} late"]
    if not link.late_share:
        said = ["no segment is late by more than TIME_WAIT: give --late AFTER:SHARE"]
    said.append(f"{say.size(load.response)} per connection, from the server")
    if not case.has("load.hold") and not case.whole:
        said.append(f"hold {say.sec(load.hold.mean / NS)} (not given)")
    return said
