# H
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely
from tcpcore.records.action cimport Action
from tcpcore.records.out_of_order cimport Ranges, ranges_empty
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport (
    B_COLD, B_FULL_SOCKET, B_ORPHAN, LINGERING, SYN_RECEIVED, TIME_WAIT, Cold, Tcb, in_set,
)
from tcpcore.tcp.output cimport is_time_wait_like
from tcpcore.components.range_pool cimport range_pool_at
from tcpcore.loops.state cimport EngineState
from tcpcore.loops.timers cimport set_timers

cdef struct PriorState:
    # what a block was before the law had it
    uint8_t state
    uint16_t bits
    bint hashed               # hash is the block's
    uint32_t hash

cdef void keep_ranges(EngineState* eng, uint32_t slot, const Action* act) noexcept nogil
cdef void enqueue(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil
cdef void join_accept_queue(EngineState* eng, uint32_t slot, const PriorState* was, int64_t now) noexcept nogil
cdef void destroy(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
               int64_t now) noexcept nogil
cdef void destroy_half_open(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
                         int64_t now) noexcept nogil
cdef void end_quietly(EngineState* eng, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil
cdef void apply_effects(EngineState* eng, uint32_t slot, const PriorState* was, Action* act,
                        int64_t now) noexcept nogil
cdef void refuse(EngineState* eng, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil


cdef inline bint counts_as_orphan(uint8_t state, uint16_t bits) noexcept nogil:
    return bits & B_ORPHAN and state != TIME_WAIT


cdef inline void save_state(PriorState* was, const Tcb* tcb) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = False


cdef inline void save_state_hashed(PriorState* was, const Tcb* tcb, uint32_t hash) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = True
    was.hash = hash


cdef inline void begin_action(EngineState* eng, Action* act, Ranges* scratch, uint32_t slot, Segment* rows) noexcept nogil:
    """An empty action for the block in this slot."""
    cdef Cold* cold = &eng.pool.colds[slot]
    memset(act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &eng.counters
    act.stamp = &eng.pool.stamps[slot]
    if in_set(eng.pool.blocks[slot].state, LINGERING):
        act.tw_full = eng.counts[TIME_WAIT] + eng.time_wait_like >= eng.knobs.tcp_max_tw_buckets
    if eng.pool.blocks[slot].bits & B_COLD and cold.ranges:
        act.ranges = range_pool_at(&eng.ranges, cold.ranges)
    else:
        scratch.n = 0
        scratch.has_fin = 0
        act.ranges = scratch


cdef inline void count_change(EngineState* eng, const Tcb* tcb, const PriorState* was) noexcept nogil:
    """Gauges after a transition that did not end the connection."""
    if tcb.state == was.state and not (tcb.bits ^ was.bits) & (B_ORPHAN | B_FULL_SOCKET):
        return
    eng.counts[was.state] -= 1
    eng.counts[tcb.state] += 1
    if (tcb.bits | was.bits) & B_ORPHAN:
        eng.orphans += counts_as_orphan(tcb.state, tcb.bits) - counts_as_orphan(was.state, was.bits)
        eng.time_wait_like += is_time_wait_like(tcb.state, tcb.bits, &eng.knobs) - is_time_wait_like(was.state, was.bits, &eng.knobs)


cdef inline bint in_pool(const EngineState* eng, const Ranges* ranges) noexcept nogil:
    return eng.ranges.records <= ranges < eng.ranges.records + eng.ranges.capacity


cdef inline void update_timers(EngineState* eng, uint32_t slot, const PriorState* was, const Action* act,
                          int64_t now) noexcept nogil:
    """What every block that lives on needs: its ranges, its timers, its place in the counts."""
    if not ranges_empty(act.ranges) or in_pool(eng, act.ranges):
        keep_ranges(eng, slot, act)
    set_timers(eng, slot, act, now)
    count_change(eng, &eng.pool.blocks[slot], was)


cdef inline void apply_action(EngineState* eng, uint32_t slot, const PriorState* was, Action* act,
                        int64_t now) noexcept nogil:
    """Do what the action says; act.n_rows rows stay in the output."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if likely(not act.effects and not act.challenge and was.state != SYN_RECEIVED and tcb.state != TIME_WAIT):
        update_timers(eng, slot, was, act, now)
    else:
        apply_effects(eng, slot, was, act, now)
