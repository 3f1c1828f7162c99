"""The knobs of a host in a scenario: which there are, at which end each acts, and how one is written.

Names, ranges and documentation are those of `tcpcore.Config`. Whether a knob acts on the end that opens or
on the one that listens is said here: a knob set where it does nothing is a mistake of whoever set it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from loadgen.scenario.errors import Mistake, hint, shown
from loadgen.units import UnitError, is_number, parse_count
from tcpcore import Config

SERVER, CLIENT, BOTH = "server", "client", "both"

#: What only an end that listens does: queues, cookies, half-open entries.
SERVER_ONLY: Final = frozenset({
    "somaxconn", "tcp_max_syn_backlog", "synq_policy", "tcp_syncookies", "dup_syn_restarts",
    "accept_queue_rule", "cookie_encoding", "accept_full_drops_syn", "tcp_abort_on_overflow",
    "tcp_synack_retries", "listen_drops_synfin", "listen_answers_synack", "half_open_rules",
    "bad_ack_ends_half_open", "unlisten_forgets", "wrong_ack_first",
})  # fmt: skip
#: What only an end that connects does.
CLIENT_ONLY: Final = frozenset({
    "ip_local_port_range", "ip_local_reserved_ports", "port_selection", "tcp_tw_reuse", "tcp_tw_reuse_delay",
    "tw_reuse_clock_ms", "crossed_synack_opens",
    "tcp_syn_retries", "tcp_syn_linear_timeouts", "early_syn_resend_ms", "crossed_syn_restarts",
    "shutdown_waits", "ack_of_iss_opens", "refused_in_syn_received",
})  # fmt: skip
#: What is not the user's to set, and what to write instead.
OURS: Final[Mapping[str, str]] = {
    "seed": "write seed, or --seed",
    "events": "loadgen reads them itself",
    "local_addr": "write server.listen.addr or client.first_addr",
}

DECLARED: Final[Mapping[str, Any]] = {knob.name: knob.metadata["knob"] for knob in fields(Config)}


def is_knob(name: str) -> bool:
    """Whether a host has it."""
    return name in DECLARED


def side_of(name: str) -> str:
    """The end at which it acts: server, client or both."""
    return SERVER if name in SERVER_ONLY else CLIENT if name in CLIENT_ONLY else BOTH


def is_live(name: str) -> bool:
    """Whether a host changes it while it runs, as `sysctl -w` does."""
    return bool(DECLARED[name].live)


def known(side: str) -> list[str]:
    """The knobs that may be set at that end."""
    return [name for name in DECLARED if side_of(name) in (BOTH, side) and name not in OURS]


def read(name: str, value: Any, side: str) -> Any:
    """The checked value of a knob of that end, from a text or a number. Raises Mistake."""
    if name not in DECLARED:
        raise Mistake(f"unknown knob {shown(name)}{hint(name, DECLARED)}")
    if name in OURS:
        raise Mistake(f"the knob {name} cannot be set here: {OURS[name]}")
    right = side_of(name)
    if right not in (BOTH, side):
        raise Mistake(f"the knob {name} cannot act on the {side}: write {right}.{name}")
    given = native(name, value) if isinstance(value, str) else value
    try:
        return DECLARED[name].check(name, tuple(given) if isinstance(given, list) else given)
    except (TypeError, ValueError, OverflowError) as error:
        raise Mistake(str(error)) from None


def plain(value: Any) -> Any:
    """As TOML says it."""
    if value is None:
        return "none"
    return list(value) if isinstance(value, tuple) else value


def native(name: str, text: str, between: str = ",-") -> Any:
    """Whole numbers (also 50k), on and off, `none`, two numbers parted by `between`, or a name."""
    text = text.strip()
    if isinstance(getattr(Config, name, None), str):  # a choice by name, of which "none" may be one
        return int(text) if is_number(text) else text
    words = text.translate(dict.fromkeys(map(ord, between), " ")).split()
    if len(words) == 2 and all(map(is_number, words)):
        return int(words[0]), int(words[1])
    named = {"none": None, "true": True, "on": True, "false": False, "off": False}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return parse_count(text)
    except UnitError:
        return text
