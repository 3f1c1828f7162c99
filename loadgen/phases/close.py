"""The close workload: open N connections, close them, and watch TIME_WAIT do its two jobs.

Its jobs (RFC 9293 3.6.1): answer a peer whose FIN was not acknowledged, because the last ACK got lost, and
keep old segments away from the next connection between the same two ports. With `time_wait_ms` 0 neither is
done, and this workload counts the damage: peers stuck in LAST_ACK, old segments taken by a new incarnation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.phases.link import CLIENT, SERVER, Segments, pick
from loadgen.phases.runner import End, Handles
from loadgen.phases.stateless import StatelessClient
from loadgen.phases.streams import Mask, Purpose, Stream
from loadgen.phases.workload import (
    SERVER_ADDRESS,
    SERVER_PORT,
    Settings,
    Workload,
    has_fin_or_text,
    is_quiet,
    states_of,
    tuples_of,
)
from tcpcore import Engine, Flag, State, slots_of

_CHUNK: Final = 1 << 12

BY: Final = ("client", "server", "simultaneous", "mix")

_STUCK: Final = (State.LAST_ACK, State.CLOSING)


@dataclass(frozen=True)
class CloseSettings(Settings):
    """What `loadgen close` asks for beyond a handshake."""

    by: str = "client"
    close_delay_ns: int = 1_000_000  # from the peer's FIN to the application's own close; 0: one FIN+ACK
    half_close: float = 0.0  # share of connections whose active closer only shuts down its side
    half_close_bytes: int = 10_000  # what the other side sends on such a connection before it closes
    data: int = 0  # bytes: the server sends as many on each connection, then the client, then they close

    @property
    def beyond_stateless(self) -> list[str]:
        asked = {"half-close": bool(self.half_close), "data": bool(self.data)}
        return super().beyond_stateless + [name for name, wanted in asked.items() if wanted]


class _Unacknowledged:
    """Connections of which something sent is not acknowledged; each is asked until it says no."""

    def __init__(self, engine: End, conns: Handles) -> None:
        if not isinstance(engine, Engine):
            raise TypeError("engine: expected an engine, got a stateless client")
        self._blocks = engine.blocks
        self._slots = slots_of(conns)
        self._settled = 0

    def any(self) -> bool:
        while self._settled < len(self._slots):
            rows = self._slots[self._settled : self._settled + _CHUNK]
            open_ = self._blocks["state"][rows] == State.ESTABLISHED
            waiting = np.flatnonzero(open_ & (self._blocks["snd_una"][rows] != self._blocks["snd_nxt"][rows]))
            if waiting.size:
                self._settled += int(waiting[0])
                return True
            self._settled += len(rows)
        return False


class Close(Workload[CloseSettings]):
    """Open, close, let TIME_WAIT drain; with delayed duplicates also open every connection a second time."""

    command = "close"

    def __init__(self, settings: CloseSettings) -> None:
        super().__init__(settings)
        settings = self.settings
        self._half: Mask = np.zeros(settings.connections, dtype=np.bool_)
        if settings.half_close:
            stream = Stream(settings.seed, settings.replicate, Purpose.HALF_CLOSE)
            self._half = stream.hits(settings.connections, settings.half_close)
        if settings.by == "simultaneous":
            self._half[:] = False
        elif settings.by == "mix":
            self._half[2::3] = False
        self._half_names: Mask = np.zeros(self.names.size, dtype=np.bool_)
        if self.tracker is not None and settings.half_close:
            self.tracker.counted = self._half_names
        self._marks = [np.zeros(self.knobs.capacity, dtype=np.uint32) for _ in range(2)]
        self._ended: list[list[tuple[Handles, Mask]]] = [[], []]  # by side: reached CLOSE_WAIT, half-closed
        self._closing = False
        self._reopening = False
        self._close_at = 0  # start of the closing stage
        self._close_done = 0
        self._half_queued = 0
        self._tuples = (np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.uint16))  # client address, port
        self._suspects: Handles = np.empty(0, dtype=np.uint64)
        self._before: npt.NDArray[np.uint32] = np.empty(0, dtype=np.uint32)
        self._drained_ns: int | None = None
        self.stuck = 0
        self.old_arrived = 0
        self.old_accepted = 0
        self.refused = 0
        self.reopened = 0

    # -- what this workload decides ---------------------------------------------

    def _prepared(self, settings: CloseSettings) -> CloseSettings:
        settings = super()._prepared(settings).lifted(tcp_max_tw_buckets=settings.connections)
        if not settings.path.duplicates.any:
            return settings
        # A host without the later protections, so that what is seen is TIME_WAIT's own work: a slow ISN
        # clock and no PAWS. RFC 1337 keeps a refused reopening from ending TIME_WAIT by a RST.
        bare = {"isn_tick_ns": 4_000_000, "tcp_timestamps": 0, "tcp_rfc1337": 1}
        knobs = settings.knobs.replace(**{k: v for k, v in bare.items() if k not in settings.knobs_set})
        return dataclasses.replace(settings, knobs=knobs)

    def _auto_close(self) -> bool:
        return not self.settings.close_delay_ns and not self.settings.half_close

    def _needs_tracker(self) -> bool:
        return super()._needs_tracker() or bool(self.settings.half_close)

    def progress(self) -> int:
        if not self._closing:
            return super().progress()
        if self._reopening:
            return self.reopened
        counts = self.server.state_counts()
        return self.settings.connections - int(counts[State.ESTABLISHED :].sum())

    def _play(self) -> None:
        self._open_all()
        if self.settings.data:
            self._exchange()
        self._hold()
        self._close_all()
        if self.settings.path.duplicates.any:
            self._reopen()
        else:
            self._drain()

    def _exchange(self) -> None:
        """The server greets, the client answers; everything is acknowledged before anybody closes."""
        conns = self.conns[self.conns != 0]
        peers = self._peers(conns)
        for side, theirs in ((SERVER, peers[peers != 0]), (CLIENT, conns)):
            self.runner.write(side, theirs, self.settings.data)
            unacknowledged = _Unacknowledged(self.runner.engines[side], theirs)
            self.runner.run(lambda left=unacknowledged: self.link.idle and not left.any())  # type: ignore[misc]
        self._stage("exchanged")

    # -- closing --------------------------------------------------------------------

    def _close_all(self) -> None:
        runner = self.runner
        self.doing, self._closing = "closing", True
        self._close_at = runner.now
        if self.settings.path.duplicates.any:
            address, port = tuples_of(self.client, self.conns[self.conns != 0])
            self._tuples = (address.copy(), port.copy())
        self._post_close(0)
        runner.run(self._closed)
        self._sweep()
        self._stage("closed")

    def _post_close(self, first: int) -> None:
        at = self._close_at + self._arrivals.at(first)
        self.runner.post(self._grid(at), lambda: self._close_due(first))

    def _close_due(self, first: int) -> None:
        until = self._arrivals.due(self.runner.now - self._close_at)
        # in chunks, which change no order (a shutdown alone would have to wait for the closes of all): larger
        # arrays than a batch go back to the system when they are freed, and it clears their pages anew
        chunk = until - first if self.settings.half_close else self.settings.batch
        for start in range(first, until, max(chunk, 1)):
            self._close(np.arange(start, min(start + chunk, until)))
        self._close_done = until
        if until < self.settings.connections:
            self._post_close(until)

    def _close(self, index: npt.NDArray[np.intp]) -> None:
        index = index[self.conns[index] != 0]
        conns, half = self.conns[index], self._half[index]
        by = self.settings.by
        turn = index % 3 if by == "mix" else np.full(len(index), BY.index(by))
        ours = turn != 1
        self._note_half(conns[half])
        self._call_some(CLIENT, self.client.close, conns[ours & ~half])
        self._call_some(CLIENT, self.client.shutdown, conns[ours & half])
        theirs = turn != 0
        peers = self._peers(conns[theirs])
        self._call_some(SERVER, self.server.close, peers[~half[theirs]])
        self._call_some(SERVER, self.server.shutdown, peers[half[theirs]])

    def _call_some(self, side: int, method: Any, conns: Handles) -> None:
        self.runner.call(side, method, conns[conns != 0])

    def _peers(self, conns: Handles) -> Handles:
        """The server's handles of the same connections, 0 where it has none."""
        address, port = tuples_of(self.client, conns)
        peers: Handles = self.server.lookup(address, port, SERVER_ADDRESS, SERVER_PORT)
        return peers

    def _note_half(self, conns: Handles) -> None:
        if len(conns):
            self._half_names[self.names.of(*tuples_of(self.client, conns))] = True

    def _closed(self) -> bool:
        if self._close_done < self.settings.connections or not self.link.idle:
            return False
        client, server = self.runner.populations()
        if self.settings.path.duplicates.any:
            return is_quiet(client)  # the old segments are on their way: reopen while they are
        return is_quiet(client) and is_quiet(server)

    def _sweep(self) -> None:
        """The client's application lets go of what it still holds: half-closed connections and dead ones."""
        if self.client.gauges()["held_dead"]:
            conns = self.conns[self.conns != 0]
            dead = self.client_engine.info(conns)["error"] != 0
            self._call_some(CLIENT, self.client.close, conns[dead])
        if self.settings.half_close:
            self._call_some(CLIENT, self.client.close, self.conns[self._half & (self.conns != 0)])

    # -- the passive application ------------------------------------------------------

    def _answer_fins(self, side: int, segs: Segments) -> None:
        """What has just reached CLOSE_WAIT: its application closes, and sends first where half-closed."""
        engine = self.runner.engines[side]
        if not engine.state_counts()[State.CLOSE_WAIT]:
            return
        segs = pick(segs, has_fin_or_text(segs))
        if not len(segs):
            return
        conns: Handles = engine.lookup(segs["src"], segs["sport"], segs["dst"], segs["dport"])
        slots = slots_of(conns)
        generation = (conns >> np.uint64(32)).astype(np.uint32)
        due = (conns != 0) & (states_of(engine, conns) == State.CLOSE_WAIT)
        due &= self._marks[side][slots] != generation
        rows = np.flatnonzero(due)
        if not rows.size:
            return
        rows = rows[np.sort(np.unique(conns[rows], return_index=True)[1])]
        self._marks[side][slots[rows]] = generation[rows]
        half: Mask = np.zeros(len(rows), dtype=np.bool_)
        if self.settings.half_close:
            half = self._half_names[self.names.of_segments(pick(segs, rows), 1 - side)]
        if not self._ended[side]:
            self.runner.post(self.runner.now, lambda: self._close_ended(side))
        self._ended[side].append((conns[rows], half))

    def _close_ended(self, side: int) -> None:
        """All that reached CLOSE_WAIT in one instant, whatever batches they came in."""
        conns = np.concatenate([conns for conns, _ in self._ended[side]])
        half = np.concatenate([half for _, half in self._ended[side]])
        self._ended[side] = []
        runner, settings = self.runner, self.settings
        runner.write(side, conns[half], settings.half_close_bytes)
        self._half_queued += int(np.count_nonzero(half)) * (settings.half_close_bytes + settings.data)
        runner.post(
            runner.now + settings.close_delay_ns,
            lambda: runner.call(side, runner.engines[side].close, conns),
        )

    # -- Watcher ------------------------------------------------------------------

    def arriving(self, side: int, segs: Segments, late: bool) -> None:
        if late:
            self._suspects = self.server.lookup(segs["src"], segs["sport"], segs["dst"], segs["dport"])
            self._before = self.server.blocks["rcv_nxt"][slots_of(self._suspects)]
        elif self._closing:
            resets = segs["flags"] & np.uint8(Flag.RST) != 0
            suspects = self._in_last_ack(side, pick(segs, resets)) if resets.any() else self._suspects[:0]
            self._suspects = suspects

    def arrived(self, side: int, segs: Segments, late: bool) -> None:
        if late:
            self._judge_old(segs)
        elif self._reopening:
            self._greet_again(side)
        else:
            super().arrived(side, segs, late)
        if self._closing and not late:
            if len(self._suspects):
                states = self.runner.engines[side].info(self._suspects)["state"]
                self.stuck += int(np.count_nonzero(states == State.CLOSED))
            if not self._reopening and not (side == SERVER and self._auto_close()):
                self._answer_fins(side, segs)

    def _greet_again(self, side: int) -> None:
        """The second incarnation: the server greets as before, the client stays silent."""
        told = self.runner.engines[side].events()
        if side == CLIENT:
            self.reopened += len(told)
        elif len(told) and self.settings.data:
            conns: Handles = told["conn"].copy()
            self.runner.post(self.runner.now, lambda: self.runner.write(SERVER, conns, self.settings.data))

    def _in_last_ack(self, side: int, resets: Segments) -> Handles:
        engine = self.runner.engines[side]
        conns = np.unique(engine.lookup(resets["src"], resets["sport"], resets["dst"], resets["dport"]))
        conns = conns[conns != 0]
        stuck: Handles = conns[np.isin(states_of(engine, conns), _STUCK)]
        return stuck

    def _judge_old(self, segs: Segments) -> None:
        """An old segment was accepted if RCV.NXT moved: the new incarnation's client has sent no data."""
        after = self.server.blocks["rcv_nxt"][slots_of(self._suspects)]
        moved = (self._suspects != 0) & (after != self._before)
        self.old_arrived += len(segs)
        self.old_accepted += len(np.unique(self._suspects[moved]))

    # -- after closing ------------------------------------------------------------------

    def _drain(self) -> None:
        self.doing = "draining"
        self.runner.run(self._empty)
        if self._empty():
            self._drained_ns = self.runner.now
            self._stage("drained")

    def _empty(self) -> bool:
        client, server = self.runner.populations()
        return not client[State.TIME_WAIT] and not server[State.TIME_WAIT]

    def _reopen(self) -> None:
        """Every connection once more, between the same ports: at once, or when TIME_WAIT lets it."""
        runner = self.runner
        src, sport = self._tuples
        self.doing, self._reopening = "reopening", True
        again = runner.open(SERVER_ADDRESS, SERVER_PORT, src, sport)
        self._drain()
        self.doing = "reopening"
        runner.run(self._second_resolved)
        refused = (again == 0) | (states_of(self.client, again) != State.ESTABLISHED)
        self.refused = int(np.count_nonzero(refused))
        self._call_some(CLIENT, self.client.close, again[refused])
        runner.open(SERVER_ADDRESS, SERVER_PORT, src[refused], sport[refused])
        runner.run(self._second_resolved)
        self._stage("reopened")

    def _second_resolved(self) -> bool:
        client, _ = self.runner.populations()
        return not client[State.SYN_SENT] and self.link.idle and self.link.late.next() is None

    # -- the result ---------------------------------------------------------------

    def _own_results(self) -> dict[str, Any]:
        settings, peaks = self.settings, self.runner.peaks
        results: dict[str, Any] = {
            "stuck_last_ack": self.stuck + self._forsaken(CLIENT) + self._forsaken(SERVER),
            "old_segments_accepted": self.old_accepted,
            "time_wait_peak": {
                "client": int(peaks[CLIENT][State.TIME_WAIT]),
                "server": int(peaks[SERVER][State.TIME_WAIT]),
            },
            "closing_from_ms": self._close_at / 1e6,
            "time_wait_drained_ms": None if self._drained_ns is None else self._drained_ns / 1e6,
            "blocks_left": {
                "client": int(self.client.gauges()["blocks_used"]),
                "server": int(self.server.gauges()["blocks_used"]),
            },
        }
        if settings.half_close and self.tracker is not None:
            results["half_close"] = {
                "connections": int(np.count_nonzero(self._half)),
                "queued_bytes": self._half_queued,
                "acknowledged_bytes": self.tracker.bytes_acked,
            }
        if settings.path.duplicates.any:
            results["second_incarnation"] = {
                "refused_at_first": self.refused,
                "opened": self.reopened,
                "old_segments_arrived": self.old_arrived,
            }
        return results

    def _forsaken(self, side: int) -> int:
        """Connections still waiting for a last ACK whose other end is gone: their RST is still to come."""
        engine, other = self.runner.engines[side], self.runner.engines[1 - side]
        if not engine.state_counts()[list(_STUCK)].any():
            return 0
        if isinstance(engine, StatelessClient):
            stuck = np.flatnonzero(np.isin(engine.states, _STUCK)).astype(np.uint64)
            theirs = other.lookup(*engine.tuples(stuck), SERVER_ADDRESS, SERVER_PORT)
        else:
            blocks = engine.blocks[np.isin(engine.blocks["state"], _STUCK)]
            theirs = other.lookup(blocks["laddr"], blocks["lport"], blocks["raddr"], blocks["rport"])
        return int(np.count_nonzero(theirs == 0))

    def _own_config(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "by": settings.by,
            "close_delay_ms": settings.close_delay_ns / 1e6,
            "half_close": settings.half_close,
            "half_close_bytes": settings.half_close_bytes,
            "data": settings.data,
            "last_ack_loss": settings.path.last_ack_loss,
        }
