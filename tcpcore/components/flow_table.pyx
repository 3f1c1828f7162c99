"""4-tuple to block: the kernel of the flow table, its invariant, and `Table`, its Python face.

Not a container: blocks belong to the caller's pool, the table only links them. Nothing here
depends on how rows were batched; doubling happens inside the insert that makes it due.
"""

# Invariant: heads in use are a power of two, `count` blocks are chained, each in the
# bucket of its hash and once; count <= heads / 2 unless the reservation is used up.
# Doubling: bucket i of n holds what belongs to i or i + n of 2n, and one more hash bit
# says which; the heads above `mask` are still zero, so nothing is copied or allocated.
# Source: per bucket it is Litwin's linear hashing, done for all buckets at once.
import numpy as np

cimport cython
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.siphash cimport derive_key, siphash13_tuple
from tcpcore.base.siphash_batch cimport LANES, siphash13_many, tuple_first, tuple_last
from tcpcore.components.tcb_pool cimport TcbPool, pool_ahead, pool_free, pool_give, pool_init, pool_take

from tcpcore.records.segment import as_segments, to_uint

cdef enum:
    START_HEADS = 1024        # one page: an empty table costs no more


cdef bint flow_init(FlowTable* table, Tcb* blocks, uint32_t capacity,
                    uint64_t k0, uint64_t k1) noexcept nogil:
    """Reserve heads for capacity blocks; False when the address space is refused."""
    cdef uint64_t heads = 2
    memset(table, 0, sizeof(FlowTable))
    while heads < 2 * <uint64_t>capacity and heads < <uint64_t>1 << 32:
        heads *= 2
    table.heads = <uint32_t*>arena_map(heads * sizeof(uint32_t))
    if table.heads == NULL:
        return False
    table.max_mask = <uint32_t>(heads - 1)
    table.mask = START_HEADS - 1 if heads > START_HEADS else table.max_mask
    table.blocks = blocks
    table.k0 = k0
    table.k1 = k1
    return True


cdef void flow_free(FlowTable* table) noexcept nogil:
    if table.heads != NULL:
        arena_unmap(table.heads, reserved(table))
    memset(table, 0, sizeof(FlowTable))


cdef size_t flow_bytes(const FlowTable* table) noexcept nogil:
    """Touched bytes of the heads."""
    return arena_touched(table.heads, reserved(table))


cdef inline size_t reserved(const FlowTable* table) noexcept nogil:
    return (<size_t>table.max_mask + 1) * sizeof(uint32_t)


cdef uint32_t flow_hash(const FlowTable* table, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil:
    """Low 32 bits of SipHash-1-3; the bucket is their low end."""
    return <uint32_t>siphash13_tuple(table.k0, table.k1, raddr, rport, laddr, lport)


cdef void flow_hash_batch(const FlowTable* table, const Segment* segs, Py_ssize_t n,
                          uint32_t* out) noexcept nogil:
    """The hash of each segment as its receiver sees it: source is remote, destination is local."""
    cdef uint64_t first[LANES]
    cdef uint64_t last[LANES]
    cdef uint64_t hashes[LANES]
    cdef Py_ssize_t done = 0, part, i
    while done < n:
        part = n - done if n - done < LANES else LANES
        for i in range(part):
            first[i] = tuple_first(segs[done + i].src, segs[done + i].dst)
            last[i] = tuple_last(segs[done + i].sport, segs[done + i].dport)
        siphash13_many(table.k0, table.k1, first, last, hashes, part)
        for i in range(part):
            out[done + i] = <uint32_t>hashes[i]
        done += part


cdef inline uint32_t hash_of(const FlowTable* table, const Tcb* tcb) noexcept nogil:
    return flow_hash(table, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)


cdef uint32_t flow_find(const FlowTable* table, uint32_t hash, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil:
    """Reference of the block with this 4-tuple, 0 when there is none."""
    cdef uint32_t ref = table.heads[hash & table.mask]
    cdef const Tcb* tcb
    while ref:
        tcb = &table.blocks[ref - 1]
        if tcb.raddr == raddr and tcb.rport == rport and tcb.laddr == laddr and tcb.lport == lport:
            return ref
        ref = tcb.next
    return 0


cdef bint flow_remove(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """Take a block out of its chain; False when it is not in it."""
    cdef uint32_t* link = &table.heads[hash & table.mask]
    while link[0] != ref:
        if link[0] == 0:
            return False
        link = &table.blocks[link[0] - 1].next
    if ref == 0:
        return False
    link[0] = table.blocks[ref - 1].next
    table.blocks[ref - 1].next = 0
    table.count -= 1
    return True


cdef void flow_grow(FlowTable* table) noexcept nogil:
    """Twice the heads, in place; over a table's life about one move per block."""
    cdef uint32_t n = table.mask + 1
    cdef uint32_t i
    for i in range(n):
        # the mask is still the old one: a bucket number is its own hash
        if i + FLOW_AHEAD < n:
            flow_ahead_first(table, i + FLOW_AHEAD)
            flow_ahead_second(table, i + FLOW_AHEAD // 2)
        split(table, i, n)
    table.mask = 2 * n - 1


cdef inline void split(FlowTable* table, uint32_t bucket, uint32_t n) noexcept nogil:
    """Deal the chain of one bucket of n to itself and bucket + n; both keep their order."""
    cdef uint32_t* tail[2]
    cdef uint32_t ref = table.heads[bucket]
    cdef Tcb* tcb
    cdef bint high
    tail[0] = &table.heads[bucket]
    tail[1] = &table.heads[bucket + n]
    while ref:
        # an index, not a branch: half the guesses would be wrong
        tcb = &table.blocks[ref - 1]
        high = (hash_of(table, tcb) & n) != 0
        tail[high][0] = ref
        tail[high] = &tcb.next
        ref = tcb.next
    tail[0][0] = 0
    tail[1][0] = 0


cdef list flow_check(const FlowTable* table, uint32_t capacity):
    """What is wrong with the table, in words; empty when it is sound. Slow and complete.

    A block chained twice needs no bitmap: twice in one chain is a cycle, and in one of two chains
    it is in the wrong bucket.
    """
    cdef list wrong = []
    cdef uint64_t bucket, heads = <uint64_t>table.mask + 1, seen = 0
    cdef uint32_t ref
    cdef const Tcb* tcb
    if heads & table.mask or table.mask > table.max_mask:
        wrong.append(f"flowtable: {heads} heads, not a power of two up to {<uint64_t>table.max_mask + 1}")
    if table.count > capacity:
        return wrong + [f"flowtable: {table.count} flows counted, there are {capacity} blocks"]
    if 2 * table.count > heads and table.mask != table.max_mask:
        wrong.append(f"flowtable: {table.count} flows on {heads} heads, doubling is overdue")
    for bucket in range(heads):
        ref = table.heads[bucket]
        while ref:
            if ref > capacity:
                wrong.append(f"flowtable: bucket {bucket} refers to block {ref} of {capacity}")
                break
            seen += 1
            if seen > table.count:
                return wrong + [f"flowtable: bucket {bucket}: more blocks chained than {table.count} counted"]
            tcb = &table.blocks[ref - 1]
            if hash_of(table, tcb) & table.mask != bucket:
                wrong.append(f"flowtable: block {ref} is in bucket {bucket}, its 4-tuple hashes elsewhere")
            elif flow_find(table, <uint32_t>bucket, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport) != ref:
                wrong.append(f"flowtable: block {ref} hides behind another one with the same 4-tuple")
            ref = tcb.next
    if seen != table.count:
        wrong.append(f"flowtable: {seen} blocks chained, {table.count} counted")
    return wrong


cdef uint32_t enter(FlowTable* table, TcbPool* pool, uint32_t hash, const Segment* seg) noexcept nogil:
    """Find or insert; 0 when the pool is empty."""
    cdef uint32_t ref = flow_find_segment(table, hash, seg)
    cdef Tcb* tcb
    if ref:
        return ref
    pool_ahead(pool, False)
    ref = pool_take(pool)
    if ref:
        tcb = &pool.blocks[ref - 1]
        tcb.raddr = seg.src
        tcb.rport = seg.sport
        tcb.laddr = seg.dst
        tcb.lport = seg.dport
        flow_insert(table, hash, ref)
    return ref


cdef uint32_t leave(FlowTable* table, TcbPool* pool, uint32_t hash, const Segment* seg) noexcept nogil:
    """Find, remove and free; 0 when it is not there."""
    cdef uint32_t ref = flow_find_segment(table, hash, seg)
    if ref:
        flow_remove(table, hash, ref)
        pool_give(pool, ref - 1)
    return ref


cdef enum Verb:
    ENTER
    FIND
    LEAVE


@cython.final
cdef class Table:
    """The flow table with blocks of its own, driven in batches: for tests and benchmarks.

    Every method takes segments as their receiver sees them: ``src``, ``sport`` are the remote end,
    ``dst``, ``dport`` the local one; the other fields are not looked at. A batch of n does what n batches of
    one do.

    Parameters
    ----------
    capacity : int
        Number of blocks, 1 to 2**31. Memory is touched only as flows are inserted.
    seed : int
        Where the key of the hash comes from, 0 to 2**64 - 1.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type or out of range.
    MemoryError
        The address space is refused.
    """

    cdef FlowTable table
    cdef TcbPool pool

    def __cinit__(self, capacity, seed=0):
        cdef uint64_t key = to_uint(seed, "seed", 64)
        cdef uint32_t blocks = to_uint(capacity, "capacity", 32)
        if not 1 <= blocks <= <uint32_t>1 << 31:
            raise ValueError(f"capacity: expected 1 .. {1 << 31}, got {capacity}")
        if not pool_init(&self.pool, blocks):
            raise MemoryError(f"capacity: no address space for {capacity} blocks")
        if not flow_init(&self.table, self.pool.blocks, blocks, derive_key(key, 0), derive_key(key, 1)):
            raise MemoryError(f"capacity: no address space for the heads of {capacity} blocks")

    def __dealloc__(self):
        flow_free(&self.table)
        pool_free(&self.pool)

    def __len__(self):
        return self.table.count

    @property
    def heads(self):
        """int: heads in use now, a power of two."""
        return <uint64_t>self.table.mask + 1

    @property
    def nbytes(self):
        """int: touched bytes of the heads (the blocks are not the table's)."""
        return flow_bytes(&self.table)

    @property
    def __array_interface__(self):
        # np.asarray(table).view(BLOCK) is the blocks themselves: tests damage them to see check() notice
        return {"version": 3, "shape": (self.pool.capacity,), "typestr": f"|V{sizeof(Tcb)}",
                "data": (<uintptr_t>self.pool.blocks, False)}

    def check(self):
        """list of str: what is wrong with the table, empty when it is sound; walks every chain."""
        return flow_check(&self.table, self.pool.capacity)

    def hash(self, segs):
        """The keyed hash of each row.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Low 32 bits of SipHash-1-3; ``hash & (heads - 1)`` is the bucket.

        Raises
        ------
        TypeError, ValueError
            `segs` is not a contiguous SEGMENT vector.
        """
        cdef Py_ssize_t n = len(as_segments(segs))
        hashes = np.empty(n, np.uint32)
        cdef const Segment* rows = <const Segment*><uintptr_t>segs.ctypes.data
        cdef uint32_t* out = <uint32_t*><uintptr_t>hashes.ctypes.data
        with nogil:
            flow_hash_batch(&self.table, rows, n, out)
        return hashes

    def insert(self, segs):
        """Insert the rows that are not in the table yet.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Reference (slot + 1) of each row's block, old or new; 0 where all blocks were in use.

        Raises
        ------
        TypeError, ValueError
            `segs` is not a contiguous SEGMENT vector.
        """
        return self._each(segs, ENTER)

    def find(self, segs):
        """Look rows up.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Reference of each row's block, 0 where there is none.

        Raises
        ------
        TypeError, ValueError
            `segs` is not a contiguous SEGMENT vector.
        """
        return self._each(segs, FIND)

    def remove(self, segs):
        """Take rows out of the table and free their blocks, to be used again last-in first-out.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Reference each row's block had, 0 where there was none.

        Raises
        ------
        TypeError, ValueError
            `segs` is not a contiguous SEGMENT vector.
        """
        return self._each(segs, LEAVE)

    cdef _each(self, segs, Verb verb):
        refs = self.hash(segs)
        cdef Py_ssize_t i, n = len(refs)
        cdef const Segment* seg = <const Segment*><uintptr_t>segs.ctypes.data
        # each row's hash is read for the last time when its reference takes the place
        cdef uint32_t* row = <uint32_t*><uintptr_t>refs.ctypes.data
        with nogil:
            for i in range(n):
                flow_ahead(&self.table, row, i, n)
                if verb == ENTER:
                    row[i] = enter(&self.table, &self.pool, row[i], &seg[i])
                elif verb == FIND:
                    row[i] = flow_find_segment(&self.table, row[i], &seg[i])
                else:
                    row[i] = leave(&self.table, &self.pool, row[i], &seg[i])
        return refs
