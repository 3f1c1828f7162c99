# Timed batches: segments that arrive and calls that the application makes, each at a time of its own.
#
#   play_check     what is wrong with the rows, as far as that can be known before the first of them is done
#   play_batch     do them, and fire what is due before each and by `until`, while the output has space
#   play_not_reached    mark the rows that play_batch did not come to
#
# A caller enters the guard (loops/guard: guard_enter, guard_leave) around all three, at any time not before
# the engine's; play_batch sets the clock for each row itself. It is called again with the same `reached` when
# there is more space; a play is complete when all rows are reached and the output is not full.
from libc.stdint cimport int64_t

from tcpcore.records.op cimport Op
from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef enum:
    PLAY_LEAST = 2            # rows of output without which a play cannot get on

cdef enum PlayFault:
    PLAY_SOUND = 0
    PLAY_UNTIL                # `until` lies before the engine's time
    PLAY_KIND                 # not an OpCode
    PLAY_TIME_BACK            # before the engine's time or the row before
    PLAY_TOO_LATE             # after `until`
    PLAY_LISTENER             # ACCEPT: not the id of an open listener
    PLAY_DST                  # CONNECT: not a unicast address, or port 0
    PLAY_DPORT
    PLAY_SRC                  # CONNECT: neither 0 nor a unicast address
    PLAY_AMOUNT               # SEND: more than MAX_QUEUED

cdef PlayFault play_check(const EngineState* eng, const Op* ops, Py_ssize_t n, int64_t until,
                          Py_ssize_t* row) noexcept nogil
cdef Py_ssize_t play_batch(EngineState* eng, Op* ops, Py_ssize_t n, int64_t until, Segment* rows,
                           int64_t* times, Py_ssize_t room, Py_ssize_t* reached) noexcept nogil
cdef void play_not_reached(Op* ops, Py_ssize_t n, Py_ssize_t reached) noexcept nogil
