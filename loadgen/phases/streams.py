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
_ROOT = 0.7071067811865476  # the middle of a mantissa's range
_LN2 = 0.6931471805599453


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
    SPOOFED = 9  # who sends a flood's segments
    FLOOD = 10  # and when
    PHASE = 11  # when `--check` begins to look


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

    def exponential(self, n: int, mean: float) -> npt.NDArray[np.float64]:
        """Exponentially distributed with this mean."""
        fraction = ((self.words(n) >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53
        return log(fraction) * -mean


def log(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Natural logarithm, wrong by less than 1e-14, from +, *, / alone: the same bits on every machine, which
    a library's is not."""
    mantissa, exponent = np.frexp(x)  # mantissa in 1/2 .. 1
    s = (mantissa - _ROOT) / (mantissa + _ROOT)
    square = s * s
    series = np.full(len(x), 2.0 / 17)
    for odd in (15, 13, 11, 9, 7, 5, 3, 1):
        series *= square
        series += 2.0 / odd
    series *= s
    series += (exponent - 0.5) * _LN2
    return series
