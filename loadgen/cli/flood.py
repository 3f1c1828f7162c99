"""`loadgen flood`: its options and help, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from loadgen.cli import options as opt
from loadgen.cli import spellings
from loadgen.cli.asking import as_flood
from loadgen.cli.comparing import compare_and_present
from loadgen.cli.flag import Assignment, flags
from loadgen.cli.flags import (
    BATCH,
    CLIENT,
    FLOOD,
    FLOOD_TIMES,
    HOSTS,
    LINK,
    LOAD,
    SERVER,
    TIMELINE,
    VS,
    result_options,
    said,
)
from loadgen.cli.playing import play_and_present
from loadgen.cli.scenes import preset_scenario
from loadgen.cli.telling import present_answer
from loadgen.plan.play import EFFORTS


@click.command(
    short_help="Spoofed segments beside honest clients: who gets in?",
    epilog="""\
EXAMPLES

\b
  What honest clients see of a host's own defaults:
    loadgen flood --flood-rate 20k --rate 200 --rtt 40ms --sysctl host.sysctl
  Which policy, with or without cookies? One table, best first, and a verdict:
    loadgen flood --flood-rate 100k --backlog 1024 --rate 200 --rtt 40ms --compare all
  Cookies, or none, or another policy: beside the closed forms and what a kernel was recorded to do
    loadgen flood --flood-rate 1k --rate 50 --rtt 20ms --tries 3 --backlog 1024 --vs tcp_syncookies=0
  Only some of them, as JSON:
    loadgen flood --flood-rate 10k --compare linux,evict-oldest --format json
  Bursts of 2 s every 10 s: is each found, and how late?
    loadgen flood --flood-rate 50k --bursts 2s/8s
  One network floods; the accept queue is short because the application is slow:
    loadgen flood --flood-rate 1k --sources 203.0.113.0/24 --accept-time 4ms --backlog 128
  Forged ACKs at a server that answers by cookies only:
    loadgen flood --flood-kind ack --flood-rate 200k -o tcp_syncookies=2
  Do simulation and theory agree? Erlang's formula, over ten seeds:
    loadgen flood --flood-rate 1k --flood-arrivals poisson --rate 50 --backlog 64 -o synq_policy=drop-new \\
        -o tcp_syncookies=0 -o tcp_synack_retries=1 --duration 5m --seeds 10 --check
  Exactly a million SYNs, then peace:
    loadgen flood --flood-rate 50k --flood-count 1M --duration 60s
"""
)
@flags(said(FLOOD, flood_rate="Spoofed segments per second while the flood is on; 0: none. Default: 10k/s.",
            sources="Whom they pretend to come from: 'random' (any unicast address), addresses and networks "
            "('203.0.113.0/24,198.51.100.7'), '@FILE' with one of these a line, or reflect:N, hosts that "
            "answer with RST."))  # fmt: skip
@flags(FLOOD_TIMES)
@flags(said(LOAD, rate="Honest clients per second; 0: none. Default: 200/s.",
            patience="A client that is not served by then gives up. Its kernel resends the SYN meanwhile. "
            "Default: 5s."))  # fmt: skip
@flags(CLIENT)
@flags(SERVER)
@flags(LINK)
@flags(said(TIMELINE, duration="How long flood and clients go on, in virtual time. Default: 60s."))
@flags(BATCH)
@flags(HOSTS)
@click.option(
    "--compare",
    "compare_",
    metavar="POLICIES",
    help="'all', or some policies ('linux,evict-oldest'): each one without and with cookies against the same "
    "flood, and a verdict.",
)
@VS
@click.option(
    "--effort",
    type=click.Choice(list(EFFORTS)),
    help="With --vs: segments simulated per replicate, 1e6, 1e7 or 1e8. Default: normal.",
)
@flags(spellings.OLD["flood"])
@click.option("--policy", metavar="POLICY", hidden=True)
@click.option("--on", type=opt.TIME_TEXT, hidden=True)
@click.option("--off", type=opt.TIME_TEXT, hidden=True)
@click.option("--start", type=opt.TIME_TEXT, hidden=True)
@click.option("--stop", type=opt.TIME_TEXT, hidden=True)
@click.option("--workers", type=click.IntRange(1, 256), hidden=True)
@result_options
@click.pass_context
def flood(ctx: click.Context, /, **given: Any) -> None:
    """Flood a server with spoofed segments and see what becomes of its honest clients.

    Reports what the clients see (connected, served, ghost, connect times), what the queues hold over time,
    how long half-open entries live, every refusal by its cause, cookies, backscatter, and whether the queue
    alone tells when the flood began and ended.

    \b
    POLICIES  linux         refuses when full; prunes old entries above half; with
    (-o       cookies off   the last quarter is for proven peers
    synq_     freebsd       512 buckets of 30; a full one loses its oldest, with
                            cookies: all go, and for a while none is taken
    policy=)  drop-new      a full queue refuses (RFC 4987 3.2)
              evict-oldest  the oldest entry makes room (3.4)
              evict-random  any entry makes room
              short-timer   fewer resends above half, none when full (3.3)

    \b
    TIME      Each spoofed segment reaches the server at its own time, to the
              nanosecond; timers of the engines have a tick of 1 ms.
    """
    if given["vs"] or given["effort"]:
        _planned(ctx, given)
        return
    _refuse_other_meanings(ctx, given)
    old = spellings.tell(ctx, "flood")
    if given["workers"] is not None:
        spellings.said("--workers", f"--jobs {given['workers']}")
        given["jobs"] = given["workers"]
    if (given["sources"] or "").startswith("@"):
        given["sources"] = _listed(Path(given["sources"][1:]))
    policies = None if given["compare_"] is None else policies_of(given["compare_"])
    made = preset_scenario(ctx, "flood", given, old, _more(ctx, given, policies))
    if policies is None:
        play_and_present(ctx, made, given)
    else:
        compare_and_present(ctx, made, given, policies)


_OLD: Final = (
    *(flag.name for flag in spellings.OLD["flood"]), "policy", "on", "off", "start", "stop", "workers"
)  # fmt: skip


def _planned(ctx: click.Context, given: dict[str, Any]) -> None:
    """The same question with alternatives beside it: that of `plan flood`, with its defaults."""
    if not given["vs"]:
        raise click.UsageError("--effort: of --vs alone: how much is played is said by --duration", ctx)
    for name in ("compare_", *_OLD):
        if given.get(name) is not None:
            flag = "--" + name.rstrip("_").replace("_", "-")
            raise click.UsageError(f"{flag} cannot be combined with --vs", ctx)
    case = as_flood(ctx, given)
    if case is not None:
        present_answer(ctx, case, given)


def _refuse_other_meanings(ctx: click.Context, given: dict[str, Any]) -> None:
    """What was an option of the flood and is one of the clients now."""
    new = spellings.is_given(ctx, "flood_rate")
    if given["rate"] is not None and not new:
        raise click.UsageError(
            f"--rate is that of the clients now: write --flood-rate {given['rate']} for the spoofed "
            "segments, and "
            "--rate for the clients",
            ctx,
        )
    if "/" in (given["clients"] or ""):
        raise click.UsageError(
            f"--clients is how many addresses they have now: write --rate {given['clients']} "
            "(beside --flood-rate)",
            ctx,
        )
    if given["arrivals"] is not None and not new:
        raise click.UsageError(
            f"--arrivals is that of the clients now: write --flood-arrivals {given['arrivals']} for the "
            "spoofed segments (with --flood-rate it is the clients')",
            ctx,
        )


def _more(ctx: click.Context, given: dict[str, Any], policies: list[str] | None) -> list[Assignment]:
    """What the old options set that are another one now, or two."""
    found = []
    if given["policy"] is not None:
        if policies is not None:
            raise click.UsageError("--policy names one, --compare several: give one of the two options", ctx)
        found += spellings.of_policy(_policy("--policy", given["policy"]), given["knobs"])
        spellings.said("--policy", f"-o synq_policy={given['policy']}")
    found += spellings.pair(given, "on", "off", "flood.bursts", "/", ("0", "0"), "--bursts")
    found += spellings.pair(given, "start", "stop", "flood.during", ",", ("0", "end"), "--during")
    return found


def policies_of(text: str) -> list[str]:
    """Those of `--compare`."""
    if text.strip() == "all":
        return list(spellings.POLICIES)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        opt.refuse("--compare", f"expected 'all' or some of {', '.join(spellings.POLICIES)}")
    return list(dict.fromkeys(_policy("--compare", name, "all") for name in names))


def _policy(option: str, name: str, *more: str) -> str:
    if name in spellings.POLICIES:
        return name
    known = spellings.POLICIES
    opt.refuse(
        option, f"no policy is called {name!r}{opt.hint(name, (*known, *more))} (known: {', '.join(known)})"
    )


def _listed(path: Path) -> str:
    """The addresses and networks of a file, one a line."""
    lines = opt.read_text(path, "--sources").splitlines()
    words = [line.partition("#")[0].strip() for line in lines]
    return ",".join(word for word in words if word)
