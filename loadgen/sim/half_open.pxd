# Half-open entries of a server that is watched: who came, who was answered, who gave way, and when.
from libc.stdint cimport uint32_t

from tcpcore cimport Event
from loadgen.sim.world cimport Sim

cdef void entry_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil
