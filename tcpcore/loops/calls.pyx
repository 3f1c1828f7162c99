"""The calls loop: one call on each handle of a batch, accept() and the CLOSE of a listener.

Not here: what a call does to a TCB (tcp/calls).
Invariant: a stale handle is skipped and counted, never an error: the peer may have reset it meanwhile.
"""

from libc.stdlib cimport free, malloc, qsort
from libc.string cimport memset

from tcpcore.base.prefetch cimport prefetch, unlikely
from tcpcore.records.action cimport E_DEAD, Action
from tcpcore.records.counters cimport CauseListenerClosed, CauseTooManyOrphans, Mib, count, count_n
from tcpcore.records.event cimport EV_ACCEPTED
from tcpcore.records.handle cimport handle_slot
from tcpcore.records.knobs cimport UNREACHABLE_FREEBSD
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.tcb cimport (
    B_COLD, B_HELD, B_ORPHAN, B_PASSIVE, B_QUEUED, CAN_SEND, CLOSED, LISTEN, OPENING, OUR_FIN,
    SYN_RECEIVED, TICK_NS, T_REXMT, Cold, Tcb, in_set,
)
from tcpcore.tcp.calls cimport (
    abandon_call, abort_call, close_call, receive_call, send_call, shutdown_call, unreachable_call,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport lingers
from tcpcore.tcp.outcomes cimport die
from tcpcore.tcp.output cimport emit_abort_rst, rows_due
from tcpcore.tcp.predict cimport predict_close
from tcpcore.tcp.rto cimport tick_up
from tcpcore.tcp.time_wait cimport is_time_wait_like
from tcpcore.components.events cimport events_add
from tcpcore.components.listeners cimport accept_queue_peek, accept_queue_pop, listener_at, listener_close
from tcpcore.components.syn_eviction cimport eviction_forget
from tcpcore.components.syn_policy cimport EVICT_PER_LISTENER
from tcpcore.components.tcb_pool cimport pool_give
from tcpcore.components.timer_wheel cimport wheel_tick
from tcpcore.loops.apply cimport (
    PriorState, apply_action, begin_action, count_change, counts_as_orphan, remove_connection, save_state,
)
from tcpcore.loops.connect cimport unbar_port
from tcpcore.loops.state cimport drop_images, handle_at, resolve_handle
from tcpcore.loops.timers cimport arm, begin_lingering, forget_lingering

cdef enum:
    AHEAD = 32                # prefetch distance of TCBs, in handles
    ACCEPT_AHEAD = 64         # accept() does next to nothing with each
    EVERYTHING = 0xFFFFFFFF   # bytes of a RECEIVE that names no number
    OTHER_TYPE = 256          # a code from here on is of another type than destination unreachable
    HOST_UNREACHABLE = 1      # code of an ICMP message that has none
    LINGER_ZERO = 1           # Knobs.linger of SO_LINGER with 0 s; 0: without SO_LINGER

cdef struct Amount:
    # one of the bytes that a SEND names for a connection
    uint64_t conn
    uint32_t nbytes


cdef void release_dead(EngineState* eng, uint32_t slot) noexcept nogil:
    """Free a CLOSED TCB that its application has let go."""
    eng.held_dead -= 1
    eng.pool.blocks[slot].bits = 0
    pool_give(&eng.pool, slot)


cdef inline bint is_full_orphan(const EngineState* eng, uint32_t slot) noexcept nogil:
    """True for a connection without an application that is kept as one."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    return (tcb.state != CLOSED and counts_as_orphan(tcb.state, tcb.bits)
            and not is_time_wait_like(tcb.state, tcb.bits, &eng.knobs)
            and not lingers(tcb, &eng.pool.colds[slot], &eng.pool.lives[slot]))


cdef uint32_t reset_orphan(EngineState* eng, uint32_t slot, int64_t now, Segment* rows) noexcept nogil:
    """Reset a connection that was just closed and is one orphan too many (Linux: tcp_check_oom in tcp_close).
    DEVIATES: the RST goes instead of the FIN, Linux's after it. Returns the rows."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Action act
    cdef Ranges scratch
    cdef PriorState prior
    save_state(&prior, tcb)
    forget_lingering(eng, slot)
    begin_action(eng, &act, &scratch, slot, rows)
    emit_abort_rst(tcb, &eng.pool.colds[slot], &eng.knobs, now, &act)
    count(&eng.counters, Mib.TCPAbortOnMemory)
    die(&act, CauseTooManyOrphans, 0)
    apply_action(eng, slot, &prior, &act, now)
    return act.n_rows


cdef inline Call by_linger(const EngineState* eng, const Tcb* tcb, Call call, uint32_t nbytes,
                           uint32_t* linger) noexcept nogil:
    """What a call comes to: CLOSE with SO_LINGER of 0 s is ABORT (Linux: tcp_close, sk_lingertime), but not
    where CLOSE forgets the connection. linger (out): of a CLOSE, as Knobs.linger."""
    if call != CALL_CLOSE:
        return call
    linger[0] = eng.knobs.linger if nbytes == EVERYTHING else nbytes
    if unlikely(linger[0] == LINGER_ZERO) and not (
            tcb.state == SYN_RECEIVED and eng.knobs.close_forgets_opening):
        return CALL_ABORT
    return CALL_CLOSE


cdef uint32_t call_one(EngineState* eng, Call call, uint64_t conn, uint32_t nbytes, int64_t now,
                       Segment* rows, uint32_t* n_rows) noexcept nogil:
    """One call on one handle; n_rows (out) is the rows written. Returns the bytes taken, for CALL_RECV.

    nbytes: for CALL_UNREACHABLE the code of the ICMP message, for CALL_CLOSE as Knobs.linger."""
    cdef uint32_t ref = resolve_handle(eng, conn), slot, taken = 0, linger = 0, timeout
    cdef Tcb* tcb
    cdef Cold* cold
    cdef Action act
    cdef Ranges scratch
    cdef PriorState prior
    n_rows[0] = 0
    if ref == 0:
        count(&eng.counters, Mib.StaleHandles)
        return 0
    slot = ref - 1
    tcb = &eng.pool.blocks[slot]
    cold = &eng.pool.colds[slot]
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and call < CALL_ABORT:
        return 0                                      # a half-open entry has no application
    if tcb.bits & B_ORPHAN and call < CALL_ABORT:
        return 0                                      # the application is gone
    if unlikely(tcb.state == CLOSED or tcb.bits & B_QUEUED) and (call == CALL_CLOSE or call == CALL_ABORT):
        if not tcb.bits & B_QUEUED:                   # else no application has it yet
            release_dead(eng, slot)
        return 0
    save_state(&prior, tcb)
    call = by_linger(eng, tcb, call, nbytes, &linger)
    if call == CALL_CLOSE and linger == 0 and eng.predicting and predict_close(
            tcb, cold, &eng.pool.stamps[slot], &eng.knobs, now, rows, &timeout):
        arm(eng, slot, T_REXMT, tick_up(now) + timeout)
        count_change(eng, tcb, &prior)
        eng.predicted += 1
        n_rows[0] = 1
        if unlikely(too_many_orphans(eng)):
            reset_orphan(eng, slot, now, rows)
        return 0
    begin_action(eng, &act, &scratch, slot, rows)
    if call == CALL_SEND:
        send_call(tcb, cold, nbytes, &eng.knobs, now, &act)
    elif call == CALL_RECV:
        taken = receive_call(tcb, cold, nbytes, &eng.knobs, now, &act)
    elif call == CALL_SHUTDOWN:
        shutdown_call(tcb, cold, &eng.knobs, now, &act)
    elif call == CALL_CLOSE:
        close_call(tcb, cold, &eng.knobs, now, &act)
        if unlikely(linger != 0) and in_set(tcb.state, OUR_FIN) and not act.effects & E_DEAD:
            begin_lingering(eng, slot, linger - LINGER_ZERO, now, &act)
    elif call == CALL_UNREACHABLE:
        count_n(&eng.counters, Mib.InDestUnreachs, nbytes < OTHER_TYPE or nbytes == EVERYTHING)
        unreachable_call(tcb, cold, HOST_UNREACHABLE if nbytes == EVERYTHING else nbytes, &eng.knobs, now,
                         &act)
    else:
        abort_call(tcb, cold, &eng.knobs, now, &act)
    if tcb.state != CLOSED:
        apply_action(eng, slot, &prior, &act, now)
    n_rows[0] = act.n_rows
    if call == CALL_CLOSE and unlikely(too_many_orphans(eng)) and is_full_orphan(eng, slot):
        n_rows[0] = reset_orphan(eng, slot, now, rows)
    return taken


cdef Py_ssize_t call_batch(EngineState* eng, Call call, const uint64_t* conns, Py_ssize_t n,
                           const uint32_t* nbytes, uint32_t* taken, int64_t now,
                           Segment* rows) noexcept nogil:
    """One call on each handle in order; nbytes NULL: all there is, taken NULL: not told. Returns the rows."""
    cdef Py_ssize_t i, written = 0
    cdef uint32_t more, got, slot
    for i in range(n):
        if i + AHEAD < n:
            slot = handle_slot(conns[i + AHEAD])
            if slot < eng.pool.capacity:
                prefetch(&eng.pool.blocks[slot])
                if eng.knobs.tcp_timestamps:
                    prefetch(&eng.pool.stamps[slot])
        got = call_one(eng, call, conns[i], nbytes[i] if nbytes != NULL else EVERYTHING, now,
                       rows + written, &more)
        written += more
        if taken != NULL:
            taken[i] = got
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef uint64_t bytes_queued(const EngineState* eng, uint64_t conn) noexcept nogil:
    """Bytes queued and not acknowledged, 0 for a connection that cannot send."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef const Tcb* tcb
    if ref == 0:
        return 0
    tcb = &eng.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND | OPENING) or not tcb.bits & B_COLD:
        return 0
    return <uint32_t>(eng.pool.colds[ref - 1].snd_end - tcb.snd_una)


cdef uint32_t rows_due_with(EngineState* eng, uint64_t conn, uint32_t nbytes) noexcept nogil:
    """Rows that SEND of nbytes more would emit now."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef Tcb tcb
    cdef Cold cold
    if ref == 0:
        return 0
    tcb = eng.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND) or tcb.bits & B_ORPHAN:
        return 0
    if tcb.bits & B_COLD:
        cold = eng.pool.colds[ref - 1]
    else:
        use_cold(&tcb, &cold)
    cold.snd_end += nbytes
    return rows_due(&tcb, &cold, &eng.knobs)


cdef int by_conn(const void* a, const void* b) noexcept nogil:
    """The order of qsort: by handle."""
    cdef uint64_t first = (<const Amount*>a).conn, second = (<const Amount*>b).conn
    return (first > second) - (first < second)


cdef bint most_queued(const EngineState* eng, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                      uint64_t* most) noexcept nogil:
    """Raise `most` (in out) to what a connection would have queued, each handle's amounts added up.

    False when there is no memory.
    """
    cdef Amount* amounts = <Amount*>malloc(n * sizeof(Amount))
    cdef Py_ssize_t i
    cdef uint64_t queued = 0
    if amounts == NULL:
        return False
    for i in range(n):
        amounts[i].conn = conns[i]
        amounts[i].nbytes = nbytes[i]
    qsort(amounts, n, sizeof(Amount), by_conn)
    for i in range(n):
        if i == 0 or amounts[i].conn != amounts[i - 1].conn:
            queued = bytes_queued(eng, amounts[i].conn)
        queued += amounts[i].nbytes
        if queued > most[0]:
            most[0] = queued
    free(amounts)
    return True


cdef Py_ssize_t rows_of_send(EngineState* eng, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                             uint64_t* most) noexcept nogil:
    """Rows that a SEND emits at most, -1 when there is no memory to count them.

    most (out): the bytes that one connection would have queued; over MAX_QUEUED the SEND must not be done.
    """
    cdef Py_ssize_t i, need = 0
    cdef uint64_t total = 0, queued
    most[0] = 0
    for i in range(n):
        queued = bytes_queued(eng, conns[i]) + nbytes[i]
        if queued > most[0]:
            most[0] = queued
        total += nbytes[i]
        need += rows_due_with(eng, conns[i], nbytes[i])
    # over the limit, where no single amount is, only if a handle is given more than once
    if n > 1 and most[0] + total > MAX_QUEUED and not most_queued(eng, conns, nbytes, n, most):
        return -1
    return need


cdef void connection_info(const EngineState* eng, uint64_t conn, Info* info) noexcept nogil:
    """STATUS of one connection (RFC 9293 3.10.6); all zeros for a stale handle."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef const Tcb* tcb
    cdef const Cold* cold
    memset(info, 0, sizeof(Info))
    if ref == 0:
        return
    tcb = &eng.pool.blocks[ref - 1]
    info.state = tcb.state
    info.retries = tcb.retries
    info.listener = tcb.listener
    info.snd_una = tcb.snd_una
    info.snd_nxt = tcb.snd_nxt
    info.rcv_nxt = tcb.rcv_nxt
    if tcb.bits & B_COLD:
        cold = &eng.pool.colds[ref - 1]
        if tcb.state == CLOSED or eng.knobs.unreachable_rules != UNREACHABLE_FREEBSD:
            info.error = cold.error                   # t_softerror is not told while the connection lives
        info.unread = cold.unread
    if tcb.timer:
        info.deadline = wheel_tick(&eng.wheel, tcb) * TICK_NS


cdef uint64_t accept_one(EngineState* eng, uint16_t listener, int64_t now) noexcept nogil:
    """Handle of the oldest unaccepted connection of this listener, held from now on; 0 for none."""
    cdef uint32_t slot, ref = accept_queue_pop(&eng.listeners, listener)
    cdef Tcb* tcb
    if ref == 0:
        return 0
    slot = ref - 1
    ref = accept_queue_peek(listener_at(&eng.listeners, listener), ACCEPT_AHEAD)
    if ref:
        prefetch(&eng.pool.blocks[ref - 1])
    tcb = &eng.pool.blocks[slot]
    tcb.bits = (tcb.bits & ~B_QUEUED) | B_HELD
    eng.accept_queued -= 1
    events_add(&eng.events, handle_at(eng, slot), now, listener, EV_ACCEPTED, 0, tcb.state)
    return handle_at(eng, slot)


cdef uint32_t close_listener(EngineState* eng, uint16_t listener, int64_t now, Segment* rows) noexcept nogil:
    """CLOSE of a listener (RFC 9293 3.10.4). Returns the rows written, one per unaccepted connection."""
    cdef uint32_t slot, written = 0
    cdef uint16_t port
    cdef Action act
    cdef Ranges scratch
    cdef PriorState prior
    cdef Tcb* tcb
    while True:
        slot = accept_queue_pop(&eng.listeners, listener)
        if slot == 0:
            break
        slot -= 1
        tcb = &eng.pool.blocks[slot]
        tcb.bits &= ~B_QUEUED
        eng.accept_queued -= 1
        if tcb.state == CLOSED:
            release_dead(eng, slot)
            continue
        begin_action(eng, &act, &scratch, slot, rows + written)
        save_state(&prior, tcb)
        abandon_call(tcb, &eng.pool.colds[slot], &eng.knobs, now, &act)
        apply_action(eng, slot, &prior, &act, now)
        written += act.n_rows
    port = listener_at(&eng.listeners, listener).port
    listener_close(&eng.listeners, listener)
    drop_images(eng)
    unbar_port(eng, port, now)
    eng.counts[LISTEN] -= 1
    if eng.knobs.unlisten_forgets:
        forget_half_open(eng, listener, now)
    if eng.eviction_scope == EVICT_PER_LISTENER:
        eviction_forget(&eng.eviction, listener)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef void forget_half_open(EngineState* eng, uint16_t listener, int64_t now) noexcept nogil:
    """Remove a closed listener's half-open entries; a walk over all TCBs, as nothing lists them."""
    cdef uint32_t slot
    cdef Tcb* tcb
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and tcb.listener == listener:
            remove_connection(eng, slot, CauseListenerClosed, now)
