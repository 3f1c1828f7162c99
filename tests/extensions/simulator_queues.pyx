"""The simulator's queue of plans, its inboxes and its draws; for tests."""

cimport cython
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tcpcore cimport Segment
from loadgen.sim.arrivals cimport time_of_area
from loadgen.sim.draw cimport exp_of, log_of, normal_of, word
from loadgen.sim.histogram cimport bucket_of
from loadgen.sim.inbox cimport Inbox, inbox_add, inbox_free, inbox_init, inbox_next, inbox_take
from loadgen.sim.queue cimport Item, Queue, queue_add, queue_drop, queue_first, queue_free, queue_init
from loadgen.sim.world cimport Point


@cython.final
cdef class Plans:
    """A queue with some lanes."""

    cdef Queue queue

    def __cinit__(self, int lanes):
        memset(&self.queue, 0, sizeof(Queue))
        if queue_init(&self.queue) < 0:
            raise MemoryError
        self.queue.lanes_used = lanes

    def __dealloc__(self):
        queue_free(&self.queue)

    def add(self, int64_t at, unsigned int who, int lane):
        cdef Item item
        memset(&item, 0, sizeof(Item))
        item.at = at
        item.who = who
        return queue_add(&self.queue, &item, lane)

    def take(self):
        """(at, who) of the first, None if there is none."""
        cdef int lane
        cdef const Item* first = queue_first(&self.queue, &lane)
        if first == NULL:
            return None
        found = first.at, first.who
        queue_drop(&self.queue, lane)
        return found


@cython.final
cdef class Arriving:
    """An inbox; `seq` tells the segments apart."""

    cdef Inbox inbox
    cdef Segment copy

    def __cinit__(self):
        memset(&self.inbox, 0, sizeof(Inbox))
        if inbox_init(&self.inbox) < 0:
            raise MemoryError

    def __dealloc__(self):
        inbox_free(&self.inbox)

    def add(self, int64_t at, uint64_t order):
        cdef Segment seg
        memset(&seg, 0, sizeof(Segment))
        seg.seq = <unsigned int>order
        return inbox_add(&self.inbox, at, order, &seg)

    def next(self):
        return inbox_next(&self.inbox)

    def take(self, int64_t at, uint64_t before, Py_ssize_t limit):
        """`seq` of what was taken."""
        cdef const Segment* segs
        cdef Py_ssize_t n = inbox_take(&self.inbox, at, before, &self.copy, limit, &segs), i
        return [segs[i].seq for i in range(n)]


def arrival(shape, double area):
    """time_of_area() of (ns, rate per ns, area) points."""
    cdef int n = len(shape), i
    cdef Point* points = <Point*>calloc(n, sizeof(Point))
    cdef double at
    if points == NULL:
        raise MemoryError
    for i in range(n):
        points[i].at, points[i].rate, points[i].area = shape[i]
    at = time_of_area(points, n, area)
    free(points)
    return at


def bucket(int64_t value):
    return bucket_of(value)


def bits(uint64_t key, uint64_t i):
    return word(key, i)


def logarithm(double x):
    return log_of(x)


def exponential(double x):
    return exp_of(x)


def quantile(double p):
    return normal_of(p)
