"""Which side a knob given with -o belongs to.

`-o KNOB=VALUE` is the server's, `client.KNOB` the clients', `both.KNOB` both's. A knob that cannot act on
the side for which it is given would be taken and change nothing: that is a usage error which names the right
side.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import click

from loadgen.cli.hints import hint
from tcpcore import Config

KNOBS: Final = frozenset(knob.name for knob in fields(Config))

#: Knobs of the simulation, not of a host, and what to use instead.
OURS: Final = {
    "seed": "use --seed",
    "events": "loadgen reads them itself",
    "local_addr": "see client.first_addr and server.listen.addr",
    "capacity": "engines are as large as the scenario needs",
    "auto_read": "the applications of the scenario read",
}

#: Knobs of a listener: clients have none.
_SERVER_ONLY: Final = frozenset({
    "somaxconn", "tcp_max_syn_backlog", "synq_policy", "tcp_syncookies", "dup_syn_restarts",
    "accept_queue_rule", "cookie_encoding", "accept_full_drops_syn", "tcp_abort_on_overflow",
    "tcp_synack_retries",
    "listen_drops_synfin", "listen_answers_synack", "bad_ack_ends_half_open", "unlisten_forgets",
})  # fmt: skip

#: Knobs of connect(): servers only listen.
_CLIENT_ONLY: Final = frozenset({
    "ip_local_port_range", "port_selection", "tcp_tw_reuse", "tcp_tw_reuse_delay", "tcp_syn_retries",
    "tcp_syn_linear_timeouts", "early_syn_resend_ms",
})  # fmt: skip


def places(name: str) -> list[str]:
    """The places of the scenario that `-o NAME=` sets when NAME is a knob, with its side or without.

    None where it is no knob. Raises a usage error for a knob that cannot act there.
    """
    side, dot, knob = name.rpartition(".")
    sides = {"": ("server",), "server": ("server",), "client": ("client",), "both": ("server", "client")}
    if side not in sides:
        return []
    if knob not in KNOBS:
        if side == "both":
            raise click.BadParameter(f"no knob is called {knob!r}{hint(knob, KNOBS)}", param_hint="'-o'")
        return []
    wrong = {"server": _CLIENT_ONLY, "client": _SERVER_ONLY}
    for one in sides[side]:
        if knob in wrong[one]:
            other = "client." if one == "server" else "" if not dot else "server."
            does = "connects" if one == "server" else "listens"
            raise click.BadParameter(
                f"{name}: acts on the side that {does}: write -o {other}{knob}=...", param_hint="'-o'"
            )
    return [f"{one}.knobs.{knob}" for one in sides[side]]
