# SEGMENT ARRIVES in SYN-SENT: RFC 9293 3.10.7.3, whose five steps in_syn_sent takes in their order.
#
# Header prediction (predict.pxd) takes the plain SYN-ACK; everything else of this state comes here.
# Sources: RFC 9293; Linux tcp_rcv_synsent_state_process for the echo and for the SYN that goes again early.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.action cimport E_OPENED
from tcpcore.records.counters cimport CauseConnectRefused, Mib, count, count_n
from tcpcore.records.knobs cimport SYN_TEXT_DROPPED, SYN_TEXT_KEPT
from tcpcore.records.segment cimport ACK, FIN, OPT_TS, RST, SYN, asks_for_ecn
from tcpcore.records.tcb cimport B_CROSSED, B_ECN, B_RESEND_SYN, B_TS, SYN_RECEIVED
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.options cimport open_window, read_options, take_window
from tcpcore.tcp.outcomes cimport ECONNREFUSED, arm_syn_timer, complete_handshake, die
from tcpcore.tcp.output cimport emit_ack, emit_answering_rst, emit_syn, send_queued
from tcpcore.tcp.receive_window cimport keep_window, plain_window, rounds_up
from tcpcore.tcp.rto cimport backoff_of, syn_timeout, tick_up
from tcpcore.tcp.text cimport ANSWER_ROWS, keep_syn_text, text_and_output
from tcpcore.tcp.timestamps cimport echoes_syn, ts_before_recent


cdef bint wrong_ack_resets(Tcb* tcb, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """First, check the ACK bit: an ACK of anything but our SYN is reset. True: the segment is dealt with."""
    if not seg.flags & ACK:
        return False
    if seq_le(seg.ack, tcb.snd_una) or seq_lt(tcb.snd_nxt, seg.ack):
        emit_answering_rst(seg, act)
        if knobs.early_syn_resend_ms and tcb.retries == 0:
            # the RST may have ended the old connection that is in the way: do not wait the whole second
            # (Linux)
            tcb.bits |= B_RESEND_SYN
            arm_syn_timer(tcb, knobs, now, act, knobs.early_syn_resend_ms)
        return True
    if (knobs.tsecr_checked and seg.opts & OPT_TS and tcb.bits & B_TS and seg.tsecr
            and not echoes_syn(act.stamp, seg, now)):
        # an echo of a TSval that no SYN of ours had: of an old connection, whatever SEG.ACK says (Linux)
        count(act.counters, Mib.PAWSActive)
        emit_answering_rst(seg, act)
        return True
    return False


cdef void syn_received(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """Fourth, with a SYN alone: the SYNs crossed (MUST-10). Ours goes on being resent, now as SYN-ACK."""
    cdef uint32_t began = tcb.snd_wl1
    take_window(tcb, cold, seg, seg.wnd)
    tcb.snd_wl1 = began
    tcb.state = SYN_RECEIVED
    use_cold(tcb, cold)
    cold.rtt_at = <uint32_t>tick_up(now)
    tcb.bits |= B_CROSSED
    if not asks_for_ecn(seg):
        tcb.bits &= ~B_ECN
    elif knobs.crossed_ecn_granted and knobs.tcp_ecn:
        tcb.bits |= B_ECN
    emit_syn(tcb, cold, knobs, now, act, SYN | ACK)
    if knobs.crossed_ecn_granted:
        tcb.bits &= ~B_ECN                            # once (FreeBSD: TF2_ECN_SND_ECE)
    if knobs.crossed_syn_restarts:
        arm_syn_timer(tcb, knobs, now, act, syn_timeout(knobs, tcb.retries, backoff_of(tcb, cold)))
    if knobs.syn_text == SYN_TEXT_DROPPED:
        count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)
    else:
        keep_syn_text(tcb, cold, seg, knobs, act, seg.flags & FIN and knobs.syn_text == SYN_TEXT_KEPT)


cdef void in_syn_sent(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    """RFC 9293 3.10.7.3: a SYN-ACK opens, a SYN alone leads to SYN-RECEIVED, a good RST refuses."""
    cdef uint8_t ours = tcb.wscale & 0xF0
    # first, check the ACK bit
    if wrong_ack_resets(tcb, seg, knobs, now, act):
        return
    # second, check the RST bit
    if seg.flags & RST:
        if seg.flags & ACK:
            count(act.counters, Mib.AttemptFails)
            die(act, CauseConnectRefused, ECONNREFUSED)
        return
    # third, security: not implemented (RFC 9293 A.1); fourth, check the SYN bit
    if not seg.flags & SYN:
        return                                        # fifth, neither SYN nor RST: dropped
    if not seg.flags & ACK and act.stamp.recent and ts_before_recent(tcb, act.stamp, seg):
        return                                        # PAWS by the TIME-WAIT that was taken over (Linux)
    tcb.rcv_nxt = seg.seq + 1
    read_options(tcb, act.stamp, seg, knobs, now)
    open_window(tcb, cold, knobs)
    if not seg.flags & ACK:
        if knobs.crossed_synack_offers:
            tcb.wscale |= ours                        # of our SYN, which the SYN-ACK says again
        if ours and rounds_up(knobs) and not knobs.auto_read:
            keep_window(tcb, cold, knobs, plain_window(tcb, cold, knobs))
        syn_received(tcb, cold, seg, knobs, now, act)
        return
    tcb.snd_una = seg.ack
    complete_handshake(tcb, cold, seg, knobs, now, act)
    take_window(tcb, cold, seg, seg.wnd)
    act.effects |= E_OPENED
    if knobs.syn_text == SYN_TEXT_DROPPED:
        # the peer sends it again; RFC 9293 would take it at once
        count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)
        if send_queued(tcb, cold, knobs, now, act, ANSWER_ROWS) == 0:
            emit_ack(tcb, cold, knobs, now, act)
    else:
        act.ack_owed = True
        text_and_output(tcb, cold, seg, knobs, now, act)      # 3.10.7.4 from the sixth step on
