"""SynQueues: eviction queues over TCBs of their own."""

cimport cython
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from tcpcore.base.siphash cimport derive_key
from tcpcore.components.syn_eviction cimport (
    EvictionQueues, eviction_add, eviction_bucket, eviction_bytes, eviction_check,
    eviction_count, eviction_forget, eviction_free, eviction_full, eviction_init, eviction_oldest,
    eviction_random,
)
from tcpcore.components.tcb_pool cimport TcbPool, pool_free, pool_give, pool_init, pool_take
from tcpcore.records.tcb cimport B_PASSIVE, CLOSED, ESTABLISHED, SYN_RECEIVED, Tcb


@cython.final
cdef class SynQueues:
    """Eviction queues over TCBs of their own; a reference is slot + 1."""

    cdef EvictionQueues eviction
    cdef TcbPool pool

    def __cinit__(self, uint32_t capacity, uint32_t queues):
        if capacity == 0 or queues == 0:
            raise ValueError(f"capacity, queues: expected 1 or more, got {capacity}, {queues}")
        if (not pool_init(&self.pool, capacity, NULL)
                or not eviction_init(&self.eviction, self.pool.blocks, capacity, queues)):
            raise MemoryError("eviction: no memory")

    def __dealloc__(self):
        eviction_free(&self.eviction)
        pool_free(&self.pool)

    cdef uint32_t _queue(self, uint32_t queue) except? 0:
        if queue >= self.eviction.n_queues:
            raise ValueError(f"queue: expected 0 .. {self.eviction.n_queues - 1}, got {queue}")
        return queue

    cdef Tcb* _half_open(self, uint32_t ref) except NULL:
        cdef Tcb* tcb = &self.pool.blocks[ref - 1] if 0 < ref <= self.pool.capacity else NULL
        if tcb == NULL or tcb.state != SYN_RECEIVED:
            raise ValueError(f"ref: {ref} is not half-open")
        return tcb

    def add(self, uint32_t queue):
        """Open an entry and add it; its reference, 0 when all TCBs are in use."""
        self._queue(queue)
        cdef uint32_t ref = pool_take(&self.pool)
        if ref:
            self.pool.blocks[ref - 1].state = SYN_RECEIVED
            self.pool.blocks[ref - 1].bits = B_PASSIVE
            if not eviction_add(&self.eviction, queue, ref):
                raise MemoryError("eviction: no memory")
        return ref

    def establish(self, uint32_t ref):
        """The handshake of an entry is completed: it leaves, and its queue is not told."""
        self._half_open(ref).state = ESTABLISHED

    def end(self, uint32_t ref):
        """An entry or a victim ends: its TCB may be used again."""
        self._half_open(ref).state = CLOSED
        pool_give(&self.pool, ref - 1)

    def oldest(self, uint32_t queue):
        """The victim, 0 none; end it."""
        return eviction_oldest(&self.eviction, self._queue(queue))

    def random(self, uint32_t queue, uint64_t draw):
        """The victim, 0 none; end it."""
        return eviction_random(&self.eviction, self._queue(queue), draw)

    def full(self, uint32_t queue, uint32_t limit):
        cdef uint64_t live = 0
        cdef uint32_t i
        for i in range(self.eviction.n_queues):
            live += eviction_count(&self.eviction, i)
        return eviction_full(&self.eviction, self._queue(queue), limit, live)

    def count(self, uint32_t queue):
        """Live entries."""
        return eviction_count(&self.eviction, self._queue(queue))

    def forget(self, uint32_t queue):
        eviction_forget(&self.eviction, self._queue(queue))

    @property
    def ring_bytes(self):
        return self.eviction.allocated_bytes

    @property
    def nbytes(self):
        return eviction_bytes(&self.eviction)

    def check(self):
        return eviction_check(&self.eviction)


def bucket(uint64_t seed, uint32_t raddr, uint16_t rport, uint16_t lport):
    """FreeBSD's bucket for a peer under the key of this seed."""
    return eviction_bucket(derive_key(seed, 0), derive_key(seed, 1), raddr, rport, lport, 512)
