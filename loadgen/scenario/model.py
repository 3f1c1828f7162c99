"""The scenario: frozen dataclasses, one per table of the scenario file, in base units.

Times are whole nanoseconds, rates connections or segments per second (float), shares 0 to 1. The
defaults are those of the file. Nothing here parses text (see `values` and `toml`) or knows an engine (see
`loadgen.sim.build`).
What each field means to the simulation stands in docs/simulation.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from os import PathLike
from types import MappingProxyType

from loadgen.scenario.values import (
    CONST_ZERO,
    Distribution,
    as_distribution,
    as_rate,
    as_shares,
    as_time,
)

Knobs = Mapping[str, object]


def _tuples(knobs: Knobs) -> dict[str, object]:
    """Knobs that are lists, as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in knobs.items()}


def _times(given: dict[str, object]) -> dict[str, object]:
    """Arguments with X_ns made of X, a text or seconds, where X is given."""
    for name in [name for name in given if f"{name}_ns" in given]:
        value = given[name]
        if isinstance(value, (str, int, float)):
            given[f"{name}_ns"] = as_time(value)
    return given


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
    """How the server's application takes connections off one accept queue."""

    time: Distribution = CONST_ZERO  # what a worker needs for one before it takes the next; 0: at once
    workers: int = 1
    stall_ns: int = 0  # no accept for this long ...
    stall_every_ns: int = 0  # ... from every multiple of this on, but 0; 0: no stalls


@dataclass(frozen=True)
class Closes:
    """Who closes first, as shares of the connections: the rest are closed by the client."""

    server: float = 0.0
    reset: float = 0.0  # by the client, with a RST
    both: float = 0.0  # client and server at the same moment
    turns: bool = False  # instead of shares: client, server and both by turns


@dataclass(frozen=True)
class Server:
    profile: str = "linux"
    sysctl: str | None = None  # file name
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
    profile: str = "linux"
    sysctl: str | None = None
    knobs: Knobs = field(default_factory=dict)
    hosts: int = 1  # addresses, each with ports and limits of its own
    destinations: int = 1  # server addresses
    first_addr: str = CLIENT_ADDRESS
    kernel: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "knobs", _tuples(self.knobs))


@dataclass(frozen=True)
class Tries:
    """An application that tries again; `count` 0 stands for "os": one connect, the kernel resends."""

    count: int = 0
    backoff_ns: int = 1_000_000_000  # how long the first try may take
    factor: float = 2.0  # how much longer each next one
    jitter: float = 0.0  # share of the wait that is drawn: wait * (1 - jitter * U)


@dataclass(frozen=True)
class Load:
    """A stream of client connections. `rate` stands for a `shape` of one rate; `hold` takes a text, too."""

    name: str
    arrivals: str  # poisson | paced | trace:FILE
    times_ns: tuple[int, ...]  # of a trace, as read
    shape: tuple[tuple[int, float], ...]  # (ns, per second), linear between, last one holds on
    count: int | None  # at most so many connections
    concurrency: int  # closed loop with so many users; 0: open loop
    start_ns: int
    hold: Distribution
    close_at_ns: int | None  # instead of hold: all close at this moment ...
    close_rate: float  # ... one after the other at this rate; 0: at once
    requests_per_connection: int
    request: int  # bytes
    response: int
    speaks: str  # client | server | nobody
    idle_timeout_ns: int  # 0: none
    patience_ns: int  # a client not served by then gives up; 0: never
    tries: Tries
    close_delay_ns: int  # from the first FIN to the other application's close
    half_close: float  # share of connections whose first closer shuts down its side only
    half_close_bytes: int  # what the other side sends then, before it closes
    syn_data: int  # bytes on a SYN
    again: str  # name of a load whose n-th address and port the n-th connection has; "": none

    def __init__(
        self,
        name: str = "load",
        arrivals: str = "poisson",
        times_ns: Sequence[int] = (),
        shape: Sequence[tuple[int, float]] = ((0, 0.0),),
        count: int | None = None,
        concurrency: int = 0,
        start_ns: int = 0,
        hold: Distribution | str | float = CONST_ZERO,
        close_at_ns: int | None = None,
        close_rate: float = 0.0,
        requests_per_connection: int = 1,
        request: int = 1,
        response: int = 0,
        speaks: str = "client",
        idle_timeout_ns: int = 0,
        patience_ns: int = 0,
        tries: Tries = Tries(),
        close_delay_ns: int = 0,
        half_close: float = 0.0,
        half_close_bytes: int = 0,
        syn_data: int = 0,
        again: str = "",
        *,
        rate: str | float | None = None,
    ) -> None:
        given = dict(locals())
        given["hold"] = as_distribution(hold)
        given["times_ns"] = tuple(times_ns)
        given["shape"] = tuple(map(tuple, shape)) if rate is None else ((0, as_rate(rate)),)
        for entry in fields(self):
            object.__setattr__(self, entry.name, given[entry.name])


@dataclass(frozen=True)
class Flood:
    """A stream of spoofed segments."""

    name: str = "flood"
    kind: str = "syn"  # syn | ack | rst | fin
    rate: float = 0.0  # per second
    arrivals: str = "paced"  # paced | poisson
    start_ns: int = 0
    stop_ns: int | None = None  # None: with the run
    sources: str = "0.0.0.0/0"  # CIDR[,CIDR...], or reflect:N
    count: int | None = None  # at most so many segments
    on_ns: int = 0  # with off_ns: bursts this long ...
    off_ns: int = 0  # ... and pauses; 0: none


@dataclass(frozen=True)
class Event:
    """Something that happens to the server or the link at a moment."""

    at_ns: int = 0
    do: str = "reset-all"  # reset-all | unlisten | listen | stall | partition | knob
    for_ns: int = 0  # of stall and partition
    knob: str = ""  # NAME=VALUE
    reconnect_within_ns: int | None = None  # of reset-all: clients connect again, spread evenly over this


@dataclass(frozen=True)
class Burst:
    """Gilbert-Elliott loss: two states, left once per segment with these chances."""

    enter: float = 0.0  # good -> bad
    leave: float = 1.0  # bad -> good
    loss: float = 1.0  # in the bad state


KINDS = ("syn", "syn-ack", "third-ack", "data", "ack", "fin", "last-ack", "rst")


@dataclass(frozen=True)
class Link:
    """The path between clients and the server, the same both ways.

    `rtt` takes a text, too ("40ms", "normal:40ms,5ms"), loss and duplicate a share of all ("0.1%"); a time
    without _ns is a text, or seconds.
    """

    rtt: Distribution = CONST_ZERO  # each segment takes half of a draw
    loss: Mapping[str, float] = field(default_factory=dict)  # by kind; "all" adds to each
    burst: Burst = Burst()
    duplicate: Mapping[str, float] = field(default_factory=dict)
    duplicate_after_ns: int = 0  # how much later the second copy comes
    reorder: float = 0.0  # share of segments that are late by reorder_after_ns
    reorder_after_ns: int = 0
    jitter_ns: int = 0  # each segment is late by up to this
    late_after_ns: int = 0  # a copy of `late_share` of the segments arrives this much later
    late_share: float = 0.0
    last_ack_loss: float = 0.0  # share of connections whose last ACK is lost, once

    def __init__(
        self,
        rtt: Distribution | str | float = CONST_ZERO,
        loss: Mapping[str, str | float] | str | float = MappingProxyType({}),
        burst: Burst = Burst(),
        duplicate: Mapping[str, str | float] | str | float = MappingProxyType({}),
        duplicate_after_ns: int = 0,
        reorder: float = 0.0,
        reorder_after_ns: int = 0,
        jitter_ns: int = 0,
        late_after_ns: int = 0,
        late_share: float = 0.0,
        last_ack_loss: float = 0.0,
        *,
        duplicate_after: str | float | None = None,
        reorder_after: str | float | None = None,
        jitter: str | float | None = None,
        late_after: str | float | None = None,
    ) -> None:
        given = _times(dict(locals()))
        given["rtt"] = as_distribution(rtt)
        given["loss"], given["duplicate"] = as_shares(loss), as_shares(duplicate)
        for entry in fields(self):
            object.__setattr__(self, entry.name, given[entry.name])


@dataclass(frozen=True)
class Run:
    """How long is played, and how. `duration`, `warmup` ("auto", too) and `series` take texts, or seconds."""

    duration_ns: int = 60_000_000_000
    warmup_ns: int | None = 0  # None: auto
    seeds: int = 1
    series_ns: int = 1_000_000_000  # 0: no series
    drain: bool = False
    batch: int = 4096  # rows an engine call; changes the speed, never the result
    honest_bursts: int = 0  # crowds without a flood that the detector of floods is shown afterwards

    def __init__(
        self,
        duration_ns: int = 60_000_000_000,
        warmup_ns: int | None = 0,
        seeds: int = 1,
        series_ns: int = 1_000_000_000,
        drain: bool = False,
        batch: int = 4096,
        honest_bursts: int = 0,
        *,
        duration: str | float | None = None,
        warmup: str | float | None = None,
        series: str | float | None = None,
    ) -> None:
        given = dict(locals())
        if warmup == "auto":
            given["warmup"] = given["warmup_ns"] = None
        given = _times(given)
        for entry in fields(self):
            object.__setattr__(self, entry.name, given[entry.name])


@dataclass(frozen=True)
class Threshold:
    metric: str = ""
    test: str = ">="  # >= <= > < == !=
    bound: float = 0.0
    text: str = ""  # as given


@dataclass(frozen=True)
class Scenario:
    """All that is simulated; equal scenarios give equal bytes."""

    schema: int = 1
    name: str = ""
    seed: int = 0
    server: Server = Server()
    client: Client = Client()
    load: Sequence[Load] = ()  # kept as tuples
    flood: Sequence[Flood] = ()
    event: Sequence[Event] = ()
    link: Link = Link()
    run: Run = Run()
    threshold: Sequence[Threshold] = ()

    def __post_init__(self) -> None:
        for name in ("load", "flood", "event", "threshold"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def from_toml(cls, source: str | PathLike[str]) -> Scenario:
        """From a file, or from a text (a string with a line break or "=" in it); raises ScenarioError."""
        from loadgen.scenario.toml import from_toml

        return from_toml(source)

    def to_toml(self) -> str:
        """What differs from the defaults, as a file that gives an equal scenario."""
        from loadgen.scenario.toml import to_toml

        return to_toml(self)

    def replace(self, changes: Mapping[str, object]) -> Scenario:
        """A copy with other values by dotted path: ``{"server.listen.backlog": 1023, "load.rate": "2k/s"}``.

        An end of a path that is the end of no other will do (`backlog`); `client.KNOB`, `server.KNOB` and
        `both.KNOB` are knobs, a bare knob is the server's. Values are texts with units or numbers in base
        units. Raises ScenarioError.
        """
        from loadgen.scenario.paths import replace

        return replace(self, changes)
