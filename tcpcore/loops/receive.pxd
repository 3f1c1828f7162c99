# SEGMENT ARRIVES for a batch (RFC 9293 3.10.7).
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef Py_ssize_t receive_batch(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                              Segment* rows) noexcept nogil
cdef uint32_t arrives(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t candidate, int64_t now,
                      Segment* rows) noexcept nogil
