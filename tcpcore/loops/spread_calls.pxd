# The application's calls on several engines behind one address, and what an application can ask of them.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.info cimport Info
from tcpcore.records.segment cimport Segment
from tcpcore.loops.calls cimport Call
from tcpcore.loops.spread cimport Spread

cdef int spread_listen(Spread* group, uint32_t addr, uint16_t port, uint32_t backlog,
                       uint32_t accept_room) noexcept nogil
cdef uint32_t spread_unlisten(Spread* group, uint16_t listener, int64_t now, Segment* rows) noexcept nogil
cdef uint64_t spread_accept(Spread* group, uint16_t listener, int64_t now) noexcept nogil
cdef Py_ssize_t spread_calls(Spread* group, Call call, const uint64_t* conns, Py_ssize_t n,
                             const uint32_t* nbytes, uint32_t* taken, int64_t now,
                             Segment* rows) noexcept nogil
cdef Py_ssize_t spread_rows_of_send(Spread* group, const uint64_t* conns, const uint32_t* nbytes,
                                    Py_ssize_t n, uint64_t* most) noexcept nogil
cdef uint64_t spread_lookup(const Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil
cdef void spread_info(const Spread* group, uint64_t conn, Info* info) noexcept nogil
