"""Rows of `play` and of `receive` side by side: the same segments, in turn, on one engine.

A life is N connections that are opened at a server and closed, the server first, so that each segment of the
last phase starts a TIME-WAIT. The batches of the two phases before go by turns to `receive`, to `play` with
one time for all rows, and to `play` with a time for each. The last phase goes to `receive` in one life and
in the next to `play` with a time for each row: there the TIME-WAIT of a former row ends with each. Only the
calls are timed; the peer keeps no state.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from benchmarks.harness import Stopwatch, batches, touched
from benchmarks.lifecycle import BATCH, MS, PORT, SERVER, words
from benchmarks.sides import ACK, FIN_ACK, answer, syns
from tcpcore import OP, SEGMENT, Engine, OpKind

GAP_NS = MS // 10  # between two rows with times of their own: ten and their timers are due in one tick
TIME_WAIT_MS = 2_000
WAYS = ("receive", "play", "own times")
LAST = ("receive, last", "timers")


class Timed:
    """A server for N connections; `cycle` gives the ns per row of each of WAYS and LAST."""

    def __init__(self, n: int, watch: Stopwatch | None = None, **knobs: Any) -> None:
        late = {"rto_initial_ms": 120_000, "tcp_rto_min_us": 120_000_000}  # no resends in between
        self.n, self.watch, self.now = n, watch or Stopwatch(), 0
        self.engine = Engine(capacity=n, seed=2, somaxconn=n, tcp_max_tw_buckets=None,
                             time_wait_ms=TIME_WAIT_MS, **late, **knobs)  # fmt: skip
        self.listener = self.engine.listen(SERVER, PORT, backlog=n)
        self.syns = syns(n, bool(self.engine.config.tcp_timestamps))
        self.rng = np.random.default_rng(1)
        self.ops = touched(BATCH, OP)
        self.ops["kind"] = OpKind.SEGMENT
        self.out, self.times = touched(2 * BATCH, SEGMENT), touched(2 * BATCH, np.int64)

    def deliver(self, rows: np.ndarray, way: str) -> np.ndarray:
        """One batch, as `way` says; what it emits."""
        ops = self.ops[: len(rows)]
        ops.view(np.uint64).reshape(-1, 9)[:, 3:8] = words(rows)
        ops["at"] = self.now
        if way in ("own times", "timers"):
            ops["at"] += GAP_NS * np.arange(len(rows))
        self.now = int(ops["at"][-1])
        with self.watch.timing(way):
            if way.startswith("receive"):
                said = self.engine.receive(rows, self.now, out=self.out)
            else:
                said, _ = self.engine.play(ops, self.now, out=self.out, at_out=self.times)
        if not way.startswith("receive") and ops["result"][-1] != 0:
            raise AssertionError("the output is too small for the last row")
        self.now += GAP_NS
        return said.copy()

    def phase(self, rows: np.ndarray, ways: tuple[str, ...], counts: dict[str, int]) -> np.ndarray:
        """All N rows in a random order; what they are answered by."""
        rows = words(rows)[self.rng.permutation(len(rows))].view(SEGMENT).ravel()
        said = []
        for i, part in enumerate(batches(len(rows), BATCH)):
            way = ways[i % len(ways)]
            counts[way] += len(rows[part])
            said.append(words(self.deliver(rows[part], way)))
        return np.concatenate(said).view(SEGMENT).ravel()

    def life(self, last: str, counts: dict[str, int]) -> None:
        """Open all, close all."""
        synacks = self.phase(self.syns, WAYS, counts)
        self.phase(answer(synacks, ACK, touched(self.n, SEGMENT)), WAYS, counts)
        fins = self.engine.close(self.engine.accept(self.listener), self.now)
        self.phase(answer(fins, FIN_ACK, touched(self.n, SEGMENT)), (last,), counts)
        self.now += 2 * TIME_WAIT_MS * MS
        self.engine.advance(self.now)
        if self.engine.gauges()["blocks_used"]:
            raise AssertionError("connections are left")

    def cycle(self) -> dict[str, float]:
        """Two lives; ns per row."""
        counts: dict[str, int] = defaultdict(int)
        for last in LAST:
            self.life(last, counts)
        return {way: spent / counts[way] for way, spent in self.watch.lap().items()}
