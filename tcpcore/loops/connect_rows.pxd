# Active opens (RFC 9293 3.10.1) of a batch whose arguments are rows.
from libc.stdint cimport int64_t, uint64_t

from tcpcore.records.connect_args cimport ConnectRow
from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef bint can_connect(const ConnectRow* opens, Py_ssize_t n) noexcept nogil
cdef Py_ssize_t connect_rows(EngineState* eng, const ConnectRow* opens, Py_ssize_t n, int64_t now,
                             uint64_t* conns, Segment* rows) noexcept nogil
