# The flow table: 4-tuple to TCB. Chained through Tcb.next, two u32 heads per TCB at full size, keyed by
# SipHash-1-3 so that nobody who does not know the seed can make a chain long. References are slot + 1; 0 is
# "none". It starts small and doubles in place inside one reserved mapping.
#
#   heads   | 0 | 1 | ... | mask |  reserved, never touched  ... | max_mask |
#               +-> TCB (newest) -> TCB -> 0                     via Tcb.next
#
# A look-up misses the cache up to three times: head, first TCB, second one. flow_ahead prefetches each
# for a row to come. A prefetch is a hint only: between it and the use the table may have changed.
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from tcpcore.base.prefetch cimport expect, likely, prefetch, unlikely
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Tcb

cdef enum:
    FLOW_AHEAD = 16           # rows between the prefetch of a TCB and its use

cdef struct FlowTable:
    uint32_t* heads
    uint32_t mask             # heads in use - 1
    uint32_t max_mask         # heads reserved - 1
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


cdef inline uint32_t flow_find_segment(const FlowTable* table, uint32_t hash,
                                       const Segment* seg) noexcept nogil:
    """Reference of the TCB that a segment is sent to, 0 when there is none."""
    cdef uint32_t ref = table.heads[hash & table.mask]
    while ref and flow_differs(&table.blocks[ref - 1], seg):
        ref = table.blocks[ref - 1].next
    return ref


cdef inline void flow_insert(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """Chain a TCB whose 4-tuple is filled in and not in the table yet."""
    cdef uint32_t* head = &table.heads[hash & table.mask]
    cdef Tcb* tcb = &table.blocks[ref - 1]
    expect(ref != 0)
    expect(hash == flow_hash(table, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport))
    tcb.next = head[0]
    head[0] = ref
    table.count += 1
    if unlikely(2 * table.count > <uint64_t>table.mask + 1 and table.mask != table.max_mask):
        flow_grow(table)


cdef inline void flow_remove_known(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """flow_remove of a TCB that is in the table, mostly as the newest of its chain."""
    cdef uint32_t* head = &table.heads[hash & table.mask]
    if likely(head[0] == ref):
        head[0] = table.blocks[ref - 1].next
        table.blocks[ref - 1].next = 0
        table.count -= 1
    else:
        flow_remove(table, hash, ref)


cdef inline void flow_ahead_head(const FlowTable* table, uint32_t hash) noexcept nogil:
    """First stage of the prefetch, two distances ahead: the head of the chain."""
    prefetch(&table.heads[hash & table.mask])


cdef inline void flow_ahead_first(const FlowTable* table, uint32_t hash) noexcept nogil:
    """Second stage of the prefetch, one distance ahead: the newest TCB of the chain."""
    cdef uint32_t ref = table.heads[hash & table.mask]
    if ref:
        prefetch(&table.blocks[ref - 1])


cdef inline void flow_ahead_second(const FlowTable* table, uint32_t hash) noexcept nogil:
    """Third stage of the prefetch, half a distance ahead: the TCB behind the newest."""
    cdef uint32_t ref = table.heads[hash & table.mask]
    if ref and table.blocks[ref - 1].next:
        prefetch(&table.blocks[table.blocks[ref - 1].next - 1])


cdef inline void flow_ahead(const FlowTable* table, const uint32_t* hashes, Py_ssize_t i,
                            Py_ssize_t n) noexcept nogil:
    """All three stages of the prefetch for the rows after row i of n; called once per row."""
    if i + 2 * FLOW_AHEAD < n:
        flow_ahead_head(table, hashes[i + 2 * FLOW_AHEAD])
    if i + FLOW_AHEAD < n:
        flow_ahead_first(table, hashes[i + FLOW_AHEAD])
    if i + FLOW_AHEAD // 2 < n:
        flow_ahead_second(table, hashes[i + FLOW_AHEAD // 2])
