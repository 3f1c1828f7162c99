"""The flood workload: spoofed segments at a server, honest clients beside them, and what the clients see.

The flood comes from outside (`spoof`) and what answers it goes to nobody; the clients are a client engine
behind the link, with the kernel's own SYN resends until their application's patience is over. Flood and
clients go on together until the last client has been served or has given up.

Time: a spoofed segment is looked at at the end of its tick of 1 ms, before the timers of the next, or before
an honest segment that arrives later within it. The engine's timers have that tick and round up, so every
deadline is what it would have been at the exact time; flood and clients meet in the exact order of their
arrival. Places become free on ticks, and clients live on ticks, too: theirs reach the server half a tick
later (and its answers them half a tick sooner), or they would always be the first at a free place. A dense
flood is looked at every 4 ms where that is nothing to the clients, as a full queue evicts or sends cookies:
the order is exact as before, deadlines of a second or more are up to 3 ms late. A queue that refuses would
have room at such deadlines.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.phases.detect import detect, judge, series
from loadgen.phases.flood_watch import TICK_NS, QueueWatch
from loadgen.phases.link import CLIENT, SERVER, Kind, Segments
from loadgen.phases.metrics import Result, share, spread_ms
from loadgen.phases.runner import Handles
from loadgen.phases.spoof import Pace, Sources, Spoofer
from loadgen.phases.streams import Purpose, Stream, Times
from loadgen.phases.workload import (
    CLIENT_BASE,
    SERVER_ADDRESS,
    SERVER_PORT,
    Arrivals,
    Settings,
    Workload,
    blocks_of,
    room_of,
    tuples_of,
)
from tcpcore import BLOCK, State, slots_of

_DENSE: Final = 64_000_000  # segments per 1000 s
_EVICTING: Final = ("evict-oldest", "evict-random", "freebsd")
_IDLE_NS: Final = 10 * TICK_NS  # the longest time without a look at the queues
_SERIES: Final = 240  # rows of the occupancy series in the result, at most
_NEVER: Final = -1


@dataclass(frozen=True)
class FloodSettings(Settings):
    """What `loadgen flood` asks for. `connections` honest clients arrive at `rate` within `duration_ns`."""

    arrivals: str = "poisson"  # of the clients
    kind: str = "syn"
    flood_rate: int = 0  # per 1000 s; 0: no flood
    spacing: str = "paced"
    sources: Sources = field(default_factory=Sources.random)
    count: int | None = None
    start_ns: int = 0
    stop_ns: int | None = None  # of the flood; None: with the run
    on_ns: int = 0
    off_ns: int = 0
    patience_ns: int = 5_000_000_000  # of a client's connect()
    accept_delay_ns: int = 0  # what the server's application needs for each connection it accepts
    bursts: int = 0  # instead of `rate`: the clients come in so many bursts, spread over the duration
    check_bursts: int = 0  # honest bursts that the detector is shown afterwards, for its false alarms

    @property
    def end_ns(self) -> int:
        """When the last client has been served or has given up."""
        return (self.duration_ns or 0) + self.patience_ns

    @property
    def pace(self) -> Pace:
        stop = self.end_ns if self.stop_ns is None else min(self.stop_ns, self.end_ns)
        return Pace(
            self.flood_rate, self.spacing, self.start_ns, stop, self.count, self.on_ns, self.off_ns
        )


class Bursts(Arrivals):
    """Honest crowds: each burst comes within a quarter of a second, at a random moment of its own period."""

    WIDTH_NS: Final = 250_000_000

    def __init__(self, settings: FloodSettings) -> None:
        super().__init__(dataclasses.replace(settings, rate=0))
        period = (settings.duration_ns or 0) // settings.bursts
        stream = Stream(settings.seed, settings.replicate, Purpose.ARRIVALS)
        begins = np.arange(settings.bursts) * period + stream.uniform(settings.bursts, max(period // 2, 1))
        members = np.arange(settings.connections) % settings.bursts
        self._times = np.sort(begins[members] + stream.uniform(settings.connections, self.WIDTH_NS))


class Flood(Workload[FloodSettings]):
    """One flood against one server."""

    command = "flood"

    def __init__(self, settings: FloodSettings) -> None:
        super().__init__(settings)
        settings = self.settings
        n = settings.connections
        self.doing = "flooding"
        refuses = not self.knobs.tcp_syncookies and self.knobs.synq_policy not in _EVICTING
        self._tick_ns = TICK_NS if refuses or settings.flood_rate < _DENSE else 4 * TICK_NS
        if settings.bursts:
            self._arrivals = Bursts(settings)
        self.spoofer = Spoofer(
            settings.pace,
            settings.sources,
            settings.kind,
            (SERVER_ADDRESS, SERVER_PORT),
            settings.seed,
            settings.replicate,
        )
        self.connected_at: Times = np.full(n, _NEVER, dtype=np.int64)  # by client, in order of arrival
        self.served_at: Times = np.full(n, _NEVER, dtype=np.int64)
        self.opened_at: Times = np.zeros(n, dtype=np.int64)
        self.gave_up = 0
        self._who_by_slot = np.zeros(self.knobs.capacity, dtype=np.int64)
        self._who_by_name = np.zeros(self.names.size, dtype=np.int64)
        self._accepting = False
        self.watch = QueueWatch(self.server, settings.end_ns, bool(settings.accept_delay_ns))

    # -- what this workload decides ---------------------------------------------

    def _prepared(self, settings: FloodSettings) -> FloodSettings:
        return settings

    def _auto_accept(self) -> bool:
        return not self.settings.accept_delay_ns

    def _server_events(self) -> tuple[str, ...]:
        return ("opened", "established", "lost")

    def _skew_ns(self) -> int:
        return min(TICK_NS // 2, self.settings.path.one_way_ns)

    def _strangers(self) -> int:
        return int(room_of(self.settings)["half_open_max"]) + 1

    @property
    def room(self) -> int:
        """Half-open entries that the listener has at most."""
        return int(self.server.room(self.listener)["half_open_max"])

    def progress(self) -> int:
        return self.runner.now // TICK_NS

    def total(self) -> int:
        return self.settings.end_ns // TICK_NS

    @classmethod
    def tiny(cls, settings: FloodSettings) -> FloodSettings:
        return dataclasses.replace(
            settings,
            connections=1,
            duration_ns=TICK_NS,
            patience_ns=TICK_NS,
            start_ns=0,
            count=1,
            check_bursts=min(settings.check_bursts, 1),
        )

    def _play(self) -> None:
        settings, runner = self.settings, self.runner
        runner.post(0, self._tick)
        if settings.connections:
            runner.post(self._grid(self._arrivals.at(0)), self._open_due)
        runner.run(lambda: False, settings.end_ns)
        self._server_told()
        self.watch.look(runner.now)
        self._stage("end")

    # -- the flood ----------------------------------------------------------------

    def _tick(self) -> None:
        """All spoofed segments of the tick that is over, and a look at the queues."""
        now, end = self.runner.now, self.settings.end_ns
        self._inject()
        self._server_told()
        self.watch.look(now)
        upcoming = min(now + _IDLE_NS, self.watch.boundary, end)
        if (at := self.spoofer.next_at) is not None:
            upcoming = min(upcoming, max(at - at % self._tick_ns + self._tick_ns - 1, now + 1))
        if now < end:
            self.runner.post(upcoming, self._tick)

    def _inject(self) -> None:
        for segs in self.spoofer.take(self.runner.now, self.settings.batch):
            self.runner.inject(SERVER, segs)
            self._server_told()

    # -- the clients ----------------------------------------------------------------

    def _open_due(self) -> None:
        first, now = self.attempted, self.runner.now
        super()._open_due()
        until = self.attempted
        self.opened_at[first:until] = now
        conns = self.conns[first:until]
        who = np.arange(first, until)[conns != 0]
        if len(who):
            self._who_by_slot[slots_of(conns[conns != 0])] = who
            self._who_by_name[self.names.of(*tuples_of(self.client, conns[conns != 0]))] = who
            self.runner.post(now + self.settings.patience_ns, partial(self._give_up, first, until))

    def _give_up(self, first: int, until: int) -> None:
        """The applications of these clients wait no longer for connect() to return."""
        if self.connected_at[first:until].min() != _NEVER:
            return
        conns = self.conns[first:until]
        waiting = conns[(conns != 0) & (self.connected_at[first:until] == _NEVER)]
        waiting = waiting[self.client.info(waiting)["state"] == State.SYN_SENT]
        self.gave_up += len(waiting)
        if len(waiting):
            self.runner.call(CLIENT, self.client_engine.abort, waiting)

    # -- Watcher --------------------------------------------------------------------

    def arriving(self, side: int, segs: Segments, late: bool) -> None:
        if side == SERVER:
            self._inject()

    def arrived(self, side: int, segs: Segments, late: bool) -> None:
        if side == SERVER:
            self._server_told()
            return
        told = self.client.events()
        if len(told):
            who = self._who_by_slot[slots_of(told["conn"])]
            self.connected += len(told)
            self.connected_at[who] = told["at"]
            self._waits.add(told["at"] - self.opened_at[who])

    def _server_told(self) -> None:
        """The application hears of its connections."""
        conns = self.watch.told()
        if len(conns) == 0:
            return
        if not self.settings.accept_delay_ns:
            self._serve(conns)
        elif not self._accepting:
            self._accepting = True
            self.runner.post(self.runner.now, self._accept)

    def _serve(self, conns: Handles) -> None:
        """The server's application has these connections."""
        blocks = blocks_of(self.server, conns)
        ours = blocks["raddr"] - self.names.base < np.uint32(self.names.size >> 16)
        ours &= blocks["state"] != State.CLOSED
        who = self._who_by_name[self.names.of(blocks["raddr"][ours], blocks["rport"][ours])]
        self.served_at[who] = self.runner.now
        self.served += len(who)

    def _accept(self) -> None:
        """One connection, and the next when the application is done with it."""
        conns = self.server.accept(self.listener, 1)
        self._accepting = len(conns) > 0
        if self._accepting:
            self._serve(conns)
            self.runner.post(self.runner.now + self.settings.accept_delay_ns, self._accept)

    # -- the result ---------------------------------------------------------------

    def _unserved(self) -> tuple[int, int]:
        """The client believes it is connected, the server's application has not got it: ghosts, and where the
        run was interrupted those that the server may still decide on."""
        conns = self.conns[self._believing() & (self.served_at == _NEVER)]
        if not self.partial or not len(conns):
            return len(conns), 0
        address, port = tuples_of(self.client, conns)
        heard = self.server.lookup(address, port, SERVER_ADDRESS, SERVER_PORT) != 0
        if (under_way := self._names_under_way()) is not None:
            heard |= under_way[self.names.of(address, port)]
        in_flight = int(np.count_nonzero(heard))
        return len(conns) - in_flight, in_flight

    def _believing(self) -> npt.NDArray[np.bool_]:
        """By client: connect() has returned and nothing has been heard to the contrary."""
        states = self.client.info(self.conns)["state"]
        return np.asarray((self.connected_at != _NEVER) & (states == State.ESTABLISHED))

    def _imbalances(self) -> list[str]:
        wrong = [f"client: {text}" for text in self.client_engine.check()]
        wrong += [f"server: {text}" for text in self.server.check()]
        failed = sum(int(n) for n in self.client.causes.values()) - self._reset_later()
        pending = int(self.client.state_counts()[State.SYN_SENT])
        if self.attempted != self.connected + failed + pending:
            wrong.append(
                f"{self.attempted} attempted, {self.connected} connected, {failed} failed, {pending} pending"
            )
        if self.gave_up != self.client.causes["ConnectAborted"]:
            wrong.append(f"{self.gave_up} gave up, but {self.client.causes['ConnectAborted']} were aborted")
        served = int(np.count_nonzero(self.served_at != _NEVER))
        lost_on_us = int(np.count_nonzero((self.served_at != _NEVER) & (self.connected_at == _NEVER)))
        if self.served != served or lost_on_us:
            wrong.append(f"served {self.served}, {served} of the clients, {lost_on_us} without connect()")
        held = self.watch.answered.count + self.watch.unanswered.count
        ended = self._added() - self.watch.half_open
        if held != ended:
            wrong.append(f"{ended} half-open entries ended, but {held} residence times")
        return wrong

    def _reset_later(self) -> int:
        """Clients whose connection was reset after connect() had returned."""
        return int(self.client.causes["ResetByPeer"])

    def _added(self) -> int:
        return int(self.server.counters["SynQueueAdded"])

    def _overflows(self) -> int:
        """SYNs that found no place in the half-open queue, by the server's counters.

        Without cookies each was refused or let in by an eviction. With cookies each was answered by one; then
        an eviction is an entry that FreeBSD's pause ended, and no SYN.
        """
        counters, causes = self.server.counters, self.server.causes
        refused = causes["SynQueueFull"] + causes["SynQueueReserve"]
        if self.knobs.tcp_syncookies:
            return int(refused + counters["TCPReqQFullDoCookies"])
        return int(refused + counters["SynQueueEvicted"])

    def _own_results(self) -> dict[str, Any]:
        counters, causes = self.server.counters, self.server.causes
        outside, sent, watch = self.link.outside, self.spoofer.sent, self.watch
        mean_half_open, mean_waiting = watch.means()
        served = self.served_at != _NEVER
        first = served & (self.connected_at - self.opened_at < self.knobs.rto_initial_ms * 1_000_000)
        results: dict[str, Any] = {
            "first_try_ratio": share(int(np.count_nonzero(first)), self.attempted),
            "gave_up": self.gave_up,
            "reset": self._reset_later(),
            "accepted_ms": spread_ms(self.served_at[served] - self.opened_at[served]),
            "flood": {"kind": self.settings.kind, "sent": sent, "sources": self.settings.sources.name},
            "half_open": {
                "room": self.room,
                "overflows": self._overflows(),
                "mean": mean_half_open,
                "peak": int(self.runner.peaks[SERVER][State.SYN_RECEIVED]),
                "simulator_bytes": int(self.runner.peaks[SERVER][State.SYN_RECEIVED]) * BLOCK.itemsize,
            },
            "accept_queue": {"mean": mean_waiting, "peak": watch.peak_accept},
            "residence_answered_ms": watch.answered.spread_ms(),
            "residence_unanswered_ms": watch.unanswered.spread_ms(),
            "entries": {
                "added": self._added(),
                "established": counters["SynQueueEstablished"],
                "evicted": counters["SynQueueEvicted"],
                "expired": counters["SynQueueExpired"],
                "reset": counters["SynQueueReset"],
                "still_there": watch.half_open,
            },
            "refused": {
                "syn_queue_full": causes["SynQueueFull"],
                "reserve": causes["SynQueueReserve"],
                "accept_queue_full": causes["AcceptQueueFull"],
            },
            "cookies": {
                "sent": counters["SyncookiesSent"],
                "good": counters["SyncookiesRecv"],
                "failed": counters["SyncookiesFailed"],
                "options_lost": counters["SyncookiesLostOptions"],
                "pauses": counters["SynCachePauses"],
            },
            "backscatter": {
                "syn_acks": outside[Kind.SYN_ACK],
                "resets": outside[Kind.RST],
                "per_spoofed": share(sum(outside), sent),
            },
            "server_blocks": {
                "peak": watch.peak_blocks,
                "simulator_bytes": watch.peak_blocks * BLOCK.itemsize,
            },
        }
        results["detection"] = self._detection()
        return results

    def _detection(self) -> dict[str, Any]:
        settings = self.settings
        alarms = detect(self.watch.windows(), self.room, self.watch.usual_answer_ns())
        truth = settings.pace.intervals(self.runner.now) if settings.flood_rate else []
        if settings.count is not None and truth:
            truth = [(a, min(b, self.flood_over)) for a, b in truth if a < self.flood_over]
        self.alarms, self.truth = alarms, truth
        found = judge(alarms, truth)
        if settings.check_bursts and self.runner.now >= settings.end_ns:
            found |= false_alarms(settings)
        return found

    @property
    def flood_over(self) -> int:
        """When the last spoofed segment arrived."""
        return self.spoofer.last_at

    def _series(self) -> dict[str, Any]:
        told = super()._series()
        told["queues"] = series(self.watch.windows(), _SERIES)
        told["alarms"] = [alarm.as_dict() for alarm in self.alarms]
        told["floods"] = [{"begin_ms": a / 1e6, "end_ms": b / 1e6} for a, b in self.truth]
        return told

    def _own_config(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "kind": settings.kind,
            "flood_rate_per_s": settings.flood_rate / 1000,
            "spacing": settings.spacing,
            "sources": settings.sources.name,
            "count": settings.count,
            "flood_from_ms": settings.start_ns / 1e6,
            "flood_until_ms": (settings.end_ns if settings.stop_ns is None else settings.stop_ns) / 1e6,
            "on_ms": settings.on_ns / 1e6,
            "off_ms": settings.off_ns / 1e6,
            "patience_ms": settings.patience_ns / 1e6,
            "accept_delay_ms": settings.accept_delay_ns / 1e6,
        }


def false_alarms(settings: FloodSettings) -> dict[str, int]:
    """What the detector says of honest crowds at the same listener, each half as large again as the backlog.

    To make it hard each client is shown to it under an address of its own, as random as a flood's.
    """
    size = min(max(3 * int(room_of(settings)["backlog"]) // 2, 64), 8192)
    bursts = settings.check_bursts
    crowd = dataclasses.replace(
        settings,
        connections=bursts * size,
        rate=0,
        flood_rate=0,
        bursts=bursts,
        duration_ns=bursts * 3_000_000_000,
        check_bursts=0,
    )
    run = Flood(crowd)
    if run.run().partial:
        return {}
    words = Stream(settings.seed, settings.replicate, Purpose.SPOOFED)
    anywhere = Sources.random()
    windows = [
        dataclasses.replace(w, sources=anywhere.pick(words.words(len(w.sources)) >> np.uint64(32)))
        for w in run.watch.windows()
    ]
    alarms = detect(windows, run.room, run.watch.usual_answer_ns())
    return {"honest_bursts": bursts, "burst_size": size, "alarms_on_bursts": len(alarms)}


def simulate(settings: FloodSettings) -> Result:
    """One flood from beginning to end: the result depends on `settings` and on nothing else, `wall` aside.

    Replicates are runs with another `settings.replicate`: other arrivals, other keys, same everything else.
    Raises Imbalance when the books of the run do not balance.
    """
    return Flood(settings).run()


__all__ = ["CLIENT_BASE", "Flood", "FloodSettings", "simulate"]
