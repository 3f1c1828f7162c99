# SEGMENT ARRIVES in SYN-SENT: RFC 9293 3.10.7.3.
from libc.stdint cimport int64_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef void in_syn_sent(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil
