"""A flood as numpy makes it: spoofed segments with their times, in chunks of one reused array.

Nobody stands behind the sources: what the server answers them is backscatter. One 64-bit word gives a
segment's source, port and number, another (Poisson only) its distance from the one before, so the trace
depends on the seed and on nothing else: not on who it is sent to, nor on how it is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.phases.link import Segments
from loadgen.phases.streams import Purpose, Stream, Times
from tcpcore import Flag, segments

#: Beyond it a tick of 1 ms would hold more than 100,000 segments.
MAX_RATE: Final = 100_000_000  # per s

KINDS: Final = {"syn": Flag.SYN, "ack": Flag.ACK, "rst": Flag.RST, "fin": Flag.FIN}
SPACINGS: Final = ("paced", "poisson")

_OPT_MSS: Final = 1
_FEW: Final = 8  # blocks: up to here comparing with each is faster than searching
_CHUNK: Final = 1 << 14  # segments made at a time: 640 KiB, and the work on them stays in cache
_LOW_PORT: Final = 1024
_BYTE: Final = 1 << 24  # addresses of a /8
_LOOPBACK: Final = 127 * _BYTE
_OURS: Final = 10 * _BYTE  # 10/8: the server, and the honest clients
_FIRST: Final = 1 * _BYTE
_MULTICAST: Final = 224 * _BYTE


class SourceError(ValueError):
    """Sources that cannot be spoofed; the message says why."""


@dataclass(frozen=True)
class Sources:
    """Where a flood pretends to come from: each segment from one of `blocks`, addresses equally likely.

    blocks : tuple of (first address, number of addresses)
    """

    blocks: tuple[tuple[int, int], ...]
    name: str  # for the result

    @classmethod
    def random(cls) -> Sources:
        """Any unicast address but 10/8, where the simulation's own hosts live, and loopback."""
        edges = (_FIRST, _OURS, _OURS + _BYTE, _LOOPBACK, _LOOPBACK + _BYTE, _MULTICAST)
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return cls(tuple((low, high - low) for low, high in pairs), "random")

    @classmethod
    def parse(cls, text: str) -> Sources:
        """`random`, or addresses and networks: `203.0.113.0/24`, `198.51.100.7,198.51.100.9`."""
        if text.strip() == "random":
            return cls.random()
        words = [word.strip() for word in text.replace("\n", ",").split(",")]
        blocks = tuple(_block(word) for word in words if word)
        if not blocks:
            raise SourceError("expected at least one source address, got an empty list")
        return cls(blocks, text.strip() if len(blocks) == 1 else f"{len(blocks)} addresses and networks")

    @property
    def count(self) -> int:
        return sum(size for _, size in self.blocks)

    def meets(self, first: int, size: int) -> bool:
        """Whether some source lies in first .. first + size - 1."""
        return any(first < low + n and low < first + size for low, n in self.blocks)

    def pick(self, words: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
        """An address for each number 0 .. 2**32 - 1."""
        index = words * np.uint64(self.count) >> np.uint64(32)
        if len(self.blocks) == 1:
            return (index + np.uint64(self.blocks[0][0])).astype(np.uint32)
        ends = np.cumsum([size for _, size in self.blocks], dtype=np.uint64)
        shifts = np.array([low for low, _ in self.blocks], dtype=np.uint64)
        shifts[1:] -= ends[:-1]  # modulo 2**64: the sum is right again
        if len(self.blocks) <= _FEW:
            shift: npt.NDArray[np.uint64] = np.full(len(index), shifts[0])
            for end, step in zip(ends[:-1], np.diff(shifts), strict=True):
                shift += (index >= end) * step
        else:
            shift = shifts[np.searchsorted(ends, index, side="right")]
        addresses: npt.NDArray[np.uint32] = (index + shift).astype(np.uint32)
        return addresses


def _block(word: str) -> tuple[int, int]:
    try:
        network = IPv4Network(word)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        hint = ""
        try:
            hint = f"; did you mean {IPv4Network(word, strict=False)}?" if "host bits" in str(error) else ""
        except ValueError:
            pass
        raise SourceError(f"expected an IPv4 address or network, got {word!r}{hint}") from None
    first, size = int(network.network_address), network.num_addresses
    if first < 1 or first + size > _MULTICAST:
        raise SourceError(f"expected unicast addresses (below 224.0.0.0), got {word!r}")
    return first, size


@dataclass(frozen=True)
class Pace:
    """When a flood's segments arrive. Times in ns, `rate` per 1000 s while it is on."""

    rate: int
    spacing: str = "paced"
    start_ns: int = 0
    stop_ns: int | None = None
    count: int | None = None
    on_ns: int = 0  # with off_ns: bursts of on_ns, silence of off_ns; 0: always on
    off_ns: int = 0

    def real(self, busy: Times) -> Times:
        """From ns of being on to virtual time."""
        if self.off_ns:
            busy = busy + busy // self.on_ns * self.off_ns
        return busy + self.start_ns

    def intervals(self, end_ns: int) -> list[tuple[int, int]]:
        """When it is on, up to a time: what a detector should find."""
        end = end_ns if self.stop_ns is None else min(end_ns, self.stop_ns)
        if not self.off_ns:
            return [(self.start_ns, end)] if self.start_ns < end else []
        period = self.on_ns + self.off_ns
        return [(at, min(at + self.on_ns, end)) for at in range(self.start_ns, end, period)]


class Spoofer:
    """The flood's trace, in order: `take(now)` gives what has arrived by `now` and was not taken yet.

    The arrays it gives are views of its one chunk and are overwritten by the next `take`.
    """

    def __init__(
        self, pace: Pace, sources: Sources, kind: str, to: tuple[int, int], seed: int, replicate: int
    ) -> None:
        self.pace = pace
        self.sources = sources
        self.sent = 0
        self.last_at = pace.start_ns  # arrival of the last one taken
        self._is_ack = kind == "ack"
        self._words = Stream(seed, replicate, Purpose.SPOOFED)
        self._gaps = Stream(seed, replicate, Purpose.FLOOD)
        self._chunk = segments(
            _CHUNK,
            dst=to[0],
            dport=to[1],
            flags=int(KINDS[kind]),
            wnd=65535,
            opts=_OPT_MSS if kind == "syn" else 0,
            mss=1460 if kind == "syn" else 0,
        )
        self._times: Times = np.empty(0, dtype=np.int64)
        self._next = 0  # row of the chunk
        self._made = 0  # segments made so far
        self._busy = 0  # ns of being on until the last of them
        self._refill()

    @property
    def next_at(self) -> int | None:
        """When the next segment arrives; None when there is none left."""
        return int(self._times[self._next]) if self._next < len(self._times) else None

    def take(self, now: int, most: int) -> Iterator[Segments]:
        """What has arrived by `now`, at most `most` segments at a time."""
        while self._next < len(self._times) and self._times[self._next] <= now:
            until = int(self._times.searchsorted(now, side="right"))
            while self._next < until:
                first, self._next = self._next, min(until, self._next + most)
                self.sent += self._next - first
                self.last_at = int(self._times[self._next - 1])
                yield self._chunk[first : self._next]
            if self._next == len(self._times):
                self._refill()

    def _refill(self) -> None:
        pace = self.pace
        n = _CHUNK if pace.count is None else min(_CHUNK, pace.count - self._made)
        if pace.rate == 0 or n <= 0:
            self._times = self._times[:0]
            self._next = 0
            return
        if pace.spacing == "poisson":
            gaps = self._gaps.exponential(n, 10**12 / pace.rate)
            busy = self._busy + np.cumsum((gaps + 0.5).astype(np.int64))
            self._busy = int(busy[-1])
        else:
            busy = paced(self._made, n, pace.rate)
        self._made += n
        times = pace.real(busy)
        if pace.stop_ns is not None:
            times = times[: int(times.searchsorted(pace.stop_ns))]
        self._times = times
        self._next = 0
        self._paint(n)

    def _paint(self, n: int) -> None:
        words = self._words.words(n)
        rows = self._chunk[:n]
        rows["src"] = self.sources.pick(words >> np.uint64(32))
        low = words & np.uint64(0xFFFF_FFFF)
        low *= np.uint64(0x10000 - _LOW_PORT)
        low >>= np.uint64(32)
        low += np.uint64(_LOW_PORT)
        rows["sport"] = low
        mixed = words * np.uint64(0x9E37_79B9_7F4A_7C15)
        rows["seq"] = mixed >> np.uint64(32)
        if self._is_ack:
            rows["ack"] = (mixed * np.uint64(0xD134_2543_DE82_EF95)) >> np.uint64(32)


def paced(first: int, n: int, rate: int) -> Times:
    """Times of the segments first .. first + n - 1 at `rate` per 1000 s: index * 10**12 // rate, exactly.

    n is a chunk's: the products stay far below 2**63.
    """
    whole, rest = divmod(first * 10**12, rate)
    step, more = divmod(10**12, rate)
    index = np.arange(n, dtype=np.int64)
    times = index * step
    times += whole
    if rest or more:
        times += (index * more + rest) // rate
    return times
