# The calls of an application on a connection that exists: RFC 9293 3.10.2 - 3.10.5; and of the layer below
# (3.9.2.2).
#
# Not here: handles, queues and which calls a half-open entry or an orphan may get (loops). A call that its
# state does not allow does nothing; the batch API has no error to return for one connection of many.
# Sources: RFC 9293; where Linux differs (tcp_close, tcp_disconnect) it is a knob.
from libc.stdint cimport int32_t, uint8_t

from tcpcore.records.counters cimport (
    CauseAborted, CauseConnectAborted, CauseEmbryonicAborted, CauseListenerClosed, CauseUnreachable,
    CauseUnreadData, Mib, NoCause, count,
)
from tcpcore.records.knobs cimport UNREACHABLE_FREEBSD, UNREACHABLE_RFC, UnreachableRules
from tcpcore.records.segment cimport ACK, SYN
from tcpcore.records.tcb cimport (
    ABORT_RESETS, B_COLD, B_FIN_SENT, B_HELD, B_ORPHAN, B_PASSIVE, B_SHUT, CAN_RECEIVE,
    CAN_SEND, CLOSED, CLOSE_WAIT, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, OPENING, SYN_RECEIVED,
    SYN_SENT, TIME_WAIT, T_REXMT, in_set, is_side, main_kind,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport lingers
from tcpcore.tcp.outcomes cimport ECONNREFUSED, ECONNRESET, die, mark_syn_unacked
from tcpcore.tcp.output cimport arm_main_timer, emit_abort_rst, emit_ack, emit_syn, send_queued, unsent
from tcpcore.tcp.receive_window cimport unread, update_is_due
from tcpcore.tcp.rto cimport rexmt_timeout, tick_up
from tcpcore.tcp.time_wait cimport is_time_wait_like, orphaned_in_fin_wait_2
from tcpcore.tcp.timeouts cimport resend_timeout

cdef enum:
    TIME_EXCEEDED = 11 << 8   # code of unreachable_call: ICMP time exceeded in transit
    FIN_FOLLOWS = 1           # values of shutdown_waits
    FIN_WITH_SYNACK = 2

cdef extern from "<errno.h>" nogil:
    enum: EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, ENONET, ENOPROTOOPT, EOPNOTSUPP


# --- 3.10.2 SEND Call --------------------------------------------------------------------

cdef void send_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """Queue nbytes and send what the peer's window lets go; before ESTABLISHED they only queue."""
    if nbytes == 0 or not (in_set(tcb.state, CAN_SEND) or in_set(tcb.state, OPENING)) or tcb.bits & B_ORPHAN:
        return
    if tcb.state == SYN_RECEIVED and tcb.bits & B_SHUT:
        return
    use_cold(tcb, cold)
    cold.snd_end += nbytes
    if in_set(tcb.state, CAN_SEND):
        send_queued(tcb, cold, knobs, now, act, 0xFFFFFFFF)


# --- 3.10.3 RECEIVE Call -----------------------------------------------------------------

cdef uint32_t receive_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """Take up to nbytes out of the receive buffer; returns the bytes taken. A window update goes out when
    that makes it due."""
    cdef uint32_t taken
    if not tcb.bits & B_COLD or cold.unread == 0:
        return 0
    taken = nbytes if nbytes < cold.unread else cold.unread
    cold.unread -= taken
    if in_set(tcb.state, CAN_RECEIVE) and update_is_due(tcb, cold, knobs):
        emit_ack(tcb, cold, knobs, now, act)
    return taken


# --- 3.10.4 CLOSE Call -------------------------------------------------------------------

cdef void shutdown_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """CLOSE as the RFC means it: no more from us, the peer may go on (half-close)."""
    if tcb.state == SYN_SENT:
        die(act, CauseConnectAborted, ECONNRESET)
    elif tcb.state == SYN_RECEIVED and tcb.bits & B_FIN_SENT:
        pass                                          # it went with the SYN-ACK
    elif tcb.state == SYN_RECEIVED and knobs.shutdown_waits == FIN_FOLLOWS and not tcb.bits & B_ORPHAN:
        tcb.bits |= B_SHUT                            # the FIN follows the ACK of our SYN
    elif tcb.state == SYN_RECEIVED and knobs.shutdown_waits == FIN_WITH_SYNACK and not (
            tcb.bits & B_ORPHAN or unsent(tcb, cold)):
        tcb.bits |= B_SHUT | B_FIN_SENT               # FreeBSD: TF_NEEDFIN in tcp_output
        emit_syn(tcb, cold, knobs, now, act, SYN | ACK)
        tcb.snd_nxt += 1
    elif tcb.state == ESTABLISHED or tcb.state == SYN_RECEIVED:
        if tcb.state == SYN_RECEIVED:
            mark_syn_unacked(tcb, cold)
        tcb.state = FIN_WAIT_1
        send_queued(tcb, cold, knobs, now, act, 1)
    elif tcb.state == CLOSE_WAIT:
        tcb.state = LAST_ACK
        send_queued(tcb, cold, knobs, now, act, 1)


cdef void close_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The application goes away: half-duplex close (RFC 9293 MAY-1), with a RST if text that it has not read
    is lost by it (SHLD-3, RFC 2525 2.17)."""
    tcb.bits &= ~B_HELD
    if tcb.state == CLOSED or tcb.state == TIME_WAIT:
        tcb.bits |= B_ORPHAN
        return
    if tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and knobs.close_forgets_opening):
        die(act, CauseConnectAborted, 0)              # FreeBSD: tcp_disconnect, before ESTABLISHED
        return
    if unread(tcb, cold):
        emit_abort_rst(tcb, cold, knobs, now, act)
        count(act.counters, Mib.TCPAbortOnClose)
        die(act, CauseUnreadData, 0)
        return
    tcb.bits |= B_ORPHAN
    if tcb.state == FIN_WAIT_2:
        orphaned_in_fin_wait_2(tcb, cold, knobs, act)
    else:
        shutdown_call(tcb, cold, knobs, now, act)


# --- 3.10.5 ABORT Call -------------------------------------------------------------------

cdef void abort_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """RST where the peer still counts on us; nothing where both sides have closed and all was read."""
    cdef uint8_t cause = CauseAborted
    if tcb.state == TIME_WAIT and knobs.time_wait_outlives:
        tcb.bits = tcb.bits & ~B_HELD | B_ORPHAN
        return
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        cause = CauseEmbryonicAborted
    elif tcb.state == SYN_SENT:
        cause = CauseConnectAborted
    elif tcb.state == TIME_WAIT or tcb.state == CLOSED:
        cause = NoCause
    elif unread(tcb, cold):
        count(act.counters, Mib.TCPAbortOnClose)
    else:
        count(act.counters, Mib.TCPAbortOnData)
    if in_set(tcb.state, ABORT_RESETS) or (cause == CauseAborted
                                           and (unread(tcb, cold) or unsent(tcb, cold))):
        emit_abort_rst(tcb, cold, knobs, now, act)
    tcb.bits &= ~B_HELD
    die(act, cause, 0)


cdef void abandon_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The listener closes before anybody accepted this connection: as ABORT (Linux: inet_csk_listen_stop)."""
    if tcb.state == TIME_WAIT and knobs.time_wait_outlives:
        tcb.bits |= B_ORPHAN
        return
    if in_set(tcb.state, ABORT_RESETS):
        emit_abort_rst(tcb, cold, knobs, now, act)
    die(act, NoCause if tcb.state == TIME_WAIT else CauseListenerClosed, 0)


# --- 3.9.2.2 ICMP handling ---------------------------------------------------------------

cdef uint8_t unreachable_error(uint32_t code, UnreachableRules rules) noexcept nogil:
    """The errno of an ICMP message (icmp_err_convert, icmp_errmap), 0 where TCP is not told: fragmentation
    needed (4) is for path MTU discovery, and time exceeded in reassembly for nobody (icmp_unreach)."""
    if code == TIME_EXCEEDED:
        return EHOSTUNREACH
    if code == 4 or code > 15:
        return 0
    if rules == UNREACHABLE_FREEBSD:
        return ECONNREFUSED if code in (2, 3, 9, 10, 13) else EHOSTUNREACH
    if code in (0, 6, 9, 11):
        return ENETUNREACH
    if code == 2:
        return ENOPROTOOPT
    if code == 3:
        return ECONNREFUSED
    if code == 5:
        return EOPNOTSUPP
    if code == 7:
        return EHOSTDOWN
    return ENONET if code == 8 else EHOSTUNREACH


cdef inline bint drops_syn_sent(uint32_t code, uint8_t error) noexcept nogil:
    """True if FreeBSD ends an attempt to connect by it at once, and does nothing with it anywhere else but in
    the syncache (tcp_ctlinput: icmp_may_rst)."""
    return error == ECONNREFUSED or code == TIME_EXCEEDED


cdef bint unreachable_ends(const Tcb* tcb, const Cold* cold, uint32_t code, uint8_t error,
                           UnreachableRules rules) noexcept nogil:
    """True if the message ends the connection, False if its error is only remembered (a soft one)."""
    cdef bint half_open = tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE
    if rules == UNREACHABLE_RFC:
        return code == 2 or code == 3                 # hard: SHLD-26
    if rules == UNREACHABLE_FREEBSD:
        # tcp_drop_syn_sent; tcp_notify and syncache_unreach: the second one, after several resends
        if drops_syn_sent(code, error) and not half_open:
            return tcb.state == SYN_SENT
        return (in_set(tcb.state, OPENING) and tcb.bits & B_COLD and cold.error
                and tcb.retries >= (3 if half_open else 4))
    # Linux: tcp_req_err; tcp_v4_err, where an attempt ends by any of them and a connection by none
    return code <= 1 or code == TIME_EXCEEDED if half_open else in_set(tcb.state, OPENING)


cdef void undo_backoff(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """RFC 6069 (Linux: tcp_ld_RTO_revert): the resend was lost for want of a route, not for congestion, so
    its doubling is undone; what the shorter interval leaves is waited for."""
    cdef uint32_t deadline = cold.later if is_side(tcb.timer) else tcb.deadline
    cdef int32_t left = <int32_t>(deadline - <uint32_t>tick_up(now))
    cdef int32_t waited
    if lingers(tcb, cold, act.live):
        left += act.live.linger_rest                  # the timer is due for close() first
    waited = <int32_t>rexmt_timeout(tcb, cold, knobs) - left
    cold.backoff -= 1
    left = <int32_t>rexmt_timeout(tcb, cold, knobs) - waited
    if left > 0:
        arm_main_timer(act, T_REXMT, left)
    else:
        resend_timeout(tcb, cold, knobs, now, act)


cdef void unreachable_call(Tcb* tcb, Cold* cold, uint32_t code, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """ICMP destination unreachable or time exceeded (RFC 9293 3.9.2.2, RFC 5927 for why connections survive
    it) about the first segment of ours that is not acknowledged."""
    cdef UnreachableRules rules = <UnreachableRules>knobs.unreachable_rules
    cdef uint8_t error = unreachable_error(code, rules)
    if (error == 0 or tcb.state == CLOSED or tcb.state == TIME_WAIT
            or is_time_wait_like(tcb.state, tcb.bits, knobs)):
        return
    if unreachable_ends(tcb, cold, code, error, rules):
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
            count(act.counters, Mib.ListenDrops)
        elif in_set(tcb.state, OPENING):
            count(act.counters, Mib.AttemptFails)
        die(act, CauseUnreachable, error)
    elif rules != UNREACHABLE_FREEBSD:
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
            return                                    # nobody to be told
        use_cold(tcb, cold)
        cold.error = error
        if knobs.unreachable_undoes_backoff and code <= 1 and tcb.retries and cold.backoff and (
                main_kind(tcb, cold) == T_REXMT and not in_set(tcb.state, OPENING)):
            undo_backoff(tcb, cold, knobs, now, act)
    elif in_set(tcb.state, OPENING) and not drops_syn_sent(code, error) or (
            tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
        use_cold(tcb, cold)
        cold.error = error
