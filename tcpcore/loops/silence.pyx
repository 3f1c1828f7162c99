"""Times kept in 32 bits, in an engine whose clock jumps or whose timers nobody fires.

What only a segment asks for is kept as the low 32 bits of a tick, so that an age past 2**31 or 2**32 ticks
(24.8 or 49.7 days) would be taken for another. Every 6.2 days of virtual time, at the first call after them,
the clock of the wheel follows the time of the calls, with what is overdue set aside, and each such time that
is older than any rule asks for is made as old as that. It costs a walk over all TCBs, and happens at most
once in those days. What a timer asks for, which may fire long after it was due, is kept in 43 or 48 bits.
Invariant: a silence of any length is what it is to every call after it.
"""

from libc.stdint cimport int32_t

from tcpcore.records.tcb cimport (
    B_COLD, B_CROSSED, B_PASSIVE, B_RESEND_SYN, B_TIMING, B_TS, CLOSED, OPENING, T_NONE, Cold, Tcb,
    Timestamps, in_set,
)
from tcpcore.components.ports cimport ports_after_silence
from tcpcore.components.timer_wheel cimport is_overdue, wheel_catch_up, wheel_tick

cdef enum:
    OLD_STAMP = 0x7FFFFFFF    # more than the 24 days of RFC 7323 5.5 and than any knob in ms
    OLD_SAMPLE = 1 << 29      # more than the longest round trip that is kept


cdef inline uint32_t not_older(uint32_t low, int64_t followed, int64_t tick, int64_t most) noexcept nogil:
    """A time kept in 32 bits, made at most `most` before `tick`; at `followed` it was no older than 2**31."""
    cdef int64_t whole = followed + <int32_t>(low - <uint32_t>followed)
    return <uint32_t>(whole if tick - whole <= most else tick - most)


cdef void age_timing(EngineState* eng, uint32_t slot, int64_t tick) noexcept nogil:
    """A timer that was due at `tick` has sent text that is timed from then on. If it was long overdue the
    sample will be the longest there is, and 32 bits could not tell it."""
    if eng.followed - tick > OLD_SAMPLE:
        eng.pool.colds[slot].rtt_at = <uint32_t>(eng.followed - OLD_SAMPLE)


cdef void after_silence(EngineState* eng, int64_t tick) noexcept nogil:
    """Bring the wheel's clock and the 32-bit times of all TCBs up to `tick`."""
    cdef Tcb* tcb
    cdef Cold* cold
    cdef Timestamps* stamp
    cdef uint32_t slot
    if eng.wheel.clock < tick:
        wheel_catch_up(&eng.wheel, tick)
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == CLOSED:
            continue
        if tcb.bits & B_TS:
            stamp = &eng.pool.stamps[slot]
            stamp.recent_at = not_older(stamp.recent_at, eng.followed, tick, OLD_STAMP)
        if tcb.bits & B_COLD:
            cold = &eng.pool.colds[slot]
            cold.ack_war_at = not_older(cold.ack_war_at, eng.followed, tick, OLD_STAMP)
            cold.oow_at = not_older(cold.oow_at, eng.followed, tick, OLD_STAMP)
            if tcb.bits & B_TIMING and not (in_set(tcb.state, OPENING) and tcb.bits & B_PASSIVE):
                cold.rtt_at = not_older(cold.rtt_at, eng.followed, tick, OLD_SAMPLE)
        if (in_set(tcb.state, OPENING) and tcb.retries == 0 and not tcb.bits & B_RESEND_SYN
                and (not tcb.bits & B_CROSSED or tcb.bits & B_PASSIVE)            # B_DEFERRED
                and tcb.timer != T_NONE and is_overdue(tcb)
                and tick - wheel_tick(&eng.wheel, tcb) > OLD_SAMPLE):
            tcb.deadline = <uint32_t>(tick - OLD_SAMPLE)   # which tells the round trip; the heap has the tick
    ports_after_silence(&eng.ports, eng.followed, tick)
    eng.followed = tick
