# The calls of an application on a connection that exists: RFC 9293 3.10.2 - 3.10.5.
#
# Not here: handles, queues and which calls a half-open entry or an orphan may get (loops). A call that its
# state does not allow does nothing; the batch API has no error to return for one connection of many.
# Sources: RFC 9293; where Linux differs (tcp_close, tcp_disconnect) it is a knob.
from libc.stdint cimport uint8_t

from tcpcore.records.counters cimport (
    CauseAborted, CauseConnectAborted, CauseEmbryonicAborted, CauseListenerClosed, CauseUnreadData, Mib,
    NoCause, count,
)
from tcpcore.records.tcb cimport (
    ABORT_RESETS, B_COLD, B_HELD, B_ORPHAN, B_PASSIVE, B_SHUT, CAN_RECEIVE, CAN_SEND, CLOSED, CLOSE_WAIT,
    ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, OPENING, SYN_RECEIVED, SYN_SENT, TIME_WAIT, in_set,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.outcomes cimport ECONNRESET, die, mark_syn_unacked
from tcpcore.tcp.output cimport emit_abort_rst, emit_ack, send_queued
from tcpcore.tcp.receive_window cimport unread, update_is_due
from tcpcore.tcp.time_wait cimport orphaned_in_fin_wait_2


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
    elif tcb.state == SYN_RECEIVED and knobs.shutdown_waits and not tcb.bits & B_ORPHAN:
        tcb.bits |= B_SHUT                            # the FIN follows the ACK of our SYN
    elif tcb.state == ESTABLISHED or tcb.state == SYN_RECEIVED:
        if tcb.state == SYN_RECEIVED:
            mark_syn_unacked(tcb)
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
    if tcb.state == SYN_SENT:
        die(act, CauseConnectAborted, 0)
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
    if in_set(tcb.state, ABORT_RESETS) or (cause == CauseAborted and unread(tcb, cold)):
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
