# Rows of the output: how a block speaks. Ground of the law: writes rows, decides nothing,
# changes nothing but the window it advertised and the delayed-ACK count.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport unlikely
from tcpcore.base.seq cimport seq_lt
from tcpcore.records.action cimport Action
from tcpcore.records.counters cimport Counters, Mib, count
from tcpcore.records.knobs cimport ROUND_MSS_DOWN, ROUND_MSS_UP, Knobs
from tcpcore.records.segment cimport (
    ACK, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, RST, SYN, Segment, seg_end,
)
from tcpcore.records.tcb cimport (
    B_COLD, B_FIN_SENT, B_FULL_SOCKET, B_ORPHAN, B_PASSIVE, B_SACK, B_TS, B_WINDOW, B_WSCALE, FIN_WAIT_2,
    PEER_FIN, SYN_RECEIVED, Cold, Tcb, Timestamps, in_set,
)
from tcpcore.tcp.rto cimport TW_SHORT_MS, clock_ms

cdef enum:
    TS_BYTES = 12             # what the timestamps option takes from each segment (RFC 7323 3.2, padded)
    WINDOW_MAX = 65535 << 14  # RFC 7323 2.3
    MSS_MIN = 48              # Linux TCP_MIN_MSS: less is an attack on the segment count


cdef uint32_t pump(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                   uint32_t limit) noexcept nogil
cdef uint32_t rows_due(const Tcb* tcb, const Cold* cold) noexcept nogil
cdef void resend_first(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef void probe(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil
cdef uint32_t unsent(const Tcb* tcb, const Cold* cold) noexcept nogil
cdef void set_main(Tcb* tcb, Action* act, uint8_t kind, uint32_t timeout) noexcept nogil
cdef void stop_main(Action* act) noexcept nogil


cdef inline bint is_time_wait_like(uint8_t state, uint16_t bits, const Knobs* knobs) noexcept nogil:
    """An orphan in FIN-WAIT-2 that is kept like a TIME-WAIT and holds one of its buckets."""
    return (state == FIN_WAIT_2 and (bits & (B_ORPHAN | B_FULL_SOCKET)) == B_ORPHAN
            and knobs.orphan_fin_wait_2_brief)


cdef inline void count_time_wait(Counters* counters, uint32_t wait) noexcept nogil:
    """One more connection kept for `wait` ticks as a TIME-WAIT is."""
    count(counters, Mib.TWKilled if wait <= TW_SHORT_MS else Mib.TW)


cdef inline void start_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """The cold line of a block that has sent nothing but its SYN."""
    memset(cold, 0, sizeof(Cold))
    tcb.bits |= B_COLD
    cold.snd_end = tcb.snd_nxt


cdef inline void use_cold(Tcb* tcb, Cold* cold) noexcept nogil:
    """Make the cold line valid, filled with what the block itself knows."""
    if tcb.bits & B_COLD:
        return
    start_cold(tcb, cold)
    cold.snd_end -= 1 if tcb.bits & B_FIN_SENT else 0
    cold.max_snd_wnd = tcb.snd_wnd
    cold.backoff = tcb.retries
    cold.srtt_us = 1000 * <uint32_t>tcb.rtt
    cold.rttvar_us = 500 * <uint32_t>tcb.rtt


cdef inline void forget_limit(const Tcb* tcb, Cold* cold) noexcept nogil:
    """A new keeper of the connection knows nothing of what was limited before (Linux keeps a half-open entry,
    a connection and a TIME-WAIT in different records)."""
    if tcb.bits & B_COLD:
        cold.oow_at = 0


cdef inline uint32_t rounded(const Knobs* knobs, uint32_t size, uint32_t mss, bint stamped) noexcept nogil:
    """The window that a buffer gives: Config.window says the same."""
    if knobs.window_rounding == ROUND_MSS_DOWN:
        if stamped:
            mss = mss - TS_BYTES if mss > TS_BYTES else 1
        return size - size % mss if size > mss else size
    if knobs.window_rounding == ROUND_MSS_UP:
        size += (mss - size % mss) % mss
        return size if size < WINDOW_MAX else WINDOW_MAX
    return size


cdef inline uint32_t full_window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The window with an empty buffer: what the buffer holds, as far as the header can say it."""
    cdef uint32_t space = knobs.rcv_buf
    if tcb.bits & B_WINDOW:
        space = cold.rcv_buf
    elif (tcb.bits & (B_TS | B_PASSIVE)) == B_TS | B_PASSIVE:
        space = knobs.rcv_buf_stamped
    if space > 65535 and not tcb.wscale >> 4:
        return 65535
    return space


cdef inline uint32_t offered(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """From RCV.NXT to the right edge we last advertised."""
    cdef int32_t left
    if tcb.bits & B_WINDOW:
        left = <int32_t>(cold.rcv_adv - tcb.rcv_nxt)
        return left if left > 0 else 0
    return full_window(tcb, cold, knobs)


cdef inline uint32_t window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """RCV.WND, by which segments are judged: what was offered, or (FreeBSD) more if the buffer has it."""
    cdef uint32_t open_now = offered(tcb, cold, knobs)
    cdef uint32_t space
    if not knobs.window_by_buffer:
        return open_now
    space = knobs.rcv_buf
    if tcb.bits & B_WINDOW:
        space = cold.rcv_buf - cold.unread if cold.unread < cold.rcv_buf else 0
    return space if space > open_now else open_now


cdef inline uint32_t offer(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The window we would advertise now: whole segments, never less than was offered (RFC 9293 3.8.6.2.2)."""
    cdef uint32_t full = full_window(tcb, cold, knobs)
    cdef uint32_t now_open = offered(tcb, cold, knobs)
    cdef uint32_t free = full - cold.unread if cold.unread < full else 0
    cdef uint32_t shift = tcb.wscale >> 4
    if in_set(tcb.state, PEER_FIN) and knobs.fin_freezes_window:
        return now_open                               # nothing more can come
    if free < full and (free < knobs.mss or free < full // 16):
        free = 0
    elif shift:
        free = free >> shift << shift
    elif free != full:
        free -= free % knobs.mss
    return free if free > now_open else now_open


cdef inline uint16_t advertise(Tcb* tcb, Cold* cold, const Knobs* knobs) noexcept nogil:
    """SEG.WND for a segment that leaves now."""
    cdef uint32_t open_now
    cdef uint32_t shift = tcb.wscale >> 4
    if not tcb.bits & B_WINDOW:
        return <uint16_t>(full_window(tcb, cold, knobs) >> shift)
    open_now = offer(tcb, cold, knobs) >> shift
    if open_now > 65535:
        open_now = 65535
    # a right edge that only the rounding of the shift would pull back stays where it is
    if seq_lt(cold.rcv_adv, tcb.rcv_nxt + (open_now << shift)):
        cold.rcv_adv = tcb.rcv_nxt + (open_now << shift)
    return <uint16_t>open_now


cdef inline uint32_t send_seq(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """SEG.SEQ of a segment without text: SND.NXT, or (Linux) the edge of a window that shrank below it."""
    cdef uint32_t edge = tcb.snd_una + tcb.snd_wnd
    if knobs.seq_within_window and seq_lt(edge, tcb.snd_nxt) and not (
            tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
        return edge
    return tcb.snd_nxt


cdef inline void start_row(Segment* row, const Tcb* tcb, uint8_t flags, uint32_t seq) noexcept nogil:
    """A row from this block without window and options, ack = RCV.NXT when flags have ACK."""
    memset(row, 0, sizeof(Segment))
    row.src = tcb.laddr
    row.dst = tcb.raddr
    row.sport = tcb.lport
    row.dport = tcb.rport
    row.flags = flags
    row.seq = seq
    if flags & ACK:
        row.ack = tcb.rcv_nxt


cdef inline uint8_t put_stamp(Segment* row, const Tcb* tcb, const Timestamps* stamp, int64_t now,
                              uint8_t flags) noexcept nogil:
    """The timestamps option, if it was agreed on; what it adds to row.opts."""
    if not tcb.bits & B_TS:
        return 0
    row.tsval = clock_ms(now) + stamp.offset
    row.tsecr = stamp.recent if flags & ACK else 0      # RFC 7323 3.2
    return OPT_TS


cdef inline void write_row(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* stamp, const Knobs* knobs,
                           int64_t now, uint8_t flags, uint32_t seq) noexcept nogil:
    """A whole row."""
    start_row(row, tcb, flags, seq)
    row.wnd = advertise(tcb, cold, knobs)
    row.opts = put_stamp(row, tcb, stamp, now, flags)
    if tcb.bits & B_COLD:
        cold.delayed = 0


cdef inline void write_syn(Segment* row, Tcb* tcb, Cold* cold, const Timestamps* stamp, const Knobs* knobs,
                           int64_t now, uint8_t flags) noexcept nogil:
    """A SYN or SYN-ACK with the options the block stands for (RFC 9293 3.2, RFC 7323 2.2, 3.2)."""
    cdef uint32_t space = full_window(tcb, cold, knobs)
    cdef uint16_t bits = tcb.bits
    cdef uint8_t opts = OPT_MSS
    start_row(row, tcb, flags, tcb.iss)
    if unlikely(bits & B_WINDOW):
        advertise(tcb, cold, knobs)                   # its window may go further than a SYN can say
    row.wnd = <uint16_t>(space if space < 65535 else 65535)
    row.mss = knobs.mss
    if bits & B_SACK:
        opts |= OPT_SACK_OK
    if bits & B_WSCALE:
        opts |= OPT_WSCALE
        row.wscale = tcb.wscale >> 4
    row.opts = opts | put_stamp(row, tcb, stamp, now, flags)


cdef inline Segment* put(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                         uint8_t flags, uint32_t seq) noexcept nogil:
    """One more row of the action."""
    cdef Segment* row = &act.rows[act.n_rows]
    act.n_rows += 1
    write_row(row, tcb, cold, act.stamp, knobs, now, flags, seq)
    return row


cdef inline void put_bare_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                              Action* act) noexcept nogil:
    """<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    put(tcb, cold, knobs, now, act, ACK, send_seq(tcb, knobs))


cdef inline void put_ack(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act) noexcept nogil:
    """An ordinary ACK; FreeBSD's repeats our SYN or FIN while the peer has not acknowledged it."""
    if knobs.ack_repeats_control and tcb.snd_una != tcb.snd_nxt:
        if tcb.state == SYN_RECEIVED:
            put_syn(tcb, cold, knobs, now, act, SYN | ACK)
            return
        if tcb.bits & B_FIN_SENT:
            put(tcb, cold, knobs, now, act, FIN | ACK, tcb.snd_nxt - 1)
            return
    put_bare_ack(tcb, cold, knobs, now, act)


cdef inline void put_active_rst(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now,
                                Action* act) noexcept nogil:
    """RFC 9293 3.10.5: <SEQ=SND.NXT><CTL=RST>, by knob with the ACK that lets RFC 5961 peers trust it."""
    put(tcb, cold, knobs, now, act, RST | (ACK if knobs.abort_rst_has_ack else 0), send_seq(tcb, knobs))
    count(act.counters, Mib.OutRsts)


cdef inline void put_answering_rst(const Segment* seg, Action* act) noexcept nogil:
    """RFC 9293 3.5.2 group 1: the reset that fits the segment; none in answer to a reset."""
    cdef Segment* row
    if seg.flags & RST:
        return
    row = &act.rows[act.n_rows]
    act.n_rows += 1
    memset(row, 0, sizeof(Segment))
    row.src = seg.dst
    row.dst = seg.src
    row.sport = seg.dport
    row.dport = seg.sport
    if seg.flags & ACK:
        row.flags = RST
        row.seq = seg.ack
    else:
        row.flags = RST | ACK
        row.ack = seg_end(seg)
    count(act.counters, Mib.OutRsts)


cdef inline void put_syn(Tcb* tcb, Cold* cold, const Knobs* knobs, int64_t now, Action* act,
                         uint8_t flags) noexcept nogil:
    """One more row of the action, a SYN or SYN-ACK."""
    write_syn(&act.rows[act.n_rows], tcb, cold, act.stamp, knobs, now, flags)
    act.n_rows += 1
    if tcb.bits & B_COLD:
        cold.delayed = 0
