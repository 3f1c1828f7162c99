"""What a run will take of this machine's memory, estimated from the scenario before it is played.

It is the simulator's own memory, not what a host's kernel would use. Connections are those that are alive at
once (rate times holding time) and those in TIME_WAIT, no more than there are ports or arrivals. A flood's
entries are no more than the half-open queue holds.
"""

from __future__ import annotations

import math
import os
from typing import Final

from loadgen.scenario.model import Load, Scenario
from loadgen.sim.resting import may_rest
from tcpcore import Config

#: Bytes of a connection at one end: TCB, cold record, flow table, timers; what data and TIME_WAIT add to it.
_OF_AN_END: Final = 95
_OF_TIMESTAMPS: Final = 16  # of these, where both ends have them
_OF_DATA_CLIENT: Final = 80
_OF_DATA_SERVER: Final = 20
_OF_TIME_WAIT: Final = 35
#: What the event loop keeps of a live connection, of one at rest, of one that says something, of a segment
#: under way.
_OF_THE_LOOP: Final = 135
_OF_A_REST: Final = 8
_OF_A_TALK: Final = 75
_IN_FLIGHT: Final = 180
#: The interpreter with numpy and an engine's tables; the spoofed segments of a flood, drawn ahead.
_OF_A_PROCESS: Final = 50 << 20
_OF_A_FLOOD: Final = 20 << 20
#: More than was measured (2026-11: eight runs of 45 to 1,040 MB), as tables grow in steps.
_MARGIN: Final = 1.1
_S: Final = 1e9


def estimate_bytes(scenario: Scenario, client: Config, server: Config, processes: int = 1) -> int:
    """Bytes that so many processes take, each with a replicate."""
    live, under_way = 0.0, 0.0
    for load in scenario.load:
        live += _live(load, scenario)
        under_way += _under_way(load, scenario)
    live = min(live, _ports(scenario, client))
    under_way = min(under_way, live)
    one = engines_bytes(scenario, client, server)
    loop = _OF_A_REST if may_rest(scenario) else _OF_THE_LOOP + (_OF_A_TALK if _talks(scenario) else 0)
    one += live * loop + under_way * _IN_FLIGHT
    one += _OF_A_PROCESS + (_OF_A_FLOOD if scenario.flood else 0)
    return int(min(processes, scenario.run.seeds) * _MARGIN * one)


def engines_bytes(scenario: Scenario, client: Config, server: Config) -> float:
    """Bytes of what both ends' engines keep of their connections, of one replicate."""
    ports, talks, closed = _ports(scenario, client), _talks(scenario), scenario.server.closes.server
    live = min(sum(_live(load, scenario) for load in scenario.load), ports)
    all_of_them = min(sum(_all(load, scenario) for load in scenario.load), ports)
    caps = (client.tcp_max_tw_buckets * scenario.client.hosts, server.tcp_max_tw_buckets)
    an_end = _OF_AN_END - (0 if client.tcp_timestamps and server.tcp_timestamps else _OF_TIMESTAMPS)
    entries = 0.0
    for config, share, most, data in (
        (client, 1 - closed, caps[0], _OF_DATA_CLIENT), (server, closed, caps[1], _OF_DATA_SERVER),
    ):  # fmt: skip
        waiting = min(_waiting(scenario, config, share), most, all_of_them)
        data *= talks
        ends = min(live + waiting, all_of_them)
        entries += ends * (an_end + data) + waiting * max(0, _OF_TIME_WAIT - data)
    return entries + _half_open(scenario, server) * _OF_AN_END


def of_a_connection() -> int:
    """Bytes of an idle connection at one end, its part of the event loop included."""
    return _OF_AN_END + _OF_THE_LOOP // 2


def available_bytes() -> int | None:
    """Memory that a new process could have without swapping; None where the system does not tell."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return None


def _most_per_second(load: Load) -> float:
    return max((rate for _, rate in load.shape), default=0.0)


def _arrivals(load: Load, scenario: Scenario, span_ns: float) -> float:
    """The most connections that begin within a span."""
    if load.times_ns:
        most = float(len(load.times_ns))
    elif span_ns <= 0:
        most = 0.0  # of all at once, too
    else:
        most = _most_per_second(load) * min(span_ns, scenario.run.duration_ns) / _S
    return most if load.count is None else min(most, load.count)


def _ports(scenario: Scenario, client: Config) -> float:
    return float(client.ports()) * scenario.client.hosts * scenario.client.destinations


def _talks(scenario: Scenario) -> bool:
    """Whether anybody says anything."""
    return any(load.speaks != "nobody" and load.request + load.response > 0 for load in scenario.load)


def _live(load: Load, scenario: Scenario) -> float:
    """Connections that are alive at once."""
    if load.concurrency:
        return load.concurrency
    span = load.hold.mean + 4 * scenario.link.rtt.mean
    if load.close_at_ns is not None:
        span = scenario.run.duration_ns
    mean = _arrivals(load, scenario, span)
    most = 1 + mean + 4 * math.sqrt(mean)  # of a Poisson number
    return most if load.count is None else min(most, load.count)


def _all(load: Load, scenario: Scenario) -> float:
    """Connections that there will be."""
    if load.concurrency:
        return float("inf") if load.count is None else load.count
    return max(_live(load, scenario), _arrivals(load, scenario, float(scenario.run.duration_ns)))


def _under_way(load: Load, scenario: Scenario) -> float:
    """Connections of which a segment is under way, of those that begin within a round trip."""
    return min(_live(load, scenario), _arrivals(load, scenario, max(scenario.link.rtt.mean, 1.0)))


def _waiting(scenario: Scenario, config: Config, share: float) -> float:
    """Connections in TIME_WAIT at once; none where they are held to the end."""
    span = config.time_wait_ms * 1e6
    entries = 0.0
    for load in scenario.load:
        if load.hold.mean >= scenario.run.duration_ns and not scenario.run.drain:
            continue
        if load.concurrency:
            each = max(load.hold.mean + 2 * scenario.link.rtt.mean, 1e5)
            entries += load.concurrency * min(span, scenario.run.duration_ns) / each
        else:
            entries += _arrivals(load, scenario, span)
    return share * entries


def _half_open(scenario: Scenario, server: Config) -> float:
    listen = scenario.server.listen
    backlog = server.somaxconn if listen.backlog is None else min(listen.backlog, server.somaxconn)
    most = (backlog + 1) * listen.listeners * scenario.client.destinations
    return min(most, sum(flood.rate for flood in scenario.flood) * scenario.run.duration_ns / _S)
