"""From the command line of `loadgen plan` to a question.

Everything is read and checked before anything is played: topic, options, knobs, alternatives, metrics of
targets. A mistake is one line that names the place and the nearest right word.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from loadgen.cli import sides
from loadgen.cli.flag import Flag
from loadgen.cli.flags import FLAGS
from loadgen.cli.flags import HOSTS as _HOSTS
from loadgen.cli.hints import hint
from loadgen.cli.options import ConfigError
from loadgen.cli.playing import played_or_partial
from loadgen.cli.scenes import Made, planned_scenario
from loadgen.output import OutputError, write_stdout
from loadgen.plan.ask import Case, Refused, Topic, Variant, beyond, require_answerable
from loadgen.plan.play import EFFORTS, Player
from loadgen.plan.topics import NAMES, topic
from loadgen.replicates import Job, Played
from loadgen.report import metrics
from loadgen.report.metrics import UnknownMetric
from loadgen.report.thresholds import check_thresholds
from loadgen.scenario import knobs, toml
from loadgen.scenario.errors import Mistake, ScenarioError
from loadgen.scenario.model import Scenario
from loadgen.scenario.paths import every_path, resolve_path
from loadgen.scenario.tables import SCENARIO
from loadgen.units import UnitError, parse_count, parse_duration

_BOTH: Final = {
    "profile": "What the hosts are: linux (6.18), freebsd (14), strict (the RFCs), or a TOML file.",
    "kernel": "The hosts are a Linux of this version (5.15): what it does otherwise than 6.18.",
}
#: A question is about one kind of host, unless the clients' is given, too.
HOSTS: Final = tuple(
    dataclasses.replace(flag, paths=(f"server.{flag.name}", f"client.{flag.name}"), help=_BOTH[flag.name])
    if flag.name in _BOTH
    else flag
    for flag in _HOSTS
)
PLAN_FLAGS: Final[Mapping[str, Flag]] = {**FLAGS, **{flag.name: flag for flag in HOSTS}}
#: The planner's own options -> how each is read.
EXTRAS: Final = {
    "within": parse_duration,
    "horizon": parse_duration,
    "established": parse_count,
    "bytes": str,
    "apply": str,
}
#: Extra -> the argument that has it.
_ARGUMENTS: Final = {name: "bytes_" if name == "bytes" else name for name in EXTRAS}
_WITHOUT_ALTERNATIVES: Final = {
    "host": "the alternative is the file of --apply",
    "all": "ask its topics one by one",
}
#: Options of which several values, A,B, are the first and alternatives to it.
_SEVERAL: Final = ("rate", "backlog", "clients", "destinations", "listeners", "flood_rate", "accept_workers")
_SUPERLATIVES: Final = ("best", "optimal", "optimum", "auto")


def topic_of(name: str) -> Topic:
    """The topic of that name."""
    if name in NAMES:
        return topic(name)
    if why := beyond(name):
        raise ConfigError(f"plan {name}: {why}")
    raise ConfigError(f"no topic is called {name!r}{hint(name, NAMES)}; there are {', '.join(NAMES)}")


def player_of(asked: Topic, given: Mapping[str, Any]) -> Player:
    """What plays, and how much."""
    player = Player(EFFORTS[given["effort"]], force=given["force"])
    rounds = itertools.count(2)
    what = f"plan {asked.NAME}"

    def run(jobs: Sequence[Job]) -> Played:
        """A topic may play again, for what it has found."""
        nonlocal what
        played = played_or_partial(jobs, given["jobs"], what=what)
        what = f"plan {asked.NAME}, round {next(rounds)}"
        return played

    if not given["no_sim"]:
        player.run = run
    return player


def as_flood(ctx: click.Context, given: dict[str, Any]) -> Case | None:
    """The question of `plan flood` that the options of `loadgen flood` ask, with its defaults."""
    effort = given["effort"] or "normal"
    given |= dict.fromkeys(_ARGUMENTS.values()) | {"effort": effort, "no_sim": False, "remedies": False}
    return case_of(ctx, topic("flood"), None, given, player_of(topic("flood"), given))


def case_of(
    ctx: click.Context, asked: Topic, file: Path | None, given: dict[str, Any], player: Player
) -> Case | None:
    """The question; None where only the scenario was asked for."""
    _refuse_superlatives(given)
    _refuse_of_another_topic(asked, given)
    unknown = frozenset(name for name in PLAN_FLAGS if given.get(name) == "?")
    given.update(dict.fromkeys(unknown))
    several = _several(asked, given)
    beside = _beside(asked, given)
    try:
        _refuse_beyond(given)
        base = asked.BASE if file is None else toml.from_toml(file)
        made = planned_scenario(ctx, base, _make, given, PLAN_FLAGS)
        if given["print_config"]:
            _print(made)
            return None
        player.duration_ns = made.scenario.run.duration_ns if "run.duration" in made.changes or file else None
        player.seeds = made.scenario.run.seeds if "run.seeds" in made.changes else None
        case = Case(
            topic=asked,
            base=made.base,
            changes=made.changes,
            player=player,
            make=_make,
            extra=_extra(asked, given),
            columns=tuple(_columns(made.base, several)),
            variants=tuple(one for text in (*beside, *given["vs"]) for one in _variants(made.base, text)),
            targets=tuple(made.scenario.threshold[len(made.base.threshold) :]),
            unknown=unknown,
            remedies=given["remedies"],
            whole=file is not None,
            command=made.command,
            origins=made.origins,
        )
        _check(case)
    except (ScenarioError, Refused) as error:
        raise ConfigError(str(error)) from None
    return case


def _print(made: Made) -> None:
    try:
        write_stdout(toml.print_config(made.scenario, made.origins))
    except OutputError as error:
        raise click.ClickException(str(error)) from None


def _make(scenario: Scenario, changes: Mapping[str, object]) -> Scenario:
    return scenario.replace(changes)


def _check(case: Case) -> None:
    """Everything that can be wrong, before anything is played."""
    for one in (case, *map(case.varied, (*case.variants, *case.columns))):
        resolved = one.hosts
        del resolved
    try:
        check_thresholds(case.scenario)
    except UnknownMetric as error:
        raise ScenarioError(str(error)) from None
    _ = case.open


def _refuse_beyond(given: Mapping[str, Any]) -> None:
    """Targets and knobs that are none here, and ask for what is not modelled."""
    for text in given["threshold"]:
        name = re.split(r"[<>=!]", text)[0].strip()
        if metrics.find(name) is None:
            require_answerable(name)
    for text in given["knobs"]:
        name = text.partition("=")[0].strip()
        if not knobs.is_knob(name.rpartition(".")[2]) and name.partition(".")[0] not in SCENARIO:
            require_answerable(name)


def _refuse_of_another_topic(asked: Topic, given: Mapping[str, Any]) -> None:
    if given["remedies"] and asked.NAME != "ports":
        raise ConfigError(f"--remedies: of plan ports alone, not of plan {asked.NAME}")
    if given["vs"] and asked.NAME in _WITHOUT_ALTERNATIVES:
        raise ConfigError(f"--vs: not of plan {asked.NAME}: {_WITHOUT_ALTERNATIVES[asked.NAME]}")


def _refuse_superlatives(given: Mapping[str, Any]) -> None:
    for name in PLAN_FLAGS:
        if str(given.get(name)).lower() in _SUPERLATIVES and name != "warmup":
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag}: {given[name]!r} has no meaning without a target: give {flag} '?' and "
                              "--threshold, such as 'first_try_ratio>=0.999'")  # fmt: skip


def _several(asked: Topic, given: dict[str, Any]) -> tuple[str, list[str]] | None:
    """The option that was given several values, of which the first stays."""
    for name in getattr(asked, "COLUMNS", ()):
        values = [part.strip() for part in str(given.get(name) or "").split(",")]
        if len(values) > 1:
            given[name] = values[0]
            return name, values
    return None


def _beside(asked: Topic, given: dict[str, Any]) -> list[str]:
    """Other values of options that were given several, as of --vs; the first stays."""
    found = []
    for name in _SEVERAL if asked.NAME not in _WITHOUT_ALTERNATIVES else ():
        first, comma, others = str(given.get(name) or "").partition(",")
        if comma and others:
            given[name] = first.strip()
            found.append(f"{name}={others}")
    return found


def _columns(base: Scenario, several: tuple[str, list[str]] | None) -> Iterator[Variant]:
    if several is not None:
        name, values = several
        for value in values:
            yield from _variants(base, f"{name}={value}")


def _extra(asked: Topic, given: Mapping[str, Any]) -> dict[str, Any]:
    """The planner's own options of this topic; one of another topic is a mistake."""
    found: dict[str, Any] = {}
    for name, read in EXTRAS.items():
        text = given[_ARGUMENTS[name]]
        if text is None:
            continue
        if name not in asked.EXTRAS:
            raise Refused(f"--{name}: not of plan {asked.NAME}, which does not ask for it")
        found[name] = _read(name, text, read)
    return found


def _read(name: str, text: str, read: Any) -> Any:
    try:
        return read(text)
    except UnitError as error:
        raise Refused(f"--{name}: {error}") from None


def _variants(base: Scenario, text: str) -> Iterator[Variant]:
    """`A=1+B=2`, or several of `A=1,2`."""
    pairs: list[tuple[str, list[str]]] = []
    for part in text.split("+"):
        name, equals, value = (word.strip() for word in part.partition("="))
        if not equals or not name or not value:
            raise Refused(f"--vs: expected NAME=VALUE, several joined by +, got {part!r}")
        pairs.append((name, [one.strip() for one in value.split(",")] if "+" not in text else [value]))
    several = max(len(values) for _, values in pairs)
    for number in range(several):
        changes: dict[str, object] = {}
        extra: dict[str, Any] = {}
        chosen = [(name, values[number % len(values)]) for name, values in pairs]
        for name, value in chosen:
            _assign(base, name, value, changes, extra)
        yield Variant(", ".join(f"{name}={value}" for name, value in chosen), changes, extra)


def _assign(base: Scenario, name: str, value: str, changes: dict[str, object], extra: dict[str, Any]) -> None:
    """One NAME=VALUE of --vs: an option of plan, of the scenario, a knob or a path."""
    word = name.removeprefix("--").replace("-", "_")
    try:
        if word in EXTRAS:
            extra[word] = _read(f"vs {name}", value, EXTRAS[word])
        elif word in PLAN_FLAGS:
            changes.update(PLAN_FLAGS[word].values(value))
        else:
            for path in sides.place(name) or [resolve_path(base, name)]:
                changes[path] = value
        base.replace(changes)
    except (Mistake, UnitError) as error:
        near = hint(word, [*PLAN_FLAGS, *EXTRAS, *knobs.DECLARED, *every_path(base)])
        raise Refused(f"--vs {name}={value}: {error}{'' if 'did you mean' in str(error) else near}") from None
    except ScenarioError as error:
        raise Refused(f"--vs {name}={value}: {error}") from None
