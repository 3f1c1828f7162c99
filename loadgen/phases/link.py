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
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.phases.streams import Mask, Purpose, Stream
from tcpcore import BLOCK, SEGMENT, Flag

Segments = npt.NDArray[np.void]

CLIENT: Final = 0
SERVER: Final = 1
SIDES: Final = ("client", "server")


# A row as plain bytes: numpy copies it in one piece, about ten times faster than field by field.
_RAW: Final = {dtype: np.dtype((np.void, dtype.itemsize)) for dtype in (SEGMENT, BLOCK)}


def pick(table: npt.NDArray[np.void], rows: Mask | npt.NDArray[np.intp]) -> npt.NDArray[np.void]:
    """`table[rows]` of segments or blocks, fast."""
    return table.view(_RAW[table.dtype])[rows].view(table.dtype)


class Kind(IntEnum):
    """What a segment is to the link; every segment is exactly one of these."""

    SYN = 0
    SYN_ACK = 1
    THIRD_ACK = 2  # the bare ACK that completes a handshake
    DATA = 3
    ACK = 4  # any other bare ACK
    FIN = 5
    LAST_ACK = 6  # the bare ACK of the peer's FIN by an end whose own FIN did not answer it
    RST = 7


KIND_NAMES: Final = tuple(kind.name.lower().replace("_", "-") for kind in Kind)


def _kind_of_flags(flags: int) -> Kind:
    if flags & Flag.RST:
        return Kind.RST
    if flags & Flag.SYN:
        return Kind.SYN_ACK if flags & Flag.ACK else Kind.SYN
    return Kind.FIN if flags & Flag.FIN else Kind.ACK


# Members of an enum are slow to look up, and these are asked for with every batch.
_SYN, _SYN_ACK, _THIRD_ACK, _DATA, _ACK, _FIN, _LAST_ACK, _RST = map(int, Kind)

_KINDS: Final = np.array([_kind_of_flags(flags) for flags in range(256)], dtype=np.uint8)


def kinds_of(segs: Segments) -> npt.NDArray[np.uint8]:
    """The kind of each segment as far as one segment alone tells it: bare ACKs are all Kind.ACK."""
    kinds: npt.NDArray[np.uint8] = _KINDS[segs["flags"]]
    kinds[(kinds == _ACK) & (segs["payload_len"] != 0)] = _DATA
    return kinds


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
    late_copies: bool = False  # only towards the server, kept apart to be watched on arrival
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
        self.passive = np.zeros((2, names.size), dtype=np.bool_)  # its FIN answered the peer's
        self.last_acked = np.zeros(names.size, dtype=np.bool_)
        self.counted: Mask = np.zeros(names.size, dtype=np.bool_)  # whose payload goes into bytes_acked
        self.bytes_acked = 0  # payload of passive closers that a last ACK has acknowledged
        self.syn_bytes_accepted = 0

    def classify(self, kinds: npt.NDArray[np.uint8], segs: Segments, sender: int) -> npt.NDArray[np.intp]:
        """Note what passes and split Kind.ACK in `kinds`; the rows with a connection's first last ACK."""
        peer = 1 - sender
        among = np.bincount(kinds, minlength=len(Kind)).tolist()
        if among[_SYN] or among[_SYN_ACK]:
            self._note_syns(pick(segs, (kinds == _SYN) | (kinds == _SYN_ACK)), sender)
        if among[_FIN]:
            self._note_fins(pick(segs, kinds == _FIN), sender)
        if among[_ACK]:
            rows = np.flatnonzero(kinds == _ACK)
            bare = pick(segs, rows)
            ids = self.names.of_segments(bare, sender)
            third = (bare["ack"] == self.isn[peer, ids] + np.uint32(1)) & (
                bare["seq"] == self.isn[sender, ids] + np.uint32(1)
            )
            last = (
                self.has_end[0, ids]
                & self.has_end[1, ids]
                & ~self.passive[sender, ids]
                & (bare["ack"] == self.end[peer, ids])
                & (bare["seq"] == self.end[sender, ids])
            )
            kinds[rows[third]] = _THIRD_ACK
            kinds[rows[last]] = _LAST_ACK
            if last.any():
                return self._first_last_acks(rows[last], ids[last], peer)
        return np.empty(0, dtype=np.intp)

    def _note_syns(self, segs: Segments, sender: int) -> None:
        ids = self.names.of_segments(segs, sender)
        self.isn[sender, ids] = segs["seq"]
        self.has_end[:, ids] = False
        self.last_acked[ids] = False
        if sender == SERVER:
            beyond = (segs["ack"] - self.isn[CLIENT, ids] - np.uint32(1)).astype(np.int32)
            self.syn_bytes_accepted += int(beyond.clip(min=0).sum())

    def _note_fins(self, segs: Segments, sender: int) -> None:
        ids = self.names.of_segments(segs, sender)
        first = ~self.has_end[sender, ids]
        answers = self.has_end[1 - sender, ids] & (segs["ack"] == self.end[1 - sender, ids])
        self.passive[sender, ids[first]] = answers[first]
        self.end[sender, ids] = segs["seq"] + segs["payload_len"] + np.uint32(1)
        self.has_end[sender, ids] = True

    def _first_last_acks(
        self, rows: npt.NDArray[np.intp], ids: npt.NDArray[np.intp], peer: int
    ) -> npt.NDArray[np.intp]:
        first = ~self.last_acked[ids]
        rows, ids = rows[first], ids[first]
        _, earliest = np.unique(ids, return_index=True)
        rows, ids = rows[earliest], ids[earliest]
        self.last_acked[ids] = True
        ids = ids[self.counted[ids]]
        passed = self.end[peer, ids] - self.isn[peer, ids] - np.uint32(2)  # without SYN and FIN
        self.bytes_acked += int(passed.astype(np.int64).sum())
        return np.sort(rows)


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

    def all(self) -> list[Segments]:
        """Everything, in no order."""
        return [segs for batches in self._due.values() for segs in batches]


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
        home: Names | None = None,
        skew_ns: int = 0,
    ) -> None:
        self.path = path
        # towards the server, and back: the round trip is the path's
        self._delays = (path.one_way_ns + skew_ns, path.one_way_ns - skew_ns)
        self.tracker = tracker
        self.home = home  # the clients' addresses, where the server also answers strangers
        self.late = Calendar()  # delayed copies towards the server (path.late_copies)
        self._step = step_ns
        self._untouched = path.perfect and tracker is None
        self._calendars = (Calendar(), Calendar())  # by destination
        self._all = (*self._calendars, self.late)
        self._dice = (_Dice(seed, replicate, CLIENT), _Dice(seed, replicate, SERVER))
        self._loss = np.array(path.loss.shares)
        self._duplicates = np.array(path.duplicates.shares)
        self.sent = [0, 0]
        self.lost = [0] * len(Kind)
        self._outside = np.zeros(256, dtype=np.int64)  # sent to addresses that are nobody's, by flags
        self.duplicated = 0
        self.reordered = 0
        if tracker is None and (
            path.last_ack_loss or path.loss.sees_acks_apart or path.duplicates.sees_acks_apart
        ):
            raise ValueError("tracker: expected one, since bare ACKs are treated by kind")

    @property
    def outside(self) -> list[int]:
        """What went to addresses that are nobody's, by kind (of bare ACKs all are Kind.ACK)."""
        return [int(n) for n in np.bincount(_KINDS, self._outside, len(Kind))]

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
            **{f"outside.{name}": n for name, n in zip(KIND_NAMES, self.outside, strict=True) if n},
        }

    def send(self, sender: int, segs: Segments, now: int) -> None:
        """Take over `segs`; they must not be written to afterwards."""
        n = len(segs)
        if n == 0:
            return
        if self.home is not None and sender == SERVER:
            strangers = segs["dst"] - self.home.base >= np.uint32(self.home.size >> 16)
            if strangers.any():
                self.lose_outside(sender, pick(segs, strangers))
                segs = pick(segs, ~strangers)
                n = len(segs)
        self.sent[sender] += n
        if n == 0:
            return
        at = now + self._delays[sender]
        if self._untouched:
            self._calendars[1 - sender].add(at, segs)
        else:
            self._send_imperfect(sender, segs, at)

    def lose_outside(self, sender: int, segs: Segments) -> None:
        """`segs` went to addresses that are nobody's: count them."""
        if len(segs):
            self.sent[sender] += len(segs)
            self._outside += np.bincount(segs["flags"], minlength=256)

    def next_arrival(self) -> int | None:
        """The earliest arrival on either side."""
        times = [at for at in (calendar.next() for calendar in self._all) if at is not None]
        return min(times) if times else None

    def collect(self, to: int, now: int) -> list[Segments]:
        """What arrives at side `to` by now, without the late copies."""
        return self._calendars[to].take(now)

    def give_back(self, to: int, now: int, batches: list[Segments]) -> None:
        """Collected and not delivered after all: the run was interrupted."""
        for segs in batches:
            self._calendars[to].add(now, segs)

    def under_way(self, to: int) -> list[Segments]:
        """What has not yet arrived at side `to`, late copies aside."""
        return self._calendars[to].all()

    @property
    def idle(self) -> bool:
        """Nothing on its way, late copies aside."""
        return self._calendars[0].next() is None and self._calendars[1].next() is None

    def _send_imperfect(self, sender: int, segs: Segments, at: int) -> None:
        path, dice, n = self.path, self._dice[sender], len(segs)
        lost: Mask = np.zeros(n, dtype=np.bool_)
        kinds = None
        if self.tracker is not None or not (path.loss.uniform and path.duplicates.uniform):
            kinds = kinds_of(segs)
        if self.tracker is not None and kinds is not None:
            last = self.tracker.classify(kinds, segs, sender)
            if path.last_ack_loss:
                lost[last] = dice.last_ack.hits(last.size, path.last_ack_loss)
        if path.loss.any:
            lost |= dice.loss.hits(n, self._shares(self._loss, kinds))
        copied: Mask | None = None
        if path.duplicates.any:
            copied = dice.duplicates.hits(n, self._shares(self._duplicates, kinds)) & ~lost
        delay = self._delay(dice, n)
        if lost.any():
            self._count_lost(kinds_of(pick(segs, lost)) if kinds is None else kinds[lost])
            kept = ~lost
            self._deliver(1 - sender, pick(segs, kept), at, delay[kept] if delay is not None else None)
        else:
            self._deliver(1 - sender, segs, at, delay)
        if copied is not None and copied.any() and not (path.late_copies and sender == SERVER):
            self._copy(sender, pick(segs, copied), at)

    def _count_lost(self, kinds: npt.NDArray[np.uint8]) -> None:
        for kind, count in enumerate(np.bincount(kinds, minlength=len(Kind)).tolist()):
            self.lost[kind] += count

    @staticmethod
    def _shares(
        shares: npt.NDArray[np.float64], kinds: npt.NDArray[np.uint8] | None
    ) -> npt.NDArray[np.float64]:
        """Per segment; one for all where the kinds are not known, since they do not matter then."""
        return shares[:1] if kinds is None else shares[kinds]

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
        steps, segs = steps[order], pick(segs, order)
        starts = [0, *(np.flatnonzero(steps[1:] != steps[:-1]) + 1).tolist(), len(segs)]
        for start, stop in pairwise(starts):
            step = int(steps[start])
            calendar.add(at if step < 0 else step * self._step, segs[start:stop])

    def _copy(self, sender: int, segs: Segments, at: int) -> None:
        self.duplicated += len(segs)
        (self.late if self.path.late_copies else self._calendars[1 - sender]).add(
            at + self.path.duplicate_delay_ns, segs
        )
