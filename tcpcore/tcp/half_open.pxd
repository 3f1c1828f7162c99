# SYN-RECEIVED that came from LISTEN, the half-open entry: what a listener's peer can make of it.
#
# Knobs.half_open_rules chooses by whose rules a segment is judged: Linux's and FreeBSD's are here, those of
# RFC 9293 are the ordinary steps of 3.10.7.4, which call the four outcomes below.
from libc.stdint cimport int64_t, uint8_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef bint half_open_linux(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
cdef bint half_open_syncache(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil
cdef bint complete_half_open(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil
cdef void refuse_ack(const Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil
cdef void rst_for_half_open(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil
cdef void end_half_open(Action* act, uint8_t cause) noexcept nogil
