"""Two engines on two threads against one, and a group of two on two threads against one thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.harness import Measured, batches, touched, unpinned
from benchmarks.lifecycle import BATCH
from benchmarks.sections.run import Lines, Run
from benchmarks.sides import ACK, FIN_ACK, PORT, SERVER, answer, server_engine, syns
from benchmarks.table import Note, Row, Target, count
from tcpcore import SEGMENT, Engine, EngineGroup, segments


class Script:
    """The server's side of n connections; all segments of a phase are prepared, then played in a thread."""

    def __init__(
        self, n: int, seed: int, engine: Engine | EngineGroup | None = None, batch: int = BATCH
    ) -> None:
        self.n = n
        self.batch = batch
        self.engine = engine or server_engine(n)
        self.random = np.random.Generator(np.random.PCG64(seed))
        self.syns = syns(n, True, seed)
        self.out = touched(2 * n, SEGMENT)
        self.now = 0
        self.rows = self.syns

    def phases(self) -> Iterator[None]:
        """Prepare a phase and yield, so that the caller can `play` it."""
        for flags, answered in ((None, True), (None, False), (FIN_ACK, True), (None, False)):
            if flags is not None:
                self.rows["flags"] = flags
            self.rows = self.rows[self.random.permutation(self.n)]
            yield
            if answered:
                self.rows = answer(self.out[: self.n], ACK, np.zeros(self.n, SEGMENT))
        self.now += 3_000_000_000
        while (due := self.engine.next_timer()) is not None and due <= self.now:
            self.engine.advance(self.now)
        self.rows = self.syns

    def play(self) -> None:
        """Pass the prepared segments to the engine, batch by batch."""
        done = 0
        for part in batches(self.n, self.batch):
            out = self.out[done : done + 2 * self.batch]
            done += len(self.engine.receive(self.rows[part], self.now, out=out))


def together(scripts: list[Script]) -> float:
    """Wall seconds of one lifecycle of all scripts, each in a thread of its own."""
    spent = 0.0
    for _ in zip(*(script.phases() for script in scripts), strict=True):
        threads = [threading.Thread(target=script.play) for script in scripts]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        spent += time.perf_counter() - began
    return spent


def server_group(n: int, threads: int) -> EngineGroup:
    """A group of two for n connections; a member may get a few more than its half."""
    group = EngineGroup(2, capacity=n + n // 16 + 1000, seed=2, tcp_max_tw_buckets=None, somaxconn=n,
                        threads=threads)
    group.listen(SERVER, PORT, backlog=n, auto_accept=True, auto_close=True)
    return group


def gain(one: Script, other: Script) -> float:
    """How many times as long a lifecycle of the one takes as of the other."""
    return together([one]) / together([other])


def dividing(turns: int) -> Measured:
    """ns that a segment costs more with a group of two on one thread, where each is answered by a RST."""
    n = 32_768
    random = np.random.Generator(np.random.PCG64(23))
    rows = segments(n, src=random.integers(1, 2**28, n), dst=SERVER, sport=random.integers(1, 2**16, n),
                    dport=PORT, flags=16, seq=5, ack=6)
    out = touched(2 * n, SEGMENT)
    hosts = Engine(capacity=100), EngineGroup(2, capacity=100, threads=1)
    times: tuple[list[float], list[float]] = [], []
    for _ in range(max(5, turns)):
        for host, spent in zip(hosts, times, strict=True):
            began = time.perf_counter()
            host.receive(rows, 0, out=out)
            spent.append((time.perf_counter() - began) / n * 1e9)
    each = [group - engine for engine, group in zip(*times, strict=True)]
    return Measured(min(times[1]) - min(times[0]), Measured.of(each).spread, len(each))


def threads(run: Run) -> Lines:
    """The gain of two threads, the best of several, and what dividing costs."""
    yield Note("two engines on two threads, wall time; a neighbour on either CPU shows here")
    n = run.n // 2
    scripts = [Script(n, 21), Script(n, 22)]
    with unpinned():
        together(scripts)
        gains = [2 * together(scripts[:1]) / together(scripts) for _ in range(run.turns(n))]
    best = Measured(max(gains), Measured.of(gains).spread, len(gains))
    yield Row(f"two of {count(n)}, best of {len(gains)}", best, "x", target=Target(1.6, least=True))
    yield Note(f"two engines behind one address, {count(8 * BATCH)} a batch: two threads against one")
    n = run.n
    del scripts
    one, two = (Script(n, 21, server_group(n, threads), 8 * BATCH) for threads in (1, 2))
    with unpinned():
        gain(one, two)
        gains = [gain(one, two) for _ in range(run.turns(n))]
    best = Measured(max(gains), Measured.of(gains).spread, len(gains))
    yield Row(f"group of {count(n)}, best of {len(gains)}", best, "x", target=Target(1.6, least=True))
    divided = dividing(50 if run.n > 10_000 else 5)
    yield Row("dividing and merging, a segment", divided, "ns", target=Target(8.0))
