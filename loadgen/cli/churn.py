"""`loadgen churn`: its options and help."""

from __future__ import annotations

from typing import Any

import click

from loadgen.cli.flag import flags
from loadgen.cli.flags import (
    BATCH,
    CLIENT,
    CLOSING,
    FLOOD,
    FLOOD_TIMES,
    HOSTS,
    LINK,
    LOAD,
    SERVER,
    SYN_DATA,
    TIMELINE,
    result_options,
)
from loadgen.cli.host_flags import KERNEL
from loadgen.cli.playing import play_and_present
from loadgen.cli.scenes import preset_scenario


@click.command(
    short_help="Clients that come, stay, close and go; what became of each.",
    epilog="""\
EXAMPLES

\b
  Do the ports of one proxy last, and which remedy is worth what?
    loadgen churn --rate 500 --clients 1 --hold 30ms --rtt 1ms --duration 10m --seeds 8 --check
    loadgen churn ... -o client.tcp_tw_reuse=1
    loadgen churn ... -o client.ip_local_port_range=1024-65535
    loadgen churn ... --destinations 2
    loadgen churn ... --closes server
  Four NAT gateways with a TIME_WAIT of 120 s:
    loadgen churn --rate 12k --clients 4 --hold 30ms --time-wait 120s --ports 1024-65535 --duration 6m
  An application that stalls, and a backlog that is long enough or not:
    loadgen churn --rate 3k --rtt 80ms --clients 100 --backlog 511 --accept-stall 250ms/2s --duration 20s
  Clients beside a flood:
    loadgen churn --rate 200 --rtt 40ms --flood-rate 50k --backlog 1024 --duration 20s
  The same as a file, to be changed and played:
    loadgen churn --rate 3k --print-config >web.toml; loadgen run web.toml
"""
)
@flags(LOAD)
@flags(CLIENT)
@flags(SERVER)
@flags(CLOSING)
@flags(SYN_DATA)
@flags(LINK)
@flags(FLOOD)
@flags(FLOOD_TIMES)
@flags(TIMELINE)
@flags(BATCH)
@flags(HOSTS)
@flags(KERNEL)
@result_options
@click.pass_context
def churn(ctx: click.Context, /, **given: Any) -> None:
    """Clients that come, stay for a while, close and go: what a steady load does to ports and queues.

    Connections live side by side: each opens at its arrival, lives its holding time, closes when that is
    over, and its port and TIME_WAIT entry are used again while others go on. Reports how every connection
    ended, ports in use, the first refusal and the rate that the ports sustain, the population of the queues
    and states over time, and the times to connected and served.
    """
    made = preset_scenario(ctx, "churn", given)
    play_and_present(ctx, made, given)
