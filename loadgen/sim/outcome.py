"""What one replicate of a scenario came to, as the event loop hands it over: plain numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = Mapping[str, int]


@dataclass
class Histogram:
    """Distribution of a time: log-linear buckets, and what is exact about it."""

    lowest: npt.NDArray[np.int64]  # ns, the smallest value of each bucket in use, rising
    highest: npt.NDArray[np.int64]  # ns, the largest value of that bucket
    counts: npt.NDArray[np.int64]
    min: int | None = None  # ns, exact
    max: int | None = None
    sum: float = 0.0  # ns


@dataclass
class LoadOutcome:
    """What became of the connections of one load; the fields after `attempted` sum to it."""

    name: str
    attempted: int
    served: int
    ghost: int
    refused: Counts  # by cause
    gave_up: int
    reset: int
    pending: int
    not_started: int
    connected: int  # connect() returned, whatever came later
    first_try: int  # served, and no SYN, SYN+ACK or third ACK of it had to be sent twice
    tries: int  # connect() calls
    requests: int  # answered requests
    first_refusal_ns: int | None
    in_flight: int = field(default=0, kw_only=True)  # of pending: connected
    half_closed: int = field(default=0, kw_only=True)  # by a shutdown of one side
    half_queued: int = field(default=0, kw_only=True)  # bytes sent to those
    half_read: int = field(default=0, kw_only=True)  # bytes that they had read at the end of the stream
    old_taken: int = field(default=0, kw_only=True)  # connections that took an old segment
    connect: Histogram = field(repr=False)  # begin to connect() returned
    served_after: Histogram = field(repr=False)  # begin to served
    in_warmup: int = 0  # connections that began in the warm-up: in no other count, time or outcome
    not_started_exact: bool = True  # False: it is the expected number of a Poisson process


@dataclass
class FloodOutcome:
    """What a flood sent."""

    name: str
    sent: int


@dataclass(frozen=True)
class Full:
    """When a queue was full; of several listeners' the first to be, and the one that was longest."""

    first_ns: int | None
    ns: int


@dataclass
class Outcome:
    """One replicate."""

    seed: int
    replicate: int
    virtual_ns: int
    partial: bool  # cut short by a signal
    loads: list[LoadOutcome]
    floods: list[FloodOutcome]
    counters: Mapping[str, Counts]  # client, server (MIB names, summed over engines), link
    causes: Mapping[str, Counts]  # client, server
    states: Mapping[str, npt.NDArray[np.uint64]]  # client, server: [11], at the end
    gauges: Mapping[str, Mapping[str, float]]  # client, server, at the end
    peaks: Mapping[str, int]  # exact: ports_in_use, server.half_open, server.accept_queue; else of the series
    accept_wait: Histogram  # established to accepted, on the server
    series: Mapping[str, Mapping[str, npt.NDArray[np.int64]]]  # client, server, load, time
    left: Counts  # blocks still in use at the end, client and server
    engine_bytes: Mapping[str, int]  # memory the engines touched: the simulator's own
    wall_s: float
    segments: int
    warmup_ns: int = 0  # of which loads, counters, causes, floods, peaks and accept_wait know nothing
    full: Mapping[str, Full] = field(default_factory=dict)  # half_open, accept_queue
    warmup_counters: Mapping[str, Counts] = field(default_factory=dict)  # client, server: those of it
    stuck: int = 0  # connections that a reset found in LAST-ACK or CLOSING
    copies: int = 0  # second copies of the clients' segments
    #: time integrals at the points of the series, exact, ns, modulo 2^64: the names of exact peaks
    areas: Mapping[str, npt.NDArray[np.uint64]] = field(default_factory=dict)
    #: (ns, attempted, refused up to then) at the end of the last whole blocking time of a port
    ports_at: tuple[int, int, int] | None = None
    watched: Any = None  # loadgen.sim.watching.Watched of a flood's half-open queue
