# The part of a snapshot that is queues: listeners and who waits there, eviction queues, ports, events.
from tcpcore.base.stream cimport Stream
from tcpcore.loops.state cimport EngineState

cdef void stream_listeners(Stream* stream, EngineState* eng) noexcept nogil
cdef void stream_eviction(Stream* stream, EngineState* eng) noexcept nogil
cdef void stream_ports(Stream* stream, EngineState* eng) noexcept nogil
cdef void stream_events(Stream* stream, EngineState* eng) noexcept nogil
