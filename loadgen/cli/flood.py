"""`loadgen flood`: its options and help, and what it refuses."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path as FilePath
from typing import Any, Final

import click

from loadgen.cli import options as opt
from loadgen.cli.common import (
    EXIT_FAILED,
    LINK,
    RUN,
    bar,
    finish,
    parse_thresholds,
    path_of,
    require_memory,
    run_workload,
    shared,
)
from loadgen.cli.options import refuse
from loadgen.phases.check import SEEDS, NoForm, check, outline, questions
from loadgen.phases.flood import Flood, FloodSettings
from loadgen.phases.flood_compare import POLICIES, compare, with_policy
from loadgen.phases.metrics import Result
from loadgen.phases.spoof import KINDS, MAX_RATE, SPACINGS, SourceError, Sources
from loadgen.phases.workload import CLIENT_BASE, SERVER_ADDRESS, room_of
from loadgen.units import UnitError, ZeroRate, format_count, parse_rate

COOKIES: Final = ("off", "overflow", "always")

_MOST_CLIENTS: Final = 2**30
_BURSTS: Final = 12
_MOST_PERIODS: Final = 1_000_000  # of --on and --off


class _Rate(click.ParamType[int]):
    """A rate that fits a tick; 0 and too much are bad input, not bad usage."""

    name = "rate"

    def __init__(self, may_be_0: bool) -> None:
        self._may_be_0 = may_be_0

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        name = f"--{param.name}" if param is not None else "rate"
        try:
            rate = parse_rate(str(value))
        except ZeroRate as error:
            if self._may_be_0 and str(value).strip(" 0.") in ("", "/s"):
                return 0
            refuse(name, str(error))
        except UnitError as error:
            self.fail(str(error), param, ctx)
        if rate > MAX_RATE * 1000:
            refuse(
                name,
                f"expected at most {format_count(MAX_RATE)}/s, got {value}: "
                "a tick of 1 ms would hold more than 100,000 segments",
            )
        return rate


@click.command(
    epilog="""\
EXAMPLES

\b
  What honest clients see of a host's own defaults:
    loadgen flood --rate 20k --clients 200/s --rtt 40ms --sysctl host.sysctl
  Which policy, with or without cookies? One table, best first, and a verdict:
    loadgen flood --rate 100k --backlog 1024 --clients 200/s --rtt 40ms --compare all
  Only some of them, as JSON:
    loadgen flood --rate 10k --compare linux,evict-oldest --format json
  Bursts of 2 s every 10 s: is each found, and how late?
    loadgen flood --rate 50k --on 2s --off 8s
  One network floods; the accept queue is short because the application is slow:
    loadgen flood --rate 1k --sources 203.0.113.0/24 --accept-delay 4ms --backlog 128
  Forged ACKs at a server that answers by cookies only:
    loadgen flood --kind ack --rate 200k --cookies always
  Do simulation and theory agree? Erlang's formula, over ten seeds:
    loadgen flood --rate 1k --policy drop-new --cookies off --backlog 64 -o tcp_synack_retries=1 --check
  Exactly a million SYNs, then peace:
    loadgen flood --rate 50k --count 1M --duration 60s
"""
)
@click.option(
    "--rate",
    type=_Rate(may_be_0=False),
    default="10k/s",
    show_default=True,
    help="Spoofed segments per second while the flood is on, at most 100M.",
)
@click.option(
    "--kind",
    type=click.Choice(list(KINDS)),
    default="syn",
    show_default=True,
    help="What the spoofed segments are.",
)
@click.option(
    "--sources",
    default="random",
    show_default=True,
    metavar="SOURCES",
    help="Whom they pretend to come from: 'random' (any unicast address), addresses and networks "
    "('203.0.113.0/24,198.51.100.7'), or '@FILE' with one of these a line. They never answer.",
)
@click.option(
    "--arrivals",
    type=click.Choice(SPACINGS),
    default="paced",
    show_default=True,
    help="Spacing of the spoofed segments; the clients' is always Poisson.",
)
@click.option("--on", type=opt.TIME, help="Flood for this long, then pause for --off, and so on.")
@click.option("--off", type=opt.TIME, help="The pause. --rate is the rate while it is on.")
@click.option("--count", type=opt.COUNT, help="Send exactly so many. Default: as long as the flood lasts.")
@click.option("--start", type=opt.TIME, default="0", show_default=True, help="When the flood begins.")
@click.option("--stop", type=opt.TIME, help="When it ends. Default: with the run.")
@click.option(
    "--clients",
    type=_Rate(may_be_0=True),
    default="200/s",
    show_default=True,
    help="Honest clients per second; 0: none.",
)
@click.option(
    "--duration",
    type=opt.TIME,
    default="60s",
    show_default=True,
    help="How long clients arrive. The run, and the flood, last --patience longer: until the last "
    "client has been served or has given up.",
)
@click.option(
    "--patience",
    type=opt.TIME,
    default="5s",
    show_default=True,
    help="How long a client waits for its connect(). Its kernel resends the SYN meanwhile.",
)
@click.option(
    "--accept-delay",
    type=opt.TIME,
    default="0",
    show_default=True,
    help="What the server's application needs for each connection before it accepts the next. 0: it accepts "
    "at once.",
)
@click.option("--client-addresses", type=click.IntRange(0, 1 << 20), default=0, help="Of the honest clients.")
@shared(LINK)
@click.option("--backlog", type=opt.BACKLOG, help="Of the listening server. Default: somaxconn.")
@click.option(
    "--policy", metavar="POLICY", help=f"SYN-queue policy: {', '.join(POLICIES)}. Default: the profile's."
)
@click.option("--cookies", type=click.Choice(COOKIES), help="SYN cookies. Default: the profile's.")
@click.option(
    "--compare",
    "compare_",
    metavar="POLICIES",
    help="'all', or some policies ('linux,evict-oldest'): each one without and with cookies against the same "
    "flood, and a verdict.",
)
@click.option(
    "--check",
    "check_",
    is_flag=True,
    help="Instead of one run: what the closed form for this policy says and what runs over --seeds say, "
    "with a 99 % interval and the assumption. Exit 1 when an exact form does not hold.",
)
@click.option(
    "--seeds",
    type=click.IntRange(2, 10_000),
    default=SEEDS,
    show_default=True,
    help="Independent runs for --check.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes for --compare and --check. Default: one per processor. Changes the speed, never the "
    "result.",
)
@shared(RUN)
@click.pass_context
def flood(ctx: click.Context, /, **given: Any) -> None:
    """Flood a server with spoofed segments and see what becomes of its honest clients.

    Reports what the clients see (connected, served, ghost, connect times), what the queues hold over time,
    how long half-open entries live, every refusal by its cause, cookies, backscatter, and whether the queue
    alone tells when the flood began and ended.

    \b
    POLICIES  linux         refuses when full; prunes old entries above half; with
                            cookies off the last quarter is for proven peers
              freebsd       512 buckets of 30, a full bucket loses its oldest
              drop-new      a full queue refuses (RFC 4987 3.2)
              evict-oldest  the oldest entry makes room (3.4)
              evict-random  any entry makes room
              short-timer   fewer resends above half, none when full (3.3)

    \b
    TIME      Spoofed segments are looked at every millisecond, the tick of the
              engine's timers (from 64k/s on every four, where a full queue does
              not refuse), or sooner when a client's segment arrives: between
              flood and clients the order of arrival is exact.
    """
    settings = _settings(ctx, given)
    if given["compare_"] is not None and given["policy"] is not None:
        raise click.UsageError("--policy names one, --compare several: give one of the two options")
    if given["check_"]:
        _check_forms(ctx, settings, given)
        return
    if given["compare_"] is None:
        run_workload(ctx, Flood, settings, given)
        return
    policies = _policies(given["compare_"])
    thresholds = parse_thresholds(given["threshold"], lambda: compare(Flood.tiny(settings), policies))
    require_memory(settings)
    workers = given["workers"] or len(os.sched_getaffinity(0))

    def run() -> Result:
        with bar("comparing", 2 * len(policies)) as show:
            if show is None:
                return compare(settings, policies, workers)
            return compare(settings, policies, workers, lambda name, n, of: show(n, "comparing", name))

    finish(ctx, run, thresholds, given)


def _check_forms(ctx: click.Context, settings: FloodSettings, given: dict[str, Any]) -> None:
    """`--check`: exit 1 when an exact form does not hold."""
    if given["compare_"] is not None:
        raise click.UsageError("--check is of one policy: it cannot be combined with --compare")
    try:
        questions(settings)
    except NoForm as error:
        raise opt.ConfigError(str(error)) from None
    thresholds = parse_thresholds(given["threshold"], lambda: outline(settings))
    require_memory(settings)
    workers = given["workers"] or len(os.sched_getaffinity(0))
    outside = 0

    def run() -> Result:
        nonlocal outside
        with bar("checking", 100) as show:

            def done(n: int, of: int) -> None:
                if show is not None:
                    show(100 * n // of, "checking", f"{n} of {of} runs")

            try:
                result = check(settings, given["seeds"], workers, done)
            except NoForm as error:
                raise opt.ConfigError(str(error)) from None
        outside = result.results["outside"]
        return result

    finish(ctx, run, thresholds, given)
    if outside:
        click.echo(f"{outside} of the figures outside of the closed form's interval", err=True)
        ctx.exit(EXIT_FAILED)


def _settings(ctx: click.Context, given: dict[str, Any]) -> FloodSettings:
    knobs, knobs_set = opt.build_knobs(
        given["sysctl"],
        ctx.meta.get("loadgen.knobs", {}),
        given["knobs"],
        None,
        profile=given["profile"],
        verbose=given["verbose"],
    )
    if given["cookies"] is not None:
        knobs = knobs.replace(tcp_syncookies=COOKIES.index(given["cookies"]))
    duration, patience = given["duration"], given["patience"]
    if not duration:
        refuse("--duration", "expected more than 0")
    if not patience:
        refuse("--patience", "expected more than 0: a client that never waits is never connected")
    connections = -(-duration * given["clients"] // 10**12)
    if connections > _MOST_CLIENTS:
        refuse("--clients", f"{format_count(connections)} clients within --duration; expected at most 2**30")
    settings = FloodSettings(
        connections=connections,
        rate=given["clients"],
        duration_ns=duration,
        path=path_of(given),
        backlog=given["backlog"],
        clients=given["client_addresses"],
        batch=given["batch"],
        seed=given["seed"],
        knobs=knobs,
        knobs_set=knobs_set,
        kind=given["kind"],
        flood_rate=given["rate"],
        spacing=given["arrivals"],
        count=given["count"],
        start_ns=given["start"],
        stop_ns=given["stop"],
        on_ns=given["on"] or 0,
        off_ns=given["off"] or 0,
        patience_ns=patience,
        accept_delay_ns=given["accept_delay"],
        check_bursts=_BURSTS,
    )
    settings = dataclasses.replace(settings, sources=_sources(given["sources"], settings.client_addresses))
    _check(settings)
    if given["policy"] is not None:
        settings = with_policy(settings, _policy("--policy", given["policy"]))
    return settings


def _check(settings: FloodSettings) -> None:
    """What each option allows and the options together do not."""
    if bool(settings.on_ns) != bool(settings.off_ns):
        refuse("--on, --off", "expected both, more than 0, or neither")
    end = settings.end_ns if settings.stop_ns is None else settings.stop_ns
    if settings.start_ns >= min(end, settings.end_ns):
        refuse("--start", "the flood would begin when it, or the run, is over")
    if settings.off_ns and (end - settings.start_ns) // (settings.on_ns + settings.off_ns) > _MOST_PERIODS:
        refuse("--on, --off", f"expected at most {format_count(_MOST_PERIODS)} bursts in the run")
    if settings.count == 0:
        refuse("--count", "expected at least 1")
    backlog, knobs = settings.backlog, settings.knobs
    if "capacity" in settings.knobs_set and backlog is not None:
        if room_of(settings)["backlog"] >= knobs.capacity:
            refuse(
                "--backlog",
                f"expected less than the knob capacity ({knobs.capacity} blocks), got {backlog}",
            )


def _policies(text: str) -> list[str]:
    if text.strip() == "all":
        return list(POLICIES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        refuse("--compare", f"expected 'all' or some of {', '.join(POLICIES)}")
    return list(dict.fromkeys(_policy("--compare", name, "all") for name in names))


def _policy(option: str, name: str, *more: str) -> str:
    if name in POLICIES:
        return name
    refuse(
        option,
        f"no policy is called {name!r}{opt.hint(name, (*POLICIES, *more))} (known: {', '.join(POLICIES)})",
    )


def _sources(text: str, clients: int) -> Sources:
    if text.startswith("@"):
        lines = opt.read_text(FilePath(text[1:]), "--sources").splitlines()
        text = ",".join(line.partition("#")[0].strip() for line in lines)
    try:
        sources = Sources.parse(text)
    except SourceError as error:
        refuse("--sources", str(error))
    if sources.meets(SERVER_ADDRESS, 1) or sources.meets(CLIENT_BASE, clients):
        refuse("--sources", f"{sources.name} has addresses of the simulation's own hosts (in 10.0.0.0/8)")
    return sources
