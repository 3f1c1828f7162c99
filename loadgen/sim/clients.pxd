# The clients' applications: connect, ask, wait, close, try again.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore cimport Event
from loadgen.sim.queue cimport Item
from loadgen.sim.world cimport Sim

cdef void clients_arrive(Sim* sim, uint32_t load) noexcept nogil
cdef void client_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil
cdef void client_task(Sim* sim, const Item* item) noexcept nogil
cdef void client_sends(Sim* sim, uint32_t i, uint32_t nbytes) noexcept nogil
cdef void connects_flush(Sim* sim, uint32_t host, Py_ssize_t n) noexcept nogil
cdef void client_closes(Sim* sim, uint32_t i) noexcept nogil
