# Active opens (RFC 9293 3.10.1) of a batch.
from libc.stdint cimport int64_t, uint64_t

from tcpcore.records.connect_args cimport ConnectArgs
from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t n, int64_t now,
                              uint64_t* conns, Segment* rows) noexcept nogil
