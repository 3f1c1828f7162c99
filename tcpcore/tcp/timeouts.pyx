# TIMEOUTS: RFC 9293 3.10.8, with the times of RFC 6298 (rto.pxd) and the limits of RFC 9293 3.8.3 (R1, R2).
#
# Not here: which timer a state runs (the function that enters the state arms it) and the wheel that keeps
# them. The USER TIMEOUT of the RFC is R2, as in Linux and FreeBSD.
from libc.stdint cimport uint32_t

from tcpcore.records.counters cimport (
    CauseConnectTimedOut, CauseFinWait2TimedOut, CauseSynQueueExpired, CauseTimedOut, Mib, NoCause, count,
)
from tcpcore.records.knobs cimport PERSIST_ENDS_SILENCE, RETRIES_COUNT, RETRIES_TIME
from tcpcore.records.segment cimport ACK, SYN
from tcpcore.records.tcb cimport (
    B_FULL_SOCKET, B_LAST_TIMER, B_MATURE, B_ORPHAN, B_PASSIVE, B_RECOVER, B_SACK, B_TS, B_WSCALE,
    OUR_FIN, SYN_RECEIVED, SYN_SENT, T_DELACK, T_FIN_WAIT_2, T_OUTPUT, T_PERSIST, T_REXMT, T_TIME_WAIT,
    in_set,
)
from tcpcore.tcp.outcomes cimport ETIMEDOUT, arm_syn_timer, die, resend_synack
from tcpcore.tcp.output cimport (
    arm_main_timer, emit_abort_rst, emit_ack, emit_syn, resend_first, send_persist_probe, send_queued,
)
from tcpcore.tcp.rto cimport (
    backoff_sum, count_resend, count_syn, keeps_full_socket, probe_timeout, r2_reached, rexmt_timeout, rto,
    since_first_resend, syn_began, syn_timeout, tick_up,
)
from tcpcore.tcp.time_wait cimport await_fin

cdef enum:
    SYNS_WITH_OPTIONS = 3     # rexmit_drop_options: the SYN and two resends
    SILENCE_MS = 7_200_000    # FreeBSD: tcp_maxpersistidle
    SILENCE_AFTER_CLOSE_MS = 60_000   # TCPTV_PERSMAX
    BACKOFF_SUM = 2559        # tcp_totbackoff


cdef void timer_expired(Tcb* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                        int64_t now, Action* act) noexcept nogil:
    """The timer of this kind has run out. synack_retries: what the listener's queue allows now."""
    if kind == T_TIME_WAIT:
        die(act, NoCause, 0)
    elif kind == T_FIN_WAIT_2:
        orphan_timeout(tcb, cold, knobs, now, act)
    elif kind == T_DELACK:
        emit_ack(tcb, cold, knobs, now, act)
    elif kind == T_OUTPUT:
        send_queued(tcb, cold, knobs, now, act, 1)
    elif kind == T_PERSIST:
        persist_timeout(tcb, cold, knobs, now, act)
    elif tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and not tcb.bits & B_PASSIVE):
        open_timeout(tcb, cold, knobs, now, act)
    elif tcb.state == SYN_RECEIVED:
        half_open_timeout(tcb, cold, synack_retries, knobs, now, act)
    else:
        resend_timeout(tcb, cold, knobs, now, act)


cdef void orphan_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The peer's FIN did not come. A full socket becomes time_wait-like first (Linux: tcp_keepalive_timer);
    where no second part follows it is reset."""
    if tcb.bits & B_FULL_SOCKET and keeps_full_socket(knobs):
        tcb.bits &= ~B_FULL_SOCKET
        await_fin(tcb, cold, knobs, act)
        return
    if tcb.bits & B_FULL_SOCKET:
        emit_abort_rst(tcb, cold, knobs, now, act)
    die(act, CauseFinWait2TimedOut, 0)


cdef bint attempt_is_over(const Tcb* tcb, const Knobs* knobs, int64_t now) noexcept nogil:
    """True if an attempt to connect has had its time: FreeBSD's keepinit, or on Linux
    (retransmits_timed_out), after a resend, as long as tcp_syn_retries of them take without linear ones."""
    cdef int64_t elapsed = tick_up(now) - syn_began(tcb)
    if tcb.bits & B_LAST_TIMER or (knobs.keepinit_ms and elapsed >= knobs.keepinit_ms):
        return True
    return (knobs.retries_rule == RETRIES_TIME and tcb.retries != 0 and elapsed
            >= <int64_t>backoff_sum(knobs.rto_initial_ms, knobs.tcp_syn_retries, knobs.tcp_rto_max_ms))


cdef void open_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Our SYN (after a simultaneous open: the SYN-ACK) again, or ETIMEDOUT (RFC 9293 MUST-23)."""
    cdef uint32_t linear = knobs.tcp_syn_linear_timeouts if tcb.state == SYN_SENT else 0
    cdef uint32_t most = knobs.tcp_syn_retries + linear
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most or attempt_is_over(tcb, knobs, now):
        count(act.counters, Mib.AttemptFails)
        count(act.counters, Mib.TCPAbortOnTimeout)
        die(act, CauseConnectTimedOut, ETIMEDOUT)
        return
    count_syn(tcb, cold, knobs, now)
    if knobs.rexmit_drop_options and tcb.state == SYN_SENT and tcb.retries == SYNS_WITH_OPTIONS:
        tcb.bits &= ~(B_WSCALE | B_SACK | B_TS)       # FreeBSD: tcp_timer_rexmt
    emit_syn(tcb, cold, knobs, now, act, SYN if tcb.state == SYN_SENT else SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)
    arm_syn_timer(tcb, knobs, now, act, syn_timeout(knobs, tcb.retries, cold.backoff))


cdef void half_open_timeout(Tcb* tcb, Cold* cold, uint8_t most, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """The SYN-ACK again, or the entry goes without a word: a RST would only serve whoever floods."""
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most:
        die(act, CauseSynQueueExpired, 0)
        return
    tcb.retries += 1
    tcb.bits |= B_MATURE
    resend_synack(tcb, cold, knobs, now, act)
    arm_main_timer(act, T_REXMT, syn_timeout(knobs, tcb.retries, tcb.retries))


cdef uint32_t retries_allowed(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """R2 (RFC 9293 3.8.3) as a number of resends: less for an orphan (Linux: tcp_orphan_retries)."""
    if not tcb.bits & B_ORPHAN:
        return knobs.tcp_retries2
    return knobs.tcp_orphan_retries if knobs.tcp_orphan_retries else 8


cdef void give_up(Action* act) noexcept nogil:
    """R2 has passed: the connection ends, and the peer is not told (Linux: tcp_write_err)."""
    count(act.counters, Mib.TCPAbortOnTimeout)
    die(act, CauseTimedOut, ETIMEDOUT)


cdef void resend_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Text or FIN again, with the interval doubled (RFC 6298 5.4-5.6), until R2 (RFC 9293 3.8.3)."""
    count(act.counters, Mib.TCPTimeouts)
    if r2_reached(tcb, cold, knobs, retries_allowed(tcb, knobs), now):
        give_up(act)
        return
    count_resend(tcb, cold, now)
    cold.backoff += cold.backoff < knobs.rto_doublings_max
    tcb.bits &= ~B_RECOVER
    resend_first(tcb, cold, knobs, now, act)
    arm_main_timer(act, T_REXMT, rexmt_timeout(tcb, cold, knobs))


cdef bint silent_for_long(const Tcb* tcb, const Cold* cold, const Knobs* knobs, int64_t now) noexcept nogil:
    """FreeBSD (tcp_timer_persist): after all doublings the silence of two hours, or of as many RTOs as all
    resends take, ends the connection; a minute does once we have closed."""
    cdef int64_t silence = since_first_resend(cold, now)
    if in_set(tcb.state, OUR_FIN) and silence >= SILENCE_AFTER_CLOSE_MS:
        return True
    return <uint32_t>cold.backoff + 1 >= retries_allowed(tcb, knobs) and (
        silence >= SILENCE_MS or silence >= BACKOFF_SUM * <int64_t>rto(tcb, cold, knobs))


cdef void persist_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Zero-window probe (RFC 9293 3.8.6.1); only silence, not a closed window, ends the connection
    (MUST-37)."""
    if (silent_for_long(tcb, cold, knobs, now) if knobs.persist_ends == PERSIST_ENDS_SILENCE
            else tcb.retries >= retries_allowed(tcb, knobs)):
        give_up(act)
        return
    if knobs.persist_ends == PERSIST_ENDS_SILENCE:
        tcb.retries += tcb.retries < 255              # resent_at tells when the peer was heard
    else:
        count_resend(tcb, cold, now)
    if cold.backoff < 31 and (knobs.retries_rule == RETRIES_COUNT or cold.backoff < knobs.tcp_retries2):
        cold.backoff += 1                             # on Linux tcp_retries2 bounds the interval too
    arm_main_timer(act, T_PERSIST, probe_timeout(tcb, cold, knobs))
    send_persist_probe(tcb, cold, knobs, now, act)
