"""The scenario: frozen dataclasses, one per table of the scenario file, in base units.

Times are whole nanoseconds, rates connections or segments per second (float), shares 0 to 1. The
defaults are those of the file. The two ends have a module of their own, `ends`. Nothing here parses text (see
`values` and `toml`) or knows an engine (see `loadgen.sim.build`). What each field means to the simulation
stands in docs/simulation.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from types import MappingProxyType

from loadgen.scenario.ends import CLIENT_ADDRESS as CLIENT_ADDRESS
from loadgen.scenario.ends import SERVER_ADDRESS as SERVER_ADDRESS
from loadgen.scenario.ends import Accept as Accept
from loadgen.scenario.ends import Client as Client
from loadgen.scenario.ends import Closes as Closes
from loadgen.scenario.ends import Knobs as Knobs
from loadgen.scenario.ends import Listen as Listen
from loadgen.scenario.ends import Server as Server
from loadgen.scenario.values import (
    CONST_ZERO,
    Distribution,
    as_distribution,
    as_rate,
    as_shares,
    fill,
    with_read,
    with_times,
)


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
    arrivals: str  # poisson | paced | trace:FILE | workload: as a function in Python says
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
        fill(self, given)


@dataclass(frozen=True)
class Flood:
    """A stream of spoofed segments.

    `rate` takes a text, too ("50k/s"); `during` is two times ("30s", "end"), `bursts` a text ("1s/10s").
    """

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

    def __init__(
        self,
        name: str = "flood",
        kind: str = "syn",
        rate: str | float = 0.0,
        arrivals: str = "paced",
        start_ns: int = 0,
        stop_ns: int | None = None,
        sources: str = "0.0.0.0/0",
        count: int | None = None,
        on_ns: int = 0,
        off_ns: int = 0,
        *,
        during: Sequence[str | float] | None = None,
        bursts: str | None = None,
    ) -> None:
        given = with_read(dict(locals()), "during", during, "start_ns", "stop_ns")
        fill(self, with_read(given, "stall", bursts, "on_ns", "off_ns") | {"rate": as_rate(rate)})


@dataclass(frozen=True)
class Event:
    """Something that happens to the server or the link at a moment: `Event("stall:400ms", at="60s")`.

    The first argument is what happens, as a file has it, or `at_ns`. `at` and `reconnect_within` are texts,
    or seconds.
    """

    at_ns: int = 0
    do: str = "reset-all"  # reset-all | unlisten | listen | stall | partition | knob
    for_ns: int = 0  # of stall and partition
    knob: str = ""  # NAME=VALUE
    reconnect_within_ns: int | None = None  # of reset-all: clients connect again, spread evenly over this

    def __init__(
        self,
        at_ns: int | str = 0,
        do: str = "reset-all",
        for_ns: int = 0,
        knob: str = "",
        reconnect_within_ns: int | None = None,
        *,
        at: str | float | None = None,
        reconnect_within: str | float | None = None,
    ) -> None:
        if isinstance(at_ns, str):
            do = at_ns
            at_ns = 0
        given = with_times(dict(locals()))
        fill(self, with_read(given, "action", do if ":" in do else None, "do", "for_ns", "knob"))


@dataclass(frozen=True)
class Burst:
    """Gilbert-Elliott loss: two states, left once per segment with these chances."""

    enter: float = 0.0  # good -> bad
    leave: float = 1.0  # bad -> good
    loss: float = 1.0  # in the bad state


WORKLOAD = "workload"
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
        given = with_times(dict(locals()))
        given["rtt"] = as_distribution(rtt)
        given["loss"], given["duplicate"] = as_shares(loss), as_shares(duplicate)
        fill(self, given)


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
        given = with_times(given)
        fill(self, given)


@dataclass(frozen=True)
class Threshold:
    """A bound that a metric of the result has to keep: met, missed, or undecided where it has no samples."""

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
