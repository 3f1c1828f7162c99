# SEGMENT ARRIVES in LISTEN (RFC 9293 3.10.7.2): what becomes of a segment that a listener gets.
#
# Only the verdict: whether a SYN becomes a half-open entry is the queue's to decide (loops/passive),
# and the row of a reset is put_answering_rst. Inline, as every SYN of a flood asks.
from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport ACK, FIN, RST, SYN, Segment
from tcpcore.tcp.output cimport emit_answering_rst

cdef enum ListenVerdict:
    LISTEN_DROP = 0
    LISTEN_RESET = 1
    LISTEN_OPEN = 2


cdef inline void in_closed(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """Nobody owns the segment: reset it, unless it is a reset (or FreeBSD's blackhole swallows it)."""
    if knobs.blackhole >= 2 or (knobs.blackhole == 1 and seg.flags & SYN):
        return
    emit_answering_rst(seg, act)


cdef inline ListenVerdict in_listen(const Segment* seg, const Knobs* knobs) noexcept nogil:
    """First RST, second ACK, third SYN, fourth other."""
    if seg.flags & (SYN | ACK | RST | FIN) == SYN:
        return LISTEN_OPEN                            # what nearly all are
    if seg.flags & RST:
        return LISTEN_DROP
    if seg.flags & ACK:
        if seg.flags & SYN and not knobs.listen_answers_synack:
            return LISTEN_DROP
        return LISTEN_RESET
    if not seg.flags & SYN or knobs.listen_drops_synfin or knobs.drop_synfin:
        return LISTEN_DROP
    return LISTEN_OPEN
