# Timeouts (RFC 9293 3.10.8): firing what is due.
from libc.stdint cimport int64_t

from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef Py_ssize_t advance_to(EngineState* eng, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t advance_timed(EngineState* eng, int64_t now, Segment* rows, int64_t* times, int64_t since,
                              Py_ssize_t room) noexcept nogil
