"""`loadgen close`: its options and help."""

from __future__ import annotations

from typing import Any

import click

from loadgen.cli import spellings
from loadgen.cli.flag import flags
from loadgen.cli.flags import BATCH, CLOSING, HOSTS, LINK, SERVER, TIMELINE, but, result_options, said
from loadgen.cli.handshake import ADDRESSES, OPENED, refuse_stateless
from loadgen.cli.playing import play_and_present
from loadgen.cli.scenes import preset_scenario


@click.command(
    short_help="Open connections, close them all, let TIME_WAIT drain.",
    epilog="""\
EXAMPLES

\b
  Where TIME_WAIT goes, and when it drains:
    loadgen close --connections 1M --closes client
  The textbook's four segments, the server closing 5 ms after the client:
    loadgen close -n 100k --rate 10k --rtt 40ms --close-delay 5ms
  What TIME_WAIT is for, 1: the lost last ACK (compare --time-wait 60s)
    loadgen close -n 10k --last-ack-loss 5% --time-wait 0
  What TIME_WAIT is for, 2: old segments and a new incarnation
    loadgen close -n 10k --duplicates 5% --time-wait 0
  RFC 1337: the same with TIME_WAIT, ended early by a RST
    loadgen close -n 10k --closes server --duplicates 5% -o both.tcp_rfc1337=0
"""
)
@flags(
    said(
        OPENED,
        rate="Open, then close, at this rate, in connections per second. Default: flat out, all at "
        "once; the listener's limits are then raised unless they are given.",
    )
)
@flags(SERVER)
@flags(CLOSING)
@flags(ADDRESSES)
@flags(said(LINK, duplicates="Share of data segments (or by kind, 'data=5%') of which the network "
            "keeps a copy that arrives late, into a second connection between the same two ports. Both ends "
            "then go without timestamps and with a slow ISN clock (tcp_timestamps=0, isn_tick_ns=4000000, "
            "tcp_rfc1337=1, unless set), and 1000 bytes are sent each way: what is seen is TIME_WAIT's "
            "own work.",
            duplicate_delay="How late the copy is. Default: 10s."))  # fmt: skip
@flags(but(TIMELINE, "duration"))
@flags(BATCH)
@flags(HOSTS)
@click.option("--peer", type=click.Choice(["engine", "stateless"]), default="engine", hidden=True)
@flags(spellings.OLD["close"])
@result_options
@click.pass_context
def close(ctx: click.Context, /, **given: Any) -> None:
    """Open connections, close them all, and let TIME_WAIT drain: what a mass close costs.

    Reports the state population over time, TIME_WAIT's peak and when it is empty again, and what happens
    without it: peers stuck in LAST_ACK because nobody answers their FIN any more, and old segments accepted
    by a new incarnation of a connection. With TIME_WAIT of 2 MSL both are zero.
    tcp_max_tw_buckets of both ends is raised to the number of connections unless it is given.

    Everything is opened before anything is closed: no port and no TIME_WAIT entry is used twice. Do not ask
    it whether ports last or what a shorter TIME_WAIT is worth; that is `loadgen churn`.
    """
    refuse_stateless(ctx, given)
    duplicates = given["duplicates"]
    if duplicates is not None and "=" not in duplicates:
        given["duplicates"] = f"data={duplicates}"
    made = preset_scenario(ctx, "close", given, spellings.tell(ctx, "close"))
    play_and_present(ctx, made, given)
