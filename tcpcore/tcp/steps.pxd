# SEGMENT ARRIVES for a TCB that exists: RFC 9293 3.10.7, and the order of the steps of 3.10.7.4.
from libc.stdint cimport int64_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef void segment_arrives(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
