"""From an answer of the planner to what is printed, and to an exit code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from loadgen import signals
from loadgen.behaviour import SYSTEMS
from loadgen.cli.common import EXIT_FAILED, EXIT_THRESHOLD, format_of, present
from loadgen.cli.options import ConfigError
from loadgen.cli.report import require_charts
from loadgen.plan.answers import UNEXPLAINED, Answer
from loadgen.plan.ask import Case, Refused
from loadgen.plan.document import as_json, as_result
from loadgen.plan.text import as_text
from loadgen.report.html import page
from loadgen.scenario.errors import ScenarioError
from loadgen.units import format_count, format_duration

FORMATS: Final = {"": "table", ".txt": "table", ".json": "json", ".html": "html"}


def present_answer(ctx: click.Context, case: Case, given: Mapping[str, Any]) -> None:
    """Answer, write the answer, leave with the right exit code."""
    if given["format"] == "csv":
        raise click.BadParameter("an answer is a table, json or html", ctx, param_hint="'--format'")
    chosen = format_of(given["format"], given["output"], FORMATS)
    if chosen == "html":
        require_charts()
    try:
        answer = case.topic.solve(case)
    except (Refused, ScenarioError) as error:
        raise ConfigError(str(error)) from None
    except KeyboardInterrupt:
        ctx.exit(signals.exit_code())
    with signals.later():
        present(
            {"json": lambda: as_json(answer, case), "html": lambda: page(as_result(answer, case))},
            lambda colour, width: as_text(answer, last_parts(case), width),
            chosen,
            given["output"],
        )
        if case.player.interrupted or signals.pending():
            ctx.exit(signals.exit_code())
    _judge(ctx, answer)


def _judge(ctx: click.Context, answer: Answer) -> None:
    if answer.state == UNEXPLAINED:
        rows = [str(row["row"]) for row in answer.theory if row["state"] == UNEXPLAINED]
        click.echo(
            f"formula and simulation differ, please report: {', '.join(rows) or answer.topic}", err=True
        )
        ctx.exit(EXIT_FAILED)
    if answer.unmet:
        click.echo("the target is not met", err=True)
        ctx.exit(EXIT_THRESHOLD)


def last_parts(case: Case) -> list[str]:
    """virtual, wall, seed, profile, effort, and the command that gives the same answer."""
    player, scenario = case.player, case.scenario
    parts = []
    if player.lasted:
        virtual, seeds, _ = player.lasted[0]
        total = sum(count for _, _, count in player.lasted)
        points = f" x {len(player.lasted)} points" if len(player.lasted) > 1 else ""
        many = f" x {seeds} seeds" if seeds > 1 else ""
        said = f"virtual {format_duration(virtual)}{many}{points}, {format_count(total)} connections"
        parts.append(said)
    else:
        parts.append("virtual 0 s, nothing was simulated")
    profiles = list(dict.fromkeys((scenario.server.profile, scenario.client.profile)))
    parts += [
        f"wall {player.wall_s:.3g} s",
        f"seed {scenario.seed}",
        " and ".join(one if one == "strict" else SYSTEMS.get(one, one) for one in profiles),
        f"effort {player.effort.name}" if player.plays else "no simulation",
    ]
    if player.interrupted:
        parts.append("partial: interrupted")
    return [*parts, f"reproduce: {case.command}"]
