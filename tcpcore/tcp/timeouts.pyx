# TIMEOUTS: RFC 9293 3.10.8, with the times of RFC 6298 (rto.pxd) and the limits of RFC 9293 3.8.3 (R1, R2).
#
# Not here: which timer a state runs (the function that enters the state arms it) and the wheel that keeps
# them. The USER TIMEOUT of the RFC is R2, as in Linux and FreeBSD, unless one is set (RFC 5482).
from libc.stdint cimport uint32_t

from tcpcore.records.counters cimport (
    CauseConnectTimedOut, CauseFinWait2TimedOut, CauseSynQueueExpired, CauseTimedOut, Mib, NoCause, count,
)
from tcpcore.records.knobs cimport PERSIST_ENDS_SILENCE, RETRIES_COUNT, RETRIES_TIME
from tcpcore.records.segment cimport ACK, SYN
from tcpcore.records.tcb cimport (
    B_COLD, B_DEFERRED, B_ECN, B_FULL_SOCKET, B_MATURE, B_PASSIVE, B_PROBED, B_RECOVER,
    B_RESEND_SYN, B_SACK, B_SYN_UNACKED, B_TS, B_WSCALE, OUR_FIN, SYN_RECEIVED, SYN_SENT, T_DELACK,
    T_FIN_WAIT_2, T_KEEPALIVE, T_OUTPUT, T_PERSIST, T_REXMT, T_TIME_WAIT, Liveness, in_set,
)
from tcpcore.tcp.liveness cimport (
    cut_by, has_liveness, is_orphan, persist_interval, use_liveness, user_timeout,
)
from tcpcore.tcp.outcomes cimport ETIMEDOUT, arm_syn_timer, die, resend_synack
from tcpcore.tcp.output cimport (
    arm_main_timer, emit, emit_abort_rst, emit_ack, emit_syn, resend_first, send_loss_probe,
    send_persist_probe, send_queued,
)
from tcpcore.tcp.rto cimport (
    backed_off, backoff_of, backoff_sum, count_resend, count_syn, keeps_full_socket, probes_loss,
    r2_reached, rexmt_timeout, rto, since_first_resend, syn_began, syn_timeout, synack_timeout,
    tick_up,
)
from tcpcore.tcp.time_wait cimport await_fin

cdef enum:
    SYNS_WITH_OPTIONS = 3     # rexmit_drop_options: the SYN and two resends
    SILENCE_MS = 7_200_000    # FreeBSD: tcp_maxpersistidle
    SILENCE_AFTER_CLOSE_MS = 60_000   # TCPTV_PERSMAX
    BACKOFF_SUM = 2559        # tcp_totbackoff
    DOUBLINGS_MAX = 31        # of window probes


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
    elif kind == T_KEEPALIVE:
        keepalive_timeout(tcb, cold, knobs, now, act)
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


cdef bint attempt_is_over(const Tcb* tcb, const Knobs* knobs, uint32_t limit, int64_t now) noexcept nogil:
    """True if an attempt to connect has had its time: FreeBSD's keepinit, or on Linux
    (retransmits_timed_out), after a resend, as long as tcp_syn_retries of them take without linear ones, or
    the user timeout (`limit`) instead."""
    cdef int64_t elapsed = tick_up(now) - syn_began(tcb)
    if knobs.keepinit_ms and elapsed >= knobs.keepinit_ms:
        return True
    if limit:
        return tcb.retries != 0 and elapsed >= limit
    return (knobs.retries_rule == RETRIES_TIME and tcb.retries != 0 and elapsed
            >= <int64_t>backoff_sum(knobs.rto_initial_ms, knobs.tcp_syn_retries, knobs.tcp_rto_max_ms))


cdef void open_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Our SYN (after a simultaneous open: the SYN-ACK) again, or ETIMEDOUT (RFC 9293 MUST-23)."""
    cdef uint32_t linear = knobs.tcp_syn_linear_timeouts if tcb.state == SYN_SENT else 0
    cdef uint32_t most = knobs.tcp_syn_retries + linear
    cdef uint32_t limit = user_timeout(tcb, cold, act.live, knobs)
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most or attempt_is_over(tcb, knobs, limit, now):
        count(act.counters, Mib.AttemptFails)
        count(act.counters, Mib.TCPAbortOnTimeout)
        die(act, CauseConnectTimedOut, timeout_error(tcb, cold))
        return
    count_syn(tcb, cold, knobs, now)
    if tcb.state == SYN_SENT and (knobs.tcp_ecn_fallback or tcb.retries > knobs.ecn_maxretries):
        # what is on the path may not let it through (Linux: tcp_ecn_clear_syn; FreeBSD:
        # tcp_ecn_output_syn_sent)
        tcb.bits &= ~B_ECN
    if knobs.rexmit_drop_options and tcb.state == SYN_SENT and tcb.retries == SYNS_WITH_OPTIONS:
        tcb.bits &= ~(B_WSCALE | B_SACK | B_TS)       # FreeBSD: tcp_timer_rexmt
    emit_syn(tcb, cold, knobs, now, act, SYN if tcb.state == SYN_SENT else SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)
    arm_syn_timer(tcb, knobs, now, act, cut_by(syn_timeout(knobs, tcb.retries, cold.backoff), limit,
                                               tick_up(now) - syn_began(tcb)))


cdef void half_open_timeout(Tcb* tcb, Cold* cold, uint8_t most, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """The SYN-ACK again, or the entry goes without a word: a RST would only serve whoever floods."""
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most and (not tcb.bits & B_DEFERRED or tcb.retries >= act.defer):
        die(act, CauseSynQueueExpired, 0)
        return
    tcb.retries += 1
    tcb.bits |= B_MATURE
    if tcb.bits & B_DEFERRED and tcb.retries < act.defer:
        # the peer has acknowledged it: only the last one asks for its text (Linux: syn_ack_recalc)
        arm_main_timer(act, T_REXMT, synack_timeout(knobs, tcb.retries))
        return
    if tcb.retries > knobs.ecn_maxretries:
        tcb.bits &= ~B_ECN                            # a repeated SYN does not bring it back
    if tcb.bits & B_DEFERRED:
        tcb.bits |= B_RESEND_SYN
    resend_synack(tcb, cold, knobs, now, act)
    arm_main_timer(act, T_REXMT, synack_timeout(knobs, tcb.retries))


cdef bint is_alive(uint32_t interval, const Knobs* knobs) noexcept nogil:
    """Linux takes an orphan's peer for alive while the interval has not grown to tcp_rto_max_ms
    (tcp_orphan_retries)."""
    return interval < knobs.tcp_rto_max_ms


cdef uint32_t retries_allowed(bint orphan, const Knobs* knobs, bint alive) noexcept nogil:
    """R2 (RFC 9293 3.8.3) as a number of resends: less for an orphan, none for one whose peer is not alive
    (Linux: tcp_orphan_retries)."""
    if not orphan:
        return knobs.tcp_retries2
    return 8 if knobs.tcp_orphan_retries == 0 and alive else knobs.tcp_orphan_retries


cdef uint8_t timeout_error(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """ETIMEDOUT, or what ICMP said since the peer was last heard (Linux: tcp_write_err)."""
    return cold.error if tcb.bits & B_COLD and cold.error else ETIMEDOUT


cdef void give_up(const Tcb* tcb, const Cold* cold, Action* act) noexcept nogil:
    """R2 has passed: the connection ends, and the peer is not told (Linux: tcp_write_err)."""
    count(act.counters, Mib.TCPAbortOnTimeout)
    die(act, CauseTimedOut, timeout_error(tcb, cold))


cdef bint closed_window_ends(const Tcb* tcb, const Cold* cold, const Knobs* knobs, uint32_t limit,
                             const Liveness* live, int64_t now) noexcept nogil:
    """True if text in flight to a window that has closed since is to be given up: nothing was heard, and it
    has been resent, for longer than twice tcp_rto_max_ms; a user timeout (`limit`) asks for the latter alone
    (Linux: tcp_rtx_probe0_timed_out). While the peer answers it goes on, as a probe (MUST-37)."""
    cdef int64_t most = 2 * <int64_t>knobs.tcp_rto_max_ms
    cdef int64_t resent = since_first_resend(cold, now) if tcb.retries else 0
    if limit:
        return resent >= limit
    return resent > most and (not has_liveness(tcb, cold) or tick_up(now) - live.heard_at > most)


cdef bint resending_ends(const Tcb* tcb, const Cold* cold, const Knobs* knobs, uint32_t limit, bint orphan,
                         int64_t now) noexcept nogil:
    """True if R2 has passed (RFC 9293 3.8.3), or where a user timeout is set instead (`limit`) that
    (RFC 5482; Linux: tcp_write_timeout)."""
    cdef uint32_t interval
    if limit:
        return tcb.retries != 0 and since_first_resend(cold, now) >= limit
    interval = backed_off(rto(tcb, cold, knobs), backoff_of(tcb, cold), knobs.tcp_rto_max_ms)
    return r2_reached(tcb, cold, knobs, retries_allowed(orphan, knobs, is_alive(interval, knobs)), now)


cdef void resend_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Text or FIN again, with the interval doubled (RFC 6298 5.4-5.6), until R2 (RFC 9293 3.8.3)."""
    cdef uint32_t limit
    cdef bint orphan
    if (tcb.retries == 0 and (probes_loss(tcb, knobs) or tcb.bits & B_SYN_UNACKED)
            and send_loss_probe(tcb, cold, knobs, now, act)):
        arm_main_timer(act, T_REXMT, rexmt_timeout(tcb, cold, knobs))
        return
    limit = user_timeout(tcb, cold, act.live, knobs)
    orphan = is_orphan(tcb, cold, act.live)
    if tcb.snd_wnd == 0 and knobs.closed_window_ends and not orphan:
        if closed_window_ends(tcb, cold, knobs, limit, act.live, now):
            give_up(tcb, cold, act)
            return
    else:
        count(act.counters, Mib.TCPTimeouts)
        if resending_ends(tcb, cold, knobs, limit, orphan, now):
            give_up(tcb, cold, act)
            return
    count_resend(tcb, cold, now)
    cold.backoff += cold.backoff < knobs.rto_doublings_max
    tcb.bits &= ~(B_RECOVER | B_PROBED)               # what the probe would tell, the resends do
    resend_first(tcb, cold, knobs, now, act)
    arm_main_timer(act, T_REXMT, cut_by(rexmt_timeout(tcb, cold, knobs), limit,
                                        since_first_resend(cold, now)))


cdef bint silent_for_long(const Tcb* tcb, const Cold* cold, const Knobs* knobs, bint orphan,
                          int64_t now) noexcept nogil:
    """FreeBSD (tcp_timer_persist): after all doublings the silence of two hours, or of as many RTOs as all
    resends take, ends the connection; a minute does once we have closed."""
    cdef int64_t silence = since_first_resend(cold, now)
    cdef uint32_t probes = retries_allowed(orphan, knobs, True)
    if probes > DOUBLINGS_MAX + 1:
        probes = DOUBLINGS_MAX + 1                    # so many are told apart
    if in_set(tcb.state, OUR_FIN) and silence >= SILENCE_AFTER_CLOSE_MS:
        return True
    return <uint32_t>cold.backoff + 1 >= probes and (
        silence >= SILENCE_MS or silence >= BACKOFF_SUM * <int64_t>rto(tcb, cold, knobs))


cdef bint probing_ends(Tcb* tcb, Cold* cold, const Knobs* knobs, Liveness* live, int64_t now) noexcept nogil:
    """True if window probes are to end: so many went without an answer as R2 allows, or the user timeout has
    passed since the first, answered or not (Linux: tcp_probe_timer), or those of an orphan have become so
    rare that its peer is not taken for alive."""
    cdef uint32_t limit = user_timeout(tcb, cold, live, knobs), interval
    cdef bint alive = True, orphan = is_orphan(tcb, cold, live)
    if limit:
        use_liveness(tcb, cold, live)
        if live.probing_since and tick_up(now) - live.probing_since >= limit:
            return True
        if not live.probing_since:
            live.probing_since = tick_up(now)
    if knobs.persist_ends == PERSIST_ENDS_SILENCE:
        return silent_for_long(tcb, cold, knobs, orphan, now)
    if orphan and knobs.orphan_probes_end:
        interval = backed_off(rto(tcb, cold, knobs), backoff_of(tcb, cold), knobs.tcp_rto_max_ms)
        alive = is_alive(interval, knobs)
        if not alive and cold.backoff >= knobs.tcp_orphan_retries:
            return True
    return tcb.retries >= retries_allowed(orphan, knobs, alive)


cdef void persist_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Zero-window probe (RFC 9293 3.8.6.1); only silence, not a closed window, ends the connection
    (MUST-37)."""
    if probing_ends(tcb, cold, knobs, act.live, now):
        give_up(tcb, cold, act)
        return
    if knobs.persist_ends == PERSIST_ENDS_SILENCE:
        tcb.retries += tcb.retries < 255              # resent_at tells when the peer was heard
    else:
        count_resend(tcb, cold, now)
    if cold.backoff < DOUBLINGS_MAX and (
            knobs.retries_rule == RETRIES_COUNT or cold.backoff < knobs.tcp_retries2):
        cold.backoff += 1                             # on Linux tcp_retries2 bounds the interval too
    arm_main_timer(act, T_PERSIST, persist_interval(tcb, cold, knobs, act.live, now))
    send_persist_probe(tcb, cold, knobs, now, act)


cdef bint keepalive_ends(const Tcb* tcb, const Cold* cold, const Knobs* knobs, const Liveness* live,
                         int64_t idle) noexcept nogil:
    """True if keepalive probes are to end: tcp_keepalive_probes went without an answer, or where a user
    timeout is set instead one did, and so long a silence."""
    cdef uint32_t limit = user_timeout(tcb, cold, live, knobs)
    if limit:
        return tcb.retries != 0 and idle >= limit
    return tcb.retries >= knobs.tcp_keepalive_probes


cdef void keepalive_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """A keepalive probe (RFC 9293 3.8.4) of the number before SND.UNA, which must be answered; after the
    last one a RST and ETIMEDOUT (Linux: tcp_keepalive_timer)."""
    cdef int64_t idle = tick_up(now) - act.live.heard_at
    cdef int64_t wait = 1000 * <int64_t>knobs.tcp_keepalive_time - idle
    if wait <= 0:
        if keepalive_ends(tcb, cold, knobs, act.live, idle):
            emit_abort_rst(tcb, cold, knobs, now, act)
            give_up(tcb, cold, act)
            return
        count_resend(tcb, cold, now)
        emit(tcb, cold, knobs, now, act, ACK, tcb.snd_una - 1)
        count(act.counters, Mib.TCPKeepAlive)
        wait = 1000 * <int64_t>knobs.tcp_keepalive_intvl
    act.live.keepalive_at = tick_up(now) + wait
    arm_main_timer(act, T_KEEPALIVE, <uint32_t>wait)
