"""The declarations of the knobs of the engine, of a listener's queues and of resending.

They are the first of `Knobs`, which continues them and says where they come from; as there, each is declared
once, with all that is known of it.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Final

from tcpcore.knob_types import address, choice, number, subset, switch

__all__ = ["EVENTS", "MAX_MS", "UNLIMITED", "QueueKnobs"]

UNLIMITED: Final = 2**31 - 1  # INT_MAX, Linux's own word for "no limit"
EVENTS: Final = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait",
                 "readable", "eof", "writable")
MAX_MS: Final = 2**30 - 1  # two of them added stay within the 2**31 ticks a deadline may be ahead

_POLICIES: Final = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")


# fields alone: `Config` has the methods
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class QueueKnobs:
    """The first fields of `Config`, in its order."""

    # -- the engine

    capacity: int = number(65536, 1, 2**30, "connections the engine has room for")
    seed: int = number(
        0, 0, 2**64 - 1, "of every random choice and every key: who knows it can compute ISNs and hashes",
        none="one is drawn", none_is=partial(secrets.randbits, 64),
    )  # fmt: skip
    local_addr: str = address("10.0.0.1", "source of `connect` without `src`")
    events: tuple[str, ...] = subset(EVENTS, "what `Engine.events()` is to tell")

    # -- queues of a listener

    somaxconn: int = number(
        4096, 0, UNLIMITED, "cap of a listener's backlog", freebsd=128, rfc="open", live=True
    )
    tcp_max_syn_backlog: int = number(
        4096, 0, UNLIMITED, "policy linux without cookies: half-open entries of a listener", live=True
    )
    synq_policy: str = choice(
        "linux", _POLICIES, "who goes when the SYN queue is full",
        freebsd="freebsd", strict="drop-new", rfc="no pruning, no reserve: those are Linux's own",
    )  # fmt: skip
    syncache_hashsize: int = number(
        512, 1, 65536, "policy freebsd: buckets of half-open entries, for all listeners", rfc="open"
    )
    syncache_bucketlimit: int = number(
        30, 1, 65536, "policy freebsd: half-open entries in a bucket", rfc="open", live=True
    )
    tcp_syncookies: int = number(
        1, 0, 2, "SYN cookies: 0 off, 1 on overflow, 2 always",
        strict=0, rfc="SYN-RECEIVED is a state with options, a cookie keeps neither", live=True,
    )  # fmt: skip
    dup_syn_restarts: int = switch(
        0, "a half-open entry's SYN again: the resends of its SYN-ACK start over", freebsd=1, rfc="open"
    )
    accept_queue_rule: str = choice(
        "one-more", ("one-more", "half-more"), "connections that may wait at backlog B: B + 1, or 3/2 B",
        freebsd="half-more", rfc="open",
    )  # fmt: skip
    cookie_encoding: str = choice(
        "linux", ("linux", "freebsd"), "what a cookie carries and how long it is good",
        freebsd="freebsd", rfc="open",
    )  # fmt: skip
    accept_full_drops_syn: int = number(
        1, 0, 2, "a full accept queue refuses SYNs; 0: only third segments; 2: while more than one entry is "
        "young (its SYN-ACK never resent), as Linux before 4.10",
        freebsd=0, rfc="open",  # the socket is made by the third segment
    )  # fmt: skip
    tcp_abort_on_overflow: int = switch(
        0, "a third segment that meets a full accept queue: 1 answers RST",
        freebsd=1, rfc="open", live=True,  # syncache.rst_on_sock_fail
    )  # fmt: skip

    tcp_defer_accept_s: int = number(
        0, 0, MAX_MS // 1000, "`listen` without `defer_accept`: so long a bare ACK opens no connection",
        unit="s", rfc="MUST-10: it does",
    )  # fmt: skip

    # -- resending

    tcp_synack_retries: int = number(
        5, 0, 255, "resends of a SYN-ACK", freebsd=3, strict=7,
        rfc="R2 of a SYN at least 3 minutes (MUST-23): 1 + 2 + ... + 32 + 60 + 60 = 183 s", live=True,
    )  # fmt: skip
    tcp_syn_retries: int = number(
        # keepinit_ms ends FreeBSD's long before; Linux does not take 0, here it is one SYN and its interval
        6, 0, 127, "resends of a SYN", freebsd=12, strict=7,
        rfc="R2 of a SYN at least 3 minutes (MUST-23)", live=True,
    )  # fmt: skip
    tcp_syn_linear_timeouts: int = number(
        4, 0, 127, "resends of a SYN at a constant interval, before it doubles",
        freebsd=0, strict=0, rfc="RFC 6298 5.5: each resend doubles", live=True,
    )  # fmt: skip
    rexmit_drop_options: int = switch(
        0, "from its third resend on a SYN asks for MSS alone: no scaling, SACK, timestamps", live=True
    )
    rto_initial_ms: int = number(1000, 1, MAX_MS, "RTO before there is a sample", unit="ms")
    rto_syn_resent_ms: int = number(
        3000, 1, MAX_MS, "RTO while the SYN's round trip is unknown, as the SYN was resent",
        unit="ms", freebsd=1000, rfc="RFC 6298 5.7: 3 s",
    )  # fmt: skip
    rto_slop_ms: int = number(
        0, 0, MAX_MS, "added to every RTO but the first of a SYN, after doubling, within the maximum",
        unit="ms", freebsd=200, rfc="RFC 6298 has none",
    )  # fmt: skip
    tcp_rto_min_us: int = number(
        200_000, 1, UNLIMITED, "the minimum of `rto_min_rule`", unit="us",
        freebsd=30_000, strict=1_000_000, rfc="RFC 6298 2.4: 1 s",
    )  # fmt: skip
    tcp_rto_max_ms: int = number(
        120_000, 1, MAX_MS, "largest RTO, after doubling", unit="ms",
        freebsd=64_000, strict=60_000, rfc="RFC 6298 2.5: at least 60 s",
    )  # fmt: skip
    rto_doublings_max: int = number(
        31, 0, 31, "doublings of a SYN's and of text's RTO",
        freebsd=9, rfc="RFC 6298 5.5: as far as the maximum allows",
    )  # fmt: skip
    rto_min_rule: str = choice(
        "variance", ("variance", "rto"), "what the minimum holds up: 4 RTTVAR, or the RTO",
        freebsd="rto", strict="rto", rfc="RFC 6298 2.4: the RTO",
    )  # fmt: skip
    keepinit_ms: int | None = number(
        None, 1, MAX_MS, "bound on a connection attempt", none="no bound",
        unit="ms", freebsd=75_000, rfc="open",
    )  # fmt: skip
    tcp_retries2: int = number(
        15, 0, 255, "resends, as `retries_rule` counts, before a connection is given up",
        freebsd=12, rfc="MUST-20: R2, in resends or in time", live=True,
    )  # fmt: skip
    tcp_orphan_retries: int = number(
        0, 0, 255, "`tcp_retries2` once the application is gone; 0 acts as 8",
        freebsd=12, strict=15, rfc="3.8.3 knows one R2, whoever holds the connection", live=True,
    )  # fmt: skip
    orphan_probes_end: int = switch(
        1, "an orphan's window probes end when their interval has reached `tcp_rto_max_ms`",
        freebsd=0, strict=0, rfc="MUST-37: a peer that answers is probed without end",
    )  # fmt: skip
    closed_window_ends: int = switch(
        1, "text in flight to a closed window is given up after twice `tcp_rto_max_ms` of silence; 0: by R2",
        freebsd=0, strict=0, rfc="3.8.3 knows one R2",
    )  # fmt: skip
    tcp_early_retrans: int = number(
        3, 0, 4, "3, 4: with SACK the last row is sent again before the RTO backs off (tail loss probe)",
        freebsd=0, strict=0, rfc="RFC 8985 7 belongs to RACK", live=True,
    )  # fmt: skip
    tcp_keepalive_time: int = number(
        7200, 1, 32767, "silence before keepalive probes, where `listen` or `connect` asks for them",
        unit="s", live=True,
    )  # fmt: skip
    tcp_keepalive_intvl: int = number(75, 1, 32767, "between keepalive probes", unit="s", live=True)
    tcp_keepalive_probes: int = number(
        9, 1, 127, "keepalive probes without an answer that end a connection",
        freebsd=8, rfc="SHLD-12 names no number", live=True,
    )  # fmt: skip
    always_keepalive: int = switch(
        0, "keepalive probes without being asked for, too: then an idle connection always has a timer",
        rfc="MUST-25: off by default",
    )  # fmt: skip
    tcp_user_timeout_ms: int = number(
        0, 0, MAX_MS, "silence of the peer that ends a connection, unless `listen` or `connect` says; 0: R2",
        unit="ms", live=True,
    )  # fmt: skip
