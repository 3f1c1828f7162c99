"""`loadgen sweep`: its options, the study they stand for, and what is said of it.

Exit codes: 0 fine; 1 a point failed, a search has no answer, the directory or the executor cannot be used;
2 usage; 3 a scenario or a study that cannot be; 99 a point misses a target, or is undecided; 130 interrupted
(143 by SIGTERM), with all that was finished kept.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Final

import click

from loadgen import signals
from loadgen.cli import options as opt
from loadgen.cli.common import EXIT_FAILED, EXIT_THRESHOLD
from loadgen.cli.estimating import MANY, estimate, tell_of_time
from loadgen.cli.flag import flags
from loadgen.cli.flags import HOSTS, TIMELINE, said, some_result_options
from loadgen.cli.host_flags import KERNEL
from loadgen.cli.options import ConfigError
from loadgen.cli.scenes import command_line, file_scenario
from loadgen.output import OutputError, write_stdout
from loadgen.progress import bar
from loadgen.replicates import PROCESSES
from loadgen.report.estimate import FEWEST_SEEDS
from loadgen.report.metrics import UnknownMetric
from loadgen.report.thresholds import check_thresholds
from loadgen.report.words import plural
from loadgen.scenario.errors import Mistake, ScenarioError
from loadgen.study import costs, table
from loadgen.study.driver import Driver, claimed, make_session
from loadgen.study.executors import LOCAL, NoExecutor, Unreachable, make_pool
from loadgen.study.playing import Stopped
from loadgen.study.pools import Pool
from loadgen.study.space import SpaceError, label, make_space, span
from loadgen.study.spec import Search, Spec
from loadgen.study.store import FAILED, Mismatch, Store, StoreError, is_study, read_document

_SEEDS: Final = 8
_MOST_LINES: Final = 5  # of what failed
#: Options that `loadgen run` does not have, or that a point has of its own.
_NOT_OF_A_POINT: Final = (
    "grid", "zip_", "only", "search", "tolerance", "max_seeds", "effort", "longest", "independent",
    "keep_series", "seeds", "seed",
)  # fmt: skip
_SPACE: Final = (
    click.option(
        "--grid",
        multiple=True,
        metavar="PATH=VALUES",
        help="A place of the scenario and its values: a,b,c, or lo..hi/n for n of them from lo to hi, or "
        "lo..hi/n:log. Repeatable: each value with each.",
    ),
    click.option(
        "--zip",
        "zip_",
        multiple=True,
        metavar="PATH=VALUES",
        help="The same, but all that are given advance together. Repeatable.",
    ),
    click.option(
        "--only",
        default="",
        metavar="CONDITION",
        help="Leave out the other points: 'backlog > rate/10'. Times are in seconds, rates per second.",
    ),
    click.option(
        "--search",
        metavar="PATH=LO..HI",
        help="Look for the value at which a --threshold begins to be missed, for each point of the grid. "
        "LO..HI:log cuts by constant factors.",
    ),
    click.option(
        "--tolerance",
        type=opt.SHARE,
        default="1%",
        show_default=True,
        help="How narrow its bracket is to be.",
    ),
    click.option(
        "--max-seeds",
        type=click.IntRange(FEWEST_SEEDS, 1024),
        default=64,
        show_default=True,
        help="A value that is undecided gets twice the seeds, up to so many.",
    ),
    click.option(
        "--effort",
        type=click.Choice(list(costs.EFFORTS)),
        default="normal",
        show_default=True,
        help="How much a search may play: about 15 s, 2.5 min, 25 min of one processor for each point of the "
        "grid, by an estimate of the work, so that the answer is the same on every machine. What is left "
        "open then is said.",
    ),
    click.option(
        "--longest",
        type=opt.TIME,
        default="10min",
        show_default=True,
        help="A search may make runs as long as this where the accept queue needs it (100 relaxation times).",
    ),
    click.option(
        "--independent",
        is_flag=True,
        help="A seed of its own for each point. Default: all meet the same arrivals, so that small "
        "differences show.",
    ),
)
_PLAYING: Final = (
    click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        help="Processes. Default: one a processor. Changes the speed, never the result.",
    ),
    click.option(
        "--executor",
        default=PROCESSES,
        show_default=True,
        metavar="NAME",
        help="Where points are played: processes, dask:ADDRESS, dask:local, or MODULE:FACTORY, a function "
        "that gives a concurrent.futures.Executor.",
    ),
    click.option(
        "--memory",
        type=opt.COUNT,
        metavar="BYTES",
        help="Of what is played at once (8G). Default: 80 % of this machine's.",
    ),
    click.option("--keep-series", is_flag=True, help="Keep the series of each point, too."),
    click.option(
        "--export", type=click.Choice(["parquet"]), help="Write the table as table.parquet, too."
    ),
    click.option("--extend", is_flag=True, help="Add values and seeds to the study that is there."),
    click.option("--dry-run", is_flag=True, help="Say how many points there are and what they take."),
    click.option("--yes", is_flag=True, help=f"Play more than {MANY:,} points."),
    click.option(
        "-O", "--output", type=opt.FILE, metavar="FOLDER", help="Where the study is kept, and resumed."
    ),
)  # fmt: skip


def _options(command: Any) -> Any:
    for option in reversed((*_SPACE, *_PLAYING)):
        command = option(command)
    return command


@click.command(
    short_help="Play a scenario at many points, or look for its limit.",
    epilog="""\
EXAMPLES

\b
  Three backlogs at eight rates, both ways of answering a full queue:
    loadgen sweep web.toml --grid backlog=511,1023,2047 --grid load.rate=1k..8k/8 \\
        --grid tcp_syncookies=0,1 -O study/
  Up to which rate is it good enough? Once per backlog:
    loadgen sweep web.toml --grid backlog=511,1023 --search load.rate=1k..50k \\
        --threshold 'first_try_ratio>=0.999' -O knee/
  The fleet grows with the load; what would that take?
    loadgen sweep web.toml --zip load.rate=1k,2k,4k --zip client.hosts=10,20,40 -O s/ --dry-run
  On a cluster:
    loadgen sweep web.toml --grid load.rate=1k..8k/50 --executor dask:tcp://10.1.1.5:8786 -O study/
"""
)
@click.argument("file", type=opt.FILE)
@_options
@flags(said(TIMELINE, duration="How long clients arrive, in virtual time. Default: that of FILE.",
            series="Interval of the series (--keep-series); 0: none. Default: that of FILE.",
            seeds="Replicates of each point; intervals are over them from 4 up. Default: that of FILE, "
            "else 8."))  # fmt: skip
@flags(HOSTS)
@flags(KERNEL)
@some_result_options(
    "knobs", "from_host", "threshold", "check_", "config", "verbose",
    threshold=click.option(
        "--threshold", "threshold", multiple=True, metavar="TEXT",
        help="What is to hold: 'success_ratio>=0.999', 'connect.p99<50ms'. Exit 99 where a point of the grid "
        "does not; with --search: what is looked for. Repeatable.",
    ),
)  # fmt: skip
@click.pass_context
def sweep(ctx: click.Context, /, file: Path, **given: Any) -> None:
    """Play a scenario file at many points, or look for the point where a target begins to be missed.

    --output is a folder with study.toml, a result file for each point and table.csv. The same command again
    plays what is missing there, after Ctrl-C and after a crash. A target (--threshold) marks a point as met,
    missed or undecided, and one that is not met makes the exit code 99; a search that has its answer is 0.
    """
    spec = _spec(ctx, file, given)
    _require_library(given)
    points = _counted(ctx, spec, given)
    if given["dry_run"]:
        write_stdout(estimate(spec, points, given["jobs"] or _processors()))
        return
    if given["output"] is None:
        raise click.UsageError("give --output FOLDER, where the study is kept", ctx)
    try:
        _play(ctx, spec, given, points)
    except (Mismatch, NoExecutor, table.NoLibrary) as error:
        raise ConfigError(str(error)) from None
    except (StoreError, Unreachable, OutputError) as error:
        raise click.ClickException(str(error)) from None
    except (ScenarioError, Mistake) as error:
        raise ConfigError(str(error)) from None


# -- what is asked -------------------------------------------------------------------------------


def _spec(ctx: click.Context, file: Path, given: dict[str, Any]) -> Spec:
    """The study of the options."""
    made = file_scenario(ctx, file, given)
    scenario = made.scenario
    seeds = scenario.run.seeds if given["seeds"] is not None or scenario.run.seeds > 1 else _SEEDS
    if not (given["grid"] or given["zip_"] or given["search"]):
        raise click.UsageError("give --grid, --zip or --search: a place of the scenario and its values", ctx)
    try:
        check_thresholds(scenario)
        name = "--grid" if given["grid"] else "--zip"
        space = make_space(scenario, given["grid"], given["zip_"])
        name = "--only"
        space = make_space(scenario, given["grid"], given["zip_"], given["only"]) if given["only"] else space
        name = "--search"
        search = _search(ctx, scenario, seeds, space.paths, given) if given["search"] else None
    except (SpaceError, Mistake) as error:
        raise ConfigError(f"{name}: {error}") from None
    except UnknownMetric as error:
        raise ConfigError(str(error)) from None
    return Spec(
        dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, seeds=1)),
        space,
        seeds,
        search,
        given["independent"],
        given["check_"],
        given["keep_series"],
        command_line(ctx, "run", _NOT_OF_A_POINT),
    )


def _search(
    ctx: click.Context, scenario: Any, seeds: int, paths: tuple[str, ...], given: dict[str, Any]
) -> Search:
    if not scenario.threshold:
        raise click.UsageError("--search: give a --threshold, too: what is looked for", ctx)
    if seeds < FEWEST_SEEDS:
        raise click.UsageError(
            f"--search: expected at least {FEWEST_SEEDS} seeds, got {seeds}: fewer have no interval", ctx
        )
    if not given["tolerance"]:
        raise click.UsageError("--tolerance: expected more than 0", ctx)
    found = span(scenario, given["search"])
    if found.path in paths:
        raise SpaceError(f"{found.path}: it is in the grid")
    most = max(seeds, given["max_seeds"])
    return Search(found, given["tolerance"], most, given["longest"], given["effort"])


def _require_library(given: dict[str, Any]) -> None:
    if given["export"]:
        try:
            table.require_parquet()
        except table.NoLibrary as error:
            raise ConfigError(str(error)) from None


def _counted(ctx: click.Context, spec: Spec, given: dict[str, Any]) -> int:
    """How many points the grid has."""
    try:
        points = sum(1 for _ in spec.space.points())
    except Mistake as error:
        raise ConfigError(f"--only: {error}") from None
    if points == 0:
        raise ConfigError("--only: no point is left")
    if points > MANY and not (given["yes"] or given["dry_run"]):
        raise click.UsageError(f"these are {points:,} points: --yes plays them, --dry-run says more", ctx)
    return points


# -- playing -------------------------------------------------------------------------------------


def _play(ctx: click.Context, spec: Spec, given: dict[str, Any], points: int) -> None:
    folder: Path = given["output"]
    if is_study(folder):
        read_document(folder)  # is it one of ours? Asked before anything is started
    local = given["executor"] in (PROCESSES, LOCAL)
    budget = given["memory"] or (costs.memory_budget() if local else None)
    pool = make_pool(given["executor"], given["jobs"] or _processors(), None if local else given["jobs"])
    try:
        with Store(folder) as store:
            if store.before() is None:
                tell_of_time(spec, given["jobs"] or _processors())
            spec = claimed(spec, store, given["extend"])
            driver = Driver(spec, store, make_session(spec, pool, store, budget, signals.pending, None))
            interrupted = _played(driver, pool)
            with signals.later():
                driver.finish(parquet=bool(given["export"]))
                write_stdout(driver.text())
                _tell(driver)
                if interrupted or signals.pending():
                    ctx.exit(signals.exit_code())
    finally:
        pool.close()
    if driver.failures or not driver.answered:
        ctx.exit(EXIT_FAILED)
    if missed := driver.unmet:
        first = f"{label(missed[0].values)}: {missed[0].state}"
        click.echo(f"target not met at {len(missed):,} of {plural(points, 'point')}, first {first}", err=True)
        ctx.exit(EXIT_THRESHOLD)


def _played(driver: Driver, pool: Pool) -> bool:
    """Play it; whether it was interrupted."""
    try:
        with signals.at_checks(), bar(what="playing", jobs="runs") as tell:
            driver.session.progress = tell
            driver.play()
    except (Stopped, KeyboardInterrupt):
        signals.honoured()
        return True
    finally:
        pool.close()
    return False


def _tell(driver: Driver) -> None:
    """What went wrong, on standard error."""
    for name in driver.store.damaged[:_MOST_LINES]:
        click.echo(f"{driver.store.folder / name} was damaged: the point was played again", err=True)
    failures = driver.failures
    for failure in failures[:_MOST_LINES]:
        click.echo(f"failed: {label(failure.values)}: {failure.reason}", err=True)
    if len(failures) > _MOST_LINES:
        more = len(failures) - _MOST_LINES
        click.echo(f"{more:,} more points failed: {driver.store.folder / FAILED}", err=True)


def _processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
