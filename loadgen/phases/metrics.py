"""What a run measured: exact percentiles, the result record, thresholds on it.

Every figure has one place in the record and one dotted name (`handshake_ms.p99`, `counters.server.OutRsts`,
`wall.segments_per_s`). A figure without samples is None, never 0; a threshold on it is missed.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.units import UnitError, parse_quantity

SCHEMA: Final = 1
PERCENTILES: Final = (50.0, 90.0, 95.0, 99.0, 99.9)


def spread_ms(
    samples_ns: npt.NDArray[np.int64], times: npt.NDArray[np.int64] | None = None
) -> dict[str, float | int | None]:
    """Count, exact min and max, mean and percentiles in ms (nearest rank: a value that occurred).

    With `times`, `samples_ns` rises and each value occurred so many times.
    """
    n = len(samples_ns) if times is None else int(times.sum())
    names = ["min", *(f"p{p:g}" for p in PERCENTILES), "max", "mean"]
    if n == 0:
        return {"count": 0, **dict.fromkeys(names)}
    ranks = [0, *(max(math.ceil(p * n / 100) - 1, 0) for p in PERCENTILES), n - 1]
    if times is None:
        ordered = np.partition(samples_ns, sorted(set(ranks)))
        values: list[float] = [int(ordered[rank]) / 1e6 for rank in ranks]
        total = int(samples_ns.sum())
    else:
        upto = np.cumsum(times)
        values = [int(samples_ns[np.searchsorted(upto, rank, side="right")]) / 1e6 for rank in ranks]
        total = int((samples_ns * times).sum())
    values.append(total / n / 1e6)
    return {"count": n, **dict(zip(names, values, strict=True))}


class Tally:
    """Samples by value: on a grid of virtual time there are few values, however many samples."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def add(self, samples: npt.NDArray[np.int64]) -> None:
        """Count them."""
        if not len(samples):
            return
        low = int(samples.min())
        if low == samples.max():
            self._times[low] = self._times.get(low, 0) + len(samples)
            return
        values, times = np.unique(samples, return_counts=True)
        for value, count in zip(values.tolist(), times.tolist(), strict=True):
            self._times[value] = self._times.get(value, 0) + count

    def counted(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The values, rising, and how often each came."""
        values = sorted(self._times)
        times = [self._times[value] for value in values]
        return np.array(values, dtype=np.int64), np.array(times, dtype=np.int64)


def share(part: int, whole: int) -> float | None:
    """part / whole; None of nothing."""
    return part / whole if whole else None


@dataclass
class Result:
    """The record of one run; `as_dict()` is the JSON document."""

    command: str
    config: dict[str, Any]
    seed: int
    results: dict[str, Any] = field(default_factory=dict)
    counters: dict[str, dict[str, int]] = field(default_factory=dict)
    causes: dict[str, dict[str, int]] = field(default_factory=dict)
    series: dict[str, Any] = field(default_factory=dict)
    wall: dict[str, Any] = field(default_factory=dict)
    partial: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Keys in the order in which a reader wants them."""
        return {
            "schema": SCHEMA,
            "command": self.command,
            "config": self.config,
            "seed": self.seed,
            "results": self.results,
            "counters": self.counters,
            "causes": self.causes,
            "series": self.series,
            "wall": self.wall,
            "partial": self.partial,
        }

    def figures(self) -> dict[str, float | int | None]:
        """Every single figure under its dotted name."""
        roots = {"": self.results, "counters.": self.counters, "causes.": self.causes, "wall.": self.wall}
        return {prefix + name: value for prefix, root in roots.items() for name, value in _flat(root)}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float | int | None]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is None or isinstance(value, (int, float)):
            yield prefix + key, value


_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_THRESHOLD: Final = re.compile(r"\s*([A-Za-z][\w.]*?)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


class ThresholdError(ValueError):
    """Text that is no threshold, or a figure the command does not have."""


@dataclass(frozen=True)
class Threshold:
    """`success_ratio>=0.999`, `handshake_ms.p99<50ms`: a time is compared in ms."""

    text: str
    figure: str
    comparison: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Threshold:
        found = _THRESHOLD.fullmatch(text)
        if found is None:
            raise ThresholdError(f"expected FIGURE, one of >= <= == != > <, NUMBER; got {text!r}")
        figure, comparison, number = found.groups()
        try:
            limit, is_time = parse_quantity(number)
        except UnitError as error:
            raise ThresholdError(f"{text!r}: {error}") from None
        if is_time and "_ms" not in figure:
            raise ThresholdError(f"{text!r}: {figure} is not a time")
        return cls(text, figure, comparison, limit)

    def check_name(self, known: Mapping[str, object] | set[str]) -> None:
        """Raise ThresholdError with the nearest name when there is no such figure."""
        if self.figure in known:
            return
        near = get_close_matches(self.figure, list(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ThresholdError(f"{self.text!r}: no figure is called {self.figure}{hint}")

    def met(self, figures: Mapping[str, float | int | None]) -> bool:
        """Whether it holds. A figure without samples misses every threshold."""
        value = figures.get(self.figure)
        return value is not None and _OPERATORS[self.comparison](value, self.limit)
