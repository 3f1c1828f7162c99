"""Other knobs for an engine in use, as a host's `sysctl -w`.

The state machine and the loops read most knobs when something happens, so that to write the struct is enough.
Here is what follows from a knob besides: which eviction queues there are, and from when on the port search
may look at a TIME-WAIT. Not here: which knobs may change (`live` in knobs.py), the checks of their values.
Invariant: an engine whose knobs were changed answers what comes like one created with them.
Source: Documentation/networking/ip-sysctl.rst; the kernel reads these knobs where it uses them (READ_ONCE).
"""

from libc.stdint cimport uint32_t

from tcpcore.records.tcb cimport TIME_WAIT
from tcpcore.components.syncookie cimport OPT_ECN
from tcpcore.components.syn_policy cimport policy_eviction_scope
from tcpcore.loops.reuse cimport note_time_wait
from tcpcore.loops.state cimport drop_images


cdef bint change_knobs(EngineState* eng, const Knobs* knobs) noexcept nogil:
    """Give the engine these knobs; False, and nothing has changed, if they need other eviction queues.

    Whoever enters TIME-WAIT tells the port search from when on its port can be taken over by the rule of that
    moment (loops/reuse). Under another rule all are told again; a time that is too early costs one walk."""
    cdef bint rule_changes = (eng.knobs.tcp_tw_reuse != knobs.tcp_tw_reuse
                              or eng.knobs.tcp_tw_reuse_delay != knobs.tcp_tw_reuse_delay
                              or eng.knobs.tw_reuse_clock_ms != knobs.tw_reuse_clock_ms)
    cdef uint32_t slot
    if policy_eviction_scope(knobs) != eng.eviction_scope:
        return False
    eng.knobs = knobs[0]
    drop_images(eng)
    eng.cookies.offers = eng.cookies.offers & ~OPT_ECN | (OPT_ECN if knobs.tcp_ecn else 0)
    if rule_changes and eng.counts[TIME_WAIT] != 0:
        for slot in range(eng.pool.fresh):
            if eng.pool.blocks[slot].state == TIME_WAIT:
                note_time_wait(eng, slot, eng.now)
    return True
