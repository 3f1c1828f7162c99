"""The command line: the group of commands and its manual page. The process around it is `entry`.

Each command has a module of its own (`handshake` and so on); what they share is in `common`.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import click

from loadgen.cli import options as opt
from loadgen.cli.close import close
from loadgen.cli.flood import flood
from loadgen.cli.handshake import handshake
from loadgen.cli.profiles import profiles


class Commands(click.Group):
    """A group that answers a mistyped command with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"no such command {args[0]!r}{opt.hint(args[0], self.list_commands(ctx))}", ctx
            )
        return super().resolve_command(ctx, args)


def _version() -> str:
    try:
        return version("tcpcore")
    except PackageNotFoundError:
        return "unknown"


SETTINGS: Final[dict[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "LOADGEN",
}

EXIT_CODES: Final = """\
EXIT CODES

\b
    0  fine                  3  bad configuration, sysctl file or knob
    1  failed               99  a threshold was missed
    2  wrong usage         130  interrupted; the partial result is reported (SIGTERM: 143)
"""


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings=SETTINGS)
@click.version_option(_version(), prog_name="loadgen")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
def main(debug: bool) -> None:
    """Drive TCP connections through two tcpcore engines and say what became of them.

    A client engine and a server engine are joined by a virtual link with delay, loss, duplication and
    reordering. Virtual time is what the clients see; wall time is how fast this machine computes it. No
    packet leaves the machine and no privilege is needed.

    \b
    NUMBERS   50k  1.5M  64Ki     counts
              50k  200/s  30/min  rates
              250us  40ms  60s  2h  times; only 0 may come without its unit
              1%  0.01            shares

    \b
    FILES     --config FILE takes the options from a TOML file, the engine's knobs
              from its table [knobs]; --sysctl FILE takes a host's `sysctl -a`.
              The command line wins over LOADGEN_COMMAND_OPTION in the environment
              (LOADGEN_CLOSE_RTT=40ms), that over --config, which wins over --sysctl.

    \b
    EXAMPLES  loadgen handshake --connections 1M
              loadgen handshake --connections 200k --rate 50k --rtt 40ms --loss 1%
              loadgen close --connections 100k --by client
              loadgen flood --rate 100k --backlog 1024 --clients 200/s --compare all
    """


for command in (handshake, close, flood, profiles):
    main.add_command(command)
