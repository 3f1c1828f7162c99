# RFC 9293 3.10.7.4, the seventh and the eighth step, and the output that follows them.
#
# Text is lengths: what is in order goes to the application (or its buffer), what is ahead of a gap is kept
# as at most four ranges.
# Not here: the range pool that the ranges live in, and SACK blocks, which are not sent.
# Invariant: whatever was taken or is owed an answer leaves with an ACK or a delayed-ACK timer; but FreeBSD
# lets the text of a crossing SYN wait for the next row (tcp_do_segment: tcp_reass without TF_ACKNOW).
from libc.stdint cimport uint8_t

from tcpcore.base.seq cimport seq_le, seq_lt, seq_min
from tcpcore.records.action cimport E_ACCEPT, E_EOF, E_OPENED, E_READABLE, OP_ARM, OP_CANCEL
from tcpcore.records.counters cimport Mib, count, count_n
from tcpcore.records.knobs cimport ACCEPT_RFC, ACCEPT_TRIM, SYN_TEXT_CLIENT
from tcpcore.records.out_of_order cimport (
    ranges_add, ranges_empty, ranges_take,
)
from tcpcore.records.segment cimport FIN, SYN, seg_len
from tcpcore.records.tcb cimport (
    B_AUTO_CLOSE, B_COLD, B_ORPHAN, B_WINDOW, CAN_RECEIVE, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1,
    FIN_WAIT_2, LAST_ACK, TIME_WAIT, T_DELACK, in_set,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.output cimport emit_ack, send_queued, unsent
from tcpcore.tcp.receive_window cimport advertised_window, keep_window, rcv_wnd
from tcpcore.tcp.time_wait cimport enter_time_wait


cdef void text_and_output(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Seventh and eighth step, then output: what is owed rides on data if there is any."""
    cdef bint owed = act.ack_owed
    if act.effects & (E_ACCEPT | E_OPENED) and not ranges_empty(act.ranges):
        owed |= (take_syn_text(tcb, cold, knobs, now, act)
                 and (knobs.syn_text != SYN_TEXT_CLIENT or seg_len(seg) != 0))
    owed |= seventh_text(tcb, cold, seg, knobs, now, act)
    if unsent(tcb, cold):
        if send_queued(tcb, cold, knobs, now, act, ANSWER_ROWS - act.n_rows):
            owed = False
            cancel_delayed_ack(act)                   # the rows acknowledge
    if owed and act.n_rows < ANSWER_ROWS:
        emit_ack(tcb, cold, knobs, now, act)
        cancel_delayed_ack(act)


cdef inline void cancel_delayed_ack(Action* act) noexcept nogil:
    """An ACK goes out now: the delayed-ACK timer that this segment asked for is not needed."""
    if act.side_op == OP_ARM and act.side_kind == T_DELACK:
        act.side_op = OP_CANCEL


# --- seventh, process the segment text ---------------------------------------------------

cdef inline bint outside(uint32_t wnd, uint32_t rcv_nxt, uint32_t left, uint32_t right,
                         const Knobs* knobs) noexcept nogil:
    """True if text or FIN begins beyond the window. A FIN without text needs none (Linux since 6.10:
    tcp_data_queue), as it fills no buffer."""
    if wnd == 0:
        return left != right or knobs.bare_fin_needs_window != 0
    return seq_le(rcv_nxt + wnd, left)


cdef bint seventh_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, seventh: take the text (and see the FIN) that is in order, keep what is ahead.
    True: an ACK is owed."""
    cdef uint32_t wnd = rcv_wnd(tcb, cold, knobs)
    cdef uint32_t left = seg.seq + (1 if seg.flags & SYN else 0)
    cdef uint32_t right = left + seg.payload_len
    cdef bint fin = seg.flags & FIN
    if seg.payload_len == 0 and not fin:
        return seg.flags & SYN                        # simultaneous open: the SYN we already have
    if seq_le(right + fin, tcb.rcv_nxt):
        return True                                   # old: say where we are
    if not in_set(tcb.state, CAN_RECEIVE):
        # after the peer's FIN: should not occur, is ignored; but Linux (tcp_data_queue) takes another FIN
        # right behind it
        if knobs.text_over_fin_resets and fin and right == tcb.rcv_nxt and seq_lt(seg.seq, right):
            tcb.rcv_nxt += 1
            return True
        return False
    if knobs.acceptance != ACCEPT_TRIM and outside(wnd, tcb.rcv_nxt, left, right, knobs):
        count_n(act.counters, Mib.TCPZeroWindowDrop, wnd == 0)
        return True
    if knobs.acceptance == ACCEPT_RFC and seq_lt(tcb.rcv_nxt + wnd, right + fin):
        right = seq_min(right, tcb.rcv_nxt + wnd)     # text beyond the window is trimmed, the FIN with it
        fin = False
    if seq_lt(tcb.rcv_nxt, left):
        keep_out_of_order(left, right, fin, act)
        return True
    return take_in_order(tcb, cold, knobs, now, act, right, fin)


cdef bint take_in_order(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act, uint32_t right,
                        bint fin) noexcept nogil:
    """Text from RCV.NXT up to `right`, and what was kept behind it. True: an ACK is owed, at once where a gap
    is filled (RFC 5681 4.2) or more than a segment came (Linux: __tcp_ack_snd_check, FreeBSD: DELAY_ACK)."""
    cdef uint32_t was = tcb.rcv_nxt
    cdef bint gap = not ranges_empty(act.ranges)
    cdef uint32_t nbytes
    if gap and not fin:                               # what lies behind this FIN was never the peer's to send
        fin = take_kept(tcb, cold, knobs, act, right)
    else:
        nbytes = right - tcb.rcv_nxt
        tcb.rcv_nxt = right
        count_n(act.counters, Mib.BytesReceived, nbytes)
        deliver_text(tcb, cold, knobs, act, nbytes, fin)
    if fin:
        return eighth_fin(tcb, cold, knobs, now, act)
    return gap or right - was > knobs.mss or ack_due_now(tcb, cold, knobs, act)


cdef bint take_kept(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act, uint32_t reached) noexcept nogil:
    """Text up to `reached` and what was kept behind it, up to a FIN; True with one, where RCV.NXT is then."""
    cdef uint32_t was = tcb.rcv_nxt, nbytes
    cdef uint8_t fins
    reached = ranges_take(act.ranges, reached, &fins)
    nbytes = reached - was - fins
    tcb.rcv_nxt = reached - (1 if fins else 0)
    count_n(act.counters, Mib.BytesReceived, nbytes)
    deliver_text(tcb, cold, knobs, act, nbytes, fins != 0)
    return fins != 0


cdef void keep_out_of_order(uint32_t left, uint32_t right, bint fin, Action* act) noexcept nogil:
    """Keep text that is ahead of a gap: lengths only, in at most four ranges, the FIN in its own."""
    if ranges_add(act.ranges, left, right + fin, fin):
        count(act.counters, Mib.TCPOFOQueue)
    else:
        count(act.counters, Mib.TCPOFODrop)


cdef void deliver_text(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act, uint32_t nbytes,
                       bint fin) noexcept nogil:
    """Text in order: to the application at once, or into the buffer, whose window it narrows. On Linux a
    FIN in the buffer keeps the window's right edge where it is. Text for a close() that lingers
    (linger_takes_text) is in nobody's buffer."""
    if nbytes and tcb.bits & B_ORPHAN:
        return
    if nbytes and (knobs.auto_read or not tcb.bits & B_COLD or cold.unread == 0):
        act.effects |= E_READABLE                     # with auto_read each text is unread for a moment
    if knobs.auto_read or not (nbytes or (fin and knobs.fin_fills_buffer)):
        return
    use_cold(tcb, cold)
    if not tcb.bits & B_WINDOW:
        keep_window(tcb, cold, knobs, advertised_window(tcb, cold, knobs) - nbytes)
        if knobs.window_by_buffer:
            cold.rcv_buf = knobs.rcv_buf_judged
    cold.unread += nbytes


cdef bint ack_due_now(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """Delayed ACK (RFC 9293 3.8.6.3): True at once without delack_ms and on every second segment, else the
    timer is asked for."""
    if knobs.delack_ms == 0:
        return True
    use_cold(tcb, cold)
    cold.delayed += 1
    if cold.delayed >= 2:
        return True
    act.side_op = OP_ARM
    act.side_kind = T_DELACK
    act.side_timeout = knobs.delack_ms
    return False


# --- eighth, check the FIN bit -----------------------------------------------------------

cdef bint eighth_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, eighth: the peer sends no more. True: an ACK is owed, which the caller sends (or,
    with auto_close, our FIN)."""
    tcb.rcv_nxt += 1
    act.ranges.n = 0
    act.effects |= E_EOF
    if tcb.state == ESTABLISHED:
        tcb.state = LAST_ACK if tcb.bits & B_AUTO_CLOSE else CLOSE_WAIT
    elif tcb.state == FIN_WAIT_1:
        tcb.state = CLOSING
        if knobs.fin_acked_at_once and unsent(tcb, cold):
            # Linux (tcp_fin) does not wait for what may go out with it
            emit_ack(tcb, cold, knobs, now, act)
            return False
    elif tcb.state == FIN_WAIT_2:
        tcb.state = TIME_WAIT                         # as its ACK says, should there be no room for it, too
        emit_ack(tcb, cold, knobs, now, act)
        tcb.state = FIN_WAIT_2
        enter_time_wait(tcb, cold, knobs, act)
        return False
    return True


# --- text and FIN that came with a SYN ---------------------------------------------------

cdef void keep_syn_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, Action* act,
                        bint fin) noexcept nogil:
    """What came with a SYN waits for ESTABLISHED, as far as the window goes; it is not acknowledged
    before."""
    cdef uint32_t length = seg.payload_len
    cdef uint32_t wnd = rcv_wnd(tcb, cold, knobs)
    if length > wnd:
        length = wnd
        fin = False
    if length or fin:
        keep_out_of_order(tcb.rcv_nxt, tcb.rcv_nxt + length, fin, act)


cdef bint take_syn_text(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """ESTABLISHED at last: what came with the SYN is in order. True: an ACK is owed."""
    cdef uint32_t was = tcb.rcv_nxt
    if take_kept(tcb, cold, knobs, act, was):
        return eighth_fin(tcb, cold, knobs, now, act)
    return tcb.rcv_nxt != was
