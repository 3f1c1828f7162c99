"""`loadgen run`: its options and help."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from loadgen.cli import options as opt
from loadgen.cli.flag import flags
from loadgen.cli.flags import HOSTS, TIMELINE, result_options
from loadgen.cli.host_flags import KERNEL
from loadgen.cli.playing import play_and_present
from loadgen.cli.scenes import file_scenario
from loadgen.replicates import PROCESSES


@click.command(
    short_help="Play a scenario file.",
    epilog="""\
EXAMPLES

\b
  Play a scenario file (examples/edge-web.toml is one):
    loadgen run web.toml
  The same with a longer backlog and twice the load, over eight seeds on two processors:
    loadgen run web.toml -o backlog=1023 -o load.rate=6k/s --seeds 8 --jobs 2
  Is it good enough? Exit 99 if not:
    loadgen run web.toml --threshold 'load.browsers.first_try_ratio>=0.999'
  What is in it, and where does each line come from?
    loadgen run web.toml --print-config
"""
)
@click.argument("file", type=opt.FILE)
@click.option(
    "--shards",
    type=click.IntRange(0, 1 << 16),
    is_flag=False,
    flag_value="0",
    metavar="[N]",
    help="Play its listeners, which share nothing (SO_REUSEPORT), as N simulations and add them up, so that "
    "more connections fit: only --jobs of them take memory at once. Without N, or 0: as many as listeners.",
)
@click.option(
    "--executor",
    default=PROCESSES,
    show_default=True,
    metavar="NAME",
    help="Where replicates and shards are played: processes, dask:ADDRESS, dask:local, or MODULE:FACTORY, a "
    "function that gives a concurrent.futures.Executor. Changes the speed, never the result.",
)
@flags(TIMELINE)
@flags(HOSTS)
@flags(KERNEL)
@result_options
@click.pass_context
def run(ctx: click.Context, /, file: Path, **given: Any) -> None:
    """Play a scenario file: hosts, loads, floods, events and the link between them.

    -o PATH=VALUE changes any place of it for this run (-o server.listen.backlog=1023), or an end of one that
    is not ambiguous (-o backlog=1023); load.rate scales all loads. Thresholds of the file count, too.
    """
    made = file_scenario(ctx, file, given)
    play_and_present(ctx, made, given)
