# The flow table: 4-tuple to TCB. Buckets of one cache line, keyed by SipHash-1-3 so that nobody who does not
# know the seed can fill one. References are slot + 1; 0 is "none". It starts small and doubles in place
# inside one reserved mapping.
#
#   bucket   | 12 tags, a byte each | 12 references | overflow |      64 bytes, at most 8 flows in the mean
#                                      |               +-> TCB -> TCB -> NO_MORE   via Tcb.next, seldom
#                                      +-> TCB
#
# The tag is 8 other bits of the hash, 0 in a free place. So a look-up reads the bucket and, but for one in
# 60, no other TCB than its own; for a 4-tuple that nobody has it mostly reads no TCB at all.
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from tcpcore.base.bitmap cimport lowest_bit
from tcpcore.base.prefetch cimport expect, likely, prefetch, unlikely
from tcpcore.base.tags cimport tags_equal
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Tcb

cdef enum:
    FLOW_AHEAD = 16           # rows between the prefetch of a TCB and its use
    PLACES = 12               # of a bucket; the overflow is refs[PLACES]
    FULL = 8                  # flows per bucket, in the mean, at which the table doubles

cdef enum:
    NO_MORE = 0xFFFFFFFF      # Tcb.next of the last one of an overflow chain; 0 where a TCB is in none

cdef struct FlowBucket:
    uint8_t tags[12]
    uint32_t refs[13]

cdef struct FlowTable:
    FlowBucket* buckets
    uint32_t mask             # buckets in use - 1
    uint32_t max_mask         # buckets reserved - 1
    uint64_t count            # flows in the table
    Tcb* blocks
    uint64_t k0
    uint64_t k1

cdef bint flow_init(FlowTable* table, Tcb* blocks, uint32_t capacity,
                    uint64_t k0, uint64_t k1) noexcept nogil
cdef void flow_free(FlowTable* table) noexcept nogil
cdef uint32_t flow_hash(const FlowTable* table, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil
cdef void flow_hash_batch(const FlowTable* table, const Segment* segs, Py_ssize_t n,
                          uint32_t* hashes) noexcept nogil
cdef void flow_hash_tcbs(const FlowTable* table, const uint32_t* refs, Py_ssize_t n,
                         uint32_t* hashes) noexcept nogil
cdef uint32_t flow_find(const FlowTable* table, uint32_t hash, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil
cdef void flow_overflow(FlowBucket* bucket, Tcb* tcb, uint32_t ref) noexcept nogil
cdef void flow_grow(FlowTable* table) noexcept nogil
cdef bint flow_remove(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil
cdef const char* flow_relink(FlowTable* table, uint32_t mask, uint32_t used) noexcept nogil
cdef size_t flow_bytes(const FlowTable* table) noexcept nogil
cdef list flow_check(const FlowTable* table, uint32_t capacity)


cdef inline uint64_t flow_differs(const Tcb* tcb, const Segment* seg) noexcept nogil:
    """0 if the TCB's 4-tuple is the segment's: it is the same first 12 bytes of either. No branch."""
    cdef uint64_t a, b
    cdef uint32_t c, d
    memcpy(&a, &tcb.raddr, 8)
    memcpy(&b, &seg.src, 8)
    memcpy(&c, &tcb.rport, 4)
    memcpy(&d, &seg.sport, 4)
    return (a ^ b) | (c ^ d)


cdef inline FlowBucket* flow_bucket(const FlowTable* table, uint32_t hash) noexcept nogil:
    return &table.buckets[hash & table.mask]


cdef inline uint8_t flow_tag(uint32_t hash) noexcept nogil:
    """The tag of a hash, never 0. Buckets take the other end of it."""
    cdef uint32_t tag = hash >> 24
    return <uint8_t>(tag + (tag == 0))


cdef inline uint32_t flow_next(const Tcb* tcb) noexcept nogil:
    """Reference of the TCB behind this one of an overflow chain, 0 none."""
    return tcb.next if tcb.next != NO_MORE else 0


cdef inline uint32_t flow_candidate(const FlowTable* table, uint32_t hash) noexcept nogil:
    """Reference of the TCB that most likely has a 4-tuple of this hash, 0 if hardly one has. No branch."""
    cdef const FlowBucket* bucket = flow_bucket(table, hash)
    return bucket.refs[lowest_bit(tags_equal(bucket.tags, flow_tag(hash)) | 1 << PLACES)]


cdef inline uint32_t flow_find_segment(const FlowTable* table, uint32_t hash,
                                       const Segment* seg) noexcept nogil:
    """Reference of the TCB that a segment is sent to, 0 when there is none."""
    cdef const FlowBucket* bucket = flow_bucket(table, hash)
    cdef uint32_t alike = tags_equal(bucket.tags, flow_tag(hash)), ref
    while alike:
        ref = bucket.refs[lowest_bit(alike)]
        if flow_differs(&table.blocks[ref - 1], seg) == 0:
            return ref
        alike &= alike - 1
    ref = bucket.refs[PLACES]
    while unlikely(ref) and flow_differs(&table.blocks[ref - 1], seg):
        ref = flow_next(&table.blocks[ref - 1])
    return ref


cdef inline void flow_enter(FlowTable* table, FlowBucket* bucket, uint8_t tag, uint32_t ref) noexcept nogil:
    """Enter a TCB in this bucket; the table's size and count are the caller's."""
    cdef uint32_t vacant = tags_equal(bucket.tags, 0), place
    if likely(vacant):
        place = lowest_bit(vacant)
        bucket.tags[place] = tag
        bucket.refs[place] = ref
    else:
        flow_overflow(bucket, &table.blocks[ref - 1], ref)


cdef inline void flow_insert(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """Enter a TCB whose 4-tuple is filled in and not in the table yet."""
    expect(ref != 0)
    expect(hash == flow_hash(table, table.blocks[ref - 1].raddr, table.blocks[ref - 1].rport,
                             table.blocks[ref - 1].laddr, table.blocks[ref - 1].lport))
    flow_enter(table, flow_bucket(table, hash), flow_tag(hash), ref)
    table.count += 1
    if unlikely(table.count > FULL * (<uint64_t>table.mask + 1) and table.mask != table.max_mask):
        flow_grow(table)


cdef inline void flow_remove_known(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """flow_remove of a TCB that is in the table, mostly as the first in its bucket with its tag."""
    cdef FlowBucket* bucket = flow_bucket(table, hash)
    cdef uint32_t place = lowest_bit(tags_equal(bucket.tags, flow_tag(hash)) | 1 << PLACES)
    if likely(place != PLACES and bucket.refs[place] == ref):
        bucket.tags[place] = 0
        table.count -= 1
    else:
        flow_remove(table, hash, ref)


cdef inline void flow_ahead_bucket(const FlowTable* table, uint32_t hash) noexcept nogil:
    """First stage of the prefetch, two distances ahead: the bucket."""
    prefetch(flow_bucket(table, hash))


cdef inline void flow_ahead_candidate(const FlowTable* table, uint32_t hash) noexcept nogil:
    """Second stage of the prefetch, one distance ahead: the TCB."""
    cdef uint32_t ref = flow_candidate(table, hash)
    if ref:
        prefetch(&table.blocks[ref - 1])
