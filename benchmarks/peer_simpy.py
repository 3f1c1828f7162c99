"""The lifecycle of a pair in SimPy: a process and a store for each end, as a model would have it.

Seven segments, the client closes first. An end knows its state and the numbers of both ends, no more: no
options, no windows, no resends; TIME_WAIT is a timeout. What it shows is what SimPy's events cost.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

import simpy

from benchmarks.harness import Measured, cpu_ns, uncollected

DELAY_S, TWO_MSL_S = 0.001, 60.0
LIVES = 1000
ACK, SYN, FIN = 16, 2, 1

Process = Generator[Any, Any, None]


class Segment(NamedTuple):
    """What crosses the link."""

    flags: int
    seq: int
    ack: int


class End:
    """One end of a connection: its inbox, and how it sends."""

    def __init__(self, env: simpy.Environment, iss: int) -> None:
        self.env, self.inbox = env, simpy.Store(env)
        self.state, self.snd_nxt, self.rcv_nxt = "CLOSED", iss, 0
        self.peer: End = self
        self.sent = 0

    def send(self, flags: int) -> None:
        """Send a segment, which arrives after the link's delay."""
        seg = Segment(flags, self.snd_nxt, self.rcv_nxt)
        self.snd_nxt += bool(flags & (SYN | FIN))
        self.sent += 1
        self.env.process(self.carry(seg))

    def carry(self, seg: Segment) -> Process:
        yield self.env.timeout(DELAY_S)
        yield self.peer.inbox.put(seg)

    def receive(self) -> Process:
        """Wait for a segment and take its numbers."""
        seg = yield self.inbox.get()
        if seg.flags & ACK and seg.ack != self.snd_nxt:
            raise RuntimeError(f"{self.state}: {seg} acknowledges what was not sent")
        self.rcv_nxt = seg.seq + bool(seg.flags & (SYN | FIN))

    def client(self) -> Process:
        """Connect, close first, and stay in TIME_WAIT."""
        self.state = "SYN_SENT"
        self.send(SYN)
        yield from self.receive()
        self.send(ACK)
        self.state = "FIN_WAIT_1"
        self.send(FIN | ACK)
        yield from self.receive()
        self.state = "FIN_WAIT_2"
        yield from self.receive()
        self.send(ACK)
        self.state = "TIME_WAIT"
        yield self.env.timeout(TWO_MSL_S)
        self.state = "CLOSED"

    def server(self) -> Process:
        """Accept, and close when the peer has."""
        self.state = "LISTEN"
        yield from self.receive()
        self.state = "SYN_RECEIVED"
        self.send(SYN | ACK)
        yield from self.receive()
        self.state = "ESTABLISHED"
        yield from self.receive()
        self.send(ACK)
        self.state = "LAST_ACK"
        self.send(FIN | ACK)
        yield from self.receive()
        self.state = "CLOSED"


def lives(n: int) -> None:
    """Simulate n connections, one begun each millisecond; RuntimeError if one does not end."""
    env = simpy.Environment()
    ends = []

    def begin() -> Process:
        for i in range(n):
            client, server = End(env, 1000 * i), End(env, 7 * i)
            client.peer, server.peer = server, client
            env.process(server.server())
            env.process(client.client())
            ends.extend((client, server))
            yield env.timeout(DELAY_S)

    env.process(begin())
    env.run()
    if any(end.state != "CLOSED" for end in ends) or sum(end.sent for end in ends) != 7 * n:
        raise RuntimeError("simpy: a connection was left, or was not seven segments")


def measured(samples: int) -> Measured:
    """CPU time of a pair's life in ns."""
    spent = []
    with uncollected():
        for _ in range(samples + 1):
            began = cpu_ns()
            lives(LIVES)
            spent.append((cpu_ns() - began) / LIVES)
    return Measured.of(spent[1:])
