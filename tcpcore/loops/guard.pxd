# What every call on an engine does before its loop and after it, from Python, Cython and C alike: mark the
# engine busy, check the time, set the clock, and let others in again.
#
# Invariant: between guard_enter() and guard_leave() no other call enters, from any thread; until
# guard_start() nothing has changed but the mark.
from libc.stdint cimport int64_t

from tcpcore.base.atomic cimport atomic_exchange, atomic_load, atomic_release
from tcpcore.records.tcb cimport TICK_NS
from tcpcore.loops.silence cimport follow_clock
from tcpcore.loops.state cimport EngineState

cdef enum:
    TIME_BITS = 62            # times are 0 .. 2**62 ns, 146 years: every deadline after the last still fits

cdef enum Entry:
    ENTERED = 0
    ENTRY_BUSY = 1            # a call is under way in another thread or further up the stack
    ENTRY_TIME_BACK = 2       # the time lies before the engine's


cdef inline bint is_time(int64_t at) noexcept nogil:
    """A time that a caller may give, 0 .. 2**62 ns."""
    return 0 <= at <= <int64_t>1 << TIME_BITS


cdef inline Entry guard_enter(EngineState* eng, int64_t at) noexcept nogil:
    """Mark the engine busy for a call at this time; guard_leave() must follow if it says ENTERED."""
    if atomic_exchange(&eng.busy, 1):
        return ENTRY_BUSY
    if at < eng.now:
        atomic_release(&eng.busy)
        return ENTRY_TIME_BACK
    return ENTERED


cdef inline Entry guard_enter_now(EngineState* eng) noexcept nogil:
    """Mark the engine busy for a call that has no time of its own; guard_leave() must follow if ENTERED."""
    return ENTRY_BUSY if atomic_exchange(&eng.busy, 1) else ENTERED


cdef inline void guard_start(EngineState* eng, int64_t at) noexcept nogil:
    """Set the clock: from here on the call changes the state and does not fail."""
    eng.now = at
    follow_clock(eng, at // TICK_NS)


cdef inline void guard_leave(EngineState* eng) noexcept nogil:
    """Let others in again."""
    atomic_release(&eng.busy)


cdef inline bint is_busy(const EngineState* eng) noexcept nogil:
    return atomic_load(&eng.busy) != 0
