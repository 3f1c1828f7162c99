"""The declarations of all knobs: each once, with all that is known of it.

A knob that Linux has carries Linux's name, unit and meaning; ours carry their unit in the name. The value is
Linux's; `freebsd` and `strict` are those of the other profiles where they differ, and `rfc` says what the
RFCs ask. Validation, the profiles, the engine's struct, `loadgen profiles`, docs/knobs.md and the table of
ADR 5 are derived from here or compared with it by tests/config, so that a new knob is a declaration here and
a field in records/knobs.pxd. The first of them are in knobs_queues.py. Not here: knobs that depend on each
other (`Config`).

Sources: Linux Documentation/networking/ip-sysctl.rst, FreeBSD tcp(4) and syncache(4), RFC 9293, 5961, 6056,
6298, 6528, 7323; sections without a number of an RFC are those of RFC 9293.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tcpcore.knob_types import choice, flag, number, port_range, port_set, switch
from tcpcore.knobs_queues import EVENTS, MAX_MS, UNLIMITED, QueueKnobs

__all__ = ["EVENTS", "MAX_WINDOW", "UNLIMITED", "Knobs"]

MAX_WINDOW: Final = 65535 << 14  # RFC 7323 2.3

_PORT_ALGORITHMS: Final = ("random", "random-retry", "hash", "double-hash", "random-increments")


# fields alone: `Config` has the methods
@dataclass(frozen=True, kw_only=True, init=False, repr=False, eq=False)
class Knobs(QueueKnobs):
    """The fields of `Config`, in its order."""

    # -- closing

    tcp_fin_timeout: int = number(
        60, 0, MAX_MS // 1000, "FIN-WAIT-2 without an application", unit="s", live=True
    )
    time_wait_ms: int = number(
        60_000, 0, MAX_MS, "2 MSL", unit="ms", strict=240_000, rfc="MUST-13: 2 MSL, MSL 2 minutes (3.4.2)",
        live=True,
    )  # fmt: skip
    nolocaltimewait: int = switch(
        0, "no TIME-WAIT where the peer is this host: its address is ours, or loopback",
        freebsd=1, rfc="MUST-13: whoever the peer is", live=True,
    )  # fmt: skip
    tcp_max_tw_buckets: int = number(
        262_144, 0, UNLIMITED, "connections in TIME-WAIT", none="no limit", none_is=UNLIMITED,
        freebsd=UNLIMITED, strict=UNLIMITED, rfc="MUST-13 knows no cap", live=True,
    )  # fmt: skip
    tcp_max_orphans: int = number(
        262_144, 0, UNLIMITED, "connections without an application, TIME-WAIT aside: one more is reset",
        none="no limit", none_is=UNLIMITED, freebsd=UNLIMITED, strict=UNLIMITED, rfc="no limit", live=True,
    )  # fmt: skip
    tcp_tw_reuse: int = number(
        2, 0, 2, "`connect` over TIME-WAIT: 0 no, 1 yes, 2 on loopback only",
        freebsd=0, strict=0, rfc="MUST-13: the closer lingers; RFC 6191 speaks of SYNs that arrive",
        live=True,
    )  # fmt: skip
    tcp_tw_reuse_delay: int = number(
        1000, 0, MAX_MS, "age from which `connect` reuses TIME-WAIT", unit="ms", live=True
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
        500, 0, MAX_MS, "between a connection's ACKs that answer bad segments; 0: all are answered",
        unit="ms", freebsd=0, strict=0, rfc="3.10.7.4, first: each unacceptable segment is answered",
        live=True,
    )  # fmt: skip
    ack_war_cnt: int = number(
        0, 0, 255, "a connection's ACKs that answer bad segments in `ack_war_timewindow_ms`; 0: no limit",
        freebsd=5, strict=10, rfc="RFC 5961 7: a limit, its example 10 in 5 s", live=True,
    )  # fmt: skip
    ack_war_timewindow_ms: int = number(
        0, 0, MAX_MS, "window of `ack_war_cnt`, from its first ACK; 0: no limit",
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
        1, 0, MAX_MS, "PAWS lets a timestamp pass that is too old by no more than this",
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
        strict=0, rfc="RFC 7323 3.2: dropped silently (SHOULD)",
    )  # fmt: skip
    crossed_syn_restarts: int = switch(
        0, "simultaneous open: the SYN-ACK starts the resend timer afresh", freebsd=1, rfc="open"
    )
    crossed_synack_opens: int = switch(
        1, "simultaneous open: the peer's SYN-ACK is taken for the ACK that it is; "
        "0: a challenge ACK answers it, as Linux before 6.11",
    )  # fmt: skip
    crossed_synack_offers: int = switch(
        1, "simultaneous open: the SYN-ACK has all options of our SYN; 0: those that both had",
        freebsd=0, strict=0, rfc="RFC 7323 2.2, 3.2: only what the peer's SYN had",
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
    rst_at_sack_edge: int = switch(
        1, "with SACK a RST right behind all that came ahead of a gap resets too",
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
    shutdown_waits: int = number(
        1, 0, 2, "in active SYN-RECEIVED shutdown() waits for ESTABLISHED; 2: FIN goes with its SYN-ACK",
        freebsd=2, strict=0, rfc="3.10.4: FIN at once",
    )  # fmt: skip
    close_forgets_opening: int = switch(
        0, "in active SYN-RECEIVED close() forgets the connection and sends nothing",
        freebsd=1, rfc="3.10.4: FIN",
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
    unreachable_rules: str = choice(
        "linux", ("linux", "rfc", "freebsd"), "what ICMP destination unreachable does, by state and code",
        freebsd="freebsd", strict="rfc", rfc="3.9.2.2: soft errors never abort (MUST-56), hard ones should",
    )  # fmt: skip
    unreachable_undoes_backoff: int = switch(
        1, "it undoes a doubling of the RTO: net and host unreachable",
        freebsd=0, strict=0, rfc="RFC 6069 is experimental",
    )  # fmt: skip
    time_wait_outlives: int = switch(
        1, "TIME-WAIT goes on when its application aborts", freebsd=0, strict=0, rfc="3.10.5: deletes the TCB"
    )

    # -- options and windows

    tcp_timestamps: int = number(1, 0, 2, "2: without the offset per peer")
    tcp_window_scaling: int = switch(1, "window scaling is offered and taken")
    tcp_sack: int = switch(1, "SACK-permitted is offered and taken")
    tcp_ecn: int = number(
        2, 0, 2, "ECN in SYNs: 0 no, 1 asked for and granted, 2 granted", rfc="SHLD-8; RFC 3168 6.1.1: may",
        live=True,
    )  # fmt: skip
    tcp_ecn_fallback: int = switch(
        1, "a SYN that is resent asks for no ECN", freebsd=0, rfc="RFC 3168 6.1.1.1: may", live=True
    )
    ecn_maxretries: int = number(
        255, 0, 255, "resends of a SYN or SYN-ACK with ECN in it",
        freebsd=1, rfc="RFC 3168 6.1.1.1: a SYN may be resent without", live=True,
    )  # fmt: skip
    crossed_ecn_granted: int = switch(
        0, "simultaneous open: ECN is granted once to a peer whom our SYN did not ask for it",
        freebsd=1, rfc="RFC 3168 6.1.1: may",
    )  # fmt: skip
    mss: int = number(1460, 1, 65535, "sent in SYNs", unit="bytes")
    tcp_min_snd_mss: int = number(
        48, 48, 65535, "least MSS that a peer's SYN is taken to ask for",
        unit="bytes", freebsd=216, rfc="3.7.1 knows none", live=True,
    )  # fmt: skip
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
    own_buffer_wscale: int = switch(
        1, "a connection with a buffer of its own (SO_RCVBUF) offers the shift for that; "
        "0: at least `rcv_wscale_min`",
        freebsd=0, rfc="open",
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
    ip_local_reserved_ports: str = port_set(
        "", "ports that `connect` gives to nobody", rfc="RFC 6056 3.2: those of servers"
    )
    port_selection: str = choice(
        "linux", ("linux", *_PORT_ALGORITHMS, "sequential"),
        "how `connect` picks one; 1 to 5: RFC 6056 3.3.1 to 3.3.5",
        numbered=_PORT_ALGORITHMS, freebsd="random", strict="double-hash", rfc="RFC 6056 3.3.4",
    )  # fmt: skip
    isn: str = choice("rfc6528", ("rfc6528", "rfc793", "random"), "initial sequence numbers")
    isn_tick_ns: int = number(
        64, 1, 2**40, "period of the ISN clock", unit="ns", freebsd=4000, strict=4000, rfc="MUST-8: 4 us"
    )
