"""What older Linux kernels do otherwise than 6.18: the knobs that they do not have, and other defaults.

`older` gives the values for a version and `notes` says them; `named` reads a version that a person wrote,
`version_of` kernel.osrelease, and `bound` tells from a listing of all settings how old the kernel is at most.
A value here stands where the text of a host says nothing: what it says, wins, since distributions port
changes back. Not here: what has no knob (`UNMODELLED` names it).

Source: the commit that each line names, and Documentation/networking/ip-sysctl.rst; docs/kernel-versions.md
has these changes and those without a knob.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tcpcore.knob_types import wrong

__all__ = [
    "CHANGES", "INTRODUCED", "LAST_MINOR", "NEWEST", "REMOVED", "TIMESTAMP_OFFSETS", "UNMODELLED", "Change",
    "Version", "absent", "bound", "named", "notes", "older", "version_of", "worded",
]  # fmt: skip

Version = tuple[int, int]

#: The kernel whose values are the defaults of `Config`.
NEWEST: Final[Version] = (6, 18)

#: The last minor version of each major one that this table knows.
LAST_MINOR: Final[Mapping[int, int]] = {2: 6, 3: 19, 4: 20, 5: 19, 6: NEWEST[1]}


@dataclass(frozen=True)
class Change:
    """Kernels before `version` act as if `knob` were `value`; those that `ported` it back do not."""

    version: Version
    knob: str
    value: Any
    commit: str  # and what that changed
    ported: bool = False  # a fix: later stable releases of older kernels have it, too


#: Before this version a timestamp has no offset for each peer: tcp_timestamps 1 acts as 2.
TIMESTAMP_OFFSETS: Final[Version] = (4, 10)

#: Youngest first, so that of two changes of one knob the older kernel's value comes last and stays.
CHANGES: Final = (
    Change((6, 17), "beyond_window_dropped", 0, "9ca48d616ed7: refused while the receive queue is not empty"),
    Change((6, 15), "tsecr_checked", 2, "3ba075278c11: of half-open entries, too, since", ported=True),
    Change((6, 14), "tw_reuse_clock_ms", 1000, "19ce8cd30465: counted in whole seconds before"),
    Change((6, 11), "crossed_synack_opens", 0, "23e89e8ee7be: a challenge ACK before", ported=True),
    Change((6, 10), "closed_window_ends", 0, "97a9063518f1: given up by tcp_retries2 before", ported=True),
    Change((6, 10), "bare_fin_needs_window", 1, "2bd99aef1b19: a FIN at a closed window was dropped before"),
    Change((6, 9), "shutdown_waits", 0, "94062790aedb: the FIN went at once before", ported=True),
    Change((6, 7), "paws_idle_s", 2_073_600, "af7721448a60: 24 days before"),
    Change((6, 5), "tcp_syn_linear_timeouts", 0, "ccce324dabfe: each resend of a SYN doubled"),
    Change((6, 0), "tcp_challenge_ack_limit", 1000, "79e3602caa6f: unlimited since", ported=True),
    Change((5, 12), "port_selection", "hash", "190cc82489f4: RFC 6056 algorithm 3 before, 4 since"),
    Change((5, 6), "early_syn_resend_ms", 0, "9603d47bad46: the SYN waited for its timer before"),
    Change((5, 4), "somaxconn", 128, "19f92a030ca6: 4096 since"),
    Change((4, 18), "tcp_tw_reuse", 0, "79e9fed46038 (June 2018): 2, loopback only, since; off before"),
    Change((4, 11), "rst_before_fin", 0, "0e40f4c9593b: at RCV.NXT only before"),
    Change((4, 10), "accept_full_drops_syn", 2, "5ea8ea2cb7f1: one young entry let it pass before"),
    Change(TIMESTAMP_OFFSETS, "tcp_timestamps", 2, "95a22caee396: an offset for each peer since"),
    Change((4, 8), "rst_at_sack_edge", 0, "e00431bc93bb: at RCV.NXT only before"),
    Change((4, 7), "tcp_challenge_ack_limit", 100, "75ff39ccc1bd: 1000 since"),
    Change((4, 2), "ip_local_port_range", (32768, 61000), "07f4c90062f8: an even number of ports since"),
    Change((4, 0), "tcp_invalid_ratelimit", 0, "032ee4236954: no limit before"),
    Change((3, 8), "ack_range", "rfc793", "354e4aa391ed: RFC 5961 5.2 since"),
    Change((3, 7), "tcp_syn_retries", 5, "6c9ff979d192: 6 since"),
    Change((3, 6), "insecure_rst", 1, "282f23c6ee34: RFC 5961 3.2 since"),
    Change((3, 6), "insecure_syn", 1, "0c24604b68fc: RFC 5961 4.2 since"),
    Change((3, 3), "listen_drops_synfin", 0, "fdf5af0daf80: it opened a connection before"),
    Change((3, 1), "rto_initial_ms", 3000, "9ad7c049f0f7: RFC 6298's second since"),
)

#: The first kernel with a setting; a listing without it is of an older one. The rules of `CHANGES` need
#: nothing for those that only made a constant settable: 2024 and 2025 those of the last three.
INTRODUCED: Final[Mapping[str, Version]] = {
    "net.ipv4.tcp_challenge_ack_limit": (3, 6),  # 282f23c6ee34
    "net.ipv4.tcp_invalid_ratelimit": (4, 0),  # 032ee4236954
    "net.ipv4.tcp_syn_linear_timeouts": (6, 5),  # ccce324dabfe
    "net.ipv4.tcp_rto_min_us": (6, 11),  # f086edef71be
    "net.ipv4.tcp_tw_reuse_delay": (6, 14),  # ca6a6f93867a
    "net.ipv4.tcp_rto_max_ms": (6, 15),  # 1280c26228bd
}

#: The first kernel without a setting; a listing with it is of an older one.
REMOVED: Final[Mapping[str, Version]] = {"net.ipv4.tcp_tw_recycle": (4, 12)}  # 4396e46187ca

#: Rules of older kernels that no knob stands for.
UNMODELLED: Final = (
    ((5, 12), "of the ports towards one destination it tried one parity first"),
    ((4, 4), "tcp_max_syn_backlog bounded the half-open entries of a listener with cookies on, too"),
)


def version_of(osrelease: str) -> Version | None:
    """Major and minor version of a kernel.osrelease such as "3.10.0-1160.el7.x86_64"."""
    found = re.match(r"(\d{1,4})\.(\d{1,4})", osrelease.strip(), re.ASCII)
    return (int(found[1]), int(found[2])) if found else None


def worded(version: Version) -> str:
    """A version as people write it."""
    return f"{version[0]}.{version[1]}"


def named(text: object) -> Version:
    """The version that a person wrote: "5.15", or a kernel.osrelease such as "5.15.0-91-generic".

    Raises
    ------
    TypeError, ValueError
        No text, no version, or none that there is up to `NEWEST`; in one line, by the name `kernel`.
    """
    expected = f"a Linux version from 2.6 to {worded(NEWEST)} such as '5.15'"
    if not isinstance(text, str):
        raise wrong(TypeError, "kernel", expected, text)
    looks_right = re.fullmatch(r"\s*\d+\.\d+(?:[.+~_-][\w.+~-]*)?\s*", text, re.ASCII)
    version = version_of(text) if looks_right else None
    if version is None or version > NEWEST or version < (2, 6):
        raise wrong(ValueError, "kernel", expected, text)
    if version[1] > LAST_MINOR[version[0]]:
        last = worded((version[0], LAST_MINOR[version[0]]))
        raise wrong(ValueError, "kernel", expected, text, f"; the last {version[0]}.x is {last}")
    return version


def bound(keys: Collection[str]) -> Version | None:
    """The first version that cannot have these settings, taken for all of a host's; None for the newest."""
    bounds = [version for key, version in INTRODUCED.items() if key not in keys]
    bounds += [version for key, version in REMOVED.items() if key in keys]
    return min(bounds, default=None)


def absent(key: str, release: str) -> str:
    """Why a Linux of that release ("" for the newest) does not have a setting; "" where it may have it."""
    version = version_of(release) or NEWEST
    if key in REMOVED and version >= REMOVED[key]:
        return f"removed in Linux {REMOVED[key][0]}.{REMOVED[key][1]}"
    if key in INTRODUCED and version < INTRODUCED[key]:
        return f"since Linux {INTRODUCED[key][0]}.{INTRODUCED[key][1]}"
    return ""


def older(version: Version) -> dict[str, Change]:
    """The knobs on which this version differs from `NEWEST`."""
    return {change.knob: change for change in CHANGES if version < change.version}


def notes(kernel: str, version: Version, said: Collection[str]) -> list[str]:
    """What is concluded from the version, a sentence each; nothing of the knobs that are `said` otherwise."""
    ported = {True: "; later stable releases of older kernels have the change, too", False: ""}
    found = [
        f"{kernel}: {name} = {change.value} (before {worded(change.version)}{ported[change.ported]})"
        for name, change in older(version).items()
        if name not in said
    ]
    return found + [
        f"{kernel}: not modelled: before {worded(since)} {rule}"
        for since, rule in UNMODELLED
        if version < since
    ]
