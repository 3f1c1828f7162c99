"""H"""
from libc.string cimport memset

from tcpcore.records.action cimport E_ACCEPT, E_DEAD, E_OPENED, E_REOPEN, E_START_OVER
from tcpcore.records.counters cimport (
    CauseEmbryonicReset, CauseListenerClosed, CauseSynQueueEvicted, CauseSynQueueExpired, Mib, NoCause,
    count,
)
from tcpcore.records.tcb cimport (
    B_EPHEMERAL, B_HELD, B_MATURE, B_PASSIVE, B_QUEUED, CLOSED, CLOSE_WAIT, ESTABLISHED,
)
from tcpcore.tcp.output cimport use_cold
from tcpcore.components.events cimport (
    EV_CLOSED, EV_ESTABLISHED, EV_LOST, EV_REFUSED, EV_TIME_WAIT, events_add,
)
from tcpcore.components.flow_table cimport flow_remove
from tcpcore.components.listeners cimport (
    Listener, accept_queue_push, half_open_matured, half_open_removed, listener_at,
)
from tcpcore.components.ports cimport ports_released
from tcpcore.components.range_pool cimport range_pool_give, range_pool_take
from tcpcore.components.tcb_pool cimport pool_give
from tcpcore.loops.state cimport challenge_allowed, handle_of, tcb_hash
from tcpcore.loops.timers cimport disarm, stop_timer


cdef void keep_ranges(EngineState* eng, uint32_t slot, const Action* act) noexcept nogil:
    """The out-of-order record follows its contents: borrowed with the first range, returned with the last."""
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


cdef void leave_half_open(EngineState* eng, const Tcb* tcb, const PriorState* was) noexcept nogil:
    eng.half_open -= 1
    half_open_removed(&eng.listeners, tcb.listener, was.bits & B_MATURE)


cdef void enqueue(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """A new connection waits for accept(), or is on its own where the application accepts at once."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener = listener_at(&eng.listeners, tcb.listener)
    if not listener.auto_accept and accept_queue_push(&eng.listeners, tcb.listener, slot + 1):
        tcb.bits |= B_QUEUED
        eng.queued += 1
    events_add(&eng.events, handle_of(eng, slot), now, tcb.listener, EV_ESTABLISHED, 0, tcb.state)


cdef void join_accept_queue(EngineState* eng, uint32_t slot, const PriorState* was, int64_t now) noexcept nogil:
    """A half-open entry has become a connection."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    leave_half_open(eng, tcb, was)
    count(&eng.counters, Mib.SynQueueEstablished)
    enqueue(eng, slot, now)


cdef void destroy(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
               int64_t now) noexcept nogil:
    """The connection is over: out of the flow table, and out of memory unless somebody holds it."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    flow_remove(&eng.flows, was.hash if was.hashed else tcb_hash(eng, tcb), slot + 1)
    if tcb.bits & B_EPHEMERAL:
        ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
    if was.state == TIME_WAIT:                        # has neither in its cold line: leave that alone
        stop_timer(eng, slot)
    else:
        disarm(eng, slot)
        if tcb.bits & B_COLD and cold.ranges:
            range_pool_give(&eng.ranges, cold.ranges)
            cold.ranges = 0
    eng.counts[was.state] -= 1
    if was.bits & B_ORPHAN:
        eng.orphans -= counts_as_orphan(was.state, was.bits)
        eng.time_wait_like -= is_time_wait_like(was.state, was.bits, &eng.knobs)
    if was.state == ESTABLISHED or was.state == CLOSE_WAIT:
        count(&eng.counters, Mib.EstabResets)
    if cause != NoCause:
        eng.counters.causes[cause] += 1
    events_add(&eng.events, handle_of(eng, slot), now, tcb.listener,
                EV_LOST if cause != NoCause else EV_CLOSED, cause, CLOSED)
    tcb.state = CLOSED
    if tcb.bits & (B_HELD | B_QUEUED):
        if error:
            use_cold(tcb, cold)
            cold.error = error
        eng.held_dead += 1
    else:
        pool_give(&eng.pool, slot)


cdef void destroy_half_open(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
                         int64_t now) noexcept nogil:
    leave_half_open(eng, &eng.pool.blocks[slot], was)
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
    destroy(eng, slot, was, cause, error, now)


cdef void apply_effects(EngineState* eng, uint32_t slot, const PriorState* was, Action* act,
                        int64_t now) noexcept nogil:
    """The same where something happens that others must hear of."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef bint embryo = was.state == SYN_RECEIVED and was.bits & B_PASSIVE
    if act.challenge:
        if challenge_allowed(eng, now):
            count(&eng.counters, Mib.TCPChallengeACK)
        else:
            act.n_rows = 0
    if act.effects & E_DEAD:
        if embryo and not act.effects & E_ACCEPT:
            destroy_half_open(eng, slot, was, act.cause, act.error, now)
        else:
            if embryo:
                join_accept_queue(eng, slot, was, now)
            destroy(eng, slot, was, act.cause, act.error, now)
        return
    if act.effects & (E_REOPEN | E_START_OVER):
        return
    if embryo:
        if act.effects & E_ACCEPT:
            join_accept_queue(eng, slot, was, now)
        elif tcb.bits & B_MATURE and not was.bits & B_MATURE:
            half_open_matured(listener_at(&eng.listeners, tcb.listener))
    elif act.effects & E_OPENED:
        events_add(&eng.events, handle_of(eng, slot), now, 0, EV_ESTABLISHED, 0, tcb.state)
    update_timers(eng, slot, was, act, now)
    if tcb.state == TIME_WAIT and was.state != TIME_WAIT:
        events_add(&eng.events, handle_of(eng, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)


cdef void end_quietly(EngineState* eng, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil:
    """Remove a block that the law was not asked about."""
    cdef PriorState was
    save_state(&was, &eng.pool.blocks[slot])
    if was.state == SYN_RECEIVED and was.bits & B_PASSIVE:
        destroy_half_open(eng, slot, &was, cause, 0, now)
    else:
        destroy(eng, slot, &was, cause, 0, now)


cdef void refuse(EngineState* eng, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil:
    eng.counters.causes[cause] += 1
    events_add(&eng.events, 0, now, listener, EV_REFUSED, cause, CLOSED)
