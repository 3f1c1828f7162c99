"""The options of the commands that play a scenario, declared once for all of them.

Those that stand for a place of the scenario are grouped as it is; `result_options` are the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from loadgen.cli import options as opt
from loadgen.cli.flag import Flag, bursts, late, ports, stall, time_wait, tries
from loadgen.cli.host_flags import KERNEL, from_host_options

F = TypeVar("F", bound=Callable[..., Any])

LOAD: Final = (
    Flag("rate", ("load.rate",), "Connections per second. Default: 1k/s.", metavar="RATE"),
    Flag(
        "hold",
        ("load.hold",),
        "How long a connection lives, from connected to the first close: a time, or exp:MEAN, "
        "lognormal:MEAN,SIGMA, normal:MEAN,SD, uniform:FROM,TO, trace:FILE.",
        metavar="TIME",
    ),
    Flag(
        "arrivals",
        ("load.arrivals",),
        "poisson (the default), paced, or trace:FILE, a time a line.",
    ),
    Flag(
        "connections",
        ("load.count",),
        "Stop after so many connections.",
        metavar="COUNT",
        words=("-n", "--connections"),
    ),
    Flag(
        "concurrency",
        ("load.concurrency",),
        "Closed loop: so many users, each of which begins its next connection when the last one has ended.",
        metavar="COUNT",
    ),
    Flag(
        "request",
        ("load.request",),
        "Bytes of a request. 0 and 0: nobody says anything.",
        metavar="BYTES",
    ),
    Flag(
        "response",
        ("load.response",),
        "Bytes of an answer.",
        metavar="BYTES",
    ),
    Flag(
        "requests_per_connection",
        ("load.requests_per_connection",),
        "Requests, spread over the holding time.",
        metavar="COUNT",
    ),
    Flag(
        "speaks",
        ("load.speaks",),
        "Who speaks first: decides what a lost third ACK does.",
        choices=("client", "server", "nobody"),
    ),
    Flag(
        "patience",
        ("load.patience",),
        "A client that is not served by then gives up. Default: never.",
        metavar="TIME",
    ),
    Flag(
        "idle_timeout",
        ("load.idle_timeout",),
        "A connection on which nothing happens for so long is closed.",
        metavar="TIME",
    ),
    Flag(
        "tries",
        ("load.tries",),
        "os: the kernel resends its SYN. COUNT,BACKOFF*FACTOR,JITTER such as 3,1s*2,0.5: the "
        "application gives up a try and connects again.",
        metavar="TRIES",
        split=tries,
    ),
)

#: Of the presets with phases: open all, then close all.
CLOSING: Final = (
    Flag(
        "close_delay",
        ("load.close_delay",),
        "How long after the first FIN the other application closes. 0: the server answers with one FIN+ACK "
        "(three segments instead of four).",
        metavar="TIME",
    ),
    Flag(
        "half_close",
        ("load.half_close",),
        "Share of connections on which the first closer shuts down its side only and the other side goes "
        "on sending.",
        metavar="SHARE",
    ),
    Flag(
        "half_close_bytes",
        ("load.half_close_bytes",),
        "How much that is.",
        metavar="BYTES",
    ),
    Flag(
        "last_ack_loss",
        ("link.last_ack_loss",),
        "Share of connections whose last ACK is lost (once).",
        metavar="SHARE",
    ),
)

SYN_DATA: Final = (
    Flag(
        "syn_data",
        ("load.syn_data",),
        "Put this many bytes on every SYN (RFC 9293 lets the server refuse them, and it does).",
        metavar="BYTES",
    ),
)

BATCH: Final = (
    Flag(
        "batch",
        ("run.batch",),
        "Segments per engine call. Changes the speed, never the result. Default: 4096.",
        metavar="COUNT",
    ),
)

CLIENT: Final = (
    Flag(
        "clients",
        ("client.hosts",),
        "Client addresses, each with the ports and limits of a host.",
        metavar="COUNT",
    ),
    Flag(
        "destinations",
        ("client.destinations",),
        "Server addresses they spread over.",
        metavar="COUNT",
    ),
    Flag(
        "ports",
        ("client.knobs.ip_local_port_range",),
        "Range of the clients' ports: each address has so many towards each destination. Linux: "
        "32768-60999, 28232 of them.",
        metavar="LOW-HIGH",
        split=ports,
    ),
    Flag(
        "time_wait",
        ("server.knobs.time_wait_ms", "client.knobs.time_wait_ms"),
        "Length of TIME_WAIT, 2 MSL, on both sides. Default: 60s.",
        metavar="TIME",
        split=time_wait,
    ),
)

SERVER: Final = (
    Flag(
        "backlog",
        ("server.listen.backlog",),
        "Of each listener. Default: somaxconn.",
        metavar="COUNT",
    ),
    Flag(
        "listeners",
        ("server.listen.listeners",),
        "Sockets that share the port (SO_REUSEPORT), a queue each.",
        metavar="COUNT",
    ),
    Flag(
        "accept_time",
        ("server.accept.time",),
        "What a worker needs for a connection before it accepts the next. Default: nothing, it accepts "
        "at once.",
        metavar="TIME",
    ),
    Flag(
        "accept_workers",
        ("server.accept.workers",),
        "Workers that take from one accept queue.",
        metavar="COUNT",
    ),
    Flag(
        "accept_stall",
        ("server.accept.stall",),
        "Accept nothing for LENGTH at the end of every PERIOD: 250ms/2s stops at 2 s, 4 s, ... for 250 ms.",
        metavar="LENGTH/PERIOD",
        split=stall,
    ),
    Flag(
        "closes",
        ("server.closes",),
        "Who closes first: client, server, both (at the same moment), turns (these three by turns), mix:0.3 "
        "(the server's share), reset:0.01 (clients that reset).",
    ),
)

LINK: Final = (
    Flag(
        "rtt",
        ("link.rtt",),
        "Round-trip time: a time, or a distribution as --hold takes.",
        metavar="TIME",
    ),
    Flag(
        "jitter",
        ("link.jitter",),
        "Each segment is late by up to this.",
        metavar="TIME",
    ),
    Flag(
        "loss",
        ("link.loss",),
        "Share of segments lost, of all or by kind: 'syn=5%,third-ack=1%'. Kinds: syn, syn-ack, third-"
        "ack, data, ack, fin, last-ack, rst.",
        metavar="SHARE",
    ),
    Flag(
        "duplicates",
        ("link.duplicate",),
        "Share of segments that arrive twice, of all or by kind.",
        metavar="SHARE",
    ),
    Flag(
        "duplicate_delay",
        ("link.duplicate_after",),
        "How much later the copy arrives.",
        metavar="TIME",
    ),
    Flag(
        "reorder",
        ("link.reorder",),
        "Share of segments that are overtaken.",
        metavar="SHARE",
    ),
    Flag(
        "reorder_delay",
        ("link.reorder_after",),
        "How late those are.",
        metavar="TIME",
    ),
    Flag(
        "late",
        ("link.late",),
        "A tail of old duplicates: of this share a copy arrives so much later, 10s:1e-7.",
        metavar="AFTER:SHARE",
        split=late,
    ),
)

FLOOD: Final = (
    Flag(
        "flood_rate",
        ("flood.rate",),
        "Spoofed segments per second beside the clients. Default: none.",
        metavar="RATE",
    ),
    Flag(
        "flood_kind",
        ("flood.kind",),
        "What they are.",
        choices=("syn", "ack", "rst", "fin"),
    ),
    Flag(
        "sources",
        ("flood.sources",),
        "Whom they pretend to come from: networks, or reflect:N, hosts that answer with RST.",
        metavar="SOURCES",
    ),
)

#: More of a flood than a load beside one needs.
FLOOD_TIMES: Final = (
    Flag(
        "flood_arrivals",
        ("flood.arrivals",),
        "Spacing of the spoofed segments. Default: paced.",
        choices=("paced", "poisson"),
    ),
    Flag(
        "during",
        ("flood.during",),
        "When it begins and ends: 5s,15s or 5s,end. Default: with the run.",
        metavar="FROM,TO",
    ),
    Flag(
        "bursts",
        ("flood.bursts",),
        "Flood for so long, pause for so long, and so on: 2s/8s. The rate is that while it is on.",
        metavar="ON/OFF",
        split=bursts,
    ),
    Flag(
        "flood_count",
        ("flood.count",),
        "Send exactly so many. Default: as long as the flood lasts.",
        metavar="COUNT",
    ),
)

TIMELINE: Final = (
    Flag(
        "duration",
        ("run.duration",),
        "How long clients arrive, in virtual time. Default: 60s.",
        metavar="TIME",
    ),
    Flag(
        "warmup",
        ("run.warmup",),
        "Leave this out of the rates and means; auto: it is chosen and printed.",
        metavar="TIME",
    ),
    Flag(
        "drain",
        ("run.drain",),
        "Run on until every connection is gone, TIME_WAIT too, or say what is left.",
        words=("--drain/--no-drain",),
        is_flag=True,
    ),
    Flag(
        "series",
        ("run.series",),
        "Interval of the series; 0: none. Default: 1s.",
        metavar="TIME",
    ),
    Flag(
        "seeds",
        ("run.seeds",),
        "Replicates; intervals are over them from 4 up. Default: 1.",
        metavar="COUNT",
    ),
    Flag(
        "seed",
        ("seed",),
        "Of every random choice: the same seed gives the same result. random: one is drawn, and the "
        "result says which.",
        metavar="SEED",
        type=opt.SEED,
    ),
)

HOSTS: Final = (
    Flag(
        "profile",
        ("server.profile",),
        "What the server is: linux (6.18), freebsd (14), strict (the RFCs to the letter), or a TOML "
        "file. `loadgen profiles` prints the three.",
        metavar="PROFILE",
    ),
    Flag(
        "client_profile",
        ("client.profile",),
        "What the clients are.",
        metavar="PROFILE",
    ),
    Flag(
        "kernel",
        ("server.kernel",),
        "The server is a Linux of this version (5.15): what it does otherwise than 6.18 "
        "(docs/kernel-versions.md).",
        metavar="VERSION",
    ),
    Flag(
        "client_kernel",
        ("client.kernel",),
        "The clients are a Linux of this version.",
        metavar="VERSION",
    ),
    Flag(
        "sysctl",
        ("server.sysctl",),
        "The server's knobs from a host's own `sysctl -a`.",
        metavar="FILE",
    ),
    Flag(
        "client_sysctl",
        ("client.sysctl",),
        "The clients' knobs from one.",
        metavar="FILE",
    ),
)

#: Every flag, by parameter.
FLAGS: Final = {
    flag.name: flag
    for flag in (
        *LOAD, *CLIENT, *SERVER, *CLOSING, *SYN_DATA, *LINK, *FLOOD, *FLOOD_TIMES, *TIMELINE, *BATCH, *HOSTS,
        *KERNEL,
    )
}  # fmt: skip


def said(group: tuple[Flag, ...], **helps: str) -> tuple[Flag, ...]:
    """The flags of a group, some of them with another help; None leaves one out."""
    return tuple(replace(flag, help=helps.get(flag.name, flag.help)) for flag in group)


def but(group: tuple[Flag, ...], *names: str) -> tuple[Flag, ...]:
    """The group without these."""
    return tuple(flag for flag in group if flag.name not in names)


#: Alternatives, of the commands that answer a question.
VS: Final = click.option(
    "--vs",
    "vs",
    multiple=True,
    metavar="NAME=VALUE[+NAME=VALUE...]",
    help="An alternative, shown beside what is: options and knobs, several joined by +. NAME=A,B are two. "
    "Repeatable.",
)

#: Options that are no part of the scenario.
_RESULT: Final[Mapping[str, Callable[[Any], Any]]] = {
    "knobs": click.option(
        "-o",
        "knobs",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a knob of the server by its Linux name, client.KNOB of the clients, both.KNOB of both, or "
        "any place of the scenario (load.hold=1s). Repeatable.",
    ),
    "from_host": from_host_options,
    "threshold": click.option(
        "--threshold",
        "threshold",
        multiple=True,
        metavar="TEXT",
        help="Exit 99 unless this holds: 'success_ratio>=0.999', 'connect.p99<50ms', "
        "'counters.server.ListenDrops==0'. Repeatable.",
    ),
    "check_": click.option(
        "--check",
        "check_",
        is_flag=True,
        help="Put the closed forms beside the figures. Exit 1 when one differs and no "
        "precondition explains it.",
    ),
    "jobs": click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        help="Processes that share the replicates. Changes the speed, never the result.",
    ),
    "force": click.option(
        "--force",
        is_flag=True,
        help="Run although the estimate is more memory than this machine has left.",
    ),
    "format": click.option(
        "--format",
        type=click.Choice(["table", "json", "csv", "html"]),
        help="Of the result. Default: by the name of --output, else table.",
    ),
    "output": click.option(
        "-O",
        "--output",
        type=opt.FILE,
        metavar="FILE",
        help="Write the result there instead of to standard output: a regular file whole or not at all, "
        "through a device, FIFO or symbolic link.",
    ),
    "print_config": click.option(
        "--print-config",
        is_flag=True,
        help="Print the scenario, each line with where it comes from, and do not run. "
        "`loadgen run` on it gives the same result.",
    ),
    "config": click.option(
        "--config",
        type=opt.FILE,
        metavar="FILE",
        is_eager=True,
        callback=opt.load_config,
        help="Take options from a TOML file.",
    ),
    "verbose": click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="List the keys of sysctl files that are no knobs here.",
    ),
}


def result_options(command: F) -> F:
    """Give a command the options that are no part of the scenario."""
    return some_result_options(*_RESULT)(command)


def some_result_options(*names: str, **others: Callable[[Any], Any]) -> Callable[[F], F]:
    """Give a command these of them, in this order; `others` are its own in place of those of the name."""

    def decorate(command: F) -> F:
        for name in reversed(names):
            command = {**_RESULT, **others}[name](command)
        return command

    return decorate
