# Outcomes that calls, segments and timers share: the connection ends, is established, owes an ACK, waits
# for the peer's FIN, enters TIME-WAIT, sends its SYN again.
#
# Not here: which call, segment or timer leads to which outcome. Every function edits the one TCB it is given
# (and its cold line) and fills the Action.
# Sources: RFC 9293 3.10, RFC 5961 for challenge ACKs, Linux for their rate limit and for orphans.
from libc.stdint cimport int64_t, uint8_t, uint32_t

from tcpcore.records.action cimport Action
from tcpcore.records.counters cimport Mib
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef extern from "<errno.h>" nogil:
    enum: ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT

# the connection ends
cdef void die(Action* act, uint8_t cause, uint8_t error) noexcept nogil
cdef uint8_t reset_error(const Tcb* tcb, const Knobs* knobs) noexcept nogil
cdef void reset_after_close(const Tcb* tcb, const Segment* seg, const Knobs* knobs,
                            Action* act) noexcept nogil
# it opens
cdef void arm_syn_timer(Tcb* tcb, const Knobs* knobs, int64_t now, Action* act,
                        uint32_t timeout) noexcept nogil
cdef void resend_synack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void mark_syn_unacked(Tcb* tcb, Cold* cold) noexcept nogil
cdef void complete_handshake(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil
# it answers a segment that it does not take
cdef bint oow_rate_limited(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act, Mib counter) noexcept nogil
cdef bint answer_withheld(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
cdef void challenge_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void duplicate_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                        Action* act, Mib counter) noexcept nogil
