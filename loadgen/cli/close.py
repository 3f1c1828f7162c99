"""`loadgen close`: its options and help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from loadgen.cli import options as opt
from loadgen.cli.common import OPENING, opening_settings, run_workload, shared
from loadgen.phases.close import BY, Close, CloseSettings
from loadgen.phases.link import Rates


@click.command(
    epilog="""\
EXAMPLES

\b
  Where TIME_WAIT goes, and when it drains:
    loadgen close --connections 1M --by client
  The textbook's four segments, the server closing 5 ms after the client:
    loadgen close -n 100k --rate 10k --rtt 40ms --close-delay 5ms
  What TIME_WAIT is for, 1: the lost last ACK (compare --time-wait 60s)
    loadgen close -n 10k --last-ack-loss 5% --time-wait 0
  What TIME_WAIT is for, 2: old segments and a new incarnation
    loadgen close -n 10k --duplicates 5% --time-wait 0
  RFC 1337: the same with TIME_WAIT, ended early by a RST
    loadgen close -n 10k --by server --duplicates 5% -o tcp_rfc1337=0
"""
)
@shared(OPENING)
@click.option(
    "--by",
    type=click.Choice(BY),
    default="client",
    show_default=True,
    help="Who closes first; mix: a third each, by turns.",
)
@click.option(
    "--close-delay",
    type=opt.TIME,
    default="1ms",
    show_default=True,
    help="How long after the peer's FIN the other application closes. 0: the server answers with one "
    "FIN+ACK (three segments instead of four).",
)
@click.option(
    "--half-close",
    type=opt.SHARE,
    default="0",
    show_default=True,
    help="Share of connections on which the first closer shuts down its side only and the other "
    "side goes on sending.",
)
@click.option(
    "--half-close-bytes", type=opt.BYTES, default="10k", show_default=True, help="How much that is."
)
@click.option(
    "--data",
    type=opt.BYTES,
    help="Bytes each client sends before the close. Default: 0, with --duplicates 1000.",
)
@click.option(
    "--last-ack-loss",
    type=opt.SHARE,
    default="0",
    show_default=True,
    help="Share of connections whose last ACK is lost (once).",
)
@click.option(
    "--duplicates",
    type=opt.DATA_ONLY,
    default="0",
    show_default=True,
    help="Share of data segments of which the network keeps a copy that arrives late, into a second "
    "incarnation of the connection. Both ends then go without timestamps and with a slow ISN clock "
    "(tcp_timestamps=0, isn_tick_ns=4000000, tcp_rfc1337=1, unless set): what is seen is "
    "TIME_WAIT's own work.",
)
@click.option(
    "--duplicate-delay",
    type=opt.TIME,
    default="10s",
    show_default=True,
    help="How late the copy is (a segment lives for at most half of TIME_WAIT).",
)
@click.option("--time-wait", type=opt.TIME, help="Length of TIME_WAIT, 2 MSL. Default: 60s.")
@click.pass_context
def close(ctx: click.Context, /, **given: Any) -> None:
    """Open connections, close them, and let TIME_WAIT drain.

    Reports the state population over time, TIME_WAIT's peak and when it is empty again, and what happens
    without it: peers stuck in LAST_ACK because nobody answers their FIN any more, and old segments accepted
    by a new incarnation of a connection. With TIME_WAIT of 2 MSL both are zero.
    tcp_max_tw_buckets is raised to the number of connections unless it is given.
    """
    duplicates: Rates = given["duplicates"]
    data = given["data"] if given["data"] is not None else 1000 if duplicates.any else 0
    common = opening_settings(ctx, given, duplicates, given["duplicate_delay"])
    common["path"] = replace(common["path"], last_ack_loss=given["last_ack_loss"], late_copies=True)
    settings = CloseSettings(
        **common,
        by=given["by"],
        close_delay_ns=given["close_delay"],
        half_close=given["half_close"],
        half_close_bytes=given["half_close_bytes"],
        data=data,
    )
    run_workload(ctx, Close, settings, given)
