"""The rarer timer operations: both timers of a TCB at once, none of them any more, and the end of SO_LINGER.

A lingering close() ends at a tick of its own, and a TCB has one main timer: that is due no later, and what
was left of it follows once close() has returned.
"""

from tcpcore.records.action cimport E_DEAD, OP_KEEP
from tcpcore.records.tcb cimport (
    FIN_WAIT_2, OUR_FIN, TICK_NS, T_DELACK, T_KEEPALIVE, T_OUTPUT, Liveness, in_set, main_kind, with_highest,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport keepalive_due, lingers, use_liveness
from tcpcore.tcp.output cimport arm_main_timer
from tcpcore.tcp.time_wait cimport enter_orphan_fin_wait_2
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
    if eng.pool.lives[slot].keepalive_at and not eng.pool.lives[slot].lingers:
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
        if (has_liveness(tcb, cold) and eng.pool.lives[slot].keepalive_at
                and not eng.pool.lives[slot].lingers):
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


# --- SO_LINGER ---------------------------------------------------------------------------

cdef void begin_lingering(EngineState* eng, uint32_t slot, uint32_t seconds, int64_t now,
                          Action* act) noexcept nogil:
    """close() with SO_LINGER has sent or queued our FIN, and waits so long for its ACK."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef Liveness* live = &eng.pool.lives[slot]
    cdef int64_t due
    use_liveness(tcb, cold, live)
    live.lingers = 1
    live.keepalive_at = tick_up(now) + 1000 * <int64_t>seconds
    live.linger_rest = 0
    eng.lingering += 1
    if act.main_op == OP_KEEP and main_kind(tcb, cold) != T_NONE:
        # it runs already: as if armed now, so that keep_lingering cuts it
        due = wheel_tick(&eng.wheel, tcb)
        if is_side(tcb.timer):
            due = later_tick(cold, due)
        due -= tick_up(now)
        arm_main_timer(act, main_kind(tcb, cold), <uint32_t>due if due > 0 else 0)


cdef void forget_lingering(EngineState* eng, uint32_t slot) noexcept nogil:
    """close() returns, if it is waiting for this connection: it is done, or it is an orphan."""
    cdef Liveness* live = &eng.pool.lives[slot]
    if lingers(&eng.pool.blocks[slot], &eng.pool.colds[slot], live):
        live.lingers = 0
        live.keepalive_at = 0
        live.linger_rest = 0
        eng.lingering -= 1


cdef void keep_lingering(EngineState* eng, uint32_t slot, int64_t now, Action* act) noexcept nogil:
    """Before an action is carried out: close() returns once our FIN is acknowledged, and what waits for the
    peer's is an orphan from then on (Linux: tcp_close, sk_stream_closing); until then the main timer is due
    no later than close() returns."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef Liveness* live = &eng.pool.lives[slot]
    cdef int64_t left
    if act.effects & E_DEAD or not lingers(tcb, cold, live):
        return
    if not in_set(tcb.state, OUR_FIN):
        forget_lingering(eng, slot)
        if tcb.state == FIN_WAIT_2:
            enter_orphan_fin_wait_2(tcb, cold, &eng.knobs, act)
    elif act.main_op == OP_ARM:
        left = live.keepalive_at - tick_up(now)
        if left < 0:
            left = 0                                  # it has passed and nobody called advance()
        live.linger_rest = 0
        if act.main_timeout > left:
            live.linger_rest = <uint32_t>(act.main_timeout - left)
            act.main_timeout = <uint32_t>left


cdef bint lingering_ends(EngineState* eng, uint32_t slot, uint8_t kind, Action* act) noexcept nogil:
    """True if the timer of this kind that has run out is the end of a lingering close(); the main timer is
    armed for what was left of it."""
    cdef const Liveness* live = &eng.pool.lives[slot]
    cdef uint32_t left = live.linger_rest
    if is_side(kind) or not lingers(&eng.pool.blocks[slot], &eng.pool.colds[slot], live) or left == 0:
        return False
    forget_lingering(eng, slot)
    arm_main_timer(act, kind, left)
    return True
