"""A server's half-open queue under a flood: looked at window by window, and what that tells of the flood.

The windows come from the engine's own events, counters and gauges: nothing here knows who is honest. Source
of the rules: `detect`. The simulator keeps the residence of each entry (S10.1, S10.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.scenario.model import Flood, Load, Scenario
from loadgen.sim.build import window_ns
from loadgen.sim.detect import Alarm, Window, detect, judge, series
from loadgen.sim.outcome import Histogram
from loadgen.sim.simulator import Simulator, words_of_bursts
from tcpcore import Engine

ROWS: Final = 240  # of the series of the queues
BURST_NS: Final = 250_000_000  # length of an honest crowd
BURST_EVERY_NS: Final = 3_000_000_000


@dataclass
class Watched:
    """What was seen of the queue, and what it tells."""

    room: int  # half-open entries that fit
    answered: Histogram = field(repr=False)  # residence
    unanswered: Histogram = field(repr=False)
    windows: list[Window] = field(repr=False)
    alarms: list[Alarm]
    floods: list[tuple[int, int]]  # when there was one: begin, end in ns
    bursts: dict[str, int] = field(default_factory=dict)  # what the detector said of honest crowds

    @property
    def detection(self) -> dict[str, Any]:
        """The alarms against the floods that there were."""
        return {**judge(self.alarms, self.floods), **self.bursts}

    def series(self) -> dict[str, Any]:
        """The queue over time, the alarms and the floods."""
        return {
            "queues": series(self.windows, ROWS),
            "alarms": [alarm.as_dict() for alarm in self.alarms],
            "floods": [{"begin_ms": a / 1e6, "end_ms": b / 1e6} for a, b in self.floods],
        }


class Watching:
    """The queue of one server, looked at when a window is over."""

    def __init__(self, server: Engine, listener: int, duration_ns: int) -> None:
        self.window_ns = window_ns(duration_ns)
        self._server = server
        self._room = int(server.room(listener)["half_open_max"])
        self._begin = 0
        self._before = self._counts()
        self._windows: list[Window] = []

    def ends(self, duration_ns: int) -> Iterator[int]:
        """When the windows are over."""
        yield from range(self.window_ns, duration_ns, self.window_ns)
        yield duration_ns

    def look(self, now: int, simulator: Simulator) -> None:
        """A window ends here."""
        if now <= self._begin:
            return
        counts, gauges = self._counts(), self._server.gauges()
        lost, cookies, returned, refused = (b - a for a, b in zip(self._before, counts, strict=True))
        self._windows.append(
            Window(
                begin_ns=self._begin,
                end_ns=now,
                half_open=int(gauges["half_open"]),
                accept_queue=int(gauges["accept_queue"]),
                added=0,
                answered=0,
                evicted=0,
                lost=lost,
                cookies=cookies,
                returned=returned,
                refused=refused,
                sources=simulator.sources(),
            )
        )
        self._before, self._begin = counts, now

    def told(self, simulator: Simulator, scenario: Scenario) -> Watched:
        """The windows with what has become of their entries by now."""
        answered, unanswered, columns = simulator.watched()
        windows = [
            dataclasses.replace(
                window, added=int(columns[0][i]), answered=int(columns[1][i]), evicted=int(columns[2][i])
            )
            for i, window in enumerate(self._windows)
        ]
        within = Histogram(*answered)
        alarms = detect(windows, self._room, usual_answer_ns(within))
        floods = [
            interval
            for flood in scenario.flood
            for interval in intervals(flood, simulator.now if not windows else windows[-1].end_ns)
        ]
        return Watched(self._room, within, Histogram(*unanswered), windows, alarms, floods)

    def _counts(self) -> tuple[int, int, int, int]:
        """So far: entries lost, cookies sent, come back (or ACKs to nobody), refused."""
        counters, causes = self._server.counters, self._server.causes
        return (
            counters["SynQueueEvicted"] + counters["SynQueueExpired"],
            counters["SyncookiesSent"],
            counters["SyncookiesRecv"] + counters["OutRsts"],
            causes["SynQueueFull"] + causes["SynQueueReserve"] + causes["AcceptQueueFull"],
        )


def usual_answer_ns(answered: Histogram) -> int | None:
    """Within which 19 of 20 entries that were answered had their answer; None where none had one."""
    upto = np.cumsum(answered.counts)
    if not len(upto):
        return None
    place = int(np.searchsorted(upto, 0.95 * upto[-1]))
    return int(min(answered.highest[place], answered.max or 0))


def intervals(flood: Flood, end_ns: int) -> list[tuple[int, int]]:
    """When a flood is on, up to a time: what a detector should find."""
    end = end_ns if flood.stop_ns is None else min(end_ns, flood.stop_ns)
    if flood.count is not None:
        end = min(end, flood.start_ns + _busy(flood, int(flood.count / flood.rate * 1e9)))
    if not flood.off_ns:
        return [(flood.start_ns, end)] if flood.start_ns < end else []
    period = flood.on_ns + flood.off_ns
    return [(at, min(at + flood.on_ns, end)) for at in range(flood.start_ns, end, period)]


def _busy(flood: Flood, on: int) -> int:
    """From ns of being on to ns since its begin."""
    return on + (on // flood.on_ns * flood.off_ns if flood.off_ns else 0)


def crowds(scenario: Scenario, watched: Watched, backlog: int, replicate: int) -> Scenario:
    """Honest crowds at the same listener, half as large again as its backlog, within a quarter second each.

    They come at a random moment of each three seconds. The flood of one segment is there to be watched.
    """
    run = scenario.run
    size = min(max(3 * backlog // 2, 64), 8192)
    words = words_of_bursts(scenario.seed, replicate, 0, run.honest_bursts * (size + 1)).astype(np.float64)
    shares = (words * 2.0**-64).reshape(run.honest_bursts, size + 1)
    begins = np.arange(run.honest_bursts) * BURST_EVERY_NS + shares[:, :1].T[0] * (BURST_EVERY_NS // 2)
    times = np.sort((begins[:, None] + shares[:, 1:] * BURST_NS).astype(np.int64).ravel())
    first = scenario.load[0]
    load = Load("crowd", "trace:", times_ns=tuple(times.tolist()), patience_ns=first.patience_ns,
                request=first.request, response=first.response, speaks=first.speaks)  # fmt: skip
    duration = run.honest_bursts * BURST_EVERY_NS + first.patience_ns
    flood = Flood("one", rate=1e-9, kind="rst", start_ns=duration - 1)
    run = dataclasses.replace(
        run, duration_ns=duration, series_ns=0, warmup_ns=0, drain=False, honest_bursts=0
    )
    hosts = max(scenario.client.hosts, -(-len(times) // 7000))
    client = dataclasses.replace(scenario.client, hosts=hosts)
    return dataclasses.replace(scenario, client=client, load=(load,), flood=(flood,), run=run, threshold=())


def said_of_crowds(crowded: Watched, scenario: Scenario, bursts: int, replicate: int) -> dict[str, int]:
    """What the detector makes of them, each client under an address of its own, as random as a flood's."""
    n = sum(len(window.sources) for window in crowded.windows)
    windows = from_anywhere(crowded.windows, words_of_bursts(scenario.seed, replicate, 1 << 40, n))
    alarms = detect(windows, crowded.room, usual_answer_ns(crowded.answered))
    size = len(scenario.load[0].times_ns) // bursts
    return {"honest_bursts": bursts, "burst_size": size, "alarms_on_bursts": len(alarms)}


def from_anywhere(windows: list[Window], words: npt.NDArray[np.uint64]) -> list[Window]:
    """The windows with sources as random as a flood's, so that honest crowds are hard to tell from one."""
    found, used = [], 0
    for window in windows:
        n = len(window.sources)
        spread = np.uint64((223 - 11) << 24)
        sources = (11 << 24) + ((words[used : used + n] >> np.uint64(32)) * spread >> np.uint64(32))
        used += n
        found.append(dataclasses.replace(window, sources=sources.astype(np.uint32)))
    return found
