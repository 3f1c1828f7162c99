# The state of an engine as bytes, and back: snapshot.pyx.
from libc.stddef cimport size_t

from tcpcore.loops.state cimport EngineState

cdef size_t snapshot_size(EngineState* eng) noexcept nogil
cdef bint snapshot_write(EngineState* eng, char* at) noexcept nogil
cdef object snapshot_read(EngineState* eng, const char* at, size_t n)
