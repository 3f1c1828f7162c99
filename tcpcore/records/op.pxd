# One row of a timed batch: a segment that arrives or a call that the application makes, and when. OP, the
# numpy dtype, is derived from this struct; OpKind in Python is made of the enum.
#
#   0    8     16      24         64   68    72
#   |at  |conn |result |seg       |arg |kind |         three bytes of padding at the end
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.segment cimport Segment

cdef struct Op:
    int64_t at                # ns
    uint64_t conn             # handle; ACCEPT: listener id
    uint64_t result           # out: a handle, a count, or one of OpResult
    Segment seg               # SEGMENT: what arrives; CONNECT: dst, dport, src, sport
    uint32_t arg              # SEND, RECV: bytes
    uint8_t kind              # OpCode
    uint8_t _pad0
    uint16_t _pad1

# The calls on a handle come last, in the order of loops/calls.
cdef enum OpCode:
    OP_SEGMENT = 1
    OP_CONNECT = 2
    OP_ACCEPT = 3
    OP_SEND = 4
    OP_RECV = 5
    OP_SHUTDOWN = 6
    OP_CLOSE = 7
    OP_ABORT = 8


cdef inline uint64_t result_not_reached() noexcept nogil:
    """`result` of a row that the call did not come to."""
    return <uint64_t>-1


cdef inline uint64_t result_refused() noexcept nogil:
    """`result` of a SEND that would queue more than a connection may have queued."""
    return <uint64_t>-2


cdef inline bint names_connection(uint8_t kind) noexcept nogil:
    """Whether `conn` is a connection's handle."""
    return kind >= OP_SEND
