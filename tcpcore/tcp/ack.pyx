# RFC 9293 3.10.7.4, the fifth step: check the ACK field.
#
# In SYN-RECEIVED the ACK completes the handshake; else it is checked for its range (RFC 5961 5.2), moves
# SND.UNA and SND.WND, and if it covers our FIN, the state. A function returns False when the segment is
# dealt with.
# Invariant: SND.UNA only moves forward, and never beyond SND.NXT.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.base.prefetch cimport unlikely
from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.action cimport E_DEAD, E_OPENED, E_WRITABLE
from tcpcore.records.counters cimport Mib, NoCause, count
from tcpcore.records.knobs cimport ACCEPT_TRIM, ACK_RANGE_RFC793, PROBE_BYTE, SYN_TEXT_DROPPED
from tcpcore.records.segment cimport ACK, FIN, OPT_TS, SYN, seg_end, seg_len
from tcpcore.records.tcb cimport (
    B_COLD, B_FIN_SENT, B_FULL_SOCKET, B_ORPHAN, B_PASSIVE, B_PROBED, B_RECOVER, B_SHUT,
    B_SYN_UNACKED, B_TIMING, B_TS, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, SYN_RECEIVED,
    T_FIN_WAIT_2, T_KEEPALIVE, T_PERSIST, T_REXMT, Liveness, main_kind,
)
from tcpcore.tcp.half_open cimport complete_half_open, refuse_ack
from tcpcore.tcp.liveness cimport has_liveness, lingers, note_heard, persist_interval, resets_text
from tcpcore.tcp.options cimport moves_window, take_window
from tcpcore.tcp.outcomes cimport (
    answer_withheld, challenge_ack, complete_handshake, die, mark_syn_unacked, reset_after_close,
)
from tcpcore.tcp.output cimport (
    arm_main_timer, cancel_main_timer, emit_ack, flight_timeout, resend_first, send_queued,
)
from tcpcore.tcp.rto cimport fin_wait_2_timeout, keeps_full_socket, restart_silence, rtt_sample, tick_up
from tcpcore.tcp.text cimport keep_out_of_order
from tcpcore.tcp.time_wait cimport enter_orphan_fin_wait_2, enter_time_wait, is_time_wait_like
from tcpcore.tcp.timestamps cimport echoed_sample, store_sample, update_ts_recent


cdef bint fifth_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """RFC 9293 3.10.7.4, fifth: check the ACK field. False: the segment has been dealt with."""
    cdef uint32_t wnd = <uint32_t>seg.wnd << (0 if seg.flags & SYN else tcb.wscale & 15)
    cdef bint advanced = seq_lt(tcb.snd_una, seg.ack)
    cdef uint8_t kind
    if not seg.flags & ACK:
        return without_ack(tcb, cold, seg, knobs, now, act)
    if tcb.state == SYN_RECEIVED:
        return ack_in_syn_received(tcb, cold, seg, knobs, now, act, wnd)
    if not ack_in_range(tcb, cold, seg, knobs, now, act):
        return False
    if seq_lt(seg.ack, tcb.snd_una):
        return True                                   # old, but its text may be new
    if tcb.bits & B_COLD:
        cold.error = 0                                # what ICMP said is over (Linux: tcp_ack, sk_err_soft)
    update_ts_recent(tcb, cold, act.stamp, seg, now)
    kind = main_kind(tcb, cold)
    if kind == T_PERSIST or kind == T_KEEPALIVE:
        tcb.retries = 0                               # the probes are being answered
        if kind == T_PERSIST:
            restart_silence(cold, knobs, now)
            if knobs.persist_restarts:
                arm_main_timer(act, T_PERSIST, persist_interval(tcb, cold, knobs, act.live, now))
    if unlikely(tcb.bits & B_PROBED) and probe_answered(tcb, act.live, seg, wnd):
        tcb.bits &= ~B_PROBED
    if moves_window(tcb, seg, wnd):
        take_window(tcb, cold, seg, wnd)
    if unlikely(has_liveness(tcb, cold) or (tcb.snd_wnd == 0 and knobs.closed_window_ends
                                            and tcb.snd_una != tcb.snd_nxt)):
        note_heard(tcb, cold, act.live, now)
    if advanced:
        acknowledged(tcb, cold, seg, knobs, now, act)
        if tcb.snd_una == tcb.snd_nxt and tcb.bits & B_FIN_SENT:
            return fin_acknowledged(tcb, cold, seg, knobs, now, act)
    return True


cdef bint probe_answered(const Tcb* tcb, const Liveness* live, const Segment* seg,
                         uint32_t wnd) noexcept nogil:
    """True if the loss probe's fate is known: numbers after it are acknowledged, or its copy and the original
    have both come, which a second ACK tells (RFC 8985 7.4; Linux: tcp_process_tlp_ack). Until then there is
    no other probe, not for later text either."""
    return seq_lt(live.probed_to, seg.ack) or (
        seg.ack == live.probed_to and seg.ack == tcb.snd_una and seg.payload_len == 0 and wnd == tcb.snd_wnd)


cdef bint without_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    """A segment without ACK is dropped. With acceptance "trim" (FreeBSD: tcp_do_segment) the ACK that
    trimming came to owe is sent nevertheless, and SYN-RECEIVED keeps the text of a repeated SYN."""
    if knobs.acceptance == ACCEPT_TRIM:
        if tcb.state == SYN_RECEIVED and (seg.payload_len or seg.flags & FIN):
            act.ack_owed = True
            if seg.payload_len and knobs.syn_text != SYN_TEXT_DROPPED:
                keep_out_of_order(seg.seq, seg.seq + seg.payload_len, False, act)
        if act.ack_owed:
            emit_ack(tcb, cold, knobs, now, act)
    return False


cdef bint ack_in_syn_received(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                              Action* act, uint32_t wnd) noexcept nogil:
    """SYN-RECEIVED: an ACK of our SYN leads to ESTABLISHED, any other one is reset."""
    cdef bint advanced = seq_lt(tcb.snd_una, seg.ack)
    cdef bint consents = seg.ack == tcb.snd_una and knobs.ack_of_iss_opens and not tcb.bits & B_PASSIVE
    cdef bint close_waits
    if seq_lt(tcb.snd_nxt, seg.ack) or not (advanced or consents):
        refuse_ack(tcb, seg, knobs, act)
        return False
    if tcb.bits & B_PASSIVE:
        return complete_half_open(tcb, cold, seg, knobs, now, act)
    update_ts_recent(tcb, cold, act.stamp, seg, now)
    close_waits = tcb.bits & B_SHUT
    act.effects |= E_OPENED
    if not advanced:
        # DEVIATES: Linux (tcp_rcv_state_process) takes an ACK of nothing for the peer's consent; our SYN-ACK
        # goes on being resent
        tcb.state = ESTABLISHED
        mark_syn_unacked(tcb, cold)
        if tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr:
            # the round trip is that of the echo (tcp_synack_rtt_meas)
            store_sample(tcb, cold, seg, knobs, echoed_sample(act.stamp, seg, now))
        take_window(tcb, cold, seg, wnd)
    else:
        tcb.snd_una = seg.ack
        complete_handshake(tcb, cold, seg, knobs, now, act)    # first: SND.WL1 tells when the attempt began
        take_window(tcb, cold, seg, wnd)
    if close_waits:
        tcb.state = FIN_WAIT_1
        send_queued(tcb, cold, knobs, now, act, 1)
        if tcb.bits & B_FIN_SENT and tcb.snd_una == tcb.snd_nxt:
            return fin_acknowledged(tcb, cold, seg, knobs, now, act)    # it went with the SYN-ACK
    return True


cdef inline bint probed_byte(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """True if the byte at SND.NXT has been that of a zero-window probe (FreeBSD: SND.MAX is behind it)."""
    return (knobs.persist_probe == PROBE_BYTE and main_kind(tcb, cold) == T_PERSIST and cold.backoff != 0
            and cold.snd_end != tcb.snd_nxt)


cdef bint ack_in_range(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """RFC 5961 5.2: SND.UNA - MAX.SND.WND <= SEG.ACK <= SND.NXT, else a challenge ACK. RFC 793 lets every
    old ACK pass, which is half of all numbers and a help to whoever injects text blindly
    (ack_range_793)."""
    cdef uint32_t reach, first
    if seq_lt(tcb.snd_nxt, seg.ack):
        if seg.ack == tcb.snd_nxt + 1 and probed_byte(tcb, cold, knobs):
            tcb.snd_nxt += 1
            return True
        if knobs.ack_range == ACK_RANGE_RFC793:
            if not answer_withheld(tcb, cold, seg, knobs, now, act):
                emit_ack(tcb, cold, knobs, now, act)
        else:
            challenge_ack(tcb, cold, knobs, now, act)
        return False
    if seq_lt(seg.ack, tcb.snd_una) and knobs.ack_range != ACK_RANGE_RFC793:
        # no older than the largest window, nor (Linux: tcp_ack, bytes_acked) than all that was ever
        # acknowledged, to which the SYN belongs where we opened
        reach = cold.max_snd_wnd if tcb.bits & B_COLD else tcb.snd_wnd
        first = tcb.iss + (1 if tcb.bits & B_PASSIVE else 0)
        if reach > tcb.snd_una - first:
            reach = tcb.snd_una - first
        if seq_lt(seg.ack, tcb.snd_una - reach):
            challenge_ack(tcb, cold, knobs, now, act)
            return False
    return True


cdef void acknowledged(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """SND.UNA moves: take an RTT sample, restart or stop the resend timer (RFC 6298 5.2, 5.3)."""
    cdef uint32_t sample = 0, echoed
    cdef bint syn = tcb.bits & B_SYN_UNACKED
    cdef uint32_t text = tcb.snd_una + (1 if tcb.bits & B_SYN_UNACKED else 0)
    if tcb.bits & B_COLD and seq_lt(text, cold.snd_end) and seq_le(cold.snd_end, seg.ack):
        act.effects |= E_WRITABLE
    tcb.snd_una = seg.ack
    tcb.retries = 0
    tcb.bits &= ~B_SYN_UNACKED
    if tcb.bits & B_RECOVER:
        if seq_le(cold.rtt_seq, tcb.snd_una):
            tcb.bits &= ~B_RECOVER
    elif tcb.bits & B_TIMING and seq_le(cold.rtt_seq, tcb.snd_una):
        tcb.bits &= ~B_TIMING
        sample = rtt_sample(<uint32_t>tick_up(now) - cold.rtt_at)
    if tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr:
        echoed = echoed_sample(act.stamp, seg, now)
        if echoed and not (syn and sample):           # Linux (tcp_ack_update_rtt) asks its row first
            sample = echoed
    act.sample = store_sample(tcb, cold, seg, knobs, sample)
    if tcb.snd_una == tcb.snd_nxt:
        cancel_main_timer(act)
        return
    arm_main_timer(act, T_REXMT, flight_timeout(tcb, cold, knobs))
    if tcb.bits & B_RECOVER:
        resend_first(tcb, cold, knobs, now, act)


cdef bint fin_acknowledged(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """Our FIN is acknowledged: FIN-WAIT-1 becomes FIN-WAIT-2, CLOSING becomes TIME-WAIT, LAST-ACK ends."""
    if tcb.state == FIN_WAIT_1:
        if resets_text(tcb, cold, act.live, knobs) and text_after_close(tcb, seg, knobs, act):
            return False
        tcb.state = FIN_WAIT_2
        if lingers(tcb, cold, act.live):
            return True                               # an orphan once the segment is done with (loops/timers)
        if (tcb.bits & B_ORPHAN and seg.flags & FIN
                and knobs.orphan_fin_wait_2_brief and not keeps_full_socket(knobs)):
            # in order the FIN leads straight on to TIME-WAIT; if it is old, Linux (tcp_rcv_state_process:
            # th->fin) keeps the full socket too
            arm_main_timer(act, T_FIN_WAIT_2, fin_wait_2_timeout(tcb, cold, knobs, act.sample))
            tcb.bits |= B_FULL_SOCKET
        elif tcb.bits & B_ORPHAN:
            enter_orphan_fin_wait_2(tcb, cold, knobs, act)
            # nothing but its FIN is wanted of the peer from now on, not even old text
            return not act.effects & E_DEAD and not is_time_wait_like(tcb.state, tcb.bits, knobs)
    elif tcb.state == CLOSING:
        if act.ack_owed:
            emit_ack(tcb, cold, knobs, now, act)
        enter_time_wait(tcb, cold, knobs, act)
        return False
    elif tcb.state == LAST_ACK:
        count(act.counters, Mib.ConnectionsClosed)
        die(act, NoCause, 0)
        return False
    return True


cdef bint text_after_close(Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """Reset a peer whose new text is for an application that is gone (RFC 9293 3.6.1, RFC 2525 2.17), on
    Linux also one whose text reaches over its own FIN. True: so it was."""
    if knobs.acceptance == ACCEPT_TRIM:
        return False                                  # has been looked at while trimming
    if seg_len(seg) == 0 or not seq_lt(tcb.rcv_nxt, seg_end(seg) - (seg.flags & FIN)):
        return False
    reset_after_close(tcb, seg, knobs, act)
    return True
