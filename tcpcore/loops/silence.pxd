# What time does to an engine that nobody calls, or whose timers nobody fires: see silence.pyx.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.components.timer_wheel cimport wheel_start
from tcpcore.loops.state cimport EngineState

cdef enum:
    LONG_SILENCE = 1 << 29    # ticks, 6.2 days: two of them and the longest timeout stay below 2**31

cdef void age_timing(EngineState* eng, uint32_t slot, int64_t tick) noexcept nogil
cdef void after_silence(EngineState* eng, int64_t tick) noexcept nogil


cdef inline void follow_clock(EngineState* eng, int64_t tick) noexcept nogil:
    """The time of a call that begins; deadlines are kept relative to the wheel's clock."""
    if eng.wheel.live == 0:
        wheel_start(&eng.wheel, tick)
    if tick - eng.followed >= LONG_SILENCE:
        after_silence(eng, tick)
