"""What was seen of an outcome's populations: peaks, means and series, under one name each.

The names are those of the metrics: `half_open`, `accept_queue` (of the server), `time_wait.client`,
`established.server`, `ports_in_use`. The peak is what the loop kept, else the largest of the series.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from loadgen.sim.outcome import Outcome

Keys = Mapping[str, str]
Numbers = npt.NDArray[np.int64]

#: Which side's series has it, where the name does not say.
HOME: Final[Mapping[str, str]] = {"half_open": "server", "accept_queue": "server", "ports_in_use": "client"}


def times_ms(outcome: Outcome) -> Numbers:
    """When the points of the series were taken."""
    return np.asarray(outcome.series.get("time_ms", {}).get("", np.zeros(0, np.int64)))


def series(outcome: Outcome, side: str, name: str) -> Numbers | None:
    """A series of one side; case does not matter."""
    for key, values in outcome.series.get(side, {}).items():
        if key.lower() == name.lower():
            return np.asarray(values)
    return None


def population(outcome: Outcome, name: str) -> Numbers | None:
    """The series behind a name such as `half_open` or `time_wait.client`."""
    what, _, side = name.partition(".")
    return series(outcome, side or HOME.get(what, "server"), what)


def peak(outcome: Outcome, name: str) -> int | None:
    """The most there was at once; None where nobody looked."""
    if name in outcome.peaks:
        return int(outcome.peaks[name])
    values = population(outcome, name)
    return int(values.max()) if values is not None and len(values) else None


def peak_of(name: str) -> Callable[[Outcome, Keys], int | None]:
    """`peak` for a name with SIDE in it."""
    return lambda outcome, keys: peak(outcome, name.replace("SIDE", keys.get("SIDE", "")))


def mean_of(name: str) -> Callable[[Outcome, Keys], float | None]:
    """The mean over the points of the series; None without a series."""

    def mean(outcome: Outcome, keys: Keys) -> float | None:
        values = population(outcome, name.replace("SIDE", keys.get("SIDE", "")))
        return float(values.mean()) if values is not None and len(values) else None

    return mean
