"""What a run will take of this machine's memory, estimated from the scenario before it is played.

It is the simulator's own memory, not what a host's kernel would use. Connections are those that are alive at
once (rate times holding time) and those in TIME_WAIT, no more than there are ports or arrivals. A flood's
entries are no more than the half-open queue holds.
"""

from __future__ import annotations

import os
from typing import Final

from loadgen.scenario.model import Load, Scenario
from loadgen.sim.resting import may_rest
from tcpcore import Config

#: Bytes of a connection: TCB, cold record, flow table and timers of one end; what the event loop keeps of it.
_OF_AN_END: Final = 130
_OF_THE_LOOP: Final = 160
#: The same where nothing is sent but handshakes and closes: no cold record, and no record of the event loop.
_OF_A_SILENT_END: Final = 86
_OF_TIMESTAMPS: Final = 16
_OF_THE_RESTING: Final = 8
#: The interpreter with numpy and an engine's tables.
_OF_A_PROCESS: Final = 80 << 20
_S: Final = 1e9


def estimate_bytes(scenario: Scenario, client: Config, server: Config, processes: int = 1) -> int:
    """Bytes that so many processes take, each with a replicate."""
    live = sum(_live(load, scenario) for load in scenario.load)
    low, high = client.ip_local_port_range
    ports = (high - low + 1) * scenario.client.hosts * scenario.client.destinations
    closed = scenario.server.closes.server
    waiting_client = _waiting(scenario, client, 1 - closed)
    waiting_server = _waiting(scenario, server, closed)
    begun = sum(float("inf") if load.count is None else load.count for load in scenario.load)
    clients = min(live + waiting_client, ports, begun)
    servers = min(min(live, ports) + min(waiting_server, ports), begun) + _half_open(scenario, server)
    if may_rest(scenario):
        an_end = _OF_A_SILENT_END + _OF_TIMESTAMPS * bool(client.tcp_timestamps and server.tcp_timestamps)
        one = (clients + servers) * an_end + min(live, ports, begun) * _OF_THE_RESTING
    else:
        one = (clients + servers) * _OF_AN_END + min(live, ports) * _OF_THE_LOOP
    return int(min(processes, scenario.run.seeds) * (one + _OF_A_PROCESS))


def of_a_connection() -> int:
    """Bytes of a connection at one end, its part of the event loop included."""
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


def _live(load: Load, scenario: Scenario) -> float:
    if load.concurrency:
        return load.concurrency
    span = load.hold.mean + 4 * scenario.link.rtt.mean
    if load.close_at_ns is not None:
        span = scenario.run.duration_ns
    return max(1.0, 1.2 * _arrivals(load, scenario, span))


def _waiting(scenario: Scenario, config: Config, share: float) -> float:
    """Connections in TIME_WAIT at once."""
    span = config.time_wait_ms * 1e6
    entries = 0.0
    for load in scenario.load:
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
    rates = sum(flood.rate for flood in scenario.flood) + sum(map(_most_per_second, scenario.load))
    return min(most, rates * scenario.run.duration_ns / _S)
