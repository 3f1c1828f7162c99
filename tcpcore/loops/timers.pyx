"""The rarer timer operations: both timers of a TCB at once, and none of them any more."""

from tcpcore.records.tcb cimport TICK_NS, T_DELACK, T_KEEPALIVE, T_OUTPUT, with_highest
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport keepalive_due
from tcpcore.components.timer_wheel cimport wheel_tick


cdef void disarm(EngineState* eng, uint32_t slot) noexcept nogil:
    """Stop both timers."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef bint armed = tcb.timer != T_NONE
    if tcb.bits & B_COLD:
        eng.pool.colds[slot].later_timer = T_NONE
    tcb.timer = T_NONE
    if armed:
        wheel_cancel(&eng.wheel, slot)                # last, so that its rare call is a jump: 8 instructions


cdef void rest(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """Nothing is in flight or queued any more, and no side timer runs: the keepalive timer, if asked for."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if eng.pool.lives[slot].keepalive_at:
        arm(eng, slot, T_KEEPALIVE, keepalive_due(&eng.pool.lives[slot], &eng.knobs, now))
    elif tcb.timer != T_NONE:
        stop_timer(eng, slot)


cdef void keep_later(Cold* cold, int64_t tick) noexcept nogil:
    """Keep the tick of the later timer."""
    cold.later = <uint32_t>tick
    cold.later_high = <uint8_t>(tick >> 32)
    cold.highest = with_highest(cold.highest, tick, LATER_SHIFT)


cdef void set_both(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """Carry out an action where both timers may run: the earlier one goes to the wheel (the side timer on a
    tie), the later one into the cold record."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef uint8_t main = T_NONE, side = T_NONE
    cdef int64_t main_at = 0, side_at = 0, first = 0
    use_cold(tcb, cold)
    if tcb.timer != T_NONE:
        first = wheel_tick(&eng.wheel, tcb)
    if is_side(tcb.timer):
        side = tcb.timer
        side_at = first
        main = cold.later_timer
        main_at = later_tick(cold, first)
    else:
        main = tcb.timer
        main_at = first
        side = cold.later_timer
        side_at = later_tick(cold, first)
    if act.main_op == OP_ARM:
        main = act.main_kind
        main_at = tick_up(now) + act.main_timeout
    elif act.main_op == OP_CANCEL:
        main = T_NONE
        if has_liveness(tcb, cold) and eng.pool.lives[slot].keepalive_at:
            main = T_KEEPALIVE
            main_at = keepalive_due(&eng.pool.lives[slot], &eng.knobs, now)
    if act.side_op == OP_ARM:
        side = act.side_kind
        # output is due now, not at the next tick
        side_at = now // TICK_NS if side == T_OUTPUT else tick_up(now) + act.side_timeout
    elif act.side_op == OP_CANCEL or (side == T_DELACK and act.n_rows):
        side = T_NONE
    if main == T_NONE and side == T_NONE:
        disarm(eng, slot)
        return
    if main == T_NONE or (side != T_NONE and side_at <= main_at):
        cold.later_timer = main
        keep_later(cold, main_at)
        main = side
        main_at = side_at
    else:
        cold.later_timer = side
        keep_later(cold, side_at)
    if tcb.timer != main or first != main_at or act.main_op == OP_ARM:
        arm(eng, slot, main, main_at)
