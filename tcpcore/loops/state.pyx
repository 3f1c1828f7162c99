"""One engine's components together: built, freed, measured, and found by handle.

Also the one random allowance that spans connections, that of challenge ACKs.
"""

from tcpcore.base.arena cimport arena_map_sparse, arena_touched, arena_touched_around, arena_unmap
from tcpcore.base.prefetch cimport PREDICTION, prefetch
from tcpcore.base.siphash cimport derive_key, siphash24_1
from tcpcore.records.action cimport E_EDGES, E_EOF, E_READABLE, E_WRITABLE
from tcpcore.components.events cimport EVENTS_BOUND, events_bytes, events_free, events_init, events_wanted
from tcpcore.components.flow_table cimport (
    flow_ahead_bucket, flow_ahead_candidate, flow_bytes, flow_find, flow_find_segment, flow_free,
    flow_hash_batch, flow_init,
)
from tcpcore.components.listeners cimport listeners_bytes, listeners_free, listeners_init
from tcpcore.components.bound_ports cimport bound_bytes, bound_free
from tcpcore.components.ports cimport ports_bytes, ports_free
from tcpcore.components.range_pool cimport range_pool_bytes, range_pool_free, range_pool_init
from tcpcore.components.syn_eviction cimport eviction_bytes, eviction_free, eviction_init
from tcpcore.components.syn_policy cimport EVICT_NEVER, EVICT_PER_BUCKET, pause_init, policy_eviction_scope
from tcpcore.components.tcb_pool cimport pool_bytes, pool_free, pool_init
from tcpcore.components.timer_wheel cimport wheel_bytes, wheel_free, wheel_init
from tcpcore.records.event cimport EV_EOF, EV_READABLE, EV_WRITABLE

cdef enum:
    UNLIMITED = 0x7FFFFFFF    # tcp_challenge_ack_limit: no limit
    LISTENER_QUEUES = 65536   # eviction queues, one for each listener id (16 bits)
    LOOK_UP = 64              # 4-tuples looked up at a time


cdef bint state_init(EngineState* eng, uint64_t seed, Tcb* blocks, uint32_t buckets) noexcept nogil:
    """Initialise every component for eng.knobs and pool.capacity; False when memory is refused.

    The TCBs are those at `blocks`, or new ones where that is NULL; `buckets`: of a syncache, if it has one.
    """
    cdef uint32_t capacity = eng.pool.capacity
    cdef uint32_t queues = LISTENER_QUEUES
    if not pool_init(&eng.pool, capacity, blocks):
        return False
    eng.random_key = derive_key(seed, KEY_RANDOM)
    eng.challenge_second = -1
    eng.predicting = PREDICTION
    eng.bucket_k0 = derive_key(seed, KEY_BUCKETS)
    eng.bucket_k1 = derive_key(seed, KEY_BUCKETS + 1)
    eng.eviction_scope = policy_eviction_scope(&eng.knobs)
    if eng.eviction_scope == EVICT_PER_BUCKET:
        eng.syncache_buckets = queues = buckets
    pause_init(&eng.pause)
    eng.arriving = <Segment*>arena_map_sparse(STRIDE * sizeof(Segment))
    return (eng.arriving != NULL
            and flow_init(&eng.flows, eng.pool.blocks, capacity, derive_key(seed, KEY_FLOWS),
                          derive_key(seed, KEY_FLOWS + 1))
            and wheel_init(&eng.wheel, eng.pool.blocks, capacity)
            and range_pool_init(&eng.ranges, capacity)
            and listeners_init(&eng.listeners)
            and (eng.eviction_scope == EVICT_NEVER
                 or eviction_init(&eng.eviction, eng.pool.blocks, capacity, queues)))


cdef bint state_subscribe(EngineState* eng, uint32_t kinds) noexcept nogil:
    """Have events of these kinds (a bit for each) told; False when memory is refused."""
    eng.effects_wanted = ~E_EDGES
    if not events_init(&eng.events, kinds, EVENTS_BOUND, eng.pool.capacity):
        return False
    if events_wanted(&eng.events, EV_READABLE):
        eng.effects_wanted |= E_READABLE
    if events_wanted(&eng.events, EV_EOF):
        eng.effects_wanted |= E_EOF
    if events_wanted(&eng.events, EV_WRITABLE):
        eng.effects_wanted |= E_WRITABLE
    return True


cdef void state_free(EngineState* eng) noexcept nogil:
    """Give the memory of every component back."""
    arena_unmap(eng.arriving, STRIDE * sizeof(Segment))
    events_free(&eng.events)
    ports_free(&eng.ports)
    bound_free(&eng.bound)
    eviction_free(&eng.eviction)
    listeners_free(&eng.listeners)
    range_pool_free(&eng.ranges)
    wheel_free(&eng.wheel)
    flow_free(&eng.flows)
    pool_free(&eng.pool)


cdef size_t state_bytes(const EngineState* eng) noexcept nogil:
    """Touched bytes of every array of every component."""
    return (pool_bytes(&eng.pool) + flow_bytes(&eng.flows) + wheel_bytes(&eng.wheel)
            + range_pool_bytes(&eng.ranges) + listeners_bytes(&eng.listeners) + ports_bytes(&eng.ports)
            + bound_bytes(&eng.bound)
            + eviction_bytes(&eng.eviction) + events_bytes(&eng.events)
            + arena_touched(eng.arriving, STRIDE * sizeof(Segment))
            + arena_touched_around(eng, sizeof(EngineState)))


cdef uint64_t lookup_handle(const EngineState* eng, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil:
    """Handle of the connection with this 4-tuple, 0 when there is none; half-open and TIME-WAIT count."""
    cdef uint32_t hash = flow_hash(&eng.flows, raddr, rport, laddr, lport)
    cdef uint32_t ref = flow_find(&eng.flows, hash, raddr, rport, laddr, lport)
    return handle_at(eng, ref - 1) if ref else 0


cdef void lookup_handles(const EngineState* eng, const FourTuple* tuples, Py_ssize_t n,
                         uint64_t* conns) noexcept nogil:
    """Handles of the connections with these 4-tuples, 0 where there is none.

    Of LOOK_UP at a time the bucket and the TCB are prefetched for all before any is looked at; then, of
    those found, the timestamps, since a call or a segment often follows."""
    cdef Segment to[LOOK_UP]                          # as a segment names its receiver
    cdef uint32_t hashes[LOOK_UP]
    cdef uint32_t ref
    cdef Py_ssize_t i, part
    while n > 0:
        part = n if n < LOOK_UP else LOOK_UP
        for i in range(part):
            to[i].src, to[i].dst = tuples[i].raddr, tuples[i].laddr
            to[i].sport, to[i].dport = tuples[i].rport, tuples[i].lport
        flow_hash_batch(&eng.flows, to, part, hashes)
        if part > 1:
            for i in range(part):
                flow_ahead_bucket(&eng.flows, hashes[i])
            for i in range(part):
                flow_ahead_candidate(&eng.flows, hashes[i])
        for i in range(part):
            ref = flow_find_segment(&eng.flows, hashes[i], &to[i])
            conns[i] = 0
            if ref:
                conns[i] = handle_at(eng, ref - 1)
                prefetch(&eng.pool.stamps[ref - 1])
        tuples += part
        conns += part
        n -= part


cdef bint challenge_allowed(EngineState* eng, int64_t now) noexcept nogil:
    """Whether tcp_challenge_ack_limit lets one more challenge ACK go now; counts it.

    Each second has a random allowance around the limit, as in Linux: a fixed one, shared by all connections,
    told an attacker whether a guess had been right (RFC 5961 7, CVE-2016-5696)."""
    cdef uint32_t limit = eng.knobs.tcp_challenge_ack_limit
    cdef int64_t second = now // 1_000_000_000
    if limit == UNLIMITED or limit == 0:              # with 0, Linux draws from all numbers
        return True
    if second != eng.challenge_second:
        eng.challenge_second = second
        eng.draws += 1
        eng.challenge_left = (limit + 1) // 2 + <uint32_t>(
            siphash24_1(eng.random_key, KEY_RANDOM, eng.draws) % limit)
    if eng.challenge_left == 0:
        return False
    eng.challenge_left -= 1
    return True
