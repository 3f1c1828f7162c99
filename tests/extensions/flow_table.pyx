"""Table: the flow table with TCBs of its own, driven in batches; for tests and benchmarks."""

import numpy as np

cimport cython
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

from tcpcore.base.siphash cimport derive_key
from tcpcore.base.tags cimport tags_equal, tags_equal_bytewise
from tcpcore.components.flow_table cimport (
    FLOW_AHEAD, PLACES, FlowTable, flow_ahead_bucket, flow_ahead_candidate, flow_bytes, flow_check,
    flow_find_segment, flow_free, flow_hash_batch, flow_init, flow_insert, flow_next, flow_remove,
)
from tcpcore.components.tcb_pool cimport TcbPool, pool_ahead, pool_free, pool_give, pool_init, pool_take
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Tcb

from tcpcore.records.integers import to_uint
from tcpcore.records.segment import as_segments


cdef inline void look_ahead(const FlowTable* table, const uint32_t* hashes, Py_ssize_t i,
                            Py_ssize_t n) noexcept nogil:
    """Both stages of the prefetch for the rows after row i of n."""
    if i + 2 * FLOW_AHEAD < n:
        flow_ahead_bucket(table, hashes[i + 2 * FLOW_AHEAD])
    if i + FLOW_AHEAD < n:
        flow_ahead_candidate(table, hashes[i + FLOW_AHEAD])


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


def equal_tags(const unsigned char[::1] tags, unsigned char tag):
    """(tags_equal, tags_equal_bytewise) of the first 12 of at least 16 tags."""
    if len(tags) < 16:
        raise ValueError(f"tags: expected 16 or more, got {len(tags)}")
    return tags_equal(&tags[0], tag), tags_equal_bytewise(&tags[0], tag)


@cython.final
cdef class Table:
    """A flow table with TCBs of its own, driven in batches.

    Every method takes segments as their receiver sees them: ``src``, ``sport`` are the remote end,
    ``dst``, ``dport`` the local one; the other fields are not looked at. A batch of n does what n batches of
    one do.

    Parameters
    ----------
    capacity : int
        Number of TCBs, 1 to 2**31. Memory is touched only as flows are inserted.
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
        if not pool_init(&self.pool, blocks, NULL):
            raise MemoryError(f"capacity: no address space for {capacity} TCBs")
        if not flow_init(&self.table, self.pool.blocks, blocks, derive_key(key, 0), derive_key(key, 1)):
            raise MemoryError(f"capacity: no address space for the buckets of {capacity} TCBs")

    def __dealloc__(self):
        flow_free(&self.table)
        pool_free(&self.pool)

    def __len__(self):
        return self.table.count

    @property
    def buckets(self):
        """int: buckets in use now, a power of two."""
        return <uint64_t>self.table.mask + 1

    @property
    def nbytes(self):
        """int: touched bytes of the buckets (the TCBs are not the table's)."""
        return flow_bytes(&self.table)

    @property
    def __array_interface__(self):
        # np.asarray(table).view(BLOCK) is the TCBs themselves: tests damage them to see check() notice
        return {"version": 3, "shape": (self.pool.capacity,), "typestr": f"|V{sizeof(Tcb)}",
                "data": (<uintptr_t>self.pool.blocks, False)}

    def check(self):
        """list of str: what is wrong with the table, empty when it is sound; walks every bucket."""
        return flow_check(&self.table, self.pool.capacity)

    def in_chains(self):
        """How many TCBs have no place in their bucket and are chained to it instead."""
        cdef uint64_t at
        cdef uint32_t ref, n = 0
        for at in range(<uint64_t>self.table.mask + 1):
            ref = self.table.buckets[at].refs[PLACES]
            while ref:
                n += 1
                ref = flow_next(&self.table.blocks[ref - 1])
        return n

    def set_place(self, bucket, place, ref):
        """Write the reference in a place, 12 for the overflow, as no table would: for check() to see."""
        self.table.buckets[<uint32_t>bucket].refs[<uint32_t>place] = ref

    def hash(self, segs):
        """The keyed hash of each row.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Low 32 bits of SipHash-1-3; ``hash & (buckets - 1)`` is the bucket.

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
            Reference (slot + 1) of each row's TCB, old or new; 0 where all TCBs were in use.

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
            Reference of each row's TCB, 0 where there is none.

        Raises
        ------
        TypeError, ValueError
            `segs` is not a contiguous SEGMENT vector.
        """
        return self._each(segs, FIND)

    def remove(self, segs):
        """Take rows out of the table and free their TCBs, to be used again last-in first-out.

        Parameters
        ----------
        segs : SEGMENT[n]

        Returns
        -------
        uint32[n]
            Reference each row's TCB had, 0 where there was none.

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
                look_ahead(&self.table, row, i, n)
                if verb == ENTER:
                    row[i] = enter(&self.table, &self.pool, row[i], &seg[i])
                elif verb == FIND:
                    row[i] = flow_find_segment(&self.table, row[i], &seg[i])
                else:
                    row[i] = leave(&self.table, &self.pool, row[i], &seg[i])
        return refs
