# The engine's invariants, walked.
from tcpcore.loops.state cimport EngineState

cdef list check_invariants(const EngineState* eng)
