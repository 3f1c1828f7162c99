# FreeBSD's first step (acceptance "trim", tcp_do_segment): a segment is cut to the window instead of being
# judged as it is, so that even one that is all old brings its ACK. Pure arithmetic on a copy of the
# segment.
#
#            rcv_nxt                      rcv_nxt + wnd
#   |##########|============================|##########|
#     old: cut, and acknowledged again        beyond: cut, its FIN with it
from libc.stdint cimport uint32_t

from tcpcore.base.seq cimport seq_lt
from tcpcore.records.segment cimport FIN, PSH, SYN, Segment

cdef enum Trim:
    TRIM_PROCEED              # goes on with what is left
    TRIM_PROCEED_ACK_OWED     # goes on, and our ACK is owed: all of it is old, or text met a closed window
    TRIM_NOTHING_LEFT         # nothing of it lies in the window


cdef inline Trim trim_old(Segment* cut, uint32_t rcv_nxt) noexcept nogil:
    """Cut what lies before RCV.NXT, a SYN first; a FIN there goes too."""
    cdef uint32_t old = rcv_nxt - cut.seq
    if not seq_lt(cut.seq, rcv_nxt):
        return TRIM_PROCEED
    if cut.flags & SYN:
        cut.flags &= ~SYN
        cut.seq += 1
        old -= 1
    if old < cut.payload_len or (old == cut.payload_len and cut.flags & FIN):
        cut.seq += old
        cut.payload_len -= old
        return TRIM_PROCEED
    cut.flags &= ~FIN
    cut.seq += cut.payload_len
    cut.payload_len = 0
    return TRIM_PROCEED_ACK_OWED


cdef inline Trim trim_beyond(Segment* cut, uint32_t rcv_nxt, uint32_t wnd) noexcept nogil:
    """Cut what lies beyond the window. Nothing at its very edge is still in it, and so is a bare FIN."""
    cdef uint32_t beyond = cut.seq + cut.payload_len - (rcv_nxt + wnd)
    cdef Trim verdict = TRIM_PROCEED
    if not seq_lt(0, beyond):
        return TRIM_PROCEED
    if beyond >= cut.payload_len:
        if wnd or cut.seq != rcv_nxt:
            return TRIM_NOTHING_LEFT
        beyond = cut.payload_len              # a probe of the closed window: its ACK counts
        verdict = TRIM_PROCEED_ACK_OWED
    cut.payload_len -= beyond
    cut.flags &= ~(PSH | FIN)
    return verdict
