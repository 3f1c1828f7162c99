"""What a study takes, as `loadgen sweep` says it before it plays: runs, wall time, memory.

Rough: from `loadgen.study.costs`, for a search by how often it will cut. No result depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import click

from loadgen.cli.options import ConfigError
from loadgen.report.words import plural
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.numbers import write_time
from loadgen.study.search import effort_of
from loadgen.study.space import label
from loadgen.study.spec import Point, Spec
from loadgen.units import format_bytes, format_duration

MANY: Final = 10_000  # points that are played without being asked
_SOME: Final = 30  # of these the time of all is told before a study begins ...
_LONG_S: Final = 60  # ... if it is longer than this


@dataclass(frozen=True)
class _Work:
    """What a study takes, about."""

    points: list[Point]  # of the grid or of the searches; some, where there are very many
    runs: int
    seconds: float  # of one processor
    more_s: float = 0.0  # of a search: for each value that needs the most seeds


def _work(spec: Spec, most: int = MANY) -> _Work:
    """Estimated from at most about so many points, or searches."""
    values = list(spec.space.points())
    picked = values if len(values) <= most else values[:: len(values) // most]
    share = len(values) / len(picked)
    try:
        if spec.search is None:
            points = [spec.point(one) for one in picked]
            seconds = sum(point.seconds for point in points) * spec.seeds * share
            return _Work(points, len(values) * spec.seeds, seconds)
        efforts = [effort_of(spec, one) for one in picked]
    except ScenarioError as error:
        raise ConfigError(str(error)) from None
    return _Work(
        [point for effort in efforts for point in effort.points],
        round(sum(effort.values for effort in efforts) * spec.seeds * share),
        sum(effort.seconds for effort in efforts) * share,
        max(effort.more_s for effort in efforts),
    )


def estimate(spec: Spec, number: int, jobs: int) -> str:
    """What --dry-run prints."""
    work = _work(spec)
    biggest = max(work.points, key=lambda point: point.nbytes)
    at_once = min(jobs, number * spec.seeds) * biggest.nbytes
    what = plural(number, "point")
    if spec.search is not None:
        what = f"{plural(number, 'search', 'searches')}, both ends of each ({_lasts(work.points, spec)})"
        if inner := work.runs // (number * spec.seeds) - 2:
            what += f" and about {plural(inner, 'value')} between them"
    lines = [
        f"{what}, {spec.seeds} seeds: {work.runs:,} runs",
        f"wall time about {_takes(spec, work, jobs)} (a rough estimate)",
        f"memory about {format_bytes(at_once)} at most; the largest point takes "
        f"{format_bytes(biggest.nbytes)}: {label(biggest.values)}",
    ]
    return "\n".join(lines) + "\n"


def _takes(spec: Spec, work: _Work, jobs: int) -> str:
    """The wall time, about."""
    said = f"{format_duration(work.seconds / jobs * 1e9)} with {plural(jobs, 'job')}"
    if work.more_s and spec.search is not None:
        more = format_duration(work.more_s / jobs * 1e9)
        said += f", {more} more for each value that needs {spec.search.max_seeds} seeds"
    return said


def _lasts(points: Sequence[Point], spec: Spec) -> str:
    """How long the runs of a search are, which may be longer than was asked."""
    lasts = [point.scenario.run.duration_ns for point in points]
    said = write_time(max(lasts))
    if min(lasts) != max(lasts):
        said = f"{write_time(min(lasts))} to {said}"
    made = "" if max(lasts) == spec.scenario.run.duration_ns else ": the accept queue forgets slowly"
    return f"runs of {said}{made}"


def tell_of_time(spec: Spec, jobs: int) -> None:
    """Say of a long study how long it will take, before it begins."""
    work = _work(spec, _SOME)
    if (work.seconds + work.more_s) / jobs > _LONG_S:
        click.echo(f"this takes about {_takes(spec, work, jobs)} (a rough estimate)", err=True)
