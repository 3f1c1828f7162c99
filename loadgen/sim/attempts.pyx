"""The attempts of a run: taken, found by the handle of either end, counted and given back.

An attempt has a place in an array from its arrival until both applications have let go of it, or until the
client's engine gives its slot to another connection; then its outcome is counted (S6.2 to S6.5). The place
of an attempt changes its stamp when it is given back, so that tasks asked for before are known to be void.
"""

from libc.stdlib cimport realloc
from libc.string cimport memset

from tcpcore cimport Event, engine_events
from loadgen.sim.world cimport (
    BATCH, ENGINE_FAILED, F_CLIENT_DONE, F_CONNECTED, F_GAVE_UP, F_REFUSED, F_RESET, F_SERVED,
    F_SERVER_DONE, F_STRANGER, Load,
)


cdef uint32_t attempt_new(Sim* sim) noexcept nogil:
    """A free place, all zero but its stamp. NOBODY, and sim.failed, without memory."""
    cdef uint32_t i, size, stamp
    cdef Attempt* attempts
    cdef uint32_t* places
    if sim.free_n == 0:
        size = 1024 if sim.attempts_allocated == 0 else 2 * sim.attempts_allocated
        attempts = <Attempt*>realloc(sim.attempts, size * sizeof(Attempt))
        if attempts != NULL:
            sim.attempts = attempts
        places = <uint32_t*>realloc(sim.free_attempts, size * sizeof(uint32_t))
        if places != NULL:
            sim.free_attempts = places
        if attempts == NULL or places == NULL or size < sim.attempts_allocated:
            sim.failed = NO_MEMORY
            return <uint32_t>NOBODY
        for i in range(size - sim.attempts_allocated):
            sim.free_attempts[i] = size - 1 - i       # the lowest place is taken first
            memset(&sim.attempts[size - 1 - i], 0, sizeof(Attempt))
            sim.attempts[size - 1 - i].flags = F_CLIENT_DONE | F_SERVER_DONE
        sim.free_n = size - sim.attempts_allocated
        sim.attempts_allocated = size
    sim.free_n -= 1
    i = sim.free_attempts[sim.free_n]
    stamp = sim.attempts[i].stamp
    memset(&sim.attempts[i], 0, sizeof(Attempt))
    sim.attempts[i].stamp = stamp
    sim.attempts[i].connected = -1
    sim.attempts[i].established = -1
    sim.attempts_n += 1
    return i


cdef void attempt_bind(Sim* sim, uint32_t i, uint32_t host, uint64_t conn) noexcept nogil:
    """A client's engine gave this handle to the attempt; who had its slot before is over."""
    cdef uint32_t* place = &sim.hosts[host].attempt_of[slot_of(conn)]
    cdef Attempt* other
    if place[0] != 0 and place[0] != i + 1:
        other = &sim.attempts[place[0] - 1]
        if other.client_host == host and slot_of(other.client) == slot_of(conn) and other.client != 0:
            if other.server != 0 and not other.flags & F_SERVER_DONE:
                other.client = 0                      # the server's application still has it
            else:
                attempt_settle(sim, place[0] - 1)
    place[0] = i + 1
    sim.attempts[i].client = conn
    sim.attempts[i].client_host = host


cdef void attempt_over(Sim* sim, uint32_t i) noexcept nogil:
    """Either application has let go: count the attempt if nothing can happen to it any more."""
    cdef Attempt* a = &sim.attempts[i]
    if not a.flags & F_CLIENT_DONE:
        return
    if a.flags & F_SERVER_DONE or (a.server == 0 and (a.client == 0 or not a.flags & F_CONNECTED)):
        attempt_settle(sim, i)


cdef void attempt_settle(Sim* sim, uint32_t i) noexcept nogil:
    """Count what the attempt has come to, and give its place back."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load
    cdef uint32_t* place
    if not a.flags & F_STRANGER:
        load = &sim.loads[a.load]
        if a.flags & F_SERVED:
            load.served += 1
        elif a.flags & F_REFUSED:
            load.refused += 1
            load.refused_by[a.cause] += 1
        elif a.flags & F_RESET:
            load.reset += 1
        elif a.flags & F_GAVE_UP:
            load.gave_up += 1
        elif a.flags & F_CONNECTED and (
                (a.flags & F_CLIENT_DONE and a.flags & F_SERVER_DONE)
                or sim.now - a.connected >= 2 * sim.link.longest):
            load.ghost += 1
        else:
            load.pending += 1
            load.in_flight += a.flags & F_CONNECTED != 0
    if a.client != 0:
        place = &sim.hosts[a.client_host].attempt_of[slot_of(a.client)]
        if place[0] == i + 1:
            place[0] = 0
    if a.server != 0:
        place = &sim.hosts[a.server_host].attempt_of[slot_of(a.server)]
        if place[0] == i + 1:
            place[0] = 0
    a.stamp += 1
    a.client = a.server = 0
    a.flags = F_CLIENT_DONE | F_SERVER_DONE
    sim.free_attempts[sim.free_n] = i
    sim.free_n += 1
    sim.attempts_n -= 1


cdef void collect(Sim* sim, uint32_t host) noexcept nogil:
    """Fetch the events of an engine, which keeps only 2^20, for when the applications hear of them."""
    cdef Host* h = &sim.hosts[host]
    cdef Event* heard
    cdef Py_ssize_t n = BATCH
    while n == BATCH:
        if h.heard_n + BATCH > h.heard_allocated:
            heard = <Event*>realloc(h.heard, 2 * (h.heard_n + BATCH) * sizeof(Event))
            if heard == NULL:
                sim.failed = NO_MEMORY
                return
            h.heard = heard
            h.heard_allocated = 2 * (h.heard_n + BATCH)
        n = engine_events(h.engine, h.heard + h.heard_n, BATCH)
        if n < 0:
            sim.failed = ENGINE_FAILED
            return
        h.heard_n += n
