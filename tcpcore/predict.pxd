# Header prediction: the segments of an undisturbed life, in order and with nothing else going on.
# What is said here is what `transition` would have done, in fewer steps; whoever is not sure asks it.
#
#   state          arrives    becomes                  row       timer
#   SYN-SENT       SYN,ACK    PREDICT_OPENED           ACK
#   SYN-RECEIVED   ACK        PREDICT_ACCEPTED
#   ESTABLISHED    FIN,ACK    PREDICT_PEER_CLOSED      ACK
#                             PREDICT_BOTH_CLOSED      FIN,ACK   resend        (auto_close)
#   FIN-WAIT-1     ACK        PREDICT_FIN_ACKED                  FIN-WAIT-2, an orphan's
#   FIN-WAIT-2     FIN,ACK    PREDICT_TIME_WAIT        ACK       TIME-WAIT     (an orphan's)
#   LAST-ACK       ACK        PREDICT_GONE
#
# Invariant: same block, same row, same counters as the law's; tests/properties/test_prediction.py.
# The idea is Van Jacobson's (RFC 1323 and his 1990 mail to tcp-ip), there for data.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.block cimport Block, Cold, Stamp
from tcpcore.counters cimport Counters
from tcpcore.knobs cimport Knobs
from tcpcore.segment cimport Segment

cdef enum Predicted:
    PREDICT_NOT = 0           # nothing was touched
    PREDICT_OPENED = 1
    PREDICT_ACCEPTED = 2
    PREDICT_PEER_CLOSED = 3
    PREDICT_FIN_ACKED = 4
    PREDICT_TIME_WAIT = 5
    PREDICT_GONE = 6          # the block is the conductor's to free
    PREDICT_BOTH_CLOSED = 7

cdef Predicted predict_segment(Block* tcb, Cold* cold, Stamp* stamp, const Segment* seg, const Knobs* knobs,
                               int64_t now, Counters* counters, Segment* row,
                               uint32_t* timeout) noexcept nogil
cdef bint predict_close(Block* tcb, Cold* cold, const Stamp* stamp, const Knobs* knobs, int64_t now,
                        Segment* row, uint32_t* timeout) noexcept nogil
