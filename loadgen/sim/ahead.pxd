# What the segments that arrive next will need: cache misses that would come one by one come together.
#
# Each arrives at an instant of its own, so that an engine has nothing to prefetch for. They are known before,
# where they wait in the order of their arrival. A hint only: nothing here changes what a run gives.
from libc.stdint cimport uint32_t, uint64_t

from tcpcore cimport FourTuple, Segment, engine_lookup
from loadgen.sim.attempts cimport slot_of
from loadgen.sim.inbox cimport Chunk
from loadgen.sim.world cimport HALF, RESTS, Host, Sim

cdef extern from *:
    """
    #define LG_PREFETCH(p) __builtin_prefetch((p), 1, 3)
    """
    void prefetch "LG_PREFETCH"(const void* p) noexcept nogil

cdef enum:
    TOGETHER = 16             # segments of an inbox that are looked at together
    NEAR = 4                  # so many before they are all taken, the next ones are


cdef inline bint conns_of(const Host* host, const Segment* segs, Py_ssize_t n,
                          uint64_t* conns) noexcept nogil:
    """The connections that n segments, at most TOGETHER, are for; 0: none. False if the engine refused."""
    cdef FourTuple tuples[TOGETHER]
    cdef Py_ssize_t k
    for k in range(n):
        tuples[k].raddr, tuples[k].laddr = segs[k].src, segs[k].dst
        tuples[k].rport, tuples[k].lport = segs[k].sport, segs[k].dport
    return engine_lookup(host.engine, tuples, n, conns) == n


cdef inline void attempts_ahead(Sim* sim, const Host* host, const uint64_t* conns, uint32_t n) noexcept nogil:
    """Bring the attempts of these connections into the cache."""
    cdef uint32_t k, place
    for k in range(n):
        prefetch(&host.attempt_of[slot_of(conns[k])])
    for k in range(n):
        place = host.attempt_of[slot_of(conns[k])]
        if conns[k] != 0 and place != 0 and not place & (HALF | RESTS):
            prefetch(&sim.attempts[place - 1])
            prefetch(<const char*>&sim.attempts[place - 1] + 64)


cdef inline void segments_ahead(Sim* sim, uint32_t number) noexcept nogil:
    """Bring what the next segments of a host's inbox are about into the cache, some at a time."""
    cdef Host* host = &sim.hosts[number]
    cdef Chunk* chunk = host.inbox.oldest
    cdef uint64_t conns[TOGETHER]
    cdef uint32_t first, n
    if chunk.first == chunk.end:
        chunk = chunk.next
    if chunk == NULL or chunk.ahead > chunk.first + NEAR:
        return
    first = max(chunk.ahead, chunk.first)
    n = min(chunk.end - first, <uint32_t>TOGETHER)
    if n < NEAR:
        return
    chunk.ahead = first + n
    if conns_of(host, &chunk.segs[first], n, conns):
        attempts_ahead(sim, host, conns, n)
