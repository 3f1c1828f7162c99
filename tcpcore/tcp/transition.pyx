# The TCP state machine: RFC 9293 3.10 in its order, with the choices of RFC 5961, 6191,
# 7323 and 1337 where they belong. docs/semantics.md says the same in words.
#
# Not here: queues, ISNs, ports, the clock, rate limits that span connections.
# Invariant: SND.UNA <= SND.NXT, and every call leaves the block either E_DEAD or with the
# timer its state needs.
from libc.stdint cimport uint16_t
from tcpcore.base.prefetch cimport expect
from tcpcore.base.seq cimport seq_le, seq_lt, seq_min
from tcpcore.records.action cimport E_ACCEPT, E_DEAD, E_OPENED, E_REOPEN, E_START_OVER, OP_ARM, OP_CANCEL
from tcpcore.records.counters cimport (
    CauseAborted, CauseAcceptQueueFull, CauseConnectAborted, CauseConnectRefused, CauseConnectTimedOut,
    CauseDataAfterClose, CauseEmbryonicAborted, CauseEmbryonicReset, CauseFinWait2TimedOut,
    CauseListenerClosed, CauseResetByPeer, CauseSynQueueExpired, CauseTimedOut, CauseUnreadData, Mib,
    NoCause, count, count_n,
)
from tcpcore.records.knobs cimport (
    ACCEPT_LINUX, ACCEPT_RFC, ACCEPT_TRIM, ACK_RANGE_RFC793, HALF_OPEN_LINUX, HALF_OPEN_SYNCACHE,
    PAWS_ANSWER_TEXT, PAWS_SPARE_ACKS, RETRIES_COUNT, RETRIES_TIME, SYN_TEXT_DROPPED, SYN_TEXT_KEPT,
    TIME_WAIT_LINUX, TIME_WAIT_RFC,
)
from tcpcore.records.out_of_order cimport (
    ranges_add, ranges_empty, ranges_fin_next, ranges_set_fin, ranges_take,
)
from tcpcore.records.segment cimport ACK, FIN, OPT_TS, RST, SYN, seg_end, seg_len
from tcpcore.records.tcb cimport (
    ABORT_RESETS, AFTER_CLOSE, B_AUTO_CLOSE, B_COLD, B_FIN_SENT, B_FULL_SOCKET, B_HELD, B_MATURE, B_ORPHAN,
    B_PASSIVE, B_RECOVER, B_RESEND_SYN, B_SACK, B_SHUT, B_SYN_UNACKED, B_TIMING, B_TS, B_WINDOW, B_WSCALE,
    CAN_RECEIVE, CAN_SEND, CLOSED, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK,
    LISTEN, OPENING, PEER_FIN, SYN_RECEIVED, SYN_SENT, TIME_WAIT, T_DELACK, T_FIN_WAIT_2, T_OUTPUT,
    T_PERSIST, T_REXMT, T_TIME_WAIT, Timestamps, in_set, main_kind,
)
from tcpcore.tcp.opens cimport prepare
from tcpcore.tcp.options cimport establish, moves_window, open_window, read_options, take_window
from tcpcore.tcp.output cimport (
    count_time_wait, forget_limit, full_window, is_time_wait_like, offer, offered, probe, pump, put,
    put_ack, put_active_rst, put_answering_rst, put_bare_ack, put_syn, resend_first, set_main, stop_main,
    unsent, use_cold, window,
)
from tcpcore.tcp.rto cimport (
    TW_FULL_MS, backoff_sum, clock_ms, fin_wait_2_time, keeps_full_socket, resent_enough, rexmt_wait, rto,
    rtt_sample, syn_interval, tick_up,
)
from tcpcore.tcp.timestamps cimport (
    echoed_sample, echoes_syn, echoes_synack, keep_sample, older, take_timestamp,
)
from tcpcore.tcp.trim cimport TRIM_AGAIN, TRIM_NOTHING, Trim, trim_beyond, trim_old

cdef extern from "<errno.h>" nogil:
    enum: ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT

cdef enum:
    PAWS_IDLE_MS = 2_073_600_000    # 24 days: RFC 7323 5.5, TS.Recent has worn out
    ANSWER_ROWS = 2           # rows one segment may cause


# --- shared by the calls and the segments ------------------------------------------------

cdef void die(Action* act, uint8_t cause, uint8_t error) noexcept nogil:
    act.effects |= E_DEAD
    act.cause = cause
    act.error = error


cdef uint32_t unread(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """Bytes in order that the application has not taken."""
    return cold.unread if tcb.bits & B_COLD else 0


cdef uint8_t reset_error(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """What a reset tells the application."""
    return EPIPE if tcb.state == CLOSE_WAIT and knobs.epipe_in_close_wait else ECONNRESET


cdef void opened(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                 Action* act) noexcept nogil:
    """The handshake is complete, and its timer off."""
    establish(tcb, cold, act.stamp, seg, knobs, now)
    stop_main(act)


cdef bint limited(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now, Action* act,
                  Mib counter) noexcept nogil:
    """tcp_invalid_ratelimit: one challenge or duplicate ACK per connection and interval for segments
    that carry nothing (RFC 5961 7). True: say nothing this time."""
    if seg_len(seg) and not seg.flags & SYN:
        return False
    return too_soon(tcb, cold, knobs, now, act, counter)


cdef bint too_soon(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                   Mib counter) noexcept nogil:
    """The interval has not passed; else it begins anew."""
    cdef uint32_t at
    if knobs.tcp_invalid_ratelimit == 0:
        return False
    use_cold(tcb, cold)
    at = clock_ms(now) + 1                            # 0 means never
    if cold.oow_at and at - cold.oow_at < knobs.tcp_invalid_ratelimit:
        count(act.counters, counter)
        return True
    cold.oow_at = at
    return False


cdef void challenge(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """RFC 5961: an ACK that only the real peer can make use of; the conductor may still withhold it."""
    if not too_soon(tcb, cold, knobs, now, act, Mib.TCPACKSkippedChallenge):
        put_bare_ack(tcb, cold, knobs, now, act)
        act.challenge = True


cdef void duplicate_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                        Action* act, Mib counter) noexcept nogil:
    if not limited(tcb, cold, seg, knobs, now, act, counter):
        put_ack(tcb, cold, knobs, now, act)


cdef void orphan_fin_wait_2(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """In FIN-WAIT-2 without an application."""
    if keeps_full_socket(knobs):
        tcb.bits |= B_FULL_SOCKET
        set_main(tcb, act, T_FIN_WAIT_2, knobs.fin_timeout_ms - TW_FULL_MS)
    else:
        await_fin(tcb, cold, knobs, act)


cdef void await_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """Wait for the peer's FIN, as brief as the knobs have it."""
    cdef uint32_t wait = fin_wait_2_time(tcb, cold, knobs, act.sample)
    if is_time_wait_like(tcb.state, tcb.bits, knobs):
        if act.tw_full:
            count(act.counters, Mib.TCPTimeWaitOverflow)
            die(act, NoCause, 0)
            return
        count_time_wait(act.counters, wait)
        forget_limit(tcb, cold)
    set_main(tcb, act, T_FIN_WAIT_2, wait)


cdef void enter_time_wait(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """2 MSL from now (MUST-13); over tcp_max_tw_buckets the connection is forgotten at once.
    DEVIATES: the cap is Linux's, the RFC knows none (ADR 5)."""
    cdef bint counted = is_time_wait_like(tcb.state, tcb.bits, knobs) and main_kind(tcb, cold) == T_FIN_WAIT_2
    act.side_op = OP_CANCEL
    act.ranges.n = 0
    act.ranges.has_fin = 0
    count(act.counters, Mib.ConnectionsClosed)
    if knobs.time_wait_ms == 0:
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
    set_main(tcb, act, T_TIME_WAIT, knobs.time_wait_ms)


# --- 3.10.1 OPEN Call --------------------------------------------------------------------
# open_active and open_passive are in handshake.pxd.

cdef void arm_syn(Tcb* tcb, const Knobs* knobs, int64_t now, Action* act, uint32_t wait) noexcept nogil:
    """The timer of our own SYN; an attempt that is bounded ends with its bound (keepinit)."""
    cdef uint32_t left
    if knobs.keepinit_ms:
        left = tcb.snd_wl1 + knobs.keepinit_ms - <uint32_t>tick_up(now)
        wait = left if left < wait else wait
    set_main(tcb, act, T_REXMT, wait)


cdef void open_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                    Action* act) noexcept nogil:
    """What else came with the SYN of a half-open entry: it waits for ESTABLISHED, or is not accepted and the
    peer sends it again. Never acknowledged here."""
    if knobs.syn_text == SYN_TEXT_KEPT:
        keep_syn_text(tcb, cold, seg, knobs, act, seg.flags & FIN)
    else:
        count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)


cdef void open_cookie(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil:
    """LISTEN -> ESTABLISHED by an ACK that gave a cookie back (RFC 4987 3.6). tcb.mss, tcb.bits (B_TS,
    B_SACK, B_WSCALE) and the low nibble of tcb.wscale say what the cookie knew; the segment goes on to
    its text and FIN."""
    cdef uint16_t agreed = tcb.bits
    cdef uint8_t shift = tcb.wscale
    prepare(tcb, cold, act.stamp, knobs, now, seg.ack - 1, ts_offset, rcv_buf)
    tcb.bits &= agreed | ~(B_TS | B_SACK | B_WSCALE)
    tcb.wscale = (tcb.wscale & 0xF0 | shift) if tcb.bits & B_WSCALE else 0
    tcb.bits |= B_PASSIVE | B_RESEND_SYN              # when the SYN-ACK went is not known: no RTT sample
    tcb.rcv_nxt = seg.seq
    tcb.snd_una = seg.ack
    if tcb.bits & B_TS:
        take_timestamp(act.stamp, seg, now)
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    open_window(tcb, cold, knobs)
    opened(tcb, cold, seg, knobs, now, act)
    count(act.counters, Mib.PassiveOpens)
    text_and_output(tcb, cold, seg, knobs, now, act)


# --- 3.10.2 SEND Call --------------------------------------------------------------------

cdef void send_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """Queue nbytes; send what the peer's window lets go. PriorState ESTABLISHED they only queue."""
    if nbytes == 0 or not (in_set(tcb.state, CAN_SEND) or in_set(tcb.state, OPENING)) or tcb.bits & B_ORPHAN:
        return
    if tcb.state == SYN_RECEIVED and tcb.bits & B_SHUT:
        return
    use_cold(tcb, cold)
    cold.snd_end += nbytes
    if in_set(tcb.state, CAN_SEND):
        pump(tcb, cold, knobs, now, act, 0xFFFFFFFF)


# --- 3.10.3 RECEIVE Call -----------------------------------------------------------------

cdef uint32_t receive_call(Tcb* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """Take up to nbytes out of the receive buffer; a window update when that opens the window well
    (receiver's silly window avoidance, RFC 9293 3.8.6.2.2). Returns the bytes taken."""
    cdef uint32_t taken, was
    if not tcb.bits & B_COLD or cold.unread == 0:
        return 0
    taken = nbytes if nbytes < cold.unread else cold.unread
    cold.unread -= taken
    if in_set(tcb.state, CAN_RECEIVE):
        was = offered(tcb, cold, knobs)
        if 2 * was <= full_window(tcb, cold, knobs) and offer(tcb, cold, knobs) >= (2 * was if was else 1):
            put_ack(tcb, cold, knobs, now, act)
    return taken


# --- 3.10.4 CLOSE Call -------------------------------------------------------------------

cdef void keep_syn(Tcb* tcb, Cold* cold) noexcept nogil:
    """Leave active SYN-RECEIVED with our SYN unacknowledged: from now on it is resent like text."""
    tcb.bits |= B_SYN_UNACKED
    tcb.snd_wl1 = tcb.rcv_nxt - 1                     # no longer when the attempt began
    if tcb.bits & B_COLD:
        cold.backoff = tcb.retries


cdef void shutdown_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """CLOSE as the RFC means it: no more from us, the peer may go on (half-close)."""
    if tcb.state == SYN_SENT:
        die(act, CauseConnectAborted, ECONNRESET)
    elif tcb.state == SYN_RECEIVED and knobs.shutdown_waits and not tcb.bits & B_ORPHAN:
        tcb.bits |= B_SHUT                            # the FIN follows the ACK of our SYN
    elif tcb.state == ESTABLISHED or tcb.state == SYN_RECEIVED:
        if tcb.state == SYN_RECEIVED:
            keep_syn(tcb, cold)
        tcb.state = FIN_WAIT_1
        pump(tcb, cold, knobs, now, act, 1)
    elif tcb.state == CLOSE_WAIT:
        tcb.state = LAST_ACK
        pump(tcb, cold, knobs, now, act, 1)


cdef void close_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The application goes away: half-duplex close (MAY-1), with a RST if data is lost by it (SHLD-3)."""
    tcb.bits &= ~B_HELD
    if tcb.state == CLOSED or tcb.state == TIME_WAIT:
        tcb.bits |= B_ORPHAN
        return
    if tcb.state == SYN_SENT:
        die(act, CauseConnectAborted, 0)
        return
    if unread(tcb, cold):
        put_active_rst(tcb, cold, knobs, now, act)
        count(act.counters, Mib.TCPAbortOnClose)
        die(act, CauseUnreadData, 0)
        return
    tcb.bits |= B_ORPHAN
    if tcb.state == FIN_WAIT_2:
        orphan_fin_wait_2(tcb, cold, knobs, act)
    else:
        shutdown_call(tcb, cold, knobs, now, act)


# --- 3.10.5 ABORT Call -------------------------------------------------------------------

cdef void abort_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """RST where the peer still counts on us, nothing where both have said goodbye and all was read."""
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
        put_active_rst(tcb, cold, knobs, now, act)
    tcb.bits &= ~B_HELD
    die(act, cause, 0)


cdef void abandon_call(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """CLOSE of the LISTEN before anybody accepted this connection."""
    if tcb.state == TIME_WAIT and knobs.time_wait_outlives:
        tcb.bits |= B_ORPHAN
        return
    if in_set(tcb.state, ABORT_RESETS):
        put_active_rst(tcb, cold, knobs, now, act)
    die(act, NoCause if tcb.state == TIME_WAIT else CauseListenerClosed, 0)


# --- 3.10.7 SEGMENT ARRIVES --------------------------------------------------------------
# 3.10.7.1 CLOSED

cdef void in_closed(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """Nobody owns the segment: reset it, unless it is a reset (or FreeBSD's blackhole swallows it)."""
    if knobs.blackhole >= 2 or (knobs.blackhole == 1 and seg.flags & SYN):
        return
    put_answering_rst(seg, act)


# 3.10.7.2 LISTEN: listen.pxd.

# 3.10.7.3 SYN-SENT

cdef void in_syn_sent(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    cdef uint32_t began
    if synfin_dropped(seg, knobs):
        return
    # first, check the ACK bit
    if seg.flags & ACK and (seq_le(seg.ack, tcb.snd_una) or seq_lt(tcb.snd_nxt, seg.ack)):
        put_answering_rst(seg, act)
        if knobs.early_syn_resend_ms and tcb.retries == 0:
            # the RST may have cleared the way: do not wait the whole second
            tcb.bits |= B_RESEND_SYN
            arm_syn(tcb, knobs, now, act, knobs.early_syn_resend_ms)
        return
    if (knobs.tsecr_checked and seg.flags & ACK and seg.opts & OPT_TS and tcb.bits & B_TS and seg.tsecr
            and not echoes_syn(act.stamp, seg, now)):
        count(act.counters, Mib.PAWSActive)
        put_answering_rst(seg, act)
        return
    # second, check the RST bit
    if seg.flags & RST:
        if seg.flags & ACK:
            count(act.counters, Mib.AttemptFails)
            die(act, CauseConnectRefused, ECONNREFUSED)
        return
    # third, security: not implemented; fourth, check the SYN bit
    if not seg.flags & SYN:
        return
    tcb.rcv_nxt = seg.seq + 1
    read_options(tcb, act.stamp, seg, knobs, now)
    open_window(tcb, cold, knobs)
    if seg.flags & ACK:
        tcb.snd_una = seg.ack
        opened(tcb, cold, seg, knobs, now, act)
        take_window(tcb, cold, seg, seg.wnd)
        act.effects |= E_OPENED
        if knobs.syn_text == SYN_TEXT_DROPPED:
            count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)
            if pump(tcb, cold, knobs, now, act, ANSWER_ROWS) == 0:
                put_ack(tcb, cold, knobs, now, act)
        else:
            act.ack_owed = True
            text_and_output(tcb, cold, seg, knobs, now, act)      # from the sixth step on
    else:
        # the SYNs crossed (MUST-10): ours goes on being resent, now as SYN-ACK
        began = tcb.snd_wl1
        take_window(tcb, cold, seg, seg.wnd)
        tcb.snd_wl1 = began
        tcb.state = SYN_RECEIVED
        put_syn(tcb, cold, knobs, now, act, SYN | ACK)
        if knobs.crossed_syn_restarts:
            arm_syn(tcb, knobs, now, act, syn_interval(knobs, tcb.retries, knobs.tcp_syn_linear_timeouts))
        if knobs.syn_text == SYN_TEXT_DROPPED:
            count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)
        else:
            keep_syn_text(tcb, cold, seg, knobs, act, seg.flags & FIN and knobs.syn_text == SYN_TEXT_KEPT)
    # fifth, neither SYN nor RST: dropped above


cdef void keep_syn_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, Action* act,
                        bint fin) noexcept nogil:
    """What came with a SYN waits for ESTABLISHED, as far as the window goes; it is not acknowledged."""
    cdef uint32_t length = seg.payload_len
    cdef uint32_t wnd = window(tcb, cold, knobs)
    if length > wnd:
        length = wnd
        fin = False
    if length or fin:
        keep_ahead(tcb.rcv_nxt, tcb.rcv_nxt + length, fin, act)


cdef bint synfin_dropped(const Segment* seg, const Knobs* knobs) noexcept nogil:
    return knobs.drop_synfin and seg.flags & (SYN | FIN) == SYN | FIN


# 3.10.7.4 SYN-RECEIVED that came from LISTEN (MUST-11). A half-open entry has no application, and both
# stacks keep it small: Linux has its own, stricter order of the same steps (tcp_check_req), FreeBSD a cache
# that looks for a SYN, a RST or an ACK. By the letter the entry goes through the steps further down.

cdef bint in_window(const Tcb* tcb, const Cold* cold, const Segment* seg,
                    const Knobs* knobs) noexcept nogil:
    """Linux's test where no text is kept: some new number, or nothing at one of the edges."""
    cdef uint32_t edge = tcb.rcv_nxt + window(tcb, cold, knobs)
    cdef uint32_t end = seg_end(seg)
    if seg.seq == tcb.rcv_nxt:
        return True
    if seq_lt(tcb.rcv_nxt, end) and seq_lt(seg.seq, edge):
        return True
    return seg.seq == edge and seg.seq == end


cdef void embryo_dies(Action* act, uint8_t cause) noexcept nogil:
    count(act.counters, Mib.EmbryonicRsts)
    count(act.counters, Mib.AttemptFails)
    die(act, cause, 0)


cdef bint half_open(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """True: the handshake is complete, and the segment goes on to its text and FIN."""
    cdef uint8_t flags = seg.flags
    cdef bint paws = older(tcb, act.stamp, seg)
    cdef bint ecr_bad = (knobs.tsecr_checked and tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr
                         and not echoes_synack(tcb, cold, act.stamp, seg))
    cdef bint wrong_ack = (flags & (ACK | RST)) == ACK and seg.ack != tcb.snd_nxt
    if seg.seq == tcb.rcv_nxt - 1 and (flags & (SYN | ACK | RST)) == SYN and not paws:
        # the SYN again: our SYN-ACK was lost
        if knobs.dup_syn_restarts or not limited(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedSynRecv):
            synack_again(tcb, cold, knobs, now, act)
        return False
    if wrong_ack and knobs.wrong_ack_first:
        refuse_ack(tcb, seg, knobs, act)
        return False
    # first, check sequence number
    if paws or ecr_bad or not in_window(tcb, cold, seg, knobs):
        count_n(act.counters, Mib.PAWSEstab, paws)
        count_n(act.counters, Mib.TSEcrRejected, ecr_bad and not paws)
        if not flags & RST:
            duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedSynRecv)
        return False
    if seg.seq == tcb.rcv_nxt - 1:
        flags &= ~SYN                                 # its SYN lies left of the window
    # second, check the RST bit
    if flags & RST:
        rst_for_embryo(tcb, cold, seg, knobs, now, act)
        return False
    # third, security: not implemented; fourth, check the SYN bit
    if flags & SYN:
        put_answering_rst(seg, act)
        embryo_dies(act, CauseEmbryonicAborted)
        return False
    # fifth, check the ACK field
    if not flags & ACK:
        return False
    if wrong_ack:
        refuse_ack(tcb, seg, knobs, act)
        return False
    return completed(tcb, cold, seg, knobs, now, act)


cdef bint in_syncache(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    """FreeBSD's half-open entry: what LISTEN makes of the segment, with an eye on the cache."""
    cdef uint32_t wnd = window(tcb, cold, knobs)
    if wnd > 65535:
        wnd = 65535                                   # what the SYN-ACK could tell
    if seg.flags & RST:
        if seg.seq - tcb.rcv_nxt < wnd or seg.seq == tcb.rcv_nxt:
            rst_for_embryo(tcb, cold, seg, knobs, now, act)
    elif seg.flags & (SYN | ACK) == SYN:
        # any SYN is taken for the first one again; the timestamp is that of this one
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            take_timestamp(act.stamp, seg, now)
        elif tcb.bits & B_TS:
            tcb.bits &= ~B_TS
        synack_again(tcb, cold, knobs, now, act)
    elif seg.flags & (SYN | ACK) == ACK:
        if stamp_missing(tcb, seg, knobs):
            return False
        if older(tcb, act.stamp, seg):
            count(act.counters, Mib.PAWSEstab)
            return False
        if seg.ack != tcb.snd_nxt or seg.seq - tcb.rcv_nxt >= wnd:
            refuse_ack(tcb, seg, knobs, act)
            return False
        return completed(tcb, cold, seg, knobs, now, act)
    elif seg.flags & SYN and knobs.listen_answers_synack:
        refuse_ack(tcb, seg, knobs, act)
    return False


cdef bint completed(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """The acknowledgment a half-open entry waits for: it becomes a connection if somebody can take it."""
    note_timestamp(tcb, act.stamp, seg, now)
    if act.accept_full and not act.auto_accept:
        count(act.counters, Mib.ListenOverflows)
        count(act.counters, Mib.ListenDrops)
        if knobs.tcp_abort_on_overflow:
            put_answering_rst(seg, act)
            embryo_dies(act, CauseAcceptQueueFull)
        return False
    if seg.flags & SYN:
        challenge(tcb, cold, seg, knobs, now, act)    # the old SYN on it makes it no third segment
        return False
    tcb.snd_una = seg.ack
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    opened(tcb, cold, seg, knobs, now, act)
    forget_limit(tcb, cold)
    act.effects |= E_ACCEPT
    count(act.counters, Mib.PassiveOpens)
    return True


cdef void refuse_ack(const Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """SYN-RECEIVED: an acknowledgment of something else is reset (RFC 9293 3.10.7.4, fifth)."""
    put_answering_rst(seg, act)
    if knobs.bad_ack_ends_half_open and tcb.bits & B_PASSIVE:
        embryo_dies(act, CauseEmbryonicAborted)


cdef void rst_for_embryo(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                         Action* act) noexcept nogil:
    """RFC 5961 3.2 for a RST in the window of a half-open entry: exact, or a challenge."""
    if seg.seq == tcb.rcv_nxt or knobs.insecure_rst:
        embryo_dies(act, CauseEmbryonicReset)
    else:
        challenge(tcb, cold, seg, knobs, now, act)


cdef void synack_again(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The peer's SYN again: our SYN-ACK was lost."""
    if knobs.dup_syn_restarts:
        tcb.retries = 0
    resend_synack(tcb, cold, knobs, now, act)
    tcb.bits |= B_RESEND_SYN
    set_main(tcb, act, T_REXMT, syn_interval(knobs, tcb.retries, 0))


cdef void resend_synack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    if tcb.bits & B_TS:
        use_cold(tcb, cold)
        cold.rtt_seq = clock_ms(now) + act.stamp.offset
        cold.rtt_at = 1
    put_syn(tcb, cold, knobs, now, act, SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)


# 3.10.7.4 Other states, step by step. A step returns False when the segment has been dealt with.

cdef bint paws_rejects(const Tcb* tcb, const Cold* cold, const Timestamps* stamp, const Segment* seg,
                       const Knobs* knobs, int64_t now) noexcept nogil:
    """RFC 7323 5.3 R1 with its 24 days, but on Linux for a pure ACK merely overtaken, and for one tick."""
    if seg.flags & RST or not older(tcb, stamp, seg) or clock_ms(now) - stamp.recent_at > PAWS_IDLE_MS:
        return False
    if stamp.recent - seg.tsval <= knobs.paws_tolerance_ticks:
        return False
    if (knobs.paws_answers == PAWS_SPARE_ACKS and seg_len(seg) == 0 and seg.flags & ACK
            and seg.seq == tcb.rcv_nxt and seg.ack == tcb.snd_una
            and not moves_window(tcb, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))):
        return stamp.recent - seg.tsval > rto(tcb, cold, knobs)
    return True


cdef bint something_unread(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """Text, or the peer's FIN, waits for the application."""
    if unread(tcb, cold):
        return True
    if knobs.auto_read or not in_set(tcb.state, PEER_FIN):
        return False
    return tcb.state == CLOSING or not tcb.bits & B_ORPHAN    # what came before close() went with it


cdef bint acceptable(const Tcb* tcb, const Cold* cold, const Segment* seg,
                     const Knobs* knobs) noexcept nogil:
    """The four cases of the RFC, or Linux's more lenient right edge."""
    cdef uint32_t wnd = window(tcb, cold, knobs)
    cdef uint32_t length = seg_len(seg)
    cdef uint32_t edge = tcb.rcv_nxt + wnd
    if knobs.acceptance == ACCEPT_LINUX:
        if seq_lt(seg.seq + length, tcb.rcv_nxt) or seq_lt(edge, seg.seq):
            return False
        return (seq_le(seg.seq + length - (seg.flags & FIN), edge)
                or not something_unread(tcb, cold, knobs))
    if wnd == 0:
        return seg.seq == tcb.rcv_nxt                 # its ACK and RST count, its text will not be taken
    return seg.seq - tcb.rcv_nxt < wnd or (length and seg.seq + length - 1 - tcb.rcv_nxt < wnd)


cdef bint seq_in_window(const Tcb* tcb, const Cold* cold, const Segment* seg,
                        const Knobs* knobs) noexcept nogil:
    """RFC 5961 3.2, 4.2: SEG.SEQ itself lies in the window, or at the edge of a closed one."""
    return seg.seq == tcb.rcv_nxt or seg.seq - tcb.rcv_nxt < window(tcb, cold, knobs)


cdef bint crossed_synack(const Tcb* tcb, const Segment* seg) noexcept nogil:
    """Simultaneous open: the SYN-ACK that answers our SYN-ACK repeats a SYN we already took."""
    return (tcb.state == SYN_RECEIVED and not tcb.bits & B_PASSIVE and seg.flags & ACK
            and seg.seq + 1 == tcb.rcv_nxt and seg_len(seg) == 1 and seg.ack == tcb.snd_nxt)


cdef bint exact_rst(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """RFC 5961 3.2, or right before a FIN that the peer may have forgotten it sent."""
    if not seg.flags & RST:
        return False
    return seg.seq == tcb.rcv_nxt or (knobs.rst_before_fin and in_set(tcb.state, PEER_FIN)
                                      and seg.seq == tcb.rcv_nxt - 1)


cdef bint first_sequence(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                         Action* act) noexcept nogil:
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
              or (seg.flags & SYN and crossed_synack(tcb, seg))):
        bad = True
    if bad:
        if seg.flags & RST:
            return False
        if seg.flags & SYN:
            count(act.counters, Mib.TCPSYNChallenge)
            challenge(tcb, cold, seg, knobs, now, act)
        else:
            duplicate_ack(tcb, cold, seg, knobs, now, act, counter)
        return False
    if not knobs.ts_recent_needs_good_ack:
        note_timestamp(tcb, act.stamp, seg, now)
    return True


cdef void note_timestamp(const Tcb* tcb, Timestamps* stamp, const Segment* seg, int64_t now) noexcept nogil:
    """TS.Recent moves on (RFC 7323 4.3): by the letter with every acceptable segment, on Linux once its ACK
    has been found good too."""
    if (tcb.bits & B_TS and seg.opts & OPT_TS and not seg.flags & RST and seq_le(seg.seq, tcb.rcv_nxt)
            and not older(tcb, stamp, seg)):
        take_timestamp(stamp, seg, now)


cdef bint first_trimmed(Tcb* tcb, Cold* cold, Segment* cut, const Knobs* knobs, int64_t now,
                        Action* act) noexcept nogil:
    """The same with acceptance "trim". RST and SYN have windows of their own in their steps."""
    cdef Trim old
    if tcb.state == SYN_RECEIVED and cut.flags & ACK and (
            seq_le(cut.ack, tcb.snd_una) or seq_lt(tcb.snd_nxt, cut.ack)):
        put_answering_rst(cut, act)
        return False
    if cut.flags & RST or (cut.flags & SYN and tcb.state != SYN_RECEIVED):
        return True
    if paws_rejects(tcb, cold, act.stamp, cut, knobs, now):
        count(act.counters, Mib.PAWSEstab)
        if cut.payload_len or knobs.paws_answers != PAWS_ANSWER_TEXT:
            duplicate_ack(tcb, cold, cut, knobs, now, act, Mib.TCPACKSkippedPAWS)
        return False
    if tcb.state == SYN_RECEIVED and seq_lt(cut.seq, tcb.rcv_nxt - 1):
        put_answering_rst(cut, act)                   # before the peer's SYN: not of this connection
        return False
    old = trim_old(cut, tcb.rcv_nxt)
    cut.flags &= ~SYN                                 # SYN-RECEIVED: a SYN in the window says nothing
    if tcb.bits & B_ORPHAN and cut.payload_len and in_set(tcb.state, AFTER_CLOSE):
        reset_after_close(tcb, cut, knobs, act)
        return False
    act.ack_owed = old == TRIM_AGAIN
    old = trim_beyond(cut, tcb.rcv_nxt, window(tcb, cold, knobs))
    if old == TRIM_NOTHING:
        duplicate_ack(tcb, cold, cut, knobs, now, act, Mib.TCPACKSkippedSeq)
        return False
    act.ack_owed |= old == TRIM_AGAIN
    if not knobs.ts_recent_needs_good_ack:
        note_timestamp(tcb, act.stamp, cut, now)
    return True


cdef bint second_rst(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    if not seg.flags & RST:
        return True
    if knobs.rst_seq_in_window and not seq_in_window(tcb, cold, seg, knobs):
        return False
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        rst_for_embryo(tcb, cold, seg, knobs, now, act)
        return False
    if not exact_rst(tcb, seg, knobs) and not knobs.insecure_rst:
        challenge(tcb, cold, seg, knobs, now, act)
        return False
    if tcb.state == SYN_RECEIVED:
        count(act.counters, Mib.AttemptFails)
        die(act, CauseConnectRefused, ECONNREFUSED if knobs.refused_in_syn_received else ECONNRESET)
    else:
        die(act, CauseResetByPeer, reset_error(tcb, knobs))
    return False


# third, check security: not implemented (RFC 9293 A.1)

cdef bint fourth_syn(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    if not seg.flags & SYN or crossed_synack(tcb, seg):
        return True
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        embryo_dies(act, CauseEmbryonicAborted)       # back to LISTEN
        return False
    if knobs.insecure_syn and seq_in_window(tcb, cold, seg, knobs):
        put(tcb, cold, knobs, now, act, RST | ACK, tcb.snd_nxt)
        act.rows[act.n_rows - 1].wnd = 0
        count(act.counters, Mib.OutRsts)
        count_n(act.counters, Mib.AttemptFails, tcb.state == SYN_RECEIVED)
        die(act, CauseResetByPeer, ECONNRESET)
        return False
    count(act.counters, Mib.TCPSYNChallenge)
    challenge(tcb, cold, seg, knobs, now, act)
    return False


cdef bint fifth_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    cdef uint32_t wnd = <uint32_t>seg.wnd << (0 if seg.flags & SYN else tcb.wscale & 15)
    cdef uint32_t reach, first
    cdef bint consents, waited, advanced = seq_lt(tcb.snd_una, seg.ack)
    if not seg.flags & ACK:
        return without_ack(tcb, cold, seg, knobs, now, act)
    if tcb.state == SYN_RECEIVED:
        consents = seg.ack == tcb.snd_una and knobs.ack_of_iss_opens and not tcb.bits & B_PASSIVE
        if seq_lt(tcb.snd_nxt, seg.ack) or not (advanced or consents):
            refuse_ack(tcb, seg, knobs, act)
            return False
        if tcb.bits & B_PASSIVE:
            return completed(tcb, cold, seg, knobs, now, act)
        note_timestamp(tcb, act.stamp, seg, now)
        waited = tcb.bits & B_SHUT
        if not advanced:
            # DEVIATES: Linux takes an ACK of nothing for the peer's consent; our SYN-ACK goes on being resent
            tcb.state = FIN_WAIT_1 if waited else ESTABLISHED
            tcb.bits &= ~B_RESEND_SYN
            keep_syn(tcb, cold)
            take_window(tcb, cold, seg, wnd)
            act.effects |= E_OPENED
            if waited:
                pump(tcb, cold, knobs, now, act, 1)
            return True
        tcb.snd_una = seg.ack
        take_window(tcb, cold, seg, wnd)
        opened(tcb, cold, seg, knobs, now, act)
        act.effects |= E_OPENED
        if waited:
            tcb.state = FIN_WAIT_1
            pump(tcb, cold, knobs, now, act, 1)
        return True
    if seq_lt(tcb.snd_nxt, seg.ack):
        if knobs.ack_range == ACK_RANGE_RFC793:
            put_ack(tcb, cold, knobs, now, act)
        else:
            challenge(tcb, cold, seg, knobs, now, act)
        return False
    if seq_lt(seg.ack, tcb.snd_una) and knobs.ack_range != ACK_RANGE_RFC793:
        # RFC 5961 5.2: how old may an ACK be? no older than the largest window, or than all it acknowledged,
        # to which the SYN belongs where we opened
        reach = cold.max_snd_wnd if tcb.bits & B_COLD else tcb.snd_wnd
        first = tcb.iss + (1 if tcb.bits & B_PASSIVE else 0)
        if reach > tcb.snd_una - first:
            reach = tcb.snd_una - first
        if seq_lt(seg.ack, tcb.snd_una - reach):
            challenge(tcb, cold, seg, knobs, now, act)
            return False
    if seq_lt(seg.ack, tcb.snd_una):
        return True
    note_timestamp(tcb, act.stamp, seg, now)
    if main_kind(tcb, cold) == T_PERSIST:
        tcb.retries = 0                               # the probes are being answered
        if knobs.persist_restarts:
            set_main(tcb, act, T_PERSIST, rexmt_wait(tcb, cold, knobs))
    if moves_window(tcb, seg, wnd):
        take_window(tcb, cold, seg, wnd)
    if advanced:
        acknowledged(tcb, cold, seg, knobs, now, act)
        if tcb.snd_una == tcb.snd_nxt and tcb.bits & B_FIN_SENT:
            return fin_acknowledged(tcb, cold, seg, knobs, now, act)
    return True


cdef bint without_ack(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    """No ACK: dropped, but for what "trim" still owes, and keeps of a SYN that comes again."""
    if knobs.acceptance == ACCEPT_TRIM:
        if tcb.state == SYN_RECEIVED and (seg.payload_len or seg.flags & FIN):
            act.ack_owed = True
            if seg.payload_len and knobs.syn_text != SYN_TEXT_DROPPED:
                keep_ahead(seg.seq, seg.seq + seg.payload_len, False, act)
        if act.ack_owed:
            put_ack(tcb, cold, knobs, now, act)
    return False


cdef void acknowledged(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """SND.UNA moves: sample, restart or stop the resend timer (RFC 6298 5.2, 5.3)."""
    cdef uint32_t sample = 0
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
        sample = echoed_sample(act.stamp, seg, now)
    act.sample = keep_sample(tcb, cold, seg, knobs, sample)
    if tcb.snd_una == tcb.snd_nxt:
        stop_main(act)
        return
    set_main(tcb, act, T_REXMT, rexmt_wait(tcb, cold, knobs))
    if tcb.bits & B_RECOVER:
        resend_first(tcb, cold, knobs, now, act)


cdef bint fin_acknowledged(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    if tcb.state == FIN_WAIT_1:
        if tcb.bits & B_ORPHAN and text_after_close(tcb, seg, knobs, act):
            return False
        tcb.state = FIN_WAIT_2
        if (tcb.bits & B_ORPHAN and seg.flags & FIN
                and knobs.orphan_fin_wait_2_brief and not keeps_full_socket(knobs)):
            # in order it leads straight on; if it is old, Linux keeps the connection whole too
            set_main(tcb, act, T_FIN_WAIT_2, fin_wait_2_time(tcb, cold, knobs, act.sample))
            tcb.bits |= B_FULL_SOCKET
        elif tcb.bits & B_ORPHAN:
            orphan_fin_wait_2(tcb, cold, knobs, act)
            # nothing but its FIN is wanted of the peer from now on, not even old text
            return not act.effects & E_DEAD and not is_time_wait_like(tcb.state, tcb.bits, knobs)
    elif tcb.state == CLOSING:
        if act.ack_owed:
            put_ack(tcb, cold, knobs, now, act)
        enter_time_wait(tcb, cold, knobs, act)
        return False
    elif tcb.state == LAST_ACK:
        count(act.counters, Mib.ConnectionsClosed)
        die(act, NoCause, 0)
        return False
    return True


cdef bint text_after_close(Tcb* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """RFC 9293 3.6.1, RFC 2525 2.17: new text for an application that is gone ends the connection; on Linux
    also text that reaches over the peer's own FIN."""
    if knobs.acceptance == ACCEPT_TRIM:
        return False                                  # has been looked at while trimming
    if seg_len(seg) == 0 or not seq_lt(tcb.rcv_nxt, seg_end(seg) - (seg.flags & FIN)):
        return False
    reset_after_close(tcb, seg, knobs, act)
    return True


cdef void reset_after_close(const Tcb* tcb, const Segment* seg, const Knobs* knobs,
                            Action* act) noexcept nogil:
    put_answering_rst(seg, act)
    count(act.counters, Mib.TCPAbortOnData)
    die(act, CauseDataAfterClose, reset_error(tcb, knobs))


# sixth, check the URG bit: urgent data is not implemented; its bytes are ordinary text

cdef bint seventh_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    """Take the text (and note a FIN) that is in order, keep what is ahead. True: an ACK is owed."""
    cdef uint32_t wnd = window(tcb, cold, knobs)
    cdef uint32_t left = seg.seq + (1 if seg.flags & SYN else 0)
    cdef uint32_t right = left + seg.payload_len
    cdef uint32_t was = tcb.rcv_nxt
    cdef bint fin = seg.flags & FIN
    cdef bint gap
    if seg.payload_len == 0 and not fin:
        return seg.flags & SYN                        # simultaneous open: the SYN we already have
    if seq_le(right + fin, tcb.rcv_nxt):
        return True                                   # old: say where we are
    if not in_set(tcb.state, CAN_RECEIVE):
        # after the peer's FIN: should not occur, is ignored; but Linux takes another FIN right behind it
        if knobs.text_over_fin_resets and fin and right == tcb.rcv_nxt and seq_lt(seg.seq, right):
            tcb.rcv_nxt += 1
            return True
        return False
    if knobs.acceptance != ACCEPT_TRIM and (wnd == 0 or seq_le(tcb.rcv_nxt + wnd, left)):
        count_n(act.counters, Mib.TCPZeroWindowDrop, wnd == 0)
        return True
    if knobs.acceptance == ACCEPT_RFC and seq_lt(tcb.rcv_nxt + wnd, right + fin):
        right = seq_min(right, tcb.rcv_nxt + wnd)     # text beyond the window is trimmed, the FIN with it
        fin = False
    if seq_lt(tcb.rcv_nxt, left):
        keep_ahead(left, right, fin, act)
        return True
    tcb.rcv_nxt = right
    gap = not ranges_empty(act.ranges)
    if gap and not fin:                               # what lies behind this FIN was never the peer's to send
        tcb.rcv_nxt = ranges_take(act.ranges, tcb.rcv_nxt)
        fin = ranges_fin_next(act.ranges, tcb.rcv_nxt)
    count_n(act.counters, Mib.BytesReceived, tcb.rcv_nxt - was)
    deliver(tcb, cold, knobs, tcb.rcv_nxt - was, fin)
    if fin:
        return eighth_fin(tcb, cold, knobs, now, act)
    return gap or owes_ack(tcb, cold, knobs, act)     # a gap filled is told at once (RFC 5681 4.2)


cdef void keep_ahead(uint32_t left, uint32_t right, bint fin, Action* act) noexcept nogil:
    """Out of order: keep the range, at most four; lengths only."""
    if left != right and not ranges_add(act.ranges, left, right):
        count(act.counters, Mib.TCPOFODrop)
        return
    if fin:
        ranges_set_fin(act.ranges, right)
    count(act.counters, Mib.TCPOFOQueue)


cdef void deliver(Tcb* tcb, Cold* cold, const Knobs* knobs, uint32_t nbytes, bint fin) noexcept nogil:
    """Text in order: to the application at once, or into the buffer, whose window it narrows. A FIN in there
    keeps the window's edge where it is (Linux)."""
    if knobs.auto_read or not (nbytes or (fin and knobs.fin_fills_buffer)):
        return
    use_cold(tcb, cold)
    if not tcb.bits & B_WINDOW:
        cold.rcv_buf = knobs.rcv_buf
        cold.rcv_adv = tcb.rcv_nxt - nbytes + full_window(tcb, cold, knobs)
        tcb.bits |= B_WINDOW
    cold.unread += nbytes


cdef bint owes_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """Delayed ACK (RFC 9293 3.8.6.3): at once without delack_ms, on every second segment, or for a gap."""
    if knobs.delack_ms == 0:
        return True
    use_cold(tcb, cold)
    cold.delayed += 1
    if cold.delayed >= 2:
        return True
    act.side_op = OP_ARM
    act.side_kind = T_DELACK
    act.side_timeout = knobs.delack_ms
    return False


cdef bint eighth_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The peer is done. True: an ACK is owed, which the caller sends (or, with auto_close, our FIN)."""
    tcb.rcv_nxt += 1
    act.ranges.n = 0
    act.ranges.has_fin = 0
    if tcb.state == ESTABLISHED:
        tcb.state = LAST_ACK if tcb.bits & B_AUTO_CLOSE else CLOSE_WAIT
    elif tcb.state == FIN_WAIT_1:
        tcb.state = CLOSING
        if knobs.fin_acked_at_once and unsent(tcb, cold):
            put_ack(tcb, cold, knobs, now, act)       # Linux does not wait for what may go out with it
            return False
    elif tcb.state == FIN_WAIT_2:
        enter_time_wait(tcb, cold, knobs, act)
    return True


cdef bint stamp_missing(const Tcb* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """RFC 7323 3.2: once agreed, a segment without a timestamp is dropped silently (SHOULD), a RST is not."""
    return (not knobs.tolerate_missing_ts and tcb.bits & B_TS and not seg.opts & OPT_TS
            and not seg.flags & RST)


cdef void otherwise(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """3.10.7.4: the eight steps."""
    if synfin_dropped(seg, knobs):
        return
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and knobs.half_open_rules == HALF_OPEN_SYNCACHE:
        if in_syncache(tcb, cold, seg, knobs, now, act):
            completing_text(tcb, cold, seg, knobs, now, act)
        return
    elif stamp_missing(tcb, seg, knobs):
        return
    elif tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and knobs.half_open_rules == HALF_OPEN_LINUX:
        if half_open(tcb, cold, seg, knobs, now, act):
            completing_text(tcb, cold, seg, knobs, now, act)
        return
    elif is_time_wait_like(tcb.state, tcb.bits, knobs):
        in_brief_fin_wait_2(tcb, cold, seg, knobs, now, act)
        return
    elif not seg.flags & (SYN | RST | ACK) and knobs.flagless_dropped:
        return                                        # Linux drops it before it looks at its numbers
    elif knobs.acceptance == ACCEPT_TRIM:
        in_trimmed(tcb, cold, seg, knobs, now, act)
        return
    elif not (first_sequence(tcb, cold, seg, knobs, now, act)
              and second_rst(tcb, cold, seg, knobs, now, act)
              and fourth_syn(tcb, cold, seg, knobs, now, act)
              and fifth_ack(tcb, cold, seg, knobs, now, act)):
        return
    if in_set(tcb.state, CAN_RECEIVE):
        if tcb.bits & B_ORPHAN and text_after_close(tcb, seg, knobs, act):
            return
    elif (knobs.text_over_fin_resets and seq_lt(seg.seq, tcb.rcv_nxt)
          and text_after_close(tcb, seg, knobs, act)):
        return
    text_and_output(tcb, cold, seg, knobs, now, act)


cdef void completing_text(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """The segment that completed a handshake goes on to its text and FIN."""
    cdef Segment cut
    if knobs.acceptance != ACCEPT_TRIM:
        text_and_output(tcb, cold, seg, knobs, now, act)
        return
    cut = seg[0]
    trim_beyond(&cut, tcb.rcv_nxt, window(tcb, cold, knobs))
    text_and_output(tcb, cold, &cut, knobs, now, act)


cdef void in_trimmed(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    """The same eight with a segment that is cut to the window first."""
    cdef Segment cut = seg[0]
    if (first_trimmed(tcb, cold, &cut, knobs, now, act)
            and second_rst(tcb, cold, &cut, knobs, now, act)
            and fourth_syn(tcb, cold, &cut, knobs, now, act)
            and fifth_ack(tcb, cold, &cut, knobs, now, act)):
        text_and_output(tcb, cold, &cut, knobs, now, act)


cdef void text_and_output(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Seventh and eighth, then output: what is owed rides on data if there is any."""
    cdef bint owed = act.ack_owed
    if act.effects & (E_ACCEPT | E_OPENED) and not ranges_empty(act.ranges):
        owed |= take_syn_text(tcb, cold, knobs, now, act)
    owed |= seventh_text(tcb, cold, seg, knobs, now, act)
    if unsent(tcb, cold):
        if pump(tcb, cold, knobs, now, act, ANSWER_ROWS - act.n_rows):
            owed = False
            not_later(act)                            # the rows acknowledge
    if owed and act.n_rows < ANSWER_ROWS:
        put_ack(tcb, cold, knobs, now, act)
        not_later(act)


cdef inline void not_later(Action* act) noexcept nogil:
    """No delayed ACK after all."""
    if act.side_op == OP_ARM and act.side_kind == T_DELACK:
        act.side_op = OP_CANCEL


cdef bint take_syn_text(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """ESTABLISHED at last: what came with the SYN is in order. True: it is to be acknowledged."""
    cdef uint32_t was = tcb.rcv_nxt
    cdef bint fin
    tcb.rcv_nxt = ranges_take(act.ranges, was)
    fin = ranges_fin_next(act.ranges, tcb.rcv_nxt)
    count_n(act.counters, Mib.BytesReceived, tcb.rcv_nxt - was)
    deliver(tcb, cold, knobs, tcb.rcv_nxt - was, fin)
    if fin:
        return eighth_fin(tcb, cold, knobs, now, act)
    return tcb.rcv_nxt != was


cdef void in_brief_fin_wait_2(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                              Action* act) noexcept nogil:
    """FIN-WAIT-2 after close(): only the FIN is still awaited. DEVIATES: Linux keeps such a connection
    as a TIME-WAIT entry and judges by its short rules (ADR 5)."""
    cdef bint paws = older(tcb, act.stamp, seg)
    if paws or not in_window(tcb, cold, seg, knobs):
        count_n(act.counters, Mib.PAWSEstab, paws)
        duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedFinWait2)     # also to a RST
        return
    if seg.flags & RST:
        die(act, CauseResetByPeer, ECONNRESET)
        return
    if seg.flags & SYN and seq_le(tcb.rcv_nxt, seg.seq):
        put_answering_rst(seg, act)
        die(act, CauseResetByPeer, ECONNRESET)
        return
    if not seg.flags & ACK or seg_len(seg) == 0 or seq_le(seg_end(seg), tcb.rcv_nxt):
        return
    if seg.flags & FIN and seg_end(seg) == tcb.rcv_nxt + 1:
        tcb.rcv_nxt += 1
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            take_timestamp(act.stamp, seg, now)
        put_ack(tcb, cold, knobs, now, act)
        enter_time_wait(tcb, cold, knobs, act)
        return
    reset_after_close(tcb, seg, knobs, act)


# 3.10.7.4 TIME-WAIT. All eight steps in one, as each has little left to say; the SYN is MAY-2 of
# 3.6.1 and RFC 6191, the RST is RFC 1337.

cdef bint reopens(Tcb* tcb, Cold* cold, const Segment* seg, Action* act) noexcept nogil:
    """A SYN that is newer by number or by timestamp: the listener gets it, with an ISS beyond all we sent."""
    cdef bint newer = tcb.bits & B_TS and seg.opts & OPT_TS and seq_lt(act.stamp.recent, seg.tsval)
    if (seg.flags & (SYN | RST | ACK)) != SYN or older(tcb, act.stamp, seg) or not (
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
    cdef bint paws = older(tcb, act.stamp, seg)
    if not paws and seg.seq == tcb.rcv_nxt and (seg_len(seg) == 0 or seg.flags & RST):
        if seg.flags & RST and not knobs.tcp_rfc1337:
            die(act, NoCause, 0)
            return
        if tcb.bits & B_TS and seg.opts & OPT_TS:
            take_timestamp(act.stamp, seg, now)
        if not seg.flags & RST:
            set_main(tcb, act, T_TIME_WAIT, knobs.time_wait_ms)
        return
    if reopens(tcb, cold, seg, act):
        if not act.listening:
            put_ack(tcb, cold, knobs, now, act)
        return
    count_n(act.counters, Mib.PAWSTimewait, paws)
    if seg.flags & RST:
        return
    if paws or seg.flags & ACK:
        set_main(tcb, act, T_TIME_WAIT, knobs.time_wait_ms)
    duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedTimeWait)


cdef void in_time_wait_rfc(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """Only the peer's FIN can still be expected: it is acknowledged and restarts 2 MSL."""
    cdef bint paws = older(tcb, act.stamp, seg)
    cdef bint fits, fin
    if seg.flags & RST:
        if seq_in_window(tcb, cold, seg, knobs) and not knobs.tcp_rfc1337:
            if seg.seq == tcb.rcv_nxt or knobs.insecure_rst:
                die(act, NoCause, 0)
            else:
                challenge(tcb, cold, seg, knobs, now, act)
    elif seg.flags & SYN:
        if reopens(tcb, cold, seg, act) and act.listening:
            return
        count(act.counters, Mib.TCPSYNChallenge)
        challenge(tcb, cold, seg, knobs, now, act)
    elif not stamp_missing(tcb, seg, knobs):
        fits = acceptable(tcb, cold, seg, knobs)
        fin = seg.flags & FIN and (fits or seg_end(seg) == tcb.rcv_nxt)
        if fits and not paws and not fin:
            return
        count_n(act.counters, Mib.PAWSTimewait, paws)
        if fin and not paws:
            set_main(tcb, act, T_TIME_WAIT, knobs.time_wait_ms)
        duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedTimeWait)


cdef void in_time_wait_freebsd(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                               Action* act) noexcept nogil:
    """tcp_twcheck: numbers decide, timestamps do not; all that is new to us is acknowledged."""
    if seg.flags & RST:
        if not knobs.tcp_rfc1337 and seg.seq == tcb.rcv_nxt:
            die(act, NoCause, 0)
        return
    if seg.flags & (SYN | ACK) == SYN and seq_lt(tcb.rcv_nxt, seg.seq):
        act.effects |= E_START_OVER
        return
    if not seg.flags & ACK or stamp_missing(tcb, seg, knobs):
        return
    if seg.flags & FIN and seg_end(seg) == tcb.rcv_nxt:
        set_main(tcb, act, T_TIME_WAIT, knobs.time_wait_ms)      # the peer's FIN again
    if seg.flags != ACK or seg.payload_len or seg.seq != tcb.rcv_nxt or seg.ack != tcb.snd_nxt:
        put_ack(tcb, cold, knobs, now, act)


cdef void in_time_wait(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    if synfin_dropped(seg, knobs):
        return
    if knobs.time_wait_rules == TIME_WAIT_LINUX:
        in_time_wait_linux(tcb, cold, seg, knobs, now, act)
    elif knobs.time_wait_rules == TIME_WAIT_RFC:
        in_time_wait_rfc(tcb, cold, seg, knobs, now, act)
    else:
        in_time_wait_freebsd(tcb, cold, seg, knobs, now, act)


cdef void segment_arrives(Tcb* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """3.10.7 for a block that exists."""
    if tcb.state == SYN_SENT:
        in_syn_sent(tcb, cold, seg, knobs, now, act)
    elif tcb.state == TIME_WAIT:
        in_time_wait(tcb, cold, seg, knobs, now, act)
    else:
        expect(tcb.state != CLOSED and tcb.state != LISTEN)
        otherwise(tcb, cold, seg, knobs, now, act)


# --- 3.10.8 Timeouts ---------------------------------------------------------------------

cdef void timer_expired(Tcb* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                  int64_t now, Action* act) noexcept nogil:
    """The timer of this kind has run out. synack_retries: what the listener's queue allows now."""
    if kind == T_TIME_WAIT:
        die(act, NoCause, 0)
    elif kind == T_FIN_WAIT_2:
        if tcb.bits & B_FULL_SOCKET and keeps_full_socket(knobs):
            tcb.bits &= ~B_FULL_SOCKET
            await_fin(tcb, cold, knobs, act)
            return
        if tcb.bits & B_FULL_SOCKET:
            put_active_rst(tcb, cold, knobs, now, act)
        die(act, CauseFinWait2TimedOut, 0)
    elif kind == T_DELACK:
        put_ack(tcb, cold, knobs, now, act)
    elif kind == T_OUTPUT:
        pump(tcb, cold, knobs, now, act, 1)
    elif kind == T_PERSIST:
        persist_timeout(tcb, cold, knobs, now, act)
    elif tcb.state == SYN_SENT or (tcb.state == SYN_RECEIVED and not tcb.bits & B_PASSIVE):
        open_timeout(tcb, cold, knobs, now, act)
    elif tcb.state == SYN_RECEIVED:
        half_open_timeout(tcb, cold, synack_retries, knobs, now, act)
    else:
        resend_timeout(tcb, cold, knobs, now, act)


cdef void open_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The SYN (simultaneous open: the SYN-ACK) again, or ETIMEDOUT (MUST-23)."""
    cdef uint32_t linear = knobs.tcp_syn_linear_timeouts
    cdef uint32_t most = knobs.tcp_syn_retries + (linear if tcb.state == SYN_SENT else 0)
    cdef uint32_t elapsed = <uint32_t>tick_up(now) - tcb.snd_wl1
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most or (knobs.keepinit_ms and elapsed >= knobs.keepinit_ms) or (
            knobs.retries_rule == RETRIES_TIME and tcb.retries and elapsed >= backoff_sum(
                knobs.rto_initial_ms, 0, knobs.tcp_syn_retries, 0, knobs.tcp_rto_max_ms)):
        count(act.counters, Mib.AttemptFails)
        count(act.counters, Mib.TCPAbortOnTimeout)
        die(act, CauseConnectTimedOut, ETIMEDOUT)
        return
    tcb.retries += 1
    put_syn(tcb, cold, knobs, now, act, SYN if tcb.state == SYN_SENT else SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)
    arm_syn(tcb, knobs, now, act, syn_interval(knobs, tcb.retries, linear))


cdef void half_open_timeout(Tcb* tcb, Cold* cold, uint8_t most, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """The SYN-ACK again, or the entry goes, silently."""
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most:
        die(act, CauseSynQueueExpired, 0)
        return
    tcb.retries += 1
    tcb.bits |= B_MATURE
    resend_synack(tcb, cold, knobs, now, act)
    set_main(tcb, act, T_REXMT, syn_interval(knobs, tcb.retries, 0))


cdef uint32_t patience(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """R2 as a number of resends: less for a connection whose application is gone."""
    if not tcb.bits & B_ORPHAN:
        return knobs.tcp_retries2
    return knobs.tcp_orphan_retries if knobs.tcp_orphan_retries else 8


cdef void give_up(Action* act) noexcept nogil:
    count(act.counters, Mib.TCPAbortOnTimeout)
    die(act, CauseTimedOut, ETIMEDOUT)


cdef void resend_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Text or FIN again, doubled interval (RFC 6298 5.4-5.6), until R2 (RFC 9293 3.8.3)."""
    count(act.counters, Mib.TCPTimeouts)
    if resent_enough(tcb, cold, knobs, patience(tcb, knobs)):
        give_up(act)
        return
    tcb.retries += 1
    if tcb.bits & B_COLD:
        cold.backoff += cold.backoff < 31
    tcb.bits &= ~B_RECOVER
    resend_first(tcb, cold, knobs, now, act)
    set_main(tcb, act, T_REXMT, rexmt_wait(tcb, cold, knobs))


cdef void persist_timeout(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Zero-window probe; only silence, not a closed window, ends the connection (MUST-37)."""
    if tcb.retries >= patience(tcb, knobs):
        give_up(act)
        return
    tcb.retries += 1
    if cold.backoff < 31 and (knobs.retries_rule == RETRIES_COUNT or cold.backoff < knobs.tcp_retries2):
        cold.backoff += 1                             # on Linux tcp_retries2 bounds the interval too
    set_main(tcb, act, T_PERSIST, rexmt_wait(tcb, cold, knobs))
    probe(tcb, cold, knobs, now, act)
