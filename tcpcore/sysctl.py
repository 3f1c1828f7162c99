"""The knobs of an engine: one frozen, validated record under the names a host uses.

A knob that Linux has carries Linux's name, unit and meaning; ours carry their unit in
the name. Every behaviour on which Linux, FreeBSD and the RFCs differ is a knob, and a
profile is nothing but a table of values: the engine never asks which one it runs.
Not here: what a knob does. That is the business of whoever reads it.

Invariant: a `Config` that exists is valid, and equal settings compare equal (values are
normalised: `True` to 1, "10.0.0.1" and 0x0A000001 to "10.0.0.1", port algorithm 4 to
"double-hash"). Sources: Linux Documentation/networking/ip-sysctl.rst, FreeBSD tcp(4)
and syncache(4), RFC 9293, 5961, 6056, 6298, 6528, 7323.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import operator
import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, ClassVar, Final, Self

__all__ = ["EVENTS", "FREEBSD", "STRICT", "UNLIMITED", "Config", "UnknownKnob"]

UNLIMITED: Final = 2**31 - 1  # INT_MAX, Linux's own word for "no limit"
EVENTS: Final = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait")

_MAX_MS: Final = 2**30 - 1  # two of them added stay within the 2**31 ticks a deadline may be ahead
_MAX_WINDOW: Final = 65535 << 14  # RFC 7323 2.3
_PORT_ALGORITHMS: Final = ("random", "random-retry", "hash", "double-hash", "random-increments")

_Names = tuple[str, ...]


class UnknownKnob(TypeError, ValueError):
    """A name that is no knob: a `TypeError` as a keyword, a `ValueError` in a file."""


# -- one maker per kind of knob; the check it plants normalises the value or raises ------


def _wrong(error: type[Exception], name: str, expected: str, value: object, hint: str = "") -> Exception:
    return error(f"{name}: expected {expected}, got {value!r}{hint}")


def _one_of(names: Iterable[object]) -> str:
    *rest, last = (repr(name) for name in names)
    return f"{', '.join(rest)} or {last}" if rest else last


def _hint(name: object, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _int(default: int | None, low: int, high: int, *, none: str = "", none_is: int | None = None) -> Any:
    """An integer knob. `none` says what None means, `none_is` the value it is kept as."""
    switch = low == 0 and high <= 2
    expected = _one_of(range(high + 1)) if switch else f"an integer from {low} to {high}"
    expected += f", or None ({none})" if none else ""

    def check(name: str, value: Any) -> int | None:
        if value is None and none:
            return none_is
        if isinstance(value, bool) and not switch:
            raise _wrong(TypeError, name, expected, value)
        try:
            number = operator.index(value)
        except TypeError:
            raise _wrong(TypeError, name, expected, value) from None
        if not low <= number <= high:
            raise _wrong(ValueError, name, expected, value)
        return number

    return field(default=default, metadata={"check": check})


def _switch(default: int) -> Any:
    return _int(default, 0, 1)


def _choice(default: str, names: _Names, *, numbered: _Names = ()) -> Any:
    """A named choice; `numbered` are the names that the numbers 1, 2, ... stand for."""
    expected = _one_of(names) + (f" or a number from 1 to {len(numbered)}" if numbered else "")

    def check(name: str, value: Any) -> str:
        if numbered and not isinstance(value, (bool, str)):
            try:
                number = operator.index(value)
            except TypeError:
                raise _wrong(TypeError, name, expected, value) from None
            if 1 <= number <= len(numbered):
                return numbered[number - 1]
            raise _wrong(ValueError, name, expected, value)
        if not isinstance(value, str):
            raise _wrong(TypeError, name, expected, value)
        if value not in names:
            raise _wrong(ValueError, name, expected, value, _hint(value, names))
        return value

    return field(default=default, metadata={"check": check})


def _flag(default: bool) -> Any:
    def check(name: str, value: Any) -> bool:
        if not isinstance(value, int):
            raise _wrong(TypeError, name, "True or False", value)
        if value not in (0, 1):
            raise _wrong(ValueError, name, "True or False", value)
        return bool(value)

    return field(default=default, metadata={"check": check})


def _address(default: str) -> Any:
    expected = "an IPv4 address (dotted or as an integer)"

    def check(name: str, value: Any) -> str:
        if isinstance(value, bool):
            raise _wrong(TypeError, name, expected, value)
        try:
            return str(IPv4Address(value if isinstance(value, str) else operator.index(value)))
        except TypeError:
            raise _wrong(TypeError, name, expected, value) from None
        except ValueError:
            raise _wrong(ValueError, name, expected, value) from None

    return field(default=default, metadata={"check": check})


def _port_range(default: tuple[int, int]) -> Any:
    expected = "two ports, 1 <= first <= last <= 65535"

    def check(name: str, value: Any) -> tuple[int, int]:
        try:
            if isinstance(value, str) or any(isinstance(port, bool) for port in value):
                raise TypeError
            ports = tuple(operator.index(port) for port in value)
        except TypeError:
            raise _wrong(TypeError, name, expected, value) from None
        if len(ports) != 2 or not 1 <= ports[0] <= ports[1] <= 65535:
            raise _wrong(ValueError, name, expected, value)
        return ports[0], ports[1]

    return field(default=default, metadata={"check": check})


def _subset(names: tuple[str, ...]) -> Any:
    expected = "a sequence of " + _one_of(names)

    def check(name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise _wrong(TypeError, name, expected, value)
        wanted = tuple(value)
        for item in wanted:
            if not isinstance(item, str):
                raise _wrong(TypeError, name, expected, item)
            if item not in names:
                raise _wrong(ValueError, name, expected, item, _hint(item, names))
        return tuple(item for item in names if item in wanted)

    return field(default=(), metadata={"check": check})


# -- the knobs ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Config:
    """Every knob of an `Engine`; the defaults are those of a Linux 6.18 host.

    `Config(tcp_syncookies=2)` is `Config.linux(tcp_syncookies=2)`. `dataclasses.fields`,
    `asdict` and `replace` work; so do `config.replace(...)`, TOML and a host's `sysctl -a`.

    Raises
    ------
    UnknownKnob
        A `TypeError` and a `ValueError`; names the knob and the nearest known one.
    TypeError, ValueError
        Wrong type or value: "name: expected ..., got ...".

    Notes
    -----
    Switches are 0 or 1 and take bool. `None` is "no limit" (kept as 2147483647) for
    `tcp_challenge_ack_limit` and `tcp_max_tw_buckets`, and "no bound" for `keepinit_ms`.
    The comment beside each knob says its unit and meaning.
    """

    # the engine
    capacity: int = _int(65536, 1, 2**30)  # connection blocks
    seed: int = _int(0, 0, 2**64 - 1)  # of every random choice and every key
    local_addr: str = _address("10.0.0.1")  # `connect` without `src`
    events: tuple[str, ...] = _subset(EVENTS)  # what `Engine.events()` is to tell

    # queues of a listener
    somaxconn: int = _int(4096, 0, UNLIMITED)  # cap of a listener's backlog
    tcp_max_syn_backlog: int = _int(4096, 0, UNLIMITED)  # linux policy, cookies off: half-open limit
    synq_policy: str = _choice(
        "linux", ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")
    )
    tcp_syncookies: int = _int(1, 0, 2)  # 0 off, 1 on overflow, 2 always
    dup_syn_restarts: int = _switch(0)  # a half-open entry's SYN again: its SYN-ACK's resends start over
    accept_queue_rule: str = _choice("one-more", ("one-more", "half-more"))  # how many wait: B + 1, 3B/2
    cookie_encoding: str = _choice("linux", ("linux", "freebsd"))  # what a cookie carries, how long it lives
    accept_full_drops_syn: int = _switch(1)  # a full accept queue refuses SYNs; 0: final ACKs only
    tcp_abort_on_overflow: int = _switch(0)  # a final ACK meets a full accept queue: 1 answers RST

    # resending
    tcp_synack_retries: int = _int(5, 0, 255)
    tcp_syn_retries: int = _int(6, 0, 127)
    tcp_syn_linear_timeouts: int = _int(4, 0, 127)  # SYN resends at constant interval before doubling
    rto_initial_ms: int = _int(1000, 1, _MAX_MS)
    rto_slop_ms: int = _int(0, 0, _MAX_MS)  # added to every RTO, but for the first one of a SYN
    tcp_rto_min_us: int = _int(200_000, 1, UNLIMITED)
    tcp_rto_max_ms: int = _int(120_000, 1, _MAX_MS)
    rto_min_rule: str = _choice("variance", ("variance", "rto"))  # what the minimum floors: 4 RTTVAR, the RTO
    keepinit_ms: int | None = _int(None, 1, _MAX_MS, none="no bound")  # bound on a connection attempt
    tcp_retries2: int = _int(15, 0, 255)  # resends before a connection is given up
    tcp_orphan_retries: int = _int(0, 0, 255)  # the same once the application is gone; 0 acts as 8

    # closing
    tcp_fin_timeout: int = _int(60, 0, _MAX_MS // 1000)  # s, orphaned FIN-WAIT-2 only
    time_wait_ms: int = _int(60_000, 0, _MAX_MS)  # 2 MSL
    tcp_max_tw_buckets: int = _int(262_144, 0, UNLIMITED, none="no limit", none_is=UNLIMITED)
    tcp_tw_reuse: int = _int(2, 0, 2)  # `connect` over TIME-WAIT: 0 no, 1 yes, 2 loopback only
    tcp_tw_reuse_delay: int = _int(1000, 0, _MAX_MS)  # ms before it may
    tcp_rfc1337: int = _switch(0)  # 1: an RST does not end TIME-WAIT

    # doubtful segments
    tcp_challenge_ack_limit: int = _int(UNLIMITED, 0, UNLIMITED, none="no limit", none_is=UNLIMITED)  # per s
    tcp_invalid_ratelimit: int = _int(500, 0, _MAX_MS)  # ms between ACKs that answer bad segments
    insecure_rst: int = _switch(0)  # 1: RFC 793 acceptance of RST
    insecure_syn: int = _switch(0)  # 1: RFC 793 treatment of SYN on a connection
    drop_synfin: int = _switch(0)
    blackhole: int = _int(0, 0, 2)  # a closed port is silent: 1 to SYNs, 2 to every segment

    # where the stacks and the RFCs part; docs/semantics.md says what each does
    listen_drops_synfin: int = _switch(1)  # LISTEN drops SYN+FIN
    early_syn_resend_ms: int = _int(8, 0, 1000)  # SYN-SENT: a wrong ACK makes the SYN due again; 0: not
    retries_rule: str = _choice("time", ("time", "count"))  # give up after the time n resends take, or n
    acceptance: str = _choice("linux", ("linux", "rfc", "trim"))  # what makes a segment acceptable
    half_open_rules: str = _choice("linux", ("linux", "rfc", "syncache"))  # SYN-RECEIVED out of LISTEN
    time_wait_rules: str = _choice("linux", ("linux", "rfc", "freebsd"))
    paws_answers: str = _choice("spare-acks", ("spare-acks", "all", "text"))  # of old timestamps
    ack_range: str = _choice("rfc5961", ("rfc5961", "rfc793"))  # how old an acknowledgment may be
    ack_repeats_control: int = _switch(0)  # an ordinary ACK repeats our unacknowledged SYN or FIN
    seq_within_window: int = _switch(1)  # its number stays inside the peer's window
    abort_rst_has_ack: int = _switch(1)  # an RST of our own is RST+ACK
    syn_text: str = _choice("dropped", ("dropped", "kept", "client"))  # text with a SYN; client: only by OPEN
    tsecr_checked: int = _switch(1)  # while opening, an echo of what was never sent is a wrong ACK
    tolerate_missing_ts: int = _switch(1)  # timestamps agreed, a segment without one is taken
    crossed_syn_restarts: int = _switch(0)  # simultaneous open: the SYN-ACK starts the resend timer afresh
    listen_answers_synack: int = _switch(1)  # LISTEN answers SYN+ACK with an RST
    bad_ack_ends_half_open: int = _switch(0)  # after the RST for a wrong ACK the half-open entry goes
    epipe_in_close_wait: int = _switch(1)  # the error of an RST in CLOSE-WAIT is EPIPE
    rst_before_fin: int = _switch(1)  # after the peer's FIN an RST at RCV.NXT-1 resets too
    refused_in_syn_received: int = _switch(0)  # an RST in active SYN-RECEIVED is ECONNREFUSED
    wrong_ack_first: int = _switch(1)  # half-open: a wrong ACK is answered before the window is looked at
    unlisten_forgets: int = _switch(0)  # half-open entries go with their listener at once
    orphan_fin_wait_2_brief: int = _switch(1)  # FIN-WAIT-2 after close() is kept and judged like TIME-WAIT
    shutdown_waits: int = _switch(1)  # in active SYN-RECEIVED shutdown() waits for ESTABLISHED
    text_over_fin_resets: int = _switch(1)  # text from before the peer's FIN to beyond it is answered by RST
    persist_restarts: int = _switch(1)  # each ACK restarts the interval between zero-window probes
    ack_of_iss_opens: int = _switch(1)  # active SYN-RECEIVED takes an ACK of nothing for the handshake's last
    time_wait_outlives: int = _switch(1)  # TIME-WAIT goes on when its application aborts

    # options and windows
    tcp_timestamps: int = _int(1, 0, 2)  # 2: without the per-peer offset
    tcp_window_scaling: int = _switch(1)
    tcp_sack: int = _switch(1)
    mss: int = _int(1460, 1, 65535)  # sent in SYNs
    rcv_buf: int = _int(65535, 1, _MAX_WINDOW)  # bytes
    window_rounding: str = _choice("mss-down", ("mss-down", "mss-up", "none"))
    window_by_buffer: int = _switch(0)  # what is acceptable is what the buffer holds, not what was advertised
    rcv_wscale_min: int = _int(0, 0, 14)  # smallest window shift ever offered
    delack_ms: int = _int(0, 0, 499)  # 0: acknowledge at once; below 500 (RFC 9293 MUST-40)
    auto_read: bool = _flag(True)  # the application takes data as it arrives

    # numbers
    ip_local_port_range: tuple[int, int] = _port_range((32768, 60999))
    port_selection: str = _choice(  # the numbers are those of RFC 6056 3.3
        "linux", ("linux", *_PORT_ALGORITHMS), numbered=_PORT_ALGORITHMS
    )
    isn: str = _choice("rfc6528", ("rfc6528", "rfc793", "random"))
    isn_tick_ns: int = _int(64, 1, 2**40)  # period of the ISN clock

    # provenance, no knobs: neither compared nor written
    sysctl_taken: ClassVar[tuple[str, ...]] = ()  # what `from_sysctl` took
    sysctl_ignored: ClassVar[int] = 0  # how many keys it did not know
    sysctl_unknown: ClassVar[tuple[str, ...]] = ()  # and their names

    def __new__(cls, **knobs: object) -> Self:
        # Before the generated __init__, so that its bare TypeError never speaks first.
        known = [knob.name for knob in dataclasses.fields(cls)]
        for name in knobs:
            if name not in known:
                raise UnknownKnob(f"unknown knob {name!r}{_hint(name, known)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for knob in dataclasses.fields(self):
            object.__setattr__(self, knob.name, knob.metadata["check"](knob.name, getattr(self, knob.name)))
        if self.tcp_rto_min_us > self.tcp_rto_max_ms * 1000:
            expected = f"at most tcp_rto_max_ms ({self.tcp_rto_max_ms} ms)"
            raise _wrong(ValueError, "tcp_rto_min_us", expected, self.tcp_rto_min_us)
        if self.rto_initial_ms > self.tcp_rto_max_ms:
            expected = f"at most tcp_rto_max_ms ({self.tcp_rto_max_ms} ms)"
            raise _wrong(ValueError, "rto_initial_ms", expected, self.rto_initial_ms)

    # -- profiles --------------------------------------------------------------------------

    @classmethod
    def linux(cls, **knobs: Any) -> Self:
        """What a Linux 6.18 host does: the defaults."""
        return cls(**knobs)

    @classmethod
    def freebsd(cls, **knobs: Any) -> Self:
        """What a FreeBSD 14 host does (`FREEBSD`)."""
        return cls(**{**FREEBSD, **knobs})

    @classmethod
    def strict(cls, **knobs: Any) -> Self:
        """RFC 9293, 5961 and 6298 to the letter (`STRICT` says why, value by value).

        `tcp_rfc1337` is 0: by RFC 9293 3.10.7.4 (2nd) an exact RST ends TIME-WAIT, and RFC 1337
        is advice. Where the letter leaves a number open, the Linux value stays. What the letter does not
        know at all, an application that is gone (`close`), keeps Linux's `tcp_fin_timeout`;
        the RFC's CLOSE is `shutdown`, which is unbounded. SHLD-18 asks for delayed ACKs and
        gives no delay, so they are sent at once; `delack_ms` below 500 delays them.
        """
        return cls(**{**STRICT, **knobs})

    def replace(self, **knobs: Any) -> Self:
        """A copy with other values; where it came from (`sysctl_taken`) stays known."""
        copy = dataclasses.replace(self, **knobs)
        copy._remember(self.sysctl_taken, self.sysctl_unknown)
        return copy

    def _remember(self, taken: tuple[str, ...], unknown: tuple[str, ...]) -> None:
        object.__setattr__(self, "sysctl_taken", taken)
        object.__setattr__(self, "sysctl_unknown", unknown)
        object.__setattr__(self, "sysctl_ignored", len(unknown))

    # -- derived -----------------------------------------------------------------------------

    def window(self, rcv_buf: int | None = None, mss: int | None = None, *, stamped: bool = False) -> int:
        """The receive window in bytes that a buffer gives, rounded as `window_rounding` says.

        A buffer below one MSS is never rounded down: Linux does not either. Where it knows that segments
        will carry timestamps (`stamped`: it has the peer's SYN), it rounds to what is left for text.
        """
        size = self.rcv_buf if rcv_buf is None else rcv_buf
        unit = self.mss if mss is None else mss
        if stamped and self.window_rounding == "mss-down":
            unit = max(1, unit - 12)
        if self.window_rounding == "mss-down" and size > unit:
            return size - size % unit
        if self.window_rounding == "mss-up":
            return min(size + -size % unit, _MAX_WINDOW)
        return size

    def wscale(self, rcv_buf: int | None = None, mss: int | None = None) -> int:
        """The window shift offered for a buffer: the smallest that lets 16 bits tell its
        window (RFC 7323 2.2), at least `rcv_wscale_min`."""
        size = max(self.rcv_buf if rcv_buf is None else rcv_buf, self.window(rcv_buf, mss))
        shift = self.rcv_wscale_min
        while shift < 14 and 65535 << shift < size:
            shift += 1
        return shift

    @property
    def rcv_wscale(self) -> int:
        """`wscale()` of `rcv_buf`."""
        return self.wscale()

    # -- files ---------------------------------------------------------------------------------

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str], **knobs: Any) -> Self:
        """From a flat TOML document, given as a path or as its text; `knobs` override it.

        A string with a newline or "=" in it is text, any other a path. Knobs that the
        document leaves out have their Linux values.
        """
        if isinstance(source, str) and (not source.strip() or "\n" in source or "=" in source):
            text = source
        elif isinstance(source, (str, os.PathLike)):
            text = Path(source).read_text(encoding="utf-8")
        else:
            raise _wrong(TypeError, "source", "a path or TOML text", source)
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"source: expected TOML, got an error: {error}") from error
        return cls(**{**document, **knobs})

    def to_toml(self) -> str:
        """Every knob as flat TOML; `from_toml` of it is equal. A knob that is None is left
        out, as TOML has no word for it."""
        lines = []
        for knob in dataclasses.fields(self):
            value = getattr(self, knob.name)
            if value is not None:  # on our values JSON's notation is TOML's
                lines.append(f"{knob.name} = {json.dumps(value)}\n")
        return "".join(lines)

    @classmethod
    def from_sysctl(cls, text: str, **knobs: Any) -> Self:
        """From the output of `sysctl -a` on a Linux host; `knobs` override it.

        What it knows is taken and listed in `sysctl_taken` (in the order of the text), the other keys
        are counted in `sysctl_ignored` and listed in `sysctl_unknown`. `/etc/sysctl.conf` reads as well.
        """
        if not isinstance(text, str):
            raise _wrong(TypeError, "text", "the output of sysctl -a", text)
        found: dict[str, Any] = {}
        unknown: list[str] = []
        for line in text.splitlines():
            key, equals, value = line.partition("=")
            if not equals or key.lstrip().startswith(("#", ";")):
                continue
            key = key.strip().removeprefix("-")
            name = _SYSCTL.get(key)
            if name is None:
                unknown.append(key)
            else:
                found[name] = _sysctl_value(name, value)
        if text.strip() and not found and not unknown:
            raise _wrong(ValueError, "text", "lines like 'net.ipv4.tcp_syncookies = 1'", text.strip()[:60])
        config = cls(**{**found, **knobs})
        config._remember(tuple(found), tuple(unknown))
        return config


def _sysctl_value(name: str, text: str) -> int | tuple[int, ...]:
    try:
        numbers = tuple(int(word) for word in text.split())
    except ValueError:
        numbers = ()
    if name == "ip_local_port_range":
        return numbers
    if len(numbers) != 1:
        raise _wrong(ValueError, name, "an integer", text.strip())
    return numbers[0]


# What Linux calls them in full: every knob that carries Linux's name.
_SYSCTL: Final[Mapping[str, str]] = {
    ("net.core." if knob.name == "somaxconn" else "net.ipv4.") + knob.name: knob.name
    for knob in dataclasses.fields(Config)
    if knob.name.startswith("tcp_") or knob.name in ("somaxconn", "ip_local_port_range")
}

# -- profiles: what differs from Linux -----------------------------------------------------------

# Habits of Linux that neither FreeBSD nor the RFCs share.
_LINUX_ONLY: Final = (
    "listen_drops_synfin",
    "early_syn_resend_ms",
    "epipe_in_close_wait",
    "rst_before_fin",
    "wrong_ack_first",
    "orphan_fin_wait_2_brief",
    "shutdown_waits",
    "text_over_fin_resets",
    "time_wait_outlives",
    "persist_restarts",
    "ack_of_iss_opens",
    "seq_within_window",
    "tsecr_checked",
    "tolerate_missing_ts",  # RFC 7323 3.2 (SHOULD): dropped silently
)

FREEBSD: Final[Mapping[str, Any]] = {
    "somaxconn": 128,
    "synq_policy": "freebsd",
    "dup_syn_restarts": 1,
    "accept_queue_rule": "half-more",
    "cookie_encoding": "freebsd",
    "accept_full_drops_syn": 0,  # the socket is made by the third segment
    "tcp_abort_on_overflow": 1,  # syncache.rst_on_sock_fail
    "tcp_synack_retries": 3,
    "tcp_syn_retries": 12,  # keepinit ends the attempt long before
    "tcp_syn_linear_timeouts": 0,
    "rto_slop_ms": 200,
    "tcp_rto_min_us": 30_000,
    "tcp_rto_max_ms": 64_000,
    "rto_min_rule": "rto",
    "keepinit_ms": 75_000,
    "tcp_retries2": 12,
    "tcp_orphan_retries": 12,
    "tcp_max_tw_buckets": UNLIMITED,
    "tcp_tw_reuse": 0,
    "tcp_rfc1337": 1,
    "tcp_invalid_ratelimit": 0,
    "rcv_buf": 65536,
    "window_rounding": "mss-up",
    "window_by_buffer": 1,
    "rcv_wscale_min": 6,  # the shift for the largest buffer a socket may grow to, 2 MiB
    "delack_ms": 40,
    "ip_local_port_range": (10000, 65535),
    "port_selection": "random",
    "isn_tick_ns": 4000,
    **dict.fromkeys(_LINUX_ONLY, 0),
    "retries_rule": "count",
    "acceptance": "trim",
    "half_open_rules": "syncache",
    "time_wait_rules": "freebsd",
    "paws_answers": "text",
    "ack_range": "rfc793",
    "ack_repeats_control": 1,
    "syn_text": "client",
    "crossed_syn_restarts": 1,
    "listen_answers_synack": 0,
    "bad_ack_ends_half_open": 1,
    "refused_in_syn_received": 1,
    "unlisten_forgets": 1,
}

STRICT: Final[Mapping[str, Any]] = {
    "synq_policy": "drop-new",  # pruning and reserves are Linux's own
    "tcp_syncookies": 0,  # a cookie keeps no record of the SYN: no SYN-RECEIVED, no options
    "tcp_synack_retries": 7,  # 1 + 2 + ... + 32 + 60 + 60 = 183 s: R2 of a SYN is 3 minutes (MUST-23)
    "tcp_syn_retries": 7,  # the same
    "tcp_syn_linear_timeouts": 0,  # RFC 6298 5.5: every resend doubles
    "tcp_rto_min_us": 1_000_000,  # RFC 6298 2.4
    "tcp_rto_max_ms": 60_000,  # RFC 6298 2.5: at least 60 s
    "rto_min_rule": "rto",  # RFC 6298 2.4 floors the RTO
    "tcp_orphan_retries": 15,  # RFC 9293 3.8.3 knows one R2, whoever holds the connection
    "time_wait_ms": 240_000,  # 2 MSL of 2 minutes (RFC 9293 3.4.2, MUST-13)
    "tcp_max_tw_buckets": UNLIMITED,  # MUST-13 has no cap
    "tcp_tw_reuse": 0,  # MUST-13: the closer lingers; RFC 6191 speaks of SYNs that arrive
    "tcp_challenge_ack_limit": 10,  # RFC 5961 7 (its 10 in 5 s, as far as a limit per second can say it)
    "tcp_invalid_ratelimit": 0,  # RFC 9293 3.10.7.4 (1st): each unacceptable segment is answered
    "window_rounding": "none",
    "ip_local_port_range": (1024, 65535),  # RFC 6056 3.2
    "port_selection": "double-hash",  # RFC 6056 3.3.4
    "isn_tick_ns": 4000,  # MUST-8
    **dict.fromkeys(_LINUX_ONLY, 0),
    "retries_rule": "count",  # RFC 9293 3.8.3 (MUST-20): R1 and R2 in resends or in time
    "acceptance": "rfc",  # RFC 9293 3.10.7.4 (1st)
    "half_open_rules": "rfc",  # RFC 9293 3.10.7.4: SYN-RECEIVED has no steps of its own
    "time_wait_rules": "rfc",  # RFC 9293 3.10.7.4 (5th): only the peer's FIN is still expected
    "paws_answers": "all",  # RFC 7323 5.3 R1
    "abort_rst_has_ack": 0,  # RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>
    "syn_text": "kept",  # RFC 9293 3.10.7.2, 3.10.7.3: queued for ESTABLISHED
    "refused_in_syn_received": 1,  # RFC 9293 3.10.7.4 (2nd), SYN-RECEIVED from an active OPEN
    "unlisten_forgets": 1,  # RFC 9293 3.10.4: CLOSE deletes the TCB
}
