"""`loadgen metrics`: every figure of a result by its name, its unit and what it means.

The rows are `loadgen.report.metrics.TABLE`, the ones by which results are made and thresholds checked.
"""

from __future__ import annotations

import csv
import io
import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from loadgen.cli import options as opt
from loadgen.cli.common import present
from loadgen.report import metrics as reference
from loadgen.report.metrics import Metric

_DIRECTION: Final = {"lower": "lower is better", "higher": "higher is better", "none": ""}


def as_text(rows: Sequence[Metric], width: int = 80) -> str:
    """The name on a line, below it unit, direction and meaning."""
    lines = []
    for metric in rows:
        about = ", ".join(filter(None, [metric.unit, _DIRECTION[metric.better]]))
        lines.append(f"{metric.name}  [{about}]")
        lines += textwrap.wrap(metric.meaning, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"


def as_rows(rows: Sequence[Metric]) -> list[dict[str, str]]:
    """For programs; `seeds` is how a figure of several seeds is made."""
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "better": metric.better,
            "seeds": reference.SEEDS[metric.kind],
            "meaning": metric.meaning,
        }
        for metric in rows
    ]


def as_csv(rows: Sequence[Metric]) -> str:
    """name,unit,better,seeds,meaning."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "unit", "better", "seeds", "meaning"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_rows(rows))
    return text.getvalue()


@click.command(
    short_help="Print the figures of a result: name, unit, meaning.",
    epilog="""\
EXAMPLES

\b
  All about ports; what happens at an accept queue:
    loadgen metrics ports
    loadgen metrics accept
  The counters of either end, as nstat has them:
    loadgen metrics 'counters.server.*'
  What a name in a threshold stands for:
    loadgen metrics load.web.first_try_ratio
"""
)
@click.argument("pattern", default="")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "json", "csv"]),
    help="Default: by the name of --output, else table.",
)
@click.option("--output", type=opt.FILE, metavar="FILE", help="Write it there, whole or not at all.")
def metrics(pattern: str, format_: str | None, output: Path | None) -> None:
    """The figures of a result: name, unit, which way is better, meaning.

    PATTERN is a part of the name, or has * and ?. SIDE in a name stands for client or server, NAME for the
    name of a load or flood. Each is a --threshold, a key of the JSON's "metrics", and result["..."] in
    Python. Times are ns in JSON; a threshold takes any unit.
    """
    rows = reference.lookup(pattern)
    if not rows:
        near = reference.nearest(pattern, n=3)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise opt.ConfigError(f"no metric matches {pattern!r}{hint}")
    present(
        {"json": lambda: json.dumps(as_rows(rows), indent=2) + "\n", "csv": lambda: as_csv(rows)},
        lambda colour, width: as_text(rows, width or 80),
        format_,
        output,
    )
