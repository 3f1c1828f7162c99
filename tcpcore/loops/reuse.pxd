# When connect() may replace a TIME-WAIT with timestamps under a port that it chose: tcp_tw_reuse.
#
# Inline: asked by the connect loop, and told to components/ports by whoever sees a TCB enter TIME-WAIT, so
# that a search for a port need not look at those that are too young.
# Source: RFC 6191; Linux tcp_twsk_unique.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.tcb cimport B_EPHEMERAL, B_TS, TICK_NS, Tcb
from tcpcore.components.ports cimport ports_given_up
from tcpcore.loops.state cimport EngineState


cdef inline bint time_wait_reusable(const EngineState* eng, uint32_t laddr) noexcept nogil:
    """Whether tcp_tw_reuse lets a chosen port take over a TIME-WAIT: 1 always, 2 on loopback."""
    return eng.knobs.tcp_tw_reuse == 1 or (eng.knobs.tcp_tw_reuse == 2 and laddr >> 24 == 127)


cdef inline int64_t replaceable_at(const EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """The tick from which tcp_tw_reuse lets this TIME-WAIT with timestamps be replaced."""
    cdef int64_t tick = now // TICK_NS
    cdef int64_t recent_at = tick - <uint32_t>(<uint32_t>tick - eng.pool.stamps[slot].recent_at)
    return recent_at - recent_at % eng.knobs.tw_reuse_clock_ms + eng.knobs.tcp_tw_reuse_delay


cdef inline void note_time_wait(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """Tell the port allocator of a TCB that has just entered TIME-WAIT, if connect() may replace it."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef int64_t ripe
    if tcb.bits & B_EPHEMERAL and tcb.bits & B_TS and time_wait_reusable(eng, tcb.laddr):
        ripe = replaceable_at(eng, slot, now)
        ports_given_up(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport,
                       ripe if ripe > now // TICK_NS else now // TICK_NS)
