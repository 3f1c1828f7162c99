"""What the workloads share: their settings, the two engines, opening connections, the result.

A workload opens N connections, flat out (all at virtual time 0) or at a rate, and says what became of them:
*connected* (the client's connect() returned), *served* (the server's application has it), *ghost* (the
client thinks it is connected, the server has forgotten it or never accepted it), *in flight* (connected, and
the server has not yet heard of it or not decided), *pending* (connect() has not returned yet), *failed*
(connect() returned an error) and *not started*. Always: attempted = connected + pending + failed, and with
those not started as many as were asked for.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt

from loadgen import signals
from loadgen.phases.balance import imbalances, require
from loadgen.phases.link import CLIENT, SERVER, SIDES, Link, Names, Path, Segments, Tracker, pick
from loadgen.phases.metrics import Result, Tally, share, spread_ms
from loadgen.phases.runner import Counts, End, Handles, Runner
from loadgen.phases.stateless import StatelessClient
from loadgen.phases.streams import Purpose, Stream, Times
from tcpcore import BLOCK, SEGMENT, Config, Engine, Flag, State, slots_of

SERVER_ADDRESS: Final = int(IPv4Address("10.0.0.1"))
SERVER_PORT: Final = 80
CLIENT_BASE: Final = int(IPv4Address("10.1.0.1"))
MAX_CLIENTS: Final = 1 << 20

_AUDIT_ROWS: Final = 1 << 16
_CLOSING_STATES: Final = slice(State.SYN_SENT, State.TIME_WAIT)  # alive and not yet in TIME_WAIT


def blocks_of(engine: Engine, conns: Handles) -> npt.NDArray[np.void]:
    """A copy of the block of each handle."""
    return pick(engine.blocks, slots_of(conns))


def states_of(end: End, conns: Handles) -> npt.NDArray[np.uint8]:
    """The state of the slot each handle stands for."""
    if isinstance(end, StatelessClient):
        return end.states[slots_of(conns)]
    states: npt.NDArray[np.uint8] = end.blocks["state"][slots_of(conns)]
    return states


def tuples_of(end: End, conns: Handles) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
    """Local address and port of each handle."""
    if isinstance(end, StatelessClient):
        return end.tuples(conns)
    blocks = blocks_of(end, conns)
    return blocks["laddr"], blocks["lport"]


@dataclass(frozen=True)
class Settings:
    """What the command line and the configuration file ask for, in base units."""

    connections: int = 10_000
    rate: int = 0  # per 1000 s; 0: flat out
    arrivals: str = "paced"
    duration_ns: int | None = None  # stop opening and waiting at this virtual time
    hold_ns: int = 0
    path: Path = field(default_factory=Path)
    backlog: int | None = None
    clients: int = 0  # client addresses; 0: as many as the port range needs
    batch: int = 4096
    seed: int = 0
    replicate: int = 0
    syn_data: int = 0
    stateless: bool = False  # no engine at the client end
    knobs: Config = field(default_factory=Config.linux)
    knobs_set: frozenset[str] = frozenset()  # named by the user: never changed behind their back

    @property
    def beyond_stateless(self) -> list[str]:
        """What is asked for and needs a client that remembers what it has sent."""
        path = self.path
        asked = {
            "loss": path.loss.any,
            "duplicates": path.duplicates.any,
            "last-ack-loss": bool(path.last_ack_loss),
            "syn-data": bool(self.syn_data),
        }
        return [name for name, wanted in asked.items() if wanted]

    @property
    def step_ns(self) -> int:
        """Grid of opening times and random delays: at most 1 ms, a whole part of the one-way delay."""
        one_way = self.path.one_way_ns
        return one_way // -(-one_way // 1_000_000) if one_way else 1_000_000

    @property
    def client_addresses(self) -> int:
        """Enough for every connection to find a port soon: a quarter of each port range is used."""
        low, high = self.knobs.ip_local_port_range
        return self.clients or max(1, -(-self.connections // max((high - low + 1) // 4, 1)))

    def lifted(self, **least: int) -> Self:
        """Raise knobs the user has not set to at least these values."""
        raised = {
            name: value
            for name, value in least.items()
            if name not in self.knobs_set and getattr(self.knobs, name) < value
        }
        return dataclasses.replace(self, knobs=self.knobs.replace(**raised)) if raised else self

    def memory_bytes(self) -> int:
        """Estimate: blocks, table and timers of both ends, and the segments on their way."""
        per_end = 2 * BLOCK.itemsize + 32
        ends = per_end + 16 if self.stateless else 2 * per_end
        return int(self.connections * (ends + 2 * SEGMENT.itemsize + 32))


class Arrivals:
    """When connections are opened: `at(i)` for the i-th, `due(now)` how many are due by now."""

    def __init__(self, settings: Settings) -> None:
        self._n = settings.connections
        self._rate = settings.rate
        self._times: Times | None = None
        if settings.rate and settings.arrivals == "poisson":
            # A Poisson process that has n arrivals in n / rate: n independent evenly spread times.
            span = self._n * 10**12 // self._rate
            stream = Stream(settings.seed, settings.replicate, Purpose.ARRIVALS)
            self._times = np.sort(stream.uniform(self._n, span))

    def at(self, i: int) -> int:
        """Virtual ns of the i-th arrival."""
        if self._times is not None:
            return int(self._times[i])
        return i * 10**12 // self._rate if self._rate else 0

    def due(self, now: int) -> int:
        """How many arrivals have at(i) <= now."""
        if self._times is not None:
            return int(np.searchsorted(self._times, now, side="right"))
        if not self._rate:
            return self._n
        return min(self._n, -(-(now + 1) * self._rate // 10**12))


def room_of(settings: Settings) -> np.void:
    """The queues of the server's listener, as the engine says (tcpcore.ROOM), before there is a server."""
    engine = Engine(settings.knobs.replace(capacity=1))
    return engine.room(engine.listen(SERVER_ADDRESS, SERVER_PORT, settings.backlog))


S = TypeVar("S", bound=Settings)


class Workload(Generic[S]):
    """One run. `run()` gives the Result; an interrupted run gives what was measured so far, marked partial.

    Attributes
    ----------
    client, server : Engine
        The two ends; still there after the run, for whoever wants to look.
    on_stage : callable
        Called with the stage's name when a stage of the run is complete.
    """

    command: ClassVar[str]

    def __init__(self, settings: S) -> None:
        self.settings = settings = self._prepared(settings)
        n = settings.connections
        seeds = Stream(settings.seed, settings.replicate, Purpose.ENGINES).words(2).tolist()
        knobs = settings.knobs
        if "capacity" not in settings.knobs_set:
            knobs = knobs.replace(capacity=n + n // 16 + 1024 + self._strangers())
        self.knobs = knobs
        self.server = Engine(knobs.replace(seed=seeds[SERVER], events=self._server_events()))
        self.listener = self.server.listen(
            SERVER_ADDRESS,
            SERVER_PORT,
            settings.backlog,
            auto_accept=self._auto_accept(),
            auto_close=self._auto_close(),
        )
        self.client = self._client(seeds[CLIENT])
        self.names = Names(CLIENT_BASE, settings.client_addresses)
        self.tracker = Tracker(self.names) if self._needs_tracker() else None
        self.link = Link(
            settings.path,
            seed=settings.seed,
            replicate=settings.replicate,
            step_ns=settings.step_ns,
            tracker=self.tracker,
            home=self.names if self._strangers() else None,
            skew_ns=self._skew_ns(),
        )
        self.runner = Runner(self.client, self.server, self.link, self, settings.batch)
        self.on_stage: Callable[[str], None] = lambda name: None
        self.conns: Handles = np.zeros(n, dtype=np.uint64)
        self.partial = False  # interrupted
        self.attempted = 0
        self.connected = 0
        self.served = 0
        self.doing = "opening"  # for a progress bar
        self._arrivals = Arrivals(settings)
        self._opened_at: Times = np.empty(knobs.capacity, dtype=np.int64)
        self._waits = Tally()
        self._stages: list[dict[str, Any]] = []

    def _client(self, seed: int) -> End:
        settings, knobs = self.settings, self.knobs
        if settings.stateless:
            addresses = settings.client_addresses
            return StatelessClient(settings.connections, knobs, seed, CLIENT_BASE, addresses, self.server)
        return Engine(knobs.replace(seed=seed, events=("established",)))

    @property
    def client_engine(self) -> Engine:
        """The client where it must be an engine."""
        if not isinstance(self.client, Engine):
            raise TypeError("client: expected an engine, got a stateless one")
        return self.client

    # -- what a workload decides ------------------------------------------------

    def _prepared(self, settings: S) -> S:
        """Settings with the defaults that depend on the workload."""
        if settings.rate or settings.backlog is not None:
            return settings
        # Everything opens in one instant: only the user may want a queue to overflow then.
        n = settings.connections
        return settings.lifted(somaxconn=n, tcp_max_syn_backlog=2 * n)

    def _auto_accept(self) -> bool:
        return True

    def _auto_close(self) -> bool:
        return False

    def _server_events(self) -> tuple[str, ...]:
        return ("established",)

    def _skew_ns(self) -> int:
        """How much sooner the way back is than the way to the server."""
        return 0

    def _strangers(self) -> int:
        """Blocks that others than our clients may hold at the server."""
        return 0

    def _needs_tracker(self) -> bool:
        path = self.settings.path
        return bool(
            path.loss.sees_acks_apart
            or path.duplicates.sees_acks_apart
            or path.last_ack_loss
            or self.settings.syn_data
        )

    def _play(self) -> None:
        """The run itself, stage by stage."""
        raise NotImplementedError

    def _own_results(self) -> dict[str, Any]:
        """Results that only this workload has."""
        return {}

    def _imbalances(self) -> list[str]:
        """What does not add up in this workload's own figures."""
        return []

    # -- running ------------------------------------------------------------------

    def run(self) -> Result:
        """Play, balance the books, report. Raises Imbalance when they do not balance."""
        began = time.perf_counter()
        self.partial = False
        try:
            with signals.at_checks():
                self._play()
        except KeyboardInterrupt:
            self.partial = True
            signals.honoured()
        elapsed_s = time.perf_counter() - began
        with signals.later():
            if not self.partial:  # a call that was interrupted has done its work, but not told us
                require(imbalances(self.runner) + self._imbalances())
            return self._report(elapsed_s, self.partial)

    def progress(self) -> int:
        """How many connections have got through what is being done."""
        return self.connected

    def total(self) -> int:
        """What `progress` comes to in the end."""
        return self.settings.connections

    @classmethod
    def tiny(cls, settings: S) -> S:
        """Settings of the smallest run that has every figure a run with `settings` has."""
        return dataclasses.replace(settings, connections=1, rate=0)

    def _open_all(self) -> None:
        """Open every connection and wait until each is established at both ends or given up."""
        self.runner.post(self._grid(self._arrivals.at(0)), self._open_due)
        self.runner.run(self._resolved, self.settings.duration_ns)
        self._stage("open")

    def _hold(self) -> None:
        if self.settings.hold_ns:
            self.doing = "holding"
            self.runner.run(lambda: False, self.runner.now + self.settings.hold_ns)
            self._stage("held")

    def _open_due(self) -> None:
        runner, first = self.runner, self.attempted
        until = self._arrivals.due(runner.now)
        addresses = np.uint32(self.settings.client_addresses)
        paint = self._put_data if self.settings.syn_data else None
        for part in runner.parts(until - first):
            signals.check()
            index = np.arange(first + part.start, first + part.stop, dtype=np.uint32)
            src = np.uint32(CLIENT_BASE) + index % addresses
            conns = runner.open(SERVER_ADDRESS, SERVER_PORT, src, paint=paint)
            self._opened_at[slots_of(conns[conns != 0])] = runner.now
            self.conns[first + part.start : first + part.stop] = conns
            self.attempted = first + part.stop
        if until < self.settings.connections:
            runner.post(self._grid(self._arrivals.at(until)), self._open_due)

    def _put_data(self, syns: Segments) -> None:
        syns["payload_len"] = self.settings.syn_data

    def _grid(self, at: int) -> int:
        step = self.settings.step_ns
        return -(-at // step) * step

    def _resolved(self) -> bool:
        if self.attempted < self.settings.connections or not self.link.idle:
            return False
        client, server = self.runner.populations()
        return not client[State.SYN_SENT] and not server[State.SYN_RECEIVED]

    def _stage(self, name: str) -> None:
        sides = dict(zip(SIDES, map(_by_name, self.runner.populations()), strict=True))
        self._stages.append({"stage": name, "at_ms": self.runner.now / 1e6, **sides})
        self.on_stage(name)

    # -- Watcher ------------------------------------------------------------------

    def arriving(self, side: int, segs: Segments, late: bool) -> None:
        """Nothing to note before a delivery."""

    def arrived(self, side: int, segs: Segments, late: bool) -> None:
        """Read what the receiving engine has to tell."""
        told = self.runner.engines[side].events()
        if side == SERVER:
            self.served += len(told)
        elif len(told):
            self.connected += len(told)
            self._waits.add(told["at"] - self._opened_at[slots_of(told["conn"])])

    # -- the result ---------------------------------------------------------------

    def _unserved(self) -> tuple[int, int]:
        """Connections the client holds for established and the server does not: those it will never have,
        the ghosts, and those it has not yet heard of or decided on (all rows, slow, once)."""
        ours, theirs = (int(counts[State.ESTABLISHED]) for counts in self.runner.populations())
        if ours == 0:
            return 0, 0
        if ours == theirs == self.connected:
            return 0, 0  # the server's are all of ours: it had an ACK of each, and no client has lost one
        under_way = self._names_under_way()
        ghosts = in_flight = 0
        for start in range(0, self.attempted, _AUDIT_ROWS):
            conns = self.conns[start : start + _AUDIT_ROWS]
            conns = self._established(conns[conns != 0])
            address, port = tuples_of(self.client, conns)
            peers = self.server.lookup(address, port, SERVER_ADDRESS, SERVER_PORT)
            half_open = (peers != 0) & (states_of(self.server, peers) == State.SYN_RECEIVED)
            unknown = peers == 0
            if under_way is not None:
                unheard = unknown & under_way[self.names.of(address, port)]
                unknown &= ~unheard
                in_flight += int(np.count_nonzero(unheard))
            ghosts += int(np.count_nonzero(unknown))
            in_flight += int(np.count_nonzero(half_open))
        return ghosts, in_flight

    def _names_under_way(self) -> npt.NDArray[np.bool_] | None:
        """By name, whether the link has a segment of that client for the server; None where it has none."""
        batches = self.link.under_way(SERVER)
        if not batches:
            return None
        names: npt.NDArray[np.bool_] = np.zeros(self.names.size, dtype=np.bool_)
        for segs in batches:
            names[self.names.of_segments(segs, CLIENT)] = True
        return names

    def _established(self, conns: Handles) -> Handles:
        """Those of the client's handles that are not stale and established."""
        established = states_of(self.client, conns) == State.ESTABLISHED
        if isinstance(self.client, Engine):
            generations = self.client.blocks["generation"][slots_of(conns)]
            established &= generations == (conns >> np.uint64(32)).astype(np.uint32)
        ours: Handles = conns[established]
        return ours

    def _report(self, elapsed_s: float, partial: bool) -> Result:
        runner = self.runner
        runner.series.close(runner.now, *runner.populations())
        wall = self._wall(elapsed_s)  # before the audit reads pages nobody has touched
        pending = int(self.client.state_counts()[State.SYN_SENT])
        backlog = int(self.server.room(self.listener)["backlog"])
        ghosts, in_flight = self._unserved()
        attempted = max(self.attempted, self.connected + pending)  # a call that was interrupted did not say
        results: dict[str, Any] = {
            "attempted": attempted,
            "connected": self.connected,
            "served": self.served,
            "ghost": ghosts,
            "in_flight": in_flight,
            "pending": pending,
            "failed": attempted - self.connected - pending,
            "not_started": self.settings.connections - attempted,
            "success_ratio": share(self.served, attempted),
            "handshake_ms": spread_ms(*self._waits.counted()),
            "peak_half_open": int(runner.peaks[SERVER][State.SYN_RECEIVED]),
            "backlog": {
                "effective": backlog,
                "set_by": "--backlog" if backlog == self.settings.backlog else "somaxconn",
            },
            "retransmissions": {
                name: int(engine.counters["RetransSegs"])
                for name, engine in zip(SIDES, runner.engines, strict=True)
            },
            "virtual_ms": runner.now / 1e6,
            **self._syn_data(),
            **self._own_results(),
        }
        return Result(
            command=self.command,
            config=self._resolved_config(),
            seed=self.settings.seed,
            results=results,
            counters={**self._by_side("counters"), "link": dict(self.link.counters)},
            causes=self._by_side("causes"),
            series=self._series(),
            wall=wall,
            partial=partial,
        )

    def _syn_data(self) -> dict[str, Any]:
        if not self.settings.syn_data or self.tracker is None:
            return {}
        sent = self.settings.syn_data * int(np.count_nonzero(self.conns))
        return {"syn_data": {"sent_bytes": sent, "accepted_bytes": self.tracker.syn_bytes_accepted}}

    def _by_side(self, what: str) -> dict[str, dict[str, int]]:
        return {
            name: {key: int(value) for key, value in getattr(engine, what).items()}
            for name, engine in zip(SIDES, self.runner.engines, strict=True)
        }

    def _series(self) -> dict[str, Any]:
        rows = self.runner.series.rows
        series: dict[str, Any] = {"time_ms": [row[0] / 1e6 for row in rows]}
        for side, name in enumerate(SIDES):
            populations = [row[1][side] for row in rows]
            series[name] = {
                state.name: [row[state] for row in populations]
                for state in State
                if any(row[state] for row in populations)
            }
        series["stages"] = self._stages
        return series

    def _wall(self, elapsed_s: float) -> dict[str, Any]:
        """Measured on this machine: times, and the memory of this simulation by touched pages. What a host
        would need is another question, and no figure here answers it."""
        engine_s, segments = self.runner.engine_s, self.runner.segments
        touched = {
            name: int(engine.gauges()["bytes_total"])
            for name, engine in zip(SIDES, self.runner.engines, strict=True)
        }
        return {
            "elapsed_s": elapsed_s,
            "engine_s": engine_s,
            "connections_per_s": self.connected / elapsed_s if elapsed_s else None,
            "segments": segments,
            "segments_per_s": segments / elapsed_s if elapsed_s else None,
            "engine_segments_per_s": segments / engine_s if engine_s else None,
            "simulator_bytes": touched,
            "simulator_bytes_per_connection": {
                name: share(used, int(self.runner.peaks[side][State.ESTABLISHED]))
                for side, (name, used) in enumerate(touched.items())
            },
        }

    def _resolved_config(self) -> dict[str, Any]:
        settings, path = self.settings, self.settings.path
        knobs = {
            f.name: _plain(getattr(self.knobs, f.name))
            for f in dataclasses.fields(self.knobs)
            if f.name not in ("seed", "events", "local_addr")
        }
        return {
            "connections": settings.connections,
            "rate_per_s": settings.rate / 1000 if settings.rate else None,
            "arrivals": settings.arrivals,
            "duration_ms": None if settings.duration_ns is None else settings.duration_ns / 1e6,
            "hold_ms": settings.hold_ns / 1e6,
            "rtt_ms": path.rtt_ns / 1e6,
            "jitter_ms": path.jitter_ns / 1e6,
            "loss": path.loss.named(),
            "duplicates": path.duplicates.named(),
            "duplicate_delay_ms": path.duplicate_delay_ns / 1e6,
            "reorder": path.reorder,
            "reorder_delay_ms": path.reorder_delay_ns / 1e6,
            "backlog": settings.backlog,
            "client_addresses": settings.client_addresses,
            "batch": settings.batch,
            "step_ms": settings.step_ns / 1e6,
            "syn_data": settings.syn_data,
            "peer": "stateless" if settings.stateless else "engine",
            **self._own_config(),
            "knobs": knobs,
        }

    def _own_config(self) -> dict[str, Any]:
        return {}


class Handshake(Workload[Settings]):
    """Open N connections and hold them."""

    command = "handshake"

    def _play(self) -> None:
        self._open_all()
        self._hold()


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _by_name(counts: Counts) -> dict[str, int]:
    return {state.name: int(counts[state]) for state in State if counts[state] and state is not State.LISTEN}


def is_quiet(counts: Counts) -> bool:
    """No connection but those in TIME_WAIT."""
    return not counts[_CLOSING_STATES].any()


def has_fin_or_text(segs: Segments) -> npt.NDArray[np.bool_]:
    """Segments after which an application may find itself at the end of the peer's data."""
    return np.asarray((segs["flags"] & np.uint8(Flag.FIN) != 0) | (segs["payload_len"] != 0))
