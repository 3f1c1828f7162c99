# Which half-open entry goes when a queue is full: a book of queues, each with its entries in the
# order in which they came. A queue is a number: a listener's id where every listener has a
# queue of its own, a bucket where the cache is global (FreeBSD: 512 buckets of 30).
#
#   queue    ring of  | reference (slot + 1) | generation of its block |    oldest first
#
# Nobody tells the book when an entry leaves: an entry is live while its block has the same
# generation and is a passive SYN-RECEIVED still, and a dead one is dropped where it is met.
# That looks at the block, so the book never disagrees with it.
#
# The conductor's part, under a policy that evicts:
#   an entry has joined the queue         synq_add
#   a SYN finds a listener's queue full   synq_oldest or synq_random
#   a SYN for a bucket                    synq_full, and if so synq_oldest
#   the listener is closed                synq_forget
# A victim is off the book when it is named, so the conductor must end it. 0 names nobody, if
# the queue has no live entry that was added: then the newcomer is refused as under drop-new.
# A policy asks always for the oldest or always for a random one: the latter disturbs the order.
#
# Cost: each entry is added and dropped once, and a ring is swept only when it is full, so both
# are O(1) in the mean; synq_full sweeps at most a ring, and only when `limit` entries, live or
# dead, are in it. Memory: a ring has 32 places, or up to four for each of the most live entries
# its queue has had. Invariants: a live entry stands once, in one queue; len <= room, room is a
# power of two or 0. Source: RFC 4987 3.4; Lemon, "Resisting SYN flood DoS attacks with a SYN
# cache", 2002 (buckets).
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

from tcpcore.block cimport Block
from tcpcore.siphash cimport siphash24_1

cdef enum:
    SYNQ_BUCKETS = 512        # FreeBSD: net.inet.tcp.syncache.hashsize
    SYNQ_BUCKET_LIMIT = 30    # net.inet.tcp.syncache.bucketlimit

cdef struct SynEntry:
    uint32_t ref
    uint32_t generation

cdef struct SynQueue:
    SynEntry* ring            # [room]
    uint32_t room
    uint32_t head
    uint32_t len              # entries, the dead not yet met among them

cdef struct Synq:
    const Block* blocks
    uint32_t capacity         # blocks
    uint32_t n_queues
    SynQueue* queues          # [n_queues]
    size_t ring_bytes         # of all rings

cdef bint synq_init(Synq* synq, const Block* blocks, uint32_t capacity, uint32_t n_queues) noexcept nogil
cdef void synq_free(Synq* synq) noexcept nogil
cdef bint synq_add(Synq* synq, uint32_t queue, uint32_t ref) noexcept nogil
cdef uint32_t synq_oldest(Synq* synq, uint32_t queue) noexcept nogil
cdef uint32_t synq_random(Synq* synq, uint32_t queue, uint64_t draw) noexcept nogil
cdef bint synq_full(Synq* synq, uint32_t queue, uint32_t limit) noexcept nogil
cdef uint32_t synq_count(const Synq* synq, uint32_t queue) noexcept nogil
cdef void synq_forget(Synq* synq, uint32_t queue) noexcept nogil
cdef size_t synq_bytes(const Synq* synq) noexcept nogil
cdef list synq_check(const Synq* synq)


cdef inline uint32_t synq_bucket(uint64_t k0, uint64_t k1, uint32_t raddr, uint16_t rport,
                                 uint16_t lport) noexcept nogil:
    """FreeBSD's bucket for a peer: a keyed hash, so that nobody can choose to meet in one."""
    return siphash24_1(k0, k1, raddr | <uint64_t>rport << 32 | <uint64_t>lport << 48) & (SYNQ_BUCKETS - 1)
