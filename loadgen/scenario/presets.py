"""The scenarios that the commands `handshake`, `close`, `churn` and `flood` stand for.

Options are those of the commands (OPTIONS says which place each is) or dotted paths, in texts with units or
numbers in base units. What an option leaves open is chosen from the others, and only then:

- `clients`: so many addresses that a quarter of their ports is used, and ports are no limit;
- handshake and close: `duration`, long enough for every connection to be decided; flat out (without `rate`)
  the listener's limits are raised to hold all;
- close: `tcp_max_tw_buckets` of both ends, raised to the number of connections; the moment of the close.

handshake and close open everything before anything is closed: no port and no TIME_WAIT entry is used twice.
They say what such a burst costs, and nothing of a host in steady use; that is churn.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Final

from loadgen.scenario import hosts, knobs
from loadgen.scenario.check import check
from loadgen.scenario.errors import Mistake, ScenarioError, hint
from loadgen.scenario.model import Client, Flood, Link, Load, Run, Scenario, Server, Tries
from loadgen.scenario.numbers import LONGEST_NS, read_rate, read_time
from loadgen.scenario.paths import changed, every_path, resolve_path, total_peak
from loadgen.scenario.values import Distribution

#: Option -> the places of the scenario that it sets.
OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "connections": ("load.count",),
    "rate": ("load.rate",),
    "clients": ("client.hosts",),
    "ports": ("client.knobs.ip_local_port_range",),
    "time_wait": ("server.knobs.time_wait_ms", "client.knobs.time_wait_ms"),
    "profile": ("server.profile", "client.profile"),
    "sysctl": ("server.sysctl",),
    "closes": ("server.closes",),
    "backlog": ("server.listen.backlog",),
    "listeners": ("server.listen.listeners",),
    "accept_time": ("server.accept.time",),
    "accept_workers": ("server.accept.workers",),
    "accept_stall": ("server.accept.stall",),
    "flood_rate": ("flood.rate",),
    "flood_kind": ("flood.kind",),
    "flood_arrivals": ("flood.arrivals",),
    "flood_count": ("flood.count",),
    "bursts": ("flood.bursts",),
    "during": ("flood.during",),
    "sources": ("flood.sources",),
    "seed": ("seed",),
    "honest_bursts": ("run.honest_bursts",),
    **{
        name: (f"load.{name}",)
        for name in ("arrivals", "shape", "concurrency", "hold", "requests_per_connection", "request",
                     "response", "speaks", "idle_timeout", "patience", "tries", "close_delay",
                     "half_close", "half_close_bytes", "syn_data")
    },
    **{
        name: (f"link.{name}",)
        for name in ("rtt", "jitter", "loss", "burst", "duplicate", "duplicate_after", "reorder",
                     "reorder_after", "late", "last_ack_loss")
    },
    **{name: (f"run.{name}",) for name in ("duration", "warmup", "seeds", "series", "drain", "batch")},
    "destinations": ("client.destinations",),
}  # fmt: skip

SECOND: Final = 1_000_000_000
_MS: Final = 1_000_000
_RTT: Final = Distribution("const", float(_MS))
_RESENDS_NS: Final = 132 * SECOND  # connect() of Linux gives up after 131 s, and a SYN-ACK after 63
_BURST: Final = Load("burst", "paced", rate=math.inf, count=10_000, request=0, speaks="nobody")
_CLOSED: Final = dataclasses.replace(_BURST, close_delay_ns=_MS, half_close_bytes=10_000)
_COPIES_AFTER: Final = 10 * SECOND
#: So that what is seen is TIME_WAIT's own work: no PAWS, a slow ISN clock, and no reset ends TIME_WAIT.
_BARE: Final[Mapping[str, int]] = {"isn_tick_ns": 4_000_000, "tcp_timestamps": 0, "tcp_rfc1337": 1}

#: What each is before any option.
BASES: Final[Mapping[str, Scenario]] = {
    "handshake": Scenario(name="handshake", load=[_BURST], link=Link(_RTT)),
    "close": Scenario(name="close", load=[_CLOSED], link=Link(_RTT), run=Run(drain=True)),
    "churn": Scenario(name="churn", load=[Load("clients", rate=1000.0)], link=Link(_RTT)),
    "flood": Scenario(
        name="flood",
        load=[Load("clients", rate=200.0, patience_ns=5 * SECOND)],
        flood=[Flood("spoofed", rate=10_000.0)],
        link=Link(_RTT),
        run=Run(honest_bursts=12),
    ),
}


def handshake(**options: object) -> Scenario:
    """Open `connections` (10k), at `rate` or all at once, and hold them for `hold` more.

    Nobody says anything, so that a lost third ACK is seen as a ghost.
    """
    return preset("handshake", options)


def close(**options: object) -> Scenario:
    """Open `connections` (10k), hold them for `hold`, close them at `rate` or all at once, and drain."""
    return preset("close", options)


def churn(**options: object) -> Scenario:
    """Connections that come (`rate` 1k/s, Poisson), live for `hold` (0) and go, for `duration` (60 s)."""
    return preset("churn", options)


def flood(**options: object) -> Scenario:
    """Spoofed segments (`flood_rate` 10k/s) beside clients (`rate` 200/s, patience 5 s); either may be 0."""
    return preset("flood", options)


PRESETS: Final[Mapping[str, Callable[..., Scenario]]] = {
    "handshake": handshake, "close": close, "churn": churn, "flood": flood,
}  # fmt: skip


def preset(kind: str, options: Mapping[str, object]) -> Scenario:
    """The scenario of a preset with these options or dotted paths. Raises ScenarioError."""
    if kind not in BASES:
        raise ScenarioError(f"no preset is called {kind!r}{hint(kind, BASES)}")
    changes = _places(BASES[kind], options)
    scenario, given = BASES[kind], _given(changes)
    if kind == "flood":
        scenario, changes = _without_nothing(scenario, changes)
    if changes.get("load.concurrency") and "load.rate" not in changes:
        load = dataclasses.replace(scenario.load[0], shape=((0, 0.0),))  # users have no rate
        scenario = dataclasses.replace(scenario, load=[load])
    scenario = changed(scenario, changes)
    if not scenario.load:
        filled = scenario
    elif kind in ("handshake", "close"):
        filled = _burst(scenario, given, closes=kind == "close")
    else:
        filled = _enough_clients(scenario, given)
    check(filled)
    return filled


def _places(scenario: Scenario, options: Mapping[str, object]) -> dict[str, object]:
    """Whole path -> value."""
    changes: dict[str, object] = {}
    for name, value in options.items():
        if value is None and name in OPTIONS:
            continue  # not given
        for path in OPTIONS.get(name, (name,)):
            try:
                full = resolve_path(scenario, path)
                changes[full] = -(-read_time(value) // _MS) if name == "time_wait" else value
            except Mistake as error:
                near = hint(name, [*OPTIONS, *every_path(scenario), *knobs.DECLARED])
                message = str(error)
                raise ScenarioError(
                    message if name not in OPTIONS and near in message else f"{name}: {message}"
                ) from None
    return changes


def _given(changes: Mapping[str, object]) -> set[str]:
    """The paths, knobs of both ends as those of each."""
    both = [path.rpartition(".")[2] for path in changes if path.startswith(f"{knobs.BOTH}.")]
    return {*changes, *(f"{side}.knobs.{name}" for side in (knobs.SERVER, knobs.CLIENT) for name in both)}


def _without_nothing(scenario: Scenario, changes: dict[str, object]) -> tuple[Scenario, dict[str, object]]:
    """Without the load or the flood whose rate is 0, and without what is set of it."""
    for field in ("load", "flood"):
        rate = changes.get(f"{field}.rate")
        try:
            nothing = rate is not None and read_rate(rate) == 0
        except Mistake as error:
            raise ScenarioError(f"{field}.rate: {error}") from None
        if nothing and (field == "flood" or "load.count" not in changes):
            scenario = dataclasses.replace(scenario, **{field: ()})  # type: ignore[arg-type]
            changes = {path: value for path, value in changes.items() if not path.startswith(f"{field}.")}
    return scenario, changes


# -- what is chosen ------------------------------------------------------------------------------


def _enough_clients(scenario: Scenario, given: set[str]) -> Scenario:
    """So many addresses that a quarter of their ports is in use."""
    if "client.hosts" in given:
        return scenario
    config = hosts.config(scenario.client, knobs.CLIENT)
    ports = max(config.ports() // 4, 1) * scenario.client.destinations
    wanted = sum(
        _ports_wanted(load, scenario.run.duration_ns, config.time_wait_ms * _MS) for load in scenario.load
    )
    found = min(max(1, -(-wanted // ports)), 1 << 20)
    return dataclasses.replace(scenario, client=dataclasses.replace(scenario.client, hosts=found))


def _ports_wanted(load: Load, duration_ns: int, time_wait_ns: int) -> int:
    """Ports that a load uses at once at most."""
    busy = min(duration_ns, load.hold.mean + time_wait_ns) if load.close_at_ns is None else duration_ns
    peak = total_peak([load])
    by_rate = int(peak * busy / SECOND) + 1 if peak < math.inf else load.count or 1
    if load.concurrency:
        by_rate = load.concurrency * 100  # short lives end in TIME_WAIT
    if load.count is None:
        return by_rate
    return min(load.count, by_rate)


def _burst(scenario: Scenario, given: set[str], *, closes: bool) -> Scenario:
    """handshake and close: all limits and moments that follow from the number of connections."""
    load = scenario.load[0]
    peak = total_peak([load])
    at_once = peak == math.inf
    timed = "run.duration" in given
    if timed and not at_once and "load.count" not in given:
        load = dataclasses.replace(load, count=max(1, int(peak * scenario.run.duration_ns / SECOND)))
        timed = False
    count = load.count or 1
    span = int(count / peak * SECOND) if peak else 0  # of inf: none
    settle = _decided_after(scenario, peak, given)
    hold = load.hold.mean
    closing = load.close_at_ns if load.close_at_ns is not None else int(span + settle + hold)
    if closes:
        rate = load.close_rate if "load.close_rate" in given or at_once else peak
        load = dataclasses.replace(load, close_at_ns=closing, close_rate=rate, hold=Distribution())
        end = closing + (int(count / rate * SECOND) if rate else 0) + settle
    else:
        end = closing
        load = dataclasses.replace(load, hold=Distribution("const", float(LONGEST_NS)))  # to the end
    again = closes and any(scenario.link.duplicate.values())
    run = scenario.run if timed else dataclasses.replace(scenario.run, duration_ns=max(end, _MS))
    scenario = dataclasses.replace(scenario, load=[load, *scenario.load[1:]], run=run)
    if at_once:
        scenario = _raised(scenario, given, "server", somaxconn=count, tcp_max_syn_backlog=2 * count)
    if closes:
        scenario = _raised(scenario, given, "server", tcp_max_tw_buckets=count)
        scenario = _raised(scenario, given, "client", tcp_max_tw_buckets=count)
    scenario = _enough_clients(scenario, given)
    return _opened_again(scenario, given, run.duration_ns, timed) if again else scenario


def _opened_again(scenario: Scenario, given: set[str], at: int, timed: bool) -> Scenario:
    """With a second connection for each of the first, between the same two ports, while old segments come.

    One that TIME_WAIT refuses is opened again when TIME_WAIT is over.
    """
    for side in (knobs.SERVER, knobs.CLIENT):
        end: Server | Client = getattr(scenario, side)
        bare = {name: value for name, value in _BARE.items() if f"{side}.knobs.{name}" not in given}
        changed_end = {side: dataclasses.replace(end, knobs={**end.knobs, **bare})}
        scenario = dataclasses.replace(scenario, **changed_end)  # type: ignore[arg-type]
    link = scenario.link
    if "link.duplicate_after" not in given:
        link = dataclasses.replace(link, duplicate_after_ns=_COPIES_AFTER)
    first = scenario.load[0]
    if not {"load.speaks", "load.request", "load.response"} & given:
        first = dataclasses.replace(first, speaks="server", request=1000, response=1000)
    wait = max(hosts.config(scenario.client, knobs.CLIENT).time_wait_ms,
               hosts.config(scenario.server, knobs.SERVER).time_wait_ms) * _MS  # fmt: skip
    wait += link.duplicate_after_ns + SECOND  # an old segment may restart it
    again = dataclasses.replace(
        first, name="second", again=first.name, start_ns=at, request=0, close_at_ns=None,
        shape=((0, math.inf),),
        hold=Distribution("const", float(LONGEST_NS)), tries=Tries(2, wait, 1.0), half_close=0.0,
        speaks="server" if first.response else "nobody",
    )  # fmt: skip
    run = scenario.run
    if not timed:
        run = dataclasses.replace(run, duration_ns=at + 2 * wait, drain=False)
    return dataclasses.replace(scenario, link=link, load=[first, again, *scenario.load[1:]], run=run)


def _decided_after(scenario: Scenario, peak: float, given: set[str]) -> int:
    """How long after the last arrival all is decided: resends only where something may be lost."""
    link, accept = scenario.link, scenario.server.accept
    wide = 1 if link.rtt.family == "const" else 4
    trip = int(4 * wide * link.rtt.mean) + 4 * (link.jitter_ns + link.reorder_after_ns) + 10 * _MS
    server = hosts.config(scenario.server, knobs.SERVER)
    queue = min(server.somaxconn, server.tcp_max_syn_backlog)
    limited = {"server.listen.backlog", "server.knobs.somaxconn", "server.knobs.tcp_max_syn_backlog"} & given
    full = limited or (peak < math.inf and peak * trip / SECOND > queue / 2)
    slow = accept.stall_ns or not accept.time.is_zero
    lossy = any(link.loss.values()) or link.burst.enter > 0
    served = int((scenario.load[0].count or 1) * accept.time.mean / accept.workers)
    return trip + served + (_RESENDS_NS if lossy or full or slow else 0)


def _raised(scenario: Scenario, given: set[str], side: str, **least: int) -> Scenario:
    """Knobs of an end, at least these, where neither the options nor its sysctl file set them."""
    end: Server | Client = scenario.server if side == knobs.SERVER else scenario.client
    config = hosts.config(end, side)
    taken = hosts.sysctl(end.sysctl, side).sysctl_taken if end.sysctl is not None else ()
    raised = {
        name: min(value, 2**31 - 1)
        for name, value in least.items()
        if f"{side}.knobs.{name}" not in given and name not in taken and getattr(config, name) < value
    }
    if not raised:
        return scenario
    return dataclasses.replace(scenario, **{side: dataclasses.replace(end, knobs={**end.knobs, **raised})})  # type: ignore[arg-type]
