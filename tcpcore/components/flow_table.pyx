"""The flow table: 4-tuple to TCB. Hashes, chains, doubling.

It owns the heads of the chains; TCBs belong to the caller's pool, the table only links them. Nothing here
depends on how rows were batched: doubling happens inside the insertion that makes it due.

Invariant: the heads in use are a power of two; `count` TCBs are chained, each in the bucket of its hash and
once; count <= heads / 2 unless the reservation is used up.
"""

# Doubling: bucket i of n holds what belongs to buckets i and i + n of 2n, and one more bit of the hash
# says which. The heads above `mask` are still zero, so nothing is copied or allocated. Splitting one
# bucket at a time is linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing",
# 1980); here all buckets are split at once, so that a look-up has one mask. Over a table's life that is
# about one move per TCB.
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tcpcore.base.arena cimport ARENA_HEAD, arena_head_huge, arena_map, arena_touched, arena_unmap
from tcpcore.base.siphash cimport siphash13_tuple
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.records.tcb cimport CLOSED

cdef enum:
    START_HEADS = 1024        # one page: an empty table costs no more


cdef bint flow_init(FlowTable* table, Tcb* blocks, uint32_t capacity,
                    uint64_t k0, uint64_t k1) noexcept nogil:
    """Reserve heads for `capacity` TCBs; False when the address space is refused."""
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
    """Give the heads back."""
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
                          uint32_t* hashes) noexcept nogil:
    """The hash of each segment as its receiver sees it: source is remote, destination is local."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t wide[SIPHASH_BATCH]
    cdef Py_ssize_t done = 0, part, i
    while done < n:
        part = n - done if n - done < SIPHASH_BATCH else SIPHASH_BATCH
        for i in range(part):
            first[i] = tuple_first(segs[done + i].src, segs[done + i].dst)
            last[i] = tuple_last(segs[done + i].sport, segs[done + i].dport)
        siphash13_many(table.k0, table.k1, first, last, wide, part)
        for i in range(part):
            hashes[done + i] = <uint32_t>wide[i]
        done += part


cdef void flow_hash_tcbs(const FlowTable* table, const uint32_t* refs, Py_ssize_t n,
                         uint32_t* hashes) noexcept nogil:
    """The hash (out) of each TCB of n <= SIPHASH_BATCH; anything for a reference 0."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t wide[SIPHASH_BATCH]
    cdef const Tcb* tcb
    cdef Py_ssize_t i
    for i in range(n):
        tcb = &table.blocks[refs[i] - (refs[i] != 0)]
        first[i] = tuple_first(tcb.raddr, tcb.laddr)
        last[i] = tuple_last(tcb.rport, tcb.lport)
    siphash13_many(table.k0, table.k1, first, last, wide, n)
    for i in range(n):
        hashes[i] = <uint32_t>wide[i]


cdef inline uint32_t hash_of(const FlowTable* table, const Tcb* tcb) noexcept nogil:
    return flow_hash(table, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)


cdef uint32_t flow_find(const FlowTable* table, uint32_t hash, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil:
    """Reference of the TCB with this 4-tuple, 0 when there is none."""
    cdef uint32_t ref = table.heads[hash & table.mask]
    cdef const Tcb* tcb
    while ref:
        tcb = &table.blocks[ref - 1]
        if tcb.raddr == raddr and tcb.rport == rport and tcb.laddr == laddr and tcb.lport == lport:
            return ref
        ref = tcb.next
    return 0


cdef bint flow_remove(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """Take a TCB out of its chain; False when it is not in it."""
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
    """Double the heads in place."""
    cdef uint32_t n = table.mask + 1
    cdef uint32_t i
    if n * sizeof(uint32_t) == ARENA_HEAD:
        arena_head_huge(table.heads, reserved(table))
    for i in range(n):
        # the mask is still the old one: a bucket number is its own hash
        if i + FLOW_AHEAD < n:
            flow_ahead_first(table, i + FLOW_AHEAD)
            flow_ahead_second(table, i + FLOW_AHEAD // 2)
        split(table, i, n)
    table.mask = 2 * n - 1


cdef inline void split(FlowTable* table, uint32_t bucket, uint32_t n) noexcept nogil:
    """Divide the chain of one bucket of n between it and bucket + n; both parts keep their order."""
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


cdef const char* flow_relink(FlowTable* table, uint32_t mask, uint32_t used) noexcept nogil:
    """Make the heads of an empty table from the chains in blocks[.. used - 1]; CLOSED TCBs are in none.

    Returns what is wrong with them. NULL is nothing, once a look-up has found each of the TCBs.

    The head of a chain is the TCB that no other one refers to."""
    cdef uint32_t slot, other
    cdef uint32_t* head
    cdef const char* fault = NULL
    cdef uint8_t* follows
    if (mask & (mask + 1) or mask < table.mask or mask > table.max_mask
            or (mask > table.mask and mask >= 4 * <uint64_t>used)):
        return "a flow table of no such size"
    follows = <uint8_t*>calloc(<size_t>used + 1, 1)
    if follows == NULL:
        return "no memory for its flow table"
    table.mask = mask
    if mask >= ARENA_HEAD // sizeof(uint32_t):
        arena_head_huge(table.heads, reserved(table))
    for slot in range(used):
        other = table.blocks[slot].next
        if other == 0:
            continue
        if other > used or table.blocks[other - 1].state == CLOSED or follows[other - 1]:
            fault = "a chain of the flow table that is broken"
            break
        follows[other - 1] = True
    for slot in range(used if fault == NULL else 0):
        if table.blocks[slot].state == CLOSED:
            continue
        table.count += 1
        if follows[slot]:
            continue
        head = &table.heads[hash_of(table, &table.blocks[slot]) & mask]
        if head[0]:
            fault = "two chains of the flow table in one bucket"
            break
        head[0] = slot + 1
    free(follows)
    if 2 * table.count > <uint64_t>mask + 1 and mask != table.max_mask:
        return "a flow table whose doubling is overdue"
    return fault


cdef list flow_check(const FlowTable* table, uint32_t capacity):
    """What is wrong with the table, in words; empty when it is sound. Slow and complete.

    A TCB chained twice is found without a bitmap: twice in one chain is a cycle, and in one of two chains it
    is in the wrong bucket.
    """
    cdef list wrong = []
    cdef uint64_t bucket, heads = <uint64_t>table.mask + 1, seen = 0
    cdef uint32_t ref
    cdef const Tcb* tcb
    if heads & table.mask or table.mask > table.max_mask:
        wrong.append(f"flow_table: {heads} heads, not a power of two up to {<uint64_t>table.max_mask + 1}")
    if table.count > capacity:
        return wrong + [f"flow_table: {table.count} flows counted, there are {capacity} TCBs"]
    if 2 * table.count > heads and table.mask != table.max_mask:
        wrong.append(f"flow_table: {table.count} flows on {heads} heads, doubling is overdue")
    for bucket in range(heads):
        ref = table.heads[bucket]
        while ref:
            if ref > capacity:
                wrong.append(f"flow_table: bucket {bucket} refers to TCB {ref} of {capacity}")
                break
            seen += 1
            if seen > table.count:
                return wrong + [f"flow_table: bucket {bucket}: more TCBs chained than {table.count} counted"]
            tcb = &table.blocks[ref - 1]
            if hash_of(table, tcb) & table.mask != bucket:
                wrong.append(f"flow_table: TCB {ref} is in bucket {bucket}, its 4-tuple hashes elsewhere")
            elif flow_find(table, <uint32_t>bucket, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport) != ref:
                wrong.append(f"flow_table: TCB {ref} hides behind another one with the same 4-tuple")
            ref = tcb.next
    if seen != table.count:
        wrong.append(f"flow_table: {seen} TCBs chained, {table.count} counted")
    return wrong
