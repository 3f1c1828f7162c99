"""The command line: options, progress, output, exit codes. Nothing imports this file.

Exit codes: 0 fine, 1 failed, 2 usage, 3 bad configuration or input, 99 a threshold was missed,
130 interrupted (what was measured so far is still reported, marked partial).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loadgen import options as opt
from loadgen.close import BY, Close, CloseSettings
from loadgen.link import Path, Rates
from loadgen.metrics import Result, Threshold, ThresholdError
from loadgen.profiles import profiles
from loadgen.report import as_csv, as_json, as_table, write_whole
from loadgen.units import format_bytes, format_count, format_duration
from loadgen.workload import MAX_CLIENTS, Handshake, Settings, Workload

EXIT_THRESHOLD: Final = 99
EXIT_INTERRUPTED: Final = 130
BIG_RUN: Final = 1_000_000  # connections from which the memory estimate is printed

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """A group that answers a mistyped command with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"no such command {args[0]!r}{opt.hint(args[0], self.list_commands(ctx))}", ctx
            )
        return super().resolve_command(ctx, args)


def _version() -> str:
    try:
        return version("tcpcore")
    except PackageNotFoundError:
        return "unknown"


EXIT_CODES: Final = """\
EXIT CODES

\b
    0  fine                  3  bad configuration, sysctl file or knob
    1  failed               99  a threshold was missed
    2  wrong usage         130  interrupted; the partial result is reported
"""


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), prog_name="loadgen")
def main() -> None:
    """Drive TCP connections through two tcpcore engines and say what became of them.

    A client engine and a server engine are joined by a virtual link with delay, loss, duplication and
    reordering. Virtual time is what the clients see; wall time is how fast this machine computes it. No
    packet leaves the machine and no privilege is needed.

    \b
    NUMBERS   50k  1.5M  64Ki     counts
              50k  200/s  30/min  rates
              250us  40ms  60s  2h  times; only 0 may come without its unit
              1%  0.01            shares

    \b
    FILES     --config FILE takes the options from a TOML file, the engine's knobs
              from its table [knobs]; --sysctl FILE takes a host's `sysctl -a`.
              The command line wins over --config, which wins over --sysctl,
              which wins over --profile.

    \b
    EXAMPLES  loadgen handshake --connections 1M
              loadgen handshake --connections 200k --rate 50k --rtt 40ms --loss 1%
              loadgen close --connections 100k --by client
    """


def _common(default_connections: str) -> Callable[[F], F]:
    """The options every workload has, in the order of the help."""
    choices = [
        click.option(
            "-n",
            "--connections",
            type=opt.CONNECTIONS,
            default=default_connections,
            show_default=True,
            help="How many connections to open.",
        ),
        click.option(
            "--rate",
            type=opt.RATE,
            help="Open (and close) at this rate. Default: flat out, all at "
            "virtual time 0; the listener's limits are then raised unless they are given.",
        ),
        click.option(
            "--arrivals",
            type=click.Choice(["paced", "poisson"]),
            default="paced",
            show_default=True,
            help="Spacing of the arrivals at --rate.",
        ),
        click.option(
            "--rtt", type=opt.TIME, default="1ms", show_default=True, help="Round-trip time of the link."
        ),
        click.option(
            "--jitter",
            type=opt.TIME,
            default="0",
            show_default=True,
            help="Every segment is late by up to this.",
        ),
        click.option(
            "--loss",
            type=opt.LOSS,
            default="0",
            show_default=True,
            help="Share of segments lost, of all or by kind: 'syn=5%,third-ack=1%'. Kinds: syn, "
            "syn-ack, third-ack, data, ack, fin, last-ack, rst.",
        ),
        click.option(
            "--reorder",
            type=opt.SHARE,
            default="0",
            show_default=True,
            help="Share of segments that are overtaken.",
        ),
        click.option(
            "--reorder-delay", type=opt.TIME, help="How late those are. Default: half a round trip."
        ),
        click.option(
            "--hold",
            type=opt.TIME,
            default="0",
            show_default=True,
            help="Keep the open connections for this long.",
        ),
        click.option("--backlog", type=opt.COUNT, help="Of the listening server. Default: somaxconn."),
        click.option(
            "--clients",
            type=click.IntRange(0, MAX_CLIENTS),
            default=0,
            help="Number of client addresses (10.1.0.1 and up). A client address has only the ports "
            "of ip_local_port_range (28232 by default) towards one server port. Default: as "
            "many addresses as use a quarter of each range.",
        ),
        opt.knob_options,
        click.option(
            "--seed",
            type=click.IntRange(0, 2**64 - 1),
            default=0,
            show_default=True,
            help="Of every random choice: the same seed gives the same result.",
        ),
        click.option(
            "--batch",
            type=click.IntRange(1, 1 << 20),
            default=4096,
            show_default=True,
            help="Segments per engine call. Changes the speed, never the result.",
        ),
        click.option(
            "--threshold",
            "threshold",
            multiple=True,
            metavar="TEXT",
            help="Exit 99 unless this holds: 'success_ratio>=0.999', 'handshake_ms.p99<50ms', "
            "'counters.server.ListenDrops==0'. Repeatable.",
        ),
        click.option(
            "--format",
            type=click.Choice(["table", "json", "csv"]),
            help="Of the result. Default: by the name of --output, else table.",
        ),
        click.option(
            "--output",
            type=click.Path(path_type=FilePath, dir_okay=False),
            metavar="FILE",
            help="Write the result there, whole or not at all, instead of to standard output.",
        ),
        click.option(
            "--config",
            type=click.Path(path_type=FilePath),
            metavar="FILE",
            is_eager=True,
            callback=opt.load_config,
            help="Take options from a TOML file.",
        ),
    ]

    def decorate(command: F) -> F:
        for option in reversed(choices):
            command = option(command)
        return command

    return decorate


@main.command(
    epilog="""\
EXAMPLES

\b
  A million connections as fast as this machine computes them:
    loadgen handshake --connections 1M
  What a web fleet's clients see over a lossy path:
    loadgen handshake -n 200k --rate 50k --rtt 40ms --loss 1% --threshold 'success_ratio>=0.999'
  A listener with a host's own settings and a short backlog:
    loadgen handshake -n 100k --rate 50k --sysctl host.sysctl --backlog 128
  Data on a SYN is not accepted:
    loadgen handshake -n 1k --syn-data 100
  Clients that believe they are connected when they are not:
    loadgen handshake -n 1k --loss third-ack=100% -o tcp_synack_retries=2
"""
)
@_common("10k")
@click.option(
    "--duration",
    type=opt.TIME,
    help="Stop at this virtual time; what is unresolved then is pending. "
    "With --rate and no --connections: how long to open.",
)
@click.option(
    "--duplicates",
    type=opt.LOSS,
    default="0",
    show_default=True,
    help="Share of segments that arrive twice, of all or by kind.",
)
@click.option(
    "--duplicate-delay",
    type=opt.TIME,
    default="0",
    show_default=True,
    help="How much later the copy arrives.",
)
@click.option(
    "--syn-data",
    type=click.IntRange(0, 1460),
    default=0,
    help="Put this many bytes on every first SYN (RFC 9293 lets the server refuse them, and it does).",
)
@click.pass_context
def handshake(ctx: click.Context, /, **given: Any) -> None:
    """Open connections and hold them: who gets through, how fast, and what happened to the rest.

    Reports connected (the client's connect() returned), served (the server's application has it) and ghost
    (the client believes it, the server does not) side by side, handshake latency in virtual time, the peak
    of half-open connections, resends, the cause of every failure, and bytes per connection.
    """
    duration, rate = given["duration"], given["rate"]
    if duration and rate and ctx.get_parameter_source("connections") is click.core.ParameterSource.DEFAULT:
        given["connections"] = max(1, duration * rate // 10**12)
        duration = None
    settings = Settings(
        **_settings(ctx, given, given["duplicates"], given["duplicate_delay"]),
        duration_ns=duration,
        syn_data=given["syn_data"],
    )
    _run(ctx, Handshake, settings, given)


@main.command(
    epilog="""\
EXAMPLES

\b
  Where TIME_WAIT goes, and when it drains:
    loadgen close --connections 1M --by client
  The textbook's four segments, the server closing 5 ms after the client:
    loadgen close -n 100k --rate 10k --rtt 40ms --close-delay 5ms
  What TIME_WAIT is for, 1: the lost last ACK (compare --time-wait 60s)
    loadgen close -n 10k --last-ack-loss 5% --time-wait 0
  What TIME_WAIT is for, 2: old segments and a new incarnation
    loadgen close -n 10k --duplicates 5% --time-wait 0
  RFC 1337: the same with TIME_WAIT, ended early by a RST
    loadgen close -n 10k --by server --duplicates 5% -o tcp_rfc1337=0
"""
)
@_common("10k")
@click.option(
    "--by",
    type=click.Choice(BY),
    default="client",
    show_default=True,
    help="Who closes first; mix: a third each, by turns.",
)
@click.option(
    "--close-delay",
    type=opt.TIME,
    default="1ms",
    show_default=True,
    help="How long after the peer's FIN the other application closes. 0: the server answers with one "
    "FIN+ACK (three segments instead of four).",
)
@click.option(
    "--half-close",
    type=opt.SHARE,
    default="0",
    show_default=True,
    help="Share of connections on which the first closer shuts down its side only and the other "
    "side goes on sending.",
)
@click.option(
    "--half-close-bytes", type=opt.COUNT, default="10k", show_default=True, help="How much that is."
)
@click.option(
    "--data",
    type=opt.COUNT,
    help="Bytes each client sends before the close. Default: 0, with --duplicates 1000.",
)
@click.option(
    "--last-ack-loss",
    type=opt.SHARE,
    default="0",
    show_default=True,
    help="Share of connections whose last ACK is lost (once).",
)
@click.option(
    "--duplicates",
    type=opt.DATA_ONLY,
    default="0",
    show_default=True,
    help="Share of data segments of which the network keeps a copy that arrives late, into a second "
    "incarnation of the connection. Both ends then go without timestamps and with a slow ISN clock "
    "(tcp_timestamps=0, isn_tick_ns=4000000, tcp_rfc1337=1, unless set): what is seen is "
    "TIME_WAIT's own work.",
)
@click.option(
    "--duplicate-delay",
    type=opt.TIME,
    default="10s",
    show_default=True,
    help="How late the copy is (a segment lives for at most half of TIME_WAIT).",
)
@click.option("--time-wait", type=opt.TIME, help="Length of TIME_WAIT, 2 MSL. Default: 60s.")
@click.pass_context
def close(ctx: click.Context, /, **given: Any) -> None:
    """Open connections, close them, and let TIME_WAIT drain.

    Reports the state population over time, TIME_WAIT's peak and when it is empty again, and what happens
    without it: peers stuck in LAST_ACK because nobody answers their FIN any more, and old segments accepted
    by a new incarnation of a connection. With TIME_WAIT of 2 MSL both are zero.
    tcp_max_tw_buckets is raised to the number of connections unless it is given.
    """
    duplicates: Rates = given["duplicates"]
    data = given["data"] if given["data"] is not None else 1000 if duplicates.any else 0
    common = _settings(ctx, given, duplicates, given["duplicate_delay"])
    common["path"] = replace(common["path"], last_ack_loss=given["last_ack_loss"], late_copies=True)
    settings = CloseSettings(
        **common,
        by=given["by"],
        close_delay_ns=given["close_delay"],
        half_close=given["half_close"],
        half_close_bytes=given["half_close_bytes"],
        data=data,
    )
    _run(ctx, Close, settings, given)


def _settings(
    ctx: click.Context, given: dict[str, Any], duplicates: Rates, duplicate_delay: int
) -> dict[str, Any]:
    """The settings both workloads share."""
    knobs, knobs_set = opt.build_knobs(
        given["sysctl"],
        ctx.meta.get("loadgen.knobs", {}),
        given["knobs"],
        given.get("time_wait"),
        profile=given["profile"],
        verbose=given["verbose"],
    )
    reorder_delay = given["reorder_delay"] if given["reorder_delay"] is not None else given["rtt"] // 2
    return {
        "connections": given["connections"],
        "rate": given["rate"] or 0,
        "arrivals": given["arrivals"],
        "hold_ns": given["hold"],
        "path": Path(
            rtt_ns=given["rtt"],
            jitter_ns=given["jitter"],
            loss=given["loss"],
            duplicates=duplicates,
            duplicate_delay_ns=duplicate_delay,
            reorder=given["reorder"],
            reorder_delay_ns=reorder_delay,
        ),
        "backlog": given["backlog"],
        "clients": given["clients"],
        "batch": given["batch"],
        "seed": given["seed"],
        "knobs": knobs,
        "knobs_set": knobs_set,
    }


def _memory_of_this_machine() -> int:
    """Bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _run(
    ctx: click.Context, workload: type[Workload[Any]], settings: Settings, given: dict[str, Any]
) -> None:
    thresholds = _thresholds(workload, settings, given["threshold"])
    if settings.memory_bytes() > _memory_of_this_machine():
        raise click.ClickException(
            f"{format_count(settings.connections)} connections need about "
            f"{format_bytes(settings.memory_bytes())} of memory, "
            f"this machine has {format_bytes(_memory_of_this_machine())}"
        )
    if settings.connections >= BIG_RUN:
        click.echo(
            f"memory: about {format_bytes(settings.memory_bytes())} for {format_count(settings.connections)} "
            f"connections, both ends; {settings.client_addresses} client addresses",
            err=True,
        )
    try:
        run = workload(settings)
        with _progress(run):
            result = run.run()
    except MemoryError as error:
        raise click.ClickException(f"out of memory: {error}") from None
    except KeyboardInterrupt:
        ctx.exit(EXIT_INTERRUPTED)
    _write(result, thresholds, given["format"], given["output"])
    if result.partial:
        ctx.exit(EXIT_INTERRUPTED)
    figures = result.figures()
    missed = [threshold.text for threshold in thresholds if not threshold.met(figures)]
    if missed:
        click.echo(f"threshold missed: {', '.join(missed)}", err=True)
        ctx.exit(EXIT_THRESHOLD)


def _thresholds(workload: type[Workload[Any]], settings: Settings, texts: tuple[str, ...]) -> list[Threshold]:
    """Parsed and checked before the run: a run of one connection has every figure a big one has."""
    if not texts:
        return []
    try:
        parsed = [Threshold.parse(text) for text in texts]
        known = workload(replace(settings, connections=1, rate=0)).run().figures()
        for threshold in parsed:
            threshold.check_name(known)
    except ThresholdError as error:
        raise click.BadParameter(str(error), param_hint="'--threshold'") from None
    return parsed


def _write(result: Result, thresholds: list[Threshold], format_: str | None, output: FilePath | None) -> None:
    suffix = output.suffix.lower() if output else ""
    chosen = format_ or {".json": "json", ".csv": "csv"}.get(suffix, "table")
    if chosen == "json":
        text = as_json(result)
    elif chosen == "csv":
        text = as_csv(result)
    else:
        colour = output is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        width = Console().width if output is None and sys.stdout.isatty() else None
        text = as_table(result, thresholds, colour=colour, width=width)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error}") from None


@contextmanager
def _progress(run: Workload[Any]) -> Iterator[None]:
    """A bar on standard error, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    n = run.settings.connections
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("opening", total=n, note="")
        due = 0.0

        def tick() -> None:
            nonlocal due
            if time.monotonic() < due:
                return
            due = time.monotonic() + 0.1
            runner = run.runner
            progress.update(
                task,
                completed=run.progress(),
                description=run.doing,
                note=f"virtual {format_duration(runner.now)}, {format_count(runner.segments)} segments",
            )

        run.runner.tick = tick
        yield


main.add_command(profiles)

if __name__ == "__main__":
    main()
