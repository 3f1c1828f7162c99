# What will happen: a priority queue of items in the order of (at, order).
#
# A heap with four children to a node, and beside it lanes: items that are asked for in the order of their
# times, such as all the closes after one constant holding time. A lane costs no search. Behind its first
# item it keeps runs: items of one kind whose time and order rise by equal steps and whose `who` rises by 1,
# in chunks that are given back once they are empty. Closes of paced arrivals take no memory each.
# `order` numbers the items as they are asked for, so that those of one instant come in that order.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef enum:
    LANES = 16
    RUNS = 255                # of a chunk

cdef struct Item:
    int64_t at                # ns
    uint64_t order
    uint32_t what             # Task
    uint32_t who              # attempt, load, accept loop or flood
    uint32_t stamp            # of an attempt: another one by now if this differs
    uint32_t extra

# Items of a lane: number k has time at + k * step, order + k * leap and who + k.
cdef struct Run:
    int64_t at
    uint64_t order            # the top byte: what, and 1 bit of extra
    uint32_t who
    uint32_t stamp
    uint32_t step             # ns
    uint16_t n
    uint16_t leap

cdef struct Runs:
    Runs* next                # the newer ones
    uint32_t first
    uint32_t end
    Run runs[RUNS]

cdef struct Lane:
    Item head                 # the oldest item; those behind it are in runs
    uint64_t n
    int64_t last              # time of the newest
    Runs* oldest
    Runs* newest

cdef struct Queue:
    Item* heap
    uint64_t n
    uint64_t allocated
    uint64_t order            # of the next item
    Lane lanes[LANES]
    int lanes_used

cdef int queue_init(Queue* queue) noexcept nogil
cdef void queue_free(Queue* queue) noexcept nogil
cdef bint queue_add(Queue* queue, Item* item, int lane) noexcept nogil
cdef const Item* queue_first(Queue* queue, int* lane) noexcept nogil
cdef void queue_drop(Queue* queue, int lane) noexcept nogil
