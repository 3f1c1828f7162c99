"""What the commands share: exit codes, the format of an output and where it goes.

Exit codes: 0 fine, 1 failed, 2 usage, 3 bad configuration or input, 99 a threshold was missed,
130 interrupted, 143 by SIGTERM (what was measured so far is still reported, marked partial).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Final

import click

from loadgen.cli import options as opt
from loadgen.output import OutputError, check_writable, write_file, write_stdout

EXIT_FAILED: Final = 1
EXIT_THRESHOLD: Final = 99

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
        text = table(terminal and not os.environ.get("NO_COLOR"), _width() if terminal else None)
    try:
        if output is None:
            write_stdout(text)
        else:
            write_file(output, text)
    except OutputError as error:
        raise click.ClickException(str(error)) from None


def _width() -> int:
    """Of the terminal. Rich is imported where there is one: that takes longer than to play a little."""
    from rich.console import Console

    return Console().width
