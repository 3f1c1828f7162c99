"""The declarations of the knobs that say how an end waits, and what it tells of its window.

Zero-window probes, FIN-WAIT-2 and the window update: what FreeBSD 14 does otherwise than Linux without a name
in its sysctls, or with one of its own. Declared as those of tcpcore/knobs.py are, which come before them.

Source: FreeBSD tcp_output.c (tcp_setpersist), tcp_timer.c, tcp_input.c; docs/freebsd.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from tcpcore.knob_types import choice, number, switch
from tcpcore.knobs import Knobs
from tcpcore.knobs_queues import MAX_MS

__all__ = ["AllKnobs"]


# fields alone: `Config` has the methods
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class AllKnobs(Knobs):
    """The fields of `Config`, in its order."""

    # -- waiting, and windows that are told

    persmin_ms: int | None = number(
        None, 1, MAX_MS, "least interval of zero-window probes", none="none",
        unit="ms", freebsd=5000, rfc="3.8.6.1: the first after one RTO", live=True,
    )  # fmt: skip
    persmax_ms: int | None = number(
        None, 1, MAX_MS, "largest interval of zero-window probes", none="`tcp_rto_max_ms`",
        unit="ms", freebsd=60_000, rfc="open", live=True,
    )  # fmt: skip
    persist_interval: str = choice(
        "rto", ("rto", "srtt"), "of zero-window probes, before doubling: RTO, or 4 SRTT + 8 RTTVAR",
        freebsd="srtt", rfc="SHLD-29: RTO",
    )  # fmt: skip
    persist_probe: str = choice(
        "old-number", ("old-number", "byte"), "what a zero-window probe has: nothing, or a byte of new text",
        freebsd="byte", rfc="3.8.6.1: at least one octet of new data",
    )  # fmt: skip
    persist_ends: str = choice(
        "probes", ("probes", "silence"), "probing ends after so many probes unanswered, or after silence",
        freebsd="silence", rfc="MUST-37: not while they are answered",
    )  # fmt: skip
    fast_finwait2_recycle: int = switch(
        1, "FIN-WAIT-2 without an application ends after `tcp_fin_timeout`; 0: once its peer is silent",
        freebsd=0, rfc="open", live=True,
    )  # fmt: skip
    linger_s: int | None = number(
        None, 0, 65535, "SO_LINGER of a `close` that names none: 0 resets, more waits so long",
        none="no SO_LINGER", unit="s", rfc="open", live=True,
    )  # fmt: skip
    linger_takes_text: int = switch(
        0, "text for a `close` that still waits is acknowledged and thrown away; 0: answered by RST",
        freebsd=1, rfc="SHLD-3, RFC 1122 4.2.2.13: a RST",
    )  # fmt: skip
    resets_from_last_ack: int = switch(
        0, "while an ACK is delayed a RST is exact, and its window begins, at the number acknowledged last",
        freebsd=1, rfc="RFC 5961 3.2: RCV.NXT",
    )  # fmt: skip
    rst_has_window: int = switch(1, "a RST of our own tells a window", freebsd=0, rfc="open")
    bare_fin_needs_window: int = switch(
        0, "a FIN without text waits for a window that is closed; 0: it is taken",
        rfc="3.10.7.4: `acceptance` rfc takes none",
    )  # fmt: skip
    crossed_keepalive: int = switch(
        0, "keepalive begins after a simultaneous open, too",
        freebsd=1, strict=1, rfc="3.8.4: of any connection",
    )  # fmt: skip
    fin_needs_window: int = switch(
        1, "our FIN waits for a window; 0: it goes once all text has gone",
        freebsd=0, rfc="3.4: a FIN has a number, like text",
    )  # fmt: skip
    window_offered: str = choice(
        "linux", ("linux", "freebsd"), "the window of a filled buffer; freebsd: none below MSS and a quarter",
        freebsd="freebsd", rfc="3.8.6.2.2: open by MSS or half the buffer",
    )  # fmt: skip
    window_update: str = choice(
        "doubled", ("doubled", "two-segments"), "what reading must add to the window before an update goes",
        freebsd="two-segments", rfc="3.8.6.2.2: MSS or half the buffer",
    )  # fmt: skip
    overlap_acked_at_once: int = switch(
        0, "with SACK, text of which a part is old is acknowledged at once; 0: like new text",
        freebsd=1, rfc="RFC 2883 4: a block, and no time",
    )  # fmt: skip
