# OPEN (RFC 9293 3.10.1, and 3.10.7.2 third): how a TCB begins, and its first row.
#
# The two ordinary opens are inline: there is one of each per connection, and a flood makes millions. What
# may arrive with a SYN or instead of a half-open entry is in opens.pyx.
# Not here: ISN, port, queue, flow table (loops).
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from tcpcore.base.prefetch cimport unlikely
from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport ACK, SYN, Segment, asks_for_ecn
from tcpcore.records.tcb cimport (
    B_ECN, B_HELD, B_PASSIVE, B_SACK, B_TS, B_WINDOW, B_WSCALE, SYN_RECEIVED, SYN_SENT, Cold, Tcb,
    Timestamps,
)
from tcpcore.tcp.cold cimport start_cold
from tcpcore.tcp.options cimport open_window, read_options, take_window
from tcpcore.tcp.output cimport shift_for, write_syn
from tcpcore.tcp.rto cimport clock_ms, first_syn_timeout, set_syn_began

cdef void open_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                    Action* act) noexcept nogil
cdef void open_cookie(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil


cdef inline void init_tcb(Tcb* tcb, Cold* cold, Timestamps* ts, const Knobs* knobs, int64_t now,
                          uint32_t iss, uint32_t ts_offset, uint32_t rcv_buf) noexcept nogil:
    """Fill in a new TCB that offers the options which the knobs allow. rcv_buf: bytes, 0 for the knobs'
    own."""
    cdef uint32_t shift = knobs.rcv_wscale
    cdef uint16_t bits = 0
    tcb.iss = iss
    tcb.snd_una = iss
    tcb.snd_nxt = iss + 1
    if knobs.tcp_sack:
        bits |= B_SACK
    if knobs.tcp_window_scaling:
        bits |= B_WSCALE
    if knobs.tcp_timestamps:
        bits |= B_TS
    if unlikely(rcv_buf):
        bits |= B_WINDOW
        shift = shift_for(rcv_buf, knobs)
    if bits & B_WSCALE:
        tcb.wscale = <uint8_t>(shift << 4)
    tcb.bits |= bits
    if bits & B_WINDOW:
        start_cold(tcb, cold)
        cold.rcv_buf = rcv_buf
    if bits & B_TS:
        ts.recent = ts.recent_at = 0
        ts.offset = ts_offset
        ts.first = clock_ms(now) + ts_offset


cdef inline uint32_t open_active(Tcb* tcb, Cold* cold, Timestamps* ts, const Knobs* knobs, int64_t now,
                                 uint32_t iss, uint32_t ts_offset, uint32_t rcv_buf,
                                 Segment* row) noexcept nogil:
    """CLOSED to SYN-SENT (RFC 9293 3.10.1); the 4-tuple is in the TCB already. The SYN goes in `row`, its
    timer (T_REXMT) runs as many ticks as are returned."""
    init_tcb(tcb, cold, ts, knobs, now, iss, ts_offset, rcv_buf)
    tcb.state = SYN_SENT
    tcb.bits |= B_HELD
    if unlikely(knobs.tcp_ecn == 1):
        tcb.bits |= B_ECN
    tcb.mss = knobs.mss
    set_syn_began(tcb, now)
    write_syn(row, tcb, cold, ts, knobs, now, SYN)
    return first_syn_timeout(tcb, knobs)


cdef inline uint32_t open_passive(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                  const Knobs* knobs, int64_t now, uint32_t iss, uint32_t ts_offset,
                                  uint32_t rcv_buf, Segment* row) noexcept nogil:
    """LISTEN to SYN-RECEIVED (RFC 9293 3.10.7.2, third): a half-open entry. The SYN-ACK goes in `row`, its
    timer (T_REXMT) runs as many ticks as are returned."""
    init_tcb(tcb, cold, ts, knobs, now, iss, ts_offset, rcv_buf)
    tcb.state = SYN_RECEIVED
    tcb.bits |= B_PASSIVE
    if unlikely(asks_for_ecn(seg)) and knobs.tcp_ecn:
        tcb.bits |= B_ECN
    tcb.rcv_nxt = seg.seq + 1
    read_options(tcb, ts, seg, knobs, now)
    take_window(tcb, cold, seg, seg.wnd)
    open_window(tcb, cold, knobs)
    write_syn(row, tcb, cold, ts, knobs, now, SYN | ACK)
    return first_syn_timeout(tcb, knobs)
