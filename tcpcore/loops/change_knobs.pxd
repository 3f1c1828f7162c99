# Other knobs for an engine in use: see change_knobs.pyx.
from tcpcore.records.knobs cimport Knobs
from tcpcore.loops.state cimport EngineState

cdef bint change_knobs(EngineState* eng, const Knobs* knobs) noexcept nogil
