"""The timer loop: every timer that is due fires, in order, as if `now` were its deadline.

Not here: what a timeout means (tcp/timeouts), nor the order (components/timer_wheel).
Invariant: timers armed while one fires are seen in the same pass if they are due.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memset

from tcpcore.base.chunk_list cimport ChunkList, chunk_peek
from tcpcore.base.prefetch cimport likely, prefetch, unlikely
from tcpcore.records.action cimport E_DEAD, Action
from tcpcore.records.counters cimport CauseListenerClosed, Mib, NoCause, count_n
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.tcb cimport (
    B_COLD, B_MATURE, B_PASSIVE, B_TIMING, SYN_RECEIVED, TICK_NS, TIME_WAIT, T_NONE, T_TIME_WAIT, Cold,
    Tcb,
)
from tcpcore.tcp.timeouts cimport timer_expired
from tcpcore.components.flow_table cimport flow_ahead_bucket
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Burst, Listener, burst_update, listener_at, listener_burst,
)
from tcpcore.components.syn_policy cimport Pressure, policy_burst, policy_synack_retries
from tcpcore.components.timer_wheel cimport wheel_ahead, wheel_near, wheel_near_list, wheel_pop
from tcpcore.loops.apply cimport (
    PriorState, apply_action, begin_action, destroy, remove_connection, save_state, save_state_hashed,
)
from tcpcore.loops.calls cimport reset_orphan, too_many_orphans
from tcpcore.loops.passive cimport pressure_on
from tcpcore.loops.silence cimport age_timing
from tcpcore.loops.state cimport tcb_hash
from tcpcore.loops.timers cimport arm, later_tick, lingering_ends

cdef enum:
    MOST_AHEAD = 8            # timers of one tick that timers_ahead looks at; prefetch_timers sees the others


cdef uint32_t fire_judged(EngineState* eng, uint32_t slot, PriorState* prior, int64_t now,
                          Segment* rows) noexcept nogil:
    """Have the state machine judge a timeout. Returns the rows written, at most one."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef uint8_t kind = tcb.timer, most = 0, defer = 0
    cdef uint64_t number
    cdef Burst* burst = NULL
    cdef Listener* listener
    cdef Pressure pressure
    cdef Action act
    cdef Ranges scratch
    tcb.timer = T_NONE
    if tcb.bits & B_COLD and cold.later_timer != T_NONE:
        arm(eng, slot, cold.later_timer, later_tick(cold, now // TICK_NS))
        cold.later_timer = T_NONE
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        if listener.state != LISTENER_OPEN:
            remove_connection(eng, slot, CauseListenerClosed, now)
            return 0
        pressure = pressure_on(eng, listener)
        number = policy_burst(&eng.knobs, now)
        if number:
            burst = listener_burst(&eng.listeners, tcb.listener, number)
            pressure.half_open = burst.half_open
            pressure.young = burst.young
        most = policy_synack_retries(&pressure, &eng.knobs)
        defer = listener.defer
    begin_action(eng, &act, &scratch, slot, rows)
    act.defer = defer
    if unlikely(eng.lingering != 0) and lingering_ends(eng, slot, kind, &act):
        apply_action(eng, slot, prior, &act, now)
        return reset_orphan(eng, slot, now, rows) if too_many_orphans(eng) else 0
    timer_expired(tcb, cold, kind, most, &eng.knobs, now, &act)
    if tcb.bits & B_TIMING and not prior.bits & B_TIMING:
        age_timing(eng, slot, now // TICK_NS)
    if burst != NULL:
        burst_update(burst, act.effects & E_DEAD, not prior.bits & B_MATURE)
    apply_action(eng, slot, prior, &act, now)
    return act.n_rows


cdef uint32_t fire(EngineState* eng, uint32_t slot, const AheadHash* known, int64_t now,
                   Segment* rows) noexcept nogil:
    """Fire the timer of the TCB in this slot. Returns the rows written, at most one.

    The end of TIME-WAIT is taken out in front: there is nothing to judge, and it is what most timers are.
    """
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef PriorState prior
    if likely(known.ref == slot + 1):
        save_state_hashed(&prior, tcb, known.hash)
    else:
        save_state(&prior, tcb)
    if tcb.timer == T_TIME_WAIT and eng.predicting:
        tcb.timer = T_NONE
        destroy(eng, slot, &prior, NoCause, 0, now)
        return 0
    return fire_judged(eng, slot, &prior, now, rows)


cdef inline void prefetch_timers(EngineState* eng, AheadHash* ahead, uint32_t turn) noexcept nogil:
    """Prefetch for timers to come: TCBs 14 early; buckets, timestamps and cold records 8."""
    cdef uint32_t ref = wheel_ahead(&eng.wheel, 14)
    cdef AheadHash* known = &ahead[(turn + 8) & 15]
    if ref:
        prefetch(&eng.pool.blocks[ref - 1])
    known.ref = wheel_ahead(&eng.wheel, 8)
    if known.ref:
        known.hash = tcb_hash(eng, &eng.pool.blocks[known.ref - 1])
        flow_ahead_bucket(&eng.flows, known.hash)
        if eng.pool.blocks[known.ref - 1].state != TIME_WAIT:
            if eng.knobs.tcp_timestamps:
                prefetch(&eng.pool.stamps[known.ref - 1])
            if eng.pool.blocks[known.ref - 1].bits & B_COLD:
                prefetch(&eng.pool.colds[known.ref - 1])


cdef inline void timer_ahead(EngineState* eng, TimersAhead* ahead, int stage, uint32_t ref) noexcept nogil:
    """One stage, but for the first, for one timer."""
    cdef Tcb* tcb = &eng.pool.blocks[ref - 1]
    cdef uint32_t at = ref & (TIMERS_KEPT - 1)
    if stage == 1:
        prefetch(tcb)
    else:
        ahead.hashes[at].ref = ref
        ahead.hashes[at].hash = tcb_hash(eng, tcb)
        ahead.generations[at] = tcb.generation
        flow_ahead_bucket(&eng.flows, ahead.hashes[at].hash)
        if tcb.state != TIME_WAIT:
            if eng.knobs.tcp_timestamps:
                prefetch(&eng.pool.stamps[ref - 1])
            if tcb.bits & B_COLD:
                prefetch(&eng.pool.colds[ref - 1])


cdef void timers_ahead(EngineState* eng, TimersAhead* ahead, int stage, int64_t limit) noexcept nogil:
    """A stage of prefetching for the timers due by tick `limit`: as prefetch_timers, but across ticks."""
    cdef int64_t tick = ahead.asked[stage]
    cdef const ChunkList* entries
    cdef uint32_t ref, i
    if tick < eng.wheel.clock:
        tick = eng.wheel.clock
    ahead.asked[stage] = limit
    while True:
        tick = wheel_near(&eng.wheel, tick, limit)
        if tick < 0:
            break
        entries = wheel_near_list(&eng.wheel, tick)
        if stage == 0:
            prefetch(&eng.wheel.pool.words[entries.first])
            continue
        for i in range(MOST_AHEAD):
            ref = chunk_peek(&eng.wheel.pool, entries, i)
            if ref == 0:
                break
            timer_ahead(eng, ahead, stage, ref)


cdef inline const AheadHash* kept_hash(const EngineState* eng, const TimersAhead* far, uint32_t ref,
                                       const AheadHash* near) noexcept nogil:
    """The hash that timers_ahead has kept for this TCB, if there is one that is still true; else `near`."""
    cdef uint32_t at = ref & (TIMERS_KEPT - 1)
    if far.hashes[at].ref == ref and far.generations[at] == eng.pool.blocks[ref - 1].generation:
        return &far.hashes[at]
    return near


cdef inline Py_ssize_t fire_due(EngineState* eng, int64_t now, Segment* rows, int64_t* times, int64_t since,
                                const TimersAhead* far, Py_ssize_t room) noexcept nogil:
    """advance_to and advance_timed, whose `times` and `far` the compiler knows to be NULL or not."""
    cdef const AheadHash* known
    cdef Py_ssize_t written = 0
    cdef uint32_t more
    cdef int64_t when, limit = now // TICK_NS
    cdef uint32_t ref, turn = 0
    cdef AheadHash ahead[16]
    memset(ahead, 0, sizeof(ahead))
    while written < room:
        ref = wheel_pop(&eng.wheel, limit, &when)
        if ref == 0:
            break
        prefetch_timers(eng, ahead, turn)
        known = &ahead[turn & 15]
        if far != NULL and known.ref != ref:
            known = kept_hash(eng, far, ref, known)
        more = fire(eng, ref - 1, known, when * TICK_NS, rows + written)
        if times != NULL and more:
            times[written] = when * TICK_NS if when * TICK_NS > since else since
        written += more
        turn += 1
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef Py_ssize_t advance_to(EngineState* eng, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil:
    """Fire what is due at or before now, in order, while `rows` has room. Returns the rows written."""
    return fire_due(eng, now, rows, NULL, 0, NULL, room)


cdef Py_ssize_t advance_timed(EngineState* eng, int64_t now, Segment* rows, int64_t* times, int64_t since,
                              TimersAhead* far, Py_ssize_t room) noexcept nogil:
    """advance_to that also writes when each row was emitted (ns) to `times`.

    That is its timer's deadline, but not before `since`, the time of the call before: what falls due at once
    has a deadline that is rounded down to a tick.
    """
    return fire_due(eng, now, rows, times, since, far, room)
