"""Reassembly: a pool of out-of-order records, and the arithmetic of one."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.components.range_pool cimport (
    RangePool, range_pool_at, range_pool_bytes, range_pool_check, range_pool_free, range_pool_give,
    range_pool_init, range_pool_take,
)
from tcpcore.records.out_of_order cimport (
    Ranges, ranges_add, ranges_empty, ranges_end, ranges_take,
)


@cython.final
cdef class Reassembly:
    """A pool of `capacity` records; every method but `borrow` takes a reference."""

    cdef RangePool pool

    def __cinit__(self, uint32_t capacity):
        if not range_pool_init(&self.pool, capacity):
            raise MemoryError(f"capacity: no memory for {capacity} records")

    def __dealloc__(self):
        range_pool_free(&self.pool)

    cdef Ranges* _at(self, uint32_t ref) except NULL:
        if ref == 0 or ref > self.pool.fresh:
            raise ValueError(f"ref: expected 1 .. {self.pool.fresh}, got {ref}")
        return range_pool_at(&self.pool, ref)

    def borrow(self):
        """A reference to an empty record, 0 when all are in use."""
        return range_pool_take(&self.pool)

    def give_back(self, uint32_t ref):
        self._at(ref)
        range_pool_give(&self.pool, ref)

    def add(self, uint32_t ref, uint32_t left, uint32_t right, bint fin=False):
        """Remember [left, right), whose last number may be a FIN; False when there is no room for it."""
        return ranges_add(self._at(ref), left, right, fin)

    def take(self, uint32_t ref, uint32_t rcv_nxt):
        """(RCV.NXT behind everything that has become contiguous, the FINs in the last of it)."""
        cdef uint8_t fins
        cdef uint32_t reached = ranges_take(self._at(ref), rcv_nxt, &fins)
        return reached, fins

    def end(self, uint32_t ref):
        """The number behind all of them."""
        return ranges_end(self._at(ref))

    def empty(self, uint32_t ref):
        return ranges_empty(self._at(ref))

    def pairs(self, uint32_t ref):
        """The record's ranges as (left, right, FINs)."""
        record = self._at(ref)
        return [(record.left[i], record.right[i], record.fins[i]) for i in range(record.n)]

    @property
    def used(self):
        return self.pool.used

    @property
    def nbytes(self):
        return range_pool_bytes(&self.pool)

    def check(self):
        return range_pool_check(&self.pool)
