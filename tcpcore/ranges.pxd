# The side pool of out-of-order records: few connections ever have a gap, so a block holds
# a reference (Cold.ranges, index + 1; 0 is none) instead of the ranges themselves.
# The arithmetic is in `reassembly`.
# Invariant: a record is in use, on the chain of free ones, or at or above `fresh`.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t

from tcpcore.reassembly cimport Ranges

cdef struct RangesPool:
    Ranges* records           # [capacity]
    uint32_t capacity
    uint32_t fresh            # records never used yet start here
    uint32_t free             # chain of references through left[0], 0 ends
    uint32_t used

cdef bint ranges_init(RangesPool* pool, uint32_t capacity) noexcept nogil
cdef void ranges_free(RangesPool* pool) noexcept nogil
cdef uint32_t ranges_borrow(RangesPool* pool) noexcept nogil
cdef void ranges_return(RangesPool* pool, uint32_t ref) noexcept nogil
cdef size_t ranges_bytes(const RangesPool* pool) noexcept nogil
cdef list ranges_check(const RangesPool* pool)


cdef inline Ranges* ranges_at(const RangesPool* pool, uint32_t ref) noexcept nogil:
    """The record behind a reference that is not 0."""
    return &pool.records[ref - 1]
