"""TCBs, their ranges and the flow table in a snapshot.

Of the slots only those that were ever used, and of those only the timestamps and cold records that are valid.
The buckets of the flow table are made again from the TCBs, which have its overflow chains.
Invariant: whatever bytes are read, no reference that the engine follows leads out of what was read.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from tcpcore.base.seq cimport seq_le, seq_lt
from tcpcore.base.stream cimport (
    is_reading, stream_bytes, stream_count, stream_fails, stream_i64, stream_u32, stream_u8,
)
from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB
from tcpcore.records.out_of_order cimport N_RANGES, Ranges
from tcpcore.records.tcb cimport (
    B_COLD, B_HELD, B_QUEUED, B_TS, CLOSED, HAS_LIVENESS, LISTEN, N_STATES, N_TIMERS, T_NONE, Cold,
    Liveness, Tcb, Timestamps, is_side,
)
from tcpcore.components.flow_table cimport flow_hash, flow_relink
from tcpcore.components.range_pool cimport RangePool, range_pool_at
from tcpcore.components.tcb_pool cimport TcbPool

cdef enum:
    MAX_SHIFT = 14            # RFC 7323 2.3
    MAX_BACKOFF = 31          # doublings of an RTO
    MOST_MS = (1 << 30) - 1   # of a knob
    CLOCK_BITS = 43           # of a tick


cdef inline bint is_free(const Tcb* tcb) noexcept nogil:
    """The slot is on the stack of free ones."""
    return tcb.state == CLOSED and not tcb.bits & (B_HELD | B_QUEUED)


cdef const char* tcb_fault(const Tcb* tcb, const Cold* cold) noexcept nogil:
    """What no TCB can be, and the code that runs on one does not ask; NULL nothing."""
    cdef uint8_t later
    if tcb.generation == 0 or tcb.state >= N_STATES or tcb.state == LISTEN:
        return "a TCB without a generation, or in no state"
    if tcb.state == CLOSED:
        if tcb.timer != T_NONE or tcb.timer_pos or tcb.next or (is_free(tcb) and tcb.bits):
            return "a CLOSED TCB with a timer or in a chain"
        return NULL
    if tcb.timer >= N_TIMERS or (tcb.timer == T_NONE) != (tcb.timer_pos == 0):
        return "a TCB with a timer of no kind"
    if tcb.mss == 0 or tcb.wscale & 15 > MAX_SHIFT or tcb.wscale >> 4 > MAX_SHIFT:
        return "a TCB without an MSS, or with a window shift above 14"
    if tcb.bits & B_COLD:
        later = cold.later_timer
        if later >= N_TIMERS or (later != T_NONE and is_side(later) == is_side(tcb.timer)):
            return "a TCB with two timers of one kind"
        if cold.backoff > MAX_BACKOFF:
            return "a TCB with more doublings of its RTO than there are"
    return NULL


cdef void check_pool(Stream* stream, const TcbPool* pool) noexcept nogil:
    """The stack has every free slot, each once, and the TCBs are such as can be."""
    cdef uint32_t slot, n_free = 0
    cdef const char* fault
    cdef uint8_t* seen = <uint8_t*>calloc(<size_t>pool.fresh + 1, 1)
    if seen == NULL:
        stream_fails(stream, "no memory to check it", 0)
        return
    for slot in range(pool.fresh):
        n_free += is_free(&pool.blocks[slot])
        fault = tcb_fault(&pool.blocks[slot], &pool.colds[slot])
        if fault != NULL:
            stream_fails(stream, fault, slot)
    for slot in range(pool.n_stack):
        if (pool.stack[slot] >= pool.fresh or seen[pool.stack[slot]]
                or not is_free(&pool.blocks[pool.stack[slot]])):
            stream_fails(stream, "a slot on the stack of free ones that is in use", slot)
            break
        seen[pool.stack[slot]] = True
    if n_free != pool.n_stack:
        stream_fails(stream, "a free slot that is not on the stack", n_free)
    free(seen)


cdef void stream_live(Stream* stream, Liveness* live, uint32_t slot) noexcept nogil:
    """A valid liveness line, without its padding."""
    stream_i64(stream, &live.heard_at)
    stream_i64(stream, &live.keepalive_at)
    stream_i64(stream, &live.probing_since)
    stream_u32(stream, &live.user_timeout_ms)
    stream_u32(stream, &live.probed_to)
    stream_u8(stream, &live.keepalive)
    stream_u8(stream, &live.lingers)
    stream_u32(stream, &live.linger_rest)
    if is_reading(stream) and (live.keepalive > 1 or live.lingers > 1
                               or MOST_MS < live.user_timeout_ms != TIMEOUT_OF_KNOB
                               or live.heard_at < 0 or live.keepalive_at < 0 or live.probing_since < 0
                               or (live.heard_at | live.keepalive_at | live.probing_since) >> CLOCK_BITS):
        stream_fails(stream, "a liveness line with a field that is out of range", slot)


cdef void stream_pool(Stream* stream, EngineState* eng) noexcept nogil:
    """The TCBs that were ever used, the stack of free slots, valid timestamps and cold records."""
    cdef TcbPool* pool = &eng.pool
    cdef uint32_t slot
    if not stream_count(stream, &pool.fresh, pool.capacity, sizeof(Tcb), "more TCBs than there are"):
        return
    if not stream_count(stream, &pool.n_stack, pool.fresh, sizeof(uint32_t), "more free TCBs than TCBs"):
        return
    stream_bytes(stream, pool.blocks, pool.fresh * sizeof(Tcb))
    stream_bytes(stream, pool.stack, pool.n_stack * sizeof(uint32_t))
    for slot in range(pool.fresh):
        if pool.blocks[slot].bits & B_TS:
            stream_bytes(stream, &pool.stamps[slot], sizeof(Timestamps))
        if pool.blocks[slot].bits & B_COLD:
            stream_bytes(stream, &pool.colds[slot], sizeof(Cold))
            if pool.colds[slot].highest & HAS_LIVENESS:
                stream_live(stream, &pool.lives[slot], slot)
    if is_reading(stream):
        pool.used = pool.fresh - pool.n_stack
        check_pool(stream, pool)


# ---- out-of-order ranges

cdef void stream_record(Stream* stream, Ranges* record) noexcept nogil:
    """What is valid of a record: the rest may be anything, and must not tell."""
    cdef uint8_t i
    stream_u8(stream, &record.n)
    if is_reading(stream) and record.n > N_RANGES:
        stream_fails(stream, "an out-of-order record with more ranges than fit", record.n)
        record.n = 0
    for i in range(record.n):
        stream_u32(stream, &record.left[i])
        stream_u32(stream, &record.right[i])
        stream_u8(stream, &record.fins[i])
        if is_reading(stream) and not (
                seq_lt(record.left[i], record.right[i])
                and record.fins[i] <= record.right[i] - record.left[i]
                and (i == 0 or seq_le(record.left[i - 1], record.left[i]))):
            stream_fails(stream, "out-of-order ranges that are empty or not in order", i)


cdef void stream_ranges(Stream* stream, EngineState* eng) noexcept nogil:
    """The pool of out-of-order records: which are free, in their order, and what is in the others, slot by
    slot. Behind the TCBs, which say whose they are."""
    cdef RangePool* pool = &eng.ranges
    cdef uint32_t ref = pool.free, last = 0, slot, n_free = pool.fresh - pool.used
    cdef Cold* cold
    cdef uint8_t* seen = NULL
    if not stream_count(stream, &pool.fresh, pool.capacity, 1, "more out-of-order records than TCBs"):
        return
    if not stream_count(stream, &n_free, pool.fresh, sizeof(ref), "more free out-of-order records than all"):
        return
    if is_reading(stream):
        pool.used = pool.fresh - n_free
        seen = <uint8_t*>calloc(<size_t>pool.fresh + 1, 1)
        if seen == NULL:
            stream_fails(stream, "no memory to check it", 0)
            return
    for _ in range(n_free):
        stream_u32(stream, &ref)
        if is_reading(stream):
            if ref == 0 or ref > pool.fresh or seen[ref]:
                stream_fails(stream, "a reference to no out-of-order record", ref)
                break
            seen[ref] = True
            if last:
                range_pool_at(pool, last).left[0] = ref
            else:
                pool.free = ref
            last = ref
        else:
            ref = range_pool_at(pool, ref).left[0]
    for slot in range(eng.pool.fresh):
        cold = &eng.pool.colds[slot]
        if not eng.pool.blocks[slot].bits & B_COLD or cold.ranges == 0:
            continue
        n_free += 1
        if is_reading(stream):
            if cold.ranges > pool.fresh or seen[cold.ranges] or eng.pool.blocks[slot].state == CLOSED:
                stream_fails(stream, "a TCB whose out-of-order record is not its own", slot)
                break
            seen[cold.ranges] = True
        stream_record(stream, range_pool_at(pool, cold.ranges))
    if is_reading(stream):
        free(seen)
        if n_free != pool.fresh:
            stream_fails(stream, "an out-of-order record that is nobody's", n_free)


# ---- the flow table

cdef void stream_flows(Stream* stream, EngineState* eng) noexcept nogil:
    """How many buckets the flow table has, and a hash under its key; behind the TCBs.

    The key comes from the configuration's seed: under another one the TCBs would fill other buckets."""
    cdef uint32_t mask = eng.flows.mask, hash = flow_hash(&eng.flows, 0, 0, 0, 0), own = hash
    cdef const char* fault
    stream_u32(stream, &mask)
    stream_u32(stream, &hash)
    if is_reading(stream) and stream.fault == NULL:
        if hash != own:
            stream_fails(stream, "a flow table under another key", hash)
            return
        fault = flow_relink(&eng.flows, mask, eng.pool.fresh)
        if fault != NULL:
            stream_fails(stream, fault, mask)
