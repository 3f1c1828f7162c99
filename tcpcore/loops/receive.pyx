"""The receive loop: each segment of a batch finds its TCB, or its listener, and is judged.

The fast path (tcp/predict) is asked first, the state machine for the rest; prefetching is pipeline.pxd's.
Not here: what a segment means (tcp/), and whether a SYN is admitted (passive.pyx).
Invariant: a batch of n segments does what n batches of one do. Segments are judged in order, and whatever
was looked up ahead is checked again when its turn comes (docs/adr/0002-batch-hazard.md).
"""

from libc.stdint cimport uint8_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely, unlikely
from tcpcore.records.action cimport E_REOPEN, E_START_OVER, Action
from tcpcore.records.counters cimport CauseListenerClosed, Mib, count, count_n
from tcpcore.records.event cimport EV_OPENED
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.segment cimport ACK, RST, SYN, is_unicast
from tcpcore.tcp.listen cimport LISTEN_DROP, LISTEN_OPEN, ListenVerdict, in_closed, in_listen
from tcpcore.tcp.output cimport emit_answering_rst
from tcpcore.tcp.steps cimport segment_arrives
from tcpcore.tcp.syn_image cimport SynImage, drop_image, is_alike, open_alike
from tcpcore.components.events cimport events_add, events_begin_call
from tcpcore.components.flow_table cimport flow_hash_batch, flow_insert
from tcpcore.components.listeners cimport half_open_added, listener_find
from tcpcore.components.tcb_pool cimport pool_take
from tcpcore.loops.apply cimport apply_action, begin_action, drop_unwanted, remove_connection
from tcpcore.loops.cookies cimport cookie_back
from tcpcore.loops.isn_batch cimport isn_batch_find, ts_offset_for
from tcpcore.loops.passive cimport open_half, queue_has_room
from tcpcore.loops.pipeline cimport FEW, least, look_ahead, look_at_few, start_ahead
from tcpcore.loops.state cimport STRIDE, begin_stretch, handle_at


cdef bint is_martian(const Segment* seg) noexcept nogil:
    """Whether a segment comes from or goes to an address that no connection can have (MUST-57, MUST-63)."""
    return not is_unicast(seg.src) or not is_unicast(seg.dst)


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


cdef inline uint32_t open_like_last(EngineState* eng, const Segment* seg, uint32_t hash, int64_t now,
                                    Segment* rows) noexcept nogil:
    """open_half for a SYN like the last one, from its image; 0 if the listener, the pool or the numbers need
    more, and nothing was done."""
    cdef SynImage* image = &eng.syn_image
    cdef Listener* listener = listener_at(&eng.listeners, image.listener)
    cdef Py_ssize_t numbers
    cdef uint32_t ref
    if unlikely(not eng.predicting or not queue_has_room(listener)):
        drop_image(image)                             # so that the rest of a flood does not ask again
        return 0
    numbers = isn_batch_find(eng, seg, now)
    if numbers < 0:
        return 0
    ref = pool_take(&eng.pool)
    if ref == 0:
        return 0
    eng.last_listener = image.listener
    open_alike(image, &eng.pool.blocks[ref - 1], &eng.pool.stamps[ref - 1], seg, now,
               eng.isns[numbers] + eng.isn_shift, ts_offset_for(eng, seg, numbers), rows)
    flow_insert(&eng.flows, hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + image.timeout)
    eng.counts[SYN_RECEIVED] += 1
    eng.half_open += 1
    half_open_added(listener)
    count(&eng.counters, Mib.SynQueueAdded)
    events_add(&eng.events, handle_at(eng, ref - 1), now, image.listener, EV_OPENED, 0, SYN_RECEIVED)
    return 1


cdef uint32_t arrives_unconnected(EngineState* eng, const Segment* seg, uint32_t hash, int64_t now,
                                  Segment* rows) noexcept nogil:
    """LISTEN or CLOSED (RFC 9293 3.10.7.1, 3.10.7.2): no TCB has this 4-tuple. Returns the rows written."""
    cdef Action act
    cdef ListenVerdict verdict
    cdef uint32_t id, n_rows
    if is_martian(seg):
        count(&eng.counters, Mib.InErrs)
        return 0
    if likely(is_alike(&eng.syn_image, seg)) and open_like_last(eng, seg, hash, now, rows):
        return 1
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
        act.defer = listener.defer
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


cdef Py_ssize_t receive_batch(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                              Segment* rows) noexcept nogil:
    """SEGMENT ARRIVES for each in order; rows has room for 2 n. Returns the rows written.

    With eng.marks this is a part of a group's call, which has begun. It is no argument: the compiler would
    make two of this function, and put `arrives` into neither.
    """
    cdef bint few, colds = False
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef uint32_t more
    cdef uint8_t* marks = eng.marks
    if marks == NULL:
        events_begin_call(&eng.events)
    while done < n:
        part = least(n - done, STRIDE)
        flow_hash_batch(&eng.flows, segs + done, part, eng.hashes)
        begin_stretch(eng, segs + done, part)
        few = part <= FEW
        if few:
            look_at_few(eng, part)
        else:
            colds = start_ahead(eng, part)
        for i in range(part):
            if not few:
                look_ahead(eng, i, colds)
            more = arrives(eng, &segs[done + i], eng.hashes[i], eng.candidates[i], now, rows + written)
            written += more
            if unlikely(marks != NULL):
                marks[done + i] = <uint8_t>more
        done += part
    eng.batch = NULL
    count_n(&eng.counters, Mib.InSegs, n)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written
