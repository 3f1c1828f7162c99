"""Calls of one from Python, with a scalar or an array of one, and a plain Python step.

The application of a simulator makes them one at a time. What a call needs, such as connections to close, is
prepared in a batch and not measured. The step is what a simulator's own event costs at the least: an entry of
a dict is set, a heap of a thousand entries takes one in and gives one out.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tcpcore import Config, Engine, Flag, join, segments
from tests.extensions.rounds import Rounds

CALLS = 1000
ROUNDS = 200_000  # of send, receive, receive through the Cython API
LOCAL, PEER = 0x0A000001, 0x0A000002
ACK, SYN, RST = int(Flag.ACK), int(Flag.SYN), int(Flag.RST)

#: Of a call: its limit in us (none: nothing was promised), what prepares its arguments, and the call.
Case = tuple[float | None, Callable[[], Sequence[Any]], Callable[[Any], object]]


class Caller:
    """An engine with one connection, of which the application reads and writes."""

    def __init__(self) -> None:
        config = Config(capacity=4 * CALLS, auto_read=False, tcp_timestamps=0, somaxconn=CALLS, seed=1)
        self.engine = Engine(config)
        self.web = self.engine.listen(LOCAL, 80, CALLS)
        self.conn, syn = self.engine.connect(PEER, 80, 0, sport=1000)
        self.handle = int(self.conn[0])
        self.from_peer = {"src": PEER, "dst": LOCAL, "sport": 80, "dport": 1000, "wnd": 65535}
        self.seq = 2
        fields = {"seq": 1, "ack": int(syn["seq"][0]) + 1, "flags": SYN | ACK}
        self.engine.receive(segments(1, **self.from_peer, **fields), 0)
        self.rst = segments(1, src=PEER, dst=LOCAL, sport=81, dport=1000, flags=RST)
        self.out = segments(2)
        self.parts = [segments(1), segments(1)]
        self.many: Any = np.zeros(0, np.uint64)
        self.table: dict[int, int] = {}
        self.heap = [(at, at) for at in range(1000)]

    def step(self, _: object) -> None:
        self.table[5] = 1
        heapq.heappush(self.heap, (500, 1))
        heapq.heappop(self.heap)

    def nothing(self) -> Sequence[Any]:
        """Arguments for calls that need none, after all that is queued has been acknowledged."""
        acked = int(self.engine.info(self.conn)["snd_nxt"][0])
        self.engine.receive(segments(1, **self.from_peer, seq=self.seq, ack=acked, flags=ACK), 0)
        return range(CALLS)

    def text(self) -> Sequence[Any]:
        """The same with a byte to read for each call."""
        acked = int(self.engine.info(self.conn)["snd_nxt"][0])
        fields = {"seq": self.seq, "ack": acked, "flags": ACK, "payload_len": CALLS}
        self.engine.receive(segments(1, **self.from_peer, **fields), 0)
        self.seq += CALLS
        return range(CALLS)

    def rooms(self) -> Sequence[Any]:
        """Ports that are free, as the connections of the last calls are aborted."""
        for port in range(2000, 2000 + CALLS):
            self.engine.abort(self.engine.lookup(PEER, 80, LOCAL, port), 0)
        return range(2000, 2000 + CALLS)

    def opened(self) -> Sequence[Any]:
        """Handles of new connections."""
        self.engine.abort(self.many, 0)  # an application holds what it has only shut down
        self.many, _ = self.engine.connect(PEER, 80, 0, sport=np.asarray(self.rooms()))
        return [int(conn) for conn in self.many]

    def opened_arrays(self) -> Sequence[Any]:
        """The same as arrays of one."""
        self.opened()
        return [self.many[i : i + 1] for i in range(CALLS)]

    def waiting(self) -> Sequence[Any]:
        """A listener with a connection to accept for each call."""
        self.engine.abort(self.many, 0)
        sport = np.arange(2000, 2000 + CALLS)
        fields = {"src": PEER, "dst": LOCAL, "sport": sport, "dport": 80, "wnd": 65535}
        answers = self.engine.receive(segments(CALLS, **fields, seq=1, flags=SYN), 0)
        self.engine.receive(segments(CALLS, **fields, seq=2, ack=answers["seq"] + 1, flags=ACK), 0)
        self.many = self.engine.lookup(PEER, fields["sport"], LOCAL, 80)
        return range(CALLS)

    def cases(self) -> dict[str, Case]:
        """All of them, by name."""
        engine, conn, handle, out = self.engine, self.conn, self.handle, self.out
        return {
            "connect": (8, self.rooms, lambda port: engine.connect(PEER, 80, 0, sport=port)),
            "connect, dotted address": (
                8,
                self.rooms,
                lambda port: engine.connect("10.0.0.2", 80, 0, sport=port),
            ),
            "lookup": (3, self.nothing, lambda _: engine.lookup(PEER, 80, LOCAL, 1000)),
            "segments(1)": (3, self.nothing, lambda _: segments(1)),
            "segments(1) with seven fields": (
                3,
                self.nothing,
                lambda _: segments(1, src=PEER, dst=LOCAL, sport=80, dport=1, seq=5, flags=SYN, wnd=100),
            ),
            "send": (2, self.nothing, lambda _: engine.send(handle, 1, 0)),
            "send, array of one": (2, self.nothing, lambda _: engine.send(conn, 1, 0)),
            "recv": (2, self.text, lambda _: engine.recv(handle, 1, 0)),
            "recv, array of one": (2, self.text, lambda _: engine.recv(conn, 1, 0)),
            "info": (2, self.nothing, lambda _: engine.info(handle)),
            "info, array of one": (2, self.nothing, lambda _: engine.info(conn)),
            "close": (2, self.opened, lambda one: engine.close(one, 0)),
            "close, array of one": (2, self.opened_arrays, lambda one: engine.close(one, 0)),
            "shutdown": (2, self.opened, lambda one: engine.shutdown(one, 0)),
            "abort": (2, self.opened, lambda one: engine.abort(one, 0)),
            "accept": (2, self.waiting, lambda _: engine.accept(self.web, 1)),
            "receive": (1, self.nothing, lambda _: engine.receive(self.rst, 0)),
            "receive, out=": (1, self.nothing, lambda _: engine.receive(self.rst, 0, out)),
            "advance, nothing due": (1, self.nothing, lambda _: engine.advance(0)),
            "join of two": (None, self.nothing, lambda _: join(self.parts)),
            "numpy.concatenate of two": (None, self.nothing, lambda _: np.concatenate(self.parts)),
        }


def run_all(call: Callable[[Any], object], arguments: Sequence[Any]) -> None:
    """What is measured: one call after the other."""
    for argument in arguments:
        call(argument)


def rounds(timestamps: int = 1) -> Rounds:
    """A connection between two engines, for calls through the Cython API."""
    client, server = (
        Engine(capacity=64, local_addr=addr, tcp_timestamps=timestamps) for addr in ("10.0.0.2", "10.0.0.1")
    )
    return Rounds(client, server, server.listen("10.0.0.1", 80), 0x0A000001, 80)
