"""The timer loop: every timer that is due fires, in order, as if `now` were its deadline.

Not here: what a timeout means (tcp/timeouts), nor the order (components/timer_wheel).
Invariant: timers armed while one fires are seen in the same pass if they are due.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely, prefetch
from tcpcore.records.action cimport E_DEAD, Action
from tcpcore.records.counters cimport CauseListenerClosed, Mib, NoCause, count_n
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.tcb cimport (
    B_COLD, B_MATURE, B_PASSIVE, B_TIMING, SYN_RECEIVED, TICK_NS, TIME_WAIT, T_NONE, T_TIME_WAIT, Cold,
    Tcb,
)
from tcpcore.tcp.timeouts cimport timer_expired
from tcpcore.components.flow_table cimport flow_ahead_first, flow_ahead_head
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Burst, Listener, burst_update, listener_at, listener_burst,
)
from tcpcore.components.syn_policy cimport Pressure, policy_burst, policy_synack_retries
from tcpcore.components.timer_wheel cimport wheel_ahead, wheel_pop
from tcpcore.loops.apply cimport (
    PriorState, apply_action, begin_action, destroy, remove_connection, save_state, save_state_hashed,
)
from tcpcore.loops.passive cimport pressure_on
from tcpcore.loops.silence cimport age_timing
from tcpcore.loops.state cimport tcb_hash
from tcpcore.loops.timers cimport arm, later_tick

cdef struct AheadHash:
    # the hash of a TCB's 4-tuple, computed while its flow table head is prefetched
    uint32_t ref
    uint32_t hash


cdef uint32_t fire_judged(EngineState* eng, uint32_t slot, PriorState* prior, int64_t now,
                          Segment* rows) noexcept nogil:
    """Have the state machine judge a timeout. Returns the rows written, at most one."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef uint8_t kind = tcb.timer, most = 0
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
    begin_action(eng, &act, &scratch, slot, rows)
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
    """Prefetch for timers to come: TCBs 14 early; heads, timestamps and cold records 8; chains 4."""
    cdef uint32_t ref = wheel_ahead(&eng.wheel, 14)
    cdef AheadHash* known = &ahead[(turn + 8) & 15]
    if ref:
        prefetch(&eng.pool.blocks[ref - 1])
    known.ref = wheel_ahead(&eng.wheel, 8)
    if known.ref:
        known.hash = tcb_hash(eng, &eng.pool.blocks[known.ref - 1])
        flow_ahead_head(&eng.flows, known.hash)
        if eng.pool.blocks[known.ref - 1].state != TIME_WAIT:
            if eng.knobs.tcp_timestamps:
                prefetch(&eng.pool.stamps[known.ref - 1])
            if eng.pool.blocks[known.ref - 1].bits & B_COLD:
                prefetch(&eng.pool.colds[known.ref - 1])
    flow_ahead_first(&eng.flows, ahead[(turn + 4) & 15].hash)


cdef Py_ssize_t advance_to(EngineState* eng, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil:
    """Fire what is due at or before now, in order, while `rows` has room. Returns the rows written."""
    cdef Py_ssize_t written = 0
    cdef int64_t when, limit = now // TICK_NS
    cdef uint32_t ref, turn = 0
    cdef AheadHash ahead[16]
    memset(ahead, 0, sizeof(ahead))
    while written < room:
        ref = wheel_pop(&eng.wheel, limit, &when)
        if ref == 0:
            break
        prefetch_timers(eng, ahead, turn)
        written += fire(eng, ref - 1, &ahead[turn & 15], when * TICK_NS, rows + written)
        turn += 1
    count_n(&eng.counters, Mib.OutSegs, written)
    return written
