# Outcomes that calls, segments and timers share; outcomes.pxd is their list.
#
# Invariant: each function leaves the TCB either with E_DEAD or with the timer that its state needs.

from tcpcore.records.action cimport E_DEAD
from tcpcore.records.counters cimport CauseDataAfterClose, count
from tcpcore.records.segment cimport ACK, SYN, seg_len
from tcpcore.records.tcb cimport (
    B_CROSSED, B_ECN, B_PASSIVE, B_RESEND_SYN, B_SYN_UNACKED, B_TIMING, B_TS, CLOSE_WAIT, OOW_SENT, SYN_SENT,
    T_REXMT,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport has_liveness, start_keepalive
from tcpcore.tcp.options cimport establish
from tcpcore.tcp.output cimport (
    arm_main_timer, cancel_main_timer, emit_ack, emit_answering_rst, emit_bare_ack, emit_syn,
)
from tcpcore.tcp.rto cimport clock_ms, syn_began, tick_up


# --- the connection ends -----------------------------------------------------------------

cdef void die(Action* act, uint8_t cause, uint8_t error) noexcept nogil:
    """The connection is over; the batch loops remove the TCB."""
    act.effects |= E_DEAD
    act.cause = cause
    act.error = error


cdef uint8_t reset_error(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """The errno that a RST leaves for the application; Linux tells EPIPE in CLOSE-WAIT (tcp_reset)."""
    return EPIPE if tcb.state == CLOSE_WAIT and knobs.epipe_in_close_wait else ECONNRESET


cdef void reset_after_close(const Tcb* tcb, const Segment* seg, const Knobs* knobs,
                            Action* act) noexcept nogil:
    """Reset a peer that sends text to an application that has closed (RFC 9293 3.6.1, RFC 2525 2.17)."""
    emit_answering_rst(seg, act)
    count(act.counters, Mib.TCPAbortOnData)
    die(act, CauseDataAfterClose, reset_error(tcb, knobs))


# --- it opens ----------------------------------------------------------------------------

cdef void arm_syn_timer(Tcb* tcb, const Knobs* knobs, int64_t now, Action* act,
                        uint32_t timeout) noexcept nogil:
    """Arm the timer of our own SYN, cut at the end of the whole attempt (FreeBSD's keepinit)."""
    cdef int64_t left
    if knobs.keepinit_ms:
        # below 0 where the end has passed and no advance() has fired it yet
        left = syn_began(tcb) + knobs.keepinit_ms - tick_up(now)
        if left < timeout:
            timeout = <uint32_t>left if left > 0 else 0
    arm_main_timer(act, T_REXMT, timeout)


cdef void resend_synack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The SYN-ACK of a half-open entry once more."""
    if tcb.bits & B_TS:
        # the last TSval that a SYN-ACK had: from now on an echo may be of any between the first and this one
        use_cold(tcb, cold)
        cold.rtt_seq = clock_ms(now) + act.stamp.offset
        cold.rtt_at = 1
    emit_syn(tcb, cold, knobs, now, act, SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)


cdef void mark_syn_unacked(Tcb* tcb, Cold* cold) noexcept nogil:
    """Leave active SYN-RECEIVED with our SYN unacknowledged: from now on it is resent like text. Its round
    trip is taken all the same if it was sent once."""
    cdef bint once = tcb.retries == 0 and not tcb.bits & B_RESEND_SYN
    tcb.bits &= ~(B_CROSSED | B_RESEND_SYN | B_ECN)
    tcb.bits |= B_SYN_UNACKED
    if once:
        tcb.bits |= B_TIMING
        cold.rtt_seq = tcb.iss + 1
    tcb.snd_wl1 = tcb.rcv_nxt - 1                     # no longer when the attempt began
    tcb.rtt = 0


cdef void complete_handshake(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil:
    """Enter ESTABLISHED, and stop the timer of the handshake. After a simultaneous open Linux starts no
    keepalive timer (tcp_finish_connect and tcp_create_openreq_child do); FreeBSD does (tcp_do_segment)."""
    if has_liveness(tcb, cold) and (tcb.state == SYN_SENT or tcb.bits & B_PASSIVE or knobs.crossed_keepalive):
        start_keepalive(act.live, knobs, now)
    establish(tcb, cold, act.stamp, seg, knobs, now)
    cancel_main_timer(act)


# --- it answers a segment that it does not take ------------------------------------------

cdef bint rate_limited(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                       Mib counter) noexcept nogil:
    """True if the last limited ACK is less than tcp_invalid_ratelimit ago; else the interval begins anew.
    Linux: __tcp_oow_rate_limited."""
    cdef uint32_t at = clock_ms(now)
    if knobs.tcp_invalid_ratelimit == 0:
        return False
    use_cold(tcb, cold)
    if cold.highest & OOW_SENT and at - cold.oow_at < knobs.tcp_invalid_ratelimit:
        count(act.counters, counter)
        return True
    cold.oow_at = at
    cold.highest |= OOW_SENT
    return False


cdef bint ack_war_limited(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                          Mib counter) noexcept nogil:
    """True if ack_war_cnt ACKs have answered bad segments within ack_war_timewindow_ms. The window begins
    with the first of them. FreeBSD: tcp_send_challenge_ack for challenges, and in its RACK stack
    (ctf_ack_war_checks) for every ACK that an unacceptable segment asks for: were the others not limited,
    two ends that are out of step would acknowledge each other for ever."""
    cdef uint32_t at = clock_ms(now)
    if knobs.ack_war_cnt == 0 or knobs.ack_war_timewindow_ms == 0:
        return False
    use_cold(tcb, cold)
    if cold.ack_war_sent == 0 or at - cold.ack_war_at > knobs.ack_war_timewindow_ms:
        cold.ack_war_at = at
        cold.ack_war_sent = 0
    if cold.ack_war_sent >= knobs.ack_war_cnt:
        count(act.counters, counter)
        return True
    cold.ack_war_sent += 1
    return False


cdef bint answer_withheld(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """True if the ACK in answer to a segment that says nothing new is one too many (ack_war_cnt). Text is
    always answered: its sender waits for the ACK."""
    return (seg.payload_len == 0 or seg.flags & SYN != 0) and ack_war_limited(
        tcb, cold, knobs, now, act, Mib.TCPACKSkippedSeq)


cdef bint oow_rate_limited(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act, Mib counter) noexcept nogil:
    """True if an ACK in answer to this segment is to be withheld (RFC 5961 7; Linux: tcp_oow_rate_limited).
    Text is always answered: its sender waits for the ACK, and two ends that answer only text cannot loop."""
    if not (seg_len(seg) and not seg.flags & SYN) and rate_limited(tcb, cold, knobs, now, act, counter):
        return True
    # here a FIN counts as well: by ack_repeats_control its answer may be a FIN again
    return not (seg.payload_len and not seg.flags & SYN) and ack_war_limited(
        tcb, cold, knobs, now, act, counter)


cdef void challenge_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """RFC 5961's challenge: an ACK that only the real peer can make use of. The limit that spans connections
    (tcp_challenge_ack_limit) is applied by the batch loops, which may still withhold the row."""
    if not rate_limited(tcb, cold, knobs, now, act, Mib.TCPACKSkippedChallenge) and not ack_war_limited(
            tcb, cold, knobs, now, act, Mib.TCPACKSkippedChallenge):
        emit_bare_ack(tcb, cold, knobs, now, act)
        act.challenge = True


cdef void duplicate_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                        Action* act, Mib counter) noexcept nogil:
    """Tell a peer whose segment is not acceptable where we are (RFC 9293 3.10.7.4, first)."""
    if not oow_rate_limited(tcb, cold, seg, knobs, now, act, counter):
        emit_ack(tcb, cold, knobs, now, act)
