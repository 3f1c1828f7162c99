# The pool of out-of-order records. Few connections ever have a gap, so a TCB's cold line holds a
# reference (Cold.ranges, index + 1; 0 is none) instead of the ranges themselves. Their arithmetic:
# records/out_of_order.
# Invariant: a record is in use, on the chain of free ones, or at or above `fresh`.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from tcpcore.records.out_of_order cimport Ranges

cdef struct RangePool:
    Ranges* records           # [capacity]
    uint32_t capacity
    uint32_t fresh            # records never used yet start here
    uint32_t free             # chain of references through left[0], 0 ends
    uint32_t used

cdef bint range_pool_init(RangePool* pool, uint32_t capacity) noexcept nogil
cdef void range_pool_free(RangePool* pool) noexcept nogil
cdef uint32_t range_pool_take(RangePool* pool) noexcept nogil
cdef void range_pool_give(RangePool* pool, uint32_t ref) noexcept nogil
cdef size_t range_pool_bytes(const RangePool* pool) noexcept nogil
cdef list range_pool_check(const RangePool* pool)


cdef inline Ranges* range_pool_at(const RangePool* pool, uint32_t ref) noexcept nogil:
    """The record behind a reference that is not 0."""
    return &pool.records[ref - 1]
