# A walk over every invariant of an engine.
from tcpcore.loops.state cimport EngineState

cdef list check_between(const EngineState* eng)
cdef list check_invariants(const EngineState* eng)
