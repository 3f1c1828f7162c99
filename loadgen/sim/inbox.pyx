"""The segments on their way to one engine, in the order of (arrival time, order of sending)."""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

cdef enum:
    LEAST = 64                # segments of an inbox's first chunk
    MOST = 1024               # and of a chunk: below the size from which malloc() maps pages


cdef inline bint before(const Stamp* a, const Stamp* b) noexcept nogil:
    return a.at < b.at or (a.at == b.at and a.order < b.order)


cdef Chunk* chunk_new(uint32_t size) noexcept nogil:
    cdef size_t segs = sizeof(Chunk) + (size - 1) * sizeof(Segment)
    cdef Chunk* chunk = <Chunk*>malloc(segs + size * sizeof(Sent))
    if chunk != NULL:
        memset(chunk, 0, sizeof(Chunk))
        chunk.sent = <Sent*>(<char*>chunk + segs)
        chunk.size = size
    return chunk


cdef int inbox_init(Inbox* inbox) noexcept nogil:
    """An empty inbox. 0, or -1 without memory."""
    inbox.n = inbox.allocated = 0
    inbox.heap = NULL
    inbox.last = 0
    inbox.oldest = inbox.newest = chunk_new(LEAST)
    return 0 if inbox.oldest != NULL else -1


cdef void inbox_free(Inbox* inbox) noexcept nogil:
    cdef Chunk* chunk = inbox.oldest
    while chunk != NULL:
        inbox.oldest = chunk.next
        free(chunk)
        chunk = inbox.oldest
    inbox.newest = NULL
    free(inbox.heap)
    inbox.heap = NULL


cdef inline const Chunk* first_chunk(const Inbox* inbox) noexcept nogil:
    """The chunk with the next segment, NULL if there is none in chunks. At most one is taken and kept."""
    cdef const Chunk* chunk = inbox.oldest
    if chunk.first == chunk.end:
        chunk = chunk.next
    return chunk


cdef void drop_taken(Inbox* inbox) noexcept nogil:
    """Give back the chunk whose segments have all been taken, or begin it again if there is no other."""
    cdef Chunk* chunk = inbox.oldest
    if chunk.first < chunk.end:
        return
    if chunk.next != NULL:
        inbox.oldest = chunk.next
        free(chunk)
    else:
        chunk.first = chunk.end = chunk.first_sent = chunk.end_sent = chunk.ahead = 0


cdef Chunk* with_place(Inbox* inbox) noexcept nogil:
    """The newest chunk, another one if it is full. NULL without memory."""
    cdef Chunk* chunk = inbox.newest
    if chunk.first == chunk.end and chunk == inbox.oldest:
        drop_taken(inbox)
    if chunk.end == chunk.size:
        chunk = chunk_new(min(2 * chunk.size, <uint32_t>MOST))
        if chunk != NULL:
            inbox.newest.next = chunk
            inbox.newest = chunk
    return chunk


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
    return inbox_add_many(inbox, at, order, seg, 1)


cdef bint inbox_add_many(Inbox* inbox, int64_t at, uint64_t order, const Segment* segs,
                         Py_ssize_t n) noexcept nogil:
    """n segments that will arrive at one time, sent one after the other. False without memory."""
    cdef Stamp stamp = Stamp(at, order)
    cdef Chunk* chunk
    cdef Sent* sent
    cdef Py_ssize_t k
    cdef uint32_t part
    if at < inbox.last and first_chunk(inbox) != NULL:
        for k in range(n):
            stamp.order = order + k
            if not late_add(inbox, &stamp, &segs[k]):
                return False
        return True
    inbox.last = at
    while n > 0:
        chunk = with_place(inbox)
        if chunk == NULL:
            return False
        part = <uint32_t>min(n, <Py_ssize_t>(chunk.size - chunk.end))
        memcpy(&chunk.segs[chunk.end], segs, part * sizeof(Segment))
        sent = &chunk.sent[chunk.end_sent]
        if (chunk.end_sent > chunk.first_sent and sent[-1].stamp.at == at
                and sent[-1].stamp.order + sent[-1].n == stamp.order):
            sent[-1].n += part
        else:
            sent.stamp, sent.n = stamp, part
            chunk.end_sent += 1
        chunk.end += part
        stamp.order += part
        segs += part
        n -= part
    return True


cdef int64_t inbox_next(const Inbox* inbox) noexcept nogil:
    """When the next segment arrives, INT64_MAX if none is on its way."""
    cdef const Chunk* chunk = first_chunk(inbox)
    cdef int64_t at = chunk.sent[chunk.first_sent].stamp.at if chunk != NULL else INT64_MAX
    if inbox.n > 0 and inbox.heap[0].stamp.at < at:
        return inbox.heap[0].stamp.at
    return at


cdef inline uint32_t of_sent(const Sent* sent, uint64_t before_order, const Stamp* late,
                             Py_ssize_t limit) noexcept nogil:
    """How many of these come before that number, and before the first of the heap, at most `limit`."""
    cdef uint64_t n = before_order - sent.stamp.order if sent.stamp.order < before_order else 0
    n = min(n, <uint64_t>sent.n)
    n = min(n, <uint64_t>limit)
    if late != NULL and late.at == sent.stamp.at:
        n = min(n, late.order - sent.stamp.order if sent.stamp.order < late.order else <uint64_t>0)
    return <uint32_t>n


cdef Py_ssize_t inbox_take(Inbox* inbox, int64_t at, uint64_t before_order, Segment* copy, Py_ssize_t limit,
                           const Segment** segs) noexcept nogil:
    """Take the next segments of this instant that were sent before number `before_order`, at most `limit`.

    segs (out): where they are, valid until the next inbox_add() or inbox_take(): in a chunk, or one
    in `copy`. Their number; 0 when none is left.
    """
    cdef Py_ssize_t n = 0
    cdef uint32_t part
    cdef Stamp* late = &inbox.heap[0].stamp if inbox.n > 0 else NULL
    cdef Chunk* chunk
    cdef Sent* sent
    drop_taken(inbox)
    chunk = inbox.oldest
    sent = &chunk.sent[chunk.first_sent]
    if late != NULL and late.at == at and (chunk.first == chunk.end or before(late, &sent.stamp)):
        if late.order >= before_order:
            return 0
        copy[0] = inbox.heap[0].seg
        late_drop(inbox)
        segs[0] = copy
        return 1
    segs[0] = &chunk.segs[chunk.first]
    while chunk.first < chunk.end and n < limit and sent.stamp.at == at:
        part = of_sent(sent, before_order, late, limit - n)
        n += part
        chunk.first += part
        if part < sent.n:
            sent.stamp.order += part
            sent.n -= part
            break
        chunk.first_sent += 1
        sent += 1
    return n
