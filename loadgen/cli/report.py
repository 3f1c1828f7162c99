"""`loadgen report`: a result or a study as a page; what is on it is in `loadgen.report`."""

from __future__ import annotations

from pathlib import Path

import click

from loadgen.cli import options as opt
from loadgen.cli.common import format_of, present
from loadgen.cli.compare import read_input
from loadgen.report import html, study_page
from loadgen.report.drawing import NoLibrary, library
from loadgen.report.reading import Points
from loadgen.report.result import ResultError


def require_charts() -> None:
    """ConfigError, exit 3, with the line to type, where charts cannot be drawn."""
    try:
        library()
    except NoLibrary as error:
        raise opt.ConfigError(str(error)) from None


@click.command(
    short_help="Make one page of a result or a study.",
    epilog="""\
EXAMPLES

\b
  A page of a run, to mail or to print:
    loadgen run web.toml --seeds 8 --check --output web.json
    loadgen report web.json -O web.html
  Of a study, with its response curve:
    loadgen report study/ -O study.html
"""
)
@click.argument("file", metavar="RESULT|STUDY", type=opt.FILE)
@click.option(
    "-O",
    "--output",
    type=opt.FILE,
    metavar="FILE",
    help="Write the page there, whole or not at all (.html). Default: to standard output.",
)
def report(file: Path, output: Path | None) -> None:
    """Make one page of a result file, or of the directory of a study.

    The page is one file: no network, no script, light and dark, readable on a phone, two sheets of paper, the
    data in it. It answers on its first screen and shows the evidence below. --format html of the other
    commands writes the same. Needs matplotlib: pip install 'tcpcore[report]'.
    """
    format_of("html" if output is None else None, output, {".html": "html", ".htm": "html"})
    require_charts()
    found = read_input(file)
    try:
        text = study_page.page(found) if isinstance(found, Points) else html.page(found)
    except ResultError as error:
        raise opt.ConfigError(str(error)) from None
    present({"html": lambda: text}, lambda colour, width: text, "html", output)
