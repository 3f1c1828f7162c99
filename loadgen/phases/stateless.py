"""A client end without engine: what it sends follows from the server's answers.

It looks like an engine to the runner, and keeps nine bytes per connection where an engine keeps 150: the
state, and what the server's SYN-ACK said. The number of a connection is its address and port; its first
sequence number is a hash of that. It answers every segment as RFC 9293 3.10.7 has it on a path that loses
nothing; it has no timers but TIME_WAIT's and sends nothing twice. Source: RFC 9293 3.5, 3.6, 3.10.7.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tcpcore import SEGMENT, Config, Engine, Flag, Option, State

Segments = npt.NDArray[np.void]
Handles = npt.NDArray[np.uint64]
Index = npt.NDArray[np.uint32]
States = npt.NDArray[np.uint8]

#: What `events` tells: the client knows of one kind of event only.
ESTABLISHED_AT: Final = np.dtype([("conn", "u8"), ("at", "i8")])

_GENERATION: Final = np.uint64(1 << 32)  # a handle's upper half: every connection is opened once
_WINDOW: Final = 65535
_WSCALE: Final = 7
_MS: Final = 1_000_000
_ONE: Final = np.uint32(1)

# Members of an enum are slow to look up, and these are asked for with every batch.
_CLOSED, _SYN_SENT, _ESTABLISHED = map(int, (State.CLOSED, State.SYN_SENT, State.ESTABLISHED))
_FIN_WAIT_1, _FIN_WAIT_2, _CLOSE_WAIT = map(int, (State.FIN_WAIT_1, State.FIN_WAIT_2, State.CLOSE_WAIT))
_CLOSING, _LAST_ACK, _TIME_WAIT = map(int, (State.CLOSING, State.LAST_ACK, State.TIME_WAIT))
_FIN, _SYN, _RST, _ACK, _PSH = map(int, (Flag.FIN, Flag.SYN, Flag.RST, Flag.ACK, Flag.PSH))


def _table(**to: int) -> States:
    """Next state by state; those not named stay."""
    states = np.arange(len(State), dtype=np.uint8)
    for name, state in to.items():
        states[State[name]] = state
    return states


def _offers(config: Config) -> int:
    """Options of a SYN beside the timestamps, which every segment has."""
    scaling, sack = config.tcp_window_scaling, config.tcp_sack
    return int(Option.MSS | (Option.WSCALE if scaling else 0) | (Option.SACK_OK if sack else 0))


# Next state by what the segment is; acked: it acknowledges our FIN.
_ON_SYN_ACK: Final = _table(SYN_SENT=_ESTABLISHED)
_ON_ACKED: Final = _table(FIN_WAIT_1=_FIN_WAIT_2, CLOSING=_TIME_WAIT, LAST_ACK=_CLOSED)
_ON_FIN: Final = _table(ESTABLISHED=_CLOSE_WAIT, FIN_WAIT_1=_CLOSING, FIN_WAIT_2=_TIME_WAIT)
_ON_CLOSE: Final = _table(ESTABLISHED=_FIN_WAIT_1, CLOSE_WAIT=_LAST_ACK)
_FIN_SENT: Final = np.isin(
    np.arange(len(State)), (_FIN_WAIT_1, _FIN_WAIT_2, _CLOSING, _LAST_ACK, _TIME_WAIT)
).astype(np.uint32)
_FIN_GOT: Final = np.isin(np.arange(len(State)), (_CLOSE_WAIT, _CLOSING, _LAST_ACK, _TIME_WAIT)).astype(
    np.uint32
)


class StatelessClient:
    """N clients of one server, each connection opened once, in order.

    Parameters
    ----------
    connections : int
        How many at most.
    config : Config
        What their SYNs offer, their ports and the length of TIME_WAIT; the other knobs do nothing here.
    seed : int
        Of the first sequence numbers.
    base, addresses : int
        The i-th connection comes from address ``base + i % addresses``.
    server : Engine
        The other end; it is asked for nothing but the names of its counters.
    """

    def __init__(
        self, connections: int, config: Config, seed: int, base: int, addresses: int, server: Engine
    ) -> None:
        low, high = config.ip_local_port_range
        if connections > addresses * (high - low + 1):
            raise ValueError(
                f"connections: expected at most {addresses * (high - low + 1)} "
                f"({addresses} addresses, ports {low} .. {high}), got {connections}"
            )
        self.config = config
        self.states: States = np.zeros(connections, dtype=np.uint8)
        self._irs = np.zeros(connections, dtype=np.uint32)
        self._recent = np.zeros(connections if config.tcp_timestamps else 0, dtype=np.uint32)
        self._base, self._addresses, self._low = np.uint32(base), np.uint32(addresses), np.uint32(low)
        self._key = np.uint32(seed & 0xFFFF_FFFF)
        self._time_wait_ns = config.time_wait_ms * _MS
        self._opened = 0
        self._server = (np.uint32(0), np.uint16(0))
        self._counts = np.zeros(len(State), dtype=np.uint64)
        self._waiting: deque[tuple[int, Index]] = deque()  # TIME_WAITs by deadline
        self._told: list[npt.NDArray[Any]] = []
        self._counters = dict.fromkeys(server.counters, 0)
        self.causes = dict.fromkeys(server.causes, 0)

    # -- numbers --------------------------------------------------------------------

    def _isn(self, index: Index) -> Index:
        mixed = (index ^ self._key) * np.uint32(0x9E3779B1)
        mixed ^= mixed >> np.uint32(15)
        return mixed * np.uint32(0x85EBCA77)

    def tuples(self, conns: Handles) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        """Client address and port of each handle."""
        return self._tuples(conns.astype(np.uint32))

    def _tuples(self, index: Index) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        turn = index // self._addresses
        return self._base + (index - turn * self._addresses), (self._low + turn).astype(np.uint16)

    def _index(self, address: Any, port: Any) -> npt.NDArray[np.uint64]:
        """The number of each connection; beyond the last one where there is none."""
        client, turn = address - self._base, port.astype(np.uint32) - self._low
        index = turn.astype(np.uint64) * self._addresses + client
        index[(client >= self._addresses) | (turn > np.uint32(0xFFFF))] = len(self.states)
        found: npt.NDArray[np.uint64] = np.minimum(index, np.uint64(len(self.states)))
        return found

    # -- calls --------------------------------------------------------------------------

    def connect(
        self, dst: int, dport: int, now: int, *, src: npt.NDArray[np.uint32], sport: Any = None, out: Segments
    ) -> tuple[Handles, Segments]:
        """The next connections, as many as `src` has addresses; their SYNs."""
        if sport is not None:
            raise ValueError("sport: expected None, a stateless client opens every connection once")
        n = len(src)
        index = np.arange(self._opened, self._opened + n, dtype=np.uint32)
        self._opened += n
        self._server = (np.uint32(dst), np.uint16(dport))
        self.states[index] = _SYN_SENT
        self._counts[_SYN_SENT] += np.uint64(n)
        self._counters["ActiveOpens"] += n
        config, rows = self.config, out[:n]
        rows["seq"] = self._isn(index)
        rows["ack"] = 0
        rows["tsecr"] = 0
        self._fill(rows, index, _SYN, now)
        rows["opts"] |= np.uint8(_offers(config))
        rows["mss"] = config.mss
        rows["wscale"] = _WSCALE if config.tcp_window_scaling else 0
        return index + _GENERATION, rows

    def close(self, conns: Handles, now: int, out: Segments) -> Segments:
        """FINs of those that may send one."""
        index = conns.astype(np.uint32)
        states = self.states[index]
        may = (states == _ESTABLISHED) | (states == _CLOSE_WAIT)
        index, states = index[may], states[may]
        self._move(index, states, _ON_CLOSE[states], now)
        rows = out[: len(index)]
        rows["seq"] = self._isn(index) + _ONE
        rows["ack"] = self._irs[index] + _ONE + _FIN_GOT[states]
        rows["tsecr"] = self._recent[index] if len(self._recent) else 0
        self._fill(rows, index, _FIN | _ACK, now)
        return rows

    shutdown = close

    def receive(self, segs: Segments, now: int, out: Segments) -> Segments:
        """Note what the server says; a SYN or a FIN gets an ACK."""
        self._counters["InSegs"] += len(segs)
        found = self._index(segs["dst"], segs["dport"])
        known = found < len(self.states)
        if not known.all():
            segs, found = segs[known], found[known]
        index = found.astype(np.uint32)
        ordered = np.sort(index)
        if not (ordered[1:] == ordered[:-1]).any():
            return self._answers(segs, index, now, out)
        # several for one connection: in their order, so the first of each, then the rest
        rows = 0
        while len(index):
            _, first = np.unique(index, return_index=True)
            rows += len(self._answers(segs[first], index[first], now, out[rows:]))
            segs, index = np.delete(segs, first), np.delete(index, first)
        return out[:rows]

    def _answers(self, segs: Segments, index: Index, now: int, out: Segments) -> Segments:
        """The same for a segment each of different connections."""
        flags, states = segs["flags"], self.states[index]
        opens = (flags & np.uint8(_SYN | _RST)) == _SYN
        if opens.any():
            self._irs[index[opens]] = segs["seq"][opens]
        if len(self._recent):
            self._recent[index] = segs["tsval"]
        after = self._judged(segs, index, flags, states)
        answered = (
            ((flags & np.uint8(_SYN | _FIN)) != 0) & ((flags & np.uint8(_RST)) == 0) & (after != _CLOSED)
        )
        self._move(index, states, after, now)
        if not answered.all():
            index, after, segs = index[answered], after[answered], segs[answered]
        rows = out[: len(index)]
        rows["seq"] = self._isn(index) + _ONE + _FIN_SENT[after]
        rows["ack"] = self._irs[index] + _ONE + _FIN_GOT[after]
        rows["tsecr"] = segs["tsval"]
        self._fill(rows, index, _ACK, now)
        return rows

    def _judged(self, segs: Segments, index: Index, flags: States, states: States) -> States:
        """The state of each connection after its segment."""
        kind = flags & np.uint8(_FIN | _SYN | _RST)
        if not (kind != _SYN).any():
            return _ON_SYN_ACK[states]
        after = np.where(kind == _SYN, _ON_SYN_ACK[states], states)
        later = kind & np.uint8(_SYN | _RST) == 0
        acked = later & (segs["ack"] == self._isn(index) + np.uint32(2))
        after = np.where(acked, _ON_ACKED[after], after)
        after = np.where(later & (kind == _FIN), _ON_FIN[after], after)
        resets = kind & np.uint8(_RST) != 0
        if resets.any():
            was = states[resets]
            self._counters["AttemptFails"] += int(np.count_nonzero(was == _SYN_SENT))
            self._counters["ConnectionsClosed"] -= int(np.count_nonzero(was == _LAST_ACK))  # it did not
            self._counters["EstabResets"] += int(
                np.count_nonzero((was == _ESTABLISHED) | (was == _CLOSE_WAIT))
            )
            after[resets] = _CLOSED
        return np.asarray(after, dtype=np.uint8)

    def advance(self, now: int, out: Segments) -> Segments:
        """TIME_WAITs that are over."""
        while self._waiting and self._waiting[0][0] <= now:
            _, index = self._waiting.popleft()
            over = index[self.states[index] == _TIME_WAIT]
            self.states[over] = _CLOSED
            self._counts[_TIME_WAIT] -= np.uint64(len(over))
        return out[:0]

    def next_timer(self) -> int | None:
        """The next end of a TIME_WAIT."""
        return self._waiting[0][0] if self._waiting else None

    # -- what the workload looks at ------------------------------------------------------

    @property
    def counters(self) -> dict[str, int]:
        """Under an engine's names; what cannot happen here is 0."""
        established = int(self._counts[_ESTABLISHED] + self._counts[_CLOSE_WAIT])
        return {**self._counters, "CurrEstab": established}

    def events(self) -> npt.NDArray[Any]:
        """Connections established since the last call."""
        told, self._told = self._told, []
        return np.concatenate(told) if told else np.empty(0, ESTABLISHED_AT)

    def lookup(self, raddr: Any, rport: Any, laddr: Any, lport: Any) -> Handles:
        """Handles by 4-tuple, 0 where none."""
        found = self._index(laddr, lport)
        known = (found < len(self.states)) & (raddr == self._server[0]) & (rport == self._server[1])
        known[known] = self.states[found[known].astype(np.intp)] != _CLOSED
        return np.where(known, found + _GENERATION, np.uint64(0))

    def info(self, conns: Handles) -> npt.NDArray[Any]:
        """State by handle, as far as an engine's STATUS exists here."""
        told = np.zeros(len(conns), [("state", "u1"), ("error", "u2")])
        told["state"] = self.states[conns.astype(np.uint32)]
        return told

    def send(self, conns: Handles, nbytes: Any, now: int) -> Segments:
        """Nobody keeps what is not acknowledged: only of nothing."""
        if len(conns):
            raise ValueError("conns: expected none, a stateless client sends no data")
        return np.empty(0, SEGMENT)

    def state_counts(self) -> npt.NDArray[np.uint64]:
        """Connections by state."""
        return self._counts.copy()

    def gauges(self) -> dict[str, int | float]:
        """As far as an engine's gauges exist here."""
        total, used = self.states.nbytes + self._irs.nbytes + self._recent.nbytes, int(self._counts.sum())
        return {
            "half_open": 0,
            "time_wait": int(self._counts[_TIME_WAIT]),
            "held_dead": 0,
            "blocks_used": used,
            "bytes_total": total,
            "bytes_per_connection": total / used if used else 0.0,
        }

    # -- helpers ------------------------------------------------------------------------------

    def _fill(self, rows: Segments, index: Index, flags: int, now: int) -> None:
        """What all our segments have in common; they go into OutSegs."""
        rows["src"], rows["sport"] = self._tuples(index)
        rows["dst"], rows["dport"] = self._server
        rows["wnd"], rows["payload_len"] = _WINDOW, 0
        rows["flags"] = flags
        rows["mss"] = rows["wscale"] = 0
        stamps = bool(self.config.tcp_timestamps)
        rows["opts"] = int(Option.TS) if stamps else 0
        rows["tsval"] = (now // _MS + 1) & 0xFFFF_FFFF if stamps else 0
        self._counters["OutSegs"] += len(rows)

    def _move(self, index: Index, before: States, after: States, now: int) -> None:
        """From state to state, with all that hangs on it."""
        changed = before != after
        if not changed.any():
            return
        if not changed.all():
            index, before, after = index[changed], before[changed], after[changed]
        opened = after == _ESTABLISHED
        if opened.any():
            told = np.empty(int(np.count_nonzero(opened)), ESTABLISHED_AT)
            told["conn"], told["at"] = index[opened] + _GENERATION, now
            self._told.append(told)
        waits = after == _TIME_WAIT
        self._counters["ConnectionsClosed"] += int(np.count_nonzero(waits | (before == _LAST_ACK)))
        if waits.any():
            # as Linux counts: FIN-WAIT-2 without an application is already kept like a TIME-WAIT
            kept = waits if self._time_wait_ns else before == _FIN_WAIT_2
            self._counters["TW"] += int(np.count_nonzero(waits & kept))
            if self._time_wait_ns:
                over = -(-(now + self._time_wait_ns) // _MS) * _MS  # on the ms, as an engine's
                self._waiting.append((over, index[waits]))
            else:
                after = np.where(waits, np.uint8(_CLOSED), after)
        self.states[index] = after
        change = np.bincount(after, minlength=len(State)) - np.bincount(before, minlength=len(State))
        change[_CLOSED] = 0
        self._counts += change.astype(np.uint64)  # modulo 2**64: a negative change is one, too
