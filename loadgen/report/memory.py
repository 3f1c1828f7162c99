"""What a host's kernel would use for the connections of a run, by a table per profile.

The figures were measured on Linux 6.18 (slab objects, per entry): 341 bytes half-open; 2,520 connected,
3,820 with the file an application has open; 256 to 427 in TIME_WAIT. No figure is known for FreeBSD or for
a profile of one's own: that is said and no other system's is used. Buffers with data, page tables, TLS and
the application are not in it. The simulator's own memory is another matter and stands under `wall`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from loadgen.report import names, observed
from loadgen.scenario.model import Scenario
from loadgen.sim.outcome import Outcome

EXCLUDES: Final = "socket buffers with data, page tables, TLS, the application"
#: States in which a connection is a full socket.
_SOCKETS: Final = (
    "SYN_SENT",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
)
KINDS: Final = ("half_open", "established", "time_wait")


@dataclass(frozen=True)
class Entry:
    """Bytes of one entry, smallest and largest known."""

    low: int
    high: int


#: profile -> bytes each. A profile that is not here has no figure.
FIGURES: Final[Mapping[str, Mapping[str, Entry]]] = {
    "linux": {"half_open": Entry(341, 341), "established": Entry(2520, 3820), "time_wait": Entry(256, 427)},
}
_ADVICE: Final = "give that host's own (`vmstat -z` on FreeBSD, /proc/slabinfo on Linux)"


def kernel(scenario: Scenario, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Per side its profile, whether that is known, and of each kind the peak, bytes each and bytes."""
    profiles = {"client": scenario.client.profile, "server": scenario.server.profile}
    return {side: _side(profiles[side], side, outcomes) for side in names.SIDES}


def figures(document: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """`memory.kernel.SIDE.KIND` -> bytes, low and high, of what is known."""
    return {
        f"memory.kernel.{side}.{kind}": (entry["low"], entry["high"])
        for side, found in document.items()
        for kind, entry in found.items()
        if isinstance(entry, Mapping) and entry["low"] is not None
    }


def _side(profile: str, side: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    table = FIGURES.get(profile)
    document: dict[str, Any] = {"profile": profile, "known": table is not None, "excludes": EXCLUDES}
    if table is None:
        document["note"] = f"no figure known for {profile}: {_ADVICE}"
    counts = [_counts(outcome, side) for outcome in outcomes]
    for kind in KINDS:
        seen = [_most(one[kind]) for one in counts if one[kind] is not None]
        peaks = [_peak(outcome, side, kind) for outcome in outcomes]
        most = max(seen + [peak for peak in peaks if peak is not None], default=None)
        each = table[kind] if table else None
        document[kind] = {
            "count": most,
            "bytes_each": [each.low, each.high] if each else None,
            "low": None if each is None or most is None else most * each.low,
            "high": None if each is None or most is None else most * each.high,
        }
    ends = [_total(one, table) for one in counts] if table else []
    alone = [document[kind] for kind in KINDS]  # a peak between two points of the series counts, too
    document["total"] = {
        end: max(
            [total[place] for total in ends if total] + [one[end] for one in alone if one[end] is not None],
            default=None,
        )
        for place, end in enumerate(("low", "high"))
    }
    return document


def _counts(outcome: Outcome, side: str) -> dict[str, observed.Numbers | None]:
    """Entries of each kind: one number a point of the series, or the peak alone where there is no series."""
    sockets = [observed.series(outcome, side, state) for state in _SOCKETS]
    known = [values for values in sockets if values is not None]
    found: dict[str, observed.Numbers | None] = {
        "half_open": observed.series(outcome, side, "half_open"),
        "established": sum(known[1:], start=known[0]) if known else None,
        "time_wait": observed.series(outcome, side, "TIME_WAIT"),
    }
    for kind in KINDS:
        values, peak = found[kind], _peak(outcome, side, kind)
        if (values is None or not len(values)) and peak is not None:
            found[kind] = np.array([peak], dtype=np.int64)
    return found


def _peak(outcome: Outcome, side: str, kind: str) -> int | None:
    if kind == "half_open":
        return observed.peak(outcome, kind) if side == "server" else 0
    return observed.peak(outcome, f"{kind}.{side}")


def _most(values: Any) -> int:
    return int(values.max()) if len(values) else 0


def _total(counts: Mapping[str, Any], table: Mapping[str, Entry]) -> tuple[int, int] | None:
    """Bytes at the point where all kinds together take most; of the peaks where there is no series."""
    known = {kind: values for kind, values in counts.items() if values is not None and len(values)}
    if not known:
        return None
    points = {len(values) for values in known.values()}
    if len(points - {1}) > 1:
        known = {kind: np.array([values.max()]) for kind, values in known.items()}
    low = sum(values * table[kind].low for kind, values in known.items())
    high = sum(values * table[kind].high for kind, values in known.items())
    return int(np.max(low)), int(np.max(high))
