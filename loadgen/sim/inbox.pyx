"""The segments on their way to one engine, in the order of (arrival time, order of sending)."""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy


cdef inline bint before(const Stamp* a, const Stamp* b) noexcept nogil:
    return a.at < b.at or (a.at == b.at and a.order < b.order)


cdef int inbox_init(Inbox* inbox) noexcept nogil:
    """An empty inbox. 0, or -1 without memory."""
    inbox.head = inbox.tail = 0
    inbox.mask = 63
    inbox.n = inbox.allocated = 0
    inbox.heap = NULL
    inbox.stamps = <Stamp*>malloc(64 * sizeof(Stamp))
    inbox.segs = <Segment*>malloc(64 * sizeof(Segment))
    return 0 if inbox.stamps != NULL and inbox.segs != NULL else -1


cdef void inbox_free(Inbox* inbox) noexcept nogil:
    free(inbox.stamps)
    free(inbox.segs)
    free(inbox.heap)
    inbox.stamps = NULL
    inbox.segs = NULL
    inbox.heap = NULL


cdef bint ring_grow(Inbox* inbox) noexcept nogil:
    cdef uint64_t size = 2 * (inbox.mask + 1), i, at
    cdef Stamp* stamps = <Stamp*>malloc(size * sizeof(Stamp))
    cdef Segment* segs = <Segment*>malloc(size * sizeof(Segment))
    if stamps == NULL or segs == NULL:
        free(stamps)
        free(segs)
        return False
    for i in range(inbox.tail - inbox.head):
        at = (inbox.head + i) & inbox.mask
        stamps[i] = inbox.stamps[at]
        segs[i] = inbox.segs[at]
    free(inbox.stamps)
    free(inbox.segs)
    inbox.stamps = stamps
    inbox.segs = segs
    inbox.tail -= inbox.head
    inbox.head = 0
    inbox.mask = size - 1
    return True


cdef bint late_add(Inbox* inbox, const Stamp* stamp, const Segment* seg) noexcept nogil:
    cdef Late* heap
    cdef uint64_t i, parent
    if inbox.n == inbox.allocated:
        i = 64 if inbox.allocated == 0 else 2 * inbox.allocated
        heap = <Late*>realloc(inbox.heap, i * sizeof(Late))
        if heap == NULL:
            return False
        inbox.heap = heap
        inbox.allocated = i
    heap = inbox.heap
    i = inbox.n
    inbox.n += 1
    while i > 0:
        parent = (i - 1) >> 1
        if not before(stamp, &heap[parent].stamp):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i].stamp = stamp[0]
    heap[i].seg = seg[0]
    return True


cdef void late_drop(Inbox* inbox) noexcept nogil:
    cdef Late* heap = inbox.heap
    cdef Late moved
    cdef uint64_t i = 0, child, n
    inbox.n -= 1
    n = inbox.n
    if n == 0:
        return
    moved = heap[n]
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        if child + 1 < n and before(&heap[child + 1].stamp, &heap[child].stamp):
            child += 1
        if not before(&heap[child].stamp, &moved.stamp):
            break
        heap[i] = heap[child]
        i = child
    heap[i] = moved


cdef bint inbox_add(Inbox* inbox, int64_t at, uint64_t order, const Segment* seg) noexcept nogil:
    """A segment that will arrive at this time. False without memory."""
    cdef Stamp stamp = Stamp(at, order)
    cdef uint64_t i
    if inbox.head != inbox.tail and at < inbox.stamps[(inbox.tail - 1) & inbox.mask].at:
        return late_add(inbox, &stamp, seg)
    if inbox.tail - inbox.head > inbox.mask and not ring_grow(inbox):
        return False
    i = inbox.tail & inbox.mask
    inbox.stamps[i] = stamp
    inbox.segs[i] = seg[0]
    inbox.tail += 1
    return True


cdef bint inbox_add_many(Inbox* inbox, int64_t at, uint64_t order, const Segment* segs,
                         Py_ssize_t n) noexcept nogil:
    """n segments that will arrive at one time, sent one after the other. False without memory."""
    cdef Py_ssize_t done = 0
    cdef uint64_t i, part
    cdef Py_ssize_t k
    while inbox.tail - inbox.head + n > inbox.mask + 1:
        if not ring_grow(inbox):
            return False
    if inbox.head != inbox.tail and at < inbox.stamps[(inbox.tail - 1) & inbox.mask].at:
        for k in range(n):
            if not inbox_add(inbox, at, order + k, &segs[k]):
                return False
        return True
    while done < n:                                   # twice where the ring ends
        i = inbox.tail & inbox.mask
        part = min(<uint64_t>(n - done), inbox.mask + 1 - i)
        memcpy(&inbox.segs[i], &segs[done], part * sizeof(Segment))
        for k in range(<Py_ssize_t>part):
            inbox.stamps[i + k] = Stamp(at, order + done + k)
        inbox.tail += part
        done += part
    return True


cdef int64_t inbox_next(const Inbox* inbox) noexcept nogil:
    """When the next segment arrives, INT64_MAX if none is on its way."""
    cdef int64_t at = inbox.stamps[inbox.head & inbox.mask].at if inbox.head != inbox.tail else INT64_MAX
    if inbox.n > 0 and inbox.heap[0].stamp.at < at:
        return inbox.heap[0].stamp.at
    return at


cdef Py_ssize_t inbox_take(Inbox* inbox, int64_t at, uint64_t before_order, Segment* copy, Py_ssize_t limit,
                           const Segment** segs) noexcept nogil:
    """Take the next segments of this instant that were sent before number `before_order`, at most `limit`.

    segs (out): where they are, valid until the next inbox_add(): in the ring itself, or one in `copy`.
    Their number; 0 when none is left.
    """
    cdef uint64_t i = inbox.head & inbox.mask
    cdef Py_ssize_t n = 0
    cdef Stamp* ring = &inbox.stamps[i] if inbox.head != inbox.tail else NULL
    cdef Stamp* late = &inbox.heap[0].stamp if inbox.n > 0 else NULL
    if late != NULL and late.at == at and (ring == NULL or before(late, ring)):
        if late.order >= before_order:
            return 0
        copy[0] = inbox.heap[0].seg
        late_drop(inbox)
        segs[0] = copy
        return 1
    segs[0] = &inbox.segs[i]
    while (inbox.head != inbox.tail and n < limit and inbox.stamps[i].at == at
           and inbox.stamps[i].order < before_order
           and (late == NULL or before(&inbox.stamps[i], late))):
        n += 1
        inbox.head += 1
        i += 1
        if i > inbox.mask:
            break
    return n
