"""What will happen: a priority queue of items in the order of (at, order), with lanes for what comes in
order.

queue.pxd says how it is built. Nothing here knows what an item means.
"""

from libc.stdlib cimport free, malloc, realloc


cdef inline bint before(const Item* a, const Item* b) noexcept nogil:
    return a.at < b.at or (a.at == b.at and a.order < b.order)


cdef int queue_init(Queue* queue) noexcept nogil:
    """An empty queue. 0, or -1 without memory."""
    queue.n = 0
    queue.order = 0
    queue.lanes_used = 0
    queue.allocated = 256
    queue.heap = <Item*>malloc(queue.allocated * sizeof(Item))
    return 0 if queue.heap != NULL else -1


cdef void queue_free(Queue* queue) noexcept nogil:
    cdef int i
    free(queue.heap)
    queue.heap = NULL
    for i in range(queue.lanes_used):
        free(queue.lanes[i].items)
        queue.lanes[i].items = NULL


cdef bint lane_add(Lane* lane, const Item* item) noexcept nogil:
    cdef uint64_t size, i
    cdef Item* items
    if lane.items == NULL or lane.tail - lane.head > lane.mask:
        size = 256 if lane.items == NULL else 2 * (lane.mask + 1)
        items = <Item*>malloc(size * sizeof(Item))
        if items == NULL:
            return False
        for i in range(lane.tail - lane.head):
            items[i] = lane.items[(lane.head + i) & lane.mask]
        free(lane.items)
        lane.items = items
        lane.tail -= lane.head
        lane.head = 0
        lane.mask = size - 1
    lane.items[lane.tail & lane.mask] = item[0]
    lane.tail += 1
    lane.last = item.at
    return True


cdef bint queue_add(Queue* queue, Item* item, int lane) noexcept nogil:
    """Queue the item, as the newest of its instant; lane -1: none. False without memory."""
    cdef Item* heap
    cdef uint64_t i, parent
    item.order = queue.order
    queue.order += 1
    if 0 <= lane < queue.lanes_used and (queue.lanes[lane].head == queue.lanes[lane].tail
                                         or queue.lanes[lane].last <= item.at):
        return lane_add(&queue.lanes[lane], item)
    if queue.n == queue.allocated:
        heap = <Item*>realloc(queue.heap, 2 * queue.allocated * sizeof(Item))
        if heap == NULL:
            return False
        queue.heap = heap
        queue.allocated *= 2
    i = queue.n
    queue.n += 1
    heap = queue.heap
    while i > 0:
        parent = (i - 1) >> 2
        if not before(item, &heap[parent]):
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = item[0]
    return True


cdef const Item* queue_first(Queue* queue, int* lane) noexcept nogil:
    """The item that comes first, or NULL. lane (out): where it is, for queue_drop()."""
    cdef const Item* first = &queue.heap[0] if queue.n > 0 else NULL
    cdef const Item* item
    cdef Lane* one
    cdef int i
    lane[0] = -1
    for i in range(queue.lanes_used):
        one = &queue.lanes[i]
        if one.head != one.tail:
            item = &one.items[one.head & one.mask]
            if first == NULL or before(item, first):
                first = item
                lane[0] = i
    return first


cdef void queue_drop(Queue* queue, int lane) noexcept nogil:
    """Take away the first item of a lane, or of the heap (-1)."""
    cdef Item* heap = queue.heap
    cdef Item moved
    cdef uint64_t n, i, child, least, end
    if lane >= 0:
        queue.lanes[lane].head += 1
        return
    queue.n -= 1
    n = queue.n
    if n == 0:
        return
    moved = heap[n]
    i = 0
    while True:
        child = 4 * i + 1
        if child >= n:
            break
        least = child
        end = child + 4 if child + 4 < n else n
        child += 1
        while child < end:
            if before(&heap[child], &heap[least]):
                least = child
            child += 1
        if not before(&heap[least], &moved):
            break
        heap[i] = heap[least]
        i = least
    heap[i] = moved
