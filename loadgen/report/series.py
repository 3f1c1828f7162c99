"""The series of a result: populations and counts over virtual time, as numpy arrays by name.

`time_ms` is when the points were taken. `client.TIME_WAIT` is a series of one end, `load.web.served` one of a
load; case does not matter. A name without an end is that of the only end that has it, or the sum of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]  # int64; `time_ms` is float64 where the points are between milliseconds
TIME = "time_ms"
_SHOWN = 1.05  # a peak above so much of the largest point is shown by none


class Series(Mapping[str, Numbers]):
    """Arrays by dotted name; those of one replicate."""

    def __init__(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        self._arrays: dict[str, Numbers] = {}
        for group, inner in groups.items():
            for name, values in inner.items():
                array = np.asarray(values)
                kind = np.float64 if array.dtype.kind == "f" else np.int64
                self._arrays[f"{group}.{name}" if name else group] = array.astype(kind)

    def __getitem__(self, name: str) -> Numbers:
        exact = self._named(name)
        if exact is not None:
            return exact
        ends = [self._named(f"{side}.{name}") for side in ("client", "server")]
        both = [array for array in ends if array is not None]
        if not both:
            raise KeyError(f"no series is called {name!r}; there are {', '.join(self._arrays) or 'none'}")
        return both[0] if len(both) == 1 else both[0] + both[1]

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and len(self[name]) >= 0
        except KeyError:
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return f"Series({len(self._arrays)} of {len(self.times_ms)} points)"

    def hides(self, name: str, peak: float) -> bool:
        """Whether a peak that is known otherwise fell between two points of a series."""
        return peak > _SHOWN * int(self[name].max())

    @property
    def times_ms(self) -> Numbers:
        """When the points were taken; empty without a series."""
        return self._arrays.get(TIME, np.zeros(0, dtype=np.int64))

    def to_json(self) -> dict[str, Any]:
        """`time_ms` and an object per group."""
        document: dict[str, Any] = {}
        for name, array in self._arrays.items():
            group, _, inner = name.partition(".")
            if inner:
                document.setdefault(group, {})[inner] = array.tolist()
            else:
                document[group] = array.tolist()
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Series:
        """What `to_json` wrote. Raises ValueError for series of different lengths."""
        series = cls(
            {name: inner if isinstance(inner, Mapping) else {"": inner} for name, inner in document.items()}
        )
        lengths = {len(array) for array in series.values()}
        if len(lengths) > 1:
            raise ValueError(f"series: expected one length, got {sorted(lengths)}")
        return series

    def _named(self, name: str) -> Numbers | None:
        if name in self._arrays:
            return self._arrays[name]
        wanted = name.lower()
        return next((array for key, array in self._arrays.items() if key.lower() == wanted), None)
