# The image of a passive open: what open_passive made of the last SYN, for SYNs that differ from it in nothing
# but their sender, their numbers and their timestamp, as most in a row do.
#
# Pure; loops/receive knows when an image is kept and when it ends, which is with the knobs and the listeners
# that it was made under.
# Invariant: open_alike gives the TCB and the row of open_passive (tests/properties/test_prediction.py).
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from tcpcore.records.segment cimport SYN, Segment
from tcpcore.records.tcb cimport B_COLD, B_TS, Tcb, Timestamps
from tcpcore.tcp.rto cimport clock_ms

cdef enum:
    TCB_SAME = 12             # bytes of a TCB from `listener` to its end: they are the image's
    ROW_SAME = 20             # bytes of a row from `wnd` to its end

cdef struct SynImage:
    uint32_t dst              # 0: there is no image
    uint16_t dport
    uint16_t listener         # that it was sent to
    uint32_t window           # SEG.WND and the number of payload bytes, as they lie in the SYN
    uint64_t options          # flags and options, as they lie in the SYN; in between is padding
    uint64_t mask             # of the bytes that are none: those of the caller's rows may be anything
    uint32_t timeout          # of the SYN-ACK
    Tcb tcb
    Segment row


cdef inline bint is_alike(const SynImage* image, const Segment* seg) noexcept nogil:
    """True if the segment, which has unicast addresses, is a SYN like the one that the image was made of, to
    the same address and port."""
    cdef uint32_t window
    cdef uint64_t options
    memcpy(&window, &seg.wnd, 4)
    memcpy(&options, &seg.flags, 8)
    return (image.dst == seg.dst and (image.options ^ options) & image.mask == 0 and image.window == window
            and image.dport == seg.dport)


cdef inline void drop_image(SynImage* image) noexcept nogil:
    """What the image was made under has changed."""
    image.dst = 0


cdef inline void keep_image(SynImage* image, const Tcb* tcb, const Segment* seg, const Segment* row,
                            uint32_t timeout) noexcept nogil:
    """Make the image of a TCB and the row that open_passive has just made; of none with a cold line, and of a
    bare SYN only."""
    cdef Segment told
    if seg.flags != SYN or seg.payload_len or tcb.bits & B_COLD:
        return
    memset(&told, 0xFF, sizeof(Segment))
    told._pad0 = 0
    told._pad1 = 0
    memcpy(&image.mask, &told.flags, 8)
    image.listener = tcb.listener
    image.dport = seg.dport
    image.dst = seg.dst
    memcpy(&image.window, &seg.wnd, 4)
    memcpy(&image.options, &seg.flags, 8)
    image.timeout = timeout
    image.tcb = tcb[0]
    image.row = row[0]


cdef inline void answer_alike(const SynImage* image, const Segment* seg, uint32_t iss, uint32_t tsval,
                              Segment* row) noexcept nogil:
    """The SYN-ACK that answers a SYN like the image's."""
    row.src = seg.dst
    row.dst = seg.src
    row.sport = seg.dport
    row.dport = seg.sport
    row.seq = iss
    row.ack = seg.seq + 1
    memcpy(&row.wnd, &image.row.wnd, ROW_SAME)
    if image.tcb.bits & B_TS:
        row.tsval = tsval
        row.tsecr = seg.tsval


cdef inline void open_alike(const SynImage* image, Tcb* tcb, Timestamps* ts, const Segment* seg, int64_t now,
                            uint32_t iss, uint32_t ts_offset, Segment* row) noexcept nogil:
    """open_passive, and before it the 4-tuple and the listener, for a new TCB and a SYN like the image's."""
    memcpy(&tcb.raddr, &seg.src, 8)
    memcpy(&tcb.rport, &seg.sport, 4)
    tcb.snd_una = iss
    tcb.snd_nxt = iss + 1
    tcb.rcv_nxt = seg.seq + 1
    tcb.snd_wnd = seg.wnd
    tcb.iss = iss
    tcb.snd_wl1 = seg.seq
    memcpy(&tcb.listener, &image.tcb.listener, TCB_SAME)
    answer_alike(image, seg, iss, clock_ms(now) + ts_offset, row)
    if image.tcb.bits & B_TS:
        ts.recent = seg.tsval
        ts.recent_at = clock_ms(now)
        ts.offset = ts_offset
        ts.first = clock_ms(now) + ts_offset
