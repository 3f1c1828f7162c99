"""From a command line to a scenario: a preset or a file, and what options and -o change in it.

Each place remembers who put its value there. What cannot be read (a unit, a number) is a usage error, exit 2;
what can be read and cannot be is exit 3, both with the name of the option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from loadgen.cli import sides
from loadgen.cli.flag import Assignment, assignments
from loadgen.cli.flags import FLAGS
from loadgen.scenario import presets, toml
from loadgen.scenario.model import Scenario


@dataclass(frozen=True)
class Made:
    """A scenario, and who put each value there: dotted path -> origin."""

    kind: str
    scenario: Scenario
    origins: Mapping[str, str]


def churn_scenario(ctx: click.Context, given: dict[str, Any]) -> Made:
    """The scenario that the options of `churn` stand for."""
    return _changed(ctx, "churn", presets.churn(), {}, given)


def file_scenario(ctx: click.Context, file: Path, given: dict[str, Any]) -> Made:
    """The scenario of a file, with what the options of `run` change."""
    scenario, origins = toml.load(file)
    return _changed(ctx, "run", scenario, origins, given)


def _changed(
    ctx: click.Context, kind: str, scenario: Scenario, origins: Mapping[str, str], given: dict[str, Any]
) -> Made:
    made = dict(origins)
    for one in [*_of_knobs_table(ctx), *assignments(ctx, FLAGS, given), *_of_o(given["knobs"])]:
        scenario = _assigned(ctx, scenario, one)
        made[one.path] = one.origin
    return Made(kind, scenario, made)


def _of_knobs_table(ctx: click.Context) -> Iterable[Assignment]:
    """The table [knobs] of --config: the server's, or with the side before the name."""
    for name, value in ctx.meta.get("loadgen.knobs", {}).items():
        for path in sides.places(name) or [name]:
            yield Assignment(path, value, f"file {ctx.params.get('config')}")


def _of_o(given: Iterable[str]) -> Iterable[Assignment]:
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value.strip():
            raise click.BadParameter(f"expected NAME=VALUE, got {text!r}", param_hint="'-o'")
        for path in sides.places(name) or [name]:
            yield Assignment(path, value.strip(), "flag -o")
