"""`--from-host DIR`: what the files of a host set in a scenario, as the weakest of all that set something.

The scenario file, --config, the environment and the options win over it, whichever place they say; what is
not taken for that reason is told on standard error, as are notes about the files.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from loadgen.cli.flag import Assignment
from loadgen.cli.options import ConfigError
from loadgen.host import folder
from loadgen.host.changes import changes
from loadgen.scenario.errors import Mistake
from loadgen.scenario.model import Scenario
from loadgen.scenario.traces import read_text

#: Places with which a rate of the host makes no sense.
_LOADS: Final = ("load.concurrency", "load.shape", "load.arrivals", "load.rate")


def assignments(
    directory: Path | None, scenario: Scenario, file: Path | None, found: Mapping[str, Any]
) -> list[Assignment]:
    """What the files in the folder set; `file` is the scenario file, `found` path -> value of options."""
    if directory is None:
        return []
    written = set() if file is None else set(_leaves(tomllib.loads(read_text(str(file))), ""))
    taken = {*written, *found}
    try:
        host = folder.read(directory)
        made = changes(host, taken, _port(scenario, written, found))
    except Mistake as error:
        raise ConfigError(f"--from-host: {error}") from None
    for note in made.notes:
        click.echo(note, err=True)
    kept = []
    for path, value in made.values.items():
        if _is_set(path, taken, file is not None and bool(scenario.load)):
            if path not in found:
                click.echo(f"{path} = {value} of the host is not taken: the scenario says its own", err=True)
            continue
        kept.append(Assignment(path, value, made.origins[path], "--from-host"))
    return kept


def _leaves(table: Mapping[str, Any], before: str) -> Iterator[str]:
    """The paths of what a scenario file sets; [[load]] and the like by their name alone."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield f"{before}{name}"


def _is_set(path: str, taken: Collection[str], has_load: bool) -> bool:
    if path.startswith("load."):
        return has_load or path in taken or (path == "load.rate" and any(one in taken for one in _LOADS))
    return path in taken or any(one.startswith(f"{path}.") for one in taken)


def _port(scenario: Scenario, written: Collection[str], found: Mapping[str, Any]) -> int | None:
    """The port that somebody else sets."""
    if "server.listen.port" in found:
        text = str(found["server.listen.port"])
        return int(text) if text.isdecimal() else None
    return scenario.server.listen.port if "server.listen.port" in written else None
