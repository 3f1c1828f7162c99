# The segment: what one TCP header says, 40 bytes, host byte order, no payload bytes (only their number).
# SEGMENT, the numpy dtype, is derived from this struct; Flag and Option in Python are made of the enums.
#
#   0    4    8     10    12   16   20   22          24    25   26     28   32    36   40
#   |src |dst |sport|dport|seq |ack |wnd |payload_len|flags|opts|wscale|mss |tsval|tsecr|
#
# wscale has a byte of padding behind it, mss has two.
from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef struct Segment:
    uint32_t src
    uint32_t dst
    uint16_t sport
    uint16_t dport
    uint32_t seq
    uint32_t ack
    uint16_t wnd              # as on the wire, unscaled
    uint16_t payload_len
    uint8_t flags             # FlagBit
    uint8_t opts              # OptBit: which options are present
    uint8_t wscale
    uint8_t _pad0
    uint16_t mss
    uint16_t _pad1
    uint32_t tsval
    uint32_t tsecr

# What names a connection: the names that `blocks` has.
cdef struct FourTuple:
    uint32_t raddr
    uint32_t laddr
    uint16_t rport
    uint16_t lport

# RFC 9293 3.1, the control bits as on the wire.
cdef enum FlagBit:
    FIN = 1
    SYN = 2
    RST = 4
    PSH = 8
    ACK = 16
    URG = 32
    ECE = 64
    CWR = 128

cdef enum:
    MSS_DEFAULT = 536         # RFC 9293 3.7.1 (SHLD-5), IPv4
    WSCALE_MAX = 14           # RFC 7323 2.3

cdef enum OptBit:
    OPT_MSS = 1
    OPT_WSCALE = 2
    OPT_SACK_OK = 4
    OPT_TS = 8


cdef inline bint is_unicast(uint32_t addr) noexcept nogil:
    """Not 0.0.0.0, multicast, reserved or broadcast (RFC 1122 3.2.1.3): one comparison, as 0 - 1 wraps."""
    return addr - 1 < <uint32_t>0xDFFFFFFF


cdef inline bint asks_for_ecn(const Segment* syn) noexcept nogil:
    """An ECN-setup SYN (RFC 3168 6.1.1): ECE and CWR. AE, which an AccECN SYN has too, is not in `flags`."""
    return syn.flags & (ECE | CWR) == ECE | CWR


cdef inline uint32_t seg_len(const Segment* seg) noexcept nogil:
    """SEG.LEN: the payload bytes, one more for SYN and one for FIN (RFC 9293 3.4)."""
    return <uint32_t>seg.payload_len + (seg.flags & FIN) + ((seg.flags & SYN) >> 1)


cdef inline uint32_t seg_end(const Segment* seg) noexcept nogil:
    """The number after the segment's last one."""
    return seg.seq + seg_len(seg)
