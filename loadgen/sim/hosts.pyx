"""Which engine does something next: a heap of hosts by the earlier of its timer and its inbox.

`heap` holds the numbers of all hosts, `place` where each one is. A host moves when its key has changed.
"""

from libc.stdint cimport INT64_MAX

from tcpcore cimport engine_next_timer
from loadgen.sim.inbox cimport inbox_next


cdef inline void put(Sim* sim, uint32_t place, uint32_t host) noexcept nogil:
    sim.heap[place] = host
    sim.hosts[host].place = place


cdef void move(Sim* sim, uint32_t host) noexcept nogil:
    """Put the host where its key belongs."""
    cdef Host* hosts = sim.hosts
    cdef int64_t key = hosts[host].key
    cdef uint32_t place = hosts[host].place, other
    while place > 0:
        other = sim.heap[(place - 1) >> 1]
        if hosts[other].key <= key:
            break
        put(sim, place, other)
        place = (place - 1) >> 1
    while 2 * place + 1 < sim.hosts_n:
        other = 2 * place + 1
        if other + 1 < sim.hosts_n and hosts[sim.heap[other + 1]].key < hosts[sim.heap[other]].key:
            other += 1
        if hosts[sim.heap[other]].key >= key:
            break
        put(sim, place, sim.heap[other])
        place = other
    put(sim, place, host)


cdef void hosts_start(Sim* sim) noexcept nogil:
    """All hosts into the heap; nothing is due."""
    cdef uint32_t i
    for i in range(sim.hosts_n):
        sim.hosts[i].timer = INT64_MAX
        sim.hosts[i].key = INT64_MAX
        put(sim, i, i)


cdef void host_changed(Sim* sim, uint32_t host) noexcept nogil:
    """The inbox or the timer of a host has changed."""
    cdef Host* h = &sim.hosts[host]
    cdef int64_t key = inbox_next(&h.inbox)
    key = key if key < h.timer else h.timer
    if key != h.key:
        h.key = key
        move(sim, host)


cdef void host_timer(Sim* sim, uint32_t host) noexcept nogil:
    """A call was made on the host's engine: its next timer may be another one."""
    cdef int64_t at = engine_next_timer(sim.hosts[host].engine)
    sim.hosts[host].timer = at if at >= 0 else INT64_MAX
    host_changed(sim, host)


cdef uint32_t hosts_due(Sim* sim, int64_t now) noexcept nogil:
    """Fill sim.busy with the hosts whose key is not after `now`, in the order of their numbers. How many."""
    cdef uint32_t n = 0, done = 0, place, child, i, j, host
    if hosts_next(sim) > now:
        return 0
    sim.busy[0] = 0                                   # places first: the heap is walked from its top
    n = 1
    while done < n:
        place = sim.busy[done]
        done += 1
        for child in range(2 * place + 1, 2 * place + 3):
            if child < sim.hosts_n and sim.hosts[sim.heap[child]].key <= now:
                sim.busy[n] = child
                n += 1
    for i in range(n):
        sim.busy[i] = sim.heap[sim.busy[i]]
    for i in range(1, n):                             # few, and often in order
        host = sim.busy[i]
        j = i
        while j > 0 and sim.busy[j - 1] > host:
            sim.busy[j] = sim.busy[j - 1]
            j -= 1
        sim.busy[j] = host
    return n
