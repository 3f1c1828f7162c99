"""What the entries of a scenario must be together: numbers that are legal one by one and not side by side.

`check` raises ScenarioError for the first thing that is wrong; `mistakes` is what it is made of, for readers
that know file and line. Metrics of thresholds are checked by `loadgen.report`, who has them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from loadgen.scenario import knobs
from loadgen.scenario.errors import Mistake, ScenarioError, hint, shown
from loadgen.scenario.model import (
    KINDS,
    WORKLOAD,
    Client,
    Event,
    Flood,
    Link,
    Load,
    Run,
    Scenario,
    Server,
    Threshold,
    Tries,
)
from loadgen.scenario.numbers import HIGHEST_RATE, LONGEST_NS, count, write_time
from loadgen.scenario.readers import TESTS, address, kernel, text
from loadgen.scenario.readers import name as row_name
from loadgen.scenario.schema import at, inside
from loadgen.scenario.tables import FLOOD, LOAD
from loadgen.scenario.values import checked

MOST_ROWS: Final = 10_000_000  # of a series
HIGHEST_FLOOD: Final = 100_000_000  # per second
MOST_BURSTS: Final = 1_000_000
WITH_KERNELS: Final = frozenset({"linux"})  # profiles that a version of a kernel changes
REFLECTORS: Final = "172.16.0.0"  # where the hosts of reflect:N begin
_MULTICAST: Final = int(IPv4Address("224.0.0.0"))


def check(scenario: Scenario) -> None:
    """Raise ScenarioError unless the scenario can be played."""
    try:
        mistakes(scenario)
    except Mistake as error:
        raise ScenarioError(said(error)) from None


def said(error: Mistake) -> str:
    """The message with its place: `load.browsers.hold: expected ...`."""
    message, place = str(error), error.place
    if place and message.startswith("unknown k") and shown(place[-1]) in message:
        place = place[:-1]  # the message has it
    return f"{'.'.join(map(str, place))}: {message}" if place else message


def mistakes(scenario: Scenario) -> None:
    """Raise Mistake, with its place, unless the scenario can be played."""
    with inside("server"):
        _server(scenario.server)
    with inside("client"):
        _client(scenario.client, scenario.server)
    with inside("link"):
        _link(scenario.link)
    with inside("run"):
        _run(scenario.run)
    _require(scenario.schema == 1, "schema", f"expected 1, got {shown(scenario.schema)}")
    _between("seed", scenario.seed, 0, 2**64 - 1)
    at("name", text, scenario.name)
    _names("load", [load.name for load in scenario.load], LOAD)
    _names("flood", [flood.name for flood in scenario.flood], FLOOD)
    for number, load in enumerate(scenario.load):
        with inside("load"), inside(number):
            _load(load, scenario)
    for number, flood in enumerate(scenario.flood):
        with inside("flood"), inside(number):
            _flood(flood, scenario)
    for number, event in enumerate(scenario.event):
        with inside("event"), inside(number):
            _event(event, scenario)
    for number, threshold in enumerate(scenario.threshold):
        with inside("threshold"), inside(number):
            _threshold(threshold)


def _require(holds: bool, name: str, message: str) -> None:
    if not holds:
        with inside(name):
            raise Mistake(message)


def _between(name: str, value: float, low: float, high: float) -> None:
    _require(low <= value <= high, name, f"expected {low:,} to {high:,}, got {shown(value)}")


def _share(name: str, value: float) -> None:
    _between(name, value, 0, 1)


def _nanoseconds(name: str, value: int | None) -> None:
    """A time that may be left open."""
    _between(name, value or 0, 0, LONGEST_NS)


def _names(field: str, names: list[str], keys: Iterable[str]) -> None:
    """Names that a path can hold: words, each once, and no key of the table."""
    for number, name in enumerate(names):
        with inside(field), inside(number):
            at("name", row_name, name)
            _require(name not in names[:number], "name", f"expected names that differ, got {name!r} twice")
            _require(name not in keys, "name", f"expected a name that is no key of [[{field}]], got {name!r}")


def _threshold(threshold: Threshold) -> None:
    at("metric", text, threshold.metric)
    at("text", text, threshold.text)
    _require(bool(threshold.metric), "metric", "expected the name of a metric")
    _require(threshold.test in TESTS, "is", f"expected one of {' '.join(TESTS)}, got {threshold.test!r}")
    _require(0 <= threshold.bound < math.inf, "is", f"expected a number from 0 up, got {threshold.bound}")


def _kernel(end: Server | Client) -> None:
    at("kernel", kernel, end.kernel)
    message = f"acts only with profile linux, got profile {end.profile}"
    _require(end.kernel is None or end.profile in WITH_KERNELS, "kernel", message)


def _server(server: Server) -> None:
    listen, accept, closes = server.listen, server.accept, server.closes
    _kernel(server)
    with inside("listen"):
        at("addr", address, listen.addr)
        _between("port", listen.port, 1, 65535)
        _between("backlog", listen.backlog or 0, 0, 2**31 - 1)
        _between("listeners", listen.listeners, 1, 1024)
    with inside("accept"):
        at("time", checked, accept.time)
        _between("workers", accept.workers, 1, 1 << 16)
        holds = 0 < accept.stall_ns < accept.stall_every_ns or accept.stall_ns == accept.stall_every_ns == 0
        _require(holds, "stall", "expected LENGTH/PERIOD with LENGTH above 0 and below PERIOD")
    with inside("closes"):
        _share("server", closes.server)
        _share("reset", closes.reset)
        _share("both", closes.both)
        total = closes.server + closes.reset + closes.both
        _require(total <= 1, "server", "expected server, reset and both together to be at most 100%")
        _require(not (closes.turns and total), "turns", "expected no shares beside it")
    _knobs(server.knobs, "server")


def _client(client: Client, server: Server) -> None:
    _kernel(client)
    message = f"expected at least 1, got {client.hosts}: a load needs clients"
    _require(client.hosts >= 1, "hosts", message)
    _between("hosts", client.hosts, 1, 1 << 20)
    _between("destinations", client.destinations, 1, 1 << 16)
    at("first_addr", address, client.first_addr)
    first, theirs = int(IPv4Address(client.first_addr)), int(IPv4Address(server.listen.addr))
    _require(first + client.hosts <= _MULTICAST, "hosts", "expected unicast addresses, below 224.0.0.0")
    _require(theirs + client.destinations <= _MULTICAST, "destinations",
             "expected unicast addresses, below 224.0.0.0")  # fmt: skip
    apart = first + client.hosts <= theirs or theirs + client.destinations <= first
    _require(apart, "first_addr", f"expected addresses that are not the server's, got {client.first_addr} "
             f"and {client.hosts:,} hosts")  # fmt: skip
    _knobs(client.knobs, "client")


def _knobs(given: Mapping[str, object], side: str) -> None:
    for name, value in given.items():
        with inside("knobs"):
            with inside(name):
                knobs.read(name, value, side)


def _link(link: Link) -> None:
    at("rtt", checked, link.rtt)
    for name in ("loss", "duplicate"):
        shares = getattr(link, name)
        for kind, share in shares.items():
            with inside(name):
                _share(kind, share)
                both = share + (shares.get("all", 0.0) if kind != "all" else 0.0)
                _require(both <= 1, kind, f"expected all and {kind} together to be at most 100%")
                _require(kind in ("all", *KINDS), kind, f"expected one of all, {', '.join(KINDS)}")
    for field in ("enter", "leave", "loss"):
        with inside("burst"):
            _share(field, getattr(link.burst, field))
    _require(link.burst.leave > 0 or link.burst.enter == 0, "burst", "expected leave above 0: it never ends")
    _share("reorder", link.reorder)
    _share("last_ack_loss", link.last_ack_loss)
    with inside("late"):
        _share("share", link.late_share)
    for field in ("jitter", "duplicate_after", "reorder_after"):
        _nanoseconds(field, getattr(link, f"{field}_ns"))
    with inside("late"):
        _nanoseconds("after", link.late_after_ns)


def _run(run: Run) -> None:
    _require(run.duration_ns > 0, "duration", f"expected more than 0, got {write_time(run.duration_ns)}")
    warm = run.warmup_ns is None or 0 <= run.warmup_ns < run.duration_ns
    _require(warm, "warmup", f"expected less than duration, {write_time(run.duration_ns)}")
    _between("seeds", run.seeds, 1, 10_000)
    _between("batch", run.batch, 1, 1 << 20)
    _between("honest_bursts", run.honest_bursts, 0, 1000)
    rows = run.series_ns >= 0 and (run.series_ns == 0 or run.duration_ns // run.series_ns <= MOST_ROWS)
    _require(rows, "series", f"expected at most {MOST_ROWS:,} rows in the run, or 0 for none")


def _load(load: Load, scenario: Scenario) -> None:
    at("hold", checked, load.hold)
    _arrivals(load)
    _require(load.count is None or load.count >= 1, "count", f"expected at least 1, got {load.count}")
    for field in ("start", "close_at", "idle_timeout", "patience", "close_delay"):
        _nanoseconds(field, getattr(load, f"{field}_ns"))
    end = scenario.run.duration_ns
    _require(load.start_ns < end, "start", f"expected a time before the end of the run, {write_time(end)}")
    _require(load.concurrency >= 0, "concurrency", f"expected at least 0, got {load.concurrency}")
    closed = load.close_at_ns is None or load.close_at_ns >= load.start_ns
    _require(closed, "close_at", "expected a time after start")
    _between("close_rate", load.close_rate, 0, HIGHEST_RATE)
    _require(load.requests_per_connection >= 1, "requests_per_connection", "expected at least 1")
    _require(load.speaks in ("client", "server", "nobody"), "speaks", "expected client, server or nobody")
    for field in ("request", "response", "half_close_bytes"):
        _between(field, getattr(load, field), 0, 2**30)
    _between("syn_data", load.syn_data, 0, 1460)
    _share("half_close", load.half_close)
    _again(load, scenario)
    _tries(load.tries)


def _again(load: Load, scenario: Scenario) -> None:
    """The load whose addresses and ports it has once more."""
    if not load.again:
        return
    named = {one.name: one for one in scenario.load}
    _require(load.again in named, "again", f"no load is called {shown(load.again)}{hint(load.again, named)}")
    first = named[load.again]
    _require(
        first is not load and not first.again,
        "again",
        "expected the name of another load, of first connections",
    )
    holds = first.count is not None and load.count is not None and load.count <= first.count
    _require(holds, "count", f"expected a count here and in {load.again}, here no more than there")
    _require(scenario.client.destinations == 1, "again", "expected one destination beside it")


def _arrivals(load: Load) -> None:
    if load.arrivals == WORKLOAD:
        _require(not load.concurrency and load.close_at_ns is None and not load.again,
                 "arrivals", "expected neither concurrency, close_at nor again beside workload")  # fmt: skip
        return
    times = [time for time, _ in load.shape]
    _require(bool(times) and times[0] == 0, "shape", "expected a first point at 0s")
    _require(times == sorted(times), "shape", "expected points whose times rise")
    rates = [rate for _, rate in load.shape]
    if rates == [math.inf]:
        _require(load.count is not None, "rate", "expected count = N beside inf, which is all at once")
    else:
        for rate in rates:
            _between("shape", rate, 0, HIGHEST_RATE)
    trace = load.arrivals.startswith("trace:")
    _require(trace == bool(load.times_ns), "arrivals", "expected trace:FILE.csv with at least one time")
    _require(
        trace or load.arrivals in ("poisson", "paced"),
        "arrivals",
        "expected poisson, paced or trace:FILE.csv",  # and of a program, workload
    )
    if max(rates) == 0 and not trace and not load.concurrency:
        _require(False, "rate", "expected more than 0/s, or inf and count = N for N connections at once")


def _tries(tries: Tries) -> None:
    with inside("tries"):
        _require(tries.count >= 0, "count", "expected at least 0")
        _require(tries.backoff_ns > 0, "backoff", "expected more than 0")
        _between("backoff", tries.factor, 0.01, 1000)
        _share("jitter", tries.jitter)


def _flood(flood: Flood, scenario: Scenario) -> None:
    _require(flood.rate > 0, "rate", "expected more than 0/s")
    _between("rate", flood.rate, 0, HIGHEST_FLOOD)
    end = scenario.run.duration_ns
    begins = 0 <= flood.start_ns < end
    _require(begins, "during", f"expected a begin before the end of the run, {write_time(end)}")
    ends = flood.stop_ns is None or flood.start_ns < flood.stop_ns <= end
    _require(ends, "during", f"expected an end after the begin and within the run, {write_time(end)}")
    _require(flood.count is None or flood.count >= 1, "count", f"expected at least 1, got {flood.count}")
    holds = (flood.on_ns > 0) == (flood.off_ns > 0) and min(flood.on_ns, flood.off_ns) >= 0
    _require(holds, "bursts", "expected ON/OFF, both above 0, or none")
    bursts = end // (flood.on_ns + flood.off_ns) if flood.off_ns else 0
    _require(bursts <= MOST_BURSTS, "bursts", f"expected at most {MOST_BURSTS:,} in the run")
    with inside("sources"):
        sources(flood.sources, scenario)


def sources(value: str, scenario: Scenario) -> tuple[IPv4Network, ...] | int:
    """The networks that a flood pretends to come from, none: anywhere; a number: so many hosts that answer.

    `0.0.0.0/0` and `random` are any unicast address that is not of the simulation's own hosts.
    """
    if value in ("0.0.0.0/0", "random"):
        return ()
    kind, colon, number = value.partition(":")
    if not colon:
        return tuple(_network(word.strip(), scenario) for word in value.split(","))
    if kind != "reflect":
        raise Mistake(f"expected networks or reflect:N, got {shown(value)}{hint(kind, ['reflect'])}")
    hosts = count(1, 1 << 20)(number)
    _apart(value, int(IPv4Address(REFLECTORS)), hosts, scenario)
    return hosts


def _network(word: str, scenario: Scenario) -> IPv4Network:
    try:
        network = IPv4Network(word)
    except ValueError as error:
        near = ""
        if "host bits" in str(error):
            near = f"; did you mean '{IPv4Network(word, strict=False)}'?"
        raise Mistake(f"expected 0.0.0.0/0, networks or reflect:N, got {shown(word)}{near}") from None
    first, size = int(network.network_address), network.num_addresses
    if first < 1 or first + size > _MULTICAST:
        raise Mistake(f"expected unicast addresses (below 224.0.0.0), got {shown(word)}")
    _apart(word, first, size, scenario)
    return network


def _apart(word: str, first: int, size: int, scenario: Scenario) -> None:
    """Refuse addresses that the simulation's own hosts have."""
    server, client = scenario.server.listen.addr, scenario.client
    for start, hosts in ((server, client.destinations), (client.first_addr, client.hosts)):
        own = int(IPv4Address(start))
        if first < own + hosts and own < first + size:
            raise Mistake(f"{word} has addresses of the simulation's own hosts ({start} and up)")


def _event(event: Event, scenario: Scenario) -> None:
    end = scenario.run.duration_ns
    within = 0 <= event.at_ns <= end
    _require(
        within, "at", f"expected 0s to the end of the run, {write_time(end)}, got {event.at_ns / 1e9:g}s"
    )
    if event.do in ("stall", "partition"):
        _require(event.for_ns > 0, "do", f"expected {event.do}:TIME with a time above 0")
    if event.do == "knob":
        with inside("do"):
            read_knob(event.knob)
    _nanoseconds("reconnect_within", event.reconnect_within_ns)
    reconnects = event.reconnect_within_ns is None or event.do == "reset-all"
    _require(reconnects, "reconnect_within", "expected reset-all beside it")


def read_knob(text: str) -> tuple[str, str, object]:
    """`[client.|both.]NAME=VALUE` of an event: end, knob, value; without an end it is the server's."""
    path, equals, value = text.partition("=")
    side, dot, name = path.strip().partition(".")
    if not dot:
        side, name = knobs.SERVER, path.strip()
    if not equals or side not in (knobs.SERVER, knobs.CLIENT, knobs.BOTH):
        raise Mistake(f"expected knob:NAME=VALUE, got {shown(text)}")
    if side == knobs.BOTH and knobs.is_knob(name) and knobs.side_of(name) != knobs.BOTH:
        raise Mistake(f"the knob {name} acts on one end only: write {knobs.side_of(name)}.{name}")
    read = knobs.read(name, value, knobs.SERVER if side == knobs.BOTH else side)
    if not knobs.is_live(name):
        where = "server.knobs and client.knobs" if side == knobs.BOTH else f"{side}.knobs"
        raise Mistake(f"the knob {name} cannot change while a host runs: write {where}")
    return side, name, read


_LONGEST_RTT_NS: Final = 10 * 10**9
_LONGEST_ACCEPT_NS: Final = 60 * 10**9
_MINUTE_NS: Final = 60 * 10**9


def implausible(scenario: Scenario) -> list[str]:
    """Times that are allowed and hardly meant, a line each: minutes (m) where milliseconds (ms) are usual."""
    link = scenario.link
    found = (
        ("link.rtt", link.rtt.mean, _LONGEST_RTT_NS, "SYNs are sent again after 1 s"),
        ("link.jitter", link.jitter_ns, _LONGEST_RTT_NS, "segments are sent again after 1 s"),
        ("server.accept.time", scenario.server.accept.time.mean, _LONGEST_ACCEPT_NS, "for each connection"),
    )
    return [
        f"{name}: {write_time(round(time))} is unusually long ({why}){_in_ms(time)}"
        for name, time, longest, why in found
        if time >= longest
    ]


def _in_ms(time: float) -> str:
    minutes = time / _MINUTE_NS
    return f"; did you mean {minutes:g}ms?" if minutes == int(minutes) else ""
