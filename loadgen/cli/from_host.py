"""`--from-host DIR`, `--client-from-host DIR`: what the files of a host set in a scenario, as the weakest.

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
from loadgen.host.changes import Changes, changes, of_clients
from loadgen.scenario.errors import Mistake
from loadgen.scenario.model import Scenario
from loadgen.scenario.traces import read_text

#: Places with which a rate of the host makes no sense.
_LOADS: Final = ("load.concurrency", "load.shape", "load.arrivals", "load.rate")


def assignments(
    given: Mapping[str, Any], scenario: Scenario, file: Path | None, found: Mapping[str, Any]
) -> list[Assignment]:
    """What the files in the folders set; `file` is the scenario file, `found` path -> value of options.

    The server's folder wins over the clients', where both say what the load is.
    """
    written = set() if file is None else set(_leaves(tomllib.loads(read_text(str(file))), ""))
    has_load = file is not None and bool(scenario.load)
    kept: list[Assignment] = []
    for name in ("from_host", "client_from_host"):
        directory, flag = given.get(name), f"--{name.replace('_', '-')}"
        if directory is None:
            continue
        taken = {*written, *found, *(one.path for one in kept)}
        try:
            host = folder.read(directory)
            port = _port(scenario, written, found)
            made = of_clients(host) if "client" in name else changes(host, taken, port)
        except Mistake as error:
            raise ConfigError(f"{flag}: {error}") from None
        kept += _kept(made, flag, taken, found, has_load)
    return kept


def _kept(
    made: Changes, flag: str, taken: Collection[str], found: Mapping[str, Any], has_load: bool
) -> Iterator[Assignment]:
    """Those that nobody else sets; the others are told."""
    for note in made.notes:
        click.echo(note, err=True)
    hosts_load = not _is_set("load.rate", taken, has_load)
    for path, value in made.values.items():
        if _is_set(path, taken, has_load) or (path == "client.hosts" and not hosts_load):
            if path not in found:
                click.echo(f"{path} = {value} of the host is not taken: the scenario says its own", err=True)
            continue
        yield Assignment(path, value, made.origins[path], flag)


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
