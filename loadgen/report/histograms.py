"""Distributions of times: merged over replicates, percentiles, and as JSON.

A percentile is by nearest rank: the largest time of the bucket in which that rank lies, never below the
smallest or above the largest time that occurred, both of which are exact. Nothing is said of so few samples
that fewer than ten are expected beyond p99.9: there it is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Final

import numpy as np

from loadgen.report import hdr
from loadgen.sim.outcome import Histogram

PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p99.9")
#: Figures of a distribution, in the order in which they are told.
FIGURES: Final = ("count", "min", *PERCENTILES, "max", "mean")
_SUB_BITS: Final = 7  # of each doubling: 128 buckets (loadgen/sim/histogram.pxd)
FEWEST: Final[Mapping[str, int]] = {"p99.9": 10_000}  # samples below which it is not told


def empty() -> Histogram:
    """No samples."""
    nothing = np.zeros(0, dtype=np.int64)
    return Histogram(nothing, nothing, nothing)


def count(histogram: Histogram) -> int:
    """How many samples."""
    return int(histogram.counts.sum())


def merge(parts: Iterable[Histogram]) -> Histogram:
    """All samples of `parts` in one. Buckets that are the same become one."""
    some = [part for part in parts if count(part)]
    if not some:
        return empty()
    ranges = np.concatenate([np.stack([part.lowest, part.highest], axis=1) for part in some])
    counts = np.concatenate([part.counts for part in some])
    unique, which = np.unique(ranges, axis=0, return_inverse=True)
    summed = np.zeros(len(unique), dtype=np.int64)
    np.add.at(summed, which.reshape(-1), counts)
    return Histogram(
        lowest=unique[:, 0].astype(np.int64),
        highest=unique[:, 1].astype(np.int64),
        counts=summed,
        min=min(_least(part) for part in some),
        max=max(_most(part) for part in some),
        sum=math.fsum(part.sum for part in some),
    )


def percentile(histogram: Histogram, percent: str) -> int | None:
    """The time in ns that `percent` ("50", "99.9") of the samples do not exceed; None without samples."""
    n = count(histogram)
    if not n:
        return None
    rank = max(math.ceil(Fraction(percent) * n / 100), 1)
    low, high = _least(histogram), _most(histogram)
    if rank >= n:
        return high
    if rank == 1:
        return low
    order = np.argsort(histogram.highest, kind="stable")
    bucket = int(np.searchsorted(np.cumsum(histogram.counts[order]), rank))
    return min(max(int(histogram.highest[order][bucket]), low), high)


def figure(histogram: Histogram, name: str) -> int | None:
    """One of FIGURES in whole ns; None without samples, or with too few for that percentile."""
    n = count(histogram)
    if name == "count":
        return n
    if not n or n < FEWEST.get(name, 0):
        return None
    if name == "min":
        return _least(histogram)
    if name == "max":
        return _most(histogram)
    if name == "mean":
        return min(max(round(histogram.sum / n), _least(histogram)), _most(histogram))
    return percentile(histogram, name.removeprefix("p"))


def bucket_width(value: float) -> int:
    """How far apart two percentiles near this value, in ns, are told at least; 0 where each is exact."""
    doubling = int(value).bit_length() - 1
    return 1 << (doubling - _SUB_BITS) if doubling > _SUB_BITS else 0


def to_json(histogram: Histogram) -> dict[str, Any]:
    """HDR V2 text with what is exact beside it, all in ns."""
    return {
        "unit": "ns",
        "count": count(histogram),
        "min": histogram.min,
        "max": histogram.max,
        "sum": float(histogram.sum),
        "hdr": hdr.encode(histogram),
    }


def from_json(document: Mapping[str, Any]) -> Histogram:
    """What `to_json` wrote, in the buckets of HDR. Raises ValueError where the counts disagree."""
    histogram = hdr.decode(document["hdr"])
    if count(histogram) != document["count"]:
        raise ValueError(f"histogram: {count(histogram)} samples in hdr, {document['count']} in count")
    histogram.min, histogram.max = document["min"], document["max"]
    histogram.sum = float(document["sum"])
    return histogram


def _least(histogram: Histogram) -> int:
    if histogram.min is not None:
        return int(histogram.min)
    return int(histogram.lowest[histogram.counts > 0].min())


def _most(histogram: Histogram) -> int:
    if histogram.max is not None:
        return int(histogram.max)
    return int(histogram.highest[histogram.counts > 0].max())
