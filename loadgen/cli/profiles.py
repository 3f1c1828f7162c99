"""`loadgen profiles`: what linux, freebsd and strict set differently, knob by knob.

With --sysctl, --profile, -o or a file's [knobs] there is a fourth column, "yours": the settings a workload
given the same options would run with. What a knob does is said by its declaration in tcpcore, not here.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from loadgen.cli import options as opt
from loadgen.cli.common import present
from tcpcore import Config

#: Not part of what a host is: the size and the seed of a simulation.
_OURS: Final = ("capacity", "seed", "local_addr", "events")
_YOURS: Final = "yours"


def columns(yours: Config | None) -> dict[str, Config]:
    """The profiles under their names, and the reader's own settings last."""
    return {name: profile() for name, profile in opt.PROFILES.items()} | ({_YOURS: yours} if yours else {})


def rows(side_by_side: Mapping[str, Config]) -> dict[str, dict[str, Any]]:
    """Knob -> its value in every column, in the order of `Config`."""
    names = [knob.name for knob in fields(Config) if knob.name not in _OURS]
    return {name: {key: getattr(c, name) for key, c in side_by_side.items()} for name in names}


def documentation() -> dict[str, str]:
    """Knob -> what it does, its values and their unit, as declared."""
    said = {knob.name: knob.metadata["knob"] for knob in fields(Config) if knob.name not in _OURS}
    return {
        name: f"{knob.doc} [{', '.join(filter(None, [knob.domain, knob.unit]))}]"
        for name, knob in said.items()
    }


def differs(values: Mapping[str, Any]) -> bool:
    """Whether the columns disagree."""
    return len(set(values.values())) > 1


def say(value: Any) -> str:
    """A value as `-o` takes it."""
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def as_table(table: Mapping[str, Mapping[str, Any]], *, colour: bool, explain: bool = False) -> str:
    """One row per knob; `*` before the name of one on which the columns disagree, and after each value
    that is not linux's. With `explain` a last column says what the knob does."""
    names = list(next(iter(table.values())))
    grid = Table("", "knob", *names, *["what it does"] * explain, box=None, pad_edge=False)
    does = documentation()
    for knob, values in table.items():
        odd = differs(values)
        cells = [
            Text(say(value) + (" *" if value != values["linux"] else ""), style="bold" if odd else "dim")
            for value in values.values()
        ]
        name = Text(knob, style="bold" if odd else "dim")
        grid.add_row("*" if odd else "", name, *cells, *[Text(does[knob])] * explain)
    text = io.StringIO()
    # wide enough for every name: a wrapped knob cannot be copied
    width = 160 + explain * max(map(len, does.values()))
    Console(
        file=text, force_terminal=colour, no_color=not colour, width=width, highlight=False, markup=False
    ).print(grid)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    odd_ones, all_of_them = sum(map(differs, table.values())), len(fields(Config)) - len(_OURS)
    return "\n".join([*lines, "", f"{odd_ones} of {all_of_them} knobs differ (*: not as on linux)"]) + "\n"


def as_json(table: Mapping[str, Mapping[str, Any]]) -> str:
    """One document: schema, command, the columns' names, and per knob the values, whether they differ, and
    what it does."""
    does = documentation()
    knobs = {
        knob: {"differs": differs(values), **values, "doc": does[knob]} for knob, values in table.items()
    }
    names = list(next(iter(table.values())))
    document = {"schema": 1, "command": "profiles", "profiles": names, "knobs": knobs}
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_csv(table: Mapping[str, Mapping[str, Any]]) -> str:
    """knob,differs,linux,freebsd,strict[,yours],doc: values as `-o` takes them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    does = documentation()
    writer.writerow(["knob", "differs", *next(iter(table.values())), "doc"])
    for knob, values in table.items():
        writer.writerow([knob, int(differs(values)), *map(say, values.values()), does[knob]])
    return text.getvalue()


@click.command(
    short_help="Print what linux, freebsd and strict are, side by side.",
    epilog="""\
EXAMPLES

\b
  Where the three part:
    loadgen profiles --differing
  What each of them does, a line a knob:
    loadgen profiles --differing --explain
  What this host does, beside them:
    sysctl -a 2>/dev/null >host.sysctl; loadgen profiles --sysctl host.sysctl
  A FreeBSD host that answers as RFC 793 wants, for a program to read:
    loadgen profiles --profile freebsd -o insecure_rst=1 --format json
"""
)
@opt.knob_options
@click.option("--differing", is_flag=True, help="Only the knobs on which the columns disagree.")
@click.option("--explain", is_flag=True, help="In the table, what each knob does and the values it takes.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "csv"]),
    help="Default: by the name of --output, else table.",
)
@click.option(
    "--output",
    type=opt.FILE,
    metavar="FILE",
    help="Write it there, whole or not at all, instead of to standard output.",
)
def profiles(
    profile: str | None,
    sysctl: Path | None,
    knobs: tuple[str, ...],
    verbose: bool,
    differing: bool,
    explain: bool,
    format_: str | None,
    output: Path | None,
) -> None:
    """The profiles linux, freebsd and strict side by side, one row per knob, differences marked.

    With --profile, --sysctl or -o there is a column "yours" besides: the settings that a workload with these
    options runs with. Every value is written as -o takes it.
    """
    yours = None
    if profile or sysctl or knobs:
        yours, _ = opt.build_knobs(sysctl, {}, knobs, None, profile=profile, verbose=verbose)
    table = rows(columns(yours))
    if differing:
        table = {knob: values for knob, values in table.items() if differs(values)}
    present(
        {"json": lambda: as_json(table), "csv": lambda: as_csv(table)},
        lambda colour, width: as_table(table, colour=colour, explain=explain),
        format_,
        output,
    )
