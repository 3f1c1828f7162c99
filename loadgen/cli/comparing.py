"""`flood --compare`: every SYN-queue policy against the same flood, one table and a verdict.

The runs differ in `synq_policy` and `tcp_syncookies` (and what belongs to FreeBSD's policy) and in nothing
else: same seed, same spoofed segments, same clients at the same moments.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

import click

from loadgen import memory, signals
from loadgen.api import result_of
from loadgen.cli.common import EXIT_THRESHOLD, format_of, present
from loadgen.cli.options import ConfigError
from loadgen.cli.playing import played_or_partial, require_memory_of
from loadgen.cli.scenes import Made, printed
from loadgen.output import OutputError, write_stdout
from loadgen.replicates import Job
from loadgen.report import compared
from loadgen.scenario.errors import ScenarioError
from loadgen.scenario.hosts import Resolved, resolve
from loadgen.scenario.model import Scenario


def compare_and_present(
    ctx: click.Context, made: Made, given: dict[str, Any], policies: Sequence[str]
) -> None:
    """Play every variant, write the comparison, leave with the right exit code."""
    if given["check_"]:
        raise click.UsageError("--check is of one policy: it cannot be combined with --compare", ctx)
    if given["print_config"]:
        try:
            write_stdout(printed(made))
        except OutputError as error:
            raise click.ClickException(str(error)) from None
        return
    chosen = format_of(given["format"], given["output"])
    jobs_given = ctx.get_parameter_source("jobs") is not click.core.ParameterSource.DEFAULT
    workers = given["jobs"] if jobs_given else len(os.sched_getaffinity(0))
    scenario = dataclasses.replace(made.scenario, threshold=())
    scenario = scenario.replace({"run.honest_bursts": 0, "run.seeds": 1})
    runs = variants(scenario, policies, set(scenario.server.knobs))
    try:
        asked = compared.thresholds(made.scenario.threshold, runs)
    except ScenarioError as error:
        raise ConfigError(str(error)) from None
    hosts = {name: _resolved(one) for name, one in runs.items()}
    some = next(iter(hosts.values()))
    need = memory.estimate_bytes(scenario, some.client, some.server) * min(workers, len(runs))
    require_memory_of(need, given)
    began = time.perf_counter()
    jobs = [Job(one, 0, hosts[name].server, hosts[name].client) for name, one in runs.items()]
    played = played_or_partial(jobs, workers, called="policies")
    with signals.later():
        results = {
            name: result_of(runs[name], [outcome], kind="flood", command=made.command)
            for name, outcome in zip(runs, played.outcomes, strict=True)
            if outcome is not None and not outcome.partial
        }
        document = compared.document(made.command, scenario, results, asked, played.interrupted)
        document["wall"]["elapsed_s"] = time.perf_counter() - began
        present(
            {"json": lambda: compared.as_json(document), "csv": lambda: compared.as_csv(document)},
            lambda colour, width: compared.as_table(document, width),
            chosen,
            given["output"],
        )
        if played.interrupted or signals.pending():
            ctx.exit(signals.exit_code())
    missed = [row["text"] for row in document["thresholds"] if row["state"] != "met"]
    if missed:
        click.echo(f"threshold missed: {', '.join(missed)}", err=True)
        ctx.exit(EXIT_THRESHOLD)


def variants(scenario: Scenario, policies: Sequence[str], given: set[str]) -> dict[str, Scenario]:
    """By name, each policy without and with cookies (on overflow, or always where the scenario says so)."""
    from loadgen.cli.spellings import of_policy

    on = resolve(scenario).server.tcp_syncookies or 1
    found: dict[str, Scenario] = {}
    for policy in policies:
        changes: dict[str, object] = {one.path: one.value for one in of_policy(policy, given)}
        for name, cookies in ((policy, 0), (f"{policy}-cookies", on)):
            found[name.replace("-", "_")] = scenario.replace(
                {**changes, "server.knobs.tcp_syncookies": cookies}
            )
    return found


def _resolved(scenario: Scenario) -> Resolved:
    try:
        return resolve(scenario)
    except ScenarioError as error:
        raise ConfigError(str(error)) from None
