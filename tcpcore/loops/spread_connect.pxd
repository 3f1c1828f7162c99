# Active opens of several engines behind one address.
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.connect_args cimport ConnectArgs
from tcpcore.records.segment cimport Segment
from tcpcore.loops.spread cimport Spread

cdef struct HostPort:
    # a local port that was chosen
    int32_t lport             # -1: there is none
    uint32_t place            # candidate of the search, which is the first one of the first member's Ports
    uint32_t member           # that the 4-tuple with this port belongs to

cdef HostPort choose_host_port(Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                               int64_t now) noexcept nogil
cdef void count_host_port(Spread* group, const HostPort* port, uint64_t conn) noexcept nogil
cdef uint64_t no_host_port(Spread* group, int64_t now) noexcept nogil
cdef Py_ssize_t spread_connect(Spread* group, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                               uint64_t* conns, Segment* rows) noexcept nogil
