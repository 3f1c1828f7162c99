# Header prediction: the fast path for the segments that a connection which only opens and closes gets.
#
#   state          arrives    becomes                  row       timer
#   SYN-SENT       SYN,ACK    PREDICT_OPENED           ACK
#   SYN-RECEIVED   ACK        PREDICT_ACCEPTED
#   ESTABLISHED    FIN,ACK    PREDICT_PEER_CLOSED      ACK
#                             PREDICT_BOTH_CLOSED      FIN,ACK   resend        (auto_close)
#   FIN-WAIT-1     ACK        PREDICT_FIN_ACKED                  FIN-WAIT-2, an orphan's
#   FIN-WAIT-2     FIN,ACK    PREDICT_TIME_WAIT        ACK       TIME-WAIT     (an orphan's)
#   LAST-ACK       ACK        PREDICT_CLOSED
#
# Invariant: same TCB, same row and same counters as segment_arrives and close_call would give, in fewer
# steps; tests/properties/test_prediction.py compares them, TCPCORE_PREDICTION=0 builds without it. Whatever
# could make the state machine do anything else gives PREDICT_NOT: another flag, text, a hole, something
# queued, timed, delayed or being resent, a window of its own, a second timer. The idea is Van Jacobson's
# (his mail to tcp-ip of 1990; BSD), who had it for data.
from libc.stdint cimport int64_t, uint8_t, uint32_t

from tcpcore.base.seq cimport seq_lt
from tcpcore.records.counters cimport Counters, Mib, count
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport ACK, FIN, OPT_TS, SYN, Segment
from tcpcore.records.tcb cimport (
    B_AUTO_CLOSE, B_COLD, B_FIN_SENT, B_HELD, B_ORPHAN, B_PASSIVE, B_QUEUED, B_SYN_UNACKED, B_TS,
    CLOSE_WAIT, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, HAS_LIVENESS, LAST_ACK, SYN_RECEIVED, SYN_SENT,
    TIME_WAIT, T_FIN_WAIT_2, T_NONE, T_REXMT, Cold, Tcb, Timestamps,
)
from tcpcore.tcp.cold cimport forget_limit
from tcpcore.tcp.options cimport establish, moves_window, read_options, take_window
from tcpcore.tcp.output cimport fin_timeout, write_plain_row
from tcpcore.tcp.rto cimport fin_wait_2_timeout, keeps_full_socket
from tcpcore.tcp.time_wait cimport count_time_wait, is_time_wait_like
from tcpcore.tcp.timestamps cimport (
    echoed_sample, echoes_syn, echoes_synack, set_ts_recent, store_sample, ts_before_recent,
)

cdef enum Predicted:
    PREDICT_NOT = 0           # nothing was touched
    PREDICT_OPENED = 1
    PREDICT_ACCEPTED = 2
    PREDICT_PEER_CLOSED = 3
    PREDICT_FIN_ACKED = 4
    PREDICT_TIME_WAIT = 5
    PREDICT_CLOSED = 6        # the connection is over: the batch loops destroy the TCB
    PREDICT_BOTH_CLOSED = 7

cdef enum:
    BUSY = 0xD800             # B_RECOVER | B_TIMING | B_WINDOW | B_PROBED


cdef inline bint nothing_pending(const Tcb* tcb, const Cold* cold, uint8_t timer) noexcept nogil:
    """True if this timer runs and no other, nothing came out of order and nothing is queued."""
    if tcb.timer != timer or tcb.bits & BUSY:
        return False
    if not tcb.bits & B_COLD:
        return True
    return (cold.later_timer | cold.error | cold.ranges | cold.highest & HAS_LIVENESS == 0   # T_NONE is 0
            and (tcb.bits & B_FIN_SENT or cold.snd_end == tcb.snd_nxt))


cdef inline bint ts_acceptable(const Tcb* tcb, const Timestamps* ts, const Segment* seg) noexcept nogil:
    """True if the segment has the timestamp that was agreed on, and not an old one."""
    return not tcb.bits & B_TS or (seg.opts & OPT_TS and not ts_before_recent(tcb, ts, seg))


cdef inline uint32_t take_ack_of_fin(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                     const Knobs* knobs, int64_t now) noexcept nogil:
    """Fifth step: SND.UNA moves over our FIN, and nothing is in flight any more. Returns a sample that no
    cold line keeps, as store_sample does."""
    if tcb.bits & B_TS:
        set_ts_recent(ts, seg, now)
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    tcb.snd_una = seg.ack
    tcb.retries = 0
    if tcb.bits & B_TS and seg.tsecr:
        return store_sample(tcb, cold, seg, knobs, echoed_sample(ts, seg, now))
    return 0


cdef inline Predicted predict_synack(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                     const Knobs* knobs, int64_t now, Segment* row) noexcept nogil:
    """SYN-SENT: the SYN-ACK that completes an active open."""
    if (seg.flags != SYN | ACK or seg.ack != tcb.snd_nxt or seg.payload_len
            or not nothing_pending(tcb, cold, T_REXMT)):
        return PREDICT_NOT
    if tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr and not echoes_syn(ts, seg, now):
        return PREDICT_NOT
    tcb.rcv_nxt = seg.seq + 1
    read_options(tcb, ts, seg, knobs, now)
    take_window(tcb, cold, seg, seg.wnd)
    tcb.snd_una = seg.ack
    establish(tcb, cold, ts, seg, knobs, now)
    write_plain_row(row, tcb, cold, ts, knobs, now, ACK, tcb.snd_nxt)
    return PREDICT_OPENED


cdef inline Predicted predict_handshake_ack(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                            const Knobs* knobs, int64_t now,
                                            Counters* counters) noexcept nogil:
    """SYN-RECEIVED: the ACK that completes a passive open."""
    if seg.flags != ACK or not tcb.bits & B_PASSIVE or not nothing_pending(tcb, cold, T_REXMT):
        return PREDICT_NOT
    if tcb.bits & B_TS and seg.tsecr and not echoes_synack(tcb, cold, ts, seg):
        return PREDICT_NOT
    if tcb.bits & B_TS:
        set_ts_recent(ts, seg, now)
    tcb.snd_una = seg.ack
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    establish(tcb, cold, ts, seg, knobs, now)
    forget_limit(tcb, cold)
    count(counters, Mib.PassiveOpens)
    return PREDICT_ACCEPTED


cdef inline void write_fin(Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs, int64_t now,
                           Segment* row, uint32_t* timeout) noexcept nogil:
    """Write our FIN into `row`, and the ticks that its timer runs into `timeout`."""
    tcb.bits |= B_FIN_SENT
    write_plain_row(row, tcb, cold, ts, knobs, now, FIN | ACK, tcb.snd_nxt)
    tcb.snd_nxt += 1
    timeout[0] = fin_timeout(tcb, cold, knobs)


cdef inline Predicted predict_peer_fin(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                       const Knobs* knobs, int64_t now, Segment* row,
                                       uint32_t* timeout) noexcept nogil:
    """ESTABLISHED: the peer's FIN, which with auto_close is answered by ours."""
    cdef uint32_t wnd = <uint32_t>seg.wnd << (tcb.wscale & 15)
    cdef bint moves = moves_window(tcb, seg, wnd)
    if seg.flags != FIN | ACK or not nothing_pending(tcb, cold, T_NONE):
        return PREDICT_NOT
    if knobs.fin_fills_buffer and not knobs.auto_read:
        return PREDICT_NOT                            # the FIN waits in the buffer, at the window's edge
    if tcb.bits & B_AUTO_CLOSE and (wnd if moves else tcb.snd_wnd) == 0:
        return PREDICT_NOT                            # a closed window for the answer
    if tcb.bits & B_TS:
        set_ts_recent(ts, seg, now)
    if moves:
        take_window(tcb, cold, seg, wnd)
    tcb.rcv_nxt += 1
    if tcb.bits & B_AUTO_CLOSE:
        tcb.state = LAST_ACK
        write_fin(tcb, cold, ts, knobs, now, row, timeout)
        return PREDICT_BOTH_CLOSED
    tcb.state = CLOSE_WAIT
    write_plain_row(row, tcb, cold, ts, knobs, now, ACK, tcb.snd_nxt)
    return PREDICT_PEER_CLOSED


cdef inline bint acks_our_fin(const Tcb* tcb, const Cold* cold, const Segment* seg) noexcept nogil:
    """True for the bare ACK of our FIN, when nothing but the FIN was in flight."""
    return (seg.flags == ACK and tcb.bits & B_FIN_SENT and tcb.snd_una + 1 == tcb.snd_nxt
            and not tcb.bits & B_SYN_UNACKED and nothing_pending(tcb, cold, T_REXMT))


cdef inline Predicted predict_ack_of_fin(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                         const Knobs* knobs, int64_t now, Counters* counters,
                                         uint32_t* timeout) noexcept nogil:
    """FIN-WAIT-1: the ACK of our FIN."""
    cdef uint32_t sample
    if not acks_our_fin(tcb, cold, seg) or (tcb.bits & B_ORPHAN and keeps_full_socket(knobs)):
        return PREDICT_NOT
    sample = take_ack_of_fin(tcb, cold, ts, seg, knobs, now)
    tcb.state = FIN_WAIT_2
    timeout[0] = 0
    if tcb.bits & B_ORPHAN:
        timeout[0] = fin_wait_2_timeout(tcb, cold, knobs, sample)
        if is_time_wait_like(FIN_WAIT_2, tcb.bits, knobs):
            forget_limit(tcb, cold)
            count_time_wait(counters, timeout[0])
    return PREDICT_FIN_ACKED


cdef inline Predicted predict_time_wait(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                        const Knobs* knobs, int64_t now, Counters* counters, Segment* row,
                                        uint32_t* timeout) noexcept nogil:
    """FIN-WAIT-2 of an orphan: the peer's FIN."""
    if (seg.flags != FIN | ACK or not is_time_wait_like(FIN_WAIT_2, tcb.bits,
                                                        knobs) or knobs.time_wait_ms == 0
            or knobs.nolocaltimewait
            or not nothing_pending(tcb, cold, T_FIN_WAIT_2)):
        return PREDICT_NOT
    tcb.rcv_nxt += 1
    if tcb.bits & B_TS:
        set_ts_recent(ts, seg, now)
    write_plain_row(row, tcb, cold, ts, knobs, now, ACK, tcb.snd_nxt)
    count(counters, Mib.ConnectionsClosed)
    tcb.state = TIME_WAIT
    timeout[0] = knobs.time_wait_ms
    return PREDICT_TIME_WAIT


cdef inline Predicted predict_segment(Tcb* tcb, Cold* cold, Timestamps* ts, const Segment* seg,
                                      const Knobs* knobs, int64_t now, Counters* counters, Segment* row,
                                      uint32_t* timeout) noexcept nogil:
    """Let the segment do to the TCB what it must, if it is the one to be expected in this state; `row` is
    written where the table at the head of the file has one, `timeout` (ticks) where it has a timer."""
    cdef uint8_t state = tcb.state
    if state == SYN_SENT:
        return predict_synack(tcb, cold, ts, seg, knobs, now, row)
    if (seg.seq != tcb.rcv_nxt or seg.ack != tcb.snd_nxt or seg.payload_len
            or not ts_acceptable(tcb, ts, seg)):
        return PREDICT_NOT
    if state == SYN_RECEIVED:
        return predict_handshake_ack(tcb, cold, ts, seg, knobs, now, counters)
    elif state == ESTABLISHED:
        return predict_peer_fin(tcb, cold, ts, seg, knobs, now, row, timeout)
    elif state == FIN_WAIT_1:
        return predict_ack_of_fin(tcb, cold, ts, seg, knobs, now, counters, timeout)
    elif state == FIN_WAIT_2:
        return predict_time_wait(tcb, cold, ts, seg, knobs, now, counters, row, timeout)
    elif state == LAST_ACK and not tcb.bits & (B_HELD | B_QUEUED) and acks_our_fin(tcb, cold, seg):
        take_ack_of_fin(tcb, cold, ts, seg, knobs, now)
        count(counters, Mib.ConnectionsClosed)
        return PREDICT_CLOSED
    return PREDICT_NOT


cdef inline bint predict_close(Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs, int64_t now,
                               Segment* row, uint32_t* timeout) noexcept nogil:
    """close() where nothing is queued and all was read: the FIN goes in `row`, its timer runs `timeout`
    ticks. False: it is not so, and nothing was touched."""
    if not (tcb.state == ESTABLISHED or tcb.state == CLOSE_WAIT) or not nothing_pending(tcb, cold, T_NONE):
        return False
    if tcb.bits & B_ORPHAN or not seq_lt(tcb.snd_nxt, tcb.snd_una + tcb.snd_wnd):
        return False
    if tcb.bits & B_COLD and cold.unread:
        return False
    tcb.bits = (tcb.bits & ~B_HELD) | B_ORPHAN
    tcb.state = FIN_WAIT_1 if tcb.state == ESTABLISHED else LAST_ACK
    write_fin(tcb, cold, ts, knobs, now, row, timeout)
    return True
