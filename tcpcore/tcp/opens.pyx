# OPEN (RFC 9293 3.10.1) where more than a SYN arrives: text with it, or the ACK of a cookie instead of it.
#
# The two ordinary opens, open_active and open_passive, are inline in opens.pxd.
from tcpcore.records.counters cimport Mib, count, count_n
from tcpcore.records.knobs cimport SYN_TEXT_KEPT
from tcpcore.records.segment cimport FIN
from tcpcore.records.tcb cimport B_RESEND_SYN
from tcpcore.tcp.outcomes cimport complete_handshake
from tcpcore.tcp.text cimport keep_syn_text, text_and_output
from tcpcore.tcp.timestamps cimport set_ts_recent


cdef void open_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                    Action* act) noexcept nogil:
    """What else came with the SYN of a half-open entry. RFC 9293 3.10.7.2 (third) queues it until
    ESTABLISHED; Linux and FreeBSD do not take it, and the peer sends it again. It is not acknowledged
    either way."""
    if knobs.syn_text == SYN_TEXT_KEPT:
        keep_syn_text(tcb, cold, seg, knobs, act, seg.flags & FIN)
    else:
        count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)


cdef void open_cookie(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil:
    """LISTEN to ESTABLISHED by an ACK that gave a cookie back (RFC 4987 3.6). tcb.mss, tcb.bits (B_TS,
    B_SACK, B_WSCALE) and the low nibble of tcb.wscale say what the cookie knew, the high nibble what the
    SYN-ACK did where rcv_buf is not the listener's own; the segment goes on to its text and FIN."""
    cdef uint16_t agreed = tcb.bits
    cdef uint8_t shift = tcb.wscale
    init_tcb(tcb, cold, act.stamp, knobs, now, seg.ack - 1, ts_offset, rcv_buf)
    tcb.bits &= agreed | ~(B_TS | B_SACK | B_WSCALE)
    tcb.wscale = (shift if shift & 0xF0 else tcb.wscale & 0xF0 | shift) if tcb.bits & B_WSCALE else 0
    tcb.bits |= B_PASSIVE | B_RESEND_SYN              # when the SYN-ACK went is not known: no RTT sample
    tcb.rcv_nxt = seg.seq
    tcb.snd_una = seg.ack
    if tcb.bits & B_TS:
        set_ts_recent(act.stamp, seg, now)
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    open_window(tcb, cold, knobs)
    complete_handshake(tcb, cold, seg, knobs, now, act)
    count(act.counters, Mib.PassiveOpens)
    text_and_output(tcb, cold, seg, knobs, now, act)
