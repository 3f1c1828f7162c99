# The segments on their way to one engine, in the order of (arrival time, order of sending).
#
# Those that come in the order in which they were sent are in a ring, which is what a link of constant delay
# makes; the segments of one instant are then one array, ready for engine_receive(). The others are in a heap.
from libc.stdint cimport int64_t, uint64_t

from tcpcore cimport Segment

cdef struct Stamp:
    int64_t at                # ns
    uint64_t order

cdef struct Late:
    Stamp stamp
    Segment seg

cdef struct Inbox:
    Stamp* stamps             # ring, beside `segs`
    Segment* segs
    uint64_t head
    uint64_t tail
    uint64_t mask
    Late* heap
    uint64_t n
    uint64_t allocated

cdef int inbox_init(Inbox* inbox) noexcept nogil
cdef void inbox_free(Inbox* inbox) noexcept nogil
cdef bint inbox_add(Inbox* inbox, int64_t at, uint64_t order, const Segment* seg) noexcept nogil
cdef bint inbox_add_many(Inbox* inbox, int64_t at, uint64_t order, const Segment* segs,
                         Py_ssize_t n) noexcept nogil
cdef int64_t inbox_next(const Inbox* inbox) noexcept nogil
cdef Py_ssize_t inbox_take(Inbox* inbox, int64_t at, uint64_t before_order, Segment* copy, Py_ssize_t limit,
                           const Segment** segs) noexcept nogil
