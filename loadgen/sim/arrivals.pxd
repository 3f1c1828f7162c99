# When connections begin and spoofed segments come.
from libc.stdint cimport int64_t, uint64_t

from tcpcore cimport Segment
from loadgen.sim.world cimport Flood, Load, Point

cdef void load_next(Load* load) noexcept nogil
cdef uint64_t load_left(Load* load, int64_t since, uint64_t most, bint* exact) noexcept nogil
cdef void flood_start(Flood* flood) noexcept nogil
cdef int64_t flood_next(const Flood* flood) noexcept nogil
cdef void flood_segment(Flood* flood, unsigned int dst, unsigned short dport, Segment* seg) noexcept nogil
cdef double time_of_area(const Point* shape, int points, double area) noexcept nogil
