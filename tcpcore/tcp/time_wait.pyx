# TIME-WAIT (RFC 9293 3.10.7.4, RFC 6191, RFC 1337), and the orphan in FIN-WAIT-2 that Linux keeps like one.
#
# All eight steps in one function, as each has little left to say here; there are three such functions, as
# the stacks differ in what they look at: Linux (tcp_timewait_state_process) at the window and the
# timestamp, the RFC at the peer's FIN, FreeBSD (tcp_twcheck) at the numbers alone. A new connection out of
# TIME-WAIT is MAY-2 of RFC 9293 3.6.1. TIME-WAIT ends by the timer (timeouts.pyx), by a RST unless
# tcp_rfc1337, or by that SYN.
from libc.stdint cimport int32_t

from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.action cimport E_EOF, E_REOPEN, E_START_OVER, OP_CANCEL
from tcpcore.records.counters cimport CauseResetByPeer, NoCause, count_n
from tcpcore.records.knobs cimport TIME_WAIT_LINUX, TIME_WAIT_RFC
from tcpcore.records.segment cimport ACK, FIN, OPT_TS, RST, SYN, seg_end, seg_len
from tcpcore.records.tcb cimport B_TS, TIME_WAIT, T_FIN_WAIT_2, T_TIME_WAIT, main_kind
from tcpcore.tcp.cold cimport forget_limit
from tcpcore.tcp.outcomes cimport ECONNRESET, challenge_ack, die, duplicate_ack, reset_after_close
from tcpcore.tcp.output cimport arm_main_timer, emit_ack, emit_answering_rst
from tcpcore.tcp.receive_window cimport acceptable, in_window_linux, seq_in_window
from tcpcore.tcp.rto cimport TW_FULL_MS, ends_by_silence, fin_wait_2_timeout, keeps_full_socket, tick_up
from tcpcore.tcp.timestamps cimport set_ts_recent, ts_before_recent, ts_missing

cdef enum:
    LOOPBACK_NET = 127        # RFC 1122 3.2.1.3 (g)


# --- how a connection gets there ---------------------------------------------------------

cdef void enter_orphan_fin_wait_2(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """FIN-WAIT-2 without an application. Linux (tcp_rcv_state_process, tcp_close): of a tcp_fin_timeout
    above a minute, what exceeds it is spent as a full socket first."""
    if keeps_full_socket(knobs):
        tcb.bits |= B_FULL_SOCKET
        arm_main_timer(act, T_FIN_WAIT_2, knobs.fin_timeout_ms - TW_FULL_MS)
    else:
        await_fin(tcb, cold, knobs, act)


cdef void orphaned_in_fin_wait_2(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """The application goes away in FIN-WAIT-2. The peer's silence began before, so that FreeBSD's first look
    (tcp_usrclosed) ends it."""
    enter_orphan_fin_wait_2(tcb, cold, knobs, act)
    if ends_by_silence(knobs):
        arm_main_timer(act, T_FIN_WAIT_2, knobs.fin_wait_2_idle_ms)


cdef void heard_in_fin_wait_2(const Tcb* tcb, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """FreeBSD (tcp_timer_2msl) looks now and then whether the peer has been silent for long: go on to the
    first look that will find it so, if this segment was its last."""
    cdef int32_t left = <int32_t>(tcb.deadline - <uint32_t>tick_up(now))
    cdef uint32_t looks
    if left < 0:
        left = 0                                      # the deadline has passed and nobody called advance()
    if <uint32_t>left <= knobs.fin_wait_2_idle_ms:
        looks = (knobs.fin_wait_2_idle_ms - left) // knobs.fin_wait_2_check_ms + 1
        left += looks * knobs.fin_wait_2_check_ms
    arm_main_timer(act, T_FIN_WAIT_2, left)


cdef void await_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """Give an orphan in FIN-WAIT-2 the time in which the peer's FIN must come. Where it is kept like a
    TIME-WAIT it takes one of tcp_max_tw_buckets, and ends at once if there is none (tcp_time_wait)."""
    cdef uint32_t timeout = fin_wait_2_timeout(tcb, cold, knobs, act.sample)
    if is_time_wait_like(tcb.state, tcb.bits, knobs):
        if act.tw_full:
            count(act.counters, Mib.TCPTimeWaitOverflow)
            die(act, NoCause, 0)
            return
        count_time_wait(act.counters, timeout)
        forget_limit(tcb, cold)
    arm_main_timer(act, T_FIN_WAIT_2, timeout)


cdef inline bint peer_is_local(const Tcb* tcb) noexcept nogil:
    """True if the peer is on this host (FreeBSD: in_localip). An engine knows one address of it, its own."""
    return tcb.raddr == tcb.laddr or tcb.raddr >> 24 == LOOPBACK_NET


cdef void enter_time_wait(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """TIME-WAIT for 2 MSL from now (RFC 9293 MUST-13).
    DEVIATES: over tcp_max_tw_buckets the connection is forgotten at once; the RFC knows no cap (ADR 5)."""
    cdef bint counted = is_time_wait_like(tcb.state, tcb.bits, knobs) and main_kind(tcb, cold) == T_FIN_WAIT_2
    act.side_op = OP_CANCEL
    act.ranges.n = 0
    count(act.counters, Mib.ConnectionsClosed)
    if knobs.time_wait_ms == 0 or (knobs.nolocaltimewait and peer_is_local(tcb)):
        die(act, NoCause, 0)
        return
    if act.tw_full and not counted:
        count(act.counters, Mib.TCPTimeWaitOverflow)
        die(act, NoCause, 0)
        return
    if not counted:
        forget_limit(tcb, cold)
        count_time_wait(act.counters, knobs.time_wait_ms)
    tcb.state = TIME_WAIT
    arm_main_timer(act, T_TIME_WAIT, knobs.time_wait_ms)


# --- TIME-WAIT ---------------------------------------------------------------------------

cdef void in_time_wait(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """A segment for a connection in TIME-WAIT, by the rules of knobs.time_wait_rules."""
    if knobs.time_wait_rules == TIME_WAIT_LINUX:
        in_time_wait_linux(tcb, cold, seg, knobs, now, act)
    elif knobs.time_wait_rules == TIME_WAIT_RFC:
        in_time_wait_rfc(tcb, cold, seg, knobs, now, act)
    else:
        in_time_wait_freebsd(tcb, cold, seg, knobs, now, act)


cdef bint syn_reopens(Tcb* tcb, Cold* cold, const Segment* seg, Action* act) noexcept nogil:
    """True for a SYN that is newer by number or by timestamp (RFC 6191): the listener, if there is one,
    gets it with an ISS beyond all we sent, as Linux chooses it (tcp_timewait_state_process)."""
    cdef bint newer = tcb.bits & B_TS and seg.opts & OPT_TS and seq_lt(act.stamp.recent, seg.tsval)
    if (seg.flags & (SYN | RST | ACK)) != SYN or ts_before_recent(tcb, act.stamp, seg) or not (
            newer or seq_lt(tcb.rcv_nxt, seg.seq)):
        return False
    if act.listening:
        act.iss = tcb.snd_nxt + 65537
        if act.iss == 0:
            act.iss = 1
        act.effects |= E_REOPEN
    return True


cdef void in_time_wait_linux(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil:
    """TIME-WAIT as Linux has it: any segment with an ACK outside the window restarts 2 MSL, and any
    in-order one without text."""
    cdef bint paws = ts_before_recent(tcb, act.stamp, seg)
    if not paws and seg.seq == tcb.rcv_nxt and (seg_len(seg) == 0 or seg.flags & RST):
        if seg.flags & RST and not knobs.tcp_rfc1337:
            die(act, NoCause, 0)
            return
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            set_ts_recent(act.stamp, seg, now)
        if not seg.flags & RST:
            arm_main_timer(act, T_TIME_WAIT, knobs.time_wait_ms)
        return
    if syn_reopens(tcb, cold, seg, act):
        if not act.listening:
            emit_ack(tcb, cold, knobs, now, act)
        return
    count_n(act.counters, Mib.PAWSTimewait, paws)
    if seg.flags & RST:
        return
    if paws or seg.flags & ACK:
        arm_main_timer(act, T_TIME_WAIT, knobs.time_wait_ms)
    duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedTimeWait)


cdef void in_time_wait_rfc(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """TIME-WAIT by the letter: only the peer's FIN can still be expected, it is acknowledged and restarts 2
    MSL."""
    cdef bint paws = ts_before_recent(tcb, act.stamp, seg)
    cdef bint fits, fin
    if seg.flags & RST:
        if seq_in_window(tcb, cold, seg, knobs) and not knobs.tcp_rfc1337:
            if seg.seq == tcb.rcv_nxt or knobs.insecure_rst:
                die(act, NoCause, 0)
            else:
                challenge_ack(tcb, cold, knobs, now, act)
    elif seg.flags & SYN:
        if syn_reopens(tcb, cold, seg, act) and act.listening:
            return
        count(act.counters, Mib.TCPSYNChallenge)
        challenge_ack(tcb, cold, knobs, now, act)
    elif not ts_missing(tcb, seg, knobs):
        fits = acceptable(tcb, cold, seg, knobs)
        fin = seg.flags & FIN and (fits or seg_end(seg) == tcb.rcv_nxt)
        if fits and not paws and not fin:
            return
        count_n(act.counters, Mib.PAWSTimewait, paws)
        if fin and not paws:
            arm_main_timer(act, T_TIME_WAIT, knobs.time_wait_ms)
        duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedTimeWait)


cdef void in_time_wait_freebsd(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                               Action* act) noexcept nogil:
    """TIME-WAIT as FreeBSD's tcp_twcheck has it: numbers decide, timestamps do not; what is new to us is
    acknowledged."""
    if seg.flags & RST:
        if not knobs.tcp_rfc1337 and seg.seq == tcb.rcv_nxt:
            die(act, NoCause, 0)
        return
    if seg.flags & (SYN | ACK) == SYN and seq_lt(tcb.rcv_nxt, seg.seq):
        act.effects |= E_START_OVER
        return
    if not seg.flags & ACK or ts_missing(tcb, seg, knobs):
        return
    if seg.flags & FIN and seg_end(seg) == tcb.rcv_nxt:
        arm_main_timer(act, T_TIME_WAIT, knobs.time_wait_ms)    # the peer's FIN again
    if seg.flags != ACK or seg.payload_len or seg.seq != tcb.rcv_nxt or seg.ack != tcb.snd_nxt:
        emit_ack(tcb, cold, knobs, now, act)


# --- FIN-WAIT-2 of an orphan -------------------------------------------------------------

cdef void in_time_wait_like(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """FIN-WAIT-2 of an orphan that is kept like a TIME-WAIT: only the peer's FIN is still awaited.
    DEVIATES: RFC 9293 has the ordinary steps here; Linux keeps such a connection as a TIME-WAIT entry and
    judges by its short rules (tcp_timewait_state_process, ADR 5)."""
    cdef bint paws = ts_before_recent(tcb, act.stamp, seg)
    if paws or not in_window_linux(tcb, cold, seg, knobs):
        count_n(act.counters, Mib.PAWSEstab, paws)
        duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedFinWait2)     # also to a RST
        return
    if seg.flags & RST:
        die(act, CauseResetByPeer, ECONNRESET)
        return
    if seg.flags & SYN and seq_le(tcb.rcv_nxt, seg.seq):
        emit_answering_rst(seg, act)
        die(act, CauseResetByPeer, ECONNRESET)
        return
    if not seg.flags & ACK or seg_len(seg) == 0 or seq_le(seg_end(seg), tcb.rcv_nxt):
        return
    if seg.flags & FIN and seg_end(seg) == tcb.rcv_nxt + 1:
        tcb.rcv_nxt += 1
        act.effects |= E_EOF
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            set_ts_recent(act.stamp, seg, now)
        emit_ack(tcb, cold, knobs, now, act)
        enter_time_wait(tcb, cold, knobs, act)
        return
    reset_after_close(tcb, seg, knobs, act)
