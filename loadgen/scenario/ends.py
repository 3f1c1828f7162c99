"""The two ends of a scenario, server and client: tables [server] and [client] of its file.

Each has its settings apart; what each field means to the simulation stands in docs/simulation.md. Nothing
here knows an engine: `loadgen.scenario.hosts` makes Configs of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from loadgen.scenario.values import CONST_ZERO, Distribution, as_distribution, fill, with_read

Knobs = Mapping[str, object]


def _tuples(knobs: Knobs) -> dict[str, object]:
    """Knobs that are lists, as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in knobs.items()}


SERVER_ADDRESS = "10.0.0.1"
CLIENT_ADDRESS = "10.1.0.1"


@dataclass(frozen=True)
class Listen:
    """Where the server listens: `destinations` addresses from `addr` on, each with `listeners` sockets."""

    addr: str = SERVER_ADDRESS
    port: int = 80
    backlog: int | None = None  # None: somaxconn
    listeners: int = 1  # SO_REUSEPORT: sockets on the same address and port, a queue each


@dataclass(frozen=True)
class Accept:
    """The server's accept loop. `time` takes a text, too ("exp:120us"), and `stall` is one: "250ms/2s"."""

    time: Distribution = CONST_ZERO  # what a worker needs for one before it takes the next; 0: at once
    workers: int = 1
    stall_ns: int = 0  # no accept for this long ...
    stall_every_ns: int = 0  # ... from every multiple of this on, but 0; 0: no stalls

    def __init__(
        self,
        time: Distribution | str | float = CONST_ZERO,
        workers: int = 1,
        stall_ns: int = 0,
        stall_every_ns: int = 0,
        *,
        stall: str | None = None,
    ) -> None:
        given = with_read(dict(locals()), "stall", stall, "stall_ns", "stall_every_ns")
        fill(self, given | {"time": as_distribution(time)})


@dataclass(frozen=True)
class Closes:
    """Who closes first, as shares of the connections: the rest are closed by the client."""

    server: float = 0.0
    reset: float = 0.0  # by the client, with a RST
    both: float = 0.0  # client and server at the same moment
    turns: bool = False  # instead of shares: client, server and both by turns


@dataclass(frozen=True)
class Server:
    """The server's host and its application: settings, listeners, accept loop, who closes first.

    Settings come from `profile`, then the file `sysctl`, then `knobs` (Linux names, see `Config`). What a
    host has once, such as tcp_max_tw_buckets, is divided among the listeners.
    """

    profile: str = "linux"  # linux | freebsd | strict | the file name of a profile
    sysctl: str | None = None  # file name of `sysctl -a`
    knobs: Knobs = field(default_factory=dict)
    listen: Listen = Listen()
    accept: Accept = Accept()
    closes: Closes = Closes()
    bytes: str | None = None  # file name: sizes of the kernel's objects, /proc/slabinfo or `vmstat -z`
    measured: str | None = None  # folder of the host's own files, whose counts stand beside the result
    kernel: str | None = None  # version of an older Linux

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", _tuples(self.knobs))


@dataclass(frozen=True)
class Client:
    """The clients' hosts: settings as the server's have them, how many hosts, whom they connect to.

    Ports and limits count per host. A NAT gateway is one host with a port range and a TIME_WAIT of its own.
    """

    profile: str = "linux"
    sysctl: str | None = None
    knobs: Knobs = field(default_factory=dict)
    hosts: int = 1  # addresses, each with ports and limits of its own
    destinations: int = 1  # server addresses
    first_addr: str = CLIENT_ADDRESS
    kernel: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", _tuples(self.knobs))
