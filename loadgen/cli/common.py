"""What the commands share: options, the settings behind them, progress, output, exit codes.

Exit codes: 0 fine, 1 failed, 2 usage, 3 bad configuration or input, 99 a threshold was missed,
130 interrupted, 143 by SIGTERM (what was measured so far is still reported, marked partial).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from loadgen import signals
from loadgen.cli import options as opt
from loadgen.output import OutputError, check_writable, write_file, write_stdout
from loadgen.phases.balance import Imbalance
from loadgen.phases.link import Path, Rates
from loadgen.phases.metrics import Result, Threshold, ThresholdError
from loadgen.phases.report import as_csv, as_json, as_table
from loadgen.phases.workload import MAX_CLIENTS, Settings, Workload
from loadgen.units import format_bytes, format_count, format_duration
from loadgen.workers import WorkerLost

EXIT_FAILED: Final = 1
EXIT_THRESHOLD: Final = 99
BIG_RUN: Final = 1_000_000  # connections from which the memory estimate is printed

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: Final[dict[str, Callable[[Any], Any]]] = {
    "connections": click.option(
        "-n",
        "--connections",
        type=opt.CONNECTIONS,
        default="10k",
        show_default=True,
        help="How many connections to open.",
    ),
    "rate": click.option(
        "--rate",
        type=opt.RATE,
        help="Open (and close) at this rate. Default: flat out, all at "
        "virtual time 0; the listener's limits are then raised unless they are given.",
    ),
    "arrivals": click.option(
        "--arrivals",
        type=click.Choice(["paced", "poisson"]),
        default="paced",
        show_default=True,
        help="Spacing of the arrivals at --rate.",
    ),
    "rtt": click.option(
        "--rtt", type=opt.TIME, default="1ms", show_default=True, help="Round-trip time of the link."
    ),
    "jitter": click.option(
        "--jitter", type=opt.TIME, default="0", show_default=True, help="Every segment is late by up to this."
    ),
    "loss": click.option(
        "--loss",
        type=opt.LOSS,
        default="0",
        show_default=True,
        help="Share of segments lost, of all or by kind: 'syn=5%,third-ack=1%'. Kinds: syn, "
        "syn-ack, third-ack, data, ack, fin, last-ack, rst.",
    ),
    "reorder": click.option(
        "--reorder",
        type=opt.SHARE,
        default="0",
        show_default=True,
        help="Share of segments that are overtaken.",
    ),
    "reorder_delay": click.option(
        "--reorder-delay", type=opt.TIME, help="How late those are. Default: half a round trip."
    ),
    "hold": click.option(
        "--hold",
        type=opt.TIME,
        default="0",
        show_default=True,
        help="Keep the open connections for this long.",
    ),
    "backlog": click.option(
        "--backlog", type=opt.BACKLOG, help="Of the listening server. Default: somaxconn."
    ),
    "clients": click.option(
        "--clients",
        type=click.IntRange(0, MAX_CLIENTS),
        default=0,
        help="Number of client addresses (10.1.0.1 and up). A client address has only the ports "
        "of ip_local_port_range (28232 by default) towards one server port. Default: as "
        "many addresses as use a quarter of each range.",
    ),
    **opt.KNOB_OPTIONS,
    "seed": click.option(
        "--seed",
        type=opt.SEED,
        default=0,
        show_default=True,
        metavar="SEED",
        help="Of every random choice: the same seed gives the same result. random: one is drawn, and the "
        "result says which.",
    ),
    "batch": click.option(
        "--batch",
        type=click.IntRange(1, 1 << 20),
        default=4096,
        show_default=True,
        help="Segments per engine call. Changes the speed, never the result.",
    ),
    "peer": click.option(
        "--peer",
        type=click.Choice(["engine", "stateless"]),
        default="engine",
        show_default=True,
        help="The clients' end. stateless: computed from the server's answers, on a link that loses "
        "nothing; only the server's end takes memory, so twice as many connections fit.",
    ),
    "threshold": click.option(
        "--threshold",
        "threshold",
        multiple=True,
        metavar="TEXT",
        help="Exit 99 unless this holds: 'success_ratio>=0.999', 'handshake_ms.p99<50ms', "
        "'counters.server.ListenDrops==0'. Repeatable.",
    ),
    "format": click.option(
        "--format",
        type=click.Choice(["table", "json", "csv"]),
        help="Of the result. Default: by the name of --output, else table.",
    ),
    "output": click.option(
        "--output",
        type=opt.FILE,
        metavar="FILE",
        help="Write the result there instead of to standard output: a regular file whole or not at all, "
        "through a device, FIFO or symbolic link.",
    ),
    "config": click.option(
        "--config",
        type=opt.FILE,
        metavar="FILE",
        is_eager=True,
        callback=opt.load_config,
        help="Take options from a TOML file.",
    ),
}

#: Options of the workloads that open N connections, in the order of their help.
OPENING: Final = tuple(_OPTIONS)
#: Those of every workload: the link, the listener, the knobs, the result.
LINK: Final = ("rtt", "jitter", "loss", "reorder", "reorder_delay")
RUN: Final = (*opt.KNOB_OPTIONS, "seed", "batch", "threshold", "format", "output", "config")


def shared(names: Iterable[str]) -> Callable[[F], F]:
    """Give a command these options, in this order."""

    def decorate(command: F) -> F:
        for name in reversed(list(names)):
            command = _OPTIONS[name](command)
        return command

    return decorate


def path_of(given: dict[str, Any], duplicates: Rates | None = None, duplicate_delay: int = 0) -> Path:
    """The link that the options describe."""
    return Path(
        rtt_ns=given["rtt"],
        jitter_ns=given["jitter"],
        loss=given["loss"],
        duplicates=duplicates or Rates(),
        duplicate_delay_ns=duplicate_delay,
        reorder=given["reorder"],
        reorder_delay_ns=given["rtt"] // 2 if given["reorder_delay"] is None else given["reorder_delay"],
    )


def opening_settings(
    ctx: click.Context, given: dict[str, Any], duplicates: Rates, duplicate_delay: int
) -> dict[str, Any]:
    """The settings that the workloads with `OPENING` share."""
    knobs, knobs_set = opt.build_knobs(
        given["sysctl"],
        ctx.meta.get("loadgen.knobs", {}),
        given["knobs"],
        given.get("time_wait"),
        profile=given["profile"],
        verbose=given["verbose"],
    )
    return {
        "connections": given["connections"],
        "rate": given["rate"] or 0,
        "arrivals": given["arrivals"],
        "hold_ns": given["hold"],
        "path": path_of(given, duplicates, duplicate_delay),
        "backlog": given["backlog"],
        "clients": given["clients"],
        "batch": given["batch"],
        "stateless": given["peer"] == "stateless",
        "seed": given["seed"],
        "knobs": knobs,
        "knobs_set": knobs_set,
    }


def _memory_of_this_machine() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def require_memory(settings: Settings) -> None:
    """Refuse a run that this machine cannot hold; announce a big one."""
    need, connections = settings.memory_bytes(), format_count(settings.connections)
    if need > _memory_of_this_machine():
        raise click.ClickException(
            f"to simulate {connections} connections takes about {format_bytes(need)} of memory, "
            f"this machine has {format_bytes(_memory_of_this_machine())}"
        )
    if settings.connections >= BIG_RUN:
        click.echo(
            f"memory of this simulation: about {format_bytes(need)} for {connections} connections, "
            f"{'the server' if settings.stateless else 'both ends'}; "
            f"{settings.client_addresses} client addresses",
            err=True,
        )


def run_workload(
    ctx: click.Context, workload: type[Workload[Any]], settings: Settings, given: dict[str, Any]
) -> None:
    """One run from settings to exit code."""
    if settings.stateless and settings.beyond_stateless:
        raise click.UsageError(f"--peer stateless: not with --{settings.beyond_stateless[0]}", ctx)
    thresholds = parse_thresholds(given["threshold"], lambda: workload(workload.tiny(settings)).run())
    require_memory(settings)

    def run() -> Result:
        workload_run = workload(settings)
        with _progress(workload_run):
            return workload_run.run()

    finish(ctx, run, thresholds, given)


def finish(
    ctx: click.Context, run: Callable[[], Result], thresholds: list[Threshold], given: dict[str, Any]
) -> None:
    """Run, write the result, leave with the right exit code."""
    chosen = format_of(given["format"], given["output"])
    try:
        result = run()
    except MemoryError as error:
        raise click.ClickException(f"out of memory{f': {error}' if str(error) else ''}") from None
    except Imbalance as error:
        raise click.ClickException(f"internal error, please report it: {error}") from None
    except WorkerLost as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        ctx.exit(signals.exit_code())
    with signals.later():
        present(
            {"json": lambda: as_json(result), "csv": lambda: as_csv(result)},
            lambda colour, width: as_table(result, thresholds, colour=colour, width=width),
            chosen,
            given["output"],
        )
        if result.partial or signals.pending():
            ctx.exit(signals.exit_code())
    figures = result.figures()
    missed = [threshold.text for threshold in thresholds if not threshold.met(figures)]
    if missed:
        click.echo(f"threshold missed: {', '.join(missed)}", err=True)
        ctx.exit(EXIT_THRESHOLD)


def parse_thresholds(texts: tuple[str, ...], tiny: Callable[[], Result]) -> list[Threshold]:
    """Parsed and checked before the run: a tiny run has every figure a big one has."""
    if not texts:
        return []
    try:
        parsed = [Threshold.parse(text) for text in texts]
        result = tiny()
        if result.partial:
            raise KeyboardInterrupt
        known = result.figures()
        for threshold in parsed:
            threshold.check_name(known)
    except ThresholdError as error:
        raise click.BadParameter(str(error), param_hint="'--threshold'") from None
    return parsed


_FORMATS: Final = {"": "table", ".txt": "table", ".json": "json", ".csv": "csv"}


def format_of(format_: str | None, output: FilePath | None, formats: Mapping[str, str] = _FORMATS) -> str:
    """The format as asked for, else by the name of the output (`formats`: suffix -> format); refuse a name
    that says neither, and a place that cannot be written to."""
    if output is not None:
        try:
            check_writable(output)
        except OutputError as error:
            raise click.ClickException(str(error)) from None
    if format_ is not None:
        return format_
    suffix = output.suffix.lower() if output is not None else ""
    if suffix not in formats:
        known = ", ".join(filter(None, formats))
        raise click.BadParameter(
            f"no format is called {suffix!r}{opt.hint(suffix, formats)}: expected {known}, or --format",
            param_hint="'--output'",
        )
    return formats[suffix]


def present(
    texts: dict[str, Callable[[], str]],
    table: Callable[[bool, int | None], str],
    format_: str | None,
    output: FilePath | None,
) -> None:
    """Write one of the texts, by format, to `output` or to standard output. The table is told whether to use
    colour and how wide the terminal is, None where there is none."""
    chosen = format_of(format_, output)
    if chosen in texts:
        text = texts[chosen]()
    else:
        terminal = output is None and sys.stdout is not None and sys.stdout.isatty()
        text = table(terminal and not os.environ.get("NO_COLOR"), Console().width if terminal else None)
    try:
        if output is None:
            write_stdout(text)
        else:
            write_file(output, text)
    except OutputError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def bar(first: str, total: int) -> Iterator[Callable[[int, str, str], None] | None]:
    """A progress bar on standard error, on a terminal only: call it with (done, description, note)."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(first, total=total, note="")
        yield lambda done, text, note: progress.update(task, completed=done, description=text, note=note)


@contextmanager
def _progress(run: Workload[Any]) -> Iterator[None]:
    with bar(run.doing, run.total()) as show:
        due = 0.0

        def tick() -> None:
            nonlocal due
            if show is None or time.monotonic() < due:
                return
            due = time.monotonic() + 0.1
            runner = run.runner
            show(
                run.progress(),
                run.doing,
                f"virtual {format_duration(runner.now)}, {format_count(runner.segments)} segments",
            )

        if show is not None:
            run.runner.tick = tick
        yield
