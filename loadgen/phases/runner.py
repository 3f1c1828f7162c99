"""The event loop: two engines and a link in virtual time.

One *instant* is everything that happens at one virtual time, always in the same order: timers (client, then
server), what the workload has on its agenda, segments arriving at the server, segments arriving at the
client. An instant is over when nothing is due any more. `batch` only cuts the engine calls: it changes no
result.
"""

from __future__ import annotations

import heapq
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from loadgen import signals
from loadgen.phases.link import CLIENT, SERVER, Link, Segments
from loadgen.phases.stateless import StatelessClient
from tcpcore import SEGMENT, Engine, State, join

Handles = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.uint64]
End = Engine | StatelessClient

_Row = tuple[int, tuple[list[int], list[int]]]  # time, population of each state on either side

_SLAB_ROWS: Final = (
    1 << 17
)  # 5 MiB: large enough for a huge page, small enough to be freed while the run goes on
_ALONE: Final = 2  # references to a slab that only we know: our variable and getrefcount's own
_SAMPLES: Final = 256  # a series never has more rows than this


class Ribbon:
    """Room for rows an engine will write: one slab after another, no row ever moved.

    Views of a slab keep it alive; when the link has delivered them all, it is written again: a page that is
    there already costs a tenth of one that the system has to clear first.
    """

    def __init__(self) -> None:
        self._slab: Segments = np.empty(0, dtype=SEGMENT)
        self._used = 0
        self._full: deque[Segments] = deque()  # in the order in which they were written

    def room(self, n: int) -> Segments:
        """A slab's next n rows; they stay free until `keep`."""
        if self._used + n > len(self._slab):
            self._full.append(self._slab)
            self._slab = self._free(n)
            self._used = 0
        return self._slab[self._used : self._used + n]

    def keep(self, rows: Segments) -> Segments:
        """`rows` is what was written at the start of the room given last."""
        self._used += len(rows)
        return rows

    def _free(self, n: int) -> Segments:
        """The oldest slab if nobody looks at it any more, else a new one."""
        oldest = self._full.popleft()
        if len(oldest) >= n and sys.getrefcount(oldest) == _ALONE:
            return oldest
        if len(oldest):
            self._full.appendleft(oldest)
        return np.empty(max(_SLAB_ROWS, n), dtype=SEGMENT)


class Watcher(Protocol):
    """A workload sees every delivery twice; what it wants done about it, it puts on the agenda."""

    def arriving(self, side: int, segs: Segments, late: bool) -> None:
        """`side` is about to receive `segs`; late: they are delayed copies."""

    def arrived(self, side: int, segs: Segments, late: bool) -> None:
        """`side` has received them."""


class Series:
    """State population over virtual time, thinned so that it never grows beyond `_SAMPLES` rows."""

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self._every = 0
        self._due = 0

    def wants(self, now: int) -> bool:
        """Whether a row of this time would be taken."""
        return now >= self._due or bool(self.rows and self.rows[-1][0] == now)

    def offer(self, now: int, client: Counts, server: Counts) -> None:
        """Take a row if one is due; the last instant of a virtual time is the one that stays."""
        if not self.wants(now):
            return
        if self.rows and self.rows[-1][0] == now:
            self.rows.pop()
        self.rows.append((now, (client.tolist(), server.tolist())))
        if len(self.rows) >= _SAMPLES:
            self._every = max(2 * self._every, 2 * now // _SAMPLES)
            self.rows = self._thinned()
        self._due = now + self._every

    def close(self, now: int, client: Counts, server: Counts) -> None:
        """The last row is always there."""
        if self.rows and self.rows[-1][0] == now:
            self.rows.pop()
        self.rows.append((now, (client.tolist(), server.tolist())))

    def _thinned(self) -> list[_Row]:
        kept = self.rows[:1]
        for row in self.rows[1:]:
            if row[0] >= kept[-1][0] + self._every:
                kept.append(row)
        return kept


class Runner:
    """Two engines, a link, one virtual clock.

    Attributes
    ----------
    now : int
        Virtual time in ns.
    engine_s : float
        Wall seconds spent inside engine calls.
    peaks : list of uint64[11]
        The largest population of each state, per side, seen at the end of a delivery.
    """

    def __init__(self, client: End, server: Engine, link: Link, watcher: Watcher, batch: int) -> None:
        self.engines = (client, server)
        self.link = link
        self.batch = batch
        self.now = 0
        self.engine_s = 0.0
        self.received = [0, 0]  # rows, by side
        self.tick: Callable[[], None] = lambda: None  # called now and then, for a progress bar
        self.series = Series()
        self.peaks = [np.zeros(len(State), dtype=np.uint64) for _ in self.engines]
        self._touched = [True, True]  # whose populations may have changed since the last look
        self._watcher = watcher
        self._ribbon = Ribbon()
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._posted = 0

    # -- for workloads ----------------------------------------------------------

    def post(self, at: int, action: Callable[[], None]) -> None:
        """Run `action` at virtual time `at` (now or later); equal times in the order of posting."""
        heapq.heappush(self._agenda, (max(at, self.now), self._posted, action))
        self._posted += 1

    def open(
        self,
        dst: int,
        port: int,
        src: npt.NDArray[np.uint32],
        sport: npt.NDArray[np.uint16] | None = None,
        paint: Callable[[Segments], None] | None = None,
    ) -> Handles:
        """Connect from the client side now; `paint` may change the SYNs before they leave."""
        handles = np.zeros(len(src), dtype=np.uint64)
        for part in self.parts(len(src)):
            self._touched[CLIENT] = True
            began = time.perf_counter()
            conns, out = self.engines[CLIENT].connect(
                dst,
                port,
                self.now,
                src=src[part],
                sport=None if sport is None else sport[part],
                out=self._ribbon.room(part.stop - part.start),
            )
            self.engine_s += time.perf_counter() - began
            handles[part] = conns
            self.tick()
            if paint is not None:
                paint(out)
            self.link.send(CLIENT, self._ribbon.keep(out), self.now)
        return handles

    def call(self, side: int, method: Callable[..., Segments], conns: Handles) -> None:
        """An engine's `method(conns, now)`, batch by batch; what it emits (a row each at most) is sent."""
        for part in self.parts(len(conns)):
            signals.check()
            self._touched[side] = True
            began = time.perf_counter()
            out = method(conns[part], self.now, out=self._ribbon.room(part.stop - part.start))
            self.engine_s += time.perf_counter() - began
            self.link.send(side, self._ribbon.keep(out), self.now)
            self.tick()

    def write(self, side: int, conns: Handles, nbytes: int) -> None:
        """The application on one side sends `nbytes` on each connection."""
        for part in self.parts(len(conns)):
            signals.check()
            self._touched[side] = True
            began = time.perf_counter()
            out = self.engines[side].send(conns[part], nbytes, self.now)
            self.engine_s += time.perf_counter() - began
            self.link.send(side, out, self.now)
            self.tick()

    def inject(self, side: int, segs: Segments) -> None:
        """Segments from outside reach `side` now; whatever answers them goes to nobody and is counted."""
        self._touched[side] = True
        for part in self.parts(len(segs)):
            signals.check()
            began = time.perf_counter()
            rows = segs[part]
            out = self.engines[side].receive(rows, self.now, out=self._ribbon.room(2 * len(rows)))
            self.engine_s += time.perf_counter() - began
            self.received[side] += len(rows)
            self.link.lose_outside(side, out)
            self.tick()

    @property
    def segments(self) -> int:
        """Rows that both engines have received."""
        return sum(self.received)

    def parts(self, n: int) -> Iterator[slice]:
        """Cut n items into batches."""
        for start in range(0, n, self.batch):
            yield slice(start, min(start + self.batch, n))

    def run(self, done: Callable[[], bool], until: int | None = None) -> bool:
        """Go on until `done()` (asked after each instant), until nothing is left to do, or to time `until`.

        True when `done()` was reached.
        """
        while not done():
            signals.check()
            upcoming = self._next_time()
            if upcoming is None or (until is not None and upcoming > until):
                if until is not None:
                    self.now = max(self.now, until)
                return done()
            self.now = max(self.now, upcoming)
            self._instant()
            if self.series.wants(self.now):
                self.series.offer(self.now, *self.populations())
        return True

    def populations(self) -> tuple[Counts, Counts]:
        """state_counts() of both sides."""
        return self.engines[CLIENT].state_counts(), self.engines[SERVER].state_counts()

    # -- one instant --------------------------------------------------------------

    def _next_time(self) -> int | None:
        times = [self.link.next_arrival(), self._agenda[0][0] if self._agenda else None]
        times += [engine.next_timer() for engine in self.engines]
        return min([t for t in times if t is not None], default=None)

    def _instant(self) -> None:
        for side, engine in enumerate(self.engines):
            self._fire(side, engine)
        while self._agenda and self._agenda[0][0] <= self.now:
            heapq.heappop(self._agenda)[2]()
        arrival = self.link.next_arrival()
        if arrival is not None and arrival <= self.now:
            while self._deliver(SERVER) | self._deliver(CLIENT):
                pass
            for segs in self.link.late.take(self.now):
                self._receive(SERVER, segs, late=True)
        for side in (CLIENT, SERVER):
            if self._touched[side]:
                self._touched[side] = False
                self._note_peaks(side)

    def _fire(self, side: int, engine: End) -> None:
        due = engine.next_timer()
        while due is not None and due <= self.now:
            signals.check()
            self._touched[side] = True
            began = time.perf_counter()
            out = engine.advance(self.now, out=self._ribbon.room(2 * self.batch))
            due = engine.next_timer()
            self.engine_s += time.perf_counter() - began
            self.link.send(side, self._ribbon.keep(out), self.now)

    def _deliver(self, side: int) -> bool:
        arrivals = deque(self.link.collect(side, self.now))
        if not arrivals:
            return False
        batches = self._evened(arrivals)
        for segs in batches:
            try:
                signals.check()
                self._receive(side, segs)
            except KeyboardInterrupt:
                self.link.give_back(side, self.now, [segs, *batches])
                raise
        self._note_peaks(side)
        return True

    def _note_peaks(self, side: int) -> None:
        np.maximum(self.peaks[side], self.engines[side].state_counts(), out=self.peaks[side])

    def _evened(self, arrivals: deque[Segments]) -> Iterator[Segments]:
        """The same rows in batches of at most `batch`: small ones are joined, large ones cut.

        Takes them out of `arrivals` as it goes: what has been delivered need not stay in memory.
        """
        group: list[Segments] = []
        size = 0
        while arrivals:
            if group and size + len(arrivals[0]) > self.batch:
                yield from self._joined(group)
                group, size = [], 0
            group.append(arrivals.popleft())
            size += len(group[-1])
        yield from self._joined(group)

    def _joined(self, group: list[Segments]) -> Iterator[Segments]:
        segs = group[0] if len(group) == 1 else join(group)
        group.clear()
        return (segs[part] for part in self.parts(len(segs)))

    def _receive(self, side: int, segs: Segments, late: bool = False) -> None:
        self._touched[side] = True
        self._watcher.arriving(side, segs, late)
        began = time.perf_counter()
        out = self.engines[side].receive(segs, self.now, out=self._ribbon.room(2 * len(segs)))
        self.engine_s += time.perf_counter() - began
        self.received[side] += len(segs)
        self.link.send(side, self._ribbon.keep(out), self.now)
        self._watcher.arrived(side, segs, late)
        self.tick()
