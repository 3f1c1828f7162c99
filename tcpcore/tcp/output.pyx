# What may be sent now, resent, or sent as a probe. Sending is lengths: there are no bytes, no Nagle
# algorithm and no congestion control.
#
# The unit is a row of at most eff_mss() bytes; it goes when the peer's window holds all of it, the last one
# together with the FIN (sender's silly window avoidance, RFC 9293 3.8.6.2.1).
# Invariant: numbers in flight imply the resend timer; something queued, nothing in flight and no window for
# it imply the persist timer.
from tcpcore.records.knobs cimport PERSIST_RTO, PROBE_BYTE
from tcpcore.records.segment cimport MSS_DEFAULT, PSH
from tcpcore.records.tcb cimport (
    B_PROBED, B_RECOVER, B_SACK, B_SYN_UNACKED, B_TIMING, OUR_FIN, T_KEEPALIVE, T_NONE, T_OUTPUT, T_PERSIST,
    T_REXMT, in_set, main_kind,
)
from tcpcore.tcp.cold cimport use_cold
from tcpcore.tcp.liveness cimport use_liveness
from tcpcore.tcp.receive_window cimport TS_BYTES
from tcpcore.tcp.rto cimport (
    probe_timeout, probes_loss, restart_silence, rexmt_timeout, sent_timeout, tick_up, window_probe_timeout,
)


cdef uint32_t queued_end(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """The number after the last byte that the application queued; it is our FIN's."""
    if tcb.bits & B_COLD:
        return cold.snd_end
    return tcb.snd_nxt - (1 if tcb.bits & B_FIN_SENT else 0)


cdef bint fin_unsent(const Tcb* tcb) noexcept nogil:
    """The application closed and the FIN has not been sent yet."""
    return in_set(tcb.state, OUR_FIN) and not tcb.bits & B_FIN_SENT


cdef uint32_t unsent(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """How many numbers are queued and were never sent, the FIN's included."""
    if tcb.bits & B_FIN_SENT:
        return 0
    return queued_end(tcb, cold) - tcb.snd_nxt + fin_unsent(tcb)


cdef uint32_t eff_mss(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """Bytes of text that a row may carry (RFC 9293 3.7.1): MSS less options, but at most half the largest
    window, as a peer whose buffer is that small would else never open it by a whole row (Linux:
    tcp_bound_to_half_wnd)."""
    cdef uint32_t largest = cold.max_snd_wnd if tcb.bits & B_COLD else tcb.snd_wnd
    cdef uint32_t half = largest // 2 if largest > MSS_DEFAULT else largest
    cdef uint32_t ts_bytes = TS_BYTES if tcb.bits & B_TS else 0
    if half and half < tcb.mss - ts_bytes:
        return half if half > MSS_MIN - ts_bytes else MSS_MIN - ts_bytes
    return tcb.mss - ts_bytes


cdef uint32_t next_row(const Tcb* tcb, const Cold* cold, const Knobs* knobs, uint32_t* fin) noexcept nogil:
    """Bytes of the next row, and in `fin` (out) 1 if our FIN rides on it; both 0 if nothing may go now."""
    cdef uint32_t left = unsent(tcb, cold)
    cdef uint32_t mss
    fin[0] = 0
    if left == 0:
        return 0
    mss = eff_mss(tcb, cold)
    fin[0] = fin_unsent(tcb)
    left -= fin[0]
    if left > mss:
        left = mss
        fin[0] = 0
    if seq_lt(tcb.snd_una + tcb.snd_wnd, tcb.snd_nxt + left + (fin[0] if knobs.fin_needs_window else 0)):
        fin[0] = 0
        return 0
    return left


cdef void write_other_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* ts, const Knobs* knobs,
                          int64_t now, uint8_t flags, uint32_t seq) noexcept nogil:
    """write_row for write_plain_row, a call of its own: it is rare, and too much to be inlined there."""
    write_row(row, tcb, cold, ts, knobs, now, flags, seq)


cdef void emit_text(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act, uint32_t seq,
                    uint32_t length, uint32_t fin) noexcept nogil:
    """Add a row with text, with our FIN, or with both."""
    cdef Segment* row = emit(tcb, cold, knobs, now, act,
                             (PSH if length else 0) | (FIN if fin else 0) | ACK, seq)
    row.payload_len = <uint16_t>length


cdef void time_row(Tcb* tcb, Cold* cold, int64_t now) noexcept nogil:
    """Time the row that ends at SND.NXT: one at a time, and none while anything resent is in flight (Karn,
    RFC 6298 3). A bare FIN is not timed: nothing follows it that a sample could serve."""
    if not tcb.bits & (B_TIMING | B_RECOVER):
        tcb.bits |= B_TIMING
        cold.rtt_seq = tcb.snd_nxt
        cold.rtt_at = <uint32_t>tick_up(now)


cdef uint32_t last_row(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """The number that the last row in flight begins with, as far as lengths tell: a FIN is a row of its own
    unless the row being timed ended with it, and where that row ended another begins."""
    cdef uint32_t end = tcb.snd_nxt - (1 if tcb.bits & B_FIN_SENT else 0)
    cdef uint32_t first = tcb.snd_una, mss = eff_mss(tcb, cold)
    cdef bint timed = tcb.bits & B_TIMING and tcb.bits & B_COLD
    if end == first:
        return first
    if tcb.bits & B_FIN_SENT and not (timed and cold.rtt_seq == tcb.snd_nxt):
        return end
    if timed and seq_lt(first, cold.rtt_seq) and seq_lt(cold.rtt_seq, end):
        first = cold.rtt_seq
    if end - first > mss:
        return end - ((end - first - 1) % mss + 1)
    return first


cdef uint32_t flight_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The timeout of what is in flight, counted from now: the RTO or, if it is first, the loss probe's."""
    if not probes_loss(tcb, knobs):
        return rexmt_timeout(tcb, cold, knobs)
    return sent_timeout(tcb, cold, knobs, last_row(tcb, cold) == tcb.snd_una)


cdef bint probes_fin(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """probes_loss where close() has sent our FIN behind a SYN-ACK of a simultaneous open that was never
    resent: the FIN is the last row, and goes again before the SYN-ACK does (Linux)."""
    return (knobs.tcp_early_retrans >= 3
            and (tcb.bits & (B_SACK | B_SYN_UNACKED | B_FIN_SENT | B_TIMING | B_RECOVER | B_PROBED)
                 == B_SACK | B_SYN_UNACKED | B_FIN_SENT | B_TIMING)
            and cold.rtt_seq == tcb.iss + 1)


cdef uint32_t later_probe_timeout(const Tcb* tcb, const Cold* cold, const Knobs* knobs,
                                  int64_t now) noexcept nogil:
    """The loss probe's timeout after more was sent: it starts over, up to the RTO of the row being timed,
    the oldest."""
    cdef uint32_t timeout = sent_timeout(tcb, cold, knobs, False), oldest = rexmt_timeout(tcb, cold, knobs)
    cdef uint32_t elapsed = <uint32_t>tick_up(now) - cold.rtt_at
    if tcb.bits & B_SYN_UNACKED:
        timeout = min(timeout, probe_timeout(tcb, cold, knobs, False))
    if tcb.bits & B_TIMING and elapsed + timeout > oldest:
        return oldest - elapsed if elapsed < oldest else 1
    return timeout


cdef inline void ensure_timer(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                              uint32_t sent) noexcept nogil:
    """Arm the resend or the persist timer if this file's invariant asks for one and it does not run. sent:
    the rows just sent, which a loss probe waits for."""
    cdef uint8_t kind = T_NONE if act.main_op == OP_CANCEL else main_kind(tcb, cold)
    if tcb.snd_nxt != tcb.snd_una:
        if kind != T_REXMT:
            if kind == T_PERSIST:
                cold.backoff = 0                      # the probes' doublings are not the text's
            elif kind == T_KEEPALIVE:
                tcb.retries = 0
            arm_main_timer(act, T_REXMT, flight_timeout(tcb, cold, knobs))
        elif sent and (probes_loss(tcb, knobs) or probes_fin(tcb, cold, knobs)):
            arm_main_timer(act, T_REXMT, later_probe_timeout(tcb, cold, knobs, now))
    elif unsent(tcb, cold):
        if kind == T_NONE or kind == T_KEEPALIVE:
            if kind == T_KEEPALIVE:
                tcb.retries = 0
            use_cold(tcb, cold)
            if knobs.persist_interval != PERSIST_RTO:
                cold.backoff = 0                      # the text's doublings are not the probes'
            restart_silence(cold, knobs, now)
            arm_main_timer(act, T_PERSIST, window_probe_timeout(tcb, cold, knobs))


cdef uint32_t send_bare_fin(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                            Action* act) noexcept nogil:
    """Send our FIN, with nothing queued before it: what nearly every close is. Returns rows sent."""
    cdef uint32_t sent = 0
    if seq_lt(tcb.snd_nxt, tcb.snd_una + tcb.snd_wnd + (0 if knobs.fin_needs_window else 1)):
        emit(tcb, cold, knobs, now, act, FIN | ACK, tcb.snd_nxt)
        tcb.snd_nxt += 1
        tcb.bits |= B_FIN_SENT
        sent = 1
    ensure_timer(tcb, cold, knobs, now, act, sent)
    return sent


cdef uint32_t send_queued(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                          uint32_t limit) noexcept nogil:
    """Send what may go, at most `limit` rows; the rest falls due at once (T_OUTPUT). Returns rows sent."""
    cdef uint32_t sent = 0, length, fin
    if fin_unsent(tcb) and unsent(tcb, cold) == 1 and limit:
        return send_bare_fin(tcb, cold, knobs, now, act)
    while True:
        length = next_row(tcb, cold, knobs, &fin)
        if length + fin == 0:
            break
        if sent == limit:
            act.side_op = OP_ARM
            act.side_kind = T_OUTPUT
            act.side_timeout = 0
            break
        emit_text(tcb, cold, knobs, now, act, tcb.snd_nxt, length, fin)
        tcb.snd_nxt += length + fin
        if fin:
            tcb.bits |= B_FIN_SENT
        if length:
            time_row(tcb, cold, now)
        sent += 1
    ensure_timer(tcb, cold, knobs, now, act, sent)
    return sent


cdef uint32_t rows_due(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The number of rows that send_queued() would send without a limit."""
    cdef Tcb trial = tcb[0]
    cdef uint32_t rows = 0, length, fin
    while True:
        length = next_row(&trial, cold, knobs, &fin)
        if length + fin == 0:
            return rows
        trial.snd_nxt += length + fin
        if fin:
            trial.bits |= B_FIN_SENT
        rows += 1


cdef void resend_first(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Resend the first unacknowledged numbers, in one row; nothing is timed meanwhile (Karn)."""
    cdef uint32_t fin = 1 if tcb.bits & B_FIN_SENT else 0
    cdef uint32_t length = tcb.snd_nxt - fin - tcb.snd_una
    cdef uint32_t mss = eff_mss(tcb, cold)
    cdef uint32_t goal = tcb.snd_nxt
    count(act.counters, Mib.RetransSegs)
    if tcb.bits & B_SYN_UNACKED:
        count(act.counters, Mib.TCPSynRetrans)
        emit_syn(tcb, cold, knobs, now, act, SYN | ACK)
        tcb.bits &= ~B_TIMING
        return
    if tcb.snd_wnd and mss > tcb.snd_wnd:
        mss = tcb.snd_wnd                             # the window has shrunk; a closed one is probed with all
    if length > mss:
        length = mss
        fin = 0
    emit_text(tcb, cold, knobs, now, act, tcb.snd_una, length, fin)
    tcb.bits &= ~B_TIMING
    if tcb.bits & B_COLD and not tcb.bits & B_RECOVER:
        # up to here each advancing ACK lets the next row go again, and none gives a sample
        tcb.bits |= B_RECOVER
        cold.rtt_seq = goal


cdef bint send_loss_probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """Resend the last row in flight, so that the peer's answer tells of what is missing before it (RFC 8985
    7.3); False if the peer's window has no room for it any more. It is no resend as R2 counts them."""
    cdef uint32_t first = last_row(tcb, cold), fin = 1 if tcb.bits & B_FIN_SENT else 0
    if tcb.bits & B_SYN_UNACKED and not probes_fin(tcb, cold, knobs):
        return False
    if first != tcb.snd_una and not seq_lt(first, tcb.snd_una + tcb.snd_wnd):
        return False
    emit_text(tcb, cold, knobs, now, act, first, tcb.snd_nxt - fin - first, fin)
    count(act.counters, Mib.RetransSegs)
    count(act.counters, Mib.TCPLossProbes)
    if tcb.bits & B_TIMING and seq_lt(first, cold.rtt_seq):
        tcb.bits &= ~B_TIMING                         # Karn
    use_liveness(tcb, cold, act.live)
    act.live.probed_to = tcb.snd_nxt
    tcb.bits |= B_PROBED
    return True


cdef void send_persist_probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                             Action* act) noexcept nogil:
    """Send what fits into a small window, else (RFC 9293 3.8.6.1) a probe: an old number, which must be
    answered, or a byte of new text, which counts as sent only once it is acknowledged (probed_byte)."""
    cdef uint32_t length = unsent(tcb, cold) - fin_unsent(tcb)
    if tcb.snd_wnd and length:
        if length > tcb.snd_wnd:
            length = tcb.snd_wnd
        if length > eff_mss(tcb, cold):
            length = eff_mss(tcb, cold)
        emit_text(tcb, cold, knobs, now, act, tcb.snd_nxt, length, 0)
        tcb.snd_nxt += length
        time_row(tcb, cold, now)
        tcb.retries = 0                               # it is no probe any more but text on its way
        cold.backoff = 0
        ensure_timer(tcb, cold, knobs, now, act, 1)
    else:
        if length and knobs.persist_probe == PROBE_BYTE:
            emit_text(tcb, cold, knobs, now, act, tcb.snd_nxt, 1, 0)
        else:
            emit(tcb, cold, knobs, now, act, ACK, tcb.snd_una - 1)
        count(act.counters, Mib.TCPWinProbe)          # Linux counts a probe with text as what it is
