"""The pool of out-of-order records: taking them and giving them back, by reference.

It does not decide what is kept (the TCP state machine does). The limit of four ranges a record is our own:
that is what fits a cache line; text beyond it is dropped, as RFC 9293 3.10.7.4 (SHLD-31) allows, and sent
again by the peer.
"""

from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect
from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.records.out_of_order cimport N_RANGES


cdef bint range_pool_init(RangePool* pool, uint32_t capacity) noexcept nogil:
    """Reserve `capacity` records; False when memory is refused."""
    memset(pool, 0, sizeof(RangePool))
    pool.capacity = capacity
    pool.records = <Ranges*>arena_map(<size_t>capacity * sizeof(Ranges))
    return pool.records != NULL


cdef void range_pool_free(RangePool* pool) noexcept nogil:
    """Give the memory back."""
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
    """Give a record back, whatever it holds."""
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
    cdef int i, text
    cdef list wrong = []
    ref = pool.free
    while ref and free < pool.fresh:
        free += 1
        ref = range_pool_at(pool, ref).left[0]
    if free + pool.used != pool.fresh:
        wrong.append(f"range_pool: {free} free and {pool.used} used of {pool.fresh}")
    for ref in range(1, pool.fresh + 1):
        record = range_pool_at(pool, ref)
        if record.n > N_RANGES:
            wrong.append(f"range_pool: record {ref} has {record.n} ranges")
            continue
        text = -1                     # the last range without a FIN
        for i in range(record.n):
            if not seq_lt(record.left[i], record.right[i]):
                wrong.append(f"range_pool: record {ref}: range {i} is empty")
            if i and not seq_le(record.left[i - 1], record.left[i]):
                wrong.append(f"range_pool: record {ref}: range {i} is out of order")
            if record.fins[i]:
                continue
            if text >= 0 and not seq_lt(record.right[text], record.left[i]):
                wrong.append(f"range_pool: record {ref}: ranges {text} and {i} touch")
            text = i
    return wrong
