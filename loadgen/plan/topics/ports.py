"""`plan ports`: do the clients' ports last, at what rate, with how many hosts; what is each remedy worth.

Formulas: Little's law and Erlang B with the ports as places (`theory.ports`). Sources: reference.md G15,
RFC 6056, ip-sysctl.rst (ip_local_port_range, tcp_tw_reuse).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Final

from loadgen.plan import say
from loadgen.plan.answers import UNDECIDED, Answer, Table, Value
from loadgen.plan.ask import Case, Quantity, Refused
from loadgen.plan.shared import MORE, NS, limits, of_theory, settle, state_text
from loadgen.report.result import Result
from loadgen.report.words import plural
from loadgen.scenario.model import Client, Load, Run, Scenario
from loadgen.theory import ports, queues

NAME: Final = "ports"
SUMMARY: Final = "do the clients' ports last, and which remedy is worth what"
BASE: Final = Scenario(name="ports", load=[Load("clients", rate=1000.0)], client=Client(), run=Run())
OPEN: Final = (Quantity("rate", ("load.rate", "load.shape")), Quantity("clients", ("client.hosts",)))
EXTRAS: Final = ()
NOT_MODELLED: Final = (
    "port blocks per client", "UDP", "hash skew by source address", "caps of providers (AWS: 55,000 ports)",
)  # fmt: skip
_LOSS: Final = 1e-4
_SERIES: Final = 250  # points of a series in a cycle
_CYCLES: Final = 3  # blocking times that a run lasts ...
_FEWEST: Final = 2  # ... and at least, for a result
_ROWS: Final = ("Erlang B, connects refused", "first connect without a port")

#: Remedy -> what differs, and its cost or risk.
_REMEDIES: Final[tuple[tuple[str, dict[str, object], str], ...]] = (
    ("ip_local_port_range=1024 65535", {"client.knobs.ip_local_port_range": (1024, 65535)},
     "collides with listeners above 1024: ip_local_reserved_ports"),
    ("2 upstream addresses", {}, "none"),
    ("tcp_tw_reuse=1", {"client.knobs.tcp_tw_reuse": 1},
     "outgoing only, needs timestamps on both ends; NAT in between: see the PAWS counters"),
    ("server closes first", {"server.closes": "server"},
     "TIME_WAIT moves to the server: at most one per tuple"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Ports:
    """The figures of one scenario."""

    each: int  # ports of a host towards a destination
    tuples: int
    rate: float
    stay: float
    sustainable: float
    loss: float

    @property
    def exist(self) -> int:
        return self.each * self.tuples

    @property
    def refused(self) -> float:
        return queues.erlang_b(self.each, self.rate * self.stay / self.tuples)

    def hosts(self, rate: float, destinations: int) -> int:
        """Fewest client hosts at which at most `loss` is refused."""
        return -(-ports.hosts_for(self.each, rate, self.stay, self.loss) // destinations)


def solve(case: Case) -> Answer:
    """Evaluate the load, or solve for the rate or the number of client hosts."""
    found = _ports_of(case)
    case, solved = _solved(case, found)
    now = _ports_of(case)
    answer = Answer(NAME, "", "refused_ratio", Value(now.refused, "ratio", "F"), "")
    answer.limits = [*limits(case, "ports", "time_wait_ms", shadowed=False)]
    result, short = _played(case, now)
    _verdict(answer, case, now, result, solved, short)
    _lines(answer, case, now)
    _alternatives(answer, case, now)
    answer.assumed += ["load spread evenly over hosts and destinations", *_defaults(case)]
    return settle(answer, case)


def _played(case: Case, now: _Ports) -> tuple[Result | None, bool]:
    """One host with its part of the load, which is as likely to run out as any other."""
    hosts = case.scenario.client.hosts
    one = case.other({"client.hosts": 1, "load.rate": now.rate / hosts}).scenario
    scenario, short = case.player.timed(one, _FEWEST * now.stay, _CYCLES * now.stay, now.stay)
    series = max(1, round(now.stay * NS) // _SERIES)  # a point at the end of each cycle
    scenario = dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, series_ns=series))
    return (None if short else case.player.play([scenario])[0]), short


def _defaults(case: Case) -> Iterator[str]:
    load, link, hosts = case.scenario.load[0], case.scenario.link, case.scenario.client.hosts
    if hosts > 1 and case.player.plays:
        yield f"hosts are alike: 1 of {say.num(hosts)} is played"
    if not case.has("load.hold") and not case.whole:
        yield f"hold {say.sec(load.hold.mean / NS)} (not given)"
    if not case.has("link.rtt") and not case.whole:
        yield f"rtt {say.sec(link.rtt.mean / NS)} (not given)"


def _ports_of(case: Case) -> _Ports:
    scenario, client, server = case.scenario, case.hosts.client, case.hosts.server
    rate, stay = ports.total_rate(scenario), ports.blocking_time(scenario, client, server)
    if rate is None or stay is None:
        raise Refused("plan ports: needs a constant rate: give --rate, or play the file with loadgen run")
    if stay == 0:
        raise Refused("plan ports: a connection blocks its port for no time at all: give --hold or --rtt")
    sustained = ports.sustainable_rate(scenario, client, server) or math.inf
    return _Ports(client.ports(), ports.tuples_of(scenario), rate, stay, sustained, case.loss(_LOSS))


def _solved(case: Case, found: _Ports) -> tuple[Case, str]:
    """The case with what was left open, and what that is."""
    left = case.open
    if left == "rate":
        allowed = ports.rate_for(case.scenario, case.hosts.client, case.hosts.server, found.loss) or 0.0
        return case.other({"load.rate": _floor(allowed)}), left
    if left == "clients":
        hosts = found.hosts(found.rate, case.scenario.client.destinations)
        return case.other({"client.hosts": max(1, hosts)}), left
    return case, ""


def _floor(value: float) -> float:
    """Four digits, not above."""
    scale = 10.0 ** (math.floor(math.log10(value)) - 3)
    return math.floor(value / scale + 1e-9) * scale


def _verdict(
    answer: Answer, case: Case, now: _Ports, result: Result | None, solved: str, short: bool
) -> None:
    said = of_theory(answer, result, _ROWS)
    first = ports.first_refusal(case.scenario, case.hosts.client, case.hosts.server)
    share = f"{say.pct(now.refused)} of connects are refused for want of a port"
    if solved == "rate":
        text = f"at most {say.rate(now.rate)} with at most {say.pct(now.loss)} refused"
        answer.metric, answer.value = "rate", Value(now.rate, "1/s", "F")
    elif solved == "clients":
        n = case.scenario.client.hosts
        text = f"{plural(n, 'client host')}, with at most {say.pct(now.loss)} refused"
        answer.metric, answer.value = "client.hosts", Value(n, "count", "F")
    elif first is not None:
        text = f"the ports do not last: first refusal after {say.short(first)}, then {share}"
        even = now.exist / now.rate
        if now.tuples > 1 and say.short(even) != say.short(first):
            text += f" (spread evenly: {say.short(even)})"
    else:
        text = f"the ports last: {share}" if now.refused else "the ports last: none is refused"
    if case.player.plays:
        text += f"; F {say.pct(now.refused)}"
        row = next((one for one in answer.theory if str(one["row"]).startswith(_ROWS[0])), None)
        if row is not None and row["low"] is not None:
            low, high = max(0.0, row["low"]), min(1.0, row["high"])
            text += f", S {100 * low:.2f} .. {100 * high:.2f} %: {said}"
            answer.value = Value(now.refused, "ratio", "F, S", low, high)
        elif result is not None and not answer.theory:
            seen = result.figure("refused_ratio")
            text += f", S {say.pm(seen)}: " + ("agree" if _near(now, seen.value) else "unexplained")
            answer.state = "agree" if _near(now, seen.value) else "unexplained"
            answer.value = Value(now.refused, "ratio", "F, S", seen.low, seen.high)
        elif short:
            answer.state = UNDECIDED
            text += ", S " + state_text(
                UNDECIDED, needed=f"{say.sec(_FEWEST * now.stay)} of virtual time needed"
            )
    answer.sentence = text
    if result is not None:
        answer.played.append(("now", result))


def _near(now: _Ports, seen: float | int | None) -> bool:
    """Far below the ports none is refused, and none was."""
    return now.refused < 1e-6 and not seen


def _lines(answer: Answer, case: Case, now: _Ports) -> None:
    hosts, rate = case.scenario.client.hosts, now.rate
    wanted = rate * now.stay
    busy = f"{say.num(wanted)} ports wanted at once, {say.num(now.exist)} exist"
    answer.say("demand", f"{busy}: {say.rate(rate)} x {say.sec(now.stay)} blocked per connection", "F")
    each = f"{say.num(hosts)} x {say.rate(now.sustainable / hosts)} = " if hosts > 1 else ""
    allowed = ports.rate_for(case.scenario, case.hosts.client, case.hosts.server, now.loss) or 0.0
    text = f"{each}{say.rate(now.sustainable)} ({say.num(now.each)} ports / {say.sec(now.stay)})"
    answer.say("sustainable", f"{text}; with at most {now.loss:g} refused {say.rate(_floor(allowed))}", "F")
    destinations = case.scenario.client.destinations
    need, more = now.hosts(rate, destinations), now.hosts(MORE * rate, destinations)
    less = ""
    if need > 1:
        share = queues.erlang_b(now.each, rate * now.stay / ((need - 1) * destinations))
        less = f"; {need - 1}: {say.pct(share)} refused"
    hosts_said = plural(need, "client host or gateway", "client hosts or gateways")
    answer.say("need", f"{hosts_said}{less}; at +10 % load {say.num(more)}", "F")
    for name, value, unit in (
        ("demand", wanted, "count"), ("exist", now.exist, "count"), ("refused", now.refused, "ratio"),
        ("sustainable_rate", now.sustainable, "1/s"), ("rate_within_target", allowed, "1/s"),
        ("hosts_needed", need, "count"), ("hosts_needed_at_110_percent", more, "count"),
        ("blocked", now.stay * NS, "ns"),
    ):  # fmt: skip
        answer.note(name, value, unit, "F")


def _alternatives(answer: Answer, case: Case, now: _Ports) -> None:
    client = case.scenario.client
    said = []
    for variant in case.variants:
        each = variant.changes.get("load.requests_per_connection")
        other = case.varied(variant)
        if each is not None and "load.rate" not in variant.changes:
            other = _kept_alive(case, other, int(str(each)))
            answer.assumed.append(f"{variant.label}: the same requests per second, {each} a connection")
        there = _ports_of(other)
        wanted = there.rate * there.stay
        share = f", {say.pct(there.refused)} refused" if there.refused > now.loss else ""
        said.append(f"{variant.label}: {say.num(wanted)} ports, {say.pct(wanted / there.exist)} used{share}")
        answer.note(f"vs.{variant.label}.demand", wanted, "count", "F")
        answer.note(f"vs.{variant.label}.refused", there.refused, "ratio", "F")
    need = now.hosts(now.rate, 1)
    if need > now.tuples:
        destinations = -(-need // client.hosts)
        said.append(f"{destinations} destination addresses")
        waits = _time_wait_for(now, case)
        if waits >= 1:
            said.append(f"TIME_WAIT <= {math.floor(waits)} s")
            answer.note("time_wait_within_target", waits * NS, "ns", "F")
        answer.note("destinations_needed", destinations, "count", "F")
    if said:
        answer.say("instead", " | ".join(said), "F")
    if case.remedies:
        answer.parts.append(_remedies(answer, case))


def _time_wait_for(now: _Ports, case: Case) -> float:
    """Longest TIME_WAIT within the target, the rest of the blocking time as it is."""
    busy = now.stay - case.hosts.client.time_wait_ms / 1000
    if busy < 0:
        return 0.0
    return queues.load_for(now.each, now.loss) * now.tuples / now.rate - busy


def _kept_alive(case: Case, other: Case, each: int) -> Case:
    """As many requests per second in connections that carry `each` of them."""
    load = case.scenario.load[0]
    rate = (ports.total_rate(case.scenario) or 0.0) * load.requests_per_connection / each
    hold = load.hold.mean / NS / load.requests_per_connection * each
    return other.other({"load.rate": rate, "load.hold": hold})


def _remedies(answer: Answer, case: Case) -> Table:
    rows = []
    for name, changes, cost in _REMEDIES:
        if not changes:
            changes = {"client.destinations": 2 * case.scenario.client.destinations}
        there = _ports_of(case.other(changes))
        if name.startswith("server"):
            cost += f", {say.num(there.exist)}"
        rows.append((name, say.whole(there.sustainable, 4 if there.sustainable < 1e4 else 3), cost))
        answer.note(f"remedy.{name}.sustainable_rate", there.sustainable, "1/s", "F")
    return Table(("remedy", "conn/s", "cost or risk"), rows, ["F"] * len(rows))
