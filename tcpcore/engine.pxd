# What compiled modules see of the class Engine.
from tcpcore.loops.state cimport EngineState

cdef EngineState* state_of(object engine) except NULL
cdef object group_engine(config, list parts, list buckets, int threads)
cdef change_config(object engine, dict values, parts_of)
cdef object read_state(object engine, bytes blob, Py_ssize_t first)
