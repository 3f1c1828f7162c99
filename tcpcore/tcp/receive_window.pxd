# The receive window (RCV.WND): how large it is, what of it is advertised, and which segments it accepts.
#
#     RCV.NXT                       cold.rcv_adv           RCV.NXT + free buffer
#   ------|===========================|------------------------|------
#           advertised_window()           window_to_advertise() may move the edge up to here
#
# Inline, as every segment asks.
# Invariant: the right edge that was advertised never moves back (RFC 9293 3.8.6). Without B_WINDOW the
# buffer is empty and the window the knobs' own.
# Source: RFC 9293 3.4, 3.8.6.2.2, 3.10.7.4 first.
from libc.stdint cimport int32_t, uint16_t, uint32_t

from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.knobs cimport (
    ACCEPT_LINUX, OFFERED_FREEBSD, OFFERED_LINUX, ROUND_MSS_DOWN, ROUND_MSS_UP, UPDATE_DOUBLED, Knobs,
)
from tcpcore.records.segment cimport FIN, Segment, seg_end, seg_len
from tcpcore.records.tcb cimport (
    B_COLD, B_ORPHAN, B_PASSIVE, B_TS, B_WINDOW, CLOSING, PEER_FIN, SYN_RECEIVED, Cold, Tcb, in_set,
)
from tcpcore.tcp.cold cimport use_cold

cdef enum:
    TS_BYTES = 12             # what the timestamps option takes from each segment (RFC 7323 3.2, padded)
    WINDOW_MAX = 65535 << 14  # RFC 7323 2.3


cdef inline uint32_t round_window(const Knobs* knobs, uint32_t size, uint32_t mss,
                                  bint stamped) noexcept nogil:
    """Round a buffer of `size` bytes to a window as knobs.window_rounding says; Config.window is the same
    in Python. stamped: timestamps were agreed on, and take their bytes from each segment."""
    if knobs.window_rounding == ROUND_MSS_DOWN:
        if stamped:
            mss = mss - TS_BYTES if mss > TS_BYTES else 1
        return size - size % mss if size > mss else size
    if knobs.window_rounding == ROUND_MSS_UP:
        size += (mss - size % mss) % mss
        return size if size < WINDOW_MAX else WINDOW_MAX
    return size


cdef inline uint32_t default_buffer(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """The knobs' buffer, rounded: where timestamps are sent a passive open rounds it otherwise."""
    return knobs.rcv_buf_stamped if (tcb.bits & (B_TS | B_PASSIVE)) == B_TS | B_PASSIVE else knobs.rcv_buf


cdef inline bint rounds_up(const Knobs* knobs) noexcept nogil:
    """True if a scaled window may be told to be more than it is (Linux), so that the last one counts."""
    return knobs.window_rounding == ROUND_MSS_DOWN and knobs.window_offered == OFFERED_LINUX


cdef inline uint32_t whole_units(const Tcb* tcb, const Knobs* knobs, uint32_t window,
                                 uint32_t shift) noexcept nogil:
    """A window in units of the shift: Linux rounds up, so that the rounding takes nothing away
    (__tcp_select_window, tcp_select_window), but not for half-open entries; others round down, and FreeBSD
    has rounded before (offered_freebsd, Config)."""
    if rounds_up(knobs) and not (tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
        window += (1 << shift) - 1
    return window >> shift


cdef inline uint32_t plain_window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The window that an empty buffer gives, before a shift rounds it: what SYNs tell."""
    return cold.rcv_buf if tcb.bits & B_WINDOW else default_buffer(tcb, knobs)


cdef inline uint32_t full_window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The window while the buffer is empty: what the buffer holds, as far as the header can say it."""
    cdef uint32_t space = plain_window(tcb, cold, knobs)
    cdef uint32_t shift = tcb.wscale >> 4
    if shift:
        if knobs.window_offered == OFFERED_FREEBSD or (tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE):
            return space                              # as its SYN-ACK told it
        return whole_units(tcb, knobs, space, shift) << shift
    return space if space <= 65535 else 65535


cdef inline bint synack_counts(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """True without B_WINDOW if the window of our SYN-ACK is the one told last: what follows tells it rounded
    up, and gives it a place in the cold line (tell_scaled)."""
    return tcb.bits & B_PASSIVE and not knobs.auto_read and rounds_up(knobs)


cdef inline void keep_window(Tcb* tcb, Cold* cold, const Knobs* knobs, uint32_t advertised) noexcept nogil:
    """Have the cold line know the window from now on: it ends at RCV.NXT + `advertised`."""
    use_cold(tcb, cold)
    if not tcb.bits & B_WINDOW:
        cold.rcv_buf = default_buffer(tcb, knobs)
    cold.rcv_adv = tcb.rcv_nxt + advertised
    tcb.bits |= B_WINDOW


cdef inline uint32_t advertised_window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """What is left of the window that we last advertised: from RCV.NXT to its right edge."""
    cdef int32_t left
    if tcb.bits & B_WINDOW:
        left = <int32_t>(cold.rcv_adv - tcb.rcv_nxt)
        return left if left > 0 else 0
    if tcb.wscale >> 4 and synack_counts(tcb, knobs):
        return default_buffer(tcb, knobs)
    return full_window(tcb, cold, knobs)


cdef inline uint32_t rcv_wnd(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """RCV.WND, by which segments are judged: what was advertised, or on FreeBSD what the buffer has, if
    more."""
    cdef uint32_t advertised = advertised_window(tcb, cold, knobs)
    cdef uint32_t space
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and advertised > 65535:
        return 65535                                  # what the SYN-ACK could tell (Linux: tcp_synack_window)
    if not knobs.window_by_buffer:
        return advertised
    space = knobs.rcv_buf_judged
    if tcb.bits & B_WINDOW:
        space = cold.rcv_buf - cold.unread if cold.unread < cold.rcv_buf else 0
    return space if space > advertised else advertised


cdef inline uint32_t offered_freebsd(const Tcb* tcb, uint32_t full, uint32_t free) noexcept nogil:
    """FreeBSD (tcp_output): no window that is small, else all there is, up to what the shift can tell;
    without one a buffer may have more room than the header can say."""
    cdef uint32_t shift = tcb.wscale >> 4
    cdef uint32_t unit = <uint32_t>1 << shift
    if free < full // 4 and free < tcb.mss:
        return 0
    free = (free + unit - 1) // unit * unit
    return free if shift or free < 65535 else 65535


cdef inline uint32_t window_to_advertise(const Tcb* tcb, const Cold* cold,
                                         const Knobs* knobs) noexcept nogil:
    """The window that we would advertise now: never less than before, and none that is small (RFC 9293
    3.8.6.2.2; Linux: __tcp_select_window)."""
    cdef uint32_t shift = tcb.wscale >> 4
    cdef bint whole = shift or knobs.window_offered == OFFERED_FREEBSD
    cdef uint32_t space = plain_window(tcb, cold, knobs) if whole else full_window(tcb, cold, knobs)
    cdef uint32_t advertised = advertised_window(tcb, cold, knobs)
    cdef uint32_t free = space - cold.unread if cold.unread < space else 0
    if in_set(tcb.state, PEER_FIN) and knobs.fin_freezes_window:
        return advertised                             # nothing more can come
    if knobs.window_offered == OFFERED_FREEBSD:
        free = offered_freebsd(tcb, space, free)
    elif free < space and (free < knobs.mss or free < space // 16):
        free = 0
    elif shift:
        free = (free >> shift if 2 * free < space else whole_units(tcb, knobs, free, shift)) << shift
    elif free != space:
        free -= free % knobs.mss
    return free if free > advertised else advertised


cdef inline bint update_is_due(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """True if reading has opened the window enough to tell the peer (RFC 9293 3.8.6.2.2): to twice what it
    was, if that was at most half the buffer (Linux: tcp_cleanup_rbuf), or by two segments that are a quarter
    of the buffer, or by half of it (FreeBSD: tcp_output)."""
    cdef uint32_t was = advertised_window(tcb, cold, knobs)
    cdef uint32_t full = full_window(tcb, cold, knobs)
    cdef uint32_t free, more
    if knobs.window_update == UPDATE_DOUBLED:
        return 2 * was <= full and window_to_advertise(tcb, cold, knobs) >= (2 * was if was else 1)
    full = plain_window(tcb, cold, knobs)             # sb_hiwat
    free = full - cold.unread if cold.unread < full else 0
    if not tcb.wscale >> 4 and free > 65535:
        free = 65535
    more = free - was if free > was else 0
    if in_set(tcb.state, PEER_FIN) or cold.delayed or was >> (tcb.wscale >> 4) == free >> (tcb.wscale >> 4):
        return False                                  # a delayed ACK will tell it
    return 2 * more >= full or (more >= 2 * <uint32_t>tcb.mss and (
        more >= full // 4 or free <= full // 8 or full <= 8 * <uint32_t>tcb.mss))


cdef inline uint16_t tell_scaled(Tcb* tcb, Cold* cold, const Knobs* knobs) noexcept nogil:
    """advertise_window where a shift was agreed on and the buffer is empty."""
    cdef uint32_t full = full_window(tcb, cold, knobs)
    if tcb.state != SYN_RECEIVED and synack_counts(tcb, knobs) and full != default_buffer(tcb, knobs):
        keep_window(tcb, cold, knobs, full)
    return <uint16_t>(full >> (tcb.wscale >> 4))


cdef inline uint16_t advertise_window(Tcb* tcb, Cold* cold, const Knobs* knobs) noexcept nogil:
    """SEG.WND for a segment that leaves now; the edge that it tells is remembered."""
    cdef uint32_t wnd
    cdef uint32_t shift = tcb.wscale >> 4
    if not tcb.bits & B_WINDOW:
        return tell_scaled(tcb, cold, knobs) if shift else <uint16_t>full_window(tcb, cold, knobs)
    wnd = whole_units(tcb, knobs, window_to_advertise(tcb, cold, knobs), shift)
    if wnd > 65535:
        wnd = 65535
    # a right edge that only the rounding of the shift would pull back stays where it is
    if seq_lt(cold.rcv_adv, tcb.rcv_nxt + (wnd << shift)):
        cold.rcv_adv = tcb.rcv_nxt + (wnd << shift)
    return <uint16_t>wnd


cdef inline uint16_t own_header_window(const Tcb* tcb, const Knobs* knobs) noexcept nogil:
    """What advertise_window gives after the handshake, where buffer and shift are the knobs' own."""
    return (knobs.header_window_stamped if (tcb.bits & (B_TS | B_PASSIVE)) == B_TS | B_PASSIVE
            else knobs.header_window)


cdef inline uint32_t unread(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """Bytes in order that the application has not taken yet."""
    return cold.unread if tcb.bits & B_COLD else 0


cdef inline bint something_unread(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """True while text or the peer's FIN waits for the application."""
    if unread(tcb, cold):
        return True
    if knobs.auto_read or not in_set(tcb.state, PEER_FIN):
        return False
    return tcb.state == CLOSING or not tcb.bits & B_ORPHAN    # what came before close() went with it


cdef inline bint acceptable(const Tcb* tcb, const Cold* cold, const Segment* seg,
                            const Knobs* knobs) noexcept nogil:
    """The first step's test of SEG.SEQ: the four cases of RFC 9293 3.4 (table 6), or Linux's
    (tcp_sequence), which is more lenient at both edges: a segment may end at RCV.NXT or begin at the right
    edge, and text may reach over that edge while nothing is unread."""
    cdef uint32_t wnd = rcv_wnd(tcb, cold, knobs)
    cdef uint32_t length = seg_len(seg)
    cdef uint32_t edge = tcb.rcv_nxt + wnd
    if knobs.acceptance == ACCEPT_LINUX:
        if seq_lt(seg.seq + length, tcb.rcv_nxt) or seq_lt(edge, seg.seq):
            return False
        return (seq_le(seg.seq + length - (seg.flags & FIN), edge)
                or not (knobs.beyond_window_dropped and something_unread(tcb, cold, knobs)))
    if wnd == 0:
        return seg.seq == tcb.rcv_nxt                 # its ACK and RST count, its text will not be taken
    return seg.seq - tcb.rcv_nxt < wnd or (length and seg.seq + length - 1 - tcb.rcv_nxt < wnd)


cdef inline bint seq_in_window_from(const Tcb* tcb, const Cold* cold, const Segment* seg, const Knobs* knobs,
                                    uint32_t begin) noexcept nogil:
    """True if SEG.SEQ lies in a window that begins at this number, or at the edge of a closed one."""
    return seg.seq == begin or seg.seq - begin < rcv_wnd(tcb, cold, knobs)


cdef inline bint seq_in_window(const Tcb* tcb, const Cold* cold, const Segment* seg,
                               const Knobs* knobs) noexcept nogil:
    """True if SEG.SEQ itself lies in the window, or at the edge of a closed one (RFC 5961 3.2, 4.2)."""
    return seq_in_window_from(tcb, cold, seg, knobs, tcb.rcv_nxt)


cdef inline bint in_window_linux(const Tcb* tcb, const Cold* cold, const Segment* seg,
                                 const Knobs* knobs) noexcept nogil:
    """Linux's test where no text is kept (tcp_in_window, half-open and TIME-WAIT): some number of the
    segment is new, or it is empty and lies at one of the edges."""
    cdef uint32_t edge = tcb.rcv_nxt + rcv_wnd(tcb, cold, knobs)
    cdef uint32_t end = seg_end(seg)
    if seg.seq == tcb.rcv_nxt:
        return True
    if seq_lt(tcb.rcv_nxt, end) and seq_lt(seg.seq, edge):
        return True
    return seg.seq == edge and seg.seq == end
