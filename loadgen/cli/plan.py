"""`loadgen plan`: its options and help, from a command line to a question and from an answer to an exit code.

Exit codes: 0 answered, 1 formula and simulation differ unexplained, 3 it cannot be answered or the scenario
is wrong, 99 the target is missed by what was simulated, 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from loadgen.cli import options as opt
from loadgen.cli.asking import HOSTS, case_of, player_of, topic_of
from loadgen.cli.flag import TEXT, flags
from loadgen.cli.flags import (
    CLIENT,
    FLOOD,
    LINK,
    LOAD,
    SERVER,
    TIMELINE,
    VS,
    said,
    some_result_options,
)
from loadgen.cli.telling import present_answer
from loadgen.plan.play import EFFORTS


@click.command(
    short_help="Answer a question: which backlog, how many hosts?",
    epilog="""\
EXAMPLES

\b
  nginx logs "possible SYN flooding" at 3,000 connections per second. Which backlog?
    loadgen plan backlog --rate 3k --rtt 80ms --backlog 511 --accept-time 120us --accept-stall 250ms/2s
  How slow may accept() be?
    loadgen plan accept --rate 3k --backlog 511,1023 --threshold 'listen_drop_ratio<=1e-4'
  All clients come back at once. What happens in 30 s, and what would help?
    loadgen plan herd --clients 200k --rtt 40ms --accept-time 40us --backlog 4096 --vs within=10s
  A proxy gets EADDRNOTAVAIL. Which remedy is worth what? And how many hosts for 12,000 per second?
    loadgen plan ports --rate 500 --clients 1 --hold 30ms --rtt 0 --remedies
    loadgen plan ports --rate 12k --hold 30ms
  What does a short TIME_WAIT risk, what does a load cost in kernel memory, what do clients see of a flood?
    loadgen plan time-wait --profile freebsd --rate 2k --time-wait 10s --loss 1% --late 10s:1e-7 --bytes 30k
    loadgen plan memory --established 2M --rate 50k --hold 200ms --rtt 40ms --closes server
    loadgen plan flood --flood-rate 1k --rate 50 --rtt 20ms --tries 3 --backlog 1024 --vs tcp_syncookies=0
  What would this sysctl file do here, line by line?
    loadgen plan host web.toml --sysctl now.txt --apply 99-tuning.conf
  All questions about a scenario file:
    loadgen plan all web.toml
"""
)
@click.argument("topic", metavar="TOPIC")
@click.argument("file", required=False, type=opt.FILE)
@VS
@click.option("--remedies", is_flag=True, help="Show what each usual remedy is worth, and its cost (ports).")
@click.option(
    "--within", type=TEXT, metavar="TIME", help="herd: the clients come back within this. Default: 100ms."
)
@click.option("--horizon", type=TEXT, metavar="TIME", help="herd: how long they are watched. Default: 30s.")
@click.option("--established", type=TEXT, metavar="COUNT", help="memory: connections that are open and idle.")
@click.option(
    "--bytes",
    "bytes_",
    type=TEXT,
    metavar="BYTES",
    help="time-wait: what a connection carries. memory: a host's own bytes of an entry, "
    "established=2520,half_open=341,time_wait=256.",
)
@click.option(
    "--apply",
    "apply",
    type=opt.FILE,
    metavar="FILE",
    help="host: the sysctl file of which each line is judged.",
)
@click.option(
    "--effort",
    type=click.Choice(list(EFFORTS)),
    default="normal",
    show_default=True,
    help="How much is simulated: 1e6, 1e7 or 1e8 segments per replicate. Work, not time: the answer does "
    "not depend on the machine.",
)
@click.option("--no-sim", is_flag=True, help="Formulas only; the verdict says so.")
@flags(said(LOAD, rate="Connections per second. Left out, it is solved for where it is the one unknown."))
@flags(said(CLIENT, clients="Client addresses, each with the ports and limits of a host. ports: hosts, "
            "gateways or proxies. herd: how many clients come back."))  # fmt: skip
@flags(said(SERVER, backlog="What listen() asks for, of each listener. Default: somaxconn. Several, A,B: the "
            "others beside the first, as with --vs; --rate and --clients take several, too."))  # fmt: skip
@flags(LINK)
@flags(FLOOD)
@flags(said(TIMELINE, duration="How long clients arrive, in virtual time. Default: as long as the question "
            "needs, at most what --effort has.", seeds="Replicates; intervals are over them from 4 up. "
            "Default: 4, 8, 8 by --effort; of what is played whole (herd) 1, 4, 8."))  # fmt: skip
@flags(HOSTS)
@some_result_options(
    "knobs", "from_host", "threshold", "check_", "jobs", "force", "format", "output", "print_config",
    "config", "verbose",
    threshold=click.option(
        "--threshold", "threshold", multiple=True, metavar="TEXT",
        help="What is to hold, 'first_try_ratio>=0.999': the answer says whether it does, and what it takes. "
        "Exit 99 where nothing that was tried meets it. Repeatable.",
    ),
)  # fmt: skip
@click.pass_context
def plan(ctx: click.Context, /, topic: str, file: Path | None, **given: Any) -> None:
    """Answer a question about a fleet: formula first, then simulation, and whether the two agree.

    \b
    TOPIC is one of
    backlog    Is the backlog long enough, and which one is? --rate, --rtt,
               --accept-time, --accept-stall; without --rate: up to which rate.
               Target where none is given: first_try_ratio>=0.999.
    accept     How slow may accept() be? Two of --rate, --backlog, --accept-time.
    herd       All clients come back at once: --clients, --accept-time, --backlog.
    ports      Do the clients' ports last? --rate, --hold; without --clients:
               how many client hosts (gateways, proxies) it takes.
    time-wait  What does another TIME_WAIT gain and risk? --rate, --time-wait.
    memory     Kernel memory of a server, its TIME_WAIT against the cap:
               --established, or --rate, --hold and --closes.
    flood      What do clients see of a SYN flood? --flood-rate, --rate.
    host       What would a sysctl file do here? --apply, --sysctl.
    all        Every question about a scenario FILE, a line each.

    Leave out one of the quantities of a topic (or give it as "?") and it is solved for. The page: limits in
    force and who set them, the verdict, what is needed, alternatives and their cost, what is assumed and what
    is not modelled. Each line ends with where its figures come from: F closed form, S simulated, R recorded
    on a real kernel, T table, A assumed by you.
    """
    asked = topic_of(topic)
    player = player_of(asked, given)
    case = case_of(ctx, asked, file, given, player)
    if case is not None:
        present_answer(ctx, case, given)
