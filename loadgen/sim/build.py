"""From a scenario to engines and numbers that the event loop takes.

Decides how hosts map to engines (S1.1 to S1.8) and how large the engines are (S1.9). `facts` are plain
numbers: whatever text or file a scenario named has been read before.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any, Final

from loadgen.scenario import hosts
from loadgen.scenario.model import KINDS, Flood, Link, Load, Scenario
from loadgen.sim.resting import may_rest
from loadgen.sim.simulator import engine_seed
from loadgen.theory import ports
from tcpcore import Config, Engine, Flag

FOREVER: Final = (1 << 63) - 1
MAX_CAPACITY: Final = 1 << 26
UNLIMITED: Final = 2**31 - 1  # of a knob
WINDOW_NS: Final = 100_000_000
MOST_WINDOWS: Final = 50_000
SYN_LIFE_NS: Final = 132_000_000_000  # a Linux host's connect() gives up after 131 s
_MOST_CONNECTIONS: Final = 1 << 62
_EVENTS: Final = ("established", "lost", "eof")
_FLAGS: Final = {"syn": Flag.SYN, "ack": Flag.ACK, "rst": Flag.RST, "fin": Flag.FIN | Flag.ACK}


@dataclass(frozen=True)
class Plan:
    """Engines with open listeners, and the numbers of the scenario."""

    servers: list[Engine]
    clients: list[Engine]
    listeners: list[tuple[int, int]]  # (number of the server's engine, listener id)
    facts: dict[str, Any]


def window_ns(end: int) -> int:
    """Length of the windows in which half-open entries are looked at: 0.1 s, or longer in a long run."""
    return max(WINDOW_NS, -(-end // (MOST_WINDOWS * 10**6)) * 10**6)


def areas(shape: tuple[tuple[int, float], ...]) -> list[tuple[float, float, float]]:
    """(ns, connections per ns, connections until then) of each point."""
    points: list[tuple[float, float, float]] = []
    area = 0.0
    for k, (at, rate) in enumerate(shape):
        if k:
            before, slower = shape[k - 1]
            area += (at - before) * (rate + slower) / 2e9
        points.append((float(at), rate / 1e9, area))
    return points


def is_flat_out(load: Load) -> bool:
    """All connections begin at once."""
    return any(rate == float("inf") for _, rate in load.shape)


def expected(load: Load, end: int) -> float:
    """Most connections that an open load will begin, about."""
    if load.times_ns:
        return min(len(load.times_ns), load.count or FOREVER)
    if load.concurrency:
        return load.count or FOREVER
    if is_flat_out(load):
        return load.count or 0
    points, total = areas(load.shape), 0.0
    for k, (at, rate, area) in enumerate(points):
        until = points[k + 1][0] if k + 1 < len(points) else float(end)
        if until > end:
            until = end
        if until > at:
            last = points[k + 1][1] if k + 1 < len(points) else rate
            total = max(total, area + (until - at) * max(rate, last))
    most: float = total * 1.05 + 6 * total**0.5 + 16
    return min(most, load.count or FOREVER)


def peak_rate(load: Load) -> float:
    """Connections per second at most."""
    return max(rate for _, rate in load.shape) if load.shape else 0.0


def blocks_needed(scenario: Scenario, configs: list[Config], end: int) -> int:
    """Connections that may be alive at once on one side, about; an upper bound where one is known.

    configs: those that the side has, one after the other.
    """
    life = SYN_LIFE_NS + max(config.time_wait_ms for config in configs) * 10**6
    again = sum(event.reconnect_within_ns is not None for event in scenario.event)
    total = 0.0
    for load in scenario.load:
        begun = expected(load, end)
        tries = max(1, load.tries.count)
        if load.concurrency:
            per_s = 1e9 / max(1e3, load.hold.mean + scenario.link.rtt.mean)
            total += min(begun, load.concurrency * (2 + per_s * (life / 1e9)))
        elif is_flat_out(load) or load.times_ns or load.close_at_ns is not None:
            total += begun
        else:
            total += tries * min(begun, peak_rate(load) * (life + 4 * load.hold.mean) / 1e9 + 64)
    return int(min(total * (1 + again), MAX_CAPACITY)) + 64


def flood_blocks(scenario: Scenario, configs: list[Config], end: int) -> int:
    """Places that spoofed segments may take at once: those of the queues, as an engine has them, at most."""
    listen, sent, rooms = scenario.server.listen, 0.0, 0
    for flood in scenario.flood:
        during = min(end, flood.stop_ns if flood.stop_ns is not None else end) - flood.start_ns
        sent += flood.rate * max(0, during) / 1e9
    for config in configs if scenario.flood else ():
        engine = Engine(config.replace(capacity=1))
        room = engine.room(engine.listen(listen.addr, listen.port, listen.backlog))
        rooms = max(rooms, int(room["half_open_max"]) + int(room["accept_max"]))
    return int(min(sent * 1.05 + 6 * sent**0.5 + 16, (rooms + 16) * scenario.client.destinations))


def limits_act(scenario: Scenario, configs: list[Config]) -> bool:
    """S1.7: a limit that a client host has once can act under one of these Configs, which it has in turn."""
    tuples = configs[0].ports() * scenario.client.destinations
    return any(
        config.tcp_max_tw_buckets < tuples or config.tcp_challenge_ack_limit < UNLIMITED for config in configs
    )


def split(config: Config, n: int, i: int) -> dict[str, Any]:
    """S1.3: the part that engine i of n has of the host's limits; 0 challenge ACKs would be no limit."""
    if n == 1:
        return {}
    most, acks = config.tcp_max_tw_buckets, config.tcp_challenge_ack_limit
    return {
        "tcp_max_tw_buckets": most // n + (i < most % n),
        "tcp_challenge_ack_limit": max(1, acks // n + (i < acks % n)) if 0 < acks < UNLIMITED else acks,
    }


def events_of(scenario: Scenario) -> tuple[str, ...]:
    """Which events the applications need."""
    talks = any(load.speaks != "nobody" and (load.request or load.response) for load in scenario.load)
    return (*_EVENTS, "readable") if talks else _EVENTS


def make_servers(
    scenario: Scenario, configs: list[Config], seed: int, replicate: int, end: int
) -> tuple[list[Engine], list[tuple[int, int]]]:
    """The server's engines, with their listeners open. It has the Configs one after the other."""
    listen, config = scenario.server.listen, configs[0]
    events = ("opened", *events_of(scenario))
    need = blocks_needed(scenario, configs, end) + flood_blocks(scenario, configs, end)
    engines = []
    for i in range(listen.listeners):
        engine = Engine(
            dataclasses.replace(
                config,
                capacity=min(MAX_CAPACITY, need),
                seed=engine_seed(seed, replicate, i),
                events=events,
                **split(config, listen.listeners, i),
            )
        )
        engines.append(engine)
    return engines, open_listeners(scenario, engines)


def open_listeners(scenario: Scenario, engines: list[Engine]) -> list[tuple[int, int]]:
    """Listen on all addresses of the server: (number of the engine, listener id) of each."""
    listen = scenario.server.listen
    first = int(IPv4Address(listen.addr))
    takes, closes = accepts_at_once(scenario), closes_at_once(scenario)
    return [
        (i, engine.listen(first + k, listen.port, listen.backlog, auto_accept=takes, auto_close=closes))
        for i, engine in enumerate(engines)
        for k in range(scenario.client.destinations)
    ]


def set_knobs(scenario: Scenario, engines: list[Engine], is_server: bool, values: dict[str, Any]) -> None:
    """Change knobs of the engines of one end while they run: those of the server have a share each."""
    shared = not is_server and len(engines) < scenario.client.hosts  # S1.6
    for i, engine in enumerate(engines):
        own = dict(values)
        if is_server:
            parts = split(engine.config.replace(**values), len(engines), i)
            own |= {name: part for name, part in parts.items() if name in values}
        elif shared:
            own.pop("tcp_max_tw_buckets", None)
        engine.set_knobs(**own)


def rooms_of(servers: list[Engine], listeners: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], bool]:
    """Places of each listener, (half-open, accept), and whether the former are one cache for all."""
    rooms = [servers[number].room(listener) for number, listener in listeners]
    shared = any(str(room["half_open_set_by"]) == "syncache" for room in rooms)
    return [(int(room["half_open_max"]), int(room["accept_max"])) for room in rooms], shared


def accepts_at_once(scenario: Scenario) -> bool:
    """S4.1: no worker is ever busy and nothing stalls."""
    accept = scenario.server.accept
    return accept.time.is_zero and not accept.stall_every_ns and all(e.do != "stall" for e in scenario.event)


def closes_at_once(scenario: Scenario) -> bool:
    """Besides, each FIN is answered by the server's own at once."""
    return accepts_at_once(scenario) and not any(
        load.close_delay_ns or load.half_close for load in scenario.load
    )


def is_watched(scenario: Scenario) -> bool:
    """S10.1: a flood at one engine, whose half-open entries are looked at."""
    return bool(scenario.flood) and scenario.server.listen.listeners == 1


def make_clients(
    scenario: Scenario, configs: list[Config], seed: int, replicate: int, end: int
) -> tuple[list[Engine], int]:
    """The clients' engines, and how many hosts share one (S1.6). Each has the Configs in turn."""
    count, config = scenario.client.hosts, configs[0]
    events = (*events_of(scenario), "refused", "closed")
    alone = limits_act(scenario, configs) and count > 1
    share = 1 if alone else count
    tuples = share * config.ports() * scenario.client.destinations
    need = min(tuples, blocks_needed(scenario, configs, end)) + 16
    changes: dict[str, Any] = {} if alone or count == 1 else {"tcp_max_tw_buckets": UNLIMITED}
    engines = [
        Engine(
            dataclasses.replace(
                config,
                capacity=min(MAX_CAPACITY, need),
                seed=engine_seed(seed, replicate, 1 << 32 | i),
                events=events,
                local_addr=str(IPv4Address(int(IPv4Address(scenario.client.first_addr)) + i)),
                **changes,
            )
        )
        for i in range(count if alone else 1)
    ]
    return engines, share


def link_facts(link: Link, has_partition: bool) -> dict[str, Any]:
    """The link's numbers by kind of segment."""
    every = link.loss.get("all", 0.0)
    own = [link.loss.get(kind, 0.0) for kind in KINDS]
    loss = [1 - (1 - every) * (1 - share) if every else share for share in own]
    copies = [max(link.duplicate.get("all", 0.0), link.duplicate.get(kind, 0.0)) for kind in KINDS]
    plain = (
        link.rtt.family == "const"
        and not any(loss)
        and not any(copies)
        and not link.burst.enter
        and not link.reorder
        and not link.jitter_ns
        and not link.late_share
        and not has_partition
        and not link.last_ack_loss
    )
    return {
        "rtt": link.rtt,
        "constant": plain,
        "by_kind": not plain,
        "loss": loss,
        "duplicate": copies,
        "duplicate_after": link.duplicate_after_ns,
        "burst": (link.burst.enter, link.burst.leave, link.burst.loss),
        "reorder": (link.reorder, link.reorder_after_ns),
        "jitter": link.jitter_ns,
        "late": (link.late_share, link.late_after_ns),
        "last_ack": link.last_ack_loss,
    }


def load_facts(load: Load, scenario: Scenario, end: int) -> dict[str, Any]:
    """A load's numbers."""
    closes = scenario.server.closes
    flat = is_flat_out(load)
    idle = load.speaks == "nobody"
    once = load.speaks == "server" and not load.request  # S3.8
    return {
        "poisson": load.arrivals == "poisson",
        "shape": [] if flat else areas(load.shape),
        "trace": load.times_ns,
        "count": load.count if load.count is not None else _MOST_CONNECTIONS,
        "concurrency": load.concurrency,
        "start": load.start_ns,
        "stop": end,
        "hold": load.hold,
        "close_at": load.close_at_ns if load.close_at_ns is not None else -1,
        "close_gap": 1e9 / load.close_rate if load.close_rate else 0.0,
        "requests": 1 if once else load.requests_per_connection,
        "request": 0 if idle else load.request,
        "response": 0 if idle else load.response,
        "speaks": load.speaks,
        "idle": load.idle_timeout_ns,
        "patience": load.patience_ns,
        "tries": (load.tries.count, load.tries.backoff_ns, load.tries.factor, load.tries.jitter),
        "by_server": closes.server,
        "by_reset": closes.reset,
        "by_both": closes.both,
        "by_turns": closes.turns,
        "close_delay": load.close_delay_ns,
        "half_close": (load.half_close, load.half_close_bytes),
        "syn_data": load.syn_data,
        "again": [one.name for one in scenario.load].index(load.again) if load.again else -1,
        "played": False,
        "used_again": any(one.again == load.name for one in scenario.load),
        "rests": may_rest(scenario),
    }


def flood_facts(flood: Flood, end: int) -> dict[str, Any]:
    """A flood's numbers; `nets` are (first address, number of addresses less one, rising share)."""
    reflect = 0
    sources = flood.sources
    if sources.startswith("reflect:"):
        reflect = int(sources.removeprefix("reflect:"))
        nets = [(int(IPv4Address("172.16.0.0")), reflect - 1)]
    elif sources in ("0.0.0.0/0", "random"):
        nets = [(int(IPv4Address("11.0.0.0")), (223 - 11) * (1 << 24) - 1)]
    else:
        nets = []
        for text in sources.split(","):
            network = IPv4Network(text.strip())
            nets.append((int(network.network_address), network.num_addresses - 1))
    total, so_far, rows = sum(extra + 1 for _, extra in nets), 0, []
    for first, extra in nets:
        so_far += extra + 1
        rows.append((first, extra, so_far / total))
    return {
        "flags": int(_FLAGS[flood.kind]),
        "poisson": flood.arrivals == "poisson",
        "gap": 1e9 / flood.rate if flood.rate else 0.0,
        "start": flood.start_ns,
        "stop": end if flood.stop_ns is None else min(end, flood.stop_ns),
        "reflect": reflect,
        "nets": rows,
        "count": flood.count if flood.count is not None else _MOST_CONNECTIONS,
        "on": flood.on_ns,
        "off": flood.off_ns,
    }


def build(
    scenario: Scenario, server: Config, client: Config, replicate: int = 0, warmup_ns: int = 0
) -> Plan:
    """Engines and numbers for one replicate of a scenario; `server` and `client` are the hosts' settings."""
    end = scenario.run.duration_ns
    seed = scenario.seed
    configs = hosts.changes(scenario, server, client)
    servers, listeners = make_servers(scenario, configs["server"], seed, replicate, end)
    clients, share = make_clients(scenario, configs["client"], seed, replicate, end)
    accept = scenario.server.accept
    facts = {
        "seed": seed,
        "replicate": replicate,
        "batch": scenario.run.batch,
        "warmup": warmup_ns,
        "ports_at": ports.cycles_end(scenario, client, server),
        "first_rto": client.rto_initial_ms * 10**6,
        "first_addr": int(IPv4Address(scenario.client.first_addr)),
        "addrs": scenario.client.hosts,
        "addrs_per_host": share,
        "server_addr": int(IPv4Address(scenario.server.listen.addr)),
        "destinations": scenario.client.destinations,
        "port": scenario.server.listen.port,
        "link": link_facts(scenario.link, any(event.do == "partition" for event in scenario.event))
        | {
            "windows": (server.window(), client.window()),
            "any_old_ack": tuple(end.ack_range == "rfc793" for end in (server, client)),
        },
        "accept_time": accept.time,
        "workers": accept.workers,
        "stall": (accept.stall_ns, accept.stall_every_ns),
        "at_once": accepts_at_once(scenario),
        "closes_at_once": closes_at_once(scenario),
        "watch": (window_ns(end), -(-end // window_ns(end)) + 1) if is_watched(scenario) else None,
        "loads": [load_facts(load, scenario, end) for load in scenario.load],
        "floods": [flood_facts(flood, end) for flood in scenario.flood],
    }
    return Plan(servers, clients, listeners, facts)
