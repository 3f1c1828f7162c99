"""An option that stands for a place of the scenario: how it is typed, and the text that it puts there.

What a text means is said by `loadgen.scenario` alone, so that an option, `-o PATH=VALUE` and a line of a
scenario file are read alike. `assignments` lists what the command line, the environment and --config give.
The options themselves are in `flags`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from loadgen.units import UnitError, is_number, parse_duration

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Flag:
    """An option that sets one place of the scenario, or several by `split`."""

    name: str  # of the parameter
    paths: tuple[str, ...]
    help: str
    metavar: str = "TEXT"
    words: tuple[str, ...] = ()  # how it is typed; by its name where none are given
    choices: tuple[str, ...] = ()
    split: Callable[[str], dict[str, str]] | None = None  # text -> place below the path -> text
    is_flag: bool = False
    type: click.ParamType[Any] | None = None
    instead: Callable[[str], str] | None = None  # of an old spelling: what to write now

    def option(self) -> Callable[[F], F]:
        words = self.words or (f"--{self.name.replace('_', '-')}",)
        if self.is_flag:
            return click.option(*words, self.name, is_flag=True, default=None, help=self.help)
        kind = click.Choice(self.choices) if self.choices else self.type or TEXT
        metavar = None if self.choices else self.metavar
        hidden = self.instead is not None
        return click.option(*words, self.name, type=kind, metavar=metavar, help=self.help, hidden=hidden)

    def values(self, given: Any) -> dict[str, str]:
        """Place -> text. Raises UnitError."""
        text = str(given).lower() if self.is_flag else str(given)
        parts = {"": text} if self.split is None else self.split(text)
        return {
            path + ("." + part if part else ""): value for path in self.paths for part, value in parts.items()
        }


class _Text(click.ParamType[str]):
    """Any text that a scenario could hold."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if not text or not text.isprintable():
            self.fail(f"expected a value, got {text!r}", param, ctx)
        return text


TEXT: Final = _Text()


def ports(text: str) -> dict[str, str]:
    """`1024-65535`."""
    low, dash, high = text.partition("-")
    if not (dash and is_number(low.strip()) and is_number(high.strip())):
        raise UnitError(f"expected a range of ports such as 1024-65535, got {text!r}")
    return {"": f"{low.strip()},{high.strip()}"}


def stall(text: str) -> dict[str, str]:
    """`250ms/2s`: so long, so often."""
    return _pair(
        text,
        f"expected LENGTH/PERIOD, got {text!r}: how often? {text}/2s is {text} every 2 s; with a PERIOD "
        "above half of --duration there is one stall",
    )


def bursts(text: str) -> dict[str, str]:
    """`2s/8s`: on, off."""
    return _pair(text, f"expected ON/OFF such as 2s/8s, got {text!r}")


def _pair(text: str, expected: str) -> dict[str, str]:
    first, slash, second = text.partition("/")
    parse_duration(first)
    if not slash:
        raise UnitError(expected)
    parse_duration(second)
    return {"": text}


def time_wait(text: str) -> dict[str, str]:
    """A time as the knob takes it: whole milliseconds, rounded up."""
    return {"": str(-(-parse_duration(text) // 1_000_000))}


def tries(text: str) -> dict[str, str]:
    """`os`, `3`, `3,1s*2` or `3,1s*2,0.5`."""
    if text == "os":
        return {"": text}
    values = [part.strip() for part in text.split(",")]
    if len(values) > 3 or not is_number(values[0]):
        raise UnitError(f"expected os, or COUNT[,BACKOFF*FACTOR[,JITTER]] such as 3,1s*2,0.5, got {text!r}")
    return {"": text}


def late(text: str) -> dict[str, str]:
    """`10s:1e-7`."""
    after, colon, share = text.partition(":")
    if not colon:
        raise UnitError(f"expected AFTER:SHARE such as 10s:1e-7, got {text!r}")
    return {"after": after, "share": share}


def flags(group: Iterable[Flag]) -> Callable[[F], F]:
    """Give a command these options, in this order."""

    def decorate(command: F) -> F:
        for flag in reversed(list(group)):
            command = flag.option()(command)
        return command

    return decorate


@dataclass(frozen=True)
class Assignment:
    """A value for a place of the scenario, and who put it there."""

    path: str
    value: object
    origin: str
    name: str  # as it is called in a message
    param: click.Parameter | None = None


def assignments(ctx: click.Context, known: Mapping[str, Flag], given: dict[str, Any]) -> list[Assignment]:
    """What the flags say that were given, the weakest first: --config, the environment, the command line."""
    found: list[tuple[int, Assignment]] = []
    for param in ctx.command.params:
        flag = known.get(param.name or "")
        if flag is None or given.get(flag.name) is None:
            continue
        rank, origin = _source(ctx, param)
        try:
            values = flag.values(given[flag.name])
        except UnitError as error:
            raise click.BadParameter(str(error), ctx, param) from None
        found += [
            (rank, Assignment(path, text, origin, max(param.opts, key=len), param))
            for path, text in values.items()
        ]
    return [assignment for _, assignment in sorted(found, key=lambda pair: pair[0])]


def _source(ctx: click.Context, param: click.Parameter) -> tuple[int, str]:
    source = ctx.get_parameter_source(param.name or "")
    if source is ParameterSource.COMMANDLINE:
        return 2, f"flag {max(param.opts, key=len)}"
    if source is ParameterSource.ENVIRONMENT:
        return 1, f"environment {ctx.auto_envvar_prefix}_{(param.name or '').upper()}"
    return 0, f"file {ctx.params.get('config') or '--config'}"
