"""Looking at a server's queues while it is flooded: residence, occupancy over time, and windows to detect by.

Everything comes from the engine's own events, counters and gauges: nothing here knows who is honest.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.phases.detect import Window
from loadgen.phases.metrics import spread_ms
from loadgen.phases.runner import Handles
from loadgen.phases.streams import Times
from tcpcore import Engine, EventKind, State, slots_of

TICK_NS: Final = 1_000_000
_WINDOW_NS: Final = 100 * TICK_NS
_MOST_WINDOWS: Final = 50_000
_LOOKS: Final = 256  # new entries of a window whose source is looked at, about

# Members of an enum are slow to look up, and these are asked for with every batch.
_OPENED, _ESTABLISHED = int(EventKind.OPENED), int(EventKind.ESTABLISHED)
_SYN_SENT, _SYN_RECEIVED = int(State.SYN_SENT), int(State.SYN_RECEIVED)

_CAUSES: Final = ["", *Engine(capacity=1).causes]  # by the number that an event tells
_EVICTED: Final = _CAUSES.index("SynQueueEvicted")
_RESET: Final = _CAUSES.index("EmbryonicReset")
_EMBRYONIC: Final = np.isin(
    _CAUSES, ["SynQueueEvicted", "SynQueueExpired", "EmbryonicReset", "EmbryonicAborted", "ListenerClosed"]
)


class Histogram:
    """Durations in bins of one tick, to the nearest: as exact as the engine's timers, and of bounded size."""

    def __init__(self) -> None:
        self.bins = np.zeros(1024, dtype=np.int64)

    @property
    def count(self) -> int:
        return int(self.bins.sum())

    def add(self, durations_ns: Times) -> None:
        found = np.bincount((durations_ns + TICK_NS // 2) // TICK_NS)
        if len(found) > len(self.bins):
            self.bins = np.concatenate([self.bins, np.zeros(2 * len(found) - len(self.bins), dtype=np.int64)])
        self.bins[: len(found)] += found

    def spread_ms(self) -> dict[str, float | int | None]:
        """As `metrics.spread_ms` of the same durations."""
        ticks = np.flatnonzero(self.bins)
        return spread_ms(ticks * TICK_NS, self.bins[ticks])


class Cohorts:
    """Counts by the window in which an entry came: the window of (begin, end], however long ago."""

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self.counts = np.zeros(1024, dtype=np.int64)

    def add(self, since: Times) -> None:
        if len(since):
            np.add.at(self._room(int(since.max())), (since + (self._window_ns - 1)) // self._window_ns, 1)

    def add_batch(self, at: int, n: int) -> None:
        """All at one time."""
        self._room(at)[-(-at // self._window_ns)] += n

    def of(self, window: int) -> int:
        """Of the entries that came in this window; the first has also those of time 0."""
        if window + 1 >= len(self.counts):
            return 0
        return int(self.counts[window + 1]) + (int(self.counts[0]) if window == 0 else 0)

    def _room(self, at: int) -> npt.NDArray[np.int64]:
        top = at // self._window_ns + 2
        if top > len(self.counts):
            self.counts = np.concatenate([self.counts, np.zeros(top, dtype=np.int64)])
        return self.counts


class QueueWatch:
    """One server's queues.

    Attributes
    ----------
    answered, unanswered : Histogram
        Residence of half-open entries, by how they ended.
    half_open, peak_accept, peak_blocks : int
        As seen last, and the most ever.
    """

    def __init__(self, server: Engine, end_ns: int, accepts_later: bool) -> None:
        capacity = server.config.capacity
        self._server = server
        self._accepts_later = accepts_later
        self.answered, self.unanswered = Histogram(), Histogram()
        self._holder: Handles = np.zeros(capacity, dtype=np.uint64)  # by slot: half-open since when
        self._since: Times = np.zeros(capacity, dtype=np.int64)
        self.half_open = self.peak_accept = self.peak_blocks = 0
        self._half_open_ns = self._waiting_ns = 0  # times ns
        self._looked_at = 0
        self.window_ns = max(_WINDOW_NS, -(-end_ns // (_MOST_WINDOWS * TICK_NS)) * TICK_NS)
        self._added, self._answered_of, self._evicted_of = (Cohorts(self.window_ns) for _ in range(3))
        self._sources: list[int] = []  # of new entries in this window
        self._begin = 0
        self._before = self._counts()
        self._windows: list[Window] = []

    @property
    def boundary(self) -> int:
        """When the next window is over."""
        return self._begin + self.window_ns

    # -- events -------------------------------------------------------------------------

    def told(self) -> Handles:
        """Take the server's events: entries that came and went. The new connections are returned."""
        told = self._server.events()
        if len(told) == 0:
            return told["conn"]
        kinds, conns, at = told["kind"], told["conn"], told["at"]
        slots = slots_of(conns)
        established = kinds == _ESTABLISHED
        connected: Handles = conns[established]
        if len(connected):
            self._answered(connected, slots[established], at[established])
        opened = kinds == _OPENED
        n_opened = int(np.count_nonzero(opened))
        if n_opened + len(connected) < len(told):
            lost = _EMBRYONIC[told["cause"]]
            self._lost(conns[lost], slots[lost], at[lost], told["cause"][lost])
        if n_opened:
            self._opened(conns[opened], slots[opened], at[opened])
        return connected

    def _opened(self, conns: Handles, slots: npt.NDArray[np.intp], at: Times) -> None:
        self._holder[slots] = conns
        self._since[slots] = at
        self._added.add_batch(int(at[0]), len(at))
        if len(self._sources) < _LOOKS:
            self._sources += self._server.blocks["raddr"][slots[-_LOOKS:]].tolist()

    def _answered(self, conns: Handles, slots: npt.NDArray[np.intp], at: Times) -> None:
        """The connection of a cookie was no entry: it is not on record."""
        known = self._holder[slots] == conns
        since = self._since[slots][known]
        self.answered.add(at[known] - since)
        self._answered_of.add(since)

    def _lost(
        self, conns: Handles, slots: npt.NDArray[np.intp], at: Times, causes: npt.NDArray[np.uint8]
    ) -> None:
        """Given up. One that is not on record came in this very batch, and a batch has one time."""
        since = np.where(self._holder[slots] == conns, self._since[slots], at)
        self.unanswered.add(at - since)
        evicted = causes == _EVICTED
        if evicted.all():
            self._evicted_of.add(since)
            return
        self._evicted_of.add(since[evicted])
        self._answered_of.add(since[causes == _RESET])  # somebody is there

    # -- looks --------------------------------------------------------------------------

    def look(self, now: int) -> None:
        """The time that has passed counts for the occupancy seen at its end."""
        populations = self._server.state_counts().tolist()
        passed, self._looked_at = now - self._looked_at, now
        self.half_open = populations[_SYN_RECEIVED]
        self._half_open_ns += self.half_open * passed
        self.peak_blocks = max(self.peak_blocks, sum(populations[_SYN_SENT:]))
        if self._accepts_later:
            waiting = self._waiting()
            self._waiting_ns += waiting * passed
            self.peak_accept = max(self.peak_accept, waiting)
        if now >= self.boundary:
            self.close_window(now)

    def close_window(self, now: int) -> None:
        """A window ends here."""
        counts = self._counts()
        lost, cookies, returned, refused = (b - a for a, b in zip(self._before, counts, strict=True))
        self._windows.append(
            Window(
                begin_ns=self._begin,
                end_ns=now,
                half_open=self.half_open,
                accept_queue=self._waiting(),
                added=0,
                answered=0,
                evicted=0,
                lost=lost,
                cookies=cookies,
                returned=returned,
                refused=refused,
                sources=np.array(self._sources, dtype=np.uint32),
            )
        )
        self._before, self._begin, self._sources = counts, now, []

    def windows(self) -> list[Window]:
        """All of them, with what has become of their entries by now."""
        told = []
        for i, window in enumerate(self._windows):
            of = [cohorts.of(i) for cohorts in self._cohorts()]
            told.append(replace(window, added=of[0], answered=of[1], evicted=of[2]))
        return told

    def usual_answer_ns(self) -> int | None:
        """Within which 19 of 20 entries that were answered had their answer."""
        within = self.answered.spread_ms()["p95"]
        return None if within is None else int(within * 1e6)

    def means(self) -> tuple[float, float]:
        """Half-open entries and connections waiting for accept, over time."""
        return self._half_open_ns / max(self._looked_at, 1), self._waiting_ns / max(self._looked_at, 1)

    def _cohorts(self) -> tuple[Cohorts, ...]:
        return self._added, self._answered_of, self._evicted_of

    def _waiting(self) -> int:
        return int(self._server.gauges()["accept_queue"]) if self._accepts_later else 0

    def _counts(self) -> tuple[int, int, int, int]:
        """So far: entries lost, cookies sent, come back (or ACKs to nobody), refused."""
        counters, causes = self._server.counters, self._server.causes
        return (
            counters["SynQueueEvicted"] + counters["SynQueueExpired"],
            counters["SyncookiesSent"],
            counters["SyncookiesRecv"] + counters["OutRsts"],
            causes["SynQueueFull"] + causes["SynQueueReserve"] + causes["AcceptQueueFull"],
        )

