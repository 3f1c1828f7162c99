# SEGMENT ARRIVES (RFC 9293 3.10.7): for a batch, and inline for one, for the loops that go from row to row.
#
# The fast path (tcp/predict) is asked first and inline, too: a call for each segment costs 55 instructions
# of 400 [callgrind]. The rest, arrives_connected and arrives_unconnected, is in receive.pyx.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.base.prefetch cimport unlikely
from tcpcore.records.counters cimport Mib, NoCause, count
from tcpcore.records.event cimport EV_CLOSED, EV_ESTABLISHED
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport (
    B_EPHEMERAL, B_MATURE, B_ORPHAN, B_PASSIVE, CLOSED, CLOSE_WAIT, ESTABLISHED, FIN_WAIT_1, LAST_ACK,
    SYN_RECEIVED, SYN_SENT, TIME_WAIT, T_FIN_WAIT_2, T_REXMT, T_TIME_WAIT, Tcb,
)
from tcpcore.tcp.predict cimport (
    PREDICT_ACCEPTED, PREDICT_BOTH_CLOSED, PREDICT_FIN_ACKED, PREDICT_NOT, PREDICT_OPENED,
    PREDICT_PEER_CLOSED, PREDICT_TIME_WAIT, Predicted, predict_segment,
)
from tcpcore.tcp.rto cimport tick_up
from tcpcore.components.bound_ports cimport BOUND_COUNTED
from tcpcore.components.events cimport events_add
from tcpcore.components.flow_table cimport flow_differs, flow_find_segment, flow_remove_known
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Listener, accept_queue_full, half_open_left, listener_at,
)
from tcpcore.components.ports cimport ports_released
from tcpcore.components.tcb_pool cimport pool_ahead, pool_give
from tcpcore.loops.apply cimport (
    PriorState, count_change, enqueue, release_bound, save_state_hashed, tell_predicted,
)
from tcpcore.loops.pipeline cimport tcb_or_any
from tcpcore.loops.reuse cimport note_time_wait
from tcpcore.loops.state cimport EngineState, handle_at
from tcpcore.loops.timers cimport arm, stop_timer

cdef Py_ssize_t receive_batch(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                              Segment* rows) noexcept nogil
cdef uint32_t arrives_unconnected(EngineState* eng, const Segment* seg, uint32_t hash, int64_t now,
                                  Segment* rows) noexcept nogil
cdef uint32_t arrives_connected(EngineState* eng, uint32_t slot, const Segment* seg, uint32_t hash,
                                int64_t now, Segment* rows) noexcept nogil


cdef inline uint32_t find_connection(const EngineState* eng, const Segment* seg, uint32_t hash,
                                     uint32_t candidate) noexcept nogil:
    """The TCB (slot + 1) with this segment's 4-tuple, 0 none.

    The candidate that was prefetched is right if it is not CLOSED and still has the 4-tuple: no two have it.
    """
    cdef const Tcb* tcb = tcb_or_any(eng, candidate)
    if candidate and flow_differs(tcb, seg) == 0 and tcb.state != CLOSED:
        return candidate
    return flow_find_segment(&eng.flows, hash, seg)


cdef inline bint fast_path_applies(EngineState* eng, const Tcb* tcb) noexcept nogil:
    """Whether nothing outside the TCB could make the state machine decide otherwise than the fast path."""
    cdef const Listener* listener
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        return (listener.state ^ LISTENER_OPEN | listener.defer) == 0 and not accept_queue_full(listener)
    if tcb.state == FIN_WAIT_1:
        return eng.counts[TIME_WAIT] + eng.time_wait_like < eng.knobs.tcp_max_tw_buckets
    return True


cdef inline void move_count(EngineState* eng, int before, int after) noexcept nogil:
    """count_change of a TCB that has an application before and after."""
    eng.counts[before] -= 1
    eng.counts[after] += 1


cdef inline void accept_predicted(EngineState* eng, uint32_t slot, const PriorState* prior,
                                  int64_t now) noexcept nogil:
    """join_accept_queue, where the listener is OPEN."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener = listener_at(&eng.listeners, tcb.listener)
    eng.half_open -= 1
    half_open_left(listener, prior.bits & B_MATURE)
    count(&eng.counters, Mib.SynQueueEstablished)
    if listener.auto_accept:
        events_add(&eng.events, handle_at(eng, slot), now, tcb.listener, EV_ESTABLISHED, 0, ESTABLISHED)
    else:
        enqueue(eng, slot, now)


cdef inline void end_predicted(EngineState* eng, uint32_t slot, const PriorState* prior,
                               int64_t now) noexcept nogil:
    """destroy() after LAST-ACK, of a TCB that nobody holds, with one timer and without ranges."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    flow_remove_known(&eng.flows, prior.hash, slot + 1)
    if unlikely(tcb.bits & B_EPHEMERAL):
        ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
    if unlikely(eng.bound.use == BOUND_COUNTED):
        release_bound(eng, tcb, LAST_ACK)
    stop_timer(eng, slot)
    eng.counts[LAST_ACK] -= 1
    eng.orphans -= prior.bits & B_ORPHAN != 0
    events_add(&eng.events, handle_at(eng, slot), now, tcb.listener, EV_CLOSED, NoCause, CLOSED)
    pool_give(&eng.pool, slot)


cdef inline bint try_fast_path(EngineState* eng, uint32_t slot, const Segment* seg, uint32_t hash,
                               int64_t now, Segment* rows, uint32_t* n_rows) noexcept nogil:
    """Whether the fast path knew this segment; then all that apply_action does has been done for it."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef PriorState prior
    cdef Predicted outcome
    cdef uint32_t timeout
    if not fast_path_applies(eng, tcb):
        return False
    save_state_hashed(&prior, tcb, hash)
    outcome = predict_segment(tcb, &eng.pool.colds[slot], &eng.pool.stamps[slot], seg, &eng.knobs, now,
                              &eng.counters, rows, &timeout)
    n_rows[0] = 0
    if outcome == PREDICT_NOT:
        return False
    eng.predicted += 1
    if unlikely(eng.events.mask):
        tell_predicted(eng, slot, outcome, now)
    if outcome == PREDICT_ACCEPTED:
        accept_predicted(eng, slot, &prior, now)
        stop_timer(eng, slot)
        move_count(eng, SYN_RECEIVED, ESTABLISHED)
    elif outcome == PREDICT_OPENED:
        n_rows[0] = 1
        stop_timer(eng, slot)
        move_count(eng, SYN_SENT, ESTABLISHED)
    elif outcome == PREDICT_PEER_CLOSED:
        n_rows[0] = 1
        move_count(eng, ESTABLISHED, CLOSE_WAIT)
    elif outcome == PREDICT_BOTH_CLOSED:
        n_rows[0] = 1
        arm(eng, slot, T_REXMT, tick_up(now) + timeout)
        move_count(eng, ESTABLISHED, LAST_ACK)
    elif outcome == PREDICT_FIN_ACKED:
        if tcb.bits & B_ORPHAN:
            arm(eng, slot, T_FIN_WAIT_2, tick_up(now) + timeout)
        else:
            stop_timer(eng, slot)
        count_change(eng, tcb, &prior)
    elif outcome == PREDICT_TIME_WAIT:
        n_rows[0] = 1
        arm(eng, slot, T_TIME_WAIT, tick_up(now) + timeout)
        note_time_wait(eng, slot, now)
        count_change(eng, tcb, &prior)
    else:
        end_predicted(eng, slot, &prior, now)
    return True


cdef inline uint32_t arrives(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t candidate,
                             int64_t now, Segment* rows) noexcept nogil:
    """Judge one segment. Returns the rows written, two at most."""
    cdef uint32_t ref = find_connection(eng, seg, hash, candidate), n_rows
    if ref == 0:
        pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
        return arrives_unconnected(eng, seg, hash, now, rows)
    if eng.predicting and try_fast_path(eng, ref - 1, seg, hash, now, rows, &n_rows):
        return n_rows
    return arrives_connected(eng, ref - 1, seg, hash, now, rows)
