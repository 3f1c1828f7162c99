# What a segment of the peer's tells a TCB: the options of its SYN, its window, and that the handshake is
# complete.
#
# Inline, as the state machine and header prediction both call it, once per segment at most. Nothing is
# decided here: whether the segment is any good was judged before.
# Source: RFC 9293 3.7.1, 3.10.7.4 (fifth), RFC 7323 2, 6298 2, 3.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from tcpcore.base.seq cimport seq_lt
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport (
    MSS_DEFAULT, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, WSCALE_MAX, Segment,
)
from tcpcore.records.tcb cimport (
    B_COLD, B_CROSSED, B_ECN, B_MATURE, B_RESEND_SYN, B_SACK, B_TS, B_WINDOW, B_WSCALE, ESTABLISHED, Cold,
    Tcb, Timestamps,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.receive_window cimport plain_window
from tcpcore.tcp.rto cimport first_syn_timeout, rtt_sample, rtt_update, tick_up
from tcpcore.tcp.timestamps cimport echoed_sample, set_ts_recent


cdef inline void read_options(Tcb* tcb, Timestamps* ts, const Segment* seg, const Knobs* knobs,
                              int64_t now) noexcept nogil:
    """Take over what the peer's SYN agrees to (RFC 9293 3.7.1, RFC 7323 2.2, 3.2); tcb.bits hold what we
    offer."""
    cdef uint32_t mss = seg.mss if seg.opts & OPT_MSS and seg.mss else MSS_DEFAULT
    cdef uint16_t bits = tcb.bits
    cdef uint8_t shifts = 0
    if mss > knobs.mss:
        mss = knobs.mss
    tcb.mss = <uint16_t>(mss if mss > knobs.tcp_min_snd_mss else knobs.tcp_min_snd_mss)
    if seg.opts & OPT_WSCALE and bits & B_WSCALE:
        shifts = tcb.wscale & 0xF0 | (seg.wscale if seg.wscale < WSCALE_MAX else WSCALE_MAX)
    else:
        bits &= ~B_WSCALE
    if not seg.opts & OPT_SACK_OK:
        bits &= ~B_SACK
    if seg.opts & OPT_TS and bits & B_TS:
        set_ts_recent(ts, seg, now)
    else:
        bits &= ~B_TS
    tcb.wscale = shifts
    tcb.bits = bits


cdef inline void take_window(Tcb* tcb, Cold* cold, const Segment* seg, uint32_t wnd) noexcept nogil:
    """SND.WND := wnd, SND.WL1 := SEG.SEQ; the largest window is remembered, in the cold line once it
    differs."""
    if wnd < tcb.snd_wnd:
        use_cold(tcb, cold)
    tcb.snd_wnd = wnd
    tcb.snd_wl1 = seg.seq
    if tcb.bits & B_COLD and wnd > cold.max_snd_wnd:
        cold.max_snd_wnd = wnd


cdef inline bint moves_window(const Tcb* tcb, const Segment* seg, uint32_t wnd) noexcept nogil:
    """True if the segment is newer than the one that SND.WND came from (RFC 9293 3.10.7.4, fifth). At the
    same number a larger window or a closed one counts, as Linux has it (tcp_may_update_window): SND.WL2 is
    not kept."""
    return seq_lt(tcb.snd_una, seg.ack) or seq_lt(tcb.snd_wl1, seg.seq) or (
        tcb.snd_wl1 == seg.seq and (wnd > tcb.snd_wnd or wnd == 0))


cdef inline void open_window(Tcb* tcb, Cold* cold, const Knobs* knobs) noexcept nogil:
    """Turn the window that our SYN told into a right edge, now that the peer's numbers are known."""
    cdef uint32_t space
    if tcb.bits & B_WINDOW:
        space = plain_window(tcb, cold, knobs)
        cold.rcv_adv = tcb.rcv_nxt + (space if space < 65535 else 65535)


cdef inline void establish(Tcb* tcb, Cold* cold, const Timestamps* ts, const Segment* seg,
                           const Knobs* knobs, int64_t now) noexcept nogil:
    """Enter ESTABLISHED, with a first RTT sample. Where something was resent only an echo of our timestamp
    can tell which of them this answers (Karn, RFC 6298 3)."""
    if tcb.retries == 0 and not tcb.bits & (B_RESEND_SYN | B_CROSSED):
        tcb.rtt = <uint16_t>rtt_sample(<uint32_t>tick_up(now)
                                       - (tcb.deadline - first_syn_timeout(tcb, knobs)))
    elif tcb.retries == 0 and not tcb.bits & B_RESEND_SYN:
        tcb.rtt = <uint16_t>rtt_sample(<uint32_t>tick_up(now) - cold.rtt_at)     # our SYN-ACK's
    elif tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr:
        tcb.rtt = <uint16_t>echoed_sample(ts, seg, now)
    else:
        tcb.rtt = 0                                   # no longer bits of when the attempt began
    if tcb.bits & B_COLD and tcb.rtt:
        cold.srtt_us = 0
        rtt_update(cold, tcb.rtt)
    tcb.retries = 0
    tcb.bits &= ~(B_RESEND_SYN | B_MATURE | B_CROSSED | B_ECN)
    if tcb.bits & B_COLD:
        cold.error = 0
        cold.backoff = 0                              # the SYN's doublings end with it (RFC 6298 5.7)
    tcb.state = ESTABLISHED
