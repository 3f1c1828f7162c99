# A load that a function in Python plays: it begins connections, sends, closes, and is told what happened.
#
# Inline functions with the GIL. They are called between two instants; what they ask for happens after all
# else of the instant `sim.now`.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from loadgen.sim.attempts cimport attempt_begin, collect
from loadgen.sim.clients cimport client_closes, client_sends, connects_flush
from loadgen.sim.hosts cimport host_timer
from loadgen.sim.link cimport closes_flush
from loadgen.sim.world cimport (
    F_CLIENT_DONE, F_CLIENT_RESETS, F_CONNECTED, F_DUE, F_GAVE_UP, F_REFUSED, F_RESET, N_CONNECTED, NOBODY,
    N_READ, SOUND, Attempt, Load, Sim,
)


cdef inline int played_done(Sim* sim, uint32_t host) except -1:
    """A call was made on an engine of the clients."""
    closes_flush(sim)
    host_timer(sim, host)
    collect(sim, host)
    if sim.failed != SOUND:
        raise RuntimeError(f"an engine refused a call at {sim.now} ns, or there is no memory")
    return 0


cdef inline tuple played_begins(Sim* sim, uint32_t number, uint32_t client, uint32_t destination):
    """A connection from this address: its number in the load, and its place with its stamp."""
    cdef Load* load = &sim.loads[number]
    cdef uint64_t n = load.begun
    cdef uint32_t i = attempt_begin(sim, number, n), stamp, host = sim.servers + client // sim.addrs_per_host
    cdef Attempt* a
    if i == NOBODY:
        raise MemoryError("no memory for a connection")
    load.begun += 1
    a = &sim.attempts[i]
    stamp = a.stamp
    a.addr, a.destination, a.client_host = sim.first_addr + client, <uint16_t>destination, host
    sim.who[0] = i
    connects_flush(sim, host, 1)
    played_done(sim, host)
    return n, <uint64_t>stamp << 32 | i


cdef inline bint played_acts(Sim* sim, uint64_t handle, int64_t nbytes) except -1:
    """Send, close (0) or reset (-1), if the client still has the connection; one to send on is connected."""
    cdef Attempt* a = &sim.attempts[<uint32_t>handle]
    cdef uint32_t host = a.client_host
    if a.stamp != handle >> 32 or a.flags & F_CLIENT_DONE or (nbytes > 0 and not a.flags & F_CONNECTED):
        return False
    if nbytes > 0:
        client_sends(sim, <uint32_t>handle, <uint32_t>nbytes)
    else:
        if nbytes < 0:
            a.flags |= F_DUE | F_CLIENT_RESETS
        client_closes(sim, <uint32_t>handle)
    played_done(sim, host)
    return True


cdef inline list played_notes(Sim* sim):
    """(number, kind, at, bytes or why) of each, which are forgotten here."""
    cdef size_t k
    why = {0: "closed", F_REFUSED: "refused", F_RESET: "reset", F_GAVE_UP: "gave up"}
    found = []
    for k in range(sim.notes_n):
        at, what = sim.notes[k].at, sim.notes[k].what
        if sim.notes[k].kind == N_CONNECTED:
            found.append((sim.notes[k].number, "connected", at, 0, ""))
        elif sim.notes[k].kind == N_READ:
            found.append((sim.notes[k].number, "read", at, what, ""))
        else:
            found.append((sim.notes[k].number, "ended", at, 0, why.get(what, "reset")))
    sim.notes_n = 0
    return found
