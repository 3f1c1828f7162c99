# The server's application: accept, read, answer, close.
from libc.stdint cimport int64_t, uint32_t

from tcpcore cimport Event
from loadgen.sim.world cimport Sim

cdef void server_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil
cdef void server_worker(Sim* sim, uint32_t acceptor) noexcept nogil
cdef void server_stall_ends(Sim* sim, uint32_t acceptor) noexcept nogil
cdef void server_closes(Sim* sim, uint32_t i) noexcept nogil
cdef void server_answers_fin(Sim* sim, uint32_t i) noexcept nogil
cdef void server_closes_with_client(Sim* sim, uint32_t i) noexcept nogil
cdef void server_may_close(Sim* sim, uint32_t i) noexcept nogil
cdef int64_t stalled_until(const Sim* sim, uint32_t acceptor) noexcept nogil
