# The TCP state machine: RFC 9293 3.10 in its order, with the choices of RFC 5961, 6191,
# 7323 and 1337 where they belong. docs/semantics.md says the same in words.
#
# Not here: queues, ISNs, ports, the clock, rate limits that span connections.
# Invariant: SND.UNA <= SND.NXT, and every call leaves the block either E_DEAD or with the
# timer its state needs.
from libc.stdint cimport uint64_t

from tcpcore.action cimport *
from tcpcore.block cimport *
from tcpcore.counters cimport *
from tcpcore.emit cimport *
from tcpcore.intrin cimport expect
from tcpcore.reassembly cimport ranges_add, ranges_empty, ranges_fin_next, ranges_set_fin, ranges_take
from tcpcore.rto cimport *
from tcpcore.segment cimport *
from tcpcore.sending cimport *
from tcpcore.seq cimport *
from tcpcore.update cimport *

cdef extern from "<errno.h>" nogil:
    enum: ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT

cdef enum:
    PAWS_IDLE_MS = 2_073_600_000    # 24 days: RFC 7323 5.5, TS.Recent has worn out
    TW_BRIEF_MS = 4000        # Linux counts shorter ones as TWKilled
    ANSWER_ROWS = 2           # rows one segment may cause


# --- shared by the calls and the segments ------------------------------------------------

cdef void die(Action* act, uint8_t cause, uint8_t error) noexcept nogil:
    act.effects |= E_DEAD
    act.cause = cause
    act.error = error


cdef uint32_t unread(const Block* tcb, const Cold* cold) noexcept nogil:
    """Bytes in order that the application has not taken."""
    return cold.unread if tcb.bits & B_COLD else 0


cdef uint8_t reset_error(const Block* tcb, const Knobs* knobs) noexcept nogil:
    """What a reset tells the application."""
    return EPIPE if tcb.state == CLOSE_WAIT and knobs.epipe_in_close_wait else ECONNRESET


cdef void prepare(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, uint32_t iss, uint32_t ts_offset,
                  uint32_t rcv_buf) noexcept nogil:
    """A fresh block, offering what the knobs allow."""
    cdef uint32_t shift = knobs.rcv_wscale
    tcb.iss = iss
    tcb.snd_una = iss
    tcb.snd_nxt = iss + 1
    if knobs.tcp_sack:
        tcb.bits |= B_SACK
    if rcv_buf:
        use_cold(tcb, cold)
        tcb.bits |= B_WINDOW
        cold.rcv_buf = rcv_buf
        shift = knobs.rcv_wscale_min
        while rcv_buf >> shift > 65535 and shift < WSCALE_MAX:
            shift += 1
    if knobs.tcp_window_scaling:
        tcb.bits |= B_WSCALE
        tcb.wscale = <uint8_t>(shift << 4)
    if knobs.tcp_timestamps:
        tcb.bits |= B_TS
        use_cold(tcb, cold)
        cold.ts_offset = ts_offset
        cold.rtt_at = clock_ms(now) + ts_offset       # first and last TSval of the SYN, for TSecr
        cold.rtt_seq = cold.rtt_at


cdef void opened(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                 Action* act) noexcept nogil:
    """The handshake is complete, and its timer off."""
    establish(tcb, cold, seg, knobs, now)
    stop_main(act)


cdef bint limited(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now, Action* act,
                  Mib counter) noexcept nogil:
    """tcp_invalid_ratelimit: one challenge or duplicate ACK per connection and interval for segments
    that carry nothing (RFC 5961 7). True: say nothing this time."""
    if seg_len(seg) and not seg.flags & SYN:
        return False
    return too_soon(tcb, cold, knobs, now, act, counter)


cdef bint too_soon(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
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


cdef void challenge(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """RFC 5961: an ACK that only the real peer can make use of; the conductor may still withhold it."""
    if not too_soon(tcb, cold, knobs, now, act, Mib.TCPACKSkippedChallenge):
        put_ack(tcb, cold, knobs, now, act)
        act.challenge = True


cdef void duplicate_ack(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                        Action* act, Mib counter) noexcept nogil:
    if not limited(tcb, cold, seg, knobs, now, act, counter):
        put_ack(tcb, cold, knobs, now, act)


cdef void orphan_fin_wait_2(Block* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """In FIN-WAIT-2 without an application."""
    cdef uint32_t wait = fin_wait_2_time(tcb, cold, knobs)
    if is_brief(tcb.state, tcb.bits, knobs):
        if act.tw_full:
            count(act.counters, Mib.TCPTimeWaitOverflow)
            die(act, NoCause, 0)
            return
        count(act.counters, Mib.TWKilled if wait <= TW_BRIEF_MS else Mib.TW)
        forget_limit(tcb, cold)
    set_main(tcb, act, T_FIN_WAIT_2, wait)


cdef void enter_time_wait(Block* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """2 MSL from now (MUST-13); over tcp_max_tw_buckets the connection is forgotten at once.
    DEVIATES: the cap is Linux's, the RFC knows none (ADR 5)."""
    cdef bint counted = is_brief(tcb.state, tcb.bits, knobs) and main_kind(tcb, cold) == T_FIN_WAIT_2
    act.side_op = OP_CANCEL
    act.ranges.n = 0
    act.ranges.has_fin = 0
    count(act.counters, Mib.ConnectionsClosed)
    if knobs.time_wait == 0:
        die(act, NoCause, 0)
        return
    if act.tw_full and not counted:
        count(act.counters, Mib.TCPTimeWaitOverflow)
        die(act, NoCause, 0)
        return
    if not counted:
        forget_limit(tcb, cold)
        count(act.counters, Mib.TWKilled if knobs.time_wait <= TW_BRIEF_MS else Mib.TW)
    tcb.state = TIME_WAIT
    set_main(tcb, act, T_TIME_WAIT, knobs.time_wait)


# --- 3.10.1 OPEN Call --------------------------------------------------------------------

cdef void open_active(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, uint32_t iss,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil:
    """CLOSED -> SYN-SENT; the tuple is already in the block."""
    prepare(tcb, cold, knobs, now, iss, ts_offset, rcv_buf)
    tcb.state = SYN_SENT
    tcb.bits |= B_HELD
    tcb.mss = knobs.mss
    put_syn(tcb, cold, knobs, now, act, SYN)
    set_main(tcb, act, T_REXMT, syn_interval(knobs, 0, 0))
    count(act.counters, Mib.ActiveOpens)


cdef void open_passive(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       uint32_t iss, uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil:
    """LISTEN -> SYN-RECEIVED (3.10.7.2, third): a half-open entry and its SYN-ACK. Text on the SYN is
    not accepted: the peer sends it again (MAY, 3.10.7.2)."""
    prepare(tcb, cold, knobs, now, iss, ts_offset, rcv_buf)
    tcb.state = SYN_RECEIVED
    tcb.bits |= B_PASSIVE
    tcb.rcv_nxt = seg.seq + 1
    read_options(tcb, cold, seg, knobs, now)
    take_window(tcb, cold, seg, seg.wnd)
    open_window(tcb, cold, knobs)
    put_syn(tcb, cold, knobs, now, act, SYN | ACK)
    set_main(tcb, act, T_REXMT, syn_interval(knobs, 0, 0))
    count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)


cdef void open_cookie(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      uint32_t ts_offset, uint32_t rcv_buf, Action* act) noexcept nogil:
    """LISTEN -> ESTABLISHED by an ACK that gave a cookie back (RFC 4987 3.6). tcb.mss, tcb.bits (B_TS,
    B_SACK, B_WSCALE) and the low nibble of tcb.wscale say what the cookie knew; the segment goes on to
    its text and FIN."""
    cdef uint16_t agreed = tcb.bits
    cdef uint8_t shift = tcb.wscale
    prepare(tcb, cold, knobs, now, seg.ack - 1, ts_offset, rcv_buf)
    tcb.bits &= agreed | ~(B_TS | B_SACK | B_WSCALE)
    tcb.wscale = (tcb.wscale & 0xF0 | shift) if tcb.bits & B_WSCALE else 0
    tcb.bits |= B_PASSIVE | B_RESEND_SYN              # when the SYN-ACK went is not known: no RTT sample
    tcb.rcv_nxt = seg.seq
    tcb.snd_una = seg.ack
    if tcb.bits & B_TS:
        take_timestamp(cold, seg, now)
    take_window(tcb, cold, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))
    open_window(tcb, cold, knobs)
    opened(tcb, cold, seg, knobs, now, act)
    count(act.counters, Mib.PassiveOpens)
    text_and_output(tcb, cold, seg, knobs, now, act)


# --- 3.10.2 SEND Call --------------------------------------------------------------------

cdef void send_call(Block* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """Queue nbytes; send what the peer's window lets go. Before ESTABLISHED they only queue."""
    if nbytes == 0 or not (in_set(tcb.state, CAN_SEND) or in_set(tcb.state, OPENING)) or tcb.bits & B_ORPHAN:
        return
    if tcb.state == SYN_RECEIVED and tcb.bits & B_SHUT:
        return
    use_cold(tcb, cold)
    cold.snd_end += nbytes
    if in_set(tcb.state, CAN_SEND):
        pump(tcb, cold, knobs, now, act, 0xFFFFFFFF)


# --- 3.10.3 RECEIVE Call -----------------------------------------------------------------

cdef uint32_t receive_call(Block* tcb, Cold* cold, uint32_t nbytes, const Knobs* knobs, int64_t now,
                           Action* act) noexcept nogil:
    """Take up to nbytes out of the receive buffer; a window update when that opens the window well
    (receiver's silly window avoidance, RFC 9293 3.8.6.2.2). Returns the bytes taken."""
    cdef uint32_t taken, was
    if not tcb.bits & B_COLD or cold.unread == 0:
        return 0
    taken = nbytes if nbytes < cold.unread else cold.unread
    cold.unread -= taken
    if in_set(tcb.state, CAN_RECEIVE):
        was = window(tcb, cold, knobs)
        if 2 * was <= full_window(tcb, cold, knobs) and offer(tcb, cold, knobs) >= (2 * was if was else 1):
            put_ack(tcb, cold, knobs, now, act)
    return taken


# --- 3.10.4 CLOSE Call -------------------------------------------------------------------

cdef void keep_syn(Block* tcb, Cold* cold) noexcept nogil:
    """Leave active SYN-RECEIVED with our SYN unacknowledged: from now on it is resent like text."""
    tcb.bits |= B_SYN_UNACKED
    if tcb.bits & B_COLD:
        cold.backoff = tcb.retries


cdef void shutdown_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
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


cdef void close_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
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

cdef void abort_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
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


cdef void abandon_call(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
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


# 3.10.7.2 LISTEN

cdef ListenVerdict in_listen(const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """First RST, second ACK, third SYN, fourth other; what opens is the conductor's to admit."""
    if seg.flags & RST:
        return LISTEN_DROP
    if seg.flags & ACK:
        put_answering_rst(seg, act)
        return LISTEN_RESET
    if not seg.flags & SYN or (seg.flags & FIN and knobs.listen_drops_synfin):
        return LISTEN_DROP
    return LISTEN_OPEN


# 3.10.7.3 SYN-SENT

cdef void in_syn_sent(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                      Action* act) noexcept nogil:
    # first, check the ACK bit
    if seg.flags & ACK and (seq_le(seg.ack, tcb.snd_una) or seq_lt(tcb.snd_nxt, seg.ack)):
        put_answering_rst(seg, act)
        if knobs.early_syn_resend and tcb.retries == 0:
            # the RST may have cleared the way: do not wait the whole second
            tcb.bits |= B_RESEND_SYN
            set_main(tcb, act, T_REXMT, knobs.early_syn_resend)
        return
    if seg.flags & ACK and seg.opts & OPT_TS and tcb.bits & B_TS and seg.tsecr and not seq_between(
            cold.rtt_at, seg.tsecr, clock_ms(now) + cold.ts_offset):
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
    read_options(tcb, cold, seg, knobs, now)
    take_window(tcb, cold, seg, seg.wnd)
    open_window(tcb, cold, knobs)
    count_n(act.counters, Mib.SynPayloadIgnored, seg.payload_len)
    if seg.flags & ACK:
        tcb.snd_una = seg.ack
        opened(tcb, cold, seg, knobs, now, act)
        act.effects |= E_OPENED
        if pump(tcb, cold, knobs, now, act, ANSWER_ROWS) == 0:
            put_ack(tcb, cold, knobs, now, act)
    else:
        # the SYNs crossed (MUST-10): ours goes on being resent, now as SYN-ACK
        tcb.state = SYN_RECEIVED
        put_syn(tcb, cold, knobs, now, act, SYN | ACK)
    # fifth, neither SYN nor RST: dropped above


# 3.10.7.4 SYN-RECEIVED that came from LISTEN (MUST-11). A half-open entry has no application and
# its own, stricter order of the same steps: Linux's tcp_check_req is where this order comes from.

cdef bint in_window(const Block* tcb, const Cold* cold, const Segment* seg,
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


cdef bint half_open(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """True: the handshake is complete, and the segment goes on to its text and FIN."""
    cdef uint8_t flags = seg.flags
    cdef bint paws = older(tcb, cold, seg)
    cdef bint ecr_bad = (tcb.bits & B_TS and seg.opts & OPT_TS and seg.tsecr
                         and not seq_between(cold.rtt_at, seg.tsecr, cold.rtt_seq))
    cdef bint wrong_ack = (flags & (ACK | RST)) == ACK and seg.ack != tcb.snd_nxt
    if seg.seq == tcb.rcv_nxt - 1 and (flags & (SYN | ACK | RST)) == SYN and not paws:
        # the SYN again: our SYN-ACK was lost
        if knobs.dup_syn_restarts or not limited(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedSynRecv):
            if knobs.dup_syn_restarts:
                tcb.retries = 0
            resend_synack(tcb, cold, knobs, now, act)
            tcb.bits |= B_RESEND_SYN
            set_main(tcb, act, T_REXMT, syn_interval(knobs, tcb.retries, 0))
        return False
    if wrong_ack and knobs.wrong_ack_first:
        put_answering_rst(seg, act)
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
    # second, check the RST bit (RFC 5961 3.2: exact, or a challenge)
    if flags & RST:
        if seg.seq == tcb.rcv_nxt or knobs.insecure_rst:
            embryo_dies(act, CauseEmbryonicReset)
        else:
            challenge(tcb, cold, seg, knobs, now, act)
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
        put_answering_rst(seg, act)
        return False
    note_timestamp(tcb, cold, seg, now)
    if act.accept_full and not act.auto_accept:
        count(act.counters, Mib.ListenOverflows)
        count(act.counters, Mib.ListenDrops)
        if knobs.tcp_abort_on_overflow:
            put_answering_rst(seg, act)
            embryo_dies(act, CauseEmbryonicAborted)
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


cdef void resend_synack(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    if tcb.bits & B_TS:
        cold.rtt_seq = clock_ms(now) + cold.ts_offset
    put_syn(tcb, cold, knobs, now, act, SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)


# 3.10.7.4 Other states, step by step. A step returns False when the segment has been dealt with.

cdef bint paws_rejects(const Block* tcb, const Cold* cold, const Segment* seg, const Knobs* knobs,
                       int64_t now) noexcept nogil:
    """RFC 7323 5.3 R1 with its 24 days, but for a pure ACK that was merely overtaken; Linux lets one tick
    pass too."""
    if seg.flags & RST or not older(tcb, cold, seg) or clock_ms(now) - cold.ts_recent_at > PAWS_IDLE_MS:
        return False
    if not knobs.accept_by_rfc and cold.ts_recent - seg.tsval == 1:
        return False
    if (seg_len(seg) == 0 and seg.flags & ACK and seg.seq == tcb.rcv_nxt and seg.ack == tcb.snd_una
            and not moves_window(tcb, seg, <uint32_t>seg.wnd << (tcb.wscale & 15))):
        return cold.ts_recent - seg.tsval > rto(tcb, cold, knobs)
    return True


cdef bint something_unread(const Block* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """Text, or the peer's FIN, waits for the application."""
    if unread(tcb, cold):
        return True
    if knobs.auto_read or not in_set(tcb.state, PEER_FIN):
        return False
    return tcb.state == CLOSING or not tcb.bits & B_ORPHAN    # what came before close() went with it


cdef bint acceptable(const Block* tcb, const Cold* cold, const Segment* seg,
                     const Knobs* knobs) noexcept nogil:
    """The four cases of the RFC, or Linux's more lenient right edge."""
    cdef uint32_t wnd = window(tcb, cold, knobs)
    cdef uint32_t length = seg_len(seg)
    cdef uint32_t edge = tcb.rcv_nxt + wnd
    if not knobs.accept_by_rfc:
        if seq_lt(seg.seq + length, tcb.rcv_nxt) or seq_lt(edge, seg.seq):
            return False
        return (seq_le(seg.seq + length - (seg.flags & FIN), edge)
                or not something_unread(tcb, cold, knobs))
    if length == 0:
        return seg.seq == tcb.rcv_nxt if wnd == 0 else seg.seq - tcb.rcv_nxt < wnd
    if wnd == 0:
        return False
    return seg.seq - tcb.rcv_nxt < wnd or seg.seq + length - 1 - tcb.rcv_nxt < wnd


cdef bint crossed_synack(const Block* tcb, const Segment* seg) noexcept nogil:
    """Simultaneous open: the SYN-ACK that answers our SYN-ACK repeats a SYN we already took."""
    return (tcb.state == SYN_RECEIVED and seg.flags & ACK and seg.seq + 1 == tcb.rcv_nxt
            and seg_len(seg) == 1 and seg.ack == tcb.snd_nxt)


cdef bint exact_rst(const Block* tcb, const Segment* seg, const Knobs* knobs) noexcept nogil:
    """RFC 5961 3.2, or right before a FIN that the peer may have forgotten it sent."""
    if not seg.flags & RST:
        return False
    return seg.seq == tcb.rcv_nxt or (knobs.rst_before_fin and in_set(tcb.state, PEER_FIN)
                                      and seg.seq == tcb.rcv_nxt - 1)


cdef bint first_sequence(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                         Action* act) noexcept nogil:
    cdef Mib counter = Mib.TCPACKSkippedSeq
    cdef bint bad = paws_rejects(tcb, cold, seg, knobs, now)
    if bad:
        if seg_len(seg) == 0 and seg.flags & ACK and seq_lt(seg.seq, tcb.rcv_nxt) and not knobs.accept_by_rfc:
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
    if knobs.accept_by_rfc:
        note_timestamp(tcb, cold, seg, now)
    return True


cdef void note_timestamp(Block* tcb, Cold* cold, const Segment* seg, int64_t now) noexcept nogil:
    """TS.Recent moves on (RFC 7323 4.3): by the letter with every acceptable segment, on Linux once its ACK
    has been found good too."""
    if (tcb.bits & B_TS and seg.opts & OPT_TS and not seg.flags & RST and seq_le(seg.seq, tcb.rcv_nxt)
            and not older(tcb, cold, seg)):
        take_timestamp(cold, seg, now)


cdef bint second_rst(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    if not seg.flags & RST:
        return True
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

cdef bint fourth_syn(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                     Action* act) noexcept nogil:
    if not seg.flags & SYN or crossed_synack(tcb, seg):
        return True
    if knobs.insecure_syn:
        put_active_rst(tcb, cold, knobs, now, act)
        act.rows[act.n_rows - 1].wnd = 0
        die(act, CauseResetByPeer, ECONNRESET)
        return False
    count(act.counters, Mib.TCPSYNChallenge)
    challenge(tcb, cold, seg, knobs, now, act)
    return False


cdef bint fifth_ack(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    cdef uint32_t wnd = <uint32_t>seg.wnd << (tcb.wscale & 15)
    cdef uint32_t reach, first
    cdef bint consents, waited, advanced = seq_lt(tcb.snd_una, seg.ack)
    if not seg.flags & ACK:
        return False
    if tcb.state == SYN_RECEIVED:
        consents = seg.ack == tcb.snd_una and knobs.ack_of_iss_opens
        if seq_lt(tcb.snd_nxt, seg.ack) or not (advanced or consents):
            put_answering_rst(seg, act)
            return False
        note_timestamp(tcb, cold, seg, now)
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
        challenge(tcb, cold, seg, knobs, now, act)
        return False
    if seq_lt(seg.ack, tcb.snd_una):
        # RFC 5961 5.2: how old may an ACK be? no older than the largest window, or than all it acknowledged,
        # to which the SYN belongs where we opened
        reach = cold.max_snd_wnd if tcb.bits & B_COLD else tcb.snd_wnd
        first = tcb.iss + (1 if tcb.bits & B_PASSIVE else 0)
        if reach > tcb.snd_una - first:
            reach = tcb.snd_una - first
        if seq_lt(seg.ack, tcb.snd_una - reach):
            challenge(tcb, cold, seg, knobs, now, act)
            return False
        return True
    note_timestamp(tcb, cold, seg, now)
    if main_kind(tcb, cold) == T_PERSIST:
        tcb.retries = 0                               # the probes are being answered
        if knobs.persist_restarts:
            set_main(tcb, act, T_PERSIST, backed_off(rto(tcb, cold, knobs), cold.backoff, knobs.rto_max))
    if moves_window(tcb, seg, wnd):
        take_window(tcb, cold, seg, wnd)
    if advanced:
        acknowledged(tcb, cold, seg, knobs, now, act)
        if tcb.snd_una == tcb.snd_nxt and tcb.bits & B_FIN_SENT:
            return fin_acknowledged(tcb, cold, seg, knobs, act)
    return True


cdef void acknowledged(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
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
        sample = echoed_sample(cold, seg, now)
    if sample:
        rtt_update(cold, sample)
    if tcb.snd_una == tcb.snd_nxt:
        stop_main(act)
        return
    set_main(tcb, act, T_REXMT, backed_off(rto(tcb, cold, knobs), backoff_of(tcb, cold), knobs.rto_max))
    if tcb.bits & B_RECOVER:
        resend_first(tcb, cold, knobs, now, act)


cdef bint fin_acknowledged(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs,
                           Action* act) noexcept nogil:
    if tcb.state == FIN_WAIT_1:
        if tcb.bits & B_ORPHAN and text_after_close(tcb, seg, knobs, act):
            return False
        tcb.state = FIN_WAIT_2
        if tcb.bits & B_ORPHAN and seg.flags & FIN and knobs.orphan_fin_wait_2_brief:
            # in order it leads straight on; if it is old, Linux keeps the connection whole and waits
            set_main(tcb, act, T_FIN_WAIT_2, fin_wait_2_time(tcb, cold, knobs))
            tcb.bits |= B_WHOLE
        elif tcb.bits & B_ORPHAN:
            orphan_fin_wait_2(tcb, cold, knobs, act)
            return not act.effects & E_DEAD
    elif tcb.state == CLOSING:
        enter_time_wait(tcb, cold, knobs, act)
        return False
    elif tcb.state == LAST_ACK:
        count(act.counters, Mib.ConnectionsClosed)
        die(act, NoCause, 0)
        return False
    return True


cdef bint text_after_close(Block* tcb, const Segment* seg, const Knobs* knobs, Action* act) noexcept nogil:
    """RFC 9293 3.6.1, RFC 2525 2.17: new text for an application that is gone ends the connection; on Linux
    also text that reaches over the peer's own FIN."""
    if seg_len(seg) == 0 or not seq_lt(tcb.rcv_nxt, seg_end(seg) - (seg.flags & FIN)):
        return False
    put_answering_rst(seg, act)
    count(act.counters, Mib.TCPAbortOnData)
    die(act, CauseDataAfterClose, reset_error(tcb, knobs))
    return True


# sixth, check the URG bit: urgent data is not implemented; its bytes are ordinary text

cdef bint seventh_text(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
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
    if wnd == 0 or seq_le(tcb.rcv_nxt + wnd, left):
        count_n(act.counters, Mib.TCPZeroWindowDrop, wnd == 0)
        return True
    if knobs.accept_by_rfc and seq_lt(tcb.rcv_nxt + wnd, right + fin):
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
    """Out of order: remember the range, at most four; lengths only."""
    if left != right and not ranges_add(act.ranges, left, right):
        count(act.counters, Mib.TCPOFODrop)
        return
    if fin:
        ranges_set_fin(act.ranges, right)
    count(act.counters, Mib.TCPOFOQueue)


cdef void deliver(Block* tcb, Cold* cold, const Knobs* knobs, uint32_t nbytes, bint fin) noexcept nogil:
    """Text in order: to the application at once, or into the buffer, whose window it narrows. A FIN in there
    keeps the window's edge where it is (Linux)."""
    if knobs.auto_read or not (nbytes or (fin and not knobs.accept_by_rfc)):
        return
    use_cold(tcb, cold)
    if not tcb.bits & B_WINDOW:
        cold.rcv_buf = knobs.rcv_buf
        cold.rcv_adv = tcb.rcv_nxt - nbytes + full_window(tcb, cold, knobs)
        tcb.bits |= B_WINDOW
    cold.unread += nbytes


cdef bint owes_ack(Block* tcb, Cold* cold, const Knobs* knobs, Action* act) noexcept nogil:
    """Delayed ACK (RFC 9293 3.8.6.3): at once without delack_ms, on every second segment, or for a gap."""
    if knobs.delack == 0:
        return True
    use_cold(tcb, cold)
    cold.delayed += 1
    if cold.delayed >= 2:
        return True
    act.side_op = OP_ARM
    act.side_kind = T_DELACK
    act.side_timeout = knobs.delack
    return False


cdef bint eighth_fin(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The peer is done. True: an ACK is owed, which the caller sends (or, with auto_close, our FIN)."""
    tcb.rcv_nxt += 1
    act.ranges.n = 0
    act.ranges.has_fin = 0
    if tcb.state == ESTABLISHED:
        tcb.state = LAST_ACK if tcb.bits & B_AUTO_CLOSE else CLOSE_WAIT
    elif tcb.state == FIN_WAIT_1:
        tcb.state = CLOSING
        if not knobs.accept_by_rfc and unsent(tcb, cold):
            put_ack(tcb, cold, knobs, now, act)       # Linux does not wait for what may go out with it
            return False
    elif tcb.state == FIN_WAIT_2:
        enter_time_wait(tcb, cold, knobs, act)
    return True


cdef void otherwise(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                    Action* act) noexcept nogil:
    """3.10.7.4: the eight steps."""
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        if not half_open(tcb, cold, seg, knobs, now, act):
            return
    elif is_brief(tcb.state, tcb.bits, knobs):
        in_brief_fin_wait_2(tcb, cold, seg, knobs, now, act)
        return
    elif not seg.flags & (SYN | RST | ACK) and not knobs.accept_by_rfc:
        return                                        # Linux drops it before it looks at its numbers
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


cdef void text_and_output(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Seventh and eighth, then output: what is owed rides on data if there is any."""
    cdef bint owed = seventh_text(tcb, cold, seg, knobs, now, act)
    if unsent(tcb, cold):
        if pump(tcb, cold, knobs, now, act, ANSWER_ROWS - act.n_rows):
            owed = False
            if act.side_op == OP_ARM and act.side_kind == T_DELACK:
                act.side_op = OP_CANCEL               # the rows acknowledge
    if owed and act.n_rows < ANSWER_ROWS:
        put_ack(tcb, cold, knobs, now, act)


cdef void in_brief_fin_wait_2(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                              Action* act) noexcept nogil:
    """FIN-WAIT-2 after close(): only the FIN is still awaited. DEVIATES: Linux keeps such a connection
    as a TIME-WAIT entry and judges by its short rules (ADR 5)."""
    cdef bint paws = older(tcb, cold, seg)
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
            take_timestamp(cold, seg, now)
        put_ack(tcb, cold, knobs, now, act)
        enter_time_wait(tcb, cold, knobs, act)
        return
    put_answering_rst(seg, act)
    count(act.counters, Mib.TCPAbortOnData)
    die(act, CauseDataAfterClose, ECONNRESET)


# 3.10.7.4 TIME-WAIT. All eight steps in one, as each has little left to say; the SYN is MAY-2 of
# 3.6.1 and RFC 6191, the RST is RFC 1337.

cdef void in_time_wait(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
                       Action* act) noexcept nogil:
    cdef bint stamped = tcb.bits & B_TS and seg.opts & OPT_TS
    cdef bint paws = older(tcb, cold, seg)
    if not paws and seg.seq == tcb.rcv_nxt and (seg_len(seg) == 0 or seg.flags & RST):
        if seg.flags & RST and not knobs.tcp_rfc1337:
            die(act, NoCause, 0)
            return
        if stamped:
            take_timestamp(cold, seg, now)
        if not seg.flags & RST:
            set_main(tcb, act, T_TIME_WAIT, knobs.time_wait)
        return
    if (seg.flags & (SYN | RST | ACK)) == SYN and not paws and (
            seq_lt(tcb.rcv_nxt, seg.seq) or (stamped and seq_lt(cold.ts_recent, seg.tsval))):
        if act.listening:
            act.iss = tcb.snd_nxt + 65537
            if act.iss == 0:
                act.iss = 1
            act.effects |= E_REOPEN
        else:
            put_ack(tcb, cold, knobs, now, act)
        return
    count_n(act.counters, Mib.PAWSTimewait, paws)
    if seg.flags & RST:
        return
    if paws or seg.flags & ACK:
        set_main(tcb, act, T_TIME_WAIT, knobs.time_wait)
    duplicate_ack(tcb, cold, seg, knobs, now, act, Mib.TCPACKSkippedTimeWait)


cdef void segment_arrives(Block* tcb, Cold* cold, const Segment* seg, const Knobs* knobs, int64_t now,
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

cdef void timeout(Block* tcb, Cold* cold, uint8_t kind, uint8_t synack_retries, const Knobs* knobs,
                  int64_t now, Action* act) noexcept nogil:
    """The timer of this kind has run out. synack_retries: what the listener's queue allows now."""
    if kind == T_TIME_WAIT:
        die(act, NoCause, 0)
    elif kind == T_FIN_WAIT_2:
        if tcb.bits & B_WHOLE:
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


cdef void open_timeout(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """The SYN (simultaneous open: the SYN-ACK) again, or ETIMEDOUT (MUST-23)."""
    cdef uint32_t linear = knobs.tcp_syn_linear_timeouts
    cdef uint32_t most = knobs.tcp_syn_retries + (linear if tcb.state == SYN_SENT else 0)
    cdef uint64_t elapsed = syn_elapsed(knobs, tcb.retries, linear)
    cdef uint32_t wait
    count(act.counters, Mib.TCPTimeouts)
    if tcb.retries >= most or (knobs.keepinit and elapsed >= knobs.keepinit) or (
            not knobs.retries_by_count and tcb.retries
            and elapsed >= backoff_sum(knobs.rto_initial, 0, knobs.tcp_syn_retries, knobs.rto_max)):
        count(act.counters, Mib.AttemptFails)
        count(act.counters, Mib.TCPAbortOnTimeout)
        die(act, CauseConnectTimedOut, ETIMEDOUT)
        return
    tcb.retries += 1
    put_syn(tcb, cold, knobs, now, act, SYN if tcb.state == SYN_SENT else SYN | ACK)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPSynRetrans)
    wait = syn_interval(knobs, tcb.retries, linear)
    if knobs.keepinit and elapsed + wait > knobs.keepinit:
        wait = <uint32_t>(knobs.keepinit - elapsed)
    set_main(tcb, act, T_REXMT, wait)


cdef void half_open_timeout(Block* tcb, Cold* cold, uint8_t most, const Knobs* knobs, int64_t now,
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


cdef uint32_t patience(const Block* tcb, const Knobs* knobs) noexcept nogil:
    """R2 as a number of resends: less for a connection whose application is gone."""
    if not tcb.bits & B_ORPHAN:
        return knobs.tcp_retries2
    return knobs.tcp_orphan_retries if knobs.tcp_orphan_retries else 8


cdef void give_up(Action* act) noexcept nogil:
    count(act.counters, Mib.TCPAbortOnTimeout)
    die(act, CauseTimedOut, ETIMEDOUT)


cdef void resend_timeout(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
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
    set_main(tcb, act, T_REXMT, backed_off(rto(tcb, cold, knobs), backoff_of(tcb, cold), knobs.rto_max))


cdef void persist_timeout(Block* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                          Action* act) noexcept nogil:
    """Zero-window probe; only silence, not a closed window, ends the connection (MUST-37)."""
    if tcb.retries >= patience(tcb, knobs):
        give_up(act)
        return
    tcb.retries += 1
    if cold.backoff < 31 and (knobs.retries_by_count or cold.backoff < knobs.tcp_retries2):
        cold.backoff += 1                             # on Linux tcp_retries2 bounds the interval too
    set_main(tcb, act, T_PERSIST, backed_off(rto(tcb, cold, knobs), cold.backoff, knobs.rto_max))
    probe(tcb, cold, knobs, now, act)
