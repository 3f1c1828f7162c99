# SYN-RECEIVED that came from LISTEN (RFC 9293 MUST-11), the half-open entry.
#
# It has no application, a flood makes millions of it, and both stacks keep it small: Linux a request socket
# with a stricter order of the same steps (tcp_check_req), FreeBSD a cache that looks for a SYN, a RST or an
# ACK and for nothing else (syncache_add, syncache_expand, syncache_chkrst). By the letter of the RFC the
# entry goes through the ordinary steps (steps.pyx, ack.pyx), which use the outcomes at the end of this
# file.
from libc.stdint cimport uint16_t, uint32_t

from tcpcore.records.action cimport E_ACCEPT
from tcpcore.records.counters cimport (
    CauseAcceptQueueFull, CauseEmbryonicAborted, CauseEmbryonicReset, Mib, count, count_n,
)
from tcpcore.records.segment cimport ACK, OPT_TS, RST, SYN, asks_for_ecn, seg_end
from tcpcore.records.tcb cimport B_COLD, B_DEFERRED, B_ECN, B_PASSIVE, B_RESEND_SYN, B_TS, T_REXMT
from tcpcore.tcp.cold cimport forget_limit
from tcpcore.tcp.options cimport take_window
from tcpcore.tcp.outcomes cimport (
    challenge_ack, complete_handshake, die, duplicate_ack, oow_rate_limited, resend_synack,
)
from tcpcore.tcp.output cimport arm_main_timer, emit_answering_rst
from tcpcore.tcp.receive_window cimport in_window_linux, rcv_wnd
from tcpcore.tcp.rto cimport rtt_sample, rtt_update, synack_timeout, tick_up
from tcpcore.tcp.timestamps cimport (
    echoes_synack, set_ts_recent, ts_before_recent, ts_missing, update_ts_recent,
)


cdef bint half_open_linux(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Judge a segment as Linux's tcp_check_req does. True: the handshake is complete, and the segment goes
    on to its text and FIN."""
    cdef uint8_t flags = seg.flags
    cdef bint paws = ts_before_recent(tcb, act.stamp, seg)
    cdef bint ecr_bad = (knobs.tsecr_checked == 1 and tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr
                         and not echoes_synack(tcb, cold, act.stamp, seg))
    cdef bint wrong_ack = (flags & (ACK | RST)) == ACK and seg.ack != tcb.snd_nxt
    if seg.seq == tcb.rcv_nxt - 1 and (flags & (SYN | ACK | RST)) == SYN and not paws:
        # the peer's SYN again: by the RFC unacceptable and worth an ACK, of which its sender in SYN-SENT can
        # make nothing if our SYN-ACK was lost; so the SYN-ACK goes again
        if (knobs.dup_syn_restarts
                or not oow_rate_limited(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedSynRecv)):
            answer_repeated_syn(tcb, cold, knobs, now, act)
        return False
    if wrong_ack and knobs.wrong_ack_first:
        refuse_ack(tcb, seg, knobs, act)
        return False
    # first, check sequence number
    if paws or ecr_bad or not in_window_linux(tcb, cold, seg, knobs):
        count_n(act.counters, Mib.PAWSEstab, paws)
        count_n(act.counters, Mib.TSEcrRejected, ecr_bad and not paws)
        if not flags & RST:
            duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedSynRecv)
        return False
    if seg.seq == tcb.rcv_nxt - 1:
        flags &= ~SYN                                 # its SYN lies left of the window
    # second, check the RST bit
    if flags & RST:
        rst_for_half_open(tcb, cold, seg, knobs, now, act)
        return False
    # third, security: not implemented; fourth, check the SYN bit
    if flags & SYN:
        emit_answering_rst(seg, act)
        end_half_open(act, CauseEmbryonicAborted)
        return False
    # fifth, check the ACK field
    if not flags & ACK:
        return False
    if wrong_ack:
        refuse_ack(tcb, seg, knobs, act)
        return False
    return complete_half_open(tcb, cold, seg, knobs, now, act)


cdef bint half_open_syncache(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil:
    """Judge a segment as FreeBSD's syncache does. True: the handshake is complete, and the segment goes on to
    its text and FIN."""
    cdef uint32_t wnd = rcv_wnd(tcb, cold, knobs)
    if wnd > 65535:
        wnd = 65535                                   # what the SYN-ACK could tell
    if seg.flags & RST:
        # syncache_chkrst
        if seg.seq - tcb.rcv_nxt < wnd or seg.seq == tcb.rcv_nxt:
            rst_for_half_open(tcb, cold, seg, knobs, now, act)
    elif seg.flags & (SYN | ACK) == SYN:
        # syncache_add: any SYN is taken for the first one again; the timestamp is that of this one
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            set_ts_recent(act.stamp, seg, now)
        elif tcb.bits & B_TS:
            tcb.bits &= ~B_TS
        if not asks_for_ecn(seg):
            tcb.bits &= ~B_ECN
        answer_repeated_syn(tcb, cold, knobs, now, act)
    elif seg.flags & (SYN | ACK) == ACK:
        # syncache_expand
        if ts_missing(tcb, seg, knobs):
            return False
        if ts_before_recent(tcb, act.stamp, seg):
            count(act.counters, Mib.PAWSEstab)
            return False
        if seg.ack != tcb.snd_nxt or seg.seq - tcb.rcv_nxt >= wnd:
            refuse_ack(tcb, seg, knobs, act)
            return False
        return complete_half_open(tcb, cold, seg, knobs, now, act)
    elif seg.flags & SYN and knobs.listen_answers_synack:
        refuse_ack(tcb, seg, knobs, act)
    return False


# --- outcomes, whichever rules judge -----------------------------------------------------

cdef bint complete_half_open(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil:
    """The ACK that a half-open entry waits for: it becomes a connection (True) if the accept queue has room.
    Without room the ACK is ignored: the SYN-ACK's timer or the peer's text asks again later (Linux:
    tcp_v4_syn_recv_sock)."""
    update_ts_recent(tcb, cold, act.stamp, seg, now)
    if act.defer and tcb.retries < act.defer and seg_end(seg) == tcb.rcv_nxt:
        # TCP_DEFER_ACCEPT (Linux: tcp_check_req): a bare ACK only says that the peer is there
        count(act.counters, Mib.TCPDeferAcceptDrop)
        if tcb.retries and not tcb.bits & B_DEFERRED:
            tcb.bits |= B_RESEND_SYN
        tcb.bits |= B_DEFERRED
        return False
    if act.accept_full and not act.auto_accept:
        count(act.counters, Mib.ListenOverflows)
        count(act.counters, Mib.ListenDrops)
        if knobs.tcp_abort_on_overflow:
            emit_answering_rst(seg, act)
            end_half_open(act, CauseAcceptQueueFull)
        return False
    if seg.flags & SYN:
        challenge_ack(tcb, cold, knobs, now, act)     # the old SYN on it makes it no third segment
        return False
    tcb.snd_una = seg.ack
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    if tcb.bits & B_DEFERRED:
        complete_deferred(tcb, cold, seg, knobs, now, act)
    else:
        complete_handshake(tcb, cold, seg, knobs, now, act)
    forget_limit(tcb, cold)
    act.effects |= E_ACCEPT
    count(act.counters, Mib.PassiveOpens)
    return True


cdef void complete_deferred(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """complete_handshake where the peer's text was waited for. The round trip is taken from the SYN-ACK to
    the text, unless that was resent (Linux: tcp_synack_rtt_meas, req->num_retrans)."""
    cdef uint32_t i, began = tcb.deadline
    cdef bint silent = tcb.retries != 0 and not tcb.bits & B_RESEND_SYN
    for i in range(tcb.retries + 1):
        began -= synack_timeout(knobs, i)
    tcb.bits &= ~B_DEFERRED
    complete_handshake(tcb, cold, seg, knobs, now, act)
    if silent:
        tcb.rtt = <uint16_t>rtt_sample(<uint32_t>tick_up(now) - began)
        if tcb.bits & B_COLD:
            cold.srtt_us = 0
            rtt_update(cold, tcb.rtt)


cdef void refuse_ack(const Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """SYN-RECEIVED: an acknowledgment of something else is reset (RFC 9293 3.10.7.4, fifth). The entry
    stays, as anybody can send such a segment; FreeBSD gives it up (syncache_expand)."""
    emit_answering_rst(seg, act)
    if knobs.bad_ack_ends_half_open and tcb.bits & B_PASSIVE:
        end_half_open(act, CauseEmbryonicAborted)


cdef void rst_for_half_open(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """A RST in the window of a half-open entry: it ends if SEG.SEQ is exact, else it challenges (RFC 5961
    3.2)."""
    if seg.seq == tcb.rcv_nxt or knobs.insecure_rst:
        end_half_open(act, CauseEmbryonicReset)
    else:
        challenge_ack(tcb, cold, knobs, now, act)


cdef void end_half_open(Action* act, uint8_t cause) noexcept nogil:
    """The half-open entry goes; there is no application to tell."""
    count(act.counters, Mib.EmbryonicRsts)
    count(act.counters, Mib.AttemptFails)
    die(act, cause, 0)


cdef void answer_repeated_syn(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                              Action* act) noexcept nogil:
    """The peer's SYN again, so our SYN-ACK was lost: it goes again at once, and its timer starts over."""
    if knobs.dup_syn_restarts:
        tcb.retries = 0
    resend_synack(tcb, cold, knobs, now, act)
    tcb.bits |= B_RESEND_SYN
    arm_main_timer(act, T_REXMT, synack_timeout(knobs, tcb.retries))
