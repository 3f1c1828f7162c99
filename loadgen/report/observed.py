"""What was seen of an outcome's populations and link: peaks, means and series, under one name each.

The names are those of the metrics: `half_open`, `accept_queue` (of the server), `time_wait.client`,
`established.server`, `ports_in_use`. The peak is what the loop kept, which is exact for EXACT, else the
largest of the series.
Everything that depends on how the loop calls its series, peaks and link counters is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from loadgen.scenario.model import KINDS
from loadgen.sim.outcome import Outcome

Keys = Mapping[str, str]
Numbers = npt.NDArray[Any]

#: Which side's series has it, where the name does not say.
HOME: Final[Mapping[str, str]] = {"half_open": "server", "accept_queue": "server", "ports_in_use": "client"}
#: What the engine's gauges call it. On a client every block has a port: with TIME_WAIT, too.
_GAUGES: Final[Mapping[str, str]] = {"blocks": "blocks_used", "ports_in_use": "blocks_used"}
#: Of which the loop knows the most there was, not only that of the series.
EXACT: Final = ("half_open", "accept_queue", "ports_in_use")
#: Gauges that repeat a state's series.
_REPEATED: Final[Mapping[str, str]] = {"time_wait": "TIME_WAIT"}


def groups(outcome: Outcome) -> dict[str, dict[str, npt.NDArray[Any]]]:
    """The series as a result has them: `time_ms`, and by name those of `client`, `server` and `load`."""
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for group, inner in outcome.series.items():
        if group == "time":
            found["time_ms"] = {"": _milliseconds(np.asarray(inner["time_ns"]))}
        else:
            found[group] = {
                name: np.asarray(values) for name, values in inner.items() if _REPEATED.get(name) not in inner
            }
    return found


def _milliseconds(times_ns: Numbers) -> npt.NDArray[Any]:
    """Whole numbers where they are."""
    return times_ns / 1e6 if (times_ns % 10**6).any() else times_ns // 10**6


def series(outcome: Outcome, side: str, name: str) -> Numbers | None:
    """A series of one side; case does not matter."""
    inner = outcome.series.get(side, {})
    for key in (name, _GAUGES.get(name, name)):
        for known, values in inner.items():
            if known.lower() == key.lower():
                return np.asarray(values)
    return None


def population(outcome: Outcome, name: str) -> Numbers | None:
    """The series behind a name such as `half_open` or `time_wait.client`."""
    what, _, side = name.partition(".")
    return series(outcome, side or HOME.get(what, "server"), what)


def measured(outcome: Outcome, values: Numbers) -> Numbers:
    """The points of a series that are not in the warm-up."""
    if not outcome.warmup_ns:
        return values
    return values[np.asarray(outcome.series["time"]["time_ns"]) >= outcome.warmup_ns]


def peak(outcome: Outcome, name: str) -> int | None:
    """The most there was at once; None where nobody looked."""
    what, _, side = name.partition(".")
    end = side or HOME.get(what, "server")
    known = [outcome.peaks[key] for key in (name, f"{end}.{what}") if key in outcome.peaks]
    if known and name in EXACT:
        return int(max(known))
    values = population(outcome, name)
    if values is not None and len(values := measured(outcome, values)):
        known.append(int(values.max()))
    gauge = f"{end}.{_GAUGES.get(what)}"
    if not known and gauge in outcome.peaks:
        known.append(outcome.peaks[gauge])
    return int(max(known)) if known else None


def full_of(queue: str, what: str) -> Callable[[Outcome, Keys], int | None]:
    """Of a queue's time at its limit: `first_ns`, None where it never was there, or `ns` in all."""

    def full(outcome: Outcome, keys: Keys) -> int | None:
        found = outcome.full.get(queue)
        return None if found is None else getattr(found, what)

    return full


def peak_of(name: str) -> Callable[[Outcome, Keys], int | None]:
    """`peak` for a name with SIDE in it."""
    return lambda outcome, keys: peak(outcome, name.replace("SIDE", keys.get("SIDE", "")))


def integral(outcome: Outcome, name: str) -> tuple[npt.NDArray[Any], Numbers] | None:
    """A population's integral over time, modulo 2^64, and the times, at the points after the warm-up.

    None where the loop keeps none (only that of EXACT is), or where there is no step between two points.
    """
    what, _, side = name.partition(".")
    area = outcome.areas.get(f"{side or HOME.get(what, 'server')}.{what}")
    times = np.asarray(outcome.series.get("time", {}).get("time_ns", ()))
    if area is None or len(area) != len(times):
        return None
    area, times = measured(outcome, area), measured(outcome, times)
    return (area, times) if len(times) > 1 and times[0] < times[-1] else None


def points_of(name: str) -> Callable[[Outcome, Keys], Numbers]:
    """What the mean of a name with SIDE in it is of, after the warm-up; empty without a series.

    Time averages from point to point where the loop keeps the integral, else what there was at the points.
    """

    def points(outcome: Outcome, keys: Keys) -> Numbers:
        full = name.replace("SIDE", keys.get("SIDE", ""))
        if (exact := integral(outcome, full)) is not None:
            area, times = exact
            return before_the_end(outcome, np.diff(area).astype(np.float64) / np.diff(times))
        values = population(outcome, full)
        return np.zeros(0, np.int64) if values is None else before_the_end(outcome, measured(outcome, values))

    return points


def before_the_end(outcome: Outcome, values: Numbers) -> Numbers:
    """Without the last point, which need not be one step after the one before it."""
    return values[:-1]


def of_loads(outcome: Outcome, loads: list[str], what: str) -> Numbers:
    """Attempted, connected or served of these loads up to each point after the warm-up; empty without."""
    inner = outcome.series.get("load", {})
    if not loads or any(f"{name}.{what}" not in inner for name in loads):
        return np.zeros(0, np.int64)
    total: Numbers = np.sum([inner[f"{name}.{what}"] for name in loads], axis=0)
    return before_the_end(outcome, measured(outcome, total))


def rates(outcome: Outcome, loads: list[str], what: str) -> npt.NDArray[np.float64]:
    """Per second between the points; empty without a series of equal steps."""
    so_far = of_loads(outcome, loads, what)
    if len(so_far) < 2:
        return np.zeros(0)
    times = before_the_end(outcome, measured(outcome, np.asarray(outcome.series["time"]["time_ns"])))
    return np.diff(so_far) / (np.diff(times) / 1e9)


def mean_of(name: str) -> Callable[[Outcome, Keys], float | None]:
    """The mean over time after the warm-up; None without a series.

    Exact where the loop keeps the integral: what comes and goes between two points, in step with them or not,
    is in it. Else the mean over the points of the series.
    """

    def mean(outcome: Outcome, keys: Keys) -> float | None:
        full = name.replace("SIDE", keys.get("SIDE", ""))
        if (exact := integral(outcome, full)) is not None:
            area, times = exact
            return float(area[-1] - area[0]) / float(times[-1] - times[0])
        values = population(outcome, full)
        if values is None or not len(values := measured(outcome, values)):
            return None
        return float(values.mean())

    return mean


def link(outcome: Outcome) -> dict[str, int]:
    """The link's counters: what both directions lost together besides what the loop counted by direction."""
    given = {name: int(n) for name, n in outcome.counters.get("link", {}).items()}
    found = {
        "from_client": given.pop("sent_by_client", 0),
        "from_server": given.pop("sent_by_server", 0),
        "lost": given.pop("lost_of_client", 0) + given.pop("lost_of_server", 0),
    }
    for kind in KINDS:
        label = kind.replace("-", "_")
        lost = sum(given.get(f"{side}.{label}.lost", 0) for side in ("client", "server"))
        found |= {f"lost.{kind}": lost} if lost else {}
    return {**dict.fromkeys(("duplicated", "reordered"), 0), **found, **given}
