# Which half-open entry is evicted when a queue is full: queues of entries, each in the order in which they
# came. A queue is a number: a listener's id where every listener has a queue of its own, a bucket where
# the cache is global (FreeBSD: 512 buckets of 30).
#
#   queue    ring of  | reference (slot + 1) | generation of its TCB |    oldest first
#
# An entry is never removed when it leaves SYN-RECEIVED: it is live while its TCB has the same generation and
# is a passive SYN-RECEIVED still, and a dead entry is dropped where it is met. That looks at the TCB, so the
# queues cannot disagree with it, and completing a handshake costs nothing here.
#
# What the event loop does, under a policy that evicts:
#   an entry has joined the queue         eviction_add
#   a SYN finds a listener's queue full   eviction_oldest or eviction_random
#   a SYN for a bucket                    eviction_full, and if so eviction_oldest
#   the listener is closed                eviction_forget
# A victim has left its queue when it is returned, so the caller must end it. 0 means that the queue has no
# live entry that was added: then the newcomer is refused as under drop-new. A policy asks always for
# the oldest or always for a random one: the latter disturbs the order.
#
# Cost: each entry is added and dropped once, and a ring is swept only when it is full, so both are O(1) in
# the mean; eviction_full sweeps at most a ring, and only when `limit` entries, live or dead, are in it and
# some queue has a dead one, which the number of all entries tells.
# Memory: a ring has 32 places, or up to four for each of the most live entries its queue has had.
# Invariants: a live entry stands once, in one queue; each ring is sound; `entries` is at least what is in
# all rings.
# Source: RFC 4987 3.4 (recycling the oldest half-open TCB) and 3.5; FreeBSD's tcp_syncache.c (TAILQ of a
# bucket, the last one is dropped); Lemon, "Resisting SYN flood DoS attacks with a SYN cache", 2002.
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from tcpcore.base.ring cimport Ring, ring_oldest
from tcpcore.base.siphash cimport siphash24_1
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Tcb

cdef enum:
    EVICTION_PLACES = 32          # of a queue at first: a bucket of 30 never needs more

cdef struct EvictionEntry:
    uint32_t ref
    uint32_t generation

cdef struct EvictionQueues:
    const Tcb* blocks
    uint32_t capacity         # TCBs
    uint32_t n_queues
    Ring* queues              # [n_queues] of EvictionEntry
    size_t allocated_bytes    # of all rings
    uint64_t entries          # in all queues, dead ones included, and those that had no memory to be added

cdef bint eviction_init(EvictionQueues* eviction, const Tcb* blocks, uint32_t capacity,
                        uint32_t n_queues) noexcept nogil
cdef void eviction_free(EvictionQueues* eviction) noexcept nogil
cdef bint eviction_add(EvictionQueues* eviction, uint32_t queue, uint32_t ref) noexcept nogil
cdef uint32_t eviction_oldest(EvictionQueues* eviction, uint32_t queue) noexcept nogil
cdef uint32_t eviction_random(EvictionQueues* eviction, uint32_t queue, uint64_t draw) noexcept nogil
cdef bint eviction_full(EvictionQueues* eviction, uint32_t queue, uint32_t limit,
                        uint64_t live) noexcept nogil
cdef void eviction_buckets(uint64_t k0, uint64_t k1, const Segment* segs, Py_ssize_t n, uint32_t buckets,
                           uint32_t* out) noexcept nogil
cdef uint32_t eviction_count(const EvictionQueues* eviction, uint32_t queue) noexcept nogil
cdef bint eviction_reserve(EvictionQueues* eviction, uint32_t queue, uint32_t places) noexcept nogil
cdef void eviction_forget(EvictionQueues* eviction, uint32_t queue) noexcept nogil
cdef size_t eviction_bytes(const EvictionQueues* eviction) noexcept nogil
cdef list eviction_check(const EvictionQueues* eviction)


cdef inline uint32_t eviction_next(const EvictionQueues* eviction, uint32_t queue,
                                   uint32_t limit) noexcept nogil:
    """The oldest entry, live or dead, of a queue that has `limit` or more, 0 of others; no TCB is read."""
    cdef const Ring* ring = &eviction.queues[queue]
    if ring.length < limit:
        return 0
    return (<const EvictionEntry*>ring_oldest(ring, sizeof(EvictionEntry))).ref


cdef inline uint64_t peer_word(uint32_t raddr, uint16_t rport, uint16_t lport) noexcept nogil:
    """What of a peer its bucket depends on."""
    return raddr | <uint64_t>rport << 32 | <uint64_t>lport << 48


cdef inline uint32_t eviction_bucket(uint64_t k0, uint64_t k1, uint32_t raddr, uint16_t rport,
                                     uint16_t lport, uint32_t buckets) noexcept nogil:
    """FreeBSD's bucket for a peer: a keyed hash, so that nobody can choose peers that share one."""
    return siphash24_1(k0, k1, peer_word(raddr, rport, lport)) % buckets
