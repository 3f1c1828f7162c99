# What a reset-all does to the server's connections, and to the clients that reconnect after it (S9.3, S9.4).
#
# Inline functions with the GIL, called once an event of the scenario.
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.stdlib cimport realloc

from tcpcore cimport engine_abort, engine_accept
from loadgen.sim.attempts cimport attempt_over, slot_of
from loadgen.sim.fill cimport Fill, Total, fill_drop, total_add
from loadgen.sim.link cimport link_emitted
from loadgen.sim.world cimport BATCH, F_SERVER_DONE, Acceptor, Attempt, Reset, Sim


cdef inline void all_gone(Total* total, Fill* fill, int64_t now) noexcept:
    """Nothing is left in a queue of those that `total` adds up."""
    total_add(total, -<int64_t>fill.now, now)
    fill_drop(fill, fill.now, now)


cdef inline void queue_emptied(Sim* sim, Acceptor* acceptor) noexcept:
    """Nothing waits in an accept queue any more."""
    acceptor.queued = 0
    all_gone(&sim.accepting, &acceptor.accepting, sim.now)


cdef inline uint16_t reset_noted(Sim* sim, key, within) except 0:
    """Note a reset-all after which clients reconnect: its number, from 1."""
    cdef Reset* resets
    if sim.resets_n == 0xFFFF:
        raise OverflowError("a run has at most 65,535 reset-all events with reconnect_within")
    resets = <Reset*>realloc(sim.resets, (sim.resets_n + 1) * sizeof(Reset))
    if resets == NULL:
        raise MemoryError("no memory for a reset-all")
    sim.resets = resets
    resets[sim.resets_n].at, resets[sim.resets_n].within, resets[sim.resets_n].key = sim.now, within, key
    sim.resets_n += 1
    return <uint16_t>sim.resets_n


cdef inline object abort_all(Sim* sim, key, within):
    """Reset all connections that the server's application and its accept queues have: their number."""
    cdef uint32_t i
    cdef Py_ssize_t n
    cdef Attempt* a
    cdef Acceptor* acceptor
    cdef uint16_t reset = 0 if within is None else reset_noted(sim, key, within)
    for i in range(sim.acceptors_n):                  # abort() is for what has been accepted
        acceptor = &sim.acceptors[i]
        while acceptor.queued > 0:
            n = engine_accept(sim.hosts[acceptor.host].engine, acceptor.listener, sim.conns, BATCH)
            if n <= 0:
                raise RuntimeError(f"an accept queue of {acceptor.queued} gave {n}")
            acceptor.queued -= <uint32_t>n
        queue_emptied(sim, acceptor)
    theirs = []
    for i in range(sim.attempts_fresh):
        a = &sim.attempts[i]
        if a.server != 0 and not a.flags & F_SERVER_DONE:
            theirs.append((a.server_host, slot_of(a.server), i))
    for _, _, i in sorted(theirs):                    # not by places, which depend on what else has begun
        a = &sim.attempts[i]
        if reset:
            a.reset_by = reset
        link_emitted(sim, a.server_host, engine_abort(
            sim.hosts[a.server_host].engine, &a.server, 1, sim.now, sim.out, 2 * BATCH))
        a.flags |= F_SERVER_DONE
        attempt_over(sim, i)
    return len(theirs)
