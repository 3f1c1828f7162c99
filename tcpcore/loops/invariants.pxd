# The engine's invariants, walked.
from tcpcore.loops.core cimport EngineState

cdef list check_invariants(const EngineState* eng)
