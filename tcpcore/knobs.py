"""The declarations of all knobs: each once, with all that is known of it.

A knob that Linux has carries Linux's name, unit and meaning; ours carry their unit in the name. The value is
Linux's; `freebsd` and `strict` are those of the other profiles where they differ, and `rfc` says what the
RFCs ask. Validation, the profiles, the engine's struct, `loadgen profiles`, docs/knobs.md and the table of
ADR 5 are derived from here or compared with it by tests/config, so that a new knob is a declaration here and
a field in records/knobs.pxd. Not here: knobs that depend on each other (`Config`).

Sources: Linux Documentation/networking/ip-sysctl.rst, FreeBSD tcp(4) and syncache(4), RFC 9293, 5961, 6056,
6298, 6528, 7323; sections without a number of an RFC are those of RFC 9293.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Final

from tcpcore.knob_types import address, choice, flag, number, port_range, subset, switch

__all__ = ["EVENTS", "MAX_WINDOW", "UNLIMITED", "Knobs"]

UNLIMITED: Final = 2**31 - 1  # INT_MAX, Linux's own word for "no limit"
EVENTS: Final = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait",
                 "readable", "eof", "writable")
MAX_WINDOW: Final = 65535 << 14  # RFC 7323 2.3

_MAX_MS: Final = 2**30 - 1  # two of them added stay within the 2**31 ticks a deadline may be ahead
_PORT_ALGORITHMS: Final = ("random", "random-retry", "hash", "double-hash", "random-increments")
_POLICIES: Final = ("linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer")


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """The fields of `Config`, in its order."""

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
    rto_initial_ms: int = number(1000, 1, _MAX_MS, "RTO before there is a sample", unit="ms")
    rto_slop_ms: int = number(
        0, 0, _MAX_MS, "added to every RTO but the first of a SYN, after doubling, within the maximum",
        unit="ms", freebsd=200, rfc="RFC 6298 has none",
    )  # fmt: skip
    tcp_rto_min_us: int = number(
        200_000, 1, UNLIMITED, "the minimum of `rto_min_rule`", unit="us",
        freebsd=30_000, strict=1_000_000, rfc="RFC 6298 2.4: 1 s",
    )  # fmt: skip
    tcp_rto_max_ms: int = number(
        120_000, 1, _MAX_MS, "largest RTO, after doubling", unit="ms",
        freebsd=64_000, strict=60_000, rfc="RFC 6298 2.5: at least 60 s",
    )  # fmt: skip
    rto_min_rule: str = choice(
        "variance", ("variance", "rto"), "what the minimum holds up: 4 RTTVAR, or the RTO",
        freebsd="rto", strict="rto", rfc="RFC 6298 2.4: the RTO",
    )  # fmt: skip
    keepinit_ms: int | None = number(
        None, 1, _MAX_MS, "bound on a connection attempt", none="no bound",
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

    # -- closing

    tcp_fin_timeout: int = number(
        60, 0, _MAX_MS // 1000, "FIN-WAIT-2 without an application", unit="s", live=True
    )
    time_wait_ms: int = number(
        60_000, 0, _MAX_MS, "2 MSL", unit="ms", strict=240_000, rfc="MUST-13: 2 MSL, MSL 2 minutes (3.4.2)",
        live=True,
    )  # fmt: skip
    tcp_max_tw_buckets: int = number(
        262_144, 0, UNLIMITED, "connections in TIME-WAIT", none="no limit", none_is=UNLIMITED,
        freebsd=UNLIMITED, strict=UNLIMITED, rfc="MUST-13 knows no cap", live=True,
    )  # fmt: skip
    tcp_tw_reuse: int = number(
        2, 0, 2, "`connect` over TIME-WAIT: 0 no, 1 yes, 2 on loopback only",
        freebsd=0, strict=0, rfc="MUST-13: the closer lingers; RFC 6191 speaks of SYNs that arrive",
        live=True,
    )  # fmt: skip
    tcp_tw_reuse_delay: int = number(
        1000, 0, _MAX_MS, "age from which `connect` reuses TIME-WAIT", unit="ms", live=True
    )
    tw_reuse_clock_ms: int = number(
        1, 1, 60_000, "tick of the clock that `tcp_tw_reuse_delay` is counted on; Linux before 6.14: 1000",
        unit="ms", live=True,
    )  # fmt: skip
    tcp_rfc1337: int = switch(
        0, "1: a RST does not end TIME-WAIT", freebsd=1, rfc="3.10.7.4, second: it does; RFC 1337 is advice",
        live=True,
    )  # fmt: skip

    # -- doubtful segments

    tcp_challenge_ack_limit: int = number(
        UNLIMITED, 0, UNLIMITED, "challenge ACKs of the whole engine", none="no limit", none_is=UNLIMITED,
        unit="per s", strict=10, rfc="RFC 5961 7: a limit, its example 10 in 5 s", live=True,
    )  # fmt: skip
    tcp_invalid_ratelimit: int = number(
        500, 0, _MAX_MS, "between a connection's ACKs that answer bad segments; 0: all are answered",
        unit="ms", freebsd=0, strict=0, rfc="3.10.7.4, first: each unacceptable segment is answered",
        live=True,
    )  # fmt: skip
    ack_war_cnt: int = number(
        0, 0, 255, "a connection's ACKs that answer bad segments in `ack_war_timewindow_ms`; 0: no limit",
        freebsd=5, strict=10, rfc="RFC 5961 7: a limit, its example 10 in 5 s", live=True,
    )  # fmt: skip
    ack_war_timewindow_ms: int = number(
        0, 0, _MAX_MS, "window of `ack_war_cnt`, from its first ACK; 0: no limit",
        unit="ms", freebsd=1000, strict=5000, rfc="RFC 5961 7: its example 10 in 5 s", live=True,
    )  # fmt: skip
    insecure_rst: int = switch(0, "RFC 793's acceptance of RST: any in the window resets", live=True)
    insecure_syn: int = switch(0, "RFC 793's treatment of a SYN in the window: it resets", live=True)
    drop_synfin: int = switch(0, "SYN+FIN is dropped in every state", live=True)
    blackhole: int = number(0, 0, 2, "a closed port is silent: 1 to SYNs, 2 to every segment", live=True)

    # -- where the stacks and the RFCs part

    listen_drops_synfin: int = switch(
        1, "LISTEN drops SYN+FIN",
        freebsd=0, strict=0, rfc="3.10.7.2: a SYN opens, whatever comes with it",
    )  # fmt: skip
    early_syn_resend_ms: int = number(
        8, 0, 1000, "SYN-SENT: a wrong ACK makes the SYN due again so soon; 0: it does not",
        unit="ms", freebsd=0, strict=0, rfc="3.10.7.3: RST, return",
    )  # fmt: skip
    retries_rule: str = choice(
        "time", ("time", "count"), "give up after the time that n resends take, or after n",
        freebsd="count", strict="count", rfc="3.8.3 (MUST-20): R1 and R2 in resends or in time",
    )  # fmt: skip
    acceptance: str = choice(
        "linux", ("linux", "rfc", "trim"), "which segments are acceptable; trim: what is left of one goes on",
        freebsd="trim", strict="rfc", rfc="3.10.7.4, first: four cases",
    )  # fmt: skip
    beyond_window_dropped: int = switch(
        1, "acceptance linux: what ends beyond the window is refused while something is unread; "
        "Linux before 6.17: 0",
    )  # fmt: skip
    paws_tolerance_ticks: int = number(
        1, 0, _MAX_MS, "PAWS lets a timestamp pass that is too old by no more than this",
        unit="ticks", freebsd=0, strict=0, rfc="RFC 7323 5.3, R1: none",
    )  # fmt: skip
    paws_idle_s: int = number(
        2147, 0, 2_073_600, "PAWS ends once TS.Recent is so old; Linux before 6.7: 2073600, 24 days",
        unit="s", freebsd=2_073_600, strict=2_073_600, rfc="RFC 7323 5.5: more than 24 days",
    )  # fmt: skip
    paws_ignores_old_acks: int = switch(
        1, "an old ACK with an old timestamp is dropped in silence; not with acceptance trim",
        freebsd=0, strict=0, rfc="RFC 7323 5.3, R1: it is answered",
    )  # fmt: skip
    ts_recent_needs_good_ack: int = switch(
        1, "TS.Recent moves once the ACK is found good; 0: with every acceptable segment",
        freebsd=0, strict=0, rfc="RFC 7323 5.3, R3: before the ACK is looked at",
    )  # fmt: skip
    rst_seq_in_window: int = switch(
        0, "a RST must begin in the window; 0: any acceptable one is looked at",
        freebsd=1, strict=1, rfc="RFC 5961 3.2: outside of the window it is dropped",
    )  # fmt: skip
    fin_fills_buffer: int = switch(
        1, "without `auto_read` a FIN waits in the buffer like text: the window's edge stays",
        freebsd=0, strict=0, rfc="open",
    )  # fmt: skip
    fin_acked_at_once: int = switch(
        1, "FIN-WAIT-1: an ACK of the peer's FIN goes before what is still to be sent; 0: with it",
        freebsd=0, strict=0, rfc="open",
    )  # fmt: skip
    flagless_dropped: int = switch(
        1, "what has no SYN, RST and ACK is dropped before its numbers are looked at",
        freebsd=0, strict=0, rfc="3.10.7.4: first before fifth",
    )  # fmt: skip
    fin_freezes_window: int = switch(
        1, "after the peer's FIN reading opens the window no further", freebsd=0, strict=0, rfc="open"
    )
    half_open_rules: str = choice(
        "linux", ("linux", "rfc", "syncache"), "the steps in SYN-RECEIVED out of LISTEN",
        freebsd="syncache", strict="rfc", rfc="3.10.7.4 has no steps of its own for it",
    )  # fmt: skip
    time_wait_rules: str = choice(
        "linux", ("linux", "rfc", "freebsd"), "the steps in TIME-WAIT",
        freebsd="freebsd", strict="rfc", rfc="3.10.7.4, fifth: only the peer's FIN is still expected",
    )  # fmt: skip
    paws_answers: str = choice(
        "spare-acks", ("spare-acks", "all", "text"), "which segments with an old timestamp are answered",
        freebsd="text", strict="all", rfc="RFC 7323 5.3, R1: all",
    )  # fmt: skip
    ack_range: str = choice(
        "rfc5961", ("rfc5961", "rfc793"), "how old an acknowledgment may be",
        freebsd="rfc793", rfc="RFC 5961 5.2",
    )  # fmt: skip
    ack_repeats_control: int = switch(
        0, "an ordinary ACK repeats our unacknowledged SYN or FIN",
        freebsd=1, rfc="3.10.7.4: `<SEQ=SND.NXT><CTL=ACK>`",
    )  # fmt: skip
    seq_within_window: int = switch(
        1, "an ACK's number stays inside the peer's window when that shrank",
        freebsd=0, strict=0, rfc="3.10.7.4: `<SEQ=SND.NXT><CTL=ACK>`",
    )  # fmt: skip
    abort_rst_has_ack: int = switch(
        1, "a RST of our own is RST+ACK", strict=0, rfc="3.10.5: `<SEQ=SND.NXT><CTL=RST>`"
    )
    syn_text: str = choice(
        "dropped", ("dropped", "kept", "client"), "text and FIN with a SYN; client: kept by an active opener",
        freebsd="client", strict="kept", rfc="3.10.7.2, 3.10.7.3: queued for ESTABLISHED",
    )  # fmt: skip
    tsecr_checked: int = number(
        1, 0, 2, "while opening, an echo of what was never sent is a wrong ACK; 2: in SYN-SENT only, as "
        "Linux before 6.15",
        freebsd=0, strict=0, rfc="RFC 7323 does not ask it",
    )  # fmt: skip
    tolerate_missing_ts: int = switch(
        1, "timestamps agreed, a segment without one is taken",
        freebsd=0, strict=0, rfc="RFC 7323 3.2: dropped silently (SHOULD)",
    )  # fmt: skip
    crossed_syn_restarts: int = switch(
        0, "simultaneous open: the SYN-ACK starts the resend timer afresh", freebsd=1, rfc="open"
    )
    crossed_synack_opens: int = switch(
        1, "simultaneous open: the peer's SYN-ACK is taken for the ACK that it is; "
        "0: a challenge ACK answers it, as Linux before 6.11",
    )  # fmt: skip
    listen_answers_synack: int = switch(
        1, "LISTEN answers SYN+ACK by a RST", freebsd=0, rfc="3.10.7.2, second: any ACK is reset"
    )
    bad_ack_ends_half_open: int = switch(
        0, "after the RST for a wrong ACK the half-open entry goes",
        freebsd=1, rfc="3.10.7.4, fifth: reset, no more",
    )  # fmt: skip
    epipe_in_close_wait: int = switch(
        1, "the error of a RST in CLOSE-WAIT is EPIPE", freebsd=0, strict=0, rfc='"connection reset"'
    )
    rst_before_fin: int = switch(
        1, "after the peer's FIN a RST at RCV.NXT-1 resets too",
        freebsd=0, strict=0, rfc="RFC 5961 3.2: at RCV.NXT only",
    )  # fmt: skip
    refused_in_syn_received: int = switch(
        0, "a RST in active SYN-RECEIVED is ECONNREFUSED", freebsd=1, strict=1, rfc="3.10.7.4, second"
    )
    wrong_ack_first: int = switch(
        1, "half-open, by linux's rules: a wrong ACK is answered before the window is looked at",
        freebsd=0, strict=0, rfc="3.10.7.4, first before fifth",
    )  # fmt: skip
    unlisten_forgets: int = switch(
        0, "half-open entries go with their listener at once",
        freebsd=1, strict=1, rfc="3.10.4: CLOSE deletes the TCB",
    )  # fmt: skip
    orphan_fin_wait_2_brief: int = switch(
        1, "FIN-WAIT-2 without an application is kept and judged like TIME-WAIT",
        freebsd=0, strict=0, rfc="FIN-WAIT-2 is one state",
    )  # fmt: skip
    shutdown_waits: int = switch(
        1, "in active SYN-RECEIVED shutdown() waits for ESTABLISHED",
        freebsd=0, strict=0, rfc="3.10.4: FIN at once",
    )  # fmt: skip
    text_over_fin_resets: int = switch(
        1, "text from before the peer's FIN to beyond it is answered by a RST",
        freebsd=0, strict=0, rfc="3.10.7.4, seventh: ignored",
    )  # fmt: skip
    persist_restarts: int = switch(
        1, "each ACK restarts the interval between zero-window probes", freebsd=0, strict=0, rfc="open"
    )
    ack_of_iss_opens: int = switch(
        1, "active SYN-RECEIVED takes an ACK of nothing, SEG.ACK = SND.UNA, for the handshake's last",
        freebsd=0, strict=0, rfc="3.10.7.4, fifth: a RST",
    )  # fmt: skip
    time_wait_outlives: int = switch(
        1, "TIME-WAIT goes on when its application aborts", freebsd=0, strict=0, rfc="3.10.5: deletes the TCB"
    )

    # -- options and windows

    tcp_timestamps: int = number(1, 0, 2, "2: without the offset per peer")
    tcp_window_scaling: int = switch(1, "window scaling is offered and taken")
    tcp_sack: int = switch(1, "SACK-permitted is offered and taken")
    mss: int = number(1460, 1, 65535, "sent in SYNs", unit="bytes")
    rcv_buf: int = number(
        65535, 1, MAX_WINDOW, "receive buffer of a connection", unit="bytes", freebsd=65536, rfc="open"
    )
    window_rounding: str = choice(
        "mss-down", ("mss-down", "mss-up", "none"), "the window that a buffer gives: to whole MSS",
        freebsd="mss-up", strict="none", rfc="open",
    )  # fmt: skip
    window_by_buffer: int = switch(
        0, "segments are judged by what the buffer holds, not by what was advertised",
        freebsd=1, rfc="RCV.WND is what was advertised",
    )  # fmt: skip
    rcv_wscale_min: int = number(
        0, 0, 14, "smallest window shift ever offered",
        freebsd=6, rfc="open",  # the shift for the largest buffer a socket may grow to, 2 MiB
    )  # fmt: skip
    delack_ms: int = number(
        0, 0, 499, "delayed ACK; 0: at once", unit="ms",
        freebsd=40, rfc="SHLD-18, MUST-40: a delay below 500 ms, and no number",
    )  # fmt: skip
    auto_read: bool = flag(True, "the application takes data as it arrives")

    # -- numbers

    ip_local_port_range: tuple[int, int] = port_range(
        (32768, 60999), "ports of `connect`",
        freebsd=(10000, 65535), strict=(1024, 65535), rfc="RFC 6056 3.2: 1024 to 65535",
    )  # fmt: skip
    port_selection: str = choice(
        "linux", ("linux", *_PORT_ALGORITHMS), "how `connect` picks one; 1 to 5: RFC 6056 3.3.1 to 3.3.5",
        numbered=_PORT_ALGORITHMS, freebsd="random", strict="double-hash", rfc="RFC 6056 3.3.4",
    )  # fmt: skip
    isn: str = choice("rfc6528", ("rfc6528", "rfc793", "random"), "initial sequence numbers")
    isn_tick_ns: int = number(
        64, 1, 2**40, "period of the ISN clock", unit="ns", freebsd=4000, strict=4000, rfc="MUST-8: 4 us"
    )
