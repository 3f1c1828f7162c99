"""What a host's kernel would use for the connections of a run, by its own file or by a table per profile.

The server's own sizes (`server.bytes`: /proc/slabinfo, `vmstat -z`) win over the table, which was measured on
Linux 6.18 (`python -m benchmarks.kernel_memory`; docs/host-files.md has it object by object). No figure is
known for FreeBSD or for a profile of one's own: that is said and no other system's is used. Buffers with
data, page tables, TLS and the application are not in it. The simulator's own memory is another matter and
stands under `wall`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from loadgen.host.caches import Cost
from loadgen.report import names, observed
from loadgen.scenario.hosts import kernel_bytes
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
KINDS: Final = ("half_open", "established", "time_wait", "orphan")
#: Kind -> what a series or a peak of it is called.
_SEEN: Final[Mapping[str, str]] = {"orphan": "orphans"}


@dataclass(frozen=True)
class Table:
    """Kind -> bytes of an entry, smallest and largest known, and where they are from."""

    origin: str
    entries: Mapping[str, Cost]




#: profile -> bytes each. A profile that is not here has no figure. Largest: connected, with the file that an
#: application has open; TIME_WAIT, with its part of the records of its port; an orphan, with the FIN
#: it resends. Smallest of an orphan: one in FIN_WAIT_2, of which Linux keeps what it keeps of TIME_WAIT.
FIGURES: Final[Mapping[str, Mapping[str, Cost]]] = {
    "linux": {
        "half_open": Cost(341, 341, "request_sock_TCP"),
        "established": Cost(2520, 3820, "TCP + sock_inode_cache + filp + dentry"),
        "time_wait": Cost(256, 427, "tw_sock_TCP, and a part of the records of its port"),
        "orphan": Cost(256, 3618, "tw_sock_TCP, or TCP + skbuff_fclone_cache + skbuff_small_head"),
    },
}
#: profile -> on what its figures were measured.
MEASURED: Final = {"linux": "measured on Linux 6.18"}
_ADVICE: Final = "give that host's own (`vmstat -z` on FreeBSD, /proc/slabinfo on Linux)"


def kernel(scenario: Scenario, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Per side its profile, whether that is known, and of each kind the peak, bytes each and bytes."""
    profiles = {"client": scenario.client.profile, "server": scenario.server.profile}
    tables = {side: Table(MEASURED[profile], FIGURES[profile]) if profile in FIGURES else None
              for side, profile in profiles.items()}  # fmt: skip
    own = kernel_bytes(scenario)
    if own is not None:
        tables["server"] = Table(str(scenario.server.bytes), own)
    return {side: _side(profiles[side], tables[side], side, outcomes) for side in names.SIDES}


def figures(document: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """`memory.kernel.SIDE.KIND` -> bytes, low and high, of what is known."""
    return {
        f"memory.kernel.{side}.{kind}": (entry["low"], entry["high"])
        for side, found in document.items()
        for kind, entry in found.items()
        if isinstance(entry, Mapping) and entry["low"] is not None
    }


def _side(profile: str, known: Table | None, side: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    table = None if known is None else known.entries
    document: dict[str, Any] = {"profile": profile, "known": known is not None, "excludes": EXCLUDES}
    document["origin"] = "" if known is None else known.origin
    if table is None:
        document["note"] = f"no figure known for {profile}: {_ADVICE}"
    counts = [_counts(outcome, side) for outcome in outcomes]
    for kind in KINDS:
        seen = [_most(one[kind]) for one in counts if one[kind] is not None]
        peaks = [_peak(outcome, side, kind) for outcome in outcomes]
        most = max(seen + [peak for peak in peaks if peak is not None], default=None)
        each = table.get(kind) if table else None
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
    orphans = observed.series(outcome, side, "orphans")
    connected = sum(known[1:], start=known[0]) if known else None
    if connected is not None and orphans is not None and len(orphans) == len(connected):
        connected = np.maximum(connected - orphans, 0)
    found: dict[str, observed.Numbers | None] = {
        "half_open": observed.series(outcome, side, "half_open"),
        "established": connected,
        "time_wait": observed.series(outcome, side, "TIME_WAIT"),
        "orphan": orphans,
    }
    for kind in KINDS:
        values, peak = found[kind], _peak(outcome, side, kind)
        if (values is None or not len(values)) and peak is not None:
            found[kind] = np.array([peak], dtype=np.int64)
    return found


def _peak(outcome: Outcome, side: str, kind: str) -> int | None:
    if kind == "half_open":
        return observed.peak(outcome, kind) if side == "server" else 0
    return observed.peak(outcome, f"{_SEEN.get(kind, kind)}.{side}")


def _most(values: Any) -> int:
    return int(values.max()) if len(values) else 0


def _total(counts: Mapping[str, Any], table: Mapping[str, Cost]) -> tuple[int, int] | None:
    """Bytes at the point where all kinds together take most; of the peaks where there is no series."""
    there = {kind: values for kind, values in counts.items() if values is not None and len(values)}
    known = {kind: values for kind, values in there.items() if kind in table}
    if not known:
        return None
    points = {len(values) for values in known.values()}
    if len(points - {1}) > 1:
        known = {kind: np.array([values.max()]) for kind, values in known.items()}
    low = sum(values * table[kind].low for kind, values in known.items())
    high = sum(values * table[kind].high for kind, values in known.items())
    return int(np.max(low)), int(np.max(high))
