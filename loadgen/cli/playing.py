"""From a scenario to an exit code: what is checked before the run, the run, and what is written after it.

Exit codes: 0 fine, 1 failed (also: theory and simulation differ), 3 the scenario is wrong, 99 a threshold was
missed, 130 interrupted, 143 by SIGTERM; what was played so far is still reported and marked partial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from loadgen import memory, signals
from loadgen.api import finished, replicates_of, result_of
from loadgen.cli.common import EXIT_FAILED, EXIT_THRESHOLD, format_of, present
from loadgen.cli.options import ConfigError
from loadgen.cli.origins import of_fields
from loadgen.cli.scenes import Made, origins_in, printed
from loadgen.output import OutputError, write_stdout
from loadgen.progress import bar
from loadgen.replicates import PROCESSES, Job, Played, play
from loadgen.report.metrics import UnknownMetric
from loadgen.report.result import Result
from loadgen.report.thresholds import check_thresholds
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.hosts import Resolved, resolve, sysctl
from loadgen.scenario.model import Run, Scenario
from loadgen.sim.run import CapacityReached
from loadgen.units import format_bytes
from loadgen.workers import WorkerLost

if TYPE_CHECKING:
    from loadgen.sim.outcome import Outcome
    from loadgen.study.pools import Pool

FORMATS: Final = {"": "table", ".txt": "table", ".json": "json", ".csv": "csv", ".html": "html"}
_BIG_RUN: Final = 10**9  # bytes from which the estimate is told


def play_and_present(ctx: click.Context, made: Made, given: dict[str, Any]) -> None:
    """Play the scenario, write the result, leave with the right exit code."""
    if given["print_config"]:
        _write(printed(made))
        return
    scenario = made.scenario
    chosen = format_of(given["format"], given["output"], FORMATS)
    if chosen == "html":
        from loadgen.cli.report import require_charts

        require_charts()
    _require_metrics(scenario)
    hosts = _hosts(scenario)
    _tell_of_sysctl(scenario, given["verbose"])
    jobs, n = _jobs(scenario, given.get("shards"))
    _require_memory(dataclasses.replace(jobs[0].scenario, run=_of(scenario, len(jobs))), hosts, given)
    called = "replicates" if n is None else "shards"
    played = played_or_partial(jobs, given["jobs"], given.get("executor", PROCESSES), called=called)
    outcomes = finished(played.outcomes if n is None else _merged(played, n))
    if not outcomes:
        ctx.exit(signals.exit_code())
    with signals.later():
        result = result_of(
            scenario,
            outcomes,
            check=given["check_"],
            kind=made.kind,
            command=made.command,
            origins=of_fields(scenario, origins_in(printed(made))),
        )
        if n is not None:
            result.not_modelled += _unseen(scenario, n)
        present(
            {"json": result.to_text_json, "csv": lambda: _csv(result), "html": lambda: _page(result)},
            lambda colour, width: result.to_text(colour=colour, width=width),
            chosen,
            given["output"],
        )
        if played.interrupted or signals.pending():
            ctx.exit(signals.exit_code())
    _judge(ctx, result)


def _write(text: str) -> None:
    try:
        write_stdout(text)
    except OutputError as error:
        raise click.ClickException(str(error)) from None


def _csv(result: Result) -> str:
    from loadgen.report.tabular import as_csv

    return as_csv(result)


def _page(result: Result) -> str:
    from loadgen.report.html import page

    return page(result)


def _judge(ctx: click.Context, result: Result) -> None:
    """Leave with the code of what the result says."""
    unexplained = [str(row["row"]) for row in result.theory if row["state"] == "unexplained"]
    missed = [f"{row['text']} ({row['state']})" for row in result.missed]
    if missed:
        click.echo(f"threshold missed: {', '.join(missed)}", err=True)
    if unexplained:
        click.echo(f"theory and simulation differ, unexplained: {', '.join(unexplained)}", err=True)
        ctx.exit(EXIT_FAILED)
    if missed:
        ctx.exit(EXIT_THRESHOLD)


def _jobs(scenario: Scenario, wanted: int | None) -> tuple[list[Job], int | None]:
    """What is to be played, and how many shards a replicate has (0: as many as listeners), if any."""
    if wanted is None:
        return replicates_of(scenario), None
    from loadgen.study import shards

    n = wanted or scenario.server.listen.listeners
    try:
        return shards.jobs_of(scenario, n), n
    except ScenarioError as error:
        raise ConfigError(f"--shards: {error}") from None


def _merged(played: Played, n: int) -> list[Outcome | None]:
    from loadgen.study import shards

    return shards.merged(played.outcomes, n)


def _unseen(scenario: Scenario, n: int) -> list[str]:
    from loadgen.study import shards

    return shards.not_modelled(scenario, n)


def _of(scenario: Scenario, runs: int) -> Run:
    return dataclasses.replace(scenario.run, seeds=runs)


def played_or_partial(
    replicates: Sequence[Job],
    jobs: int,
    executor: str = PROCESSES,
    *,
    what: str = "playing",
    called: str = "replicates",
) -> Played:
    """Every replicate, or what there is when a signal comes; `what` and `called` are the progress bar's.

    Raises NoExecutor, Unreachable.
    """
    played = Played([None] * len(replicates), True)
    pool = None if executor == PROCESSES else _pool(executor, jobs)
    try:
        with signals.at_checks(), bar(what=what, jobs=called) as tell:
            if pool is not None:
                from loadgen.study.spreading import play_on

                played = play_on(pool, replicates, tell, signals.pending)
            else:
                played = play(replicates, workers=jobs, progress=tell, stop=signals.pending)
            if signals.pending():
                played.interrupted = True
                signals.honoured()
    except KeyboardInterrupt:
        played.interrupted = True
        signals.honoured()
    except CapacityReached as error:
        raise click.ClickException(str(error)) from None
    except MemoryError as error:
        raise click.ClickException(f"out of memory{f': {error}' if str(error) else ''}") from None
    except WorkerLost as error:
        raise click.ClickException(str(error)) from None
    return played


def _pool(executor: str, jobs: int) -> Pool:
    """Where an executor's name says. On a machine of its own it takes as many jobs at once as there are."""
    from loadgen.study.executors import LOCAL, NoExecutor, Unreachable, make_pool

    try:
        return make_pool(executor, jobs, jobs if executor == LOCAL else None)
    except NoExecutor as error:
        raise ConfigError(f"--executor: {error}") from None
    except Unreachable as error:
        raise click.ClickException(str(error)) from None


def _require_metrics(scenario: Scenario) -> None:
    """Refuse thresholds on what no result of this scenario has."""
    try:
        check_thresholds(scenario)
    except UnknownMetric as error:
        raise ConfigError(str(error)) from None


def _hosts(scenario: Scenario) -> Resolved:
    try:
        return resolve(scenario)
    except ScenarioError as error:
        raise ConfigError(str(error)) from None


_NAMED: Final = 6  # keys in a line


def _tell_of_sysctl(scenario: Scenario, verbose: bool) -> None:
    """How many keys of the files are knobs here, and with `verbose` which are not."""
    for side, name in (("server", scenario.server.sysctl), ("client", scenario.client.sysctl)):
        if name is None:
            continue
        host = sysctl(name, side)
        note = f"{name}: {len(host.sysctl_taken)} knobs taken, {host.sysctl_ignored} other keys ignored"
        click.echo(note + ("" if verbose or not host.sysctl_ignored else " (-v lists them)"), err=True)
        for line in host.sysctl_notes:
            click.echo(f"  {line}", err=True)
        if host.sysctl_unmodelled:
            named = host.sysctl_unmodelled[: None if verbose else _NAMED]
            more = len(host.sysctl_unmodelled) - len(named)
            rest = f" and {more} more (-v lists them)" if more else ""
            click.echo(f"  they matter and are not modelled: {', '.join(named)}{rest}", err=True)
        for key in host.sysctl_unknown if verbose else ():
            click.echo(f"  {key}", err=True)


def _require_memory(scenario: Scenario, hosts: Resolved, given: Mapping[str, Any]) -> None:
    """Of all replicates that are played at once."""
    require_memory_of(memory.estimate_bytes(scenario, hosts.client, hosts.server, given["jobs"]), given)


def require_memory_of(need: int, given: Mapping[str, Any]) -> None:
    """Say what a big run takes; refuse one that this machine cannot hold, unless it is forced."""
    there_is = memory.available_bytes()
    if there_is is not None and need > there_is and not given["force"]:
        raise click.ClickException(
            f"to play this takes about {format_bytes(need)} of memory, {format_bytes(there_is)} are "
            "available on this machine (--force: play it all the same)"
        )
    if need > _BIG_RUN:
        click.echo(f"memory of this simulation: about {format_bytes(need)}", err=True)
