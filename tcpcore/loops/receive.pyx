"""The receive loop: each segment of a batch finds its TCB, or its listener, and is judged.

The fast path (tcp/predict) is asked first, the state machine for the rest; prefetching is pipeline.pxd's.
Not here: what a segment means (tcp/), and whether a SYN is admitted (passive.pyx).
Invariant: a batch of n segments does what n batches of one do. Segments are judged in order, and whatever
was looked up ahead is checked again when its turn comes (docs/adr/0002-batch-hazard.md).
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely
from tcpcore.records.action cimport E_REOPEN, E_START_OVER, Action
from tcpcore.records.counters cimport CauseListenerClosed, Mib, NoCause, count, count_n
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.segment cimport ACK, RST, SYN
from tcpcore.records.tcb cimport (
    B_ORPHAN, B_PASSIVE, CLOSED, FIN_WAIT_1, SYN_RECEIVED, TIME_WAIT, T_FIN_WAIT_2, T_REXMT,
    T_TIME_WAIT, Tcb,
)
from tcpcore.tcp.listen cimport LISTEN_DROP, LISTEN_OPEN, ListenVerdict, in_closed, in_listen
from tcpcore.tcp.output cimport emit_answering_rst
from tcpcore.tcp.predict cimport (
    PREDICT_ACCEPTED, PREDICT_BOTH_CLOSED, PREDICT_FIN_ACKED, PREDICT_NOT, PREDICT_OPENED,
    PREDICT_PEER_CLOSED, PREDICT_TIME_WAIT, Predicted, predict_segment,
)
from tcpcore.tcp.rto cimport tick_up
from tcpcore.tcp.steps cimport segment_arrives
from tcpcore.components.events cimport events_begin_call
from tcpcore.components.flow_table cimport flow_differs, flow_find_segment, flow_hash_batch
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Listener, accept_queue_full, listener_at, listener_find,
)
from tcpcore.components.tcb_pool cimport pool_ahead
from tcpcore.loops.apply cimport (
    PriorState, apply_action, begin_action, count_change, destroy, drop_unwanted, join_accept_queue,
    remove_connection, save_state_hashed, tell_predicted,
)
from tcpcore.loops.cookies cimport cookie_back
from tcpcore.loops.passive cimport open_half
from tcpcore.loops.pipeline cimport least, look_ahead, start_ahead, tcb_or_any
from tcpcore.loops.reuse cimport note_time_wait
from tcpcore.loops.state cimport STRIDE
from tcpcore.loops.timers cimport arm, stop_timer


cdef bint is_martian(const Segment* seg) noexcept nogil:
    """Whether a segment comes from or goes to an address that no connection can have (MUST-57, MUST-63).

    Those are 0.0.0.0, multicast, reserved and broadcast; one comparison each, as 0 - 1 wraps.
    """
    return seg.src - 1 >= <uint32_t>0xDFFFFFFF or seg.dst - 1 >= <uint32_t>0xDFFFFFFF


cdef inline uint32_t listener_for(EngineState* eng, const Segment* seg) noexcept nogil:
    """The listener for a segment, 0 none: mostly that of the SYN before, which is tried first."""
    cdef const Listener* last
    if eng.last_listener:
        last = listener_at(&eng.listeners, eng.last_listener)
        if (last.state == LISTENER_OPEN and last.port == seg.dport
                and (last.addr == seg.dst or (last.addr == 0 and eng.listeners.n_exact == 0))):
            return eng.last_listener
    eng.last_listener = listener_find(&eng.listeners, seg.dst, seg.dport)
    return eng.last_listener


cdef uint32_t arrives_unconnected(EngineState* eng, const Segment* seg, uint32_t hash, int64_t now,
                                  Segment* rows) noexcept nogil:
    """LISTEN or CLOSED (RFC 9293 3.10.7.1, 3.10.7.2): no TCB has this 4-tuple. Returns the rows written."""
    cdef Action act
    cdef ListenVerdict verdict
    cdef uint32_t id, n_rows
    if is_martian(seg):
        count(&eng.counters, Mib.InErrs)
        return 0
    id = listener_for(eng, seg)
    if likely(id):
        verdict = in_listen(seg, &eng.knobs)
        if likely(verdict == LISTEN_OPEN):
            return open_half(eng, seg, hash, id, -1, now, rows)
        if seg.flags & (SYN | RST | ACK) == ACK and cookie_back(eng, seg, hash, id, now, rows, &n_rows):
            return n_rows
        if verdict == LISTEN_DROP:
            return 0
    memset(&act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &eng.counters
    if id == 0:
        in_closed(seg, &eng.knobs, &act)
    else:
        emit_answering_rst(seg, &act)
    return act.n_rows


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
        return listener.state == LISTENER_OPEN and not accept_queue_full(listener)
    if tcb.state == FIN_WAIT_1:
        return eng.counts[TIME_WAIT] + eng.time_wait_like < eng.knobs.tcp_max_tw_buckets
    return True


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
    if eng.events.mask:
        tell_predicted(eng, slot, outcome, now)
    if outcome == PREDICT_ACCEPTED:
        join_accept_queue(eng, slot, &prior, now)
        stop_timer(eng, slot)
    elif outcome == PREDICT_OPENED:
        n_rows[0] = 1
        stop_timer(eng, slot)
    elif outcome == PREDICT_PEER_CLOSED:
        n_rows[0] = 1
    elif outcome == PREDICT_BOTH_CLOSED:
        n_rows[0] = 1
        arm(eng, slot, T_REXMT, tick_up(now) + timeout)
    elif outcome == PREDICT_FIN_ACKED:
        if tcb.bits & B_ORPHAN:
            arm(eng, slot, T_FIN_WAIT_2, tick_up(now) + timeout)
        else:
            stop_timer(eng, slot)
    elif outcome == PREDICT_TIME_WAIT:
        n_rows[0] = 1
        arm(eng, slot, T_TIME_WAIT, tick_up(now) + timeout)
        note_time_wait(eng, slot, now)
    else:
        destroy(eng, slot, &prior, NoCause, 0, now)
        return True
    count_change(eng, tcb, &prior)
    return True


cdef uint32_t arrives_connected(EngineState* eng, uint32_t slot, const Segment* seg, uint32_t hash,
                                int64_t now, Segment* rows) noexcept nogil:
    """Have the state machine judge a segment for the TCB in this slot. Returns the rows written."""
    cdef uint32_t id
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener
    cdef Action act
    cdef Ranges scratch
    cdef PriorState prior
    begin_action(eng, &act, &scratch, slot, rows)
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        if listener.state != LISTENER_OPEN:
            remove_connection(eng, slot, CauseListenerClosed, now)
            return arrives_unconnected(eng, seg, hash, now, rows)
        act.auto_accept = listener.auto_accept
        act.accept_full = accept_queue_full(listener)
    elif tcb.state == TIME_WAIT and seg.flags & SYN:
        act.listening = listener_find(&eng.listeners, seg.dst, seg.dport) != 0
    save_state_hashed(&prior, tcb, hash)
    segment_arrives(tcb, &eng.pool.colds[slot], seg, &eng.knobs, now, &act)
    drop_unwanted(eng, &act)
    apply_action(eng, slot, &prior, &act, now)
    if act.effects & E_REOPEN:
        count(&eng.counters, Mib.TWRecycled)
        remove_connection(eng, slot, NoCause, now)
        if in_listen(seg, &eng.knobs) == LISTEN_OPEN:
            id = listener_find(&eng.listeners, seg.dst, seg.dport)
            return open_half(eng, seg, hash, id, act.iss, now, rows)
    elif act.effects & E_START_OVER:
        count_n(&eng.counters, Mib.TWRecycled, act.listening)
        remove_connection(eng, slot, NoCause, now)
        return arrives_unconnected(eng, seg, hash, now, rows)
    return act.n_rows


cdef uint32_t arrives(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t candidate, int64_t now,
                      Segment* rows) noexcept nogil:
    """Judge one segment. Returns the rows written, two at most."""
    cdef uint32_t ref = find_connection(eng, seg, hash, candidate), n_rows
    if ref == 0:
        pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
        return arrives_unconnected(eng, seg, hash, now, rows)
    if eng.predicting and try_fast_path(eng, ref - 1, seg, hash, now, rows, &n_rows):
        return n_rows
    return arrives_connected(eng, ref - 1, seg, hash, now, rows)


cdef Py_ssize_t receive_batch(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                              Segment* rows) noexcept nogil:
    """SEGMENT ARRIVES for each in order; rows has room for 2 n. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    events_begin_call(&eng.events)
    while done < n:
        part = least(n - done, STRIDE)
        flow_hash_batch(&eng.flows, segs + done, part, eng.hashes)
        eng.batch = segs + done
        eng.batch_n = part
        eng.isn_first = eng.isn_count = 0
        start_ahead(eng, segs + done, part)
        for i in range(part):
            look_ahead(eng, segs + done, i, part)
            written += arrives(eng, &segs[done + i], eng.hashes[i], eng.candidates[i], now, rows + written)
        done += part
    eng.batch = NULL
    count_n(&eng.counters, Mib.InSegs, n)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written
