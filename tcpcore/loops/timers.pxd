# A TCB's two timers on its one entry of the timer wheel.
#
# The main timer (retransmission, persist, FIN-WAIT-2, TIME-WAIT, or while there is none of them keepalive)
# and the side timer (delayed ACK, output due now) may run at once. The wheel holds one entry per TCB, so it
# gets the earlier of the two, and the cold record keeps the later one; when the entry fires, the later one
# takes its place (advance.pyx).
from libc.stdint cimport int64_t, uint8_t, uint32_t

from tcpcore.base.prefetch cimport likely, unlikely
from tcpcore.records.action cimport OP_ARM, OP_CANCEL, Action
from tcpcore.records.tcb cimport B_COLD, LATER_SHIFT, T_NONE, Cold, Tcb, is_side, ticks_from
from tcpcore.tcp.liveness cimport has_liveness
from tcpcore.tcp.rto cimport tick_up
from tcpcore.components.timer_wheel cimport wheel_arm, wheel_cancel
from tcpcore.loops.state cimport EngineState

cdef void disarm(EngineState* eng, uint32_t slot) noexcept nogil
cdef void rest(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil
cdef void set_both(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil
cdef void begin_lingering(EngineState* eng, uint32_t slot, uint32_t seconds, int64_t now,
                          Action* act) noexcept nogil
cdef void keep_lingering(EngineState* eng, uint32_t slot, int64_t now, Action* act) noexcept nogil
cdef bint lingering_ends(EngineState* eng, uint32_t slot, uint8_t kind, Action* act) noexcept nogil
cdef void forget_lingering(EngineState* eng, uint32_t slot) noexcept nogil


cdef inline int64_t later_tick(const Cold* cold, int64_t first) noexcept nogil:
    """The absolute tick of the later timer, where the earlier one is due at `first`."""
    return first + (-ticks_from(first, cold.later, cold.later_high, cold.highest, LATER_SHIFT)
                    & (<int64_t>1 << 43) - 1)


cdef inline void arm(EngineState* eng, uint32_t slot, uint8_t kind, int64_t tick) noexcept nogil:
    """Put this TCB's entry of the wheel at `tick`, as a timer of this kind."""
    eng.pool.blocks[slot].timer = kind
    wheel_arm(&eng.wheel, slot, tick)


cdef inline void stop_timer(EngineState* eng, uint32_t slot) noexcept nogil:
    """Stop the only timer that runs."""
    wheel_cancel(&eng.wheel, slot)
    eng.pool.blocks[slot].timer = T_NONE


cdef inline void set_timers(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """Carry out the timer operations of an action."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef bint two = is_side(tcb.timer) or (tcb.bits & B_COLD and cold.later_timer != T_NONE)
    if likely(act.side_op != OP_ARM and not two):
        if act.main_op == OP_ARM:
            arm(eng, slot, act.main_kind, tick_up(now) + act.main_timeout)
        elif act.main_op == OP_CANCEL:
            if unlikely(has_liveness(tcb, cold)):
                rest(eng, slot, now)
            elif tcb.timer != T_NONE:
                stop_timer(eng, slot)
        return
    set_both(eng, slot, act, now)
