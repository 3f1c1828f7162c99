"""Workloads of one engine alone, whose peer is computed and keeps no state.

    server   SYN -> SYN-ACK, ACK, FIN -> FIN+ACK, last ACK           four segments per connection
    client   connect, SYN-ACK -> ACK, close, FIN+ACK -> ACK, 2 MSL   five steps per connection
    mixed    the server's four segments, each batch a mixture of all four, for connections of all ages
    flood    SYNs at a queue that is full

A segment's sequence and acknowledgment numbers determine the answer's, so the peer needs no memory but the
segments in flight. As in `lifecycle`, every phase has a random order of its own and only the engine's calls
are timed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import Stopwatch, batches, touched
from benchmarks.lifecycle import (
    BATCH,
    FIRST_CLIENT,
    FIRST_PORT,
    MS,
    PORT,
    PORTS,
    SERVER,
    TWO_MSL,
    no_limits,
    words,
)
from tcpcore import SEGMENT, Engine, Flag, segments

SYN, SYN_ACK, ACK, FIN_ACK = Flag.SYN, Flag.SYN | Flag.ACK, Flag.ACK, Flag.FIN | Flag.ACK
MSS, WSCALE, SACK_OK, TS = 1, 2, 4, 8
PHASE_NS = 90 * MS  # two phases are over before a FIN is sent again (200 ms at the least)
RTO_NS = 3000 * MS  # later than any resend timer

POLICIES = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")


def tuples(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Addresses and ports of n clients."""
    place = np.arange(n, dtype=np.uint32)
    return FIRST_CLIENT + place // np.uint32(PORTS), (FIRST_PORT + place % np.uint32(PORTS)).astype(np.uint16)


def syns(n: int, timestamps: bool, seed: int = 7) -> np.ndarray:
    """The SYN of each client, as Linux sends it."""
    src, sport = tuples(n)
    random = np.random.Generator(np.random.PCG64(seed))
    return segments(
        n,
        src=src,
        dst=SERVER,
        sport=sport,
        dport=PORT,
        seq=random.integers(0, 1 << 32, n, dtype=np.uint32),
        flags=SYN,
        wnd=65535,
        opts=MSS | WSCALE | SACK_OK | (TS if timestamps else 0),
        mss=1460,
        wscale=7,
        tsval=1,
    )


def answer(rows: np.ndarray, flags: int, out: np.ndarray) -> np.ndarray:
    """The peer's answers to `rows`, each of which has a SYN or a FIN, so that it acknowledges seq + 1."""
    out["src"], out["dst"] = rows["dst"], rows["src"]
    out["sport"], out["dport"] = rows["dport"], rows["sport"]
    out["seq"], out["ack"] = rows["ack"], rows["seq"] + np.uint32(1)
    out["tsval"], out["tsecr"] = rows["tsecr"], rows["tsval"]
    out["flags"] = flags
    out["wnd"] = 65535
    out["payload_len"] = 0
    timestamps = rows["opts"] & np.uint8(TS)
    out["opts"] = rows["opts"] if flags & Flag.SYN else timestamps
    out["mss"], out["wscale"] = rows["mss"], rows["wscale"]
    return out


class Side:
    """N connections at one engine; `watch` takes the phases' CPU time."""

    segments: int  # inbound segments, or steps, per connection
    engine: Engine

    def __init__(self, n: int, watch: Stopwatch | None = None, batch: int = BATCH, seed: int = 7) -> None:
        self.n = n
        self.batch = batch
        self.watch = watch or Stopwatch()
        self.now = 0
        self.step = min(MS, PHASE_NS // -(-n // batch))
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.out = touched(2 * batch, SEGMENT)
        self.batch_rows = touched(batch, SEGMENT)

    def shuffled(self, rows: np.ndarray) -> Any:
        """Yield `rows` in batches and in a new order; a batch is valid until the next one."""
        order = self.random.permutation(len(rows)).astype(np.uint32)
        table = words(rows)
        for part in batches(len(rows), self.batch):
            batch = self.batch_rows[: part.stop - part.start]
            np.take(table, order[part], axis=0, out=words(batch), mode="clip")
            self.now += self.step
            yield part, batch

    def receive(self, phase: str, rows: np.ndarray, kept: np.ndarray | None, flags: int = 0) -> None:
        """Pass all rows to the engine; the peer's answers to what it sends go into `kept`."""
        for _ in self.received(phase, rows, kept, flags):
            pass

    def received(
        self, phase: str, rows: np.ndarray, kept: np.ndarray | None, flags: int = 0
    ) -> Iterator[None]:
        """`receive`, a batch at a time."""
        for part, batch in self.shuffled(rows):
            with self.watch.timing(phase):
                out = self.engine.receive(batch, self.now, out=self.out)
            if kept is not None:
                answer(out, flags, kept[part])
            self.fire()
            yield

    def fire(self) -> None:
        with self.watch.timing("timers"):
            rows = self.engine.advance(self.now, out=self.out)
        if len(rows):
            raise RuntimeError(f"{len(rows)} segments were sent again, the figures would include them")

    def finished(self) -> dict[str, float]:
        """Return ns per connection by phase; connections that are left are an error."""
        left = self.engine.gauges()["blocks_used"]
        if left:
            raise RuntimeError(f"{left} connections are left, no figure is worth anything")
        return {phase: ns / self.n for phase, ns in self.watch.lap().items()}

    def cycle(self) -> dict[str, float]:
        """Run one lifecycle of all N; return ns per connection by phase."""
        raise NotImplementedError


def server_engine(n: int, make: Callable[..., Engine] = Engine, **knobs: Any) -> Engine:
    """An engine with a listener whose application accepts at once and closes when the peer does."""
    engine = make(capacity=n, seed=2, tcp_max_tw_buckets=None, somaxconn=n, **knobs)
    engine.listen(SERVER, PORT, backlog=n, auto_accept=True, auto_close=True)
    return engine


class ServerSide(Side):
    """The server of N clients at once: SYN, ACK, FIN, last ACK; timers included.

    make, layout: Engine and SEGMENT of another build. Its arrays have the very dtype of that build: one that
    is merely equal is compared field by field in each call.
    """

    segments = 4

    def __init__(
        self,
        n: int,
        watch: Stopwatch | None = None,
        batch: int = BATCH,
        make: Callable[..., Engine] = Engine,
        layout: Any = SEGMENT,
        **knobs: Any,
    ) -> None:
        super().__init__(n, watch, batch)
        self.engine = server_engine(n, make, **knobs)
        self.out, self.batch_rows = self.out.view(layout), self.batch_rows.view(layout)
        self.syns = syns(n, knobs.get("tcp_timestamps", 1))
        self.rows = touched(n, SEGMENT)

    def cycle(self) -> dict[str, float]:
        self.watch.lap()
        for _ in self.steps():
            pass
        return self.finished()

    def steps(self) -> Iterator[None]:
        """A life of all N, a batch at a time."""
        yield from self.received("SYN", self.syns, self.rows, ACK)
        yield from self.received("ACK of SYN", self.rows, None)
        self.rows["flags"] = FIN_ACK
        acks = touched(self.n, SEGMENT)
        yield from self.received("FIN", self.rows, acks, ACK)
        yield from self.received("last ACK", acks, None)
        self.now += RTO_NS
        self.fire()


class Mixed(Side):
    """The server with connections of all ages: each step delivers the next segment of a random batch of them.

    A cycle delivers 4 N segments: in the mean N of each of the four kinds.
    """

    segments = 4

    def __init__(self, n: int, watch: Stopwatch | None = None, batch: int = BATCH, **knobs: Any) -> None:
        super().__init__(n, watch, batch)
        self.engine = server_engine(n, **knobs)
        self.syns = syns(n, knobs.get("tcp_timestamps", 1))
        self.next = self.syns.copy()  # of each connection: what arrives next
        self.stage = np.zeros(n, dtype=np.uint8)
        order = self.random.permutation(n)
        for quarters in (3, 2, 1):  # a quarter of them at each stage
            self.move(order[: n * quarters // 4])

    def move(self, conns: np.ndarray) -> None:
        """Deliver the next segment of each of `conns`, in batches."""
        for part in batches(len(conns), self.batch):
            self.deliver(conns[part])

    def deliver(self, conns: np.ndarray) -> None:
        batch = self.batch_rows[: len(conns)]
        np.take(words(self.next), conns, axis=0, out=words(batch), mode="clip")
        self.now += self.step
        with self.watch.timing("segments"):
            out = self.engine.receive(batch, self.now, out=self.out)
        self.fire()
        stage = self.stage[conns]
        asked = conns[(stage & 1) == 0]  # SYN and FIN are answered
        if len(out) != len(asked):
            raise RuntimeError(f"{len(asked)} answers were due, {len(out)} came")
        words(self.next)[asked] = words(answer(out, ACK, touched(len(out), SEGMENT)))
        fins = conns[stage == 1]
        rows = self.next[fins]
        rows["flags"] = FIN_ACK
        words(self.next)[fins] = words(rows)
        again = conns[stage == 3]
        words(self.next)[again] = words(self.syns)[again]
        self.stage[conns] = (stage + 1) & 3

    def fire(self) -> None:
        """Advance the timers. A resend is no error here: some connections are not drawn for long."""
        with self.watch.timing("timers"):
            self.engine.advance(self.now, out=self.out)

    def cycle(self) -> dict[str, float]:
        self.watch.lap()
        for _ in range(4):
            self.move(self.random.permutation(self.n))
        return {phase: ns / self.n for phase, ns in self.watch.lap().items()}


class ClientSide(Side):
    """The client of N connections: open, close, end of TIME_WAIT; the server is computed."""

    segments = 5  # steps: connect, SYN-ACK, close, FIN, the end of TIME_WAIT

    def __init__(self, n: int, watch: Stopwatch | None = None, batch: int = BATCH, **knobs: Any) -> None:
        super().__init__(n, watch, batch)
        self.engine = Engine(capacity=n, seed=1, **no_limits(Engine), **knobs)
        self.src, self.sport = tuples(n)
        self.rows = touched(n, SEGMENT)
        self.conns = touched(n, np.uint64)

    def each(
        self, phase: str, call: Callable[[np.ndarray], np.ndarray], kept: np.ndarray, flags: int
    ) -> None:
        order = self.random.permutation(self.n)
        for part in batches(self.n, self.batch):
            self.now += self.step
            with self.watch.timing(phase):
                out = call(order[part])
            answer(out, flags, kept[part])
            self.fire()

    def connect(self, which: np.ndarray) -> np.ndarray:
        self.conns[which], out = self.engine.connect(
            SERVER, PORT, self.now, src=self.src[which], sport=self.sport[which], out=self.out
        )
        return out

    def cycle(self) -> dict[str, float]:
        self.watch.lap()
        self.each("connect", self.connect, self.rows, SYN_ACK)
        self.rows["seq"] = self.rows["ack"] * np.uint32(2654435761)
        self.receive("SYN-ACK", self.rows, None)
        fins = touched(self.n, SEGMENT)
        self.each(
            "close", lambda which: self.engine.close(self.conns[which], self.now, out=self.out), fins, FIN_ACK
        )
        self.receive("FIN", fins, None)
        self.now += TWO_MSL + MS  # deadlines are rounded up to 1 ms
        with self.watch.timing("2 MSL"):
            self.engine.advance(self.now, out=self.out)
        return self.finished()


class Flood:
    """SYNs from spoofed addresses at a listener whose queue is full; no handshake is completed."""

    BACKLOG = 1024
    SYNS = 1 << 18
    segments = 1

    def __init__(
        self,
        watch: Stopwatch | None = None,
        batch: int = BATCH,
        make: Callable[..., Engine] = Engine,
        layout: Any = SEGMENT,
        n: int = SYNS,
        **knobs: Any,
    ) -> None:
        self.n = n
        self.watch = watch or Stopwatch()
        self.batch = batch
        self.engine = make(capacity=1 << 16, seed=3, **knobs)
        self.engine.listen(SERVER, PORT, backlog=self.BACKLOG)
        random = np.random.Generator(np.random.PCG64(11))
        self.rows = syns(n, True).view(layout)
        self.rows["src"] = random.integers(0x0B000000, 0x7E000000, n, dtype=np.uint32)
        self.rows["sport"] = random.integers(1024, 65535, n, dtype=np.uint16)
        self.out = touched(2 * batch, SEGMENT).view(layout)
        self.now = 0

    def cycle(self) -> float:
        """Deliver all SYNs, a million per virtual second; return ns per SYN."""
        self.watch.lap()
        for _ in self.steps():
            pass
        return sum(self.finished().values())

    def steps(self) -> Iterator[None]:
        """The same, a batch at a time."""
        self.rows["src"] += np.uint32(1)  # no address twice
        self.answered = 0
        for part in batches(self.n, self.batch):
            self.now += (part.stop - part.start) * 1000
            with self.watch.timing("SYN"):
                self.answered += len(self.engine.receive(self.rows[part], self.now, out=self.out))
                self.engine.advance(self.now, out=self.out)
            yield

    def finished(self) -> dict[str, float]:
        """ns per SYN by phase."""
        return {phase: ns / self.n for phase, ns in self.watch.lap().items()}
