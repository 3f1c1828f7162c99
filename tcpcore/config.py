"""`Config`: the settings of an engine, one frozen, validated record under the names a host uses.

Every behaviour on which Linux, FreeBSD and the RFCs differ is a knob, and a profile is nothing but a table of
values: the engine never asks which one it runs. The knobs are declared in `knobs`, a host's `sysctl -a` is
read by `sysctl`. Not here: what a knob does (whoever reads it).

Invariant: a `Config` that exists is valid, and equal settings compare equal (values are normalised: `True` to
1, "10.0.0.1" and 0x0A000001 to "10.0.0.1", port algorithm 4 to "double-hash").
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from tcpcore import linux_versions
from tcpcore.knob_types import AS_LINUX, Knob, UnknownKnob, hint, wrong
from tcpcore.knobs import MAX_WINDOW
from tcpcore.knobs_waiting import AllKnobs

__all__ = ["DECLARED", "DERIVED", "FREEBSD", "STRICT", "Config", "Provenance", "engine_value", "live_values"]

#: The declaration of each knob by its name, in the order of `Config`.
DECLARED: Final[Mapping[str, Knob]] = {
    knob.name: knob.metadata["knob"] for knob in dataclasses.fields(AllKnobs)
}

#: What FreeBSD 14 does otherwise than Linux.
FREEBSD: Final[Mapping[str, Any]] = {
    name: knob.freebsd for name, knob in DECLARED.items() if knob.freebsd is not AS_LINUX
}
#: What the RFCs ask otherwise than Linux; `Knob.rfc` says why.
STRICT: Final[Mapping[str, Any]] = {
    name: knob.strict for name, knob in DECLARED.items() if knob.strict is not AS_LINUX
}


@dataclass(frozen=True)
class Provenance:
    """What `Config.from_sysctl` made of a text."""

    taken: tuple[str, ...] = ()
    implied: tuple[str, ...] = ()
    unmodelled: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Config(AllKnobs):
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
    `seed` is where every key comes from: who knows it can compute the initial sequence numbers, the cookies
    and the flow table's hash. `seed=None` draws one; `Config.seed` then holds it, so that the run can be
    repeated. Switches are 0 or 1 and take bool. `None` is "no limit" (kept as 2147483647) for
    `tcp_challenge_ack_limit` and `tcp_max_tw_buckets`, and "no bound" for `keepinit_ms`.
    docs/knobs.md lists what each knob does, its range and its value in each profile.
    """

    _sysctl: ClassVar[Provenance]  # where it comes from, no knob: neither compared nor written

    def __new__(cls, **knobs: object) -> Self:
        # Before the generated __init__, so that its bare TypeError never speaks first.
        for name in knobs:
            if name not in DECLARED:
                raise UnknownKnob(f"unknown knob {name!r}{hint(name, DECLARED)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, knob in DECLARED.items():
            object.__setattr__(self, name, knob.check(name, getattr(self, name)))
        if self.tcp_rto_min_us > self.tcp_rto_max_ms * 1000:
            expected = f"at most tcp_rto_max_ms ({self.tcp_rto_max_ms} ms)"
            raise wrong(ValueError, "tcp_rto_min_us", expected, self.tcp_rto_min_us)
        if self.rto_initial_ms > self.tcp_rto_max_ms:
            expected = f"at most tcp_rto_max_ms ({self.tcp_rto_max_ms} ms)"
            raise wrong(ValueError, "rto_initial_ms", expected, self.rto_initial_ms)

    # -- profiles --------------------------------------------------------------------------

    @classmethod
    def linux(cls, kernel: str | None = None, **knobs: Any) -> Self:
        """What a Linux 6.18 host does, the defaults; or an older one, by the version of its `kernel`.

        "5.15" and a whole kernel.osrelease read alike. The knobs on which that version differs have its
        values (`sysctl_implied`, with their reasons in `sysctl_notes`) unless `knobs` names them: of a
        distribution's kernel, to which changes are ported back, its `sysctl -a` says more (`from_sysctl`).
        docs/kernel-versions.md has the changes. A version that does not exist is a `ValueError`.
        """
        if kernel is None:
            return cls(**knobs)
        version = linux_versions.named(kernel)
        older = {name: change.value for name, change in linux_versions.older(version).items()}
        notes = linux_versions.notes(f"Linux {linux_versions.worded(version)}", version, knobs)
        implied = tuple(name for name in older if name not in knobs)
        return cls(**{**older, **knobs})._remember(Provenance(implied=implied, notes=tuple(notes)))

    @classmethod
    def freebsd(cls, **knobs: Any) -> Self:
        """What a FreeBSD 14 host does."""
        return cls(**{**FREEBSD, **knobs})

    @classmethod
    def strict(cls, **knobs: Any) -> Self:
        """RFC 9293, 5961 and 6298 to the letter; docs/knobs.md says why, value by value.

        `tcp_rfc1337` is 0: by RFC 9293 3.10.7.4 (2nd) an exact RST ends TIME-WAIT, and RFC 1337
        is advice. Where the letter leaves a number open, the Linux value stays. What the letter does not
        know at all, an application that is gone (`close`), keeps Linux's `tcp_fin_timeout`;
        the RFC's CLOSE is `shutdown`, which is unbounded. SHLD-18 asks for delayed ACKs and
        gives no delay, so they are sent at once; `delack_ms` below 500 delays them.
        """
        return cls(**{**STRICT, **knobs})

    def replace(self, **knobs: Any) -> Self:
        """A copy with other values; where it came from (`sysctl_taken` and so on) stays known."""
        return dataclasses.replace(self, **knobs)._remember(self._sysctl)

    def _remember(self, provenance: Provenance) -> Self:
        object.__setattr__(self, "_sysctl", provenance)
        return self

    # -- where it comes from ------------------------------------------------------------------

    @property
    def sysctl_taken(self) -> tuple[str, ...]:
        """The knobs that the text of `from_sysctl` sets, in its order."""
        return self._sysctl.taken

    @property
    def sysctl_implied(self) -> tuple[str, ...]:
        """The knobs that follow from the host's system or the version of its kernel."""
        return self._sysctl.implied

    @property
    def sysctl_unmodelled(self) -> tuple[str, ...]:
        """The settings that change what connections do and are no knob here."""
        return self._sysctl.unmodelled

    @property
    def sysctl_unknown(self) -> tuple[str, ...]:
        """The settings that do not matter to connections."""
        return self._sysctl.unknown

    @property
    def sysctl_ignored(self) -> int:
        """How many settings were not taken."""
        return len(self._sysctl.unmodelled) + len(self._sysctl.unknown)

    @property
    def sysctl_notes(self) -> tuple[str, ...]:
        """What was concluded from the text and is not written in it, a sentence each."""
        return self._sysctl.notes

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
            return min(size + -size % unit, MAX_WINDOW)
        return size

    def reserved_ranges(self) -> tuple[tuple[int, int], ...]:
        """(first, last) of each range of `ip_local_reserved_ports`, in order."""
        parts = (part.partition("-") for part in self.ip_local_reserved_ports.split(",") if part)
        return tuple((int(first), int(last or first)) for first, _, last in parts)

    def ports(self) -> int:
        """Ports that `connect` can give towards one destination: the range less what is reserved.

        Linux gives the third port of a range of three to nobody (docs/semantics.md R10.46).
        """
        low, high = self.ip_local_port_range
        if self.port_selection == "linux" and high - low == 2:
            high -= 1
        ranges = ((max(low, first), min(high, last)) for first, last in self.reserved_ranges())
        return high - low + 1 - sum(max(0, last - first + 1) for first, last in ranges)

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
            raise wrong(TypeError, "source", "a path or TOML text", source)
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"source: expected TOML, got an error: {error}") from error
        return cls(**{**document, **knobs})

    def to_toml(self) -> str:
        """Every knob as flat TOML; `from_toml` of it is equal. A knob that is None is left
        out, as TOML has no word for it."""
        lines = []
        for name in DECLARED:
            value = getattr(self, name)
            if value is not None:  # on our values JSON's notation is TOML's
                lines.append(f"{name} = {json.dumps(value)}\n")
        return "".join(lines)

    @classmethod
    def from_sysctl(cls, text: str, **knobs: Any) -> Self:
        """From the output of `sysctl -a` on a Linux or FreeBSD host; `knobs` override it.

        sysctl.conf files and `sysctl -w` in scripts read as well. What it sets is listed in `sysctl_taken`;
        knobs that it leaves out have the values of FreeBSD 14, or of the kernel that `kernel.osrelease`
        names (`sysctl_implied`). Other settings are in `sysctl_unmodelled` if they matter to connections,
        else in `sysctl_unknown`. `sysctl_notes` says what was concluded. The last of several settings
        counts. A text without a knob, and a value that cannot be, are a `ValueError` that names the line.
        """
        from tcpcore.sysctl import parse  # here, because that module exports Config under its old name

        found, provenance = parse(text)
        return cls(**{**found, **knobs})._remember(provenance)


Config._sysctl = Provenance()


# -- the engine's struct ---------------------------------------------------------------------------

def _told(config: Config, window: int) -> int:
    """A window as a scaled header tells it: FreeBSD (tcp_output) rounds up to what the shift can tell."""
    if config.window_offered != "freebsd" or not config.tcp_window_scaling or window <= 65535:
        return window
    unit = 1 << config.wscale()
    return -(-window // unit) * unit


def _header_window(config: Config, stamped: bool) -> int:
    """SEG.WND of a synchronized connection with the knobs' own buffer and shift: what full_window and the
    shift (tcp/receive_window) make of its window."""
    window, shift = _told(config, config.window(stamped=stamped)), config.wscale()
    if shift == 0:
        return min(window, 65535)
    if config.window_offered == "linux" and config.window_rounding == "mss-down":
        window += (1 << shift) - 1
    return window >> shift & 65535


def _plain_rto_ms(config: Config) -> int:
    """What tcp_rto_min_us adds to a round trip in the RTO of rto_min_rule "variance"."""
    return -(-config.tcp_rto_min_us // 1000)


def _plain_rtt_max(config: Config) -> int:
    """The longest first round trip, in ms, whose RTO is it and `_plain_rto_ms`; 0 if there is none: neither
    a loss probe, the variance, the slop nor tcp_rto_max_ms makes it another."""
    if config.rto_min_rule != "variance" or config.rto_slop_ms:
        return 0
    longest = min(config.tcp_rto_min_us // 2000, config.tcp_rto_max_ms - _plain_rto_ms(config), 65535)
    return max(longest, 0)


#: The fields of the engine's struct (records/knobs.pxd) that are made from a knob: all others are knobs.
DERIVED: Final[Mapping[str, Callable[[Config], int]]] = {
    "rcv_wscale": lambda config: config.wscale(),
    "rcv_buf": lambda config: _told(config, config.window()),
    "rcv_buf_stamped": lambda config: _told(config, config.window(stamped=True)),
    "rcv_buf_judged": lambda config: config.window(),
    "rcv_buf_whole": lambda config: config.rcv_buf,
    "header_window": lambda config: _header_window(config, stamped=False),
    "header_window_stamped": lambda config: _header_window(config, stamped=True),
    "plain_rtt_max": _plain_rtt_max,
    "plain_rto_ms": _plain_rto_ms,
    "fin_timeout_ms": lambda config: config.tcp_fin_timeout * 1000,
    "linger": lambda config: 0 if config.linger_s is None else config.linger_s + 1,
    "paws_idle_ms": lambda config: config.paws_idle_s * 1000,
    "fin_wait_2_idle_ms": lambda config: 1000 * config.tcp_keepalive_probes * config.tcp_keepalive_intvl,
    "fin_wait_2_check_ms": lambda config: 1000 * config.tcp_keepalive_intvl,
}


def engine_value(config: Config, field: str) -> int:
    """The value of a field of the engine's struct: a knob as a number, or what is derived."""
    if field in DERIVED:
        return DERIVED[field](config)
    return DECLARED[field].number(getattr(config, field))


def live_values(knobs: Mapping[str, object]) -> dict[str, object]:
    """Knobs for an engine that exists, checked and normalised; `Engine.set_knobs` says what is an error."""
    values = {}
    for name, value in knobs.items():
        if name not in DECLARED:
            raise UnknownKnob(f"unknown knob {name!r}{hint(name, DECLARED)}")
        knob = DECLARED[name]
        if not knob.live:
            raise ValueError(f"{name}: expected a knob that can change while an engine runs, "
                             "got one that is fixed when it is created")  # fmt: skip
        values[name] = knob.check(name, value)
    return values
