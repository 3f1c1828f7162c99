# RFC 9293 3.10.7.4, the seventh and eighth step: the segment's text and its FIN; and text that came with a
# SYN.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Cold, Tcb

cdef enum:
    ANSWER_ROWS = 2           # rows that the answer to one segment may have

cdef void text_and_output(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil
cdef void keep_out_of_order(uint32_t left, uint32_t right, bint fin, Action* act) noexcept nogil
cdef void keep_syn_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, Action* act,
                        bint fin) noexcept nogil
