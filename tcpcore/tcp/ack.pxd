# RFC 9293 3.10.7.4, the fifth step: check the ACK field.
from libc.stdint cimport int64_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef bint fifth_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil
cdef bint text_after_close(Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil
