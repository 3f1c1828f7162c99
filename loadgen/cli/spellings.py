"""Options of `handshake`, `close` and `flood` as they were spelled before scenarios.

They work for one version, are not in the help, and say on standard error what to write instead. Where the
same option means something else now, it is a usage error that says so. Invariant: what an old spelling sets,
a new one sets, too; nothing can be reached by an old spelling only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import click
from click.core import ParameterSource

from loadgen.cli.flag import Assignment, Flag

POLICIES: Final = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")
COOKIES: Final = ("off", "overflow", "always")

_LONGEST: Final = 200  # characters of what is told

_BY: Final = {"client": "client", "server": "server", "simultaneous": "both", "mix": "turns"}


def _by(text: str) -> dict[str, str]:
    return {"": _BY[text]}


def _data(text: str) -> dict[str, str]:
    return {"speaks": "server", "request": text, "response": text} if text != "0" else {"speaks": "nobody"}


def _cookies(text: str) -> dict[str, str]:
    return {"": str(COOKIES.index(text))}


BY: Final = Flag(
    "by", ("server.closes",), "", choices=tuple(_BY), split=_by, instead=lambda text: f"--closes {_BY[text]}"
)
DATA: Final = Flag(
    "data",
    ("load",),
    "",
    metavar="BYTES",
    split=_data,
    instead=lambda text: f"--speaks server --request {text} --response {text}",
)
KIND: Final = Flag(
    "kind",
    ("flood.kind",),
    "",
    choices=("syn", "ack", "rst", "fin"),
    instead=lambda text: f"--flood-kind {text}",
)
COUNT: Final = Flag("count", ("flood.count",), "", instead=lambda text: f"--flood-count {text}")
ACCEPT_DELAY: Final = Flag(
    "accept_delay", ("server.accept.time",), "", instead=lambda text: f"--accept-time {text}"
)
CLIENT_ADDRESSES: Final = Flag(
    "client_addresses", ("client.hosts",), "", instead=lambda text: f"--clients {text}"
)
COOKIES_OF: Final = Flag(
    "cookies",
    ("server.knobs.tcp_syncookies",),
    "",
    choices=COOKIES,
    split=_cookies,
    instead=lambda text: f"-o tcp_syncookies={COOKIES.index(text)}",
)

#: By command and parameter.
OLD: Final[Mapping[str, tuple[Flag, ...]]] = {
    "handshake": (),
    "close": (BY, DATA),
    "flood": (KIND, COUNT, ACCEPT_DELAY, CLIENT_ADDRESSES, COOKIES_OF),
}


def tell(ctx: click.Context, command: str) -> dict[str, Flag]:
    """The old spellings of a command by parameter; say of those that are used what to write."""
    old = {flag.name: flag for flag in OLD[command]}
    for name, flag in old.items():
        value = ctx.params.get(name)
        if value is not None and flag.instead is not None and ctx.get_parameter_source(name) is not None:
            said(f"--{name.replace('_', '-')}", flag.instead(str(value)))
    return old


def said(name: str, instead: str) -> None:
    """One line of what is written now."""
    short = instead if len(instead) <= _LONGEST and instead.isprintable() else f"{name}'s new name"
    click.echo(f"{name}: an old spelling, write {short}", err=True)


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether the option was given, wherever."""
    return ctx.get_parameter_source(name) not in (None, ParameterSource.DEFAULT)


def of_policy(policy: str, taken: Iterable[str], option: str = "--policy") -> list[Assignment]:
    """A SYN-queue policy, with what belongs to it unless that is given."""
    found = {"synq_policy": policy}
    if policy == "freebsd":
        found |= {"cookie_encoding": "freebsd", "dup_syn_restarts": "1"}
    given = {word.partition("=")[0].strip().removeprefix("server.").removeprefix("both.") for word in taken}
    return [
        Assignment(f"server.knobs.{name}", value, f"flag {option}", option)
        for name, value in found.items()
        if name not in given or name == "synq_policy"
    ]


def pair(given: Mapping[str, Any], first: str, second: str, path: str, join: str, default: tuple[str, str],
         instead: str) -> list[Assignment]:  # fmt: skip
    """Two old options that are one now."""
    one, two = given.get(first), given.get(second)
    if one is None and two is None:
        return []
    text = f"{default[0] if one is None else one}{join}{default[1] if two is None else two}"
    said(f"--{first}, --{second}", f"{instead} {text}")
    option = f"--{first}" if one is not None else f"--{second}"
    return [Assignment(path, text, f"flag {option}", f"--{first}, --{second}")]


__all__ = ["OLD", "POLICIES", "is_given", "of_policy", "pair", "said", "tell"]
