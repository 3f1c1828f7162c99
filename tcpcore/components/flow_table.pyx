"""The flow table: 4-tuple to TCB. Hashes, buckets, doubling.

It owns the buckets; TCBs belong to the caller's pool, the table only refers to them. Nothing here depends on
how rows were batched: doubling happens inside the insertion that makes it due.

Invariant: the buckets in use are a power of two; `count` TCBs are entered, each in the bucket of its hash and
once; count <= FULL * buckets unless the reservation is used up. A TCB's `next` is 0 but in an overflow chain.
"""

# Doubling: bucket i of n holds what belongs to buckets i and i + n of 2n, and one more bit of the hash
# says which. The buckets above `mask` are still zero, so nothing is copied or allocated. Splitting one
# bucket at a time is linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing",
# 1980); here all buckets are split at once, so that a look-up has one mask. Over a table's life that is
# about one move per TCB.
#
# With 8 flows a bucket in the mean, 6 % of the buckets have more than 12, and 1.4 % of the flows are in an
# overflow chain (Poisson). Places that become free go to later flows; nothing moves back from a chain.
from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tcpcore.base.arena cimport ARENA_HEAD, arena_head_huge, arena_map, arena_touched, arena_unmap
from tcpcore.base.bitmap cimport lowest_bit
from tcpcore.base.prefetch cimport prefetch
from tcpcore.base.siphash cimport siphash13_tuple
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.base.tags cimport tags_equal
from tcpcore.records.tcb cimport CLOSED

cdef enum:
    START_BUCKETS = 64        # one page: an empty table costs no more


cdef bint flow_init(FlowTable* table, Tcb* blocks, uint32_t capacity,
                    uint64_t k0, uint64_t k1) noexcept nogil:
    """Reserve buckets for `capacity` TCBs; False when the address space is refused."""
    cdef uint64_t buckets = 1
    memset(table, 0, sizeof(FlowTable))
    while FULL * buckets < capacity:
        buckets *= 2
    table.buckets = <FlowBucket*>arena_map(buckets * sizeof(FlowBucket))
    if table.buckets == NULL:
        return False
    table.max_mask = <uint32_t>(buckets - 1)
    table.mask = START_BUCKETS - 1 if buckets > START_BUCKETS else table.max_mask
    table.blocks = blocks
    table.k0 = k0
    table.k1 = k1
    return True


cdef void flow_free(FlowTable* table) noexcept nogil:
    """Give the buckets back."""
    if table.buckets != NULL:
        arena_unmap(table.buckets, reserved(table))
    memset(table, 0, sizeof(FlowTable))


cdef size_t flow_bytes(const FlowTable* table) noexcept nogil:
    """Touched bytes of the buckets."""
    return arena_touched(table.buckets, reserved(table))


cdef inline size_t reserved(const FlowTable* table) noexcept nogil:
    return (<size_t>table.max_mask + 1) * sizeof(FlowBucket)


cdef uint32_t flow_hash(const FlowTable* table, uint32_t raddr, uint16_t rport,
                        uint32_t laddr, uint16_t lport) noexcept nogil:
    """Low 32 bits of SipHash-1-3; the bucket is their low end, the tag the high one."""
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
    cdef Segment seg
    seg.src, seg.dst, seg.sport, seg.dport = raddr, laddr, rport, lport
    return flow_find_segment(table, hash, &seg)


cdef void flow_overflow(FlowBucket* bucket, Tcb* tcb, uint32_t ref) noexcept nogil:
    """Chain a TCB to a bucket without a free place."""
    tcb.next = bucket.refs[PLACES] if bucket.refs[PLACES] else NO_MORE
    bucket.refs[PLACES] = ref


cdef bint flow_remove(FlowTable* table, uint32_t hash, uint32_t ref) noexcept nogil:
    """Take a TCB out of its bucket; False when it is not in it."""
    cdef FlowBucket* bucket = flow_bucket(table, hash)
    cdef uint32_t alike = tags_equal(bucket.tags, flow_tag(hash)), rest
    cdef uint32_t* link = &bucket.refs[PLACES]
    while alike:
        if bucket.refs[lowest_bit(alike)] == ref:
            bucket.tags[lowest_bit(alike)] = 0
            table.count -= 1
            return True
        alike &= alike - 1
    while link[0] != ref:
        if link[0] == 0 or link[0] == NO_MORE:
            return False
        link = &table.blocks[link[0] - 1].next
    if ref == 0:
        return False
    rest = table.blocks[ref - 1].next
    link[0] = 0 if link == &bucket.refs[PLACES] and rest == NO_MORE else rest
    table.blocks[ref - 1].next = 0
    table.count -= 1
    return True


cdef void flow_grow(FlowTable* table) noexcept nogil:
    """Double the buckets in place."""
    cdef uint32_t n = table.mask + 1
    cdef uint32_t i
    if n * sizeof(FlowBucket) == ARENA_HEAD:
        arena_head_huge(table.buckets, reserved(table))
    for i in range(n):
        if i + 1 < n:
            look_into(table, &table.buckets[i + 1])
        split(table, i, n)
    table.mask = 2 * n - 1


cdef inline void look_into(const FlowTable* table, const FlowBucket* bucket) noexcept nogil:
    """Prefetch the TCBs of a bucket."""
    cdef uint32_t taken = ~tags_equal(bucket.tags, 0) & (1 << PLACES) - 1
    while taken:
        prefetch(&table.blocks[bucket.refs[lowest_bit(taken)] - 1])
        taken &= taken - 1


cdef inline void split(FlowTable* table, uint32_t at, uint32_t n) noexcept nogil:
    """Divide bucket `at` of n between it and at + n, which is empty."""
    cdef FlowBucket* bucket = &table.buckets[at]
    cdef FlowBucket* other = &table.buckets[at + n]
    cdef uint32_t place, ref = bucket.refs[PLACES], rest, hash
    for place in range(PLACES):
        if bucket.tags[place] and hash_of(table, &table.blocks[bucket.refs[place] - 1]) & n:
            flow_enter(table, other, bucket.tags[place], bucket.refs[place])
            bucket.tags[place] = 0
    bucket.refs[PLACES] = 0
    while ref:                                        # the chain's TCBs go where there is a place now
        rest = flow_next(&table.blocks[ref - 1])
        table.blocks[ref - 1].next = 0
        hash = hash_of(table, &table.blocks[ref - 1])
        flow_enter(table, other if hash & n else bucket, flow_tag(hash), ref)
        ref = rest


cdef const char* flow_relink(FlowTable* table, uint32_t mask, uint32_t used) noexcept nogil:
    """Fill the buckets of an empty table from blocks[.. used - 1] and their chains; CLOSED TCBs are in none.

    Returns what is wrong with them. NULL is nothing, once a look-up has found each of the TCBs.

    A chain begins with the TCB that no other one refers to."""
    cdef uint32_t slot, other, hash
    cdef FlowBucket* bucket
    cdef const char* fault = NULL
    cdef uint8_t* follows
    if (mask & (mask + 1) or mask < table.mask or mask > table.max_mask
            or (mask > table.mask and FULL // 2 * (<uint64_t>mask + 1) >= used)):
        return "a flow table of no such size"
    follows = <uint8_t*>calloc(<size_t>used + 1, 1)
    if follows == NULL:
        return "no memory for its flow table"
    table.mask = mask
    if mask >= ARENA_HEAD // sizeof(FlowBucket):
        arena_head_huge(table.buckets, reserved(table))
    for slot in range(used):
        other = flow_next(&table.blocks[slot])
        if other == 0:
            continue
        if other > used or table.blocks[other - 1].next == 0 or follows[other - 1]:
            fault = "a chain of the flow table that is broken"
            break
        follows[other - 1] = True
    for slot in range(used if fault == NULL else 0):
        if table.blocks[slot].state == CLOSED:
            continue
        table.count += 1
        if follows[slot]:
            continue
        hash = hash_of(table, &table.blocks[slot])
        bucket = flow_bucket(table, hash)
        if table.blocks[slot].next == 0 and tags_equal(bucket.tags, 0):
            flow_enter(table, bucket, flow_tag(hash), slot + 1)
        elif table.blocks[slot].next and bucket.refs[PLACES] == 0:
            bucket.refs[PLACES] = slot + 1
        else:
            fault = "a bucket of the flow table with more than it has places for"
            break
    free(follows)
    if table.count > FULL * (<uint64_t>mask + 1) and mask != table.max_mask:
        return "a flow table whose doubling is overdue"
    return fault


cdef list check_bucket(const FlowTable* table, uint32_t at, uint32_t capacity, uint64_t* seen):
    """What is wrong with one bucket; adds its flows to `seen`."""
    cdef list wrong = []
    cdef const FlowBucket* bucket = &table.buckets[at]
    cdef const Tcb* tcb
    cdef uint32_t place, ref = 0, hash
    for place in range(PLACES + 1):
        if place < PLACES and bucket.tags[place] == 0:
            continue
        ref = bucket.refs[place]
        while ref or place < PLACES:
            if ref - 1 >= capacity:
                wrong.append(f"flow_table: bucket {at} refers to TCB {ref} of {capacity}")
                break
            seen[0] += 1
            if seen[0] > table.count:
                wrong.append(f"flow_table: bucket {at}: more TCBs entered than {table.count} counted")
                return wrong
            tcb = &table.blocks[ref - 1]
            hash = hash_of(table, tcb)
            if hash & table.mask != at or (place < PLACES and bucket.tags[place] != flow_tag(hash)):
                wrong.append(f"flow_table: TCB {ref} is in bucket {at}, its 4-tuple hashes elsewhere")
            elif flow_find(table, hash, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport) != ref:
                wrong.append(f"flow_table: TCB {ref} hides behind another one with the same 4-tuple")
            if (tcb.next == 0) != (place < PLACES):
                wrong.append(f"flow_table: TCB {ref} is in bucket {at}, its chain is not")
                break
            if place < PLACES:
                break
            ref = flow_next(tcb)
    return wrong


cdef list flow_check(const FlowTable* table, uint32_t capacity):
    """What is wrong with the table, in words; empty when it is sound. Slow and complete.

    A TCB entered twice is found without a bitmap: twice in one bucket, a look-up finds it but once or the
    count is passed, and in one of two buckets it is in the wrong one.
    """
    cdef list wrong = []
    cdef uint64_t buckets = <uint64_t>table.mask + 1, seen = 0
    cdef uint64_t at
    if buckets & table.mask or table.mask > table.max_mask:
        wrong.append(f"flow_table: {buckets} buckets, not a power of two up to "
                     f"{<uint64_t>table.max_mask + 1}")
    if table.count > capacity:
        return wrong + [f"flow_table: {table.count} flows counted, there are {capacity} TCBs"]
    if table.count > FULL * buckets and table.mask != table.max_mask:
        wrong.append(f"flow_table: {table.count} flows in {buckets} buckets, doubling is overdue")
    for at in range(buckets):
        wrong += check_bucket(table, <uint32_t>at, capacity, &seen)
        if seen > table.count:
            return wrong
    if seen != table.count:
        wrong.append(f"flow_table: {seen} TCBs entered, {table.count} counted")
    return wrong
