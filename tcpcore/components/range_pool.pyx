"""The side pool of out-of-order records, and a Python face of one record's arithmetic.

Not the decision what to save_state (`transition`). Source of the limit of four: our own, it is
what fits a line; beyond it the peer is told by a duplicate ACK and sends again.
"""

cimport cython
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect
from tcpcore.base.seq cimport seq_lt
from tcpcore.records.out_of_order cimport (
    N_RANGES, ranges_add, ranges_empty, ranges_fin_next, ranges_set_fin, ranges_take,
)


cdef bint range_pool_init(RangePool* pool, uint32_t capacity) noexcept nogil:
    """Reserve capacity records; False when memory is refused."""
    memset(pool, 0, sizeof(RangePool))
    pool.capacity = capacity
    pool.records = <Ranges*>arena_map(<size_t>capacity * sizeof(Ranges))
    return pool.records != NULL


cdef void range_pool_free(RangePool* pool) noexcept nogil:
    arena_unmap(pool.records, <size_t>pool.capacity * sizeof(Ranges))
    memset(pool, 0, sizeof(RangePool))


cdef uint32_t range_pool_take(RangePool* pool) noexcept nogil:
    """A reference to an empty record; 0 when all are in use."""
    cdef uint32_t ref = pool.free
    if ref:
        pool.free = range_pool_at(pool, ref).left[0]
    elif pool.fresh < pool.capacity:
        pool.fresh += 1
        ref = pool.fresh
    else:
        return 0
    pool.used += 1
    memset(range_pool_at(pool, ref), 0, sizeof(Ranges))
    return ref


cdef void range_pool_give(RangePool* pool, uint32_t ref) noexcept nogil:
    """Give a record back, whatever it remembers."""
    expect(ref != 0 and ref <= pool.fresh and pool.used > 0)
    memset(range_pool_at(pool, ref), 0, sizeof(Ranges))
    range_pool_at(pool, ref).left[0] = pool.free
    pool.free = ref
    pool.used -= 1


cdef size_t range_pool_bytes(const RangePool* pool) noexcept nogil:
    """Touched bytes."""
    return arena_touched(pool.records, <size_t>pool.capacity * sizeof(Ranges))


cdef list range_pool_check(const RangePool* pool):
    """Every broken invariant of the pool and of its records in words."""
    cdef const Ranges* record
    cdef uint32_t ref, free = 0
    cdef int i
    complaints = []
    ref = pool.free
    while ref and free < pool.fresh:
        free += 1
        ref = range_pool_at(pool, ref).left[0]
    if free + pool.used != pool.fresh:
        complaints.append(f"ranges: {free} free and {pool.used} used of {pool.fresh}")
    for ref in range(1, pool.fresh + 1):
        record = range_pool_at(pool, ref)
        if record.n > N_RANGES:
            complaints.append(f"ranges: record {ref} has {record.n} ranges")
            continue
        for i in range(record.n):
            if not seq_lt(record.left[i], record.right[i]):
                complaints.append(f"ranges: record {ref}: range {i} is empty")
            if i and not seq_lt(record.right[i - 1], record.left[i]):
                complaints.append(f"ranges: record {ref}: ranges {i - 1} and {i} touch")
    return complaints


@cython.final
cdef class Reassembly:
    """A pool of `capacity` records, for tests; every method but `borrow` takes a reference."""

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

    def add(self, uint32_t ref, uint32_t left, uint32_t right):
        """Remember [left, right); False when there is no room for it."""
        return ranges_add(self._at(ref), left, right)

    def take(self, uint32_t ref, uint32_t rcv_nxt):
        """RCV.NXT behind everything that has become contiguous."""
        return ranges_take(self._at(ref), rcv_nxt)

    def set_fin(self, uint32_t ref, uint32_t fin_seq):
        ranges_set_fin(self._at(ref), fin_seq)

    def fin_next(self, uint32_t ref, uint32_t rcv_nxt):
        """Whether the FIN is the next number due."""
        return ranges_fin_next(self._at(ref), rcv_nxt)

    def empty(self, uint32_t ref):
        return ranges_empty(self._at(ref))

    def pairs(self, uint32_t ref):
        """The record's ranges as (left, right)."""
        record = self._at(ref)
        return [(record.left[i], record.right[i]) for i in range(record.n)]

    @property
    def used(self):
        return self.pool.used

    @property
    def nbytes(self):
        return range_pool_bytes(&self.pool)

    def check(self):
        return range_pool_check(&self.pool)
