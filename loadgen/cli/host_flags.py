"""The options by which a host's own files come into a scenario; the other shared options are in `flags`."""

from __future__ import annotations

from typing import Any, Final

import click

from loadgen.cli import options as opt
from loadgen.cli.flag import Flag

KERNEL: Final = (
    Flag(
        "bytes",
        ("server.bytes",),
        "Sizes of the server's kernel objects for the figures of its memory: /proc/slabinfo of Linux, "
        "`vmstat -z` of FreeBSD. Default: those measured on Linux 6.18; none for another profile.",
        metavar="FILE",
    ),
)

_FROM_HOST: Final = click.option(
    "--from-host",
    "from_host",
    type=opt.FILE,
    metavar="DIR",
    help="Take the server's limits, its load and what it counted from a folder of its own files "
    "(`loadgen collect` makes one). Every other option, and a scenario file, win over it.",
)
_CLIENT_FROM_HOST: Final = click.option(
    "--client-from-host",
    "client_from_host",
    type=opt.FILE,
    metavar="DIR",
    help="Take the clients' limits, and what one of them opens, from the files of a host that connects (a "
    "proxy).",
)


def from_host_options(command: Any) -> Any:
    """Give a command --from-host and --client-from-host."""
    return _FROM_HOST(_CLIENT_FROM_HOST(command))
