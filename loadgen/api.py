"""What a program calls: play a scenario, or a grid of them, and compare what came of two.

Replicates of one seed meet the same arrivals in every scenario, so that two results differ by what was
changed. The order in which processes finish changes nothing. Scenarios are `loadgen.scenario`'s, results
`loadgen.report`'s.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from loadgen.replicates import Job, play
from loadgen.report.result import Result, build
from loadgen.scenario.hosts import resolve
from loadgen.scenario.model import Scenario

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from loadgen.comparing.comparison import Comparison
    from loadgen.report.reading import Points
    from loadgen.sim.outcome import Outcome
    from loadgen.sim.workload import Workload


def run(
    scenario: Scenario,
    seed: int | None = None,
    progress: bool = False,
    jobs: int = 1,
    executor: Executor | None = None,
    check: bool = False,
    *,
    workload: Workload | None = None,
) -> Result:
    """Play a scenario and say what became of its connections.

    `seed` replaces the scenario's; `scenario.run.seeds` replicates are played, on `jobs` processes (a script
    that asks for more than one needs ``if __name__ == "__main__"``) or on any executor of
    `concurrent.futures`. `progress` shows a bar on a terminal's standard error. `check` puts the closed forms
    beside the figures. `workload` is a function that plays the load of arrivals "workload": it is called with
    a `Clients`, which begins connections, sends and closes, and with what happened to them since
    (docs/simulation.md, section 11); on processes it must be one that pickles. The result depends on
    scenario, seed and workload only, but for what is under `wall`. Raises ScenarioError for a scenario that
    cannot be, KeyboardInterrupt when interrupted.
    """
    if seed is not None:
        scenario = dataclasses.replace(scenario, seed=seed)
    from loadgen.progress import bar

    played_as = scenario
    if workload is not None:
        from loadgen.sim.workload import playable

        if check:
            raise ValueError("check: expected False, as no closed form knows what a workload does")
        played_as = playable(scenario)
    replicates = replicates_of(played_as)
    if workload is not None:
        replicates = [dataclasses.replace(job, scenario=scenario, workload=workload) for job in replicates]
    with bar(progress) as tell:
        played = play(replicates, workers=jobs, executor=executor, progress=tell)
    result = result_of(played_as, finished(played.outcomes), check=check)
    if workload is not None:
        name = f"{workload.__module__}.{getattr(workload, '__qualname__', type(workload).__name__)}"
        result.scenario = scenario
        result.assumptions.append(f"connections begin and end as {name} says")
    return result


def result_of(
    scenario: Scenario,
    outcomes: Sequence[Outcome],
    *,
    check: bool = False,
    kind: str = "run",
    command: str = "",
    origins: Mapping[str, str] | None = None,
) -> Result:
    """The result of replicates that have been played, with the closed forms beside it if `check`."""
    from loadgen.theory import warmup

    hosts = resolve(scenario)
    theory: Sequence[object] = ()
    if check:
        from loadgen.theory import checks

        theory = checks.rows(scenario, outcomes, hosts.client, hosts.server)
    beside: list[dict[str, Any]] = []
    assumptions: list[str] = []
    if hosts.measured is not None:
        from loadgen.host import changes, compare

        beside = compare.rows(hosts.measured, scenario, outcomes, hosts.server)
        assumptions = changes.assumptions(hosts.measured)
    result = build(
        scenario,
        outcomes,
        hosts,
        theory,
        kind=kind,
        command=command,
        limits=hosts.limits,
        assumptions=assumptions,
        not_modelled=hosts.not_modelled,
        warnings=[*hosts.warnings, *warmup.shortened(scenario, hosts.server, hosts.client)],
    )
    result.origins = dict(origins or {})
    result.measured = beside
    return result


def replicates_of(scenario: Scenario) -> list[Job]:
    """The jobs that a scenario is. Raises ScenarioError."""
    hosts = resolve(scenario)
    return [Job(scenario, replicate, hosts.server, hosts.client) for replicate in range(scenario.run.seeds)]


def finished(outcomes: Sequence[Outcome | None]) -> list[Outcome]:
    """Those that there are."""
    return [outcome for outcome in outcomes if outcome is not None]


@dataclass(frozen=True)
class Point:
    """A point of a grid: what was set, and what came of it."""

    values: Mapping[str, object]
    result: Result


class Study(Sequence[Point]):
    """The points of a grid, in the order of their values."""

    def __init__(self, points: Sequence[Point]) -> None:
        self._points = tuple(points)

    def __len__(self) -> int:
        return len(self._points)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> Study: ...
    def __getitem__(self, index: int | slice) -> Point | Study:
        return Study(self._points[index]) if isinstance(index, slice) else self._points[index]

    def __iter__(self) -> Iterator[Point]:
        return iter(self._points)

    def __repr__(self) -> str:
        lines = [", ".join(f"{path}={value}" for path, value in point.values.items()) for point in self]
        return "\n".join([f"Study of {len(self)} points", *(f"  {line}" for line in lines)])


def sweep(
    scenario: Scenario,
    grid: Mapping[str, Sequence[object]],
    seeds: int = 8,
    executor: Executor | None = None,
    *,
    jobs: int = 1,
    progress: bool = False,
    check: bool = False,
) -> Study:
    """Play a scenario at every point of a grid: paths of the scenario and the values each of them takes.

    ``sweep(scenario, {"server.listen.backlog": [511, 1023]})`` plays two points, `seeds` replicates each,
    with the same arrivals at both. All scenarios are made before the first is played, so that a wrong path or
    value costs nothing. Other arguments are those of `run`. The command `loadgen sweep` keeps the results in
    a folder besides, and can look for the value at which a target begins to be missed.
    """
    if seeds < 1:
        raise ValueError(f"seeds: expected at least 1, got {seeds}")
    from loadgen.progress import bar
    from loadgen.study.playing import Session
    from loadgen.study.pools import Futures, Here, Pool, processes
    from loadgen.study.spec import make_point

    chosen = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    points = [make_point(values, scenario.replace(values)) for values in chosen]
    pool: Pool = Here() if jobs == 1 else processes(jobs)  # which begin when they are given something
    if executor is not None:
        pool = Futures(executor, ours=False)
    try:
        with bar(progress, jobs="runs") as tell:
            session = Session(pool, progress=tell, check=check)
            session.play((point, seeds) for point in points)
    finally:
        pool.close()
    for failure in session.failures.values():
        raise failure.error or RuntimeError(failure.reason)
    return Study([Point(point.values, session.found[point.key]) for point in points])


def compare(
    old: Result | Study | str | Path,
    new: Result | Study | str | Path,
    thresholds: Sequence[str] = (),
    *,
    allow_change: Sequence[str] = (),
    allow_partial: bool = False,
    strict: bool = False,
    wall: float | None = None,
) -> Comparison:
    """Set two results, or two studies point by point, against each other, as `loadgen compare` does.

    Each is a Result, a Study, or the name of a result file or of a study's folder. `thresholds` are what is
    judged beside the targets of the results: ``["first_try_ratio: -0.1%"]``. Arguments are those of the
    command; `wall` is a share. The comparison prints as the command's table, its `code` is the exit code,
    `rows` gives the figures. Raises NotComparable and UnitError (ValueErrors), ResultError for a file.
    """
    from loadgen.comparing import comparison, judging

    before, after = _side(old), _side(new)
    first = before if isinstance(before, Result) else next((one.result for one in before.points), None)
    if first is None:
        raise ValueError("the old study has no point that was played")
    return comparison.compare(
        before,
        after,
        comparison.Options(
            tuple(judging.parse(text, first.scenario) for text in thresholds),
            tuple(allow_change),
            allow_partial=allow_partial,
            strict=strict,
            wall=wall,
        ),
    )


def _side(given: Result | Study | str | Path) -> Result | Points:
    from loadgen.report import reading

    if isinstance(given, Result):
        return given
    if isinstance(given, Study):
        return reading.of_results([one.result for one in given])
    return reading.read(given)
