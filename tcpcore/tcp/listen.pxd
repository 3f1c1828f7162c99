# SEGMENT ARRIVES where there is no TCB: in CLOSED (RFC 9293 3.10.7.1) and in LISTEN (3.10.7.2).
#
# Only the verdict on a segment for a listener: whether a SYN becomes a half-open entry is for the queue to
# decide (loops), and the RST is written with emit_answering_rst. Inline, as every SYN of a flood asks.
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from tcpcore.records.action cimport Action
from tcpcore.records.knobs cimport Knobs
from tcpcore.records.segment cimport ACK, FIN, RST, SYN, Segment
from tcpcore.tcp.output cimport emit_answering_rst
from tcpcore.tcp.rto cimport synack_max

cdef enum ListenVerdict:
    LISTEN_DROP = 0
    LISTEN_RESET = 1
    LISTEN_OPEN = 2


cdef inline uint8_t timeouts_within(uint32_t seconds, const Knobs* knobs) noexcept nogil:
    """The timeouts of a SYN-ACK that fill this time, 0 for none (Linux: secs_to_retrans)."""
    cdef uint64_t interval = knobs.rto_initial_ms, period = interval
    cdef uint32_t n = 1
    if seconds == 0:
        return 0
    while period < <uint64_t>seconds * 1000 and n < 255:
        n += 1
        interval = interval * 2 if interval * 2 < synack_max(knobs) else synack_max(knobs)
        period += interval
    return <uint8_t>n


cdef inline void in_closed(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """Reset a segment that no connection and no listener owns, unless it is a RST (RFC 9293 3.10.7.1) or
    FreeBSD's net.inet.tcp.blackhole swallows it: 1 SYNs, 2 everything."""
    if knobs.blackhole >= 2 or (knobs.blackhole == 1 and seg.flags & SYN):
        return
    emit_answering_rst(seg, act)


cdef inline ListenVerdict in_listen(const Segment* seg, const Knobs* knobs) noexcept nogil:
    """RFC 9293 3.10.7.2: first RST, second ACK, third SYN, fourth other. Linux (tcp_rcv_state_process) also
    drops SYN+FIN here, FreeBSD by drop_synfin."""
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
