"""`loadgen handshake`: its options and help."""

from __future__ import annotations

from typing import Any

import click

from loadgen.cli import spellings
from loadgen.cli.flag import flags
from loadgen.cli.flags import (
    BATCH,
    CLIENT,
    FLOOD,
    HOSTS,
    LINK,
    LOAD,
    SERVER,
    SYN_DATA,
    TIMELINE,
    but,
    result_options,
    said,
)
from loadgen.cli.playing import play_and_present
from loadgen.cli.scenes import preset_scenario

OPENED = said(
    but(LOAD, "concurrency", "requests_per_connection", "idle_timeout"),
    rate="Open at this rate, in connections per second. Default: flat out, all at virtual time 0; the "
    "listener's limits are then raised unless they are given.",
    hold="Keep the open connections for this long.",
    arrivals="Spacing of the arrivals at --rate: paced (the default), poisson, or trace:FILE.",
    connections="How many connections to open. Default: 10k.",
    speaks="Who speaks first. Default: nobody, so that a lost third ACK is seen as a ghost.",
)
ADDRESSES = said(
    CLIENT,
    clients="Client addresses (10.1.0.1 and up). One has only the ports of ip_local_port_range (28232 by "
    "default) towards one server port. Default: as many as use a quarter of each range.",
)


@click.command(
    short_help="Open connections and hold them: what a burst costs.",
    epilog="""\
EXAMPLES

\b
  A million connections as fast as this machine computes them:
    loadgen handshake --connections 1M
  What a web fleet's clients see over a lossy path:
    loadgen handshake -n 200k --rate 50k --rtt 40ms --loss 1% --threshold 'success_ratio>=0.999'
  A listener with a host's own settings and a short backlog:
    loadgen handshake -n 100k --rate 50k --sysctl host.sysctl --backlog 128
  Data on a SYN is not accepted:
    loadgen handshake -n 1k --syn-data 100
  Clients that believe they are connected when they are not:
    loadgen handshake -n 1k --loss third-ack=100% -o tcp_synack_retries=2
"""
)
@flags(OPENED)
@flags(SYN_DATA)
@flags(ADDRESSES)
@flags(but(SERVER, "closes"))
@flags(LINK)
@flags(FLOOD)
@flags(
    said(
        but(TIMELINE, "drain"),
        duration="Stop at this virtual time; what is unresolved then is pending. "
        "With --rate and no --connections: how long to open.",
    )
)
@flags(BATCH)
@flags(HOSTS)
@click.option("--peer", type=click.Choice(["engine", "stateless"]), default="engine", hidden=True)
@result_options
@click.pass_context
def handshake(ctx: click.Context, /, **given: Any) -> None:
    """Open connections and hold them: what such a burst costs, and who gets through.

    Reports connected (the client's connect() returned), served (the server's application has it) and ghost
    (the client believes it, the server does not) side by side, connect times in virtual time, the peak of
    half-open connections, resends, and the cause of every failure.

    Everything is opened before anything is closed: no port and no TIME_WAIT entry is used twice. Do not size
    ports, TIME_WAIT or a queue of a host in steady use by it; that is `loadgen churn`.
    """
    refuse_stateless(ctx, given)
    made = preset_scenario(ctx, "handshake", given, spellings.tell(ctx, "handshake"))
    play_and_present(ctx, made, given)


def refuse_stateless(ctx: click.Context, given: dict[str, Any]) -> None:
    """What there is no more."""
    if given["peer"] == "stateless":
        raise click.UsageError(
            "--peer stateless: there is no such client any more; leave it out, both ends are engines now", ctx
        )
    if spellings.is_given(ctx, "peer"):
        spellings.said("--peer engine", "nothing: it is always one")
