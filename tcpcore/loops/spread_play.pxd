# Timed batches of several engines behind one address.
from libc.stdint cimport int64_t

from tcpcore.records.op cimport Op
from tcpcore.records.segment cimport Segment
from tcpcore.loops.spread cimport Spread

cdef Py_ssize_t spread_play(Spread* group, Op* ops, Py_ssize_t n, int64_t until, Segment* rows,
                            int64_t* times, Py_ssize_t room, Py_ssize_t* reached) noexcept nogil
