"""What the entries of a scenario must be together: numbers that are legal one by one and not side by side.

`check` raises ScenarioError for the first thing that is wrong; `mistakes` is what it is made of, for readers
that know file and line. Metrics of thresholds are checked by `loadgen.report`, who has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from loadgen.scenario import knobs
from loadgen.scenario.errors import Mistake, ScenarioError, hint, shown
from loadgen.scenario.model import Client, Event, Flood, Link, Load, Run, Scenario, Server, Tries
from loadgen.scenario.numbers import HIGHEST_RATE, write_time
from loadgen.scenario.readers import NAME, TESTS
from loadgen.scenario.schema import at, inside, place_of
from loadgen.scenario.values import checked

MOST_ROWS: Final = 10_000_000  # of a series
HIGHEST_FLOOD: Final = 100_000_000  # per second
_MULTICAST: Final = int(IPv4Address("224.0.0.0"))


def check(scenario: Scenario) -> None:
    """Raise ScenarioError unless the scenario can be played."""
    try:
        mistakes(scenario)
    except Mistake as error:
        raise ScenarioError(said(error)) from None


def said(error: Mistake) -> str:
    """The message with its place: `load.browsers.hold: expected ...`."""
    message, place = str(error), place_of(error)
    if message.startswith(("unknown key", "unknown knob")):
        place = place[:-1]
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
    for field, rows in (("load", scenario.load), ("flood", scenario.flood)):
        _names(field, [row.name for row in rows])
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
            _require(bool(threshold.metric), "metric", "expected the name of a metric")
            _require(threshold.test in TESTS, "is", f"expected {' '.join(TESTS)}, got {threshold.test!r}")
            _require(threshold.bound == threshold.bound, "is", "expected a number, got nan")


def _require(holds: bool, name: str, message: str) -> None:
    if not holds:
        with inside(name):
            raise Mistake(message)


def _between(name: str, value: float, low: float, high: float) -> None:
    _require(low <= value <= high, name, f"expected {low:,} to {high:,}, got {shown(value)}")


def _share(name: str, value: float) -> None:
    _between(name, value, 0, 1)


def _names(field: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        with inside(field), inside(number):
            _require(bool(NAME.fullmatch(name)), "name", f"expected a name, got {shown(name)}")
            _require(name not in names[:number], "name", f"expected names that differ, got {name!r} twice")


def _server(server: Server) -> None:
    listen, accept, closes = server.listen, server.accept, server.closes
    with inside("listen"):
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
        _require(closes.server + closes.reset <= 1, "server", "expected server and reset to be at most 100%")
    _knobs(server.knobs, "server")


def _client(client: Client, server: Server) -> None:
    message = f"expected at least 1, got {client.hosts}: a load needs clients"
    _require(client.hosts >= 1, "hosts", message)
    _between("hosts", client.hosts, 1, 1 << 20)
    _between("destinations", client.destinations, 1, 1 << 16)
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
    for field in ("enter", "leave", "loss"):
        with inside("burst"):
            _share(field, getattr(link.burst, field))
    _require(link.burst.leave > 0 or link.burst.enter == 0, "burst", "expected leave above 0: it never ends")
    _share("reorder", link.reorder)
    with inside("late"):
        _share("share", link.late_share)
    for field in ("jitter", "duplicate_after", "reorder_after", "late_after"):
        _require(getattr(link, f"{field}_ns") >= 0, field, "expected nothing negative")


def _run(run: Run) -> None:
    _require(run.duration_ns > 0, "duration", f"expected more than 0, got {write_time(run.duration_ns)}")
    warm = run.warmup_ns is None or 0 <= run.warmup_ns < run.duration_ns
    _require(warm, "warmup", f"expected less than duration, {write_time(run.duration_ns)}")
    _between("seeds", run.seeds, 1, 10_000)
    _between("batch", run.batch, 1, 1 << 20)
    rows = run.series_ns >= 0 and (run.series_ns == 0 or run.duration_ns // run.series_ns <= MOST_ROWS)
    _require(rows, "series", f"expected at most {MOST_ROWS:,} rows in the run, or 0 for none")


def _load(load: Load, scenario: Scenario) -> None:
    at("hold", checked, load.hold)
    _arrivals(load)
    _require(load.count is None or load.count >= 1, "count", f"expected at least 1, got {load.count}")
    _require(load.start_ns >= 0, "start", "expected nothing negative")
    end = scenario.run.duration_ns
    _require(load.start_ns < end, "start", f"expected a time before the end of the run, {write_time(end)}")
    _require(load.concurrency >= 0, "concurrency", f"expected at least 0, got {load.concurrency}")
    closed = load.close_at_ns is None or load.close_at_ns >= load.start_ns
    _require(closed, "close_at", "expected a time after start")
    _between("close_rate", load.close_rate, 0, HIGHEST_RATE)
    _require(load.requests_per_connection >= 1, "requests_per_connection", "expected at least 1")
    _require(load.speaks in ("client", "server", "nobody"), "speaks", "expected client, server or nobody")
    for field in ("request", "response"):
        _between(field, getattr(load, field), 0, 2**30)
    _tries(load.tries)


def _arrivals(load: Load) -> None:
    times = [time for time, _ in load.shape]
    _require(bool(times) and times[0] == 0, "shape", "expected a first point at 0s")
    _require(times == sorted(times), "shape", "expected points whose times rise")
    for _, rate in load.shape:
        _between("shape", rate, 0, HIGHEST_RATE)
    trace = load.arrivals.startswith("trace:")
    _require(trace == bool(load.times_ns), "arrivals", "expected trace:FILE.csv with at least one time")
    _require(
        trace or load.arrivals in ("poisson", "paced"),
        "arrivals",
        "expected poisson, paced or trace:FILE.csv",
    )
    peak = max(rate for _, rate in load.shape)
    if peak == 0 and not trace and not load.concurrency:
        _require(
            load.count is not None, "rate", "expected more than 0/s, or count = N for N connections at once"
        )
        _require(len(times) == 1, "shape", "expected a rate above 0/s in some point")


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
    with inside("sources"):
        sources(flood.sources, scenario)


def sources(text: str, scenario: Scenario) -> tuple[IPv4Network, ...] | int:
    """The networks that a flood pretends to come from, none: anywhere; a number: so many hosts that answer.

    `0.0.0.0/0` and `random` are any unicast address that is not of the simulation's own hosts.
    """
    if text in ("0.0.0.0/0", "random"):
        return ()
    kind, colon, number = text.partition(":")
    if colon:
        if kind != "reflect" or not (
            number.isascii() and number.isdigit() and 1 <= int(number[:8]) <= 1 << 20
        ):
            near = hint(kind, ["reflect"])
            raise Mistake(
                f"expected networks, or reflect:N with N from 1 to {1 << 20:,}, got {shown(text)}{near}"
            )
        return int(number)
    networks = []
    for word in text.split(","):
        try:
            network = IPv4Network(word.strip())
        except ValueError:
            raise Mistake(f"expected 0.0.0.0/0, networks, or reflect:N, got {shown(word.strip())}") from None
        first, size = int(network.network_address), network.num_addresses
        if first < 1 or first + size > _MULTICAST:
            raise Mistake(f"expected unicast addresses (below 224.0.0.0), got {shown(word.strip())}")
        for start, hosts in ((scenario.server.listen.addr, scenario.client.destinations),
                             (scenario.client.first_addr, scenario.client.hosts)):  # fmt: skip
            own = int(IPv4Address(start))
            if first < own + hosts and own < first + size:
                raise Mistake(f"{word.strip()} has addresses of the simulation's own hosts ({start})")
        networks.append(network)
    return tuple(networks)


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
    return side, name, knobs.read(name, value, knobs.SERVER if side == knobs.BOTH else side)
