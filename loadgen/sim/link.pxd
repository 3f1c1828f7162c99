# The path between the clients and the server: what becomes of a segment that was sent.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore cimport Segment
from loadgen.sim.world cimport Kind, Sim

cdef void link_send(Sim* sim, int end, const Segment* segs, Py_ssize_t n, int64_t now,
                    int answered) noexcept nogil
cdef void link_emitted(Sim* sim, uint32_t host, Py_ssize_t n) noexcept nogil
cdef void closes_flush(Sim* sim) noexcept nogil
cdef void close_later(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil
cdef void link_old(Sim* sim, uint32_t number, const Segment* seg) noexcept nogil
cdef void link_spoofed(Sim* sim, const Segment* seg) noexcept nogil
cdef Kind kind_of(const Segment* seg, int answered) noexcept nogil
