"""The order book of half-open entries: whom to evict from a full queue.

Not whether a queue is full by the listener's own count (backlog), nor the end of the victim (engine).
Sources: RFC 4987 3.4 (recycling the oldest), FreeBSD's syncache (buckets).
"""

cimport cython
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect
from tcpcore.base.siphash cimport derive_key
from tcpcore.records.tcb cimport B_PASSIVE, CLOSED, ESTABLISHED, SYN_RECEIVED
from tcpcore.components.tcb_pool cimport TcbPool, pool_free, pool_give, pool_init, pool_take

cdef enum:
    FIRST_ROOM = 32           # a bucket of 30 never needs more


cdef bint eviction_init(EvictionQueues* synq, const Tcb* blocks, uint32_t capacity, uint32_t n_queues) noexcept nogil:
    """Empty queues 0 .. n_queues - 1; False when memory is refused."""
    memset(synq, 0, sizeof(EvictionQueues))
    synq.queues = <EvictionQueue*>arena_map(n_queues * sizeof(EvictionQueue))
    if synq.queues == NULL:
        return False
    synq.blocks = blocks
    synq.capacity = capacity
    synq.n_queues = n_queues
    return True


cdef void eviction_free(EvictionQueues* synq) noexcept nogil:
    cdef uint32_t i
    for i in range(synq.n_queues):
        free(synq.queues[i].ring)
    arena_unmap(synq.queues, synq.n_queues * sizeof(EvictionQueue))
    memset(synq, 0, sizeof(EvictionQueues))


cdef size_t eviction_bytes(const EvictionQueues* synq) noexcept nogil:
    """Touched bytes of the queues, allocated ones of their rings."""
    return arena_touched(synq.queues, synq.n_queues * sizeof(EvictionQueue)) + synq.ring_bytes


# ---- one queue

cdef inline EvictionEntry* entry_at(const EvictionQueue* queue, uint32_t i) noexcept nogil:
    """The i-th oldest entry."""
    return &queue.ring[(queue.head + i) & (queue.room - 1)]


cdef inline bint is_live(const EvictionQueues* synq, const EvictionEntry* entry) noexcept nogil:
    """Its block is the half-open entry that it was: the generation counts the owners of a slot."""
    cdef const Tcb* tcb = &synq.blocks[entry.ref - 1]
    return tcb.generation == entry.generation and tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE != 0


cdef inline void drop_oldest(EvictionQueue* queue) noexcept nogil:
    queue.head = (queue.head + 1) & (queue.room - 1)
    queue.len -= 1


cdef void sweep(const EvictionQueues* synq, EvictionQueue* queue) noexcept nogil:
    """Drop every dead entry; the others keep their order."""
    cdef uint32_t i, kept = 0
    for i in range(queue.len):
        if is_live(synq, entry_at(queue, i)):
            entry_at(queue, kept)[0] = entry_at(queue, i)[0]
            kept += 1
    queue.len = kept


cdef bint widen(EvictionQueues* synq, EvictionQueue* queue) noexcept nogil:
    """Twice the room; False when memory is refused."""
    cdef uint32_t room = 2 * queue.room if queue.room else FIRST_ROOM, i
    cdef EvictionEntry* ring = <EvictionEntry*>malloc(room * sizeof(EvictionEntry))
    if ring == NULL:
        return False
    for i in range(queue.len):
        ring[i] = entry_at(queue, i)[0]
    free(queue.ring)
    synq.ring_bytes += (room - queue.room) * sizeof(EvictionEntry)
    queue.ring = ring
    queue.room = room
    queue.head = 0
    return True


# ---- the calls

cdef bint eviction_add(EvictionQueues* synq, uint32_t queue, uint32_t ref) noexcept nogil:
    """A block becomes the youngest of a queue; False, and it cannot be evicted, when memory is refused."""
    cdef EvictionQueue* its = &synq.queues[queue]
    expect(queue < synq.n_queues and 0 < ref <= synq.capacity)
    if its.len == its.room:
        sweep(synq, its)
        # wider already when the sweep leaves it more than half full, or it would soon be swept again
        if 2 * its.len >= its.room and not widen(synq, its) and its.len == its.room:
            return False
    entry_at(its, its.len).ref = ref
    entry_at(its, its.len).generation = synq.blocks[ref - 1].generation
    its.len += 1
    return True


cdef uint32_t eviction_oldest(EvictionQueues* synq, uint32_t queue) noexcept nogil:
    """Strike the oldest live entry off a queue; 0 none."""
    cdef EvictionQueue* its = &synq.queues[queue]
    cdef EvictionEntry entry
    expect(queue < synq.n_queues)
    while its.len:
        entry = entry_at(its, 0)[0]
        drop_oldest(its)
        if is_live(synq, &entry):
            return entry.ref
    return 0


cdef uint32_t eviction_random(EvictionQueues* synq, uint32_t queue, uint64_t draw) noexcept nogil:
    """Strike a live entry off a queue, each with the same odds for a uniform draw; 0 none.

    A dead one that is met goes, and the next number of a generator that starts at the draw decides: given
    that it is live, an entry picked from all of them is a uniform pick from the live ones.
    """
    cdef EvictionQueue* its = &synq.queues[queue]
    cdef EvictionEntry entry
    cdef uint32_t i
    expect(queue < synq.n_queues)
    while its.len:
        i = <uint32_t>(((draw >> 32) * its.len) >> 32)
        entry = entry_at(its, i)[0]
        entry_at(its, i)[0] = entry_at(its, 0)[0]
        drop_oldest(its)
        if is_live(synq, &entry):
            return entry.ref
        draw = draw * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407   # Knuth's MMIX
    return 0


cdef bint eviction_full(EvictionQueues* synq, uint32_t queue, uint32_t limit) noexcept nogil:
    """Has a queue `limit` live entries or more? Exact: what is dead does not count."""
    cdef EvictionQueue* its = &synq.queues[queue]
    expect(queue < synq.n_queues)
    if its.len < limit:
        return False
    sweep(synq, its)
    return its.len >= limit


cdef uint32_t eviction_count(const EvictionQueues* synq, uint32_t queue) noexcept nogil:
    """Live entries of a queue, by a walk that changes nothing."""
    cdef const EvictionQueue* its = &synq.queues[queue]
    cdef uint32_t i, live = 0
    expect(queue < synq.n_queues)
    for i in range(its.len):
        live += is_live(synq, entry_at(its, i))
    return live


cdef void eviction_forget(EvictionQueues* synq, uint32_t queue) noexcept nogil:
    """Empty a queue and give its memory back; its blocks go on without it."""
    cdef EvictionQueue* its = &synq.queues[queue]
    expect(queue < synq.n_queues)
    synq.ring_bytes -= its.room * sizeof(EvictionEntry)
    free(its.ring)
    memset(its, 0, sizeof(EvictionQueue))


# ---- invariants

cdef list eviction_check(const EvictionQueues* synq):
    """Every broken invariant in words."""
    cdef const EvictionQueue* queue
    cdef const EvictionEntry* entry
    cdef uint32_t i, k
    cdef size_t ring_bytes = 0
    complaints = []
    where = {}
    for i in range(synq.n_queues):
        queue = &synq.queues[i]
        ring_bytes += queue.room * sizeof(EvictionEntry)
        if queue.room & (queue.room - 1) or queue.len > queue.room or queue.head >= max(queue.room, 1):
            complaints.append(f"synq: queue {i}: {queue.len} from {queue.head} in a ring of {queue.room}")
            continue
        for k in range(queue.len):
            entry = entry_at(queue, k)
            if not 0 < entry.ref <= synq.capacity:
                complaints.append(f"synq: queue {i} refers to {entry.ref}")
            elif is_live(synq, entry):
                if entry.ref in where:
                    complaints.append(f"synq: {entry.ref} stands in queue {i} and in {where[entry.ref]}")
                where[entry.ref] = i
    if ring_bytes != synq.ring_bytes:
        complaints.append(f"synq: {synq.ring_bytes} bytes counted, {ring_bytes} in rings")
    return complaints


@cython.final
cdef class SynQueues:
    """A book over blocks of its own, for tests and benchmarks; a reference is slot + 1."""

    cdef EvictionQueues synq
    cdef TcbPool pool

    def __cinit__(self, uint32_t capacity, uint32_t queues):
        if capacity == 0 or queues == 0:
            raise ValueError(f"capacity, queues: expected 1 or more, got {capacity}, {queues}")
        if (not pool_init(&self.pool, capacity)
                or not eviction_init(&self.synq, self.pool.blocks, capacity, queues)):
            raise MemoryError("synq: no memory")

    def __dealloc__(self):
        eviction_free(&self.synq)
        pool_free(&self.pool)

    cdef uint32_t _queue(self, uint32_t queue) except? 0:
        if queue >= self.synq.n_queues:
            raise ValueError(f"queue: expected 0 .. {self.synq.n_queues - 1}, got {queue}")
        return queue

    cdef Tcb* _half_open(self, uint32_t ref) except NULL:
        cdef Tcb* tcb = &self.pool.blocks[ref - 1] if 0 < ref <= self.pool.capacity else NULL
        if tcb == NULL or tcb.state != SYN_RECEIVED:
            raise ValueError(f"ref: {ref} is not half-open")
        return tcb

    def add(self, uint32_t queue):
        """Open an entry and add it; its reference, 0 when all blocks are in use."""
        self._queue(queue)
        cdef uint32_t ref = pool_take(&self.pool)
        if ref:
            self.pool.blocks[ref - 1].state = SYN_RECEIVED
            self.pool.blocks[ref - 1].bits = B_PASSIVE
            if not eviction_add(&self.synq, queue, ref):
                raise MemoryError("synq: no memory")
        return ref

    def establish(self, uint32_t ref):
        """The handshake of an entry is completed: it leaves without a word to the book."""
        self._half_open(ref).state = ESTABLISHED

    def end(self, uint32_t ref):
        """An entry ends, or a victim: its block may be the next one's."""
        self._half_open(ref).state = CLOSED
        pool_give(&self.pool, ref - 1)

    def oldest(self, uint32_t queue):
        """The victim, 0 none; end it."""
        return eviction_oldest(&self.synq, self._queue(queue))

    def random(self, uint32_t queue, uint64_t draw):
        """The victim, 0 none; end it."""
        return eviction_random(&self.synq, self._queue(queue), draw)

    def full(self, uint32_t queue, uint32_t limit):
        return eviction_full(&self.synq, self._queue(queue), limit)

    def count(self, uint32_t queue):
        """Live entries."""
        return eviction_count(&self.synq, self._queue(queue))

    def forget(self, uint32_t queue):
        eviction_forget(&self.synq, self._queue(queue))

    @property
    def ring_bytes(self):
        return self.synq.ring_bytes

    @property
    def nbytes(self):
        return eviction_bytes(&self.synq)

    def check(self):
        return eviction_check(&self.synq)


def bucket(uint64_t seed, uint32_t raddr, uint16_t rport, uint16_t lport):
    """FreeBSD's bucket for a peer under the key of this seed."""
    return eviction_bucket(derive_key(seed, 0), derive_key(seed, 1), raddr, rport, lport)
