# SEGMENT ARRIVES for a TCB that exists: RFC 9293 3.10.7, and the steps of 3.10.7.4 in their order.
#
#   first    check sequence number    first_sequence, trimmed_first     here
#   second   check the RST bit        second_rst                        here
#   third    check security           not implemented (RFC 9293 A.1)
#   fourth   check the SYN bit        fourth_syn                        here
#   fifth    check the ACK field      fifth_ack                         ack.pyx
#   sixth    check the URG bit        not implemented: its bytes are ordinary text
#   seventh  the segment text         seventh_text                      text.pyx
#   eighth   check the FIN bit        eighth_fin                        text.pyx
#
# A step returns False when the segment has been dealt with. The choices of RFC 5961, 7323, 1337 stand in the
# step they belong to. Invariant: SND.UNA <= SND.NXT, and the TCB is left with E_DEAD or the timer it needs.
from libc.stdint cimport uint32_t

from tcpcore.base.prefetch cimport expect
from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.counters cimport (
    CauseConnectRefused, CauseEmbryonicAborted, CauseResetByPeer, Mib, count, count_n,
)
from tcpcore.records.knobs cimport (
    ACCEPT_TRIM, HALF_OPEN_LINUX, HALF_OPEN_SYNCACHE, PAWS_ANSWER_TEXT, PAWS_SPARE_ACKS,
)
from tcpcore.records.out_of_order cimport Ranges, ranges_empty, ranges_end
from tcpcore.records.segment cimport ACK, FIN, RST, SYN, seg_len
from tcpcore.records.tcb cimport (
    AFTER_CLOSE, B_PASSIVE, B_SACK, CAN_RECEIVE, CLOSED, FIN_WAIT_2, LISTEN, PEER_FIN,
    SYN_RECEIVED, SYN_SENT, T_FIN_WAIT_2, TIME_WAIT, Timestamps, in_set,
)
from tcpcore.tcp.ack cimport fifth_ack, text_after_close
from tcpcore.tcp.half_open cimport end_half_open, half_open_linux, half_open_syncache, rst_for_half_open
from tcpcore.tcp.liveness cimport resets_text
from tcpcore.tcp.options cimport moves_window
from tcpcore.tcp.outcomes cimport (
    ECONNREFUSED, ECONNRESET, answer_withheld, challenge_ack, die, duplicate_ack, reset_after_close,
    reset_error,
)
from tcpcore.tcp.output cimport emit, emit_answering_rst
from tcpcore.tcp.receive_window cimport acceptable, rcv_wnd, seq_in_window_from
from tcpcore.tcp.rto cimport clock_ms, ends_by_silence, rto
from tcpcore.tcp.syn_sent cimport in_syn_sent
from tcpcore.tcp.text cimport text_and_output
from tcpcore.tcp.time_wait cimport heard_in_fin_wait_2, in_time_wait, in_time_wait_like, is_time_wait_like
from tcpcore.tcp.timestamps cimport last_ack_sent, ts_before_recent, ts_missing, update_ts_recent
from tcpcore.tcp.trim cimport TRIM_NOTHING_LEFT, TRIM_PROCEED_ACK_OWED, Trim, trim_beyond, trim_old

cdef void segment_arrives(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """RFC 9293 3.10.7 for a TCB that exists: 3.10.7.3 or 3.10.7.4."""
    if knobs.drop_synfin and seg.flags & (SYN | FIN) == SYN | FIN:
        return                                        # FreeBSD, in every state: net.inet.tcp.drop_synfin
    if tcb.state == SYN_SENT:
        in_syn_sent(tcb, cold, seg, knobs, now, act)
    elif tcb.state == TIME_WAIT:
        in_time_wait(tcb, cold, seg, knobs, now, act)
    else:
        expect(tcb.state != CLOSED and tcb.state != LISTEN)
        in_other_states(tcb, cold, seg, knobs, now, act)


cdef void in_other_states(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4 but TIME-WAIT: who judges the segment, and the eight steps."""
    cdef bint half_open = tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE
    if half_open and knobs.half_open_rules == HALF_OPEN_SYNCACHE:
        if half_open_syncache(tcb, cold, seg, knobs, now, act):
            text_after_handshake(tcb, cold, seg, knobs, now, act)
    elif ts_missing(tcb, seg, knobs):
        return
    elif half_open and knobs.half_open_rules == HALF_OPEN_LINUX:
        if half_open_linux(tcb, cold, seg, knobs, now, act):
            text_after_handshake(tcb, cold, seg, knobs, now, act)
    elif is_time_wait_like(tcb.state, tcb.bits, knobs):
        in_time_wait_like(tcb, cold, seg, knobs, now, act)
    elif not seg.flags & (SYN | RST | ACK) and knobs.flagless_dropped:
        return                                        # Linux drops it before it looks at its numbers
    else:
        if tcb.state == FIN_WAIT_2 and tcb.timer == T_FIN_WAIT_2 and ends_by_silence(knobs):
            heard_in_fin_wait_2(tcb, knobs, now, act)
        if knobs.acceptance == ACCEPT_TRIM:
            trimmed_steps(tcb, cold, seg, knobs, now, act)
        else:
            all_steps(tcb, cold, seg, knobs, now, act)


cdef void all_steps(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """The eight steps of RFC 9293 3.10.7.4."""
    if not (first_sequence(tcb, cold, seg, knobs, now, act)
            and second_rst(tcb, cold, seg, knobs, now, act)
            and fourth_syn(tcb, cold, seg, knobs, now, act)
            and fifth_ack(tcb, cold, seg, knobs, now, act)):
        return
    if in_set(tcb.state, CAN_RECEIVE):
        if resets_text(tcb, cold, act.live, knobs) and text_after_close(tcb, seg, knobs, act):
            return
    elif (knobs.text_over_fin_resets and seq_lt(seg.seq, tcb.rcv_nxt)
          and text_after_close(tcb, seg, knobs, act)):
        return
    text_and_output(tcb, cold, seg, knobs, now, act)


cdef void trimmed_steps(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                        Action* act) noexcept nogil:
    """The eight steps with a segment that is cut to the window first (acceptance "trim", FreeBSD)."""
    cdef Segment cut = seg[0]
    if (trimmed_first(tcb, cold, &cut, knobs, now, act)
            and second_rst(tcb, cold, &cut, knobs, now, act)
            and fourth_syn(tcb, cold, &cut, knobs, now, act)
            and fifth_ack(tcb, cold, &cut, knobs, now, act)):
        text_and_output(tcb, cold, &cut, knobs, now, act)


cdef void text_after_handshake(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                               Action* act) noexcept nogil:
    """The segment that completed a half-open entry goes on to its text and FIN, cut to the window where
    acceptance says so."""
    cdef Segment cut
    if knobs.acceptance != ACCEPT_TRIM:
        text_and_output(tcb, cold, seg, knobs, now, act)
        return
    cut = seg[0]
    trim_beyond(&cut, tcb.rcv_nxt, rcv_wnd(tcb, cold, knobs))
    text_and_output(tcb, cold, &cut, knobs, now, act)


# --- first, check sequence number --------------------------------------------------------

cdef bint paws_rejects(const Tcb* tcb, const Cold* cold, const Timestamps* ts, const Segment* seg,
                       const Knobs* knobs, int64_t now) noexcept nogil:
    """PAWS (RFC 7323 5.3 R1) while TS.Recent is young enough (5.5). Linux lets pass what is one tick too old
    (tcp_paws_check) and a pure ACK that was merely overtaken, unless it is more than an RTO old
    (tcp_disordered_ack)."""
    if seg.flags & RST or not ts_before_recent(tcb, ts, seg):
        return False
    if clock_ms(now) - ts.recent_at > knobs.paws_idle_ms:
        return False
    if ts.recent - seg.tsval <= knobs.paws_tolerance_ticks:
        return False
    if (knobs.paws_answers == PAWS_SPARE_ACKS and seg_len(seg) == 0 and seg.flags & ACK
            and seg.seq == tcb.rcv_nxt and seg.ack == tcb.snd_una
            and not moves_window(tcb, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))):
        return ts.recent - seg.tsval > rto(tcb, cold, knobs)
    return True


cdef bint crossed_synack(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """Simultaneous open: the SYN-ACK that answers our SYN-ACK repeats a SYN we already took. By the letter
    it is not acceptable, and neither side would ever be acknowledged (RFC 9293 figure 8 needs it taken)."""
    return (knobs.crossed_synack_opens and tcb.state == SYN_RECEIVED and not tcb.bits & B_PASSIVE
            and seg.flags & ACK and seg.seq + 1 == tcb.rcv_nxt and seg_len(seg) == 1
            and seg.ack == tcb.snd_nxt)


cdef bint exact_rst(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """A RST at RCV.NXT (RFC 5961 3.2), or right before a FIN that the peer may have forgotten it sent
    (Linux: tcp_reset_check)."""
    if not seg.flags & RST:
        return False
    return seg.seq == tcb.rcv_nxt or (knobs.rst_before_fin and in_set(tcb.state, PEER_FIN)
                                      and seg.seq == tcb.rcv_nxt - 1)


cdef bint rst_at_sack_edge(const Tcb* tcb, const Segment* seg, const Knobs* knobs,
                           const Ranges* ranges) noexcept nogil:
    """A RST right behind all that came ahead of a gap: from a peer whose text before it was lost (Linux:
    tcp_validate_incoming)."""
    if not knobs.rst_at_sack_edge or not tcb.bits & B_SACK or ranges_empty(ranges):
        return False
    return seg.seq == ranges_end(ranges)


cdef bint first_sequence(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                         Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, first: PAWS and the window; an ACK in answer to what is not acceptable. A SYN is
    answered by a challenge ACK instead (RFC 5961 4.2; Linux: tcp_validate_incoming)."""
    cdef Mib counter = Mib.TCPACKSkippedSeq
    cdef bint bad = paws_rejects(tcb, cold, act.stamp, seg, knobs, now)
    if bad:
        if (knobs.paws_ignores_old_acks and seg_len(seg) == 0 and seg.flags & ACK
                and seq_lt(seg.seq, tcb.rcv_nxt)):
            count(act.counters, Mib.PAWSOldAck)       # an old ACK that came late is no reason to speak
            return False
        count(act.counters, Mib.PAWSEstab)
        counter = Mib.TCPACKSkippedPAWS
    elif not (acceptable(tcb, cold, seg, knobs) or exact_rst(tcb, seg, knobs)
              or (seg.flags & SYN and crossed_synack(tcb, seg, knobs))):
        bad = True
    if bad:
        if seg.flags & RST:
            return False
        if seg.flags & SYN:
            count(act.counters, Mib.TCPSYNChallenge)
            challenge_ack(tcb, cold, knobs, now, act)
        else:
            duplicate_ack(tcb, cold, seg, knobs, now, act, counter)
        return False
    if not knobs.ts_recent_needs_good_ack:
        update_ts_recent(tcb, cold, act.stamp, seg, now)
    return True


cdef bint trimmed_first(Tcb* tcb, Cold* cold, Segment* cut, const Knobs* knobs, int64_t now,
                        Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, first, as FreeBSD's tcp_do_segment has it: the segment is cut to the window (`cut`,
    in out). RST and SYN have windows of their own in their steps."""
    cdef Trim trimmed
    cdef bint empty = cut.payload_len == 0            # as it arrived: text is always answered
    cdef bint overlaps                                # FreeBSD sends a DSACK: the ACK without it
    if tcb.state == SYN_RECEIVED and cut.flags & (RST | ACK) == ACK and (
            seq_le(cut.ack, tcb.snd_una) or seq_lt(tcb.snd_nxt, cut.ack)):
        emit_answering_rst(cut, act)
        return False
    if cut.flags & RST or (cut.flags & SYN and tcb.state != SYN_RECEIVED):
        return True
    if paws_rejects(tcb, cold, act.stamp, cut, knobs, now):
        count(act.counters, Mib.PAWSEstab)
        if cut.payload_len or knobs.paws_answers != PAWS_ANSWER_TEXT:
            duplicate_ack(tcb, cold, cut, knobs, now, act, Mib.TCPACKSkippedPAWS)
        return False
    if tcb.state == SYN_RECEIVED and seq_lt(cut.seq, tcb.rcv_nxt - 1):
        emit_answering_rst(cut, act)                  # before the peer's SYN: not of this connection
        return False
    overlaps = knobs.overlap_acked_at_once and tcb.bits & B_SACK and seq_lt(cut.seq, tcb.rcv_nxt)
    trimmed = trim_old(cut, tcb.rcv_nxt)
    cut.flags &= ~SYN                                 # SYN-RECEIVED: a SYN in the window says nothing
    if cut.payload_len and resets_text(tcb, cold, act.live, knobs) and in_set(tcb.state, AFTER_CLOSE):
        reset_after_close(tcb, cut, knobs, act)
        return False
    act.ack_owed = trimmed == TRIM_PROCEED_ACK_OWED and not (
        empty and answer_withheld(tcb, cold, cut, knobs, now, act))
    trimmed = trim_beyond(cut, tcb.rcv_nxt, rcv_wnd(tcb, cold, knobs))
    if trimmed == TRIM_NOTHING_LEFT:
        duplicate_ack(tcb, cold, cut, knobs, now, act, Mib.TCPACKSkippedSeq)
        return False
    act.ack_owed |= trimmed == TRIM_PROCEED_ACK_OWED or (overlaps and not empty)
    if not knobs.ts_recent_needs_good_ack:
        update_ts_recent(tcb, cold, act.stamp, cut, now)
    return True


# --- second, check the RST bit -----------------------------------------------------------

cdef bint second_rst(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, second: a RST at RCV.NXT ends the connection, one elsewhere in the window is
    challenged (RFC 5961 3.2): whoever cannot see the connection may guess a window, hardly the one
    number. FreeBSD (tcp_do_segment) counts from what the peer has been told, Last.ACK.sent."""
    cdef uint32_t begin
    cdef bint exact
    if not seg.flags & RST:
        return True
    begin = last_ack_sent(tcb, cold) if knobs.resets_from_last_ack else tcb.rcv_nxt
    if knobs.rst_seq_in_window and not seq_in_window_from(tcb, cold, seg, knobs, begin):
        return False
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        rst_for_half_open(tcb, cold, seg, knobs, now, act)
        return False
    exact = exact_rst(tcb, seg, knobs) if begin == tcb.rcv_nxt else seg.seq == begin
    if not exact and not knobs.insecure_rst and not rst_at_sack_edge(tcb, seg, knobs, act.ranges):
        challenge_ack(tcb, cold, knobs, now, act)
        return False
    if tcb.state == SYN_RECEIVED:
        count(act.counters, Mib.AttemptFails)
        die(act, CauseConnectRefused, ECONNREFUSED if knobs.refused_in_syn_received else ECONNRESET)
    else:
        die(act, CauseResetByPeer, reset_error(tcb, knobs))
    return False


# --- fourth, check the SYN bit -----------------------------------------------------------

cdef bint fourth_syn(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, fourth: a SYN is challenged, wherever it lies (RFC 5961 4.2): a peer that has
    restarted answers the challenge with a RST that is exact. RFC 793 reset the connection
    (insecure_syn)."""
    if not seg.flags & SYN or crossed_synack(tcb, seg, knobs):
        return True
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        end_half_open(act, CauseEmbryonicAborted)     # back to LISTEN
        return False
    if knobs.insecure_syn and seq_in_window_from(
            tcb, cold, seg, knobs, last_ack_sent(tcb, cold) if knobs.resets_from_last_ack else tcb.rcv_nxt):
        emit(tcb, cold, knobs, now, act, RST | ACK, tcb.snd_nxt)
        act.rows[act.n_rows - 1].wnd = 0
        count(act.counters, Mib.OutRsts)
        count_n(act.counters, Mib.AttemptFails, tcb.state == SYN_RECEIVED)
        die(act, CauseResetByPeer, ECONNRESET)
        return False
    count(act.counters, Mib.TCPSYNChallenge)
    challenge_ack(tcb, cold, knobs, now, act)
    return False
