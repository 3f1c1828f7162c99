# Rows of the output: how a block speaks. Ground of the law: writes rows, decides nothing,
# changes nothing but the window it advertised and the delayed-ACK count.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport unlikely
from tcpcore.base.seq cimport seq_lt
from tcpcore.records.action cimport Action
from tcpcore.records.counters cimport Mib, count
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport (
    ACK, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, RST, SYN, Segment, seg_end,
)
from tcpcore.records.tcb cimport (
    B_COLD, B_FIN_SENT, B_PASSIVE, B_SACK, B_TS, B_WINDOW, B_WSCALE, SYN_RECEIVED, Cold, Tcb, Timestamps,
)
from tcpcore.tcp.receive_window cimport advertise_window, full_window
from tcpcore.tcp.rto cimport clock_ms

cdef enum:
    MSS_MIN = 48              # Linux TCP_MIN_MSS: less is an attack on the segment count


cdef uint32_t send_queued(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                   uint32_t limit) noexcept nogil
cdef uint32_t rows_due(const Tcb* tcb, const Cold* cold) noexcept nogil
cdef void resend_first(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void send_persist_probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef uint32_t unsent(const Tcb* tcb, const Cold* cold) noexcept nogil
cdef void arm_main_timer(Tcb* tcb, Action* act, uint8_t kind, uint32_t timeout) noexcept nogil
cdef void cancel_main_timer(Action* act) noexcept nogil


cdef inline void start_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """The cold line of a block that has sent nothing but its SYN."""
    memset(cold, 0, sizeof(Cold))
    tcb.bits |= B_COLD
    cold.snd_end = tcb.snd_nxt


cdef inline void use_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """Make the cold line valid, filled with what the block itself knows."""
    if tcb.bits & B_COLD:
        return
    start_cold(tcb, cold)
    cold.snd_end -= 1 if tcb.bits & B_FIN_SENT else 0
    cold.max_snd_wnd = tcb.snd_wnd
    cold.backoff = tcb.retries
    cold.srtt_us = 1000 * <uint32_t>tcb.rtt
    cold.rttvar_us = 500 * <uint32_t>tcb.rtt


cdef inline void forget_limit(const Tcb* tcb, Cold* cold) noexcept nogil:
    """A new keeper of the connection knows nothing of what was limited before (Linux keeps a half-open entry,
    a connection and a TIME-WAIT in different records)."""
    if tcb.bits & B_COLD:
        cold.oow_at = 0






cdef inline uint32_t send_seq(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """SEG.SEQ of a segment without text: SND.NXT, or (Linux) the edge of a window that shrank below it."""
    cdef uint32_t edge = tcb.snd_una + tcb.snd_wnd
    if knobs.seq_within_window and seq_lt(edge, tcb.snd_nxt) and not (
            tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
        return edge
    return tcb.snd_nxt


cdef inline void start_row(Segment* row, const Tcb* tcb, uint8_t flags, uint32_t seq) noexcept nogil:
    """A row from this block without window and options, ack = RCV.NXT when flags have ACK."""
    memset(row, 0, sizeof(Segment))
    row.src = tcb.laddr
    row.dst = tcb.raddr
    row.sport = tcb.lport
    row.dport = tcb.rport
    row.flags = flags
    row.seq = seq
    if flags & ACK:
        row.ack = tcb.rcv_nxt


cdef inline uint8_t write_ts(Segment* row, const Tcb* tcb, const Timestamps* ts, int64_t now,
                              uint8_t flags) noexcept nogil:
    """The timestamps option, if it was agreed on; what it adds to row.opts."""
    if not tcb.bits & B_TS:
        return 0
    row.tsval = clock_ms(now) + ts.offset
    row.tsecr = ts.recent if flags & ACK else 0      # RFC 7323 3.2
    return OPT_TS


cdef inline void write_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                           int64_t now, uint8_t flags, uint32_t seq) noexcept nogil:
    """A whole row."""
    start_row(row, tcb, flags, seq)
    row.wnd = advertise_window(tcb, cold, knobs)
    row.opts = write_ts(row, tcb, ts, now, flags)
    if tcb.bits & B_COLD:
        cold.delayed = 0


cdef inline void write_syn(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                           int64_t now, uint8_t flags) noexcept nogil:
    """A SYN or SYN-ACK with the options the block stands for (RFC 9293 3.2, RFC 7323 2.2, 3.2)."""
    cdef uint32_t space = full_window(tcb, cold, knobs)
    cdef uint16_t bits = tcb.bits
    cdef uint8_t opts = OPT_MSS
    start_row(row, tcb, flags, tcb.iss)
    if unlikely(bits & B_WINDOW):
        advertise_window(tcb, cold, knobs)                   # its window may go further than a SYN can say
    row.wnd = <uint16_t>(space if space < 65535 else 65535)
    row.mss = knobs.mss
    if bits & B_SACK:
        opts |= OPT_SACK_OK
    if bits & B_WSCALE:
        opts |= OPT_WSCALE
        row.wscale = tcb.wscale >> 4
    row.opts = opts | write_ts(row, tcb, ts, now, flags)


cdef inline Segment* emit(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                         uint8_t flags, uint32_t seq) noexcept nogil:
    """One more row of the action."""
    cdef Segment* row = &act.rows[act.n_rows]
    act.n_rows += 1
    write_row(row, tcb, cold, act.stamp, knobs, now, flags, seq)
    return row


cdef inline void emit_bare_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                              Action* act) noexcept nogil:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    emit(tcb, cold, knobs, now, act, ACK, send_seq(tcb, knobs))


cdef inline void emit_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """An ordinary ACK; FreeBSD's repeats our SYN or FIN while the peer has not acknowledged it."""
    if knobs.ack_repeats_control and tcb.snd_una != tcb.snd_nxt:
        if tcb.state == SYN_RECEIVED:
            emit_syn(tcb, cold, knobs, now, act, SYN | ACK)
            return
        if tcb.bits & B_FIN_SENT:
            emit(tcb, cold, knobs, now, act, FIN | ACK, tcb.snd_nxt - 1)
            return
    emit_bare_ack(tcb, cold, knobs, now, act)


cdef inline void emit_abort_rst(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                                Action* act) noexcept nogil:
    """RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>, by knob with the ACK that lets RFC 5961 peers trust it."""
    emit(tcb, cold, knobs, now, act, RST | (ACK if knobs.abort_rst_has_ack else 0), send_seq(tcb, knobs))
    count(act.counters, Mib.OutRsts)


cdef inline void emit_answering_rst(const Segment* seg, Action* act) noexcept nogil:
    """RFC 9293 3.5.2 group 1: the reset that fits the segment; none in answer to a reset."""
    cdef Segment* row
    if seg.flags & RST:
        return
    row = &act.rows[act.n_rows]
    act.n_rows += 1
    memset(row, 0, sizeof(Segment))
    row.src = seg.dst
    row.dst = seg.src
    row.sport = seg.dport
    row.dport = seg.sport
    if seg.flags & ACK:
        row.flags = RST
        row.seq = seg.ack
    else:
        row.flags = RST | ACK
        row.ack = seg_end(seg)
    count(act.counters, Mib.OutRsts)


cdef inline void emit_syn(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                         uint8_t flags) noexcept nogil:
    """One more row of the action, a SYN or SYN-ACK."""
    write_syn(&act.rows[act.n_rows], tcb, cold, act.stamp, knobs, now, flags)
    act.n_rows += 1
    if tcb.bits & B_COLD:
        cold.delayed = 0
