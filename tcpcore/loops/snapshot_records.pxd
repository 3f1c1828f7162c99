# The part of a snapshot that is records of connections: TCBs, out-of-order ranges, the flow table.
from tcpcore.base.stream cimport Stream
from tcpcore.loops.state cimport EngineState

cdef void stream_pool(Stream* stream, EngineState* eng) noexcept nogil
cdef void stream_ranges(Stream* stream, EngineState* eng) noexcept nogil
cdef void stream_flows(Stream* stream, EngineState* eng) noexcept nogil
