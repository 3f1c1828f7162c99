"""Two engines on two threads against one: the engine releases the GIL within its calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np

from benchmarks.harness import Measured, batches, touched, unpinned
from benchmarks.lifecycle import BATCH
from benchmarks.sections.run import Lines, Run
from benchmarks.sides import ACK, FIN_ACK, answer, server_engine, syns
from benchmarks.table import Note, Row, Target, count
from tcpcore import SEGMENT


class Script:
    """The server's side of n connections; all segments of a phase are prepared, then played in a thread."""

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.engine = server_engine(n)
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
        for part in batches(self.n, BATCH):
            done += len(self.engine.receive(self.rows[part], self.now, out=self.out[done : done + 2 * BATCH]))


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


def threads(run: Run) -> Lines:
    """The gain of two threads, the best of several."""
    yield Note("two engines on two threads, wall time; a neighbour on either CPU shows here")
    n = run.n // 2
    scripts = [Script(n, 21), Script(n, 22)]
    with unpinned():
        together(scripts)
        gains = [2 * together(scripts[:1]) / together(scripts) for _ in range(run.turns(n))]
    best = Measured(max(gains), Measured.of(gains).spread, len(gains))
    yield Row(f"two of {count(n)}, best of {len(gains)}", best, "x", None, Target(1.6, least=True))
