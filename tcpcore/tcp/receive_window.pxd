# RCV.WND: which window
from libc.stdint cimport int32_t, uint16_t, uint32_t

from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.knobs cimport ACCEPT_LINUX, ROUND_DOWN, ROUND_UP, Knobs
from tcpcore.records.segment cimport FIN, Segment, seg_end, seg_len
from tcpcore.records.tcb cimport (
    B_COLD, B_ORPHAN, B_PASSIVE, B_TS, B_WINDOW, CLOSING, PEER_FIN, Cold, Tcb, in_set,
)

cdef enum:
    TS_BYTES = 12             # what the timestamps option takes from each segment (RFC 7323 3.2, padded)
    WINDOW_MAX = 65535 << 14  # RFC 7323 2.3


cdef inline uint32_t round_window(const Knobs* knobs, uint32_t size, uint32_t mss, bint stamped) noexcept nogil:
    """The window that a buffer gives: sysctl.Config.window says the same."""
    if knobs.window_rounding == ROUND_DOWN:
        if stamped:
            mss = mss - TS_BYTES if mss > TS_BYTES else 1
        return size - size % mss if size > mss else size
    if knobs.window_rounding == ROUND_UP:
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


cdef inline uint32_t advertised_window(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """From RCV.NXT to the right edge we last advertised."""
    cdef int32_t left
    if tcb.bits & B_WINDOW:
        left = <int32_t>(cold.rcv_adv - tcb.rcv_nxt)
        return left if left > 0 else 0
    return full_window(tcb, cold, knobs)


cdef inline uint32_t rcv_wnd(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """RCV.WND, by which segments are judged: what was offered, or (FreeBSD) more if the buffer has it."""
    cdef uint32_t open_now = advertised_window(tcb, cold, knobs)
    cdef uint32_t space
    if not knobs.window_by_buffer:
        return open_now
    space = knobs.rcv_buf
    if tcb.bits & B_WINDOW:
        space = cold.rcv_buf - cold.unread if cold.unread < cold.rcv_buf else 0
    return space if space > open_now else open_now


cdef inline uint32_t window_to_advertise(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """The window we would advertise now: whole segments, never less than was offered (RFC 9293 3.8.6.2.2)."""
    cdef uint32_t full = full_window(tcb, cold, knobs)
    cdef uint32_t now_open = advertised_window(tcb, cold, knobs)
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


cdef inline uint16_t advertise_window(Tcb* tcb, Cold* cold, const Knobs* knobs) noexcept nogil:
    """SEG.WND for a segment that leaves now."""
    cdef uint32_t open_now
    cdef uint32_t shift = tcb.wscale >> 4
    if not tcb.bits & B_WINDOW:
        return <uint16_t>(full_window(tcb, cold, knobs) >> shift)
    open_now = window_to_advertise(tcb, cold, knobs) >> shift
    if open_now > 65535:
        open_now = 65535
    # a right edge that only the rounding of the shift would pull back stays where it is
    if seq_lt(cold.rcv_adv, tcb.rcv_nxt + (open_now << shift)):
        cold.rcv_adv = tcb.rcv_nxt + (open_now << shift)
    return <uint16_t>open_now


cdef inline uint32_t unread(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """Bytes in order that the application has not taken."""
    return cold.unread if tcb.bits & B_COLD else 0


cdef inline bint something_unread(const Tcb* tcb, const Cold* cold, const Knobs* knobs) noexcept nogil:
    """Text, or the peer's FIN, waits for the application."""
    if unread(tcb, cold):
        return True
    if knobs.auto_read or not in_set(tcb.state, PEER_FIN):
        return False
    return tcb.state == CLOSING or not tcb.bits & B_ORPHAN    # what came before close() went with it


cdef inline bint acceptable(const Tcb* tcb, const Cold* cold, const Segment* seg,
                     const Knobs* knobs) noexcept nogil:
    """The four cases of the RFC, or Linux's more lenient right edge."""
    cdef uint32_t wnd = rcv_wnd(tcb, cold, knobs)
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


cdef inline bint seq_in_window(const Tcb* tcb, const Cold* cold, const Segment* seg,
                        const Knobs* knobs) noexcept nogil:
    """RFC 5961 3.2, 4.2: SEG.SEQ itself lies in the window, or at the edge of a closed one."""
    return seg.seq == tcb.rcv_nxt or seg.seq - tcb.rcv_nxt < rcv_wnd(tcb, cold, knobs)


cdef inline bint in_window_linux(const Tcb* tcb, const Cold* cold, const Segment* seg,
                    const Knobs* knobs) noexcept nogil:
    """Linux's test where no text is kept: some new number, or nothing at one of the edges."""
    cdef uint32_t edge = tcb.rcv_nxt + rcv_wnd(tcb, cold, knobs)
    cdef uint32_t end = seg_end(seg)
    if seg.seq == tcb.rcv_nxt:
        return True
    if seq_lt(tcb.rcv_nxt, end) and seq_lt(seg.seq, edge):
        return True
    return seg.seq == edge and seg.seq == end
