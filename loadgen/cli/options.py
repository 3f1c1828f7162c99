"""From text to settings: the types of command-line values, the configuration file, the engine's knobs.

The file is TOML: keys are the command's option names (`time_wait` or `time-wait`), values as on the command
line, and a table `[knobs]` for the engine. The command line wins over the file, `-o` over `--sysctl`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path as FilePath
from typing import Any, Final, NoReturn, TypeVar

import click

from loadgen.cli.hints import hint as hint
from loadgen.scenario.knobs import native
from loadgen.units import UnitError, parse_count, parse_duration, parse_share
from tcpcore import Config

#: What a host may be told to be.
PROFILES: Final[Mapping[str, Callable[..., Config]]] = {
    "linux": Config.linux,
    "freebsd": Config.freebsd,
    "strict": Config.strict,
}

#: Knobs that the workloads set themselves.
_OURS: Final = {
    "seed": "use --seed",
    "events": "loadgen reads them itself",
    "local_addr": "the workload chooses it",
}


#: Times that an option takes: a year, so that sums of some stay far from the end of 64-bit nanoseconds.
LONGEST_NS: Final = 365 * 86400 * 10**9
#: A configuration is text that somebody has written, or `sysctl -a`.
LARGEST_FILE: Final = 16 << 20


class ConfigError(click.ClickException):
    """A bad configuration file, sysctl file or knob."""

    exit_code = 3


def refuse(name: str, message: str) -> NoReturn:
    """Bad input: exit 3, with the option's name."""
    raise ConfigError(f"{name}: {message}")


T = TypeVar("T")


class _Unit(click.ParamType[T]):
    """A value that one of the parsers of `units` reads."""

    def __init__(
        self,
        name: str,
        parse: Callable[[str], T],
        least: T | None = None,
        most: T | None = None,
        say: Callable[[T], str] = str,
    ) -> None:
        self.name = name
        self._say = say
        self._parse = parse
        self._least = least
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        try:
            parsed = self._parse(str(value))
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if self._least is not None and parsed < self._least:  # type: ignore[operator]
            self.fail(f"expected at least {self._say(self._least)}, got {value}", param, ctx)
        if self._most is not None and parsed > self._most:  # type: ignore[operator]
            self.fail(f"expected at most {self._say(self._most)}, got {value}", param, ctx)
        return parsed


COUNT: Final = _Unit("count", parse_count, 0, 2**53)  # whole numbers that a float tells apart
SHARE: Final = _Unit("share", parse_share)
TIME: Final = _Unit("time", parse_duration, 0, LONGEST_NS, lambda ns: f"{ns // (86400 * 10**9)}d")


def _time_text(text: str) -> str:
    """The text itself, where it is a time."""
    parse_duration(text)
    return text.strip()


TIME_TEXT: Final = _Unit("time", _time_text)


class _File(click.Path):
    """A name of a file, given as a Path; no name has a NUL in it."""

    def __init__(self) -> None:
        super().__init__(path_type=FilePath)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if "\0" in str(value):
            self.fail(f"expected the name of a file, got {str(value)!r}", param, ctx)
        return super().convert(value, param, ctx)


FILE: Final = _File()


class _Seed(click.IntRange):
    """A seed, or `random`: one is drawn, small enough that every JSON reader keeps it."""

    name = "seed"

    def __init__(self) -> None:
        super().__init__(0, 2**64 - 1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).strip().lower() == "random":
            import secrets  # not at the start of every command

            return secrets.randbits(53)
        return super().convert(value, param, ctx)


SEED: Final = _Seed()


def read_text(path: FilePath, what: str) -> str:
    """The file's text; ConfigError when there is none to read."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ConfigError(f"{what} {path}: expected at most {LARGEST_FILE >> 20} MiB")
        return content.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{what} {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path}: no UTF-8 text: {error.reason} at byte {error.start:,}") from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(f"{what} {path}: {error}") from None


F = TypeVar("F", bound=Callable[..., Any])

#: The options that say what the hosts are, by parameter.
KNOB_OPTIONS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "profile": click.option(
        "--profile",
        type=click.Choice(list(PROFILES)),
        help="What the host is: a Linux 6.18 host, a FreeBSD 14 host, or RFC 9293, 5961 and 6298 "
        "to the letter. Default: linux. `loadgen profiles` prints the three.",
    ),
    "sysctl": click.option(
        "--sysctl",
        type=FILE,
        metavar="FILE",
        help="Knobs from a host's own `sysctl -a`, over those of --profile.",
    ),
    "knobs": click.option(
        "-o",
        "knobs",
        multiple=True,
        metavar="KNOB=VALUE",
        help="Set a knob, by its Linux name. Repeatable.",
    ),
    "verbose": click.option(
        "-v", "--verbose", is_flag=True, help="List the keys of the --sysctl file that are no knobs here."
    ),
}


def knob_options(command: F) -> F:
    """All of KNOB_OPTIONS, in their order."""
    for option in reversed(list(KNOB_OPTIONS.values())):
        command = option(command)
    return command


def load_config(ctx: click.Context, param: click.Parameter, value: FilePath | None) -> FilePath | None:
    """Callback of --config: the file's keys become the defaults of the command's options."""
    if value is None:
        return None
    try:
        document = tomllib.loads(read_text(value, "config"))
    except RecursionError:
        raise ConfigError(f"config {value}: nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, and numbers with more digits than Python converts
        raise ConfigError(f"config {value}: {error}") from None
    wanted = document.pop("command", ctx.info_name)
    if wanted != ctx.info_name:
        other = f"loadgen {wanted}"
        raise ConfigError(f"config {value}: it is for {other!r}, not for 'loadgen {ctx.info_name}'")
    knobs = document.pop("knobs", {})
    if not isinstance(knobs, dict):
        raise ConfigError(f"config {value}: knobs: expected a table [knobs], got {knobs!r}")
    options = {
        p.name: p
        for p in ctx.command.params
        if isinstance(p, click.Option) and p.name not in ("config", "help", "knobs")
    }
    known = {name for name in options if name is not None}
    defaults: dict[str, Any] = {}
    for key, given in document.items():
        name = key.replace("-", "_")
        if name not in options:
            raise ConfigError(f"config {value}: unknown key {key!r}{hint(name, known)}")
        defaults[name] = _checked(options[name], key, given, ctx, value)
    ctx.default_map = defaults
    ctx.meta["loadgen.knobs"] = knobs
    return value


def _checked(option: click.Option, key: str, given: Any, ctx: click.Context, path: FilePath) -> Any:
    """The value as the option will see it; ConfigError when the option refuses it."""
    if isinstance(given, dict) or (isinstance(given, list) and not option.multiple):
        raise ConfigError(f"config {path}: {key}: expected one value, got {given!r}")
    if option.multiple:
        return given if isinstance(given, list) else [given]
    if option.name in ("sysctl", "client_sysctl", "bytes", "from_host", "client_from_host", "output"):
        return str(path.parent / str(given))
    try:
        option.type_cast_value(ctx, given if isinstance(given, bool) else str(given))
    except click.BadParameter as error:
        raise ConfigError(f"config {path}: {key}: {error.message}") from None
    return given if isinstance(given, bool) else str(given)


def parse_knob(text: str) -> tuple[str, Any]:
    """`knob=value`: whole numbers (also 50k), on/off words, `none`, two numbers, or a name."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise click.BadParameter(f"expected knob=value, got {text!r}", param_hint="'-o'")
    return name.strip(), native(name.strip(), value.strip(), ",")


def build_knobs(
    sysctl: FilePath | None,
    from_file: Mapping[str, Any],
    given: Iterable[str],
    time_wait_ns: int | None,
    *,
    profile: str | None = None,
    verbose: bool = False,
) -> tuple[Config, frozenset[str]]:
    """The engines' Config, and the names of the knobs the user has set.

    Each wins over the one before it: the profile, the sysctl file, the file's knobs, the command line.
    """
    chosen: dict[str, Any] = {name: _native(name, value) for name, value in from_file.items()}
    chosen |= _one_word(given, time_wait_ns)
    known = [f.name for f in fields(Config)]
    for name in chosen:
        if name in _OURS:
            raise ConfigError(f"knob {name!r} cannot be set here: {_OURS[name]}")
        if name not in known:
            raise ConfigError(f"unknown knob {name!r}{hint(name, known)}")
    base = PROFILES[profile or "linux"]()
    host, taken = ({}, ()) if sysctl is None else read_sysctl(sysctl, verbose)
    try:
        return base.replace(**{**host, **chosen}), frozenset(chosen) | frozenset(taken)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{'knobs' if sysctl is None else f'{sysctl} and knobs'}: {error}") from None


def _one_word(given: Iterable[str], time_wait_ns: int | None) -> dict[str, Any]:
    """What the command line sets; a usage error where it says two things about one knob."""
    chosen: dict[str, Any] = {}
    if time_wait_ns is not None:
        chosen["time_wait_ms"] = -(-time_wait_ns // 1_000_000)
    for name, value in map(parse_knob, given):
        if name in chosen and chosen[name] != value:
            by = "--time-wait" if name == "time_wait_ms" and time_wait_ns is not None else "another -o"
            raise click.BadParameter(
                f"{name} is contradictory: {value} here, {chosen[name]} by {by}", param_hint="'-o'"
            )
        chosen[name] = value
    return chosen


def read_sysctl(path: FilePath, verbose: bool) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The knobs of a host by its own settings, and which of them the file names.

    What follows from the system or its kernel's version, and what matters and is not modelled, is told on
    standard error; the other keys are counted there, and listed if `verbose`.
    """
    try:
        host = Config.from_sysctl(read_text(path, "sysctl"))
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{path}: {error}") from None
    note = f"{path}: {len(host.sysctl_taken)} knobs taken, {host.sysctl_ignored} other keys ignored"
    click.echo(note + ("" if verbose or not host.sysctl_ignored else " (-v lists them)"), err=True)
    for line in host.sysctl_notes:
        click.echo(f"  {line}", err=True)
    if host.sysctl_unmodelled:
        click.echo(f"  they matter and are not modelled: {', '.join(host.sysctl_unmodelled)}", err=True)
    for name in host.sysctl_unknown if verbose else ():
        click.echo(f"  {name}", err=True)
    named = host.sysctl_taken
    return {name: getattr(host, name) for name in (*host.sysctl_implied, *named)}, named


def _native(name: str, value: Any) -> Any:
    if isinstance(value, str):
        return native(name, value, ",")
    return tuple(value) if isinstance(value, list) else value
