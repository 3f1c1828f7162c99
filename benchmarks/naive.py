"""The connection lifecycle in plain Python, a dict of dataclasses, for comparison with the engine.

Both roles, SYN to last ACK, retransmission and TIME_WAIT timers, a backlog. It checks sequence and
acknowledgment numbers, but has no options, no data, no resets and no simultaneous open, so it does less than
the engine.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

FIN, SYN, ACK = 1, 2, 16
WRAP = 0xFFFFFFFF
RTO_NS = 1_000_000_000
TIME_WAIT_NS = 60_000_000_000

# plain ints: to look up an Enum's member takes Python 3.11 longer than the rest of a test
CLOSED, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT = range(7)
CLOSING, LAST_ACK, TIME_WAIT = range(7, 10)
RESENT = {SYN_SENT: SYN, SYN_RECEIVED: SYN | ACK} | dict.fromkeys((FIN_WAIT_1, CLOSING, LAST_ACK), FIN | ACK)


class Segment(NamedTuple):
    src: int
    sport: int
    dst: int
    dport: int
    flags: int
    seq: int
    ack: int = 0


@dataclass(slots=True, eq=False)
class Connection:
    key: tuple[int, int, int, int]  # raddr, rport, laddr, lport
    state: int
    snd_una: int
    snd_nxt: int
    rcv_nxt: int = 0
    deadline: int = 0  # ns; 0: no timer runs


class Host:
    """One end. A server listens on `port`; a client has None."""

    def __init__(self, port: int | None = None, backlog: int = 4096, seed: int = 0) -> None:
        self.port = port
        self.backlog = backlog
        self.connections: dict[tuple[int, int, int, int], Connection] = {}
        self.accept_queue: deque[Connection] = deque()
        self.half_open = 0
        # both timeouts are constant, so each queue is in order of deadlines
        self.resends: deque[tuple[int, Connection]] = deque()
        self.time_waits: deque[tuple[int, Connection]] = deque()
        self.random = random.Random(seed)

    def connect(self, laddr: int, lport: int, raddr: int, rport: int, now: int) -> tuple[Connection, Segment]:
        key = raddr, rport, laddr, lport
        if key in self.connections:
            raise OSError("address in use")
        iss = self.random.getrandbits(32)
        conn = Connection(key, SYN_SENT, iss, iss + 1 & WRAP)
        self.connections[key] = conn
        self.arm(conn, now)
        return conn, self.segment(conn, SYN, iss)

    def accept(self) -> Connection | None:
        return self.accept_queue.popleft() if self.accept_queue else None

    def close(self, conn: Connection, now: int) -> Segment | None:
        if conn.state == ESTABLISHED:
            conn.state = FIN_WAIT_1
        elif conn.state == CLOSE_WAIT:
            conn.state = LAST_ACK
        else:
            return None
        seq = conn.snd_nxt
        conn.snd_nxt = seq + 1 & WRAP
        self.arm(conn, now)
        return self.segment(conn, FIN | ACK, seq)

    def receive(self, seg: Segment, now: int) -> Segment | None:
        """Process a segment; return the answer, if there is one."""
        conn = self.connections.get((seg.src, seg.sport, seg.dst, seg.dport))
        if conn is None:
            return self.open(seg, now)
        if conn.state == SYN_SENT:
            return self.opened(conn, seg)
        if seg.seq != conn.rcv_nxt:
            if conn.state == TIME_WAIT and seg.flags & FIN:
                self.wait(conn, now)
            return self.ack(conn)
        if not seg.flags & ACK or seg.ack != conn.snd_nxt:
            return None
        self.acknowledged(conn, seg)
        if seg.flags & FIN:
            return self.finish(conn, now)
        return None

    def advance(self, now: int) -> list[Segment]:
        """Fire the timers: expired TIME_WAITs are removed; return the segments that are sent again."""
        while self.time_waits and self.time_waits[0][0] <= now:
            deadline, conn = self.time_waits.popleft()
            if conn.deadline == deadline:
                self.remove(conn)
        rows = []
        while self.resends and self.resends[0][0] <= now:
            deadline, conn = self.resends.popleft()
            if conn.deadline == deadline and conn.state in RESENT:
                self.arm(conn, now)
                rows.append(self.segment(conn, RESENT[conn.state], conn.snd_una))
        return rows

    def open(self, seg: Segment, now: int) -> Segment | None:
        """Process a segment in LISTEN."""
        if seg.flags != SYN or seg.dport != self.port or self.half_open > self.backlog:
            return None
        iss = self.random.getrandbits(32)
        key = seg.src, seg.sport, seg.dst, seg.dport
        conn = Connection(key, SYN_RECEIVED, iss, iss + 1 & WRAP, seg.seq + 1 & WRAP)
        self.connections[conn.key] = conn
        self.half_open += 1
        self.arm(conn, now)
        return self.segment(conn, SYN | ACK, iss)

    def opened(self, conn: Connection, seg: Segment) -> Segment | None:
        """Process a segment in SYN-SENT."""
        if seg.flags != SYN | ACK or seg.ack != conn.snd_nxt:
            return None
        conn.state = ESTABLISHED
        conn.snd_una = seg.ack
        conn.rcv_nxt = seg.seq + 1 & WRAP
        conn.deadline = 0
        return self.ack(conn)

    def acknowledged(self, conn: Connection, seg: Segment) -> None:
        if seg.ack == conn.snd_una:
            return
        conn.snd_una = seg.ack
        conn.deadline = 0
        if conn.state == SYN_RECEIVED:
            conn.state = ESTABLISHED
            self.half_open -= 1
            self.accept_queue.append(conn)
        elif conn.state == FIN_WAIT_1:
            conn.state = FIN_WAIT_2
        elif conn.state == CLOSING:
            conn.state = TIME_WAIT
        elif conn.state == LAST_ACK:
            self.remove(conn)

    def finish(self, conn: Connection, now: int) -> Segment:
        """Process the peer's FIN."""
        conn.rcv_nxt = conn.rcv_nxt + 1 & WRAP
        if conn.state == ESTABLISHED:
            conn.state = CLOSE_WAIT
        elif conn.state == FIN_WAIT_1:
            conn.state = CLOSING
        elif conn.state == FIN_WAIT_2:
            self.wait(conn, now)
        return self.ack(conn)

    def wait(self, conn: Connection, now: int) -> None:
        conn.state = TIME_WAIT
        conn.deadline = now + TIME_WAIT_NS
        self.time_waits.append((conn.deadline, conn))

    def arm(self, conn: Connection, now: int) -> None:
        conn.deadline = now + RTO_NS
        self.resends.append((conn.deadline, conn))

    def remove(self, conn: Connection) -> None:
        conn.state = CLOSED
        conn.deadline = 0
        del self.connections[conn.key]

    def ack(self, conn: Connection) -> Segment:
        return self.segment(conn, ACK, conn.snd_nxt)

    def segment(self, conn: Connection, flags: int, seq: int) -> Segment:
        raddr, rport, laddr, lport = conn.key
        return Segment(laddr, lport, raddr, rport, flags, seq, conn.rcv_nxt)
