"""The rarer parts of carrying out an action: queues, events, and the end of a connection.

Not the decision: that is the state machine's (tcp/).
Invariant: a TCB leaves the flow table, the ports, the timers and the gauges together, in `destroy`.
"""


from libc.stdint cimport uint64_t

from tcpcore.records.action cimport (
    E_ACCEPT, E_DEAD, E_EDGES, E_EOF, E_OPENED, E_READABLE, E_REOPEN, E_START_OVER, E_WRITABLE,
)
from tcpcore.records.counters cimport (
    CauseEmbryonicReset, CauseListenerClosed, CauseSynQueueEvicted, CauseSynQueueExpired, Mib, NoCause,
    count,
)
from tcpcore.records.tcb cimport B_HELD, B_MATURE, B_QUEUED, CLOSED, CLOSE_WAIT, ESTABLISHED
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.predict cimport (
    PREDICT_BOTH_CLOSED, PREDICT_OPENED, PREDICT_PEER_CLOSED, PREDICT_TIME_WAIT,
)
from tcpcore.components.bound_ports cimport BOUND_COUNTED, bound_remove
from tcpcore.components.events cimport events_add, events_add_once
from tcpcore.components.flow_table cimport flow_remove
from tcpcore.components.listeners cimport (
    Listener, accept_queue_push, half_open_matured, half_open_removed, listener_at,
)
from tcpcore.components.ports cimport ports_released
from tcpcore.components.range_pool cimport range_pool_give, range_pool_take
from tcpcore.components.tcb_pool cimport pool_give
from tcpcore.loops.reuse cimport note_time_wait
from tcpcore.loops.state cimport challenge_allowed, handle_at, tcb_hash
from tcpcore.loops.timers cimport disarm, forget_lingering, stop_timer
from tcpcore.records.event cimport (
    EV_CLOSED, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_READABLE, EV_REFUSED, EV_TIME_WAIT, EV_WRITABLE,
)


cdef void keep_ranges(EngineState* eng, uint32_t slot, const Action* act) noexcept nogil:
    """Take an out-of-order record with the first range, give it back with the last one."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef bint empty = ranges_empty(act.ranges)
    if tcb.bits & B_COLD and cold.ranges:
        if empty:
            range_pool_give(&eng.ranges, cold.ranges)
            cold.ranges = 0
    elif not empty:
        use_cold(tcb, cold)
        cold.ranges = range_pool_take(&eng.ranges)
        if cold.ranges:
            range_pool_at(&eng.ranges, cold.ranges)[0] = act.ranges[0]


cdef void leave_half_open(EngineState* eng, const Tcb* tcb, const PriorState* prior) noexcept nogil:
    """Take an entry out of the half-open counts."""
    eng.half_open -= 1
    half_open_removed(&eng.listeners, tcb.listener, prior.bits & B_MATURE)


cdef void enqueue(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """Put a new connection into its accept queue; with auto_accept nobody waits and nobody holds it."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener = listener_at(&eng.listeners, tcb.listener)
    if not listener.auto_accept and accept_queue_push(&eng.listeners, tcb.listener, slot + 1):
        tcb.bits |= B_QUEUED
        eng.accept_queued += 1
    events_add(&eng.events, handle_at(eng, slot), now, tcb.listener, EV_ESTABLISHED, 0, tcb.state)


cdef void join_accept_queue(EngineState* eng, uint32_t slot, const PriorState* prior,
                            int64_t now) noexcept nogil:
    """Turn a half-open entry into a connection of the accept queue."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    leave_half_open(eng, tcb, prior)
    count(&eng.counters, Mib.SynQueueEstablished)
    enqueue(eng, slot, now)


cdef void release_bound(EngineState* eng, const Tcb* tcb, uint8_t state) noexcept nogil:
    """A connection that was in this state gives its port back, if that is counted among the bound ones."""
    if tcb.bits & B_EPHEMERAL or binds_port(eng, tcb, state):
        bound_remove(&eng.bound, tcb.laddr, tcb.lport, tcb.bits & B_EPHEMERAL != 0,
                     (tcb.lport - eng.ports.low) & 1)


cdef void destroy(EngineState* eng, uint32_t slot, const PriorState* prior, uint8_t cause, uint8_t error,
                  int64_t now) noexcept nogil:
    """End a connection: out of the flow table, and the slot is free unless an application holds it."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    flow_remove(&eng.flows, prior.hash if prior.hashed else tcb_hash(eng, tcb), slot + 1)
    if tcb.bits & B_EPHEMERAL:
        ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
    if unlikely(eng.bound.use == BOUND_COUNTED):
        release_bound(eng, tcb, prior.state)
    if prior.state == TIME_WAIT:                        # one timer, no ranges: the cold record is not touched
        stop_timer(eng, slot)
    else:
        disarm(eng, slot)
        if tcb.bits & B_COLD and cold.ranges:
            range_pool_give(&eng.ranges, cold.ranges)
            cold.ranges = 0
    eng.counts[prior.state] -= 1
    if prior.bits & B_ORPHAN:
        if eng.lingering:
            forget_lingering(eng, slot)
        eng.orphans -= counts_as_orphan(prior.state, prior.bits)
        eng.time_wait_like -= is_time_wait_like(prior.state, prior.bits, &eng.knobs)
    if prior.state == ESTABLISHED or prior.state == CLOSE_WAIT:
        count(&eng.counters, Mib.EstabResets)
    if cause != NoCause:
        eng.counters.causes[cause] += 1
    events_add(&eng.events, handle_at(eng, slot), now, tcb.listener,
               EV_LOST if cause != NoCause else EV_CLOSED, cause, CLOSED)
    tcb.state = CLOSED
    if tcb.bits & (B_HELD | B_QUEUED):
        if error:
            use_cold(tcb, cold)
            cold.error = error
        eng.held_dead += 1
    else:
        pool_give(&eng.pool, slot)


cdef void destroy_half_open(EngineState* eng, uint32_t slot, const PriorState* prior, uint8_t cause,
                            uint8_t error, int64_t now) noexcept nogil:
    """End a half-open entry and count how: each one that was added leaves under exactly one counter."""
    leave_half_open(eng, &eng.pool.blocks[slot], prior)
    if cause == CauseSynQueueEvicted:
        count(&eng.counters, Mib.SynQueueEvicted)
    elif cause == CauseSynQueueExpired:
        count(&eng.counters, Mib.SynQueueExpired)
    elif cause == CauseEmbryonicReset:
        count(&eng.counters, Mib.SynQueueReset)
    elif cause == CauseListenerClosed:
        count(&eng.counters, Mib.SynQueueListenerClosed)
    else:
        count(&eng.counters, Mib.SynQueueAborted)
    destroy(eng, slot, prior, cause, error, now)


cdef void tell_edges(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """Tell what this segment meant to the application, between `established` and the end."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef uint64_t conn = handle_at(eng, slot)
    if act.effects & E_READABLE:
        events_add_once(&eng.events, conn, now, tcb.listener, EV_READABLE, tcb.state)
    if act.effects & E_EOF:
        events_add(&eng.events, conn, now, tcb.listener, EV_EOF, 0, tcb.state)
    if act.effects & E_WRITABLE:
        events_add_once(&eng.events, conn, now, tcb.listener, EV_WRITABLE, tcb.state)


cdef void tell_predicted(EngineState* eng, uint32_t slot, Predicted outcome, int64_t now) noexcept nogil:
    """Tell what the fast path did, where neither join_accept_queue nor destroy does. A call of its own: the
    fast path is inlined where segments arrive, and with these lines it would not be."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef uint64_t conn = handle_at(eng, slot)
    if outcome == PREDICT_OPENED:
        events_add(&eng.events, conn, now, 0, EV_ESTABLISHED, 0, ESTABLISHED)
    elif outcome == PREDICT_PEER_CLOSED or outcome == PREDICT_BOTH_CLOSED:
        events_add(&eng.events, conn, now, tcb.listener, EV_EOF, 0, tcb.state)
    elif outcome == PREDICT_TIME_WAIT:
        events_add(&eng.events, conn, now, tcb.listener, EV_EOF, 0, TIME_WAIT)
        events_add(&eng.events, conn, now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)


cdef void apply_effects(EngineState* eng, uint32_t slot, const PriorState* prior, Action* act,
                        int64_t now) noexcept nogil:
    """Carry out an action that ends the connection, changes a queue, tells an event or is a challenge."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef bint half_open = prior.state == SYN_RECEIVED and prior.bits & B_PASSIVE
    if act.challenge:
        if challenge_allowed(eng, now):
            count(&eng.counters, Mib.TCPChallengeACK)
        else:
            act.n_rows = 0
    if act.effects & E_DEAD:
        if half_open and not act.effects & E_ACCEPT:
            destroy_half_open(eng, slot, prior, act.cause, act.error, now)
        else:
            if half_open:
                join_accept_queue(eng, slot, prior, now)
            if act.effects & E_EDGES:
                tell_edges(eng, slot, act, now)
            destroy(eng, slot, prior, act.cause, act.error, now)
        return
    if act.effects & (E_REOPEN | E_START_OVER):
        return
    if half_open:
        if act.effects & E_ACCEPT:
            join_accept_queue(eng, slot, prior, now)
        elif tcb.bits & B_MATURE and not prior.bits & B_MATURE:
            half_open_matured(listener_at(&eng.listeners, tcb.listener))
    elif act.effects & E_OPENED:
        events_add(&eng.events, handle_at(eng, slot), now, 0, EV_ESTABLISHED, 0, tcb.state)
    update_live(eng, slot, prior, act, now)
    if act.effects & E_EDGES:
        tell_edges(eng, slot, act, now)
    if tcb.state == TIME_WAIT and prior.state != TIME_WAIT:
        note_time_wait(eng, slot, now)
        events_add(&eng.events, handle_at(eng, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)


cdef void remove_connection(EngineState* eng, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil:
    """End a connection without asking the state machine: evicted, taken over, its listener gone."""
    cdef PriorState prior
    save_state(&prior, &eng.pool.blocks[slot])
    if prior.state == SYN_RECEIVED and prior.bits & B_PASSIVE:
        destroy_half_open(eng, slot, &prior, cause, 0, now)
    else:
        destroy(eng, slot, &prior, cause, 0, now)


cdef void refuse(EngineState* eng, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil:
    """Count and tell a connection that never got a TCB."""
    eng.counters.causes[cause] += 1
    events_add(&eng.events, 0, now, listener, EV_REFUSED, cause, CLOSED)
