"""The lifecycle of N pairs of connections through two ends, for the engine and for the naive reference.

    connect -> SYN -> SYN-ACK -> ACK -> accept          all open
    close   -> FIN -> ACK ; close -> FIN -> ACK         client first, then server
    2 MSL later                                          both ends empty

Each phase takes all N through one end in batches, in a random order of its own, so that no phase finds the
memory in the order in which the one before left it. Only the calls are timed; the rows of a batch are
gathered just before, as if they had just arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import Stopwatch, batches, touched
from benchmarks.naive import Connection, Host, Segment
from tcpcore import SEGMENT, Engine

BATCH = 4096
MS = 1_000_000
SERVER, PORT = 0x0A000001, 80
FIRST_CLIENT, FIRST_PORT, PORTS = 0x0A010000, 1024, 64000
TWO_MSL = 60_000 * MS

#: What is timed, in order, and at which end it happens.
PHASES = (
    ("connect", "client"),
    ("SYN", "server"),
    ("SYN-ACK", "client"),
    ("ACK of SYN", "server"),
    ("accept", "server"),
    ("close", "client"),
    ("FIN", "server"),
    ("ACK of FIN", "client"),
    ("close after FIN", "server"),
    ("second FIN", "client"),
    ("last ACK", "server"),
    ("2 MSL", "client"),
)


def words(rows: np.ndarray) -> np.ndarray:
    """A view of segments as rows of five words, which numpy copies faster and with their padding."""
    return rows.view(np.uint64).reshape(-1, 5)


def no_limits(make: Callable[..., Engine]) -> dict[str, Any]:
    """Knobs by which no connection is given up for being one too many, of those that this build knows."""
    limits: dict[str, Any] = {"tcp_max_tw_buckets": None}
    try:
        make(capacity=1, tcp_max_orphans=None)
    except (TypeError, ValueError):
        return limits
    return limits | {"tcp_max_orphans": None}


class EnginePair:
    """Client and server, each an engine with a capacity of N connections.

    make, layout: Engine and SEGMENT of another build, as in `sides.ServerSide`.
    """

    def __init__(
        self, n: int, make: Callable[..., Engine] = Engine, layout: Any = SEGMENT, **knobs: Any
    ) -> None:
        self.n = n
        knobs = no_limits(make) | knobs
        self.client = make(capacity=n, seed=1, **knobs)
        self.server = make(capacity=n, seed=2, somaxconn=n, **knobs)
        self.listener = self.server.listen(SERVER, PORT, backlog=n)
        place = np.arange(n, dtype=np.uint32)
        self.tuples = np.empty(n, [("src", "u4"), ("sport", "u2")])
        self.tuples["src"] = FIRST_CLIENT + place // PORTS
        self.tuples["sport"] = FIRST_PORT + place % PORTS
        self.out = touched(2 * BATCH, SEGMENT).view(layout)

    def connect(self, part: tuple[np.ndarray, np.ndarray], now: int) -> tuple[np.ndarray, np.ndarray]:
        src, sport = part
        return self.client.connect(SERVER, PORT, now, src=src, sport=sport, out=self.out)

    def to_client(self, rows: np.ndarray, now: int) -> np.ndarray:
        return self.client.receive(rows, now, out=self.out)

    def to_server(self, rows: np.ndarray, now: int) -> np.ndarray:
        return self.server.receive(rows, now, out=self.out)

    def accept(self, limit: int, now: int) -> np.ndarray:
        return self.server.accept(self.listener, limit=limit)

    def close_client(self, conns: np.ndarray, now: int) -> np.ndarray:
        return self.client.close(conns, now, out=self.out)

    def close_server(self, conns: np.ndarray, now: int) -> np.ndarray:
        return self.server.close(conns, now, out=self.out)

    def advance(self, now: int) -> None:
        self.client.advance(now, out=self.out)
        self.server.advance(now, out=self.out)

    def left(self) -> int:
        """The number of connections at both ends; RuntimeError if some were given up as one too many."""
        aborted = sum(engine.counters.get("TCPAbortOnMemory", 0) for engine in (self.client, self.server))
        if aborted:
            raise RuntimeError(f"{aborted} connections were given up, no figure is worth anything")
        return sum(engine.gauges()["blocks_used"] for engine in (self.client, self.server))

    @staticmethod
    def gather(items: np.ndarray, order: np.ndarray) -> Any:
        if items.dtype == SEGMENT:
            return words(items)[order].view(items.dtype).ravel()
        if items.dtype.names:  # the tuples, as the columns that connect takes
            return tuple(items[name][order] for name in items.dtype.names)
        return items[order]

    @staticmethod
    def join(parts: list[np.ndarray]) -> np.ndarray:
        if parts[0].dtype != SEGMENT:
            return np.concatenate(parts)
        return np.concatenate([words(rows) for rows in parts]).view(parts[0].dtype).ravel()

    @staticmethod
    def keep(rows: np.ndarray) -> np.ndarray:
        return rows.copy()


class NaivePair:
    """Client and server of the naive reference, with the methods of EnginePair."""

    def __init__(self, n: int) -> None:
        self.n = n
        self.client = Host(seed=1)
        self.server = Host(PORT, backlog=n, seed=2)
        self.tuples = [(FIRST_CLIENT + i // PORTS, FIRST_PORT + i % PORTS) for i in range(n)]

    def connect(self, part: list[tuple[int, int]], now: int) -> tuple[list[Connection], list[Segment]]:
        made = [self.client.connect(src, sport, SERVER, PORT, now) for src, sport in part]
        return [conn for conn, _ in made], [seg for _, seg in made]

    def to_client(self, rows: list[Segment], now: int) -> list[Segment]:
        return [answer for seg in rows if (answer := self.client.receive(seg, now)) is not None]

    def to_server(self, rows: list[Segment], now: int) -> list[Segment]:
        return [answer for seg in rows if (answer := self.server.receive(seg, now)) is not None]

    def accept(self, limit: int, now: int) -> list[Connection]:
        conns = (self.server.accept() for _ in range(limit))
        return [conn for conn in conns if conn is not None]

    def close_client(self, conns: list[Connection], now: int) -> list[Segment]:
        return [fin for conn in conns if (fin := self.client.close(conn, now)) is not None]

    def close_server(self, conns: list[Connection], now: int) -> list[Segment]:
        return [fin for conn in conns if (fin := self.server.close(conn, now)) is not None]

    def advance(self, now: int) -> None:
        self.client.advance(now)
        self.server.advance(now)

    def left(self) -> int:
        return len(self.client.connections) + len(self.server.connections)

    @staticmethod
    def gather(items: list[Any], order: np.ndarray) -> list[Any]:
        return [items[i] for i in order]

    @staticmethod
    def join(parts: list[list[Any]]) -> list[Any]:
        return [item for part in parts for item in part]

    @staticmethod
    def keep(rows: list[Any]) -> list[Any]:
        return rows


class Lifecycle:
    """Complete lifecycles of all connections of a pair of ends; `watch` takes the phases' CPU time."""

    def __init__(self, pair: Any, watch: Stopwatch | None = None, seed: int = 7) -> None:
        self.pair = pair
        self.now = 0
        self.watch = watch or Stopwatch()
        self.random = np.random.Generator(np.random.PCG64(seed))

    def each(self, phase: str, items: Any, call: Callable[[Any, int], Any]) -> Any:
        """Pass all items through `call` in random batches; return its results, joined."""
        pair, order, kept = self.pair, self.random.permutation(len(items)), []
        for part in batches(len(items), BATCH):
            batch = pair.gather(items, order[part])
            self.now += MS
            with self.watch.timing(phase):
                rows = call(batch, self.now)
            kept.append(pair.keep(rows))
        return pair.join(kept)

    def connect(self) -> tuple[Any, Any]:
        """Open all clients; return their handles and SYNs."""
        handles: list[Any] = []

        def call(part: Any, now: int) -> Any:
            conns, rows = self.pair.connect(part, now)
            handles.append(conns)
            return rows

        rows = self.each("connect", self.pair.tuples, call)
        return self.pair.join(handles), rows

    def accept(self) -> Any:
        kept = []
        for part in batches(self.pair.n, BATCH):
            self.now += MS
            with self.watch.timing("accept"):
                conns = self.pair.accept(part.stop - part.start, self.now)
            kept.append(conns)
        return self.pair.join(kept)

    def opening(self) -> Generator[None, None, tuple[Any, Any]]:
        """`open`, a phase at a time."""
        pair = self.pair
        clients, rows = self.connect()
        yield
        rows = self.each("SYN", rows, pair.to_server)
        yield
        rows = self.each("SYN-ACK", rows, pair.to_client)
        yield
        self.each("ACK of SYN", rows, pair.to_server)
        yield
        return clients, self.accept()

    def open(self) -> tuple[Any, Any]:
        """Establish and accept all connections; return the handles of both ends."""
        phases = self.opening()
        while True:
            try:
                next(phases)
            except StopIteration as end:
                return end.value[0], end.value[1]

    def close(self, clients: Any, servers: Any) -> None:
        """Close all connections, the client first, and let TIME_WAIT pass."""
        for _ in self.closing(clients, servers):
            pass

    def closing(self, clients: Any, servers: Any) -> Iterator[None]:
        """`close`, a phase at a time."""
        pair = self.pair
        rows = self.each("close", clients, pair.close_client)
        yield
        rows = self.each("FIN", rows, pair.to_server)
        yield
        self.each("ACK of FIN", rows, pair.to_client)
        yield
        rows = self.each("close after FIN", servers, pair.close_server)
        yield
        rows = self.each("second FIN", rows, pair.to_client)
        yield
        self.each("last ACK", rows, pair.to_server)
        self.now += TWO_MSL
        with self.watch.timing("2 MSL"):
            pair.advance(self.now)

    def cycle(self) -> dict[str, float]:
        """Run one lifecycle of all N; return ns per pair by phase. Connections that are left are an error."""
        self.watch.lap()
        self.close(*self.open())
        return self.finished()

    def steps(self) -> Iterator[None]:
        """A lifecycle of all N, a phase at a time."""
        yield from self.closing(*(yield from self.opening()))

    def finished(self) -> dict[str, float]:
        """ns per pair by phase; connections that are left are an error."""
        left = self.pair.left()
        if left:
            raise RuntimeError(f"{left} connections are left, no figure is worth anything")
        return {phase: ns / self.pair.n for phase, ns in self.watch.lap().items()}
