"""What will happen: a priority queue of items in the order of (at, order), with lanes for what comes in
order.

queue.pxd says how it is built. Nothing here knows what an item means.
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

cdef enum:
    KIND_SHIFT = 56           # bits of an order, which no run of a scenario uses up


cdef inline bint before(const Item* a, const Item* b) noexcept nogil:
    return a.at < b.at or (a.at == b.at and a.order < b.order)


cdef int queue_init(Queue* queue) noexcept nogil:
    """An empty queue. 0, or -1 without memory."""
    queue.n = 0
    queue.order = 0
    memset(queue.lanes, 0, sizeof(queue.lanes))
    queue.lanes_used = 0
    queue.allocated = 256
    queue.heap = <Item*>malloc(queue.allocated * sizeof(Item))
    return 0 if queue.heap != NULL else -1


cdef void queue_free(Queue* queue) noexcept nogil:
    cdef int i
    cdef Runs* runs
    free(queue.heap)
    queue.heap = NULL
    for i in range(queue.lanes_used):
        while queue.lanes[i].oldest != NULL:
            runs = queue.lanes[i].oldest
            queue.lanes[i].oldest = runs.next
            free(runs)
        queue.lanes[i].newest = NULL


cdef inline bint joins(Run* run, const Item* item, uint64_t order) noexcept nogil:
    """The item continues the run, which has it now."""
    cdef int64_t step = item.at - run.at
    cdef uint64_t leap = order - run.order
    if run.stamp != item.stamp or run.who + run.n != item.who or run.n == <uint16_t>0xFFFF:
        return False
    if run.n == 1:
        if step >> 32 != 0 or leap >> 16 != 0:
            return False
        run.step, run.leap = <uint32_t>step, <uint16_t>leap
    elif step != <int64_t>run.n * run.step or leap != <uint64_t>run.n * run.leap:
        return False
    run.n += 1
    return True


cdef bint lane_add(Lane* lane, const Item* item) noexcept nogil:
    cdef uint64_t order = item.order | <uint64_t>(item.what << 1 | item.extra) << KIND_SHIFT
    cdef Runs* runs = lane.newest
    cdef Run* run
    lane.last = item.at
    lane.n += 1
    if lane.n == 1:
        lane.head = item[0]
        return True
    if runs == NULL or runs.end == RUNS:
        runs = <Runs*>malloc(sizeof(Runs))
        if runs == NULL:
            return False
        runs.next = NULL
        runs.first = runs.end = 0
        if lane.newest == NULL:
            lane.oldest = runs
        else:
            lane.newest.next = runs
        lane.newest = runs
    elif runs.end > runs.first and joins(&runs.runs[runs.end - 1], item, order):
        return True
    run = &runs.runs[runs.end]
    runs.end += 1
    run.at, run.order, run.who, run.stamp, run.n = item.at, order, item.who, item.stamp, 1
    return True


cdef void lane_drop(Lane* lane) noexcept nogil:
    """The next item becomes the head."""
    cdef Runs* runs = lane.oldest
    cdef Run* run
    lane.n -= 1
    if lane.n == 0:
        return
    if runs.first == runs.end:                        # it was full, and there are newer ones
        lane.oldest = runs.next
        free(runs)
        runs = lane.oldest
    run = &runs.runs[runs.first]
    lane.head.at, lane.head.who, lane.head.stamp = run.at, run.who, run.stamp
    lane.head.order = run.order & (<uint64_t>1 << KIND_SHIFT) - 1
    lane.head.what = <uint32_t>(run.order >> KIND_SHIFT) >> 1
    lane.head.extra = <uint32_t>(run.order >> KIND_SHIFT) & 1
    run.at += run.step
    run.order += run.leap
    run.who += 1
    run.n -= 1
    if run.n == 0:
        runs.first += 1
        if runs.first == runs.end and runs == lane.newest:
            runs.first = runs.end = 0


cdef bint queue_add(Queue* queue, Item* item, int lane) noexcept nogil:
    """Queue the item, as the newest of its instant; lane -1: none. False without memory."""
    cdef Item* heap
    cdef uint64_t i, parent
    item.order = queue.order
    queue.order += 1
    if 0 <= lane < queue.lanes_used and (queue.lanes[lane].n == 0 or queue.lanes[lane].last <= item.at):
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
    cdef const Lane* one
    cdef int i
    lane[0] = -1
    for i in range(queue.lanes_used):
        one = &queue.lanes[i]
        if one.n > 0 and (first == NULL or before(&one.head, first)):
            first = &one.head
            lane[0] = i
    return first


cdef void queue_drop(Queue* queue, int lane) noexcept nogil:
    """Take away the first item of a lane, or of the heap (-1)."""
    cdef Item* heap = queue.heap
    cdef Item moved
    cdef uint64_t n, i, child, least, end
    if lane >= 0:
        lane_drop(&queue.lanes[lane])
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
