"""When did a flood begin, and when was it over? Told from the half-open queue alone.

Three things are looked at, window by window (100 ms), none of which knows who the peers are:

* pressure: the queue is more than half full, or it refuses, evicts or answers by cookies;
* answers: how many of those who got an entry or a cookie have not answered `LAG` later. A crowd of honest
  clients fills a queue as a flood does, but whoever gets a place answers within a round trip. An entry tells
  this of itself. A cookie does not, nor an evicted entry: as many are taken for answered as cookies came back
  and ACKs found nobody, from then until honest entries usually have their answer;
* dispersion: of the newest entries, how many are alone in their /16. Random sources share none. It decides
  nothing, since a crowd may be dispersed too, but a dispersed flood is believed sooner, and it says what to
  filter: one network, or nothing.

A window under pressure whose peers do not answer is suspicious; so many in a row are a flood. Where everybody
is refused there is nothing to see: it goes on as before until far fewer SYNs come. The flood began with the
first window in a row whose peers did not answer, under pressure or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LAG: Final = 10  # windows: 1 s, when an unanswered SYN-ACK is due again
PATIENCE: Final = 5  # windows in a row
PATIENCE_DISPERSED: Final = 3
CALM: Final = 3
PRESSED: Final = 0.5  # share of the queue's room
UNANSWERED: Final = 0.2  # share of entries and cookies; honest peers lose a few segments
DISPERSED: Final = 0.8  # share of new entries alone in their /16
SUNK: Final = 0.25  # of the alarm's own SYNs per window: fewer are the rest of it, not the flood
FEWEST: Final = 8  # unanswered SYNs, or there is nothing to say

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """What a listener's queue has seen in begin_ns .. end_ns.

    `added`, `answered` and `evicted` are of the entries that came in this window, whenever they answered.
    """

    begin_ns: int
    end_ns: int
    half_open: int  # at the end
    accept_queue: int
    added: int  # SYNs that got an entry
    answered: int
    evicted: int
    lost: int  # entries evicted or expired in this window
    cookies: int  # SYNs answered without an entry
    returned: int  # cookies that came back, and ACKs that found nobody
    refused: int
    sources: npt.NDArray[np.uint32]  # of some of the new entries

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


def series(windows: Sequence[Window], rows: int) -> dict[str, list[Any]]:
    """At most `rows` rows: counts are summed over the windows of a row, levels are the last one's."""
    step = -(-len(windows) // rows) or 1
    groups = [windows[i : i + step] for i in range(0, len(windows), step)]
    sums = ("added", "answered", "lost", "cookies", "refused")
    return {
        "time_ms": [group[-1].end_ns / 1e6 for group in groups],
        "half_open": [group[-1].half_open for group in groups],
        "accept_queue": [group[-1].accept_queue for group in groups],
        **{name: [sum(getattr(w, name) for w in group) for group in groups] for name in sums},
    }


class _Evidence:
    """The windows as columns, and what they say."""

    def __init__(self, windows: Sequence[Window], room: int, usual: int) -> None:
        def column(name: str) -> Counts:
            return np.array([getattr(w, name) for w in windows], dtype=np.int64)

        added, cookies, self.refused = column("added"), column("cookies"), column("refused")
        self.met = added + cookies
        self.syns = self.met + self.refused
        crowded = column("half_open") > PRESSED * room
        self.pressed = crowded | (cookies + self.refused + column("lost") > 0)
        self.dispersion = [w.dispersion for w in windows]
        silent = added - column("answered") - column("evicted")
        unplaced, returned = cookies + column("evicted"), column("returned")

        def share(before: int, after: int) -> npt.NDArray[np.float64]:
            """Who has not answered, of the windows around each."""
            missing = _sums(unplaced, before, after) - _sums(returned, before, after + usual)
            unanswered = _sums(silent, before, after) + np.maximum(missing, 0)
            of = np.maximum(_sums(self.met, before, after), 1)
            return np.where(unanswered >= FEWEST, unanswered / of, 0.0)

        # A window by itself is sharp; a second before and a second after it together see a small flood.
        self.unanswered = np.maximum(share(0, 0), np.minimum(share(LAG - 1, 0), share(0, LAG - 1)))


def _sums(column: Counts, before: int, after: int) -> Counts:
    """Of each window, so many before it and so many behind it."""
    upto = np.concatenate([[0], np.cumsum(column)])
    here = np.arange(len(column))
    sums: Counts = upto[np.minimum(here + 1 + after, len(column))] - upto[np.maximum(here - before, 0)]
    return sums


def detect(seen: Sequence[Window], room: int, answer_ns: int | None) -> list[Alarm]:
    """The floods that a queue with `room` places has seen.

    Parameters
    ----------
    seen : sequence of Window
        One after the other, equally long but for the last.
    room : int
        Half-open entries that fit.
    answer_ns : int or None
        When honest entries usually have their answer; None where none had one.
    """
    if not seen:
        return []
    usual = LAG if answer_ns is None else answer_ns // max(seen[0].end_ns - seen[0].begin_ns, 1) + 1
    evidence = _Evidence(seen, room, min(usual, LAG))
    alarms: list[Alarm] = []
    first = last = raised = -1  # suspicious so far; when believed
    for i in range(len(seen)):
        if _suspicious(evidence, i, len(seen), first, raised):
            first, last = (i if first < 0 else first), i
            if raised < 0 and i - first + 1 >= _patience(evidence, first, i):
                raised = min(i + LAG, len(seen) - 1)
        elif first >= 0 and i - last >= (CALM if raised >= 0 else 1):
            if raised >= 0:
                alarms.append(_alarm(seen, evidence, first, last, raised, alarms))
            first = last = raised = -1
    if raised >= 0:
        alarms.append(_alarm(seen, evidence, first, last, raised, alarms))
    return alarms


def _suspicious(evidence: _Evidence, i: int, n: int, first: int, raised: int) -> bool:
    if raised >= 0 and evidence.syns[i] < SUNK * evidence.syns[first:i].mean():
        return False
    if not evidence.pressed[i] or not evidence.syns[i]:
        return False
    if (first >= 0 and evidence.refused[i] > evidence.met[i]) or (raised >= 0 and i + LAG >= n):
        return True  # nothing to see, or not yet: as before
    return i + LAG < n and bool(evidence.unanswered[i] > UNANSWERED)


def _patience(evidence: _Evidence, first: int, last: int) -> int:
    seen = [share for share in evidence.dispersion[first : last + 1] if share is not None]
    return PATIENCE_DISPERSED if seen and min(seen) > DISPERSED else PATIENCE


def _alarm(
    windows: Sequence[Window], evidence: _Evidence, first: int, last: int, raised: int, before: list[Alarm]
) -> Alarm:
    floor = before[-1].end_ns if before else 0
    while first and evidence.unanswered[first - 1] > UNANSWERED and windows[first - 1].begin_ns >= floor:
        first -= 1
    met = evidence.met[first : last + 1]
    seen = [share for share in evidence.dispersion[first : last + 1] if share is not None]
    return Alarm(
        windows[first].begin_ns,
        windows[last].end_ns,
        windows[raised].end_ns,
        float((evidence.unanswered[first : last + 1] * met).sum() / max(int(met.sum()), 1)),
        sum(seen) / len(seen) if seen else None,
    )


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
