# Timestamps (RFC 7323) of one connection. Ground of the law: cdef inline only, decides nothing.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.block cimport B_COLD, B_TS, Block, Cold, Stamp
from tcpcore.rto cimport clock_ms, rtt_sample
from tcpcore.segment cimport OPT_TS, Segment
from tcpcore.seq cimport seq_between, seq_lt


cdef inline void take_timestamp(Stamp* stamp, const Segment* seg, int64_t now) noexcept nogil:
    """TS.Recent := SEG.TSval (4.3)."""
    stamp.recent = seg.tsval
    stamp.recent_at = clock_ms(now)


cdef inline bint older(const Block* tcb, const Stamp* stamp, const Segment* seg) noexcept nogil:
    """PAWS (5.3 R1): the timestamp lies before TS.Recent."""
    return tcb.bits & B_TS and seg.opts & OPT_TS and seq_lt(seg.tsval, stamp.recent)


cdef inline uint32_t echoed_sample(const Stamp* stamp, const Segment* seg, int64_t now) noexcept nogil:
    """The round trip that the echo of our timestamp tells (4.1), in ticks; 0 if it tells none."""
    return rtt_sample(clock_ms(now) + stamp.offset - seg.tsecr)


cdef inline bint echoes_syn(const Stamp* stamp, const Segment* seg, int64_t now) noexcept nogil:
    """TSecr is one that our SYNs may have had."""
    return seq_between(stamp.first, seg.tsecr, clock_ms(now) + stamp.offset)


cdef inline bint echoes_synack(const Block* tcb, const Cold* cold, const Stamp* stamp,
                               const Segment* seg) noexcept nogil:
    """TSecr is one that our SYN-ACKs may have had."""
    return seq_between(stamp.first, seg.tsecr, last_sent(tcb, cold, stamp))


cdef inline uint32_t last_sent(const Block* tcb, const Cold* cold, const Stamp* stamp) noexcept nogil:
    """TSval of our last SYN-ACK: the first one's until it is resent."""
    return cold.rtt_seq if tcb.bits & B_COLD and cold.rtt_at else stamp.first
