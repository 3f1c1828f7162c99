# Output: which segments go out, as rows (struct Segment) in the buffer that the Action points to.
#
# Inline: writing one row. In output.pyx: what may be sent now, resending, probing. A row is written from
# the TCB as it stands; nothing here changes the state. Whatever writes an ACK also remembers the window
# that it advertised, and that no delayed ACK is owed any more.
# Source: RFC 9293 3.8, 3.10.2, 3.5.2 for resets.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport unlikely
from tcpcore.base.seq cimport seq_lt
from tcpcore.records.action cimport OP_ARM, OP_CANCEL, Action
from tcpcore.records.counters cimport Mib, count
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport (
    ACK, CWR, ECE, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, RST, SYN, WSCALE_MAX, Segment,
    seg_end,
)
from tcpcore.records.tcb cimport (
    B_COLD, B_ECN, B_FIN_SENT, B_PASSIVE, B_SACK, B_TS, B_WINDOW, B_WSCALE, SYN_RECEIVED, Cold, Tcb,
    Timestamps,
)
from tcpcore.tcp.receive_window cimport (
    advertise_window, advertised_window, own_header_window, plain_window, rounds_up,
)
from tcpcore.tcp.rto cimport clock_ms

cdef enum:
    MSS_MIN = 48              # with options: least row for a peer with a small window (Linux)


cdef uint32_t send_queued(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                          uint32_t limit) noexcept nogil
cdef uint32_t rows_due(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil
cdef uint32_t flight_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil
cdef bint send_loss_probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void resend_first(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void send_persist_probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil
cdef uint32_t unsent(const Tcb* tcb, const Cold* cold) noexcept nogil
cdef void write_other_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                          int64_t now, uint8_t flags, uint32_t seq) noexcept nogil


cdef inline void arm_main_timer(Action* act, uint8_t kind, uint32_t timeout) noexcept nogil:
    """Ask for the main timer, `timeout` ticks from now."""
    act.main_op = OP_ARM
    act.main_kind = kind
    act.main_timeout = timeout


cdef inline void cancel_main_timer(Action* act) noexcept nogil:
    """Ask for the main timer to be stopped."""
    act.main_op = OP_CANCEL


cdef inline uint32_t send_seq(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """SEG.SEQ of a segment without text: SND.NXT, or on Linux (tcp_acceptable_seq) the edge of a window that
    shrank below it, so that the peer finds the segment acceptable. With scaling it may have shrunk by less
    than our shift can tell."""
    cdef uint32_t edge = tcb.snd_una + tcb.snd_wnd
    if not knobs.seq_within_window or not seq_lt(edge, tcb.snd_nxt) or (
            tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
        return tcb.snd_nxt
    if tcb.bits & B_WSCALE and tcb.snd_nxt - edge < <uint32_t>1 << (tcb.wscale >> 4):
        return tcb.snd_nxt
    return edge


cdef inline void start_row(Segment* row, const Tcb* tcb, uint8_t flags, uint32_t seq,
                           uint16_t wnd) noexcept nogil:
    """Write a row from this TCB, without text and options; SEG.ACK is RCV.NXT if flags have ACK. In the order
    of the struct, so that the compiler stores neighbours together."""
    row.src = tcb.laddr
    row.dst = tcb.raddr
    row.sport = tcb.lport
    row.dport = tcb.rport
    row.seq = seq
    row.ack = tcb.rcv_nxt if flags & ACK else 0
    row.wnd = wnd
    row.payload_len = 0
    row.flags = flags
    row.opts = row.wscale = row._pad0 = 0
    row.mss = row._pad1 = 0
    row.tsval = row.tsecr = 0


cdef inline uint8_t write_ts(Segment* row, const Tcb* tcb, const Timestamps* ts, int64_t now,
                             uint8_t flags) noexcept nogil:
    """Write the timestamps option, if it was agreed on; returns what it adds to row.opts."""
    if not tcb.bits & B_TS:
        return 0
    row.tsval = clock_ms(now) + ts.offset
    row.tsecr = ts.recent if flags & (ACK | SYN) else 0      # RFC 7323 3.2
    return OPT_TS


cdef inline void write_no_syn(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, int64_t now,
                              uint8_t flags, uint32_t seq, uint16_t wnd) noexcept nogil:
    """Write a row without text and SYN that says this window."""
    start_row(row, tcb, flags, seq, wnd)
    row.opts = write_ts(row, tcb, ts, now, flags)
    if tcb.bits & B_COLD:
        cold.delayed = 0


cdef inline void write_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                           int64_t now, uint8_t flags, uint32_t seq) noexcept nogil:
    """Write a row without text: numbers, window and timestamps."""
    write_no_syn(row, tcb, cold, ts, now, flags, seq, advertise_window(tcb, cold, knobs))


cdef inline void write_plain_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts,
                                 const Knobs* knobs, int64_t now, uint8_t flags, uint32_t seq) noexcept nogil:
    """write_row after the handshake and without B_WINDOW: then the window is mostly one of two constants."""
    if unlikely(tcb.wscale >> 4 != knobs.plain_wscale):
        write_other_row(row, tcb, cold, ts, knobs, now, flags, seq)
    else:
        write_no_syn(row, tcb, cold, ts, now, flags, seq, own_header_window(tcb, knobs))


cdef inline uint32_t fin_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """flight_timeout where our FIN alone is in flight and was just sent for the first time."""
    if not tcb.bits & B_COLD and tcb.retries == 0 and tcb.rtt and tcb.rtt <= knobs.plain_rtt_max:
        return tcb.rtt + knobs.plain_rto_ms
    return flight_timeout(tcb, cold, knobs)


cdef inline void write_syn(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                           int64_t now, uint8_t flags) noexcept nogil:
    """Write a SYN or SYN-ACK with the options that tcb.bits offer (RFC 9293 3.2, RFC 7323 2.2, 3.2)."""
    cdef uint32_t space = plain_window(tcb, cold, knobs)
    cdef uint16_t bits = tcb.bits
    cdef uint8_t opts = OPT_MSS
    start_row(row, tcb, flags, tcb.iss, <uint16_t>(space if space < 65535 else 65535))
    if unlikely(bits & (B_WINDOW | B_ECN)):
        if bits & B_WINDOW and flags & ACK and not bits & B_PASSIVE and rounds_up(knobs):
            space = advertised_window(tcb, cold, knobs)   # an ACK may have told more meanwhile (Linux)
            row.wnd = <uint16_t>(space if space < 65535 else 65535)
        elif bits & B_WINDOW:
            advertise_window(tcb, cold, knobs)        # its window may go further than a SYN can say
        if bits & B_ECN:
            row.flags |= ECE if flags & ACK else ECE | CWR
    row.mss = knobs.mss
    if bits & B_SACK:
        opts |= OPT_SACK_OK
    if bits & B_WSCALE:
        opts |= OPT_WSCALE
        row.wscale = tcb.wscale >> 4
    row.opts = opts | write_ts(row, tcb, ts, now, flags)


cdef inline Segment* emit(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act, uint8_t flags,
                          uint32_t seq) noexcept nogil:
    """Add a row to the action; the caller may add text to it."""
    cdef Segment* row = &act.rows[act.n_rows]
    act.n_rows += 1
    write_row(row, tcb, cold, act.stamp, knobs, now, flags, seq)
    return row


cdef inline void emit_bare_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                               Action* act) noexcept nogil:
    """Add <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    emit(tcb, cold, knobs, now, act, ACK, send_seq(tcb, knobs))


cdef inline void emit_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Add an ordinary ACK; FreeBSD's (tcp_output with TF_ACKNOW) repeats our SYN or FIN while it is
    unacknowledged."""
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
    """Add the RST of an ABORT (RFC 9293 3.10.5): <SEQ=SND.NXT><CTL=RST>. Both stacks set ACK on it, too."""
    cdef Segment* row = emit(tcb, cold, knobs, now, act, RST | (ACK if knobs.abort_rst_has_ack else 0),
                             send_seq(tcb, knobs))
    if not knobs.rst_has_window:
        row.wnd = 0
    count(act.counters, Mib.OutRsts)


cdef inline void emit_answering_rst(const Segment* seg, Action* act) noexcept nogil:
    """Add the RST that answers this segment (RFC 9293 3.5.2, group 1); none answers a RST."""
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


cdef inline uint32_t shift_for(uint32_t rcv_buf, const Knobs* knobs) noexcept nogil:
    """The window shift that a connection's own receive buffer needs (RFC 7323 2.3)."""
    cdef uint32_t shift = 0 if knobs.own_buffer_wscale else knobs.rcv_wscale_min
    while rcv_buf >> shift > 65535 and shift < WSCALE_MAX:
        shift += 1
    return shift


cdef inline void offer_again(Segment* row, const Tcb* tcb, const Timestamps* ts, const Knobs* knobs,
                             int64_t now) noexcept nogil:
    """Have the SYN-ACK of a simultaneous open offer what our SYN did, whatever the peer's had (Linux:
    tcp_send_synack sends the SYN once more, with ACK)."""
    if knobs.tcp_sack:
        row.opts |= OPT_SACK_OK
    if knobs.tcp_window_scaling and not row.opts & OPT_WSCALE:
        row.opts |= OPT_WSCALE
        row.wscale = tcb.wscale >> 4
    if knobs.tcp_timestamps and not row.opts & OPT_TS:
        row.opts |= OPT_TS
        row.tsval = clock_ms(now) + ts.offset
        row.tsecr = ts.recent                         # 0 unless a TIME-WAIT was taken over


cdef inline void emit_syn(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                          uint8_t flags) noexcept nogil:
    """Add a SYN or SYN-ACK to the action."""
    write_syn(&act.rows[act.n_rows], tcb, cold, act.stamp, knobs, now, flags)
    if knobs.crossed_synack_offers and flags & ACK and not tcb.bits & B_PASSIVE:
        offer_again(&act.rows[act.n_rows], tcb, act.stamp, knobs, now)
    if tcb.state == SYN_RECEIVED and tcb.bits & B_FIN_SENT:
        act.rows[act.n_rows].flags |= FIN             # shutdown_waits 2
    act.n_rows += 1
    if tcb.bits & B_COLD:
        cold.delayed = 0
