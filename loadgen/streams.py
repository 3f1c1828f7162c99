"""Random streams: raw bits of a counter-based generator and our own transforms.

A stream is named by (seed, replicate, purpose, direction) and by nothing else, so two settings meet
the same arrivals and a numpy upgrade changes no result. Every draw takes exactly one 64-bit word per
item: cutting a batch in two does not move the stream.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]

_HALF = 2.0**63


class Purpose(IntEnum):
    """What a stream is for. The numbers are part of the results: never renumber."""

    ARRIVALS = 1
    LOSS = 2
    JITTER = 3
    DUPLICATES = 4
    REORDER = 5
    LAST_ACK = 6
    HALF_CLOSE = 7
    ENGINES = 8


class Stream:
    """One endless sequence of 64-bit words."""

    def __init__(self, seed: int, replicate: int, purpose: Purpose, direction: int = 0) -> None:
        key = np.array([seed, replicate << 16 | purpose << 1 | direction], dtype=np.uint64)
        self._bits = np.random.Philox(key=key)

    def words(self, n: int) -> Words:
        """The next n words."""
        return self._bits.random_raw(n)

    def hits(self, n: int, share: float | npt.NDArray[np.float64]) -> Mask:
        """True with probability `share` (scalar or per item); exactly never at 0, exactly always at 1."""
        threshold = (np.asarray(share) * _HALF).astype(np.uint64)
        return np.asarray(self.words(n) >> np.uint64(1) < threshold)

    def uniform(self, n: int, below: int) -> Times:
        """Whole numbers 0 .. below - 1 (below at most 2**53)."""
        fraction = (self.words(n) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return (fraction * below).astype(np.int64)
