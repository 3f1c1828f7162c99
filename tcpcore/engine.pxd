# What compiled modules see of the class Engine.
from tcpcore.loops.state cimport EngineState

cdef EngineState* state_of(object engine) except NULL
