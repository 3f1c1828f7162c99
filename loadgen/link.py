"""The virtual link between two engines: delay, jitter, loss, duplication, reordering.

A calendar per direction: arrival time -> the batches that arrive then, in the order in which they were
sent. Whole batches go through numpy at once; on a perfect link they are not even copied. The link never
reads an engine: what kind of segment it carries it tells from the segments alone (`Tracker`).

Without jitter an arrival time is exact; a random delay is rounded up to a multiple of `step_ns`, so that
segments of one step travel on as one batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.streams import Mask, Purpose, Stream
from tcpcore import SEGMENT, Flag

Segments = npt.NDArray[np.void]

CLIENT: Final = 0
SERVER: Final = 1
SIDES: Final = ("client", "server")


# A row as plain bytes: numpy copies it in one piece, eight times faster than field by field, and keeps
# the padding that np.concatenate would squeeze out.
_RAW: Final = np.dtype((np.void, SEGMENT.itemsize))


def pick(segs: Segments, rows: Mask | npt.NDArray[np.intp]) -> Segments:
    """`segs[rows]`, fast."""
    return segs.view(_RAW)[rows].view(SEGMENT)


def join(batches: list[Segments]) -> Segments:
    """The batches one after the other in one array."""
    if len(batches) == 1:
        return batches[0]
    return np.concatenate([segs.view(_RAW) for segs in batches]).view(SEGMENT)


class Kind(IntEnum):
    """What a segment is to the link; every segment is exactly one of these."""

    SYN = 0
    SYN_ACK = 1
    THIRD_ACK = 2  # the bare ACK that completes a handshake
    DATA = 3
    ACK = 4  # any other bare ACK
    FIN = 5
    LAST_ACK = 6  # the bare ACK of the peer's FIN by an end whose own FIN came before
    RST = 7


KIND_NAMES: Final = tuple(kind.name.lower().replace("_", "-") for kind in Kind)


def _kind_of_flags(flags: int) -> Kind:
    if flags & Flag.RST:
        return Kind.RST
    if flags & Flag.SYN:
        return Kind.SYN_ACK if flags & Flag.ACK else Kind.SYN
    return Kind.FIN if flags & Flag.FIN else Kind.ACK


_KINDS: Final = np.array([_kind_of_flags(flags) for flags in range(256)], dtype=np.uint8)


@dataclass(frozen=True)
class Rates:
    """A share for every kind of segment: `1%`, or `syn=5%,third-ack=1%` (the rest 0)."""

    shares: tuple[float, ...] = (0.0,) * len(Kind)

    @classmethod
    def everywhere(cls, share: float) -> Rates:
        return cls((share,) * len(Kind))

    @classmethod
    def only(cls, **shares: float) -> Rates:
        """`Rates.only(syn=0.1, third_ack=0.5)`"""
        return cls(tuple(shares.get(kind.name.lower(), 0.0) for kind in Kind))

    @property
    def any(self) -> bool:
        return any(self.shares)

    @property
    def uniform(self) -> bool:
        return len(set(self.shares)) == 1

    @property
    def sees_acks_apart(self) -> bool:
        """Telling bare ACKs from each other costs a table of connections; most settings do not need it."""
        return len({self.shares[kind] for kind in (Kind.THIRD_ACK, Kind.ACK, Kind.LAST_ACK)}) > 1

    def named(self) -> dict[str, float]:
        return {name: share for name, share in zip(KIND_NAMES, self.shares, strict=True) if share}


@dataclass(frozen=True)
class Path:
    """What the link does to segments, both directions alike. Times in ns."""

    rtt_ns: int = 1_000_000
    jitter_ns: int = 0  # each segment is late by up to this, evenly spread
    loss: Rates = field(default_factory=Rates)
    duplicates: Rates = field(default_factory=Rates)
    duplicate_delay_ns: int = 0  # how much later the copy arrives
    late_copies: bool = False  # copies towards the server are kept apart, to be watched on arrival
    reorder: float = 0.0  # this share is overtaken: late by reorder_delay_ns
    reorder_delay_ns: int = 0
    last_ack_loss: float = 0.0  # share of connections whose first last ACK is lost

    @property
    def one_way_ns(self) -> int:
        return self.rtt_ns // 2

    @property
    def perfect(self) -> bool:
        return not (
            self.jitter_ns or self.loss.any or self.duplicates.any or self.reorder or self.last_ack_loss
        )


class Names:
    """Connections as small numbers: client address (counted from `base`) times 65536 plus client port."""

    def __init__(self, base: int, clients: int) -> None:
        self.base = np.uint32(base)
        self.size = clients << 16

    def of(self, address: npt.NDArray[np.uint32], port: npt.NDArray[np.uint16]) -> npt.NDArray[np.intp]:
        return ((address - self.base).astype(np.intp) << 16) | port

    def of_segments(self, segs: Segments, sender: int) -> npt.NDArray[np.intp]:
        if sender == CLIENT:
            return self.of(segs["src"], segs["sport"])
        return self.of(segs["dst"], segs["dport"])


class Tracker:
    """What has passed the link, per connection: the first number and the number after the FIN, per end.

    That is enough to name a third and a last ACK by their own two numbers, whatever travelled between.
    """

    def __init__(self, names: Names) -> None:
        self.names = names
        self.isn = np.zeros((2, names.size), dtype=np.uint32)
        self.end = np.zeros((2, names.size), dtype=np.uint32)
        self.has_end = np.zeros((2, names.size), dtype=np.bool_)
        self.last_acked = np.zeros(names.size, dtype=np.bool_)
        self.counted: Mask = np.zeros(names.size, dtype=np.bool_)  # whose payload goes into bytes_acked
        self.bytes_acked = 0  # payload of passive closers that a last ACK has acknowledged
        self.syn_bytes_accepted = 0

    def classify(self, kinds: npt.NDArray[np.uint8], segs: Segments, sender: int) -> Mask:
        """Note what passes and split Kind.ACK in `kinds`; True where a connection's first last ACK passes."""
        peer = 1 - sender
        self._note(kinds, segs, sender)
        fresh = np.zeros(len(segs), dtype=np.bool_)
        rows = np.flatnonzero(kinds == Kind.ACK)
        if rows.size:
            bare = pick(segs, rows)
            ids = self.names.of_segments(bare, sender)
            third = (bare["ack"] == self.isn[peer, ids] + np.uint32(1)) & (
                bare["seq"] == self.isn[sender, ids] + np.uint32(1)
            )
            last = (
                self.has_end[0, ids]
                & self.has_end[1, ids]
                & (bare["ack"] == self.end[peer, ids])
                & (bare["seq"] == self.end[sender, ids])
            )
            kinds[rows[third]] = Kind.THIRD_ACK
            kinds[rows[last]] = Kind.LAST_ACK
            self._first_last_acks(rows[last], ids[last], fresh, peer)
        return fresh

    def _note(self, kinds: npt.NDArray[np.uint8], segs: Segments, sender: int) -> None:
        opening = pick(segs, (kinds == Kind.SYN) | (kinds == Kind.SYN_ACK))
        if opening.size:
            ids = self.names.of_segments(opening, sender)
            self.isn[sender, ids] = opening["seq"]
            self.has_end[:, ids] = False
            self.last_acked[ids] = False
            if sender == SERVER:
                beyond = (opening["ack"] - self.isn[CLIENT, ids] - np.uint32(1)).astype(np.int32)
                self.syn_bytes_accepted += int(beyond.clip(min=0).sum())
        closing = pick(segs, kinds == Kind.FIN)
        if closing.size:
            ids = self.names.of_segments(closing, sender)
            self.end[sender, ids] = closing["seq"] + closing["payload_len"] + np.uint32(1)
            self.has_end[sender, ids] = True

    def _first_last_acks(
        self, rows: npt.NDArray[np.intp], ids: npt.NDArray[np.intp], fresh: Mask, peer: int
    ) -> None:
        first = ~self.last_acked[ids]
        rows, ids = rows[first], ids[first]
        _, earliest = np.unique(ids, return_index=True)
        rows, ids = rows[earliest], ids[earliest]
        self.last_acked[ids] = True
        fresh[rows] = True
        ids = ids[self.counted[ids]]
        passed = self.end[peer, ids] - self.isn[peer, ids] - np.uint32(2)  # without SYN and FIN
        self.bytes_acked += int(passed.astype(np.int64).sum())


class Calendar:
    """Batches by arrival time; equal times keep the order of sending."""

    def __init__(self) -> None:
        self._due: dict[int, list[Segments]] = {}
        self._times: list[int] = []

    def add(self, at: int, segs: Segments) -> None:
        batches = self._due.get(at)
        if batches is None:
            self._due[at] = [segs]
            heapq.heappush(self._times, at)
        else:
            batches.append(segs)

    def next(self) -> int | None:
        return self._times[0] if self._times else None

    def take(self, now: int) -> list[Segments]:
        """Everything due at or before now."""
        taken: list[Segments] = []
        while self._times and self._times[0] <= now:
            taken += self._due.pop(heapq.heappop(self._times))
        return taken


class _Dice:
    """The random streams of one direction."""

    def __init__(self, seed: int, replicate: int, direction: int) -> None:
        self.loss = Stream(seed, replicate, Purpose.LOSS, direction)
        self.jitter = Stream(seed, replicate, Purpose.JITTER, direction)
        self.duplicates = Stream(seed, replicate, Purpose.DUPLICATES, direction)
        self.reorder = Stream(seed, replicate, Purpose.REORDER, direction)
        self.last_ack = Stream(seed, replicate, Purpose.LAST_ACK, direction)


class Link:
    """Carries segments from one side to the other. Counts what it does in `counters`."""

    def __init__(
        self,
        path: Path,
        *,
        seed: int = 0,
        replicate: int = 0,
        step_ns: int = 1_000_000,
        tracker: Tracker | None = None,
    ) -> None:
        self.path = path
        self.tracker = tracker
        self.late = Calendar()  # delayed copies towards the server (path.late_copies)
        self._step = step_ns
        self._calendars = (Calendar(), Calendar())  # by destination
        self._dice = (_Dice(seed, replicate, CLIENT), _Dice(seed, replicate, SERVER))
        self._loss = np.array(path.loss.shares)
        self._duplicates = np.array(path.duplicates.shares)
        self.sent = [0, 0]
        self.lost = [0] * len(Kind)
        self.duplicated = 0
        self.reordered = 0
        if tracker is None and (
            path.last_ack_loss or path.loss.sees_acks_apart or path.duplicates.sees_acks_apart
        ):
            raise ValueError("tracker: expected one, since bare ACKs are treated by kind")

    @property
    def counters(self) -> Mapping[str, int]:
        lost = {f"lost.{name}": n for name, n in zip(KIND_NAMES, self.lost, strict=True) if n}
        return {
            "from_client": self.sent[CLIENT],
            "from_server": self.sent[SERVER],
            "lost": sum(self.lost),
            "duplicated": self.duplicated,
            "reordered": self.reordered,
            **lost,
        }

    def send(self, sender: int, segs: Segments, now: int) -> None:
        """Take over `segs`; they must not be written to afterwards."""
        n = len(segs)
        if n == 0:
            return
        self.sent[sender] += n
        at = now + self.path.one_way_ns
        if self.path.perfect and self.tracker is None:
            self._calendars[1 - sender].add(at, segs)
        else:
            self._send_imperfect(sender, segs, at)

    def next_arrival(self) -> int | None:
        """The earliest arrival on either side."""
        times = [
            t
            for t in (self._calendars[0].next(), self._calendars[1].next(), self.late.next())
            if t is not None
        ]
        return min(times, default=None)

    def collect(self, to: int, now: int) -> list[Segments]:
        """What arrives at side `to` by now, without the late copies."""
        return self._calendars[to].take(now)

    @property
    def idle(self) -> bool:
        """Nothing on its way, late copies aside."""
        return self._calendars[0].next() is None and self._calendars[1].next() is None

    def _send_imperfect(self, sender: int, segs: Segments, at: int) -> None:
        path, dice, n = self.path, self._dice[sender], len(segs)
        kinds = _KINDS[segs["flags"]]
        kinds[(kinds == Kind.ACK) & (segs["payload_len"] != 0)] = Kind.DATA
        lost: Mask = np.zeros(n, dtype=np.bool_)
        if self.tracker is not None:
            fresh = self.tracker.classify(kinds, segs, sender)
            if path.last_ack_loss:
                rows = np.flatnonzero(fresh)
                lost[rows] = dice.last_ack.hits(rows.size, path.last_ack_loss)
        if path.loss.any:
            lost |= dice.loss.hits(n, self._shares(self._loss, kinds))
        copied = (
            dice.duplicates.hits(n, self._shares(self._duplicates, kinds)) if path.duplicates.any else None
        )
        delay = self._delay(dice, n)
        if copied is not None:
            copied &= ~lost
        if lost.any():
            for kind, count in enumerate(np.bincount(kinds[lost], minlength=len(Kind)).tolist()):
                self.lost[kind] += count
            kept = ~lost
            self._deliver(1 - sender, pick(segs, kept), at, delay[kept] if delay is not None else None)
        else:
            self._deliver(1 - sender, segs, at, delay)
        if copied is not None and copied.any():
            self._copy(sender, pick(segs, copied), at)

    @staticmethod
    def _shares(shares: npt.NDArray[np.float64], kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
        return shares[:1] if (shares == shares[0]).all() else shares[kinds]

    def _delay(self, dice: _Dice, n: int) -> npt.NDArray[np.int64] | None:
        """Extra ns per segment, None where there is no random delay at all."""
        path = self.path
        if not path.jitter_ns and not path.reorder:
            return None
        delay = np.zeros(n, dtype=np.int64)
        if path.jitter_ns:
            delay += dice.jitter.uniform(n, path.jitter_ns + 1)
        if path.reorder:
            overtaken = dice.reorder.hits(n, path.reorder)
            self.reordered += int(np.count_nonzero(overtaken))
            delay[overtaken] += path.reorder_delay_ns
        return delay

    def _deliver(self, to: int, segs: Segments, at: int, delay: npt.NDArray[np.int64] | None) -> None:
        calendar = self._calendars[to]
        if len(segs) == 0:
            return
        if delay is None:
            calendar.add(at, segs)
            return
        steps = -(-(at + delay) // self._step)
        steps[delay == 0] = -1  # on time: exact, not rounded
        order = np.argsort(steps, kind="stable")
        values, starts = np.unique(steps[order], return_index=True)
        for value, rows in zip(values.tolist(), np.split(order, starts[1:]), strict=True):
            calendar.add(at if value < 0 else value * self._step, pick(segs, rows))

    def _copy(self, sender: int, segs: Segments, at: int) -> None:
        self.duplicated += len(segs)
        apart = self.path.late_copies and sender == CLIENT
        (self.late if apart else self._calendars[1 - sender]).add(at + self.path.duplicate_delay_ns, segs)
