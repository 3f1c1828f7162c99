"""`loadgen collect`: its options and help."""

from __future__ import annotations

from pathlib import Path

import click

from loadgen.cli import options as opt
from loadgen.cli.common import format_of, present
from loadgen.host.collect import script


@click.command(
    short_help="Print the lines that write a host's own files.",
    epilog="""\
EXAMPLES

\b
  A script that is copied to the host and run there, by anybody:
    loadgen collect -O collect.sh
    scp collect.sh web1: && ssh web1 sh collect.sh && scp -r web1:host-files .
    loadgen churn --from-host host-files -o port=443 --rtt 40ms
  What becomes of it when sysctl.d/99-tuning.conf is applied:
    loadgen plan host --from-host host-files --apply 99-tuning.conf
"""
)
@click.option(
    "--interval",
    type=opt.TIME,
    default="60s",
    show_default=True,
    metavar="TIME",
    help="Between the two counts whose difference is the load.",
)
@click.option("-O", "--output", type=opt.FILE, metavar="FILE", help="Write it there, whole or not at all.")
def collect(interval: int, output: Path | None) -> None:
    """Print the shell lines that write a host's own files, for --from-host.

    The script reads `sysctl -a`, /proc/net/snmp and /proc/net/netstat twice, `ss -ltn`, `ss -s` and, where it
    may, /proc/slabinfo, into a folder host-files. It changes nothing and needs no root. On FreeBSD it reads
    `sysctl -a` and `vmstat -z`. Files by other names and of other tools (`nstat -az`, node_exporter's text)
    are recognised, too.
    """
    if interval < 10**9:
        raise click.BadParameter("expected at least 1s", param_hint="'--interval'")
    text = script(seconds=-(-interval // 10**9))
    formats = {"": "text", ".sh": "text", ".txt": "text"}
    format_of(None, output, formats)
    present({}, lambda colour, width: text, "table", output)
