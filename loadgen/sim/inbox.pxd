# The segments on their way to one engine, in the order of (arrival time, order of sending).
#
# Those that come in the order in which they were sent are in a list of chunks, which is what a link of
# constant delay makes; the segments of one instant are then arrays, ready for engine_receive(). A chunk is
# given back once it is empty. The others are in a heap.
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore cimport Segment

cdef struct Stamp:
    int64_t at                # ns
    uint64_t order

cdef struct Late:
    Stamp stamp
    Segment seg

# Segments one behind the other in a chunk, sent one after the other, that arrive at one time.
cdef struct Sent:
    Stamp stamp               # of the first of them
    uint32_t n

cdef struct Chunk:
    Chunk* next               # the newer ones
    Sent* sent                # [size]
    uint32_t size
    uint32_t first            # segments taken so far
    uint32_t end
    uint32_t first_sent       # in `sent`
    uint32_t end_sent
    uint32_t ahead            # segments that ahead.pxd has looked at
    Segment segs[1]           # [size]

cdef struct Inbox:
    Chunk* oldest
    Chunk* newest
    int64_t last              # arrival of the newest in chunks
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
