"""Eviction queues of half-open entries: which one goes when a queue is full.

They do not say whether a queue is full by the listener's own count (listeners), and do not end the victim
(the event loop does). Layout, cost and sources: syn_eviction.pxd.
"""

from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect
from tcpcore.base.ring cimport (
    ring_at, ring_bytes, ring_drop, ring_free, ring_grow, ring_is_sound, ring_oldest, ring_push,
)
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash24_many
from tcpcore.records.tcb cimport B_PASSIVE, SYN_RECEIVED


cdef bint eviction_init(EvictionQueues* eviction, const Tcb* blocks, uint32_t capacity,
                        uint32_t n_queues) noexcept nogil:
    """Empty queues 0 .. n_queues - 1; False when memory is refused."""
    memset(eviction, 0, sizeof(EvictionQueues))
    eviction.queues = <Ring*>arena_map(n_queues * sizeof(Ring))
    if eviction.queues == NULL:
        return False
    eviction.blocks = blocks
    eviction.capacity = capacity
    eviction.n_queues = n_queues
    return True


cdef void eviction_free(EvictionQueues* eviction) noexcept nogil:
    """Give all memory back."""
    cdef uint32_t i
    for i in range(eviction.n_queues):
        ring_free(&eviction.queues[i])
    arena_unmap(eviction.queues, eviction.n_queues * sizeof(Ring))
    memset(eviction, 0, sizeof(EvictionQueues))


cdef size_t eviction_bytes(const EvictionQueues* eviction) noexcept nogil:
    """Touched bytes of the queues, allocated ones of their rings."""
    return arena_touched(eviction.queues, eviction.n_queues * sizeof(Ring)) + eviction.allocated_bytes


# ---- one queue

cdef inline Ring* queue_at(const EvictionQueues* eviction, uint32_t queue) noexcept nogil:
    expect(queue < eviction.n_queues)
    return &eviction.queues[queue]


cdef inline EvictionEntry* entry_at(const Ring* queue, uint32_t i) noexcept nogil:
    """The i-th oldest entry."""
    return <EvictionEntry*>ring_at(queue, i, sizeof(EvictionEntry))


cdef inline bint is_live(const EvictionQueues* eviction, const EvictionEntry* entry) noexcept nogil:
    """Its TCB is the half-open entry that it was: the generation counts the owners of a slot."""
    cdef const Tcb* tcb = &eviction.blocks[entry.ref - 1]
    return tcb.generation == entry.generation and tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE != 0


cdef void sweep(EvictionQueues* eviction, Ring* queue) noexcept nogil:
    """Drop every dead entry; the others keep their order."""
    cdef uint32_t i, kept = 0
    for i in range(queue.length):
        if is_live(eviction, entry_at(queue, i)):
            entry_at(queue, kept)[0] = entry_at(queue, i)[0]
            kept += 1
    eviction.entries -= queue.length - kept
    queue.length = kept


cdef bint grow(EvictionQueues* eviction, Ring* queue) noexcept nogil:
    """Double the queue's places; False when memory is refused."""
    cdef size_t before = ring_bytes(queue, sizeof(EvictionEntry))
    if not ring_grow(queue, EVICTION_PLACES, sizeof(EvictionEntry)):
        return False
    eviction.allocated_bytes += ring_bytes(queue, sizeof(EvictionEntry)) - before
    return True


# ---- the calls

cdef bint eviction_add(EvictionQueues* eviction, uint32_t queue, uint32_t ref) noexcept nogil:
    """A TCB becomes the youngest of a queue; False, and it cannot be evicted, when memory is refused."""
    cdef Ring* ring = queue_at(eviction, queue)
    cdef EvictionEntry* entry
    expect(0 < ref <= eviction.capacity)
    eviction.entries += 1                             # without memory, too: then queues are swept for good
    if ring.length == ring.places:
        sweep(eviction, ring)
        # grown already when the sweep leaves it more than half full, or it would soon be swept again
        if 2 * ring.length >= ring.places and not grow(eviction, ring) and ring.length == ring.places:
            return False
    entry = <EvictionEntry*>ring_push(ring, sizeof(EvictionEntry))
    entry.ref = ref
    entry.generation = eviction.blocks[ref - 1].generation
    return True


cdef uint32_t eviction_oldest(EvictionQueues* eviction, uint32_t queue) noexcept nogil:
    """Remove and return the oldest live entry of a queue; 0 none (RFC 4987 3.4)."""
    cdef Ring* ring = queue_at(eviction, queue)
    cdef EvictionEntry entry
    while ring.length:
        entry = (<EvictionEntry*>ring_oldest(ring, sizeof(EvictionEntry)))[0]
        ring_drop(ring)
        eviction.entries -= 1
        if is_live(eviction, &entry):
            return entry.ref
    return 0


cdef uint32_t eviction_random(EvictionQueues* eviction, uint32_t queue, uint64_t draw) noexcept nogil:
    """Remove and return a live entry of a queue, each with the same odds for a uniform draw; 0 none.

    A dead entry that is met goes, and the next number of a generator that starts at the draw decides: given
    that it is live, an entry picked from all of them is a uniform pick from the live ones. So no sweep is
    needed first.
    """
    cdef Ring* ring = queue_at(eviction, queue)
    cdef EvictionEntry entry
    cdef uint32_t i
    while ring.length:
        i = <uint32_t>(((draw >> 32) * ring.length) >> 32)
        entry = entry_at(ring, i)[0]
        entry_at(ring, i)[0] = entry_at(ring, 0)[0]
        ring_drop(ring)
        eviction.entries -= 1
        if is_live(eviction, &entry):
            return entry.ref
        draw = draw * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407   # Knuth's MMIX
    return 0


cdef bint eviction_full(EvictionQueues* eviction, uint32_t queue, uint32_t limit,
                        uint64_t live) noexcept nogil:
    """Whether a queue has `limit` live entries or more. Exact: dead ones do not count.

    `live` is how many entries live in all queues. Where that is all of them, as in a flood that nobody
    answers, none is dead, and no TCB is looked at.
    """
    cdef Ring* ring = queue_at(eviction, queue)
    if ring.length < limit:
        return False
    if eviction.entries != live:
        sweep(eviction, ring)
    return ring.length >= limit


cdef void eviction_buckets(uint64_t k0, uint64_t k1, const Segment* segs, Py_ssize_t n, uint32_t buckets,
                           uint32_t* out) noexcept nogil:
    """eviction_bucket (out) of the senders of n <= SIPHASH_BATCH segments."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef Py_ssize_t i
    for i in range(n):
        first[i] = peer_word(segs[i].src, segs[i].sport, segs[i].dport)
        last[i] = <uint64_t>8 << 56
    siphash24_many(k0, k1, first, last, hashes, n)
    for i in range(n):
        out[i] = hashes[i] % buckets


cdef uint32_t eviction_count(const EvictionQueues* eviction, uint32_t queue) noexcept nogil:
    """Live entries of a queue, by a walk that changes nothing."""
    cdef const Ring* ring = queue_at(eviction, queue)
    cdef uint32_t i, live = 0
    for i in range(ring.length):
        live += is_live(eviction, entry_at(ring, i))
    return live


cdef bint eviction_reserve(EvictionQueues* eviction, uint32_t queue, uint32_t places) noexcept nogil:
    """Give an empty queue so many places; False when no queue has this number, or memory is refused."""
    cdef Ring* ring = queue_at(eviction, queue)
    while ring.places < places:
        if not grow(eviction, ring):
            return False
    return ring.places == places


cdef void eviction_forget(EvictionQueues* eviction, uint32_t queue) noexcept nogil:
    """Empty a queue and give its memory back; its TCBs live on and cannot be evicted."""
    cdef Ring* ring = queue_at(eviction, queue)
    eviction.allocated_bytes -= ring_bytes(ring, sizeof(EvictionEntry))
    eviction.entries -= ring.length
    ring_free(ring)


# ---- invariants

cdef list check_queue(const EvictionQueues* eviction, uint32_t queue, dict queue_of):
    """Broken invariants of one queue in words; queue_of has the queue of each live reference so far."""
    cdef const Ring* ring = queue_at(eviction, queue)
    cdef const EvictionEntry* entry
    cdef uint32_t i
    cdef list wrong = []
    if not ring_is_sound(ring):
        return [f"eviction: queue {queue}: {ring.length} from {ring.head} in a ring of {ring.places}"]
    for i in range(ring.length):
        entry = entry_at(ring, i)
        if not 0 < entry.ref <= eviction.capacity:
            wrong.append(f"eviction: queue {queue} refers to {entry.ref}")
        elif is_live(eviction, entry):
            if entry.ref in queue_of:
                wrong.append(f"eviction: {entry.ref} stands in queue {queue} and in {queue_of[entry.ref]}")
            queue_of[entry.ref] = queue
    return wrong


cdef list eviction_check(const EvictionQueues* eviction):
    """Every broken invariant in words."""
    cdef uint32_t i
    cdef size_t allocated = 0
    cdef uint64_t entries = 0
    cdef list wrong = []
    cdef dict queue_of = {}
    for i in range(eviction.n_queues):
        allocated += ring_bytes(&eviction.queues[i], sizeof(EvictionEntry))
        entries += eviction.queues[i].length
        wrong += check_queue(eviction, i, queue_of)
    if entries > eviction.entries:
        wrong.append(f"eviction: {eviction.entries} entries counted, {entries} in rings")
    if allocated != eviction.allocated_bytes:
        wrong.append(f"eviction: {eviction.allocated_bytes} bytes counted, {allocated} in rings")
    return wrong
