# The engine's invariants, walked.
from tcpcore.core cimport Core

cdef list core_check(const Core* core)
