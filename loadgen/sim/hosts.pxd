# Which engine does something next: a heap of hosts by the earlier of its timer and its inbox.
from libc.stdint cimport int64_t, uint32_t

from loadgen.sim.world cimport Host, Sim

cdef void hosts_start(Sim* sim) noexcept nogil
cdef void host_changed(Sim* sim, uint32_t host) noexcept nogil
cdef void host_timer(Sim* sim, uint32_t host) noexcept nogil
cdef uint32_t hosts_due(Sim* sim, int64_t now) noexcept nogil


cdef inline int64_t hosts_next(const Sim* sim) noexcept nogil:
    """When the next timer or segment is due, INT64_MAX if none."""
    return sim.hosts[sim.heap[0]].key
