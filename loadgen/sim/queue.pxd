# What will happen: a priority queue of items in the order of (at, order).
#
# A heap with four children to a node, and beside it lanes: rings of items that are asked for in the order of
# their times, such as all the closes after one constant holding time. A lane costs no search.
# `order` numbers the items as they are asked for, so that those of one instant come in that order.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum:
    LANES = 16

cdef struct Item:
    int64_t at                # ns
    uint64_t order
    uint32_t what             # Task
    uint32_t who              # attempt, load, accept loop or flood
    uint32_t stamp            # of an attempt: another one by now if this differs
    uint32_t extra

cdef struct Lane:
    Item* items               # ring
    uint64_t head
    uint64_t tail
    uint64_t mask
    int64_t last              # time of the newest

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
