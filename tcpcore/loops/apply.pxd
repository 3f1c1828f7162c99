# Carrying out what the state machine decided about one TCB.
#
#   begin_action    an empty Action, with what the state machine may know of the rest of the engine
#   save_state      what the counts need to know of the TCB before it is changed
#   drop_unwanted   what nobody subscribed to is no effect
#   apply_action    timers, counts, queues, events, or the end of the connection
#
# Inline is what most segments need: a TCB that stays, in a state that no queue counts. The rest is in
# apply.pyx.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely, unlikely
from tcpcore.records.action cimport Action
from tcpcore.records.out_of_order cimport Ranges, ranges_empty
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport (
    B_COLD, B_EPHEMERAL, B_FULL_SOCKET, B_ORPHAN, B_PASSIVE, LINGERING, SYN_RECEIVED, TIME_WAIT, Cold, Tcb,
    in_set,
)
from tcpcore.tcp.predict cimport Predicted
from tcpcore.tcp.time_wait cimport is_time_wait_like
from tcpcore.components.ports cimport in_port_range
from tcpcore.components.range_pool cimport range_pool_at
from tcpcore.loops.state cimport EngineState
from tcpcore.loops.timers cimport keep_lingering, set_timers

cdef struct PriorState:
    # what a TCB was before the state machine changed it
    uint8_t state
    uint16_t bits
    bint hashed               # hash is valid
    uint32_t hash

cdef void keep_ranges(EngineState* eng, uint32_t slot, const Action* act) noexcept nogil
cdef void enqueue(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil
cdef void join_accept_queue(EngineState* eng, uint32_t slot, const PriorState* prior,
                            int64_t now) noexcept nogil
cdef void destroy(EngineState* eng, uint32_t slot, const PriorState* prior, uint8_t cause, uint8_t error,
                  int64_t now) noexcept nogil
cdef void destroy_half_open(EngineState* eng, uint32_t slot, const PriorState* prior, uint8_t cause,
                            uint8_t error, int64_t now) noexcept nogil
cdef void remove_connection(EngineState* eng, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil
cdef void apply_effects(EngineState* eng, uint32_t slot, const PriorState* prior, Action* act,
                        int64_t now) noexcept nogil
cdef void tell_predicted(EngineState* eng, uint32_t slot, Predicted outcome, int64_t now) noexcept nogil
cdef void release_bound(EngineState* eng, const Tcb* tcb, uint8_t state) noexcept nogil
cdef void refuse(EngineState* eng, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil


cdef inline bint binds_port(const EngineState* eng, const Tcb* tcb, uint8_t state) noexcept nogil:
    """Whether a connection in this state has a port of the range, neither from a search nor of a listener
    that there still is. A half-open entry has none (Linux: request sockets are in no inet_bind_bucket)."""
    return (in_port_range(&eng.ports, tcb.lport) and not tcb.bits & B_EPHEMERAL
            and not (state == SYN_RECEIVED and tcb.bits & B_PASSIVE))


cdef inline bint counts_as_orphan(uint8_t state, uint16_t bits) noexcept nogil:
    """Whether the gauge `orphans` counts it."""
    return bits & B_ORPHAN and state != TIME_WAIT


cdef inline void save_state(PriorState* prior, const Tcb* tcb) noexcept nogil:
    """Note what a TCB is before it is changed."""
    prior.state = tcb.state
    prior.bits = tcb.bits
    prior.hashed = False


cdef inline void save_state_hashed(PriorState* prior, const Tcb* tcb, uint32_t hash) noexcept nogil:
    """save_state where the hash of the 4-tuple is known, so that the end need not compute it."""
    prior.state = tcb.state
    prior.bits = tcb.bits
    prior.hashed = True
    prior.hash = hash


cdef inline void begin_action(EngineState* eng, Action* act, Ranges* scratch, uint32_t slot,
                              Segment* rows) noexcept nogil:
    """An empty action for the TCB in this slot; `scratch` is its ranges while it has no record of them."""
    cdef Cold* cold = &eng.pool.colds[slot]
    memset(act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &eng.counters
    act.stamp = &eng.pool.stamps[slot]
    act.live = &eng.pool.lives[slot]
    if in_set(eng.pool.blocks[slot].state, LINGERING):
        act.tw_full = eng.counts[TIME_WAIT] + eng.time_wait_like >= eng.knobs.tcp_max_tw_buckets
    if eng.pool.blocks[slot].bits & B_COLD and cold.ranges:
        act.ranges = range_pool_at(&eng.ranges, cold.ranges)
    else:
        scratch.n = 0
        act.ranges = scratch


cdef inline void count_change(EngineState* eng, const Tcb* tcb, const PriorState* prior) noexcept nogil:
    """Update the gauges after a transition that did not end the connection."""
    if tcb.state == prior.state and not (tcb.bits ^ prior.bits) & (B_ORPHAN | B_FULL_SOCKET):
        return
    eng.counts[prior.state] -= 1
    eng.counts[tcb.state] += 1
    if (tcb.bits | prior.bits) & B_ORPHAN:
        eng.orphans += counts_as_orphan(tcb.state, tcb.bits) - counts_as_orphan(prior.state, prior.bits)
        eng.time_wait_like += (is_time_wait_like(tcb.state, tcb.bits, &eng.knobs)
                               - is_time_wait_like(prior.state, prior.bits, &eng.knobs))


cdef inline bint in_pool(const EngineState* eng, const Ranges* ranges) noexcept nogil:
    """Whether this is a record of the pool, not somebody's scratch."""
    return eng.ranges.records <= ranges < eng.ranges.records + eng.ranges.capacity


cdef inline void update_live(EngineState* eng, uint32_t slot, const PriorState* prior, const Action* act,
                             int64_t now) noexcept nogil:
    """Keep the ranges, set the timers and update the gauges of a TCB that stays."""
    if not ranges_empty(act.ranges) or in_pool(eng, act.ranges):
        keep_ranges(eng, slot, act)
    set_timers(eng, slot, act, now)
    count_change(eng, &eng.pool.blocks[slot], prior)


cdef inline void drop_unwanted(const EngineState* eng, Action* act) noexcept nogil:
    """Take E_READABLE, E_EOF and E_WRITABLE out of the effects where nobody subscribed to them."""
    act.effects &= eng.effects_wanted


cdef inline void apply_action(EngineState* eng, uint32_t slot, const PriorState* prior, Action* act,
                              int64_t now) noexcept nogil:
    """Carry out an action; act.n_rows of its rows stay in the output."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if unlikely(eng.lingering != 0):
        keep_lingering(eng, slot, now, act)
    if likely(not act.effects and not act.challenge and prior.state != SYN_RECEIVED
              and tcb.state != TIME_WAIT):
        update_live(eng, slot, prior, act, now)
    else:
        apply_effects(eng, slot, prior, act, now)
