"""`loadgen compare`: its options, its exit codes; what is compared and judged is in `loadgen.comparing`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from loadgen.cli import options as opt
from loadgen.cli.common import format_of, present
from loadgen.comparing import judging, text
from loadgen.comparing.comparison import Options
from loadgen.comparing.comparison import compare as compared
from loadgen.comparing.settings import NotComparable
from loadgen.report.reading import Points, read
from loadgen.report.result import Result, ResultError
from loadgen.units import UnitError

_FORMATS: Final = {"": "table", ".txt": "table", ".json": "json", ".md": "markdown"}


@click.command(
    short_help="Set two results or studies against each other.",
    epilog="""\
EXAMPLES

\b
  Did a longer backlog help, and did anything else move?
    loadgen compare old.json new.json
  In CI: exit 99 if more than 0.1 points of the clients lose their first try
    loadgen compare main.json branch.json --threshold 'first_try_ratio: -0.1%'
  For a pull request:
    loadgen compare main.json branch.json --format markdown
  Two studies, point by point:
    loadgen compare study-1/ study-2/

EXIT CODES

\b
   0  none is worse         99  one is worse, or two runs of one thing differ
   1  failed or partial      3  not comparable: schema, duration, metrics
"""
)
@click.argument("old", type=opt.FILE)
@click.argument("new", type=opt.FILE)
@click.option(
    "--threshold",
    multiple=True,
    metavar="METRIC:CHANGE",
    help="Judge METRIC; it may get worse by CHANGE: 'first_try_ratio: -0.1%' (points of a ratio, else a "
    "share of the old value), 'accept_wait.p99: +5ms'. Repeatable. The targets of the results are judged "
    "without it, too.",
)
@click.option(
    "--allow-change",
    multiple=True,
    metavar="METRIC",
    help="Of two runs of the same settings and seeds, let this figure differ (* and ? match). Repeatable.",
)
@click.option("--allow-partial", is_flag=True, help="Judge what failed or was cut short, too.")
@click.option("--strict", is_flag=True, help="What is not decided counts as worse.")
@click.option(
    "--wall",
    type=opt.SHARE,
    metavar="SHARE",
    help="Judge wall time: its median may be longer by so much. Needs five runs a side on one machine.",
)
@click.option("--all", "everything", is_flag=True, help="List what did not move, too.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "markdown"]),
    help="Default: by the name of --output (.txt, .json, .md), else table.",
)
@click.option("-O", "--output", type=opt.FILE, metavar="FILE", help="Write it there, whole or not at all.")
@click.pass_context
def compare(
    ctx: click.Context,
    old: Path,
    new: Path,
    threshold: tuple[str, ...],
    allow_change: tuple[str, ...],
    allow_partial: bool,
    strict: bool,
    wall: float | None,
    everything: bool,
    format_: str | None,
    output: Path | None,
) -> None:
    """Set two results, or two studies, against each other: what differs, what moved, whether one is worse.

    OLD and NEW are result files (--format json) or the directories of two studies, whose points are matched
    by their settings. Runs with the same seeds are compared pair by pair, others as two samples; one run a
    side gives no verdict. What is judged are the targets of the results and each --threshold.
    """
    chosen = format_of(format_, output, _FORMATS)
    before, after = read_input(old), read_input(new)
    options = Options(
        _allowed(threshold, before), allow_change, allow_partial=allow_partial, strict=strict, wall=wall
    )
    try:
        done = compared(before, after, options)
    except NotComparable as error:
        raise opt.ConfigError(f"not comparable: {error}") from None
    present(
        {
            "json": lambda: text.as_json(done),
            "markdown": lambda: text.as_markdown(done, everything=everything),
        },
        lambda colour, width: text.as_table(done, everything=everything, colour=colour),
        chosen,
        output,
    )
    if done.code:
        click.echo(text.conclusions(done)[-1], err=True)
    ctx.exit(done.code)


def read_input(path: Path) -> Result | Points:
    """A result or a study; ConfigError, exit 3, in one line for what is neither."""
    try:
        return read(path)
    except ResultError as error:
        raise opt.ConfigError(str(error)) from None


def _allowed(given: tuple[str, ...], old: Result | Points) -> tuple[judging.Allowed, ...]:
    first = old if isinstance(old, Result) else next((point.result for point in old.points), None)
    if first is None:
        raise opt.ConfigError("the old study has no point that was played")
    try:
        return tuple(judging.parse(text, first.scenario) for text in given)
    except UnitError as error:
        raise click.BadParameter(str(error), param_hint="'--threshold'") from None
    except judging.UnknownName as error:
        raise opt.ConfigError(f"--threshold: {error}") from None
