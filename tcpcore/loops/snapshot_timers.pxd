# The part of a snapshot that is the timer wheel.
from tcpcore.base.stream cimport Stream
from tcpcore.loops.state cimport EngineState

cdef void stream_wheel(Stream* stream, EngineState* eng) noexcept nogil
