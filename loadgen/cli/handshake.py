"""`loadgen handshake`: its options and help."""

from __future__ import annotations

from typing import Any

import click

from loadgen.cli import options as opt
from loadgen.cli.common import OPENING, opening_settings, run_workload, shared
from loadgen.phases.workload import Handshake, Settings


@click.command(
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
@shared(OPENING)
@click.option(
    "--duration",
    type=opt.TIME,
    help="Stop at this virtual time; what is unresolved then is pending or in flight. "
    "With --rate and no --connections: how long to open.",
)
@click.option(
    "--duplicates",
    type=opt.LOSS,
    default="0",
    show_default=True,
    help="Share of segments that arrive twice, of all or by kind.",
)
@click.option(
    "--duplicate-delay",
    type=opt.TIME,
    default="0",
    show_default=True,
    help="How much later the copy arrives.",
)
@click.option(
    "--syn-data",
    type=click.IntRange(0, 1460),
    default=0,
    help="Put this many bytes on every first SYN (RFC 9293 lets the server refuse them, and it does).",
)
@click.pass_context
def handshake(ctx: click.Context, /, **given: Any) -> None:
    """Open connections and hold them: who gets through, how fast, and what happened to the rest.

    Reports connected (the client's connect() returned), served (the server's application has it) and ghost
    (the client believes it, the server does not) side by side, handshake latency in virtual time, the peak
    of half-open connections, resends, the cause of every failure, and bytes per connection.
    """
    duration, rate = given["duration"], given["rate"]
    if duration and rate and ctx.get_parameter_source("connections") is click.core.ParameterSource.DEFAULT:
        given["connections"] = max(1, duration * rate // 10**12)
        duration = None
    settings = Settings(
        **opening_settings(ctx, given, given["duplicates"], given["duplicate_delay"]),
        duration_ns=duration,
        syn_data=given["syn_data"],
    )
    run_workload(ctx, Handshake, settings, given)
