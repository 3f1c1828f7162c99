"""From a command line to a scenario: a preset or a file, and what options and -o change in it.

Each place remembers who put its value there. What cannot be read (a unit, a number) is a usage error, exit 2;
what can be read and cannot be is exit 3, both with the name of the option.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from loadgen.cli import from_host, sides
from loadgen.cli.flag import Assignment, Flag, assignments
from loadgen.cli.flags import FLAGS
from loadgen.cli.options import ConfigError
from loadgen.report import before
from loadgen.scenario import paths, presets, toml
from loadgen.scenario.check import check, implausible
from loadgen.scenario.errors import Mistake, ScenarioError, shown
from loadgen.scenario.lines import lines_of
from loadgen.scenario.model import Flood, Scenario, Threshold
from loadgen.scenario.readers import TESTS, bound
from loadgen.units import TooLarge, UnitError

Make = Callable[[Scenario, Mapping[str, object]], Scenario]

#: Options that change no result.
_NO_RESULT: Final = (
    "jobs", "force", "format", "output", "print_config", "verbose", "executor", "memory", "yes", "dry_run",
    "export", "extend",
)  # fmt: skip
_HEAD: Final = "# printed by: "
_THRESHOLD: Final = re.compile(r"\s*([A-Za-z][\w.-]*?)\s*(>=|<=|==|!=|>|<)\s*(\S+)\s*")


@dataclass(frozen=True)
class Made:
    """A scenario, and who put each value there: dotted path -> origin."""

    kind: str  # the command
    command: str  # the command line that gives the same result
    scenario: Scenario
    origins: Mapping[str, str]
    base: Scenario = Scenario()  # what options changed, a flood for them included
    changes: Mapping[str, object] = field(default_factory=dict)  # whole path -> value, of options


def preset_scenario(
    ctx: click.Context,
    kind: str,
    given: dict[str, Any],
    old: Mapping[str, Flag] | None = None,
    more: Iterable[Assignment] = (),
) -> Made:
    """The scenario that the options of a preset stand for.

    `old` are spellings that are understood and told of, `more` what other options than flags set.
    """
    made = Made(kind, command_line(ctx), presets.BASES[kind], {})
    return _changed(ctx, made, _preset, given, old or {}, more)


def file_scenario(ctx: click.Context, file: Path, given: dict[str, Any]) -> Made:
    """The scenario of a file, with what the options of `run` change."""
    try:
        made = Made("run", command_line(ctx), toml.from_toml(file), toml.origins_of(file))
    except ScenarioError as error:
        raise ConfigError(str(error)) from None
    changed = _changed(ctx, made, _with_changes, given)
    return changed if changed.scenario != made.scenario else _as_printed(file, made)


def planned_scenario(
    ctx: click.Context, base: Scenario, make: Make, given: dict[str, Any], known: Mapping[str, Flag]
) -> Made:
    """The scenario that options make of `base`, for a command with flags of its own."""
    return _changed(ctx, Made("plan", command_line(ctx), base, {}), make, given, known)


def printed(made: Made) -> str:
    """The scenario as a file, each line with where it comes from."""
    try:
        return f"{_HEAD}{made.command}\n{toml.print_config(made.scenario, made.origins)}"
    except ScenarioError as error:
        raise ConfigError(str(error)) from None


def command_line(ctx: click.Context, command: str = "", without: Collection[str] = ()) -> str:
    """What gives the same result again: the options that were given, but for those that change no result.

    `command` may be another one that has these options, and `without` those it does not have.
    """
    words = ["loadgen", command or ctx.info_name or ""]
    for param in ctx.command.params:
        value, name = ctx.params.get(param.name or ""), max(param.opts, key=len)
        if param.name in {*_NO_RESULT, *without, "config"} or value is None or value is False or value == ():
            continue
        if ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT:
            continue
        if isinstance(param, click.Argument):
            words.append(str(value))
        elif value is True:
            words.append(name)
        else:
            for one in value if isinstance(value, tuple) else (value,):
                words += [name, str(one)]
    return shlex.join(words)


def _as_printed(file: Path, made: Made) -> Made:
    """A file that `printed` wrote still says who set what, so that it gives the same result to the byte."""
    text = file.read_text(encoding="utf-8-sig")
    if not text.startswith(_HEAD):
        return made
    command = text.splitlines()[0].removeprefix(_HEAD)
    return Made(command.split()[1], command, made.scenario, origins_in(text))


def origins_in(text: str) -> dict[str, str]:
    """Path -> the origin that its line has in a text of `printed`."""
    lines, origins = text.splitlines(), {}
    for place, number in lines_of(text).items():
        _, mark, origin = lines[number - 1].rpartition(" # ")
        if mark and origin.split()[0] in ("flag", "environment", "file", "preset", "host"):
            origins[".".join(map(str, place))] = origin
    return origins


def _changed(
    ctx: click.Context,
    made: Made,
    make: Make,
    given: dict[str, Any],
    old: Mapping[str, Flag] | None = None,
    more: Iterable[Assignment] = (),
    known: Mapping[str, Flag] = FLAGS,
) -> Made:
    """What --config, the environment, the command line and -o change, the weakest first."""
    known = {**known, **(old or {})}
    found = [*_of_knobs_table(ctx), *assignments(ctx, known, given), *more, *_of_o(given["knobs"])]
    if made.kind in before.KINDS:
        _refuse_contradictions(found)
    scenario, found = _with_flood(ctx, made.scenario, found)
    said = {_whole(scenario, one): one.value for one in found}
    found = [*from_host.assignments(given, scenario, ctx.params.get("file"), said), *found]
    changes: dict[str, object] = {}
    origins = dict(made.origins)
    for one in found:
        path = _whole(scenario, one)
        changes.pop(path, None)
        changes[path] = one.value
        origins[path] = one.origin
    try:
        changed = make(scenario, changes)
        thresholds = [_threshold(text, made.kind) for text in given["threshold"]]
        changed = dataclasses.replace(changed, threshold=(*changed.threshold, *thresholds))
        check(changed)
    except ScenarioError as error:
        raise _refusal(ctx, scenario, make, found, error) from None
    for text in implausible(changed):
        click.echo(text, err=True)
    return Made(made.kind, made.command, changed, origins, scenario, changes)


def _refuse_contradictions(found: Iterable[Assignment]) -> None:
    """Two -o of one knob, or -o and --time-wait, that say different things."""
    known: dict[str, Assignment] = {}
    for one in found:
        other = known.get(one.path)
        if one.origin == "flag -o" and other is not None and str(other.value) != str(one.value):
            name = one.path.rpartition(".")[2]
            by = "another -o" if other.origin == "flag -o" else other.name
            raise click.BadParameter(
                f"{name} is contradictory: {one.value} here, {other.value} by {by}", param_hint="'-o'"
            )
        if one.origin == "flag -o" or one.name == "--time-wait":
            known[one.path] = one


def _with_changes(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    return scenario.replace(changes)


def _preset(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    """The preset chooses what the options leave open; only that of a flood has one."""
    if presets.BASES[scenario.name].flood:
        return presets.preset(scenario.name, changes)
    of_flood = {path: value for path, value in changes.items() if path.split(".")[0] == "flood"}
    others = {path: value for path, value in changes.items() if path not in of_flood}
    made = presets.preset(scenario.name, others)
    return dataclasses.replace(made, flood=scenario.flood).replace(of_flood) if scenario.flood else made


def _with_flood(
    ctx: click.Context, scenario: Scenario, found: list[Assignment]
) -> tuple[Scenario, list[Assignment]]:
    """A flood to set where options say something of one; a rate of 0 is none."""
    asked = [one for one in found if one.path.startswith("flood.") and one.param is not None]
    if not asked or scenario.flood:
        return scenario, found
    rates = [one for one in asked if one.path == "flood.rate"]
    if not rates:
        raise click.UsageError(f"{asked[0].name}: of no flood: give --flood-rate, too", ctx)
    if str(rates[-1].value).removesuffix("/s").strip(" 0.") == "":
        return scenario, [one for one in found if one not in asked]
    return dataclasses.replace(scenario, flood=(Flood("spoofed", rate=1.0),)), found


def _whole(scenario: Scenario, one: Assignment) -> str:
    """The whole path, so that two words for one place are seen to be that."""
    try:
        return paths.resolve_path(scenario, one.path)
    except Mistake as error:
        raise ConfigError(f"{one.name}: {error}") from None


def _refusal(
    ctx: click.Context, scenario: Scenario, make: Make, found: list[Assignment], error: ScenarioError
) -> click.ClickException:
    """The error with the option that it is about: usage where its value cannot be read."""
    for one in found:
        try:
            make(scenario, {_whole(scenario, one): one.value})
        except ScenarioError as alone:
            if str(alone) == str(error):
                in_file = one.origin.startswith("file ")
                if _unreadable(alone) and "trace:" not in str(one.value) and not in_file:
                    return click.BadParameter(
                        str(error), ctx, one.param, None if one.param else repr(one.name)
                    )
                return ConfigError(f"{one.name}: {error}")
    return ConfigError(str(error))


def _unreadable(error: BaseException) -> bool:
    """Whether it began with a text that is no number or has no such unit."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, UnitError):
            return not isinstance(cause, TooLarge)
        cause = cause.__context__
    return False


def _threshold(text: str, kind: str) -> Threshold:
    """`success_ratio>=0.999`; a figure that had another name is told of."""
    found = _THRESHOLD.fullmatch(text)
    try:
        if found is None:
            raise Mistake(f"expected FIGURE, one of {' '.join(TESTS)}, NUMBER; got {shown(text)}")
        test, limit = bound(f"{found[2]} {found[3]}")
    except Mistake as error:
        raise click.BadParameter(str(error), param_hint="'--threshold'") from None
    name = before.metric(found[1]) if kind in before.KINDS else found[1]
    if name != found[1]:
        click.echo(f"--threshold {found[1]}: is called {name} now", err=True)
    return Threshold(name, test, limit, text.strip())


def _of_knobs_table(ctx: click.Context) -> Iterator[Assignment]:
    """The table [knobs] of --config: the server's, or with the side before the name."""
    for name, value in ctx.meta.get("loadgen.knobs", {}).items():
        for path in sides.places(name) or [name]:
            yield Assignment(path, value, f"file {ctx.params.get('config')}", f"[knobs] {name}")


def _of_o(given: Iterable[str]) -> Iterator[Assignment]:
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value.strip():
            raise click.BadParameter(f"expected NAME=VALUE, got {shown(text)}", param_hint="'-o'")
        for path in sides.places(name) or [name]:
            yield Assignment(path, value.strip(), "flag -o", f"-o {name}")
