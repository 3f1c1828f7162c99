"""The command line: the group of commands and its manual page. The process around it is `entry`.

Each command has a module of its own (`churn` and so on) that is imported when the command is asked for:
`loadgen --version` loads neither numpy nor an engine. What the commands share is in `common` and `options`.
"""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Any, Final

import click

from loadgen import signals
from loadgen.cli.hints import hint

#: In the order of the help. Each is the command of that name in the module of that name.
COMMANDS: Final = (
    "churn",
    "run",
    "sweep",
    "plan",
    "handshake",
    "close",
    "flood",
    "compare",
    "report",
    "profiles",
    "metrics",
    "collect",
    "doctor",
    "completion",
)


class Commands(click.Group):
    """A group that imports a command when it is asked for, and answers a mistyped one with the nearest."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with signals.starting():
            command: click.Command = getattr(import_module(f"loadgen.cli.{cmd_name}"), cmd_name)
        if not gc.isenabled():  # see `entry`
            gc.freeze()
            gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            raise click.UsageError(f"no such command {args[0]!r}{hint(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("tcpcore")
    except PackageNotFoundError:
        number = "unknown"
    from loadgen.behaviour import BEHAVIOUR, SYSTEMS

    click.echo(f"loadgen, version {number}")
    click.echo(f"tcpcore {number}, behaviour {BEHAVIOUR}; profiles {', '.join(SYSTEMS.values())}")
    ctx.exit()


SETTINGS: Final[dict[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "LOADGEN",
}

EXIT_CODES: Final = """\
EXIT CODES

\b
    0  fine                  3  bad scenario, configuration, sysctl file or knob
    1  failed               99  a threshold was missed
    2  wrong usage         130  interrupted; the partial result is reported (SIGTERM: 143)
"""


@click.group(cls=Commands, epilog=EXIT_CODES, context_settings=SETTINGS)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version, that of the figures and the systems of the profiles, and exit.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
def main(debug: bool) -> None:
    """Simulate TCP clients, servers and the queues between them, and say what became of every connection.

    Hosts are tcpcore engines, the state machine of RFC 9293 with the limits of a Linux, FreeBSD or textbook
    host, joined by a virtual link with delay, loss, duplication and reordering. Virtual time is what the
    clients see; wall time is how fast this machine computes it. No packet leaves the machine and no privilege
    is needed.

    \b
    SCENARIOS A scenario file (TOML) describes hosts, loads, floods, link and events;
              `loadgen run FILE` plays it. The others build one from options:
              `loadgen churn ... --print-config` prints it, and running that
              gives the same result.

    \b
    NUMBERS   50k  1.5M  64Ki     counts
              50k  200/s  30/min  rates
              250us  40ms  60s  2h  times; only 0 may come without its unit
              exp:120us  normal:40ms,5ms  lognormal:200ms,1.0  times that vary
              1%  0.01            shares

    \b
    KNOBS     -o KNOB=VALUE sets a knob by its Linux name, on the
              server, with client.KNOB on the clients, with both.KNOB on both; any
              path of a scenario, too (-o link.rtt=40ms).

    \b
    FILES     --config FILE takes the options from a TOML file, the engine's knobs
              from its table [knobs]; --sysctl FILE takes a host's `sysctl -a`.
              The command line wins over LOADGEN_COMMAND_OPTION in the environment
              (LOADGEN_CHURN_RTT=40ms), that over --config, which wins over --sysctl.

    \b
    OUTPUT    The result goes to standard output or --output, everything else to
              standard error. The same seed gives the same result, whatever --jobs;
              only what stands under "wall" differs.

    \b
    EXAMPLES  loadgen churn --rate 500 --clients 1 --hold 30ms --duration 10m --check
              loadgen churn --rate 3k --rtt 80ms --backlog 511 --accept-stall 250ms/2s
              loadgen plan backlog --rate 3k --rtt 80ms --backlog 511 --accept-stall 250ms/2s
              loadgen plan ports --rate 500 --clients 1 --hold 30ms --rtt 0 --remedies
              loadgen run web.toml --seeds 8 --threshold 'success_ratio>=0.999'
              loadgen handshake --connections 200k --rate 50k --rtt 40ms --loss 1%
              loadgen close --connections 100k --closes client
              loadgen flood --flood-rate 100k --backlog 1024 --rate 200 --compare all
    """
