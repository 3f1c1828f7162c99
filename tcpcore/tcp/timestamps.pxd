# Timestamps (RFC 7323) of one connection: TS.Recent, PAWS, what an echo may be, and the round trips that it
# tells.
#
# Inline. Not here: what happens to a segment that PAWS rejects (steps.pyx, half_open.pyx, time_wait.pyx).
# Invariant: Timestamps are valid only while the TCB has B_TS.
from libc.stdint cimport int64_t, uint32_t

from tcpcore.base.seq cimport seq_between, seq_le, seq_lt
from tcpcore.records.knobs cimport PAWS_SPARE_ACKS, Knobs
from tcpcore.records.segment cimport FIN, OPT_TS, RST, Segment, seg_end
from tcpcore.records.tcb cimport B_COLD, B_ORPHAN, B_TS, FIN_WAIT_1, OUR_FIN, Cold, Tcb, Timestamps, in_set
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.rto cimport ECHO_MAX, clock_ms, keeps_full_socket, rtt_sample, rtt_update


cdef inline void set_ts_recent(Timestamps* ts, const Segment* seg, int64_t now) noexcept nogil:
    """TS.Recent := SEG.TSval, without conditions (RFC 7323 4.3)."""
    ts.recent = seg.tsval
    ts.recent_at = clock_ms(now)


cdef inline bint ts_before_recent(const Tcb* tcb, const Timestamps* ts, const Segment* seg) noexcept nogil:
    """True if the segment's timestamp lies before TS.Recent: what PAWS asks (RFC 7323 5.3 R1)."""
    return tcb.bits & B_TS and seg.opts & OPT_TS and seq_lt(seg.tsval, ts.recent)


cdef inline uint32_t last_ack_sent(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """Last.ACK.sent (RFC 7323 4.3): RCV.NXT, or while an ACK is delayed the number of the text that waits for
    it, which SND.WL1 has of the segment that came last."""
    return tcb.snd_wl1 if tcb.bits & B_COLD and cold.delayed else tcb.rcv_nxt


cdef inline void update_ts_recent(const Tcb* tcb, const Cold* cold, Timestamps* ts, const Segment* seg,
                                  int64_t now) noexcept nogil:
    """TS.Recent := SEG.TSval if the segment begins at what was acknowledged last, or before, and the
    timestamp is no older (RFC 7323 4.3). Called with every acceptable segment by the letter, on Linux once
    its ACK has been found good too (tcp_replace_ts_recent)."""
    if (tcb.bits & B_TS and seg.opts & OPT_TS and not seg.flags & RST
            and seq_le(seg.seq, last_ack_sent(tcb, cold))
            and not ts_before_recent(tcb, ts, seg)):
        set_ts_recent(ts, seg, now)


cdef inline bint ts_missing(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """True for a segment to be dropped in silence, as timestamps were agreed on and it has none (RFC 7323
    3.2, SHOULD; not a RST). Linux takes it (tolerate_missing_ts)."""
    return (not knobs.tolerate_missing_ts and tcb.bits & B_TS and not seg.opts & OPT_TS
            and not seg.flags & RST)


cdef inline uint32_t echoed_sample(const Timestamps* ts, const Segment* seg, int64_t now) noexcept nogil:
    """The round trip that the echo of our timestamp tells (RFC 7323 4.1), in ticks; 0 if it tells none, as
    one of what was sent 35 minutes ago or more (Linux: tcp_rtt_tsopt_us)."""
    cdef uint32_t trip = clock_ms(now) + ts.offset - seg.tsecr
    return rtt_sample(trip) if trip < ECHO_MAX else 0


cdef inline bint echoes_syn(const Timestamps* ts, const Segment* seg, int64_t now) noexcept nogil:
    """True if SEG.TSecr is a TSval that one of our SYNs may have had."""
    return seq_between(ts.first, seg.tsecr, clock_ms(now) + ts.offset)


cdef inline bint echoes_synack(const Tcb* tcb, const Cold* cold, const Timestamps* ts,
                               const Segment* seg) noexcept nogil:
    """True if SEG.TSecr is a TSval that one of our SYN-ACKs may have had; there is only one until it is
    resent."""
    return seq_between(ts.first, seg.tsecr,
                       cold.rtt_seq if tcb.bits & B_COLD and cold.rtt_at else ts.first)


cdef inline bint rto_still_needed(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """True if the RTO may be asked for after this segment, which moved SND.UNA. Once our FIN is
    acknowledged nothing is resent; only Linux's PAWS (tcp_disordered_ack) asks, where FIN-WAIT-2 stays a
    full socket."""
    if not in_set(tcb.state, OUR_FIN) or tcb.snd_una != tcb.snd_nxt:
        return True
    if tcb.state != FIN_WAIT_1 or knobs.paws_answers != PAWS_SPARE_ACKS:
        return False
    return (not tcb.bits & B_ORPHAN or not knobs.orphan_fin_wait_2_brief or keeps_full_socket(knobs)
            or (seg.flags & FIN and seg_end(seg) != tcb.rcv_nxt + 1))


cdef inline uint32_t store_sample(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                                  uint32_t sample) noexcept nogil:
    """Keep a round trip that an ACK told, in ticks. Where no cold line is worth making, it is
    returned instead, else 0."""
    if sample == 0 or not (tcb.bits & B_COLD or rto_still_needed(tcb, seg, knobs)):
        return sample
    use_cold(tcb, cold)
    rtt_update(cold, sample)
    return 0
