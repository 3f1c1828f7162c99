"""Half-open entries of a server that is watched: how long each stayed, and what became of those of a window.

Everything comes from the engine's own events: nothing here knows who is honest. The connection of a cookie
was no entry and is not on record. An entry belongs to the window (k, k + 1] in which it came, whenever its
answer came; the first window has those of time 0, too.
"""

from libc.stdint cimport int64_t

from tcpcore cimport EV_ESTABLISHED, EV_OPENED
from loadgen.sim.attempts cimport block_of, block_u4, slot_of
from loadgen.sim.histogram cimport histo_add
from loadgen.sim.world cimport LOOKS, Watch

cdef enum:
    # tcpcore.Cause, whose numbers are public
    CAUSE_EVICTED = 7
    CAUSE_EXPIRED = 8
    CAUSE_EMBRYONIC_RESET = 9
    CAUSE_LISTENER_CLOSED = 11


cdef inline size_t window_of(const Watch* watch, int64_t at) noexcept nogil:
    cdef size_t window = <size_t>((at + watch.window - 1) // watch.window)
    window = window - 1 if window > 0 else 0
    return window if window < watch.windows else watch.windows - 1


cdef void entry_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil:
    """An event of the server: opened, established or lost."""
    cdef Watch* watch = sim.watch
    cdef uint32_t slot = slot_of(event.conn)
    cdef bint known = watch.holder[slot] == event.conn
    cdef int64_t since = watch.since[slot] if known else sim.now
    if event.kind == EV_OPENED:
        watch.holder[slot] = event.conn
        watch.since[slot] = sim.now
        watch.added[window_of(watch, sim.now)] += 1
        if watch.sources_n < LOOKS:
            watch.sources[watch.sources_n] = block_u4(block_of(&sim.hosts[host], event.conn), sim.at_raddr)
            watch.sources_n += 1
    elif event.kind == EV_ESTABLISHED:
        if known:
            histo_add(&watch.answered, sim.now - since)
            watch.answered_of[window_of(watch, since)] += 1
            watch.holder[slot] = 0
    elif CAUSE_EVICTED <= event.cause <= CAUSE_LISTENER_CLOSED:
        histo_add(&watch.unanswered, sim.now - since)
        if event.cause == CAUSE_EVICTED:
            watch.evicted_of[window_of(watch, since)] += 1
        elif event.cause == CAUSE_EMBRYONIC_RESET:    # somebody is there
            watch.answered_of[window_of(watch, since)] += 1
        watch.holder[slot] = 0
