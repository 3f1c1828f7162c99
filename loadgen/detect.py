"""When did a flood begin, and when was it over? Told from the half-open queue alone.

Three things are looked at, window by window (100 ms), none of which knows who the peers are:

* pressure: the queue is more than half full, or it refuses, evicts or answers by cookies;
* answers: of the SYNs that got an entry or a cookie lately, how many were completed. Honest crowds fill a
  queue as a flood does, but whoever gets a place answers within a round trip;
* dispersion: of the newest entries, how many come from a /16 of their own. Random sources share none, a crowd
  behind a few networks shares them all. It decides nothing; it says what to filter, and a dispersed flood is
  believed sooner.

An alarm begins with the first of `PATIENCE` suspicious windows in a row and ends with the last one before
`CALM` windows of another kind. A round trip longer than PATIENCE windows would look like silence.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

PATIENCE: Final = 5  # windows
PATIENCE_DISPERSED: Final = 3
CALM: Final = 3
PRESSED: Final = 0.5  # share of the queue's room
UNANSWERED: Final = 0.5  # share of entries and cookies; below it the crowd is honest
DISPERSED: Final = 0.8  # share of new entries alone in their /16
SUNK: Final = 0.25  # of the alarm's own SYNs per window: fewer are the rest of it, not the flood
_FEWEST: Final = 8  # SYNs in the windows looked at, or there is nothing to say


@dataclass(frozen=True)
class Window:
    """What happened to a listener's queue in begin_ns .. end_ns."""

    begin_ns: int
    end_ns: int
    half_open: int  # at the end
    accept_queue: int
    added: int  # SYNs that got an entry
    answered: int  # handshakes completed, of entries and of cookies
    ended: int  # entries evicted or expired
    cookies: int  # SYNs answered without an entry
    refused: int
    sources: npt.NDArray[np.uint32]  # of some of the new entries

    @property
    def syns(self) -> int:
        return self.added + self.cookies + self.refused

    @property
    def dispersion(self) -> float | None:
        """Share of the sampled new entries that are alone in their /16."""
        if len(self.sources) == 0:
            return None
        counts = np.unique(self.sources >> np.uint32(16), return_counts=True)[1]
        return int(np.count_nonzero(counts == 1)) / len(self.sources)


@dataclass(frozen=True)
class Alarm:
    """A flood as the queue tells it."""

    begin_ns: int
    end_ns: int
    raised_ns: int  # when it was certain
    unanswered: float  # share of entries and cookies
    dispersion: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "begin_ms": self.begin_ns / 1e6,
            "end_ms": self.end_ns / 1e6,
            "raised_ms": self.raised_ns / 1e6,
            "unanswered": self.unanswered,
            "dispersion": self.dispersion,
        }


class Windows(list[Window]):
    """A run's windows, in order."""

    def series(self, rows: int) -> dict[str, list[Any]]:
        """At most `rows` rows: counts are summed over the windows of a row, levels are the last one's."""
        step = -(-len(self) // rows) or 1
        groups = [self[i : i + step] for i in range(0, len(self), step)]
        sums = ("added", "answered", "ended", "cookies", "refused")
        return {
            "time_ms": [group[-1].end_ns / 1e6 for group in groups],
            "half_open": [group[-1].half_open for group in groups],
            "accept_queue": [group[-1].accept_queue for group in groups],
            **{name: [sum(getattr(w, name) for w in group) for group in groups] for name in sums},
        }


def detect(windows: Iterable[Window], room: int) -> list[Alarm]:
    """The floods that a queue with `room` places has seen."""
    detector = _Detector(room)
    for window in windows:
        detector.see(window)
    detector.finish()
    return detector.alarms


class _Detector:
    def __init__(self, room: int) -> None:
        self.room = room
        self.alarms: list[Alarm] = []
        self._run: list[Window] = []  # suspicious windows, and calm ones between them
        self._calm = 0
        self._raised: int | None = None

    def see(self, window: Window) -> None:
        if self._suspicious(window):
            self._run.append(window)
            self._calm = 0
            if self._raised is None and self._convinced():
                self._raised = window.end_ns
        elif self._run:
            self._calm += 1
            self._run.append(window)
            if self._calm >= (CALM if self._raised is not None else 1):
                self.finish()

    def finish(self) -> None:
        """What was suspicious so far is over."""
        flood = self._run[: len(self._run) - self._calm]
        if self._raised is not None:
            met = sum(w.added + w.cookies for w in flood)
            seen = [w.dispersion for w in flood if w.dispersion is not None]
            self.alarms.append(
                Alarm(
                    flood[0].begin_ns,
                    flood[-1].end_ns,
                    self._raised,
                    1 - min(1.0, sum(w.answered for w in flood) / met) if met else 1.0,
                    sum(seen) / len(seen) if seen else None,
                )
            )
        self._run, self._calm, self._raised = [], 0, None

    def _suspicious(self, window: Window) -> bool:
        pressed = window.half_open > PRESSED * self.room or window.ended or window.cookies or window.refused
        if not pressed or not window.syns:
            return False
        lately = [*self._run[-PATIENCE:], window]
        if sum(w.syns for w in lately) < _FEWEST:
            return False
        if self._raised is not None:
            usual = sum(w.syns for w in self._run) / len(self._run)
            if window.syns < SUNK * usual:
                return False
        met = sum(w.added + w.cookies for w in lately)
        if met == 0:  # everybody is refused: as before
            return bool(self._run)
        return sum(w.answered for w in lately) < (1 - UNANSWERED) * met

    def _convinced(self) -> bool:
        dispersed = [w.dispersion for w in self._run if w.dispersion is not None]
        enough = PATIENCE_DISPERSED if dispersed and min(dispersed) > DISPERSED else PATIENCE
        return len(self._run) >= enough


def judge(alarms: list[Alarm], truth: list[tuple[int, int]]) -> dict[str, Any]:
    """Alarms against the floods there really were (begin, end in ns)."""
    found = [
        next((a for a in alarms if a.begin_ns < end and begin < a.end_ns), None) for begin, end in truth
    ]
    pairs = [(flood, alarm) for flood, alarm in zip(truth, found, strict=True) if alarm is not None]
    false = [a for a in alarms if not any(a.begin_ns < end and begin < a.end_ns for begin, end in truth)]
    return {
        "floods": len(truth),
        "found": len(pairs),
        "false_alarms": len(false),
        "raised_after_ms": _worst(alarm.raised_ns - flood[0] for flood, alarm in pairs),
        "begin_error_ms": _worst(alarm.begin_ns - flood[0] for flood, alarm in pairs),
        "end_error_ms": _worst(alarm.end_ns - flood[1] for flood, alarm in pairs),
    }


def _worst(errors_ns: Iterable[int]) -> float | None:
    """The error that is farthest from 0, in ms."""
    errors = list(errors_ns)
    return max(errors, key=abs) / 1e6 if errors else None
