"""Wall time of two results: shown always, judged only where it can be.

Judged are medians of five runs or more a side, of one machine: another processor, another number of them or
another Python is another measurement. Of a study a run is a replicate of all points together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadgen.comparing import judging
from loadgen.report.result import Result

FEWEST_RUNS: Final = 5


@dataclass(frozen=True)
class Wall:
    """Median seconds of a run on either side; `why` it is not judged where it is not."""

    old: float | None
    new: float | None
    verdict: str
    why: str = ""


def compare_wall(pairs: Sequence[tuple[Result, Result]], allowed: float) -> Wall:
    """`allowed`: the share by which the new median may be above the old one."""
    old, new = (_runs([pair[side] for pair in pairs]) for side in (0, 1))
    medians = median(old) if old else None, median(new) if new else None
    hosts = {str(result.wall.get("host", "")) for pair in pairs for result in pair}
    if min(len(old), len(new)) < FEWEST_RUNS:
        return Wall(*medians, judging.UNDECIDED, f"{len(old)} and {len(new)} runs, {FEWEST_RUNS} are needed")
    if len(hosts) > 1 or "" in hosts:
        return Wall(*medians, judging.UNDECIDED, "not of one machine")
    assert medians[0] is not None and medians[1] is not None
    if medians[1] > medians[0] * (1 + allowed):
        return Wall(*medians, judging.WORSE)
    return Wall(*medians, judging.BETTER if medians[1] < medians[0] * (1 - allowed) else judging.SAME)


def _runs(results: Sequence[Result]) -> list[float]:
    """Seconds of each replicate, summed over the points."""
    each = [result.wall.get("seconds_by_replicate") or [] for result in results]
    fewest = min(map(len, each), default=0)
    return [float(sum(seconds[run] for seconds in each)) for run in range(fewest)]
