# Applying what the law decides.
#
# Per segment: look the block up, let transition judge, then apply_action(): timers, counts, queues,
# death. The order of a batch is kept to the letter, so n segments in one batch do exactly
# what n batches of one do; the pipeline in front only asks memory for what will be needed.
# Invariants: counts[s] blocks are in state s; a block is in the flow table unless CLOSED; every
# half-open entry is counted by its listener. check.pyx walks them.
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport PREDICTION, expect, likely, prefetch
from tcpcore.base.siphash cimport derive_key, siphash24_1
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.records.action cimport (
    E_ACCEPT, E_DEAD, E_OPENED, E_REOPEN, E_START_OVER, OP_ARM, OP_CANCEL, Action,
)
from tcpcore.records.counters cimport (
    CauseAcceptQueueFull, CauseAddressInUse, CauseBlocksExhausted, CauseEmbryonicReset,
    CauseListenerClosed, CausePortsExhausted, CauseSynQueueEvicted, CauseSynQueueExpired,
    CauseSynQueueFull, CauseSynQueueReserve, Mib, NoCause, count, count_n,
)
from tcpcore.records.knobs cimport ROUND_DOWN
from tcpcore.records.out_of_order cimport Ranges, ranges_empty
from tcpcore.records.segment cimport ACK, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, RST, SYN
from tcpcore.records.tcb cimport (
    B_AUTO_CLOSE, B_COLD, B_EPHEMERAL, B_FULL_SOCKET, B_HELD, B_MATURE, B_ORPHAN, B_PASSIVE, B_QUEUED,
    B_SACK, B_TS, B_WSCALE, CAN_SEND, CLOSED, CLOSE_WAIT, ESTABLISHED, FIN_WAIT_1, LINGERING, LISTEN,
    OPENING, SYN_RECEIVED, SYN_SENT, TICK_NS, TIME_WAIT, T_DELACK, T_FIN_WAIT_2, T_NONE, T_OUTPUT, T_REXMT,
    T_TIME_WAIT, Cold, Tcb, Timestamps, in_set, is_side,
)
from tcpcore.tcp.listen cimport LISTEN_DROP, LISTEN_OPEN, ListenVerdict, in_listen
from tcpcore.tcp.opens cimport open_active, open_passive
from tcpcore.tcp.output cimport is_time_wait_like, put_answering_rst, rounded, rows_due, use_cold
from tcpcore.tcp.predict cimport (
    PREDICT_ACCEPTED, PREDICT_BOTH_CLOSED, PREDICT_FIN_ACKED, PREDICT_NOT, PREDICT_OPENED,
    PREDICT_PEER_CLOSED, PREDICT_TIME_WAIT, Predicted, predict_close, predict_segment,
)
from tcpcore.tcp.rto cimport clock_ms, tick_up
from tcpcore.tcp.transition cimport (
    abandon_call, abort_call, close_call, in_closed, open_cookie, open_text, receive_call, segment_arrives,
    send_call, shutdown_call, timer_expired,
)
from tcpcore.components.events cimport (
    EV_ACCEPTED, EV_CLOSED, EV_ESTABLISHED, EV_LOST, EV_OPENED, EV_REFUSED, EV_TIME_WAIT, events_add,
    events_bytes, events_free,
)
from tcpcore.components.flow_table cimport (
    flow_ahead, flow_ahead_first, flow_ahead_head, flow_bytes, flow_differs, flow_find, flow_find_segment,
    flow_free, flow_hash, flow_hash_batch, flow_init, flow_insert, flow_remove,
)
from tcpcore.components.isn cimport isn_hashes, isn_make, isn_many, isn_ts_many, isn_ts_offset
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, Burst, Listener, accept_queue_full, accept_queue_peek, accept_queue_pop,
    accept_queue_push, burst_update, half_open_added, half_open_matured, half_open_removed, listener_at,
    listener_burst, listener_close, listener_find, listeners_bytes, listeners_free, listeners_init,
)
from tcpcore.components.ports cimport (
    PortSearch, ports_begin, ports_bytes, ports_candidate, ports_free, ports_released, ports_speculate,
    ports_taken,
)
from tcpcore.components.range_pool cimport (
    range_pool_at, range_pool_bytes, range_pool_free, range_pool_give, range_pool_init, range_pool_take,
)
from tcpcore.components.syn_eviction cimport (
    SYNCACHE_BUCKETS, SYNCACHE_BUCKET_LIMIT, eviction_add, eviction_bucket, eviction_bytes,
    eviction_forget, eviction_free, eviction_full, eviction_init, eviction_oldest, eviction_random,
)
from tcpcore.components.syn_policy cimport (
    ADMIT, ADMIT_COOKIE, EVICT_NEVER, EVICT_OLDEST, EVICT_PER_BUCKET, EVICT_PER_LISTENER, EVICT_RANDOM,
    PAUSE, REFUSE_ACCEPT_FULL, REFUSE_QUEUE_FULL, REFUSE_RESERVE, Pressure, Verdict, pause_begin,
    pause_init, policy_admit, policy_burst, policy_eviction_scope, policy_has_room, policy_pauses,
    policy_synack_retries,
)
from tcpcore.components.syncookie cimport (
    COOKIE_FREEBSD, CookieOptions, cookie_agree, cookie_lost, cookie_make, cookie_read, cookie_tsval,
)
from tcpcore.components.tcb_pool cimport (
    pool_ahead, pool_bytes, pool_free, pool_give, pool_init, pool_is_empty, pool_take,
)
from tcpcore.components.timer_wheel cimport (
    wheel_ahead, wheel_arm, wheel_bytes, wheel_cancel, wheel_free, wheel_init, wheel_pop,
)
from tcpcore.loops.pipeline cimport least, look_ahead, start_ahead, tcb_or_any

cdef enum:
    AHEAD = 32                # calls: prefetch distance of blocks
    ACCEPT_AHEAD = 64         # accept() does next to nothing with each
    UNLIMITED = 0x7FFFFFFF
    LISTENER_QUEUES = 65536   # of the order book, where each listener has one: ids are 16 bits
    COOKIE_LIFE_S = 120       # Linux TCP_SYNCOOKIE_VALID: how long after the last one they are looked for


cdef bint state_init(EngineState* eng, uint64_t seed) noexcept nogil:
    """Build the organs for eng.knobs and pool.capacity; False when memory is refused."""
    cdef uint32_t capacity = eng.pool.capacity
    if not pool_init(&eng.pool, capacity):
        return False
    eng.random_key = derive_key(seed, KEY_RANDOM)
    eng.challenge_second = -1
    eng.predicting = PREDICTION
    eng.bucket_k0 = derive_key(seed, KEY_BUCKETS)
    eng.bucket_k1 = derive_key(seed, KEY_BUCKETS + 1)
    eng.eviction_scope = policy_eviction_scope(&eng.knobs)
    pause_init(&eng.pause)
    return (flow_init(&eng.flows, eng.pool.blocks, capacity, derive_key(seed, KEY_FLOWS),
                      derive_key(seed, KEY_FLOWS + 1))
            and wheel_init(&eng.wheel, eng.pool.blocks, capacity)
            and range_pool_init(&eng.ranges, capacity)
            and listeners_init(&eng.listeners)
            and (eng.eviction_scope == EVICT_NEVER
                 or eviction_init(&eng.eviction, eng.pool.blocks, capacity,
                              SYNCACHE_BUCKETS if eng.eviction_scope == EVICT_PER_BUCKET else LISTENER_QUEUES)))


cdef void state_free(EngineState* eng) noexcept nogil:
    events_free(&eng.events)
    ports_free(&eng.ports)
    eviction_free(&eng.eviction)
    listeners_free(&eng.listeners)
    range_pool_free(&eng.ranges)
    wheel_free(&eng.wheel)
    flow_free(&eng.flows)
    pool_free(&eng.pool)


cdef size_t state_bytes(const EngineState* eng) noexcept nogil:
    """Touched bytes of every array."""
    return (pool_bytes(&eng.pool) + flow_bytes(&eng.flows) + wheel_bytes(&eng.wheel)
            + range_pool_bytes(&eng.ranges) + listeners_bytes(&eng.listeners) + ports_bytes(&eng.ports)
            + eviction_bytes(&eng.eviction) + events_bytes(&eng.events) + sizeof(EngineState))


cdef uint64_t handle_of(const EngineState* eng, uint32_t slot) noexcept nogil:
    return <uint64_t>eng.pool.blocks[slot].generation << 32 | slot


cdef uint32_t resolve_handle(const EngineState* eng, uint64_t conn) noexcept nogil:
    """slot + 1 of a live handle, 0 for a stale one."""
    cdef uint32_t slot = <uint32_t>conn
    cdef const Tcb* tcb
    if slot >= eng.pool.capacity:
        return 0
    tcb = &eng.pool.blocks[slot]
    if conn >> 32 == 0 or tcb.generation != conn >> 32:
        return 0
    return slot + 1 if tcb.state != CLOSED or tcb.bits & (B_HELD | B_QUEUED) else 0


cdef uint32_t tcb_hash(const EngineState* eng, const Tcb* tcb) noexcept nogil:
    return flow_hash(&eng.flows, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)


# --- random draws of the engine itself -----------------------------------------------------

cdef bint challenge_allowed(EngineState* eng, int64_t now) noexcept nogil:
    """tcp_challenge_ack_limit: each second of now draws its own allowance around the limit, so that
    nobody can count it out (RFC 5961 7, CVE-2016-5696)."""
    cdef uint32_t limit = eng.knobs.tcp_challenge_ack_limit
    cdef int64_t second = now // 1_000_000_000
    if limit == UNLIMITED or limit == 0:              # 0: Linux draws from all numbers then
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


# --- timers: the block's main and side timer on the one entry the wheel has for it ----------

cdef int64_t full_tick(const EngineState* eng, uint32_t low) noexcept nogil:
    """The absolute tick of which a block keeps the low 32 bits."""
    return eng.wheel.clock + <int32_t>(low - <uint32_t>eng.wheel.clock)


cdef void arm(EngineState* eng, uint32_t slot, uint8_t kind, int64_t tick) noexcept nogil:
    eng.pool.blocks[slot].timer = kind
    wheel_arm(&eng.wheel, slot, tick)


cdef inline void stop_timer(EngineState* eng, uint32_t slot) noexcept nogil:
    wheel_cancel(&eng.wheel, slot)
    eng.pool.blocks[slot].timer = T_NONE


cdef void disarm(EngineState* eng, uint32_t slot) noexcept nogil:
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if tcb.timer != T_NONE:
        wheel_cancel(&eng.wheel, slot)
        tcb.timer = T_NONE
    if tcb.bits & B_COLD:
        eng.pool.colds[slot].later_timer = T_NONE


cdef inline void set_timers(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """Carry out the timer operations of an action."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef bint two = is_side(tcb.timer) or (tcb.bits & B_COLD and cold.later_timer != T_NONE)
    if likely(act.side_op != OP_ARM and not two):
        if act.main_op == OP_ARM:
            arm(eng, slot, act.main_kind, tick_up(now) + act.main_timeout)
        elif act.main_op == OP_CANCEL and tcb.timer != T_NONE:
            wheel_cancel(&eng.wheel, slot)
            tcb.timer = T_NONE
        return
    set_both(eng, slot, act, now)


cdef void set_both(EngineState* eng, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """The general case: work both timers out, put the earlier one (the side timer on a tie) on the
    wheel, the other one into the cold line."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef uint8_t main = T_NONE, side = T_NONE
    cdef int64_t main_at = 0, side_at = 0
    use_cold(tcb, cold)
    if is_side(tcb.timer):
        side = tcb.timer
        side_at = full_tick(eng, tcb.deadline)
        main = cold.later_timer
        main_at = full_tick(eng, cold.later)
    else:
        main = tcb.timer
        main_at = full_tick(eng, tcb.deadline)
        side = cold.later_timer
        side_at = full_tick(eng, cold.later)
    if act.main_op == OP_ARM:
        main = act.main_kind
        main_at = tick_up(now) + act.main_timeout
    elif act.main_op == OP_CANCEL:
        main = T_NONE
    if act.side_op == OP_ARM:
        side = act.side_kind
        # output is due now, not at the next tick
        side_at = now // TICK_NS if side == T_OUTPUT else tick_up(now) + act.side_timeout
    elif act.side_op == OP_CANCEL or (side == T_DELACK and act.n_rows):
        side = T_NONE
    if main == T_NONE and side == T_NONE:
        disarm(eng, slot)
        return
    if main == T_NONE or (side != T_NONE and side_at <= main_at):
        cold.later_timer = main
        cold.later = <uint32_t>main_at
        main = side
        main_at = side_at
    else:
        cold.later_timer = side
        cold.later = <uint32_t>side_at
    if tcb.timer != main or tcb.deadline != <uint32_t>main_at or act.main_op == OP_ARM:
        arm(eng, slot, main, main_at)


# --- settling an action ------------------------------------------------------------------------

cdef struct PriorState:
    # what a block was before the law had it
    uint8_t state
    uint16_t bits
    bint hashed               # hash is the block's
    uint32_t hash


cdef inline bint counts_as_orphan(uint8_t state, uint16_t bits) noexcept nogil:
    return bits & B_ORPHAN and state != TIME_WAIT


cdef inline void save_state(PriorState* was, const Tcb* tcb) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = False


cdef inline void save_state_hashed(PriorState* was, const Tcb* tcb, uint32_t hash) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = True
    was.hash = hash


cdef inline void begin_action(EngineState* eng, Action* act, Ranges* scratch, uint32_t slot, Segment* rows) noexcept nogil:
    """An empty action for the block in this slot."""
    cdef Cold* cold = &eng.pool.colds[slot]
    memset(act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &eng.counters
    act.stamp = &eng.pool.stamps[slot]
    if in_set(eng.pool.blocks[slot].state, LINGERING):
        act.tw_full = eng.counts[TIME_WAIT] + eng.time_wait_like >= eng.knobs.tcp_max_tw_buckets
    if eng.pool.blocks[slot].bits & B_COLD and cold.ranges:
        act.ranges = range_pool_at(&eng.ranges, cold.ranges)
    else:
        scratch.n = 0
        scratch.has_fin = 0
        act.ranges = scratch


cdef void keep_ranges(EngineState* eng, uint32_t slot, const Action* act) noexcept nogil:
    """The out-of-order record follows its contents: borrowed with the first range, returned with the last."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef bint empty = ranges_empty(act.ranges)
    if tcb.bits & B_COLD and cold.ranges:
        if empty:
            range_pool_give(&eng.ranges, cold.ranges)
            cold.ranges = 0
    elif not empty:
        use_cold(tcb, cold)
        cold.ranges = range_pool_take(&eng.ranges)
        if cold.ranges:
            range_pool_at(&eng.ranges, cold.ranges)[0] = act.ranges[0]


cdef inline void count_change(EngineState* eng, const Tcb* tcb, const PriorState* was) noexcept nogil:
    """Gauges after a transition that did not end the connection."""
    if tcb.state == was.state and not (tcb.bits ^ was.bits) & (B_ORPHAN | B_FULL_SOCKET):
        return
    eng.counts[was.state] -= 1
    eng.counts[tcb.state] += 1
    if (tcb.bits | was.bits) & B_ORPHAN:
        eng.orphans += counts_as_orphan(tcb.state, tcb.bits) - counts_as_orphan(was.state, was.bits)
        eng.time_wait_like += is_time_wait_like(tcb.state, tcb.bits, &eng.knobs) - is_time_wait_like(was.state, was.bits, &eng.knobs)


cdef void leave_half_open(EngineState* eng, const Tcb* tcb, const PriorState* was) noexcept nogil:
    eng.half_open -= 1
    half_open_removed(&eng.listeners, tcb.listener, was.bits & B_MATURE)


cdef void join_accept_queue(EngineState* eng, uint32_t slot, const PriorState* was, int64_t now) noexcept nogil:
    """A half-open entry has become a connection."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    leave_half_open(eng, tcb, was)
    count(&eng.counters, Mib.SynQueueEstablished)
    enqueue(eng, slot, now)


cdef void enqueue(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """A new connection waits for accept(), or is on its own where the application accepts at once."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener = listener_at(&eng.listeners, tcb.listener)
    if not listener.auto_accept and accept_queue_push(&eng.listeners, tcb.listener, slot + 1):
        tcb.bits |= B_QUEUED
        eng.queued += 1
    events_add(&eng.events, handle_of(eng, slot), now, tcb.listener, EV_ESTABLISHED, 0, tcb.state)


cdef void destroy(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
               int64_t now) noexcept nogil:
    """The connection is over: out of the flow table, and out of memory unless somebody holds it."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    flow_remove(&eng.flows, was.hash if was.hashed else tcb_hash(eng, tcb), slot + 1)
    if tcb.bits & B_EPHEMERAL:
        ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
    if was.state == TIME_WAIT:                        # has neither in its cold line: leave that alone
        stop_timer(eng, slot)
    else:
        disarm(eng, slot)
        if tcb.bits & B_COLD and cold.ranges:
            range_pool_give(&eng.ranges, cold.ranges)
            cold.ranges = 0
    eng.counts[was.state] -= 1
    if was.bits & B_ORPHAN:
        eng.orphans -= counts_as_orphan(was.state, was.bits)
        eng.time_wait_like -= is_time_wait_like(was.state, was.bits, &eng.knobs)
    if was.state == ESTABLISHED or was.state == CLOSE_WAIT:
        count(&eng.counters, Mib.EstabResets)
    if cause != NoCause:
        eng.counters.causes[cause] += 1
    events_add(&eng.events, handle_of(eng, slot), now, tcb.listener,
                EV_LOST if cause != NoCause else EV_CLOSED, cause, CLOSED)
    tcb.state = CLOSED
    if tcb.bits & (B_HELD | B_QUEUED):
        if error:
            use_cold(tcb, cold)
            cold.error = error
        eng.held_dead += 1
    else:
        pool_give(&eng.pool, slot)


cdef void destroy_half_open(EngineState* eng, uint32_t slot, const PriorState* was, uint8_t cause, uint8_t error,
                         int64_t now) noexcept nogil:
    leave_half_open(eng, &eng.pool.blocks[slot], was)
    if cause == CauseSynQueueEvicted:
        count(&eng.counters, Mib.SynQueueEvicted)
    elif cause == CauseSynQueueExpired:
        count(&eng.counters, Mib.SynQueueExpired)
    elif cause == CauseEmbryonicReset:
        count(&eng.counters, Mib.SynQueueReset)
    elif cause == CauseListenerClosed:
        count(&eng.counters, Mib.SynQueueListenerClosed)
    else:
        count(&eng.counters, Mib.SynQueueAborted)
    destroy(eng, slot, was, cause, error, now)


cdef inline bint in_pool(const EngineState* eng, const Ranges* ranges) noexcept nogil:
    return eng.ranges.records <= ranges < eng.ranges.records + eng.ranges.capacity


cdef inline void update_timers(EngineState* eng, uint32_t slot, const PriorState* was, const Action* act,
                          int64_t now) noexcept nogil:
    """What every block that lives on needs: its ranges, its timers, its place in the counts."""
    if not ranges_empty(act.ranges) or in_pool(eng, act.ranges):
        keep_ranges(eng, slot, act)
    set_timers(eng, slot, act, now)
    count_change(eng, &eng.pool.blocks[slot], was)


cdef inline void apply_action(EngineState* eng, uint32_t slot, const PriorState* was, Action* act,
                        int64_t now) noexcept nogil:
    """Do what the action says; act.n_rows rows stay in the output."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if likely(not act.effects and not act.challenge and was.state != SYN_RECEIVED and tcb.state != TIME_WAIT):
        update_timers(eng, slot, was, act, now)
    else:
        apply_effects(eng, slot, was, act, now)


cdef void apply_effects(EngineState* eng, uint32_t slot, const PriorState* was, Action* act,
                        int64_t now) noexcept nogil:
    """The same where something happens that others must hear of."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef bint embryo = was.state == SYN_RECEIVED and was.bits & B_PASSIVE
    if act.challenge:
        if challenge_allowed(eng, now):
            count(&eng.counters, Mib.TCPChallengeACK)
        else:
            act.n_rows = 0
    if act.effects & E_DEAD:
        if embryo and not act.effects & E_ACCEPT:
            destroy_half_open(eng, slot, was, act.cause, act.error, now)
        else:
            if embryo:
                join_accept_queue(eng, slot, was, now)
            destroy(eng, slot, was, act.cause, act.error, now)
        return
    if act.effects & (E_REOPEN | E_START_OVER):
        return
    if embryo:
        if act.effects & E_ACCEPT:
            join_accept_queue(eng, slot, was, now)
        elif tcb.bits & B_MATURE and not was.bits & B_MATURE:
            half_open_matured(listener_at(&eng.listeners, tcb.listener))
    elif act.effects & E_OPENED:
        events_add(&eng.events, handle_of(eng, slot), now, 0, EV_ESTABLISHED, 0, tcb.state)
    update_timers(eng, slot, was, act, now)
    if tcb.state == TIME_WAIT and was.state != TIME_WAIT:
        events_add(&eng.events, handle_of(eng, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)


cdef void end_quietly(EngineState* eng, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil:
    """Remove a block that the law was not asked about."""
    cdef PriorState was
    save_state(&was, &eng.pool.blocks[slot])
    if was.state == SYN_RECEIVED and was.bits & B_PASSIVE:
        destroy_half_open(eng, slot, &was, cause, 0, now)
    else:
        destroy(eng, slot, &was, cause, 0, now)


# --- segments --------------------------------------------------------------------------------

cdef void refuse(EngineState* eng, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil:
    eng.counters.causes[cause] += 1
    events_add(&eng.events, 0, now, listener, EV_REFUSED, cause, CLOSED)


cdef Pressure pressure_on(const EngineState* eng, const Listener* listener) noexcept nogil:
    """What a policy may know of a listener's queues; the rest is as if nothing were wrong."""
    cdef Pressure pressure
    pressure.backlog = listener.backlog
    pressure.half_open = listener.half_open
    pressure.young = listener.young
    pressure.accept_full = accept_queue_full(listener)
    pressure.bucket_full = False
    pressure.paused = False
    pressure.proven = False
    return pressure


cdef uint32_t queue_of(const EngineState* eng, const Segment* seg, uint32_t id) noexcept nogil:
    """Where the order book has, or will have, this peer's half-open entry."""
    if eng.eviction_scope == EVICT_PER_BUCKET:
        return eviction_bucket(eng.bucket_k0, eng.bucket_k1, seg.src, seg.sport, seg.dport)
    return id


cdef bint evict(EngineState* eng, uint32_t queue, bint random, int64_t now) noexcept nogil:
    """End an entry of a full queue to make room; False when the book has none."""
    cdef uint32_t victim
    if random:
        eng.draws += 1
        victim = eviction_random(&eng.eviction, queue, siphash24_1(eng.random_key, KEY_RANDOM, eng.draws))
    else:
        victim = eviction_oldest(&eng.eviction, queue)
    if victim:
        end_quietly(eng, victim - 1, CauseSynQueueEvicted, now)
    return victim != 0


cdef void pause_cache(EngineState* eng, int64_t now) noexcept nogil:
    """FreeBSD: from now on cookies only. Every entry goes; its ACK may still come back as a cookie's."""
    cdef uint32_t queue, victim
    pause_begin(&eng.pause, now)
    count(&eng.counters, Mib.SynCachePauses)
    for queue in range(SYNCACHE_BUCKETS):
        while True:
            victim = eviction_oldest(&eng.eviction, queue)
            if victim == 0:
                break
            expect_cookies(listener_at(&eng.listeners, eng.pool.blocks[victim - 1].listener), now)
            end_quietly(eng, victim - 1, CauseSynQueueEvicted, now)


cdef void expect_cookies(Listener* listener, int64_t now) noexcept nogil:
    listener.cookie_until = now + <int64_t>COOKIE_LIFE_S * 1_000_000_000


cdef inline bint has_room(const EngineState* eng, const Listener* listener) noexcept nogil:
    """This listener takes one more half-open entry: there is no need to ask `admitted`."""
    return (eng.eviction_scope == EVICT_NEVER and listener.half_open <= listener.backlog
            and not accept_queue_full(listener) and policy_has_room(&eng.knobs))


cdef bint admitted(EngineState* eng, Listener* listener, uint32_t id, uint32_t queue, bint reopened, bint* cookie,
                   int64_t now) noexcept nogil:
    """May this listener take one more half-open entry, or answer with a cookie? Makes room where the policy
    says so, counts the refusal where it does not. What reopens a TIME-WAIT needs no leave of a full queue."""
    cdef Pressure pressure = pressure_on(eng, listener)
    cdef Verdict verdict
    if eng.eviction_scope == EVICT_PER_BUCKET:
        pressure.paused = now < eng.pause.until
        pressure.bucket_full = not pressure.paused and eviction_full(&eng.eviction, queue, SYNCACHE_BUCKET_LIMIT)
    verdict = policy_admit(&pressure, &eng.knobs)
    if verdict == EVICT_OLDEST or verdict == EVICT_RANDOM:
        verdict = ADMIT if evict(eng, queue, verdict == EVICT_RANDOM, now) else REFUSE_QUEUE_FULL
    elif verdict == PAUSE and not reopened:
        pause_cache(eng, now)
        verdict = ADMIT_COOKIE
    cookie[0] = verdict == ADMIT_COOKIE and not reopened
    if verdict == REFUSE_ACCEPT_FULL:
        count(&eng.counters, Mib.ListenOverflows)
        refuse(eng, CauseAcceptQueueFull, id, now)
    elif cookie[0]:
        count(&eng.counters, Mib.TCPReqQFullDoCookies)
        return True
    elif reopened or verdict == ADMIT:
        return True
    elif verdict == REFUSE_RESERVE:
        refuse(eng, CauseSynQueueReserve, id, now)
    else:
        count(&eng.counters, Mib.TCPReqQFullDrop)
        refuse(eng, CauseSynQueueFull, id, now)
    count(&eng.counters, Mib.ListenDrops)
    return False


cdef inline void fill_passive_tuple(Tcb* tcb, const Segment* seg, uint32_t id,
                            const Listener* listener) noexcept nogil:
    """A passive block's 4-tuple and listener."""
    tcb.raddr = seg.src
    tcb.laddr = seg.dst
    tcb.rport = seg.sport
    tcb.lport = seg.dport
    tcb.listener = <uint16_t>id
    if listener.auto_close:
        tcb.bits |= B_AUTO_CLOSE


cdef uint32_t own_buffer(const EngineState* eng, uint32_t size, bint stamped) noexcept nogil:
    """A window as open_passive wants it: 0 where it is the knob's own."""
    return size if size != (eng.knobs.rcv_buf_stamped if stamped else eng.knobs.rcv_buf) else 0


cdef inline uint32_t buffer_for(const EngineState* eng, const Listener* listener, bint stamped) noexcept nogil:
    """The window of a connection of this listener."""
    if listener.rcv_buf == 0:
        return 0
    stamped = stamped and eng.knobs.tcp_timestamps
    return own_buffer(eng, rounded(&eng.knobs, listener.rcv_buf, eng.knobs.mss, stamped), stamped)


cdef uint32_t cookie_buffer(const EngineState* eng, const Listener* listener,
                            const CookieOptions* told) noexcept nogil:
    """The same where a cookie came back: Linux then rounds to the MSS it tells, timestamps or not."""
    cdef uint32_t size = listener.rcv_buf if listener.rcv_buf else eng.knobs.rcv_buf_whole
    cdef bint stamped = told.opts & OPT_TS
    if eng.knobs.window_rounding != ROUND_DOWN:
        return buffer_for(eng, listener, stamped)
    return own_buffer(eng, rounded(&eng.knobs, size, told.mss, False), stamped)


cdef bint many_syns(const Segment* segs, Py_ssize_t n) noexcept nogil:
    """A quarter of the next ones at least: hashing all at once is cheaper than each of these alone."""
    cdef Py_ssize_t i, syns = 0, look = least(n, SIPHASH_BATCH // 4)
    for i in range(look):
        syns += segs[i].flags & (SYN | ACK) == SYN
    return 4 * syns >= look


cdef inline Py_ssize_t isn_batch_find(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil:
    """Where isns and ts_offsets have this segment's, -1 nowhere. They are worked out when the first SYN asks,
    for the SIPHASH_BATCH segments from it on."""
    cdef Py_ssize_t at = seg - eng.batch - eng.numbered
    if likely(0 <= at < eng.numbered_n):
        return at
    return isn_batch_compute(eng, seg, now)


cdef Py_ssize_t isn_batch_compute(EngineState* eng, const Segment* seg, int64_t now) noexcept nogil:
    """The same where they are still to be worked out."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef Py_ssize_t at = seg - eng.batch, i, n
    if eng.batch == NULL or at < eng.numbered or at >= eng.batch_n:
        return -1
    n = least(eng.batch_n - at, SIPHASH_BATCH)
    if not many_syns(seg, n):
        return -1
    for i in range(n):
        first[i] = tuple_first(seg[i].src, seg[i].dst)
        last[i] = tuple_last(seg[i].sport, seg[i].dport)
    isn_batch_fill(eng, first, last, n, now, 0)
    eng.numbered = at
    eng.numbered_n = n
    return 0


cdef void isn_batch_fill(EngineState* eng, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                      Py_ssize_t at) noexcept nogil:
    """First numbers and timestamp offsets of n <= SIPHASH_BATCH 4-tuples, as far as they are hashes, from `at` on."""
    if isn_hashes(&eng.isn):
        isn_many(&eng.isn, first, last, n, now, eng.isns + at)
    if eng.knobs.tcp_timestamps == 1:
        isn_ts_many(&eng.isn, first, n, eng.ts_offsets + at)


cdef inline uint32_t ts_offset_for(EngineState* eng, const Segment* seg, Py_ssize_t numbers) noexcept nogil:
    if not seg.opts & OPT_TS or eng.knobs.tcp_timestamps != 1:
        return 0
    return eng.ts_offsets[numbers] if numbers >= 0 else isn_ts_offset(&eng.isn, seg.dst, seg.src)


cdef uint32_t send_cookie(EngineState* eng, const Segment* seg, uint32_t id, int64_t now,
                          Segment* rows) noexcept nogil:
    """Answer a SYN and keep nothing: the half-open entry lives on the stack and in the ISN."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef Tcb tcb
    cdef Cold cold
    cdef Timestamps stamp
    cdef CookieOptions agreed
    cdef Segment heard = seg[0]
    cdef uint32_t offset = ts_offset_for(eng, seg, isn_batch_find(eng, seg, now))
    cookie_agree(&eng.cookies, seg, &agreed)
    heard.opts &= agreed.opts | OPT_MSS
    count_n(&eng.counters, Mib.SyncookiesLostOptions, options_in(cookie_lost(&eng.cookies, seg, &agreed)))
    memset(&tcb, 0, sizeof(Tcb))
    fill_passive_tuple(&tcb, seg, id, listener)
    open_passive(&tcb, &cold, &stamp, &heard, &eng.knobs, now, cookie_make(&eng.cookies, seg, now), offset,
                 buffer_for(eng, listener, heard.opts & OPT_TS), rows)
    if tcb.bits & B_TS:
        rows[0].tsval = cookie_tsval(&eng.cookies, &agreed, clock_ms(now)) + offset
    expect_cookies(listener, now)
    count(&eng.counters, Mib.SyncookiesSent)
    count_n(&eng.counters, Mib.SynPayloadIgnored, seg.payload_len)
    return 1


cdef uint32_t options_in(uint8_t opts) noexcept nogil:
    return (opts & 1) + (opts >> 1 & 1) + (opts >> 2 & 1) + (opts >> 3 & 1)


cdef bint cookie_back(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t now, Segment* rows,
                      uint32_t* n_rows) noexcept nogil:
    """An ACK to a listener that has sent cookies lately: True when it was one and has been dealt with."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef CookieOptions told
    cdef uint32_t offset, ref
    n_rows[0] = 0
    if not eng.knobs.tcp_syncookies or now > listener.cookie_until:
        return False
    offset = ts_offset_for(eng, seg, isn_batch_find(eng, seg, now))
    if not cookie_read(&eng.cookies, seg, offset, now, &told):
        count(&eng.counters, Mib.SyncookiesFailed)
        return False
    count(&eng.counters, Mib.SyncookiesRecv)
    ref = 0
    if accept_queue_full(listener):
        count(&eng.counters, Mib.ListenOverflows)
        refuse(eng, CauseAcceptQueueFull, id, now)
    else:
        ref = pool_take(&eng.pool)
        if ref == 0:
            count(&eng.counters, Mib.BlocksExhausted)
            refuse(eng, CauseBlocksExhausted, id, now)
    if ref == 0:
        count(&eng.counters, Mib.ListenDrops)
    else:
        n_rows[0] = open_by_cookie(eng, seg, hash, ref - 1, id, &told, offset, now, rows)
    return True


cdef uint32_t open_by_cookie(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t slot, uint32_t id,
                             const CookieOptions* told, uint32_t offset, int64_t now,
                             Segment* rows) noexcept nogil:
    """A connection out of nothing but a good cookie; it never was half-open here."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Action act
    cdef Ranges scratch
    cdef PriorState was
    begin_action(eng, &act, &scratch, slot, rows)
    fill_passive_tuple(tcb, seg, id, listener)
    tcb.mss = told.mss
    tcb.bits |= (B_TS if told.opts & OPT_TS else 0) | (B_SACK if told.opts & OPT_SACK_OK else 0)
    if told.opts & OPT_WSCALE:
        tcb.bits |= B_WSCALE
        tcb.wscale = told.wscale
    tcb.state = ESTABLISHED
    save_state(&was, tcb)
    eng.counts[ESTABLISHED] += 1
    flow_insert(&eng.flows, hash, slot + 1)
    open_cookie(tcb, &eng.pool.colds[slot], seg, &eng.knobs, now, offset,
                cookie_buffer(eng, listener, told), &act)
    enqueue(eng, slot, now)
    apply_action(eng, slot, &was, &act, now)
    return act.n_rows


cdef inline uint32_t first_number(EngineState* eng, const Segment* seg, Py_ssize_t numbers,
                                  int64_t now) noexcept nogil:
    """The ISS of a half-open entry. Where entries may be dropped to come back as cookies, it is one: those of
    FreeBSD have all they say in this number."""
    if policy_pauses(&eng.knobs) and eng.cookies.rule == COOKIE_FREEBSD:
        return cookie_make(&eng.cookies, seg, now)
    if isn_hashes(&eng.isn) and numbers >= 0:
        return eng.isns[numbers]
    return isn_make(&eng.isn, seg.dst, seg.dport, seg.src, seg.sport, now)


cdef uint32_t open_half(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t iss, int64_t now,
                        Segment* rows) noexcept nogil:
    """A SYN for LISTEN becomes a half-open entry if the queue admits it; iss >= 0 reopens a TIME-WAIT."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef uint32_t ref, timeout, queue = 0
    cdef Py_ssize_t numbers
    cdef Tcb* tcb
    cdef bint cookie
    if not (eng.predicting and has_room(eng, listener)):
        queue = queue_of(eng, seg, id)
        if not admitted(eng, listener, id, queue, iss >= 0, &cookie, now):
            return 0
        if cookie:
            return send_cookie(eng, seg, id, now, rows)
    ref = pool_take(&eng.pool)
    if ref == 0:
        count(&eng.counters, Mib.ListenDrops)
        count(&eng.counters, Mib.BlocksExhausted)
        refuse(eng, CauseBlocksExhausted, id, now)
        return 0
    tcb = &eng.pool.blocks[ref - 1]
    fill_passive_tuple(tcb, seg, id, listener)
    numbers = isn_batch_find(eng, seg, now)
    if iss < 0:
        iss = first_number(eng, seg, numbers, now)
    timeout = open_passive(tcb, &eng.pool.colds[ref - 1], &eng.pool.stamps[ref - 1], seg, &eng.knobs, now,
                           <uint32_t>iss, ts_offset_for(eng, seg, numbers),
                           buffer_for(eng, listener, seg.opts & OPT_TS), rows)
    if seg.payload_len or seg.flags & FIN:
        more_than_syn(eng, ref - 1, seg)
    flow_insert(&eng.flows, hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_RECEIVED] += 1
    eng.half_open += 1
    half_open_added(listener)
    if eng.eviction_scope != EVICT_NEVER:
        eviction_add(&eng.eviction, queue, ref)
    count(&eng.counters, Mib.SynQueueAdded)
    events_add(&eng.events, handle_of(eng, ref - 1), now, id, EV_OPENED, 0, SYN_RECEIVED)
    return 1


cdef void more_than_syn(EngineState* eng, uint32_t slot, const Segment* seg) noexcept nogil:
    """Text or a FIN came with the SYN of this half-open entry."""
    cdef Action act
    cdef Ranges scratch
    begin_action(eng, &act, &scratch, slot, NULL)
    open_text(&eng.pool.blocks[slot], &eng.pool.colds[slot], seg, &eng.knobs, &act)
    if not ranges_empty(act.ranges):
        keep_ranges(eng, slot, &act)


cdef bint is_martian(const Segment* seg) noexcept nogil:
    """From or to an address no connection can have: this-host, multicast, broadcast (MUST-57, MUST-63)."""
    return seg.src - 1 >= <uint32_t>0xDFFFFFFF or seg.dst - 1 >= <uint32_t>0xDFFFFFFF


cdef inline uint32_t listener_for(EngineState* eng, const Segment* seg) noexcept nogil:
    """listener_find, which mostly finds the one it found last."""
    cdef const Listener* last
    if eng.last_listener:
        last = listener_at(&eng.listeners, eng.last_listener)
        if (last.state == LISTENER_OPEN and last.port == seg.dport
                and (last.addr == seg.dst or (last.addr == 0 and eng.listeners.n_exact == 0))):
            return eng.last_listener
    eng.last_listener = listener_find(&eng.listeners, seg.dst, seg.dport)
    return eng.last_listener


cdef uint32_t has_no_connection(EngineState* eng, const Segment* seg, uint32_t hash, int64_t now,
                      Segment* rows) noexcept nogil:
    """No block has this 4-tuple: LISTEN or CLOSED."""
    cdef Action act
    cdef ListenVerdict verdict
    cdef uint32_t id, n_rows
    if is_martian(seg):
        count(&eng.counters, Mib.InErrs)
        return 0
    id = listener_for(eng, seg)
    if likely(id):
        verdict = in_listen(seg, &eng.knobs)
        if likely(verdict == LISTEN_OPEN):
            return open_half(eng, seg, hash, id, -1, now, rows)
        if seg.flags & (SYN | RST | ACK) == ACK and cookie_back(eng, seg, hash, id, now, rows, &n_rows):
            return n_rows
        if verdict == LISTEN_DROP:
            return 0
    memset(&act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &eng.counters
    if id == 0:
        in_closed(seg, &eng.knobs, &act)
    else:
        put_answering_rst(seg, &act)
    return act.n_rows


cdef inline uint32_t find_connection(const EngineState* eng, const Segment* seg, uint32_t hash,
                              uint32_t hint) noexcept nogil:
    """Who has this 4-tuple, 0 nobody. The hint stands if its block is alive and still has it: no two have."""
    cdef const Tcb* tcb = tcb_or_any(eng, hint)
    if hint and flow_differs(tcb, seg) == 0 and tcb.state != CLOSED:
        return hint
    return flow_find_segment(&eng.flows, hash, seg)


cdef uint32_t arrives(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t hint, int64_t now,
                      Segment* rows) noexcept nogil:
    """One segment, whoever it is for; returns the rows written, two at most."""
    cdef uint32_t ref = find_connection(eng, seg, hash, hint), n_rows
    if ref == 0:
        pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
        return has_no_connection(eng, seg, hash, now, rows)
    if eng.predicting and predicted(eng, ref - 1, seg, hash, now, rows, &n_rows):
        return n_rows
    return has_connection(eng, ref - 1, seg, hash, now, rows)


cdef inline bint may_predict(EngineState* eng, const Tcb* tcb) noexcept nogil:
    """What of the rest of the engine could make the law decide otherwise."""
    cdef const Listener* listener
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        return listener.state == LISTENER_OPEN and not accept_queue_full(listener)
    if tcb.state == FIN_WAIT_1:
        return eng.counts[TIME_WAIT] + eng.time_wait_like < eng.knobs.tcp_max_tw_buckets
    return True


cdef inline bint predicted(EngineState* eng, uint32_t slot, const Segment* seg, uint32_t hash, int64_t now,
                           Segment* rows, uint32_t* n_rows) noexcept nogil:
    """True: the segment was the expected one, and what apply_action() would do for it has been done."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef PriorState was
    cdef Predicted what
    cdef uint32_t timeout
    if not may_predict(eng, tcb):
        return False
    save_state_hashed(&was, tcb, hash)
    what = predict_segment(tcb, &eng.pool.colds[slot], &eng.pool.stamps[slot], seg, &eng.knobs, now,
                           &eng.counters, rows, &timeout)
    n_rows[0] = 0
    if what == PREDICT_NOT:
        return False
    eng.predicted += 1
    if what == PREDICT_ACCEPTED:
        join_accept_queue(eng, slot, &was, now)
        stop_timer(eng, slot)
    elif what == PREDICT_OPENED:
        n_rows[0] = 1
        events_add(&eng.events, handle_of(eng, slot), now, 0, EV_ESTABLISHED, 0, ESTABLISHED)
        stop_timer(eng, slot)
    elif what == PREDICT_PEER_CLOSED:
        n_rows[0] = 1
    elif what == PREDICT_BOTH_CLOSED:
        n_rows[0] = 1
        arm(eng, slot, T_REXMT, tick_up(now) + timeout)
    elif what == PREDICT_FIN_ACKED:
        if tcb.bits & B_ORPHAN:
            arm(eng, slot, T_FIN_WAIT_2, tick_up(now) + timeout)
        else:
            stop_timer(eng, slot)
    elif what == PREDICT_TIME_WAIT:
        n_rows[0] = 1
        arm(eng, slot, T_TIME_WAIT, tick_up(now) + timeout)
        events_add(&eng.events, handle_of(eng, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)
    else:
        destroy(eng, slot, &was, NoCause, 0, now)
        return True
    count_change(eng, tcb, &was)
    return True


cdef uint32_t has_connection(EngineState* eng, uint32_t slot, const Segment* seg, uint32_t hash, int64_t now,
                    Segment* rows) noexcept nogil:
    """The law's word on a segment for this block."""
    cdef uint32_t id
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener
    cdef Action act
    cdef Ranges scratch
    cdef PriorState was
    begin_action(eng, &act, &scratch, slot, rows)
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        if listener.state != LISTENER_OPEN:
            end_quietly(eng, slot, CauseListenerClosed, now)
            return has_no_connection(eng, seg, hash, now, rows)
        act.auto_accept = listener.auto_accept
        act.accept_full = accept_queue_full(listener)
    elif tcb.state == TIME_WAIT and seg.flags & SYN:
        act.listening = listener_find(&eng.listeners, seg.dst, seg.dport) != 0
    save_state_hashed(&was, tcb, hash)
    segment_arrives(tcb, &eng.pool.colds[slot], seg, &eng.knobs, now, &act)
    apply_action(eng, slot, &was, &act, now)
    if act.effects & E_REOPEN:
        count(&eng.counters, Mib.TWRecycled)
        end_quietly(eng, slot, NoCause, now)
        if in_listen(seg, &eng.knobs) == LISTEN_OPEN:
            id = listener_find(&eng.listeners, seg.dst, seg.dport)
            return open_half(eng, seg, hash, id, act.iss, now, rows)
    elif act.effects & E_START_OVER:
        count_n(&eng.counters, Mib.TWRecycled, act.listening)
        end_quietly(eng, slot, NoCause, now)
        return has_no_connection(eng, seg, hash, now, rows)
    return act.n_rows


cdef Py_ssize_t receive_batch(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                             Segment* rows) noexcept nogil:
    """SEGMENT ARRIVES for each in order; rows has room for 2 n. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    while done < n:
        part = least(n - done, STRIDE)
        flow_hash_batch(&eng.flows, segs + done, part, eng.hashes)
        eng.batch = segs + done
        eng.batch_n = part
        eng.numbered = eng.numbered_n = 0
        start_ahead(eng, segs + done, part)
        for i in range(part):
            look_ahead(eng, segs + done, i, part)
            written += arrives(eng, &segs[done + i], eng.hashes[i], eng.owners[i], now, rows + written)
        done += part
    eng.batch = NULL
    count_n(&eng.counters, Mib.InSegs, n)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


# --- time ------------------------------------------------------------------------------------

cdef struct Hint:
    # a hash worked out early, and whose
    uint32_t ref
    uint32_t hash


cdef uint32_t fire(EngineState* eng, uint32_t slot, const Hint* hint, int64_t now, Segment* rows) noexcept nogil:
    """The timer of this block has run out; at most one row."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef PriorState was
    if likely(hint.ref == slot + 1):
        save_state_hashed(&was, tcb, hint.hash)
    else:
        save_state(&was, tcb)
    if tcb.timer == T_TIME_WAIT and eng.predicting:
        tcb.timer = T_NONE
        destroy(eng, slot, &was, NoCause, 0, now)
        return 0
    return fire_any(eng, slot, &was, now, rows)


cdef uint32_t fire_any(EngineState* eng, uint32_t slot, PriorState* was, int64_t now, Segment* rows) noexcept nogil:
    """The law's word on a timer."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef Cold* cold = &eng.pool.colds[slot]
    cdef uint8_t kind = tcb.timer, most = 0
    cdef uint32_t number
    cdef Burst* burst = NULL
    cdef Listener* listener
    cdef Pressure pressure
    cdef Action act
    cdef Ranges scratch
    tcb.timer = T_NONE
    if tcb.bits & B_COLD and cold.later_timer != T_NONE:
        arm(eng, slot, cold.later_timer, full_tick(eng, cold.later))
        cold.later_timer = T_NONE
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = listener_at(&eng.listeners, tcb.listener)
        if listener.state != LISTENER_OPEN:
            end_quietly(eng, slot, CauseListenerClosed, now)
            return 0
        pressure = pressure_on(eng, listener)
        number = policy_burst(&eng.knobs, now)
        if number:
            burst = listener_burst(&eng.listeners, tcb.listener, number)
            pressure.half_open = burst.half_open
            pressure.young = burst.young
        most = policy_synack_retries(&pressure, &eng.knobs)
    begin_action(eng, &act, &scratch, slot, rows)
    timer_expired(tcb, cold, kind, most, &eng.knobs, now, &act)
    if burst != NULL:
        burst_update(burst, act.effects & E_DEAD, not was.bits & B_MATURE)
    apply_action(eng, slot, was, &act, now)
    return act.n_rows


cdef inline void fire_ahead(EngineState* eng, Hint* hints, uint32_t turn) noexcept nogil:
    """For timers: blocks 14 early, flow table heads, timestamps and cold lines 8, chains 4."""
    cdef uint32_t ref = wheel_ahead(&eng.wheel, 14)
    cdef Hint* hint = &hints[(turn + 8) & 15]
    if ref:
        prefetch(&eng.pool.blocks[ref - 1])
    hint.ref = wheel_ahead(&eng.wheel, 8)
    if hint.ref:
        hint.hash = tcb_hash(eng, &eng.pool.blocks[hint.ref - 1])
        flow_ahead_head(&eng.flows, hint.hash)
        if eng.pool.blocks[hint.ref - 1].state != TIME_WAIT:
            if eng.knobs.tcp_timestamps:
                prefetch(&eng.pool.stamps[hint.ref - 1])
            if eng.pool.blocks[hint.ref - 1].bits & B_COLD:
                prefetch(&eng.pool.colds[hint.ref - 1])
    flow_ahead_first(&eng.flows, hints[(turn + 4) & 15].hash)


cdef Py_ssize_t advance_to(EngineState* eng, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil:
    """Fire what is due at or before now, in order, until rows has no room. Returns the rows written."""
    cdef Py_ssize_t written = 0
    cdef int64_t when, limit = now // TICK_NS
    cdef uint32_t ref, turn = 0
    cdef Hint hints[16]
    memset(hints, 0, sizeof(hints))
    while written < room:
        ref = wheel_pop(&eng.wheel, limit, &when)
        if ref == 0:
            break
        fire_ahead(eng, hints, turn)
        written += fire(eng, ref - 1, &hints[turn & 15], when * TICK_NS, rows + written)
        turn += 1
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


# --- calls -------------------------------------------------------------------------------------

cdef struct ConnectRequest:
    # one connect(), in the numbers of the wire
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: choose one
    int64_t iss               # -1: make one
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's


cdef bint tw_reusable(const EngineState* eng, uint32_t laddr) noexcept nogil:
    """tcp_tw_reuse: 1 always, 2 on loopback."""
    return eng.knobs.tcp_tw_reuse == 1 or (eng.knobs.tcp_tw_reuse == 2 and laddr >> 24 == 127)


cdef bint may_take_over(const EngineState* eng, uint32_t slot, uint32_t laddr, bint chosen,
                        int64_t now) noexcept nogil:
    """connect() over a TIME-WAIT: with timestamps the old incarnation's segments can be told apart
    (RFC 6191). A port the caller insists on is taken at once, one that we choose by tcp_tw_reuse."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    if tcb.state != TIME_WAIT or not tcb.bits & B_TS:
        return False
    if not chosen:
        return True
    return (tw_reusable(eng, laddr)
            and clock_ms(now) - eng.pool.stamps[slot].recent_at >= eng.knobs.tcp_tw_reuse_delay)


cdef struct Spot:
    # where a new connection will stand in the flow table
    int32_t place             # in the port search; -1: the caller named the port
    uint16_t lport
    uint32_t hash
    uint32_t ref              # who stands there now, 0 nobody
    Py_ssize_t numbers        # where isns and ts_offsets have its, -1 nowhere
    PortSearch* search


cdef void probe_port(const EngineState* eng, const ConnectRequest* request, Py_ssize_t i, Spot* spot) noexcept nogil:
    """Fill hash and ref for spot.lport; where it is the port speculated, its numbers are those of number i."""
    if spot.lport == spot.search.speculated:
        spot.numbers = i
        spot.hash = eng.hashes[i]
    else:
        spot.numbers = -1
        spot.hash = flow_hash(&eng.flows, request.raddr, request.rport, request.laddr, spot.lport)
    spot.ref = flow_find(&eng.flows, spot.hash, request.raddr, request.rport, request.laddr, spot.lport)


cdef bint choose_port(EngineState* eng, const ConnectRequest* request, Py_ssize_t number, Spot* spot,
                      int64_t now) noexcept nogil:
    """Find a port that connect() may use (RFC 6056); False when there is none. Bounded by the range; what is
    known to be taken is walked only where it might be taken over."""
    cdef bint free = ports_begin(&eng.ports, spot.search)
    cdef bint reuse = eng.counts[TIME_WAIT] != 0 and tw_reusable(eng, request.laddr)
    cdef uint32_t i
    if not free and not reuse:
        return False
    for i in range(0 if reuse else spot.search.first, eng.ports.size):
        spot.lport = ports_candidate(&eng.ports, spot.search, i)
        probe_port(eng, request, number, spot)
        if spot.ref == 0 or may_take_over(eng, spot.ref - 1, request.laddr, True, now):
            spot.place = <int32_t>i
            return True
    return False


cdef uint64_t no_connection(EngineState* eng, Mib counter, uint8_t cause, int64_t now) noexcept nogil:
    count(&eng.counters, counter)
    refuse(eng, cause, 0, now)
    return 0


cdef uint64_t connect_one(EngineState* eng, const ConnectRequest* request, Py_ssize_t i, int64_t now, Segment* rows,
                           uint32_t* n_rows) noexcept nogil:
    """One active open, number i of those hashed; the handle, or 0 and a cause."""
    cdef int64_t iss = request.iss
    cdef uint32_t hash = eng.hashes[i]
    cdef Spot spot
    spot.hash = hash
    spot.numbers = i
    n_rows[0] = 0
    if request.lport < 0:
        spot.search = &eng.ports.searches[i]
        if not choose_port(eng, request, i, &spot, now):
            return no_connection(eng, Mib.PortsExhausted, CausePortsExhausted, now)
    else:
        spot.place = -1
        spot.lport = <uint16_t>request.lport
        spot.ref = flow_find(&eng.flows, hash, request.raddr, request.rport, request.laddr, spot.lport)
        if spot.ref and not may_take_over(eng, spot.ref - 1, request.laddr, False, now):
            return no_connection(eng, Mib.AddressInUse, CauseAddressInUse, now)
    if pool_is_empty(&eng.pool) and (
            spot.ref == 0 or eng.pool.blocks[spot.ref - 1].bits & (B_HELD | B_QUEUED)):
        return no_connection(eng, Mib.BlocksExhausted, CauseBlocksExhausted, now)
    if spot.ref:
        if iss < 0:
            iss = <uint32_t>(eng.pool.blocks[spot.ref - 1].snd_nxt + 65537)
            iss += iss == 0
        count(&eng.counters, Mib.TWRecycled)
        end_quietly(eng, spot.ref - 1, NoCause, now)
    return open_at(eng, request, &spot, iss, now, rows, n_rows)


cdef uint64_t open_at(EngineState* eng, const ConnectRequest* request, const Spot* spot, int64_t iss, int64_t now,
                      Segment* rows, uint32_t* n_rows) noexcept nogil:
    """A block, which there is, for a 4-tuple that is free, and its SYN."""
    cdef uint32_t ref = pool_take(&eng.pool), ts_offset = 0, timeout
    cdef Tcb* tcb
    expect(ref != 0)
    tcb = &eng.pool.blocks[ref - 1]
    tcb.raddr = request.raddr
    tcb.laddr = request.laddr
    tcb.rport = request.rport
    tcb.lport = spot.lport
    if iss < 0 and spot.numbers >= 0 and isn_hashes(&eng.isn):
        iss = eng.isns[spot.numbers]
    elif iss < 0:
        iss = isn_make(&eng.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport, now)
    if eng.knobs.tcp_timestamps == 1:
        ts_offset = (eng.ts_offsets[spot.numbers] if spot.numbers >= 0
                     else isn_ts_offset(&eng.isn, tcb.laddr, tcb.raddr))
    timeout = open_active(tcb, &eng.pool.colds[ref - 1], &eng.pool.stamps[ref - 1], &eng.knobs, now,
                          <uint32_t>iss, ts_offset,
                          request.rcv_buf if request.rcv_buf != eng.knobs.rcv_buf else 0, rows)
    if spot.place >= 0 and ports_taken(&eng.ports, spot.search, spot.place, spot.lport):
        tcb.bits |= B_EPHEMERAL
    flow_insert(&eng.flows, spot.hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_SENT] += 1
    n_rows[0] = 1
    events_add(&eng.events, handle_of(eng, ref - 1), now, 0, EV_OPENED, 0, SYN_SENT)
    return handle_of(eng, ref - 1)


cdef inline void read_connect_args(ConnectRequest* request, const ConnectArgs* wanted, Py_ssize_t at) noexcept nogil:
    request.raddr = wanted.dst[at * wanted.steps[0]]
    request.rport = wanted.dport[at * wanted.steps[1]]
    request.laddr = wanted.src[at * wanted.steps[2]]
    request.lport = wanted.sport[at * wanted.steps[3]]
    request.iss = wanted.isn[at * wanted.steps[4]]
    request.rcv_buf = wanted.rcv_buf[at * wanted.steps[5]]


cdef void speculate_ports(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t done, Py_ssize_t n) noexcept nogil:
    """Searches for n <= SIPHASH_BATCH openings whose ports are to be chosen."""
    cdef ConnectRequest request
    cdef Py_ssize_t i
    for i in range(n):
        read_connect_args(&request, wanted, done + i)
        eng.ports.searches[i].raddr = request.raddr
        eng.ports.searches[i].laddr = request.laddr
        eng.ports.searches[i].rport = request.rport
    ports_speculate(&eng.ports, n)


cdef void hash_connects(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t done, Py_ssize_t n,
                        int64_t now) noexcept nogil:
    """Hashes, first numbers and timestamp offsets of n <= STRIDE openings; of at most SIPHASH_BATCH, with the ports
    speculated, where ports are to be chosen."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef ConnectRequest request
    cdef Py_ssize_t start = 0, part, i
    while start < n:
        part = least(n - start, SIPHASH_BATCH)
        for i in range(part):
            read_connect_args(&request, wanted, done + start + i)
            first[i] = tuple_first(request.raddr, request.laddr)
            last[i] = tuple_last(request.rport, eng.ports.searches[i].speculated if request.lport < 0
                                 else <uint16_t>request.lport)
        siphash13_many(eng.flows.k0, eng.flows.k1, first, last, hashes, part)
        for i in range(part):
            eng.hashes[start + i] = <uint32_t>hashes[i]
        isn_batch_fill(eng, first, last, part, now, start)
        start += part


cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t n, int64_t now, uint64_t* conns,
                          Segment* rows) noexcept nogil:
    """Active opens in order, one row each at most; conns gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef bint chosen = n != 0 and wanted.sport[0] < 0
    cdef ConnectRequest request
    cdef uint32_t more
    while done < n:
        part = least(n - done, SIPHASH_BATCH if chosen else STRIDE)
        if chosen:
            speculate_ports(eng, wanted, done, part)
        hash_connects(eng, wanted, done, part, now)
        for i in range(part):
            pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
            flow_ahead(&eng.flows, eng.hashes, i, part)
            read_connect_args(&request, wanted, done + i)
            conns[done + i] = connect_one(eng, &request, i, now, rows + written, &more)
            written += more
        done += part
    count_n(&eng.counters, Mib.ActiveOpens, written)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef void release_dead(EngineState* eng, uint32_t slot) noexcept nogil:
    """Nobody holds this CLOSED block any longer."""
    eng.held_dead -= 1
    eng.pool.blocks[slot].bits = 0
    pool_give(&eng.pool, slot)


cdef uint32_t call_one(EngineState* eng, Call call, uint64_t conn, uint32_t nbytes, int64_t now, Segment* rows,
                        uint32_t* n_rows) noexcept nogil:
    """One application call on one handle; CALL_RECV returns the bytes taken."""
    cdef uint32_t ref = resolve_handle(eng, conn), slot, taken = 0, timeout
    cdef Tcb* tcb
    cdef Cold* cold
    cdef Action act
    cdef Ranges scratch
    cdef PriorState was
    n_rows[0] = 0
    if ref == 0:
        count(&eng.counters, Mib.StaleHandles)
        return 0
    slot = ref - 1
    tcb = &eng.pool.blocks[slot]
    cold = &eng.pool.colds[slot]
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and call != CALL_ABORT:
        return 0                                      # a half-open entry has no application yet
    if tcb.bits & B_ORPHAN and call != CALL_ABORT:
        return 0                                      # the application is gone
    if tcb.state == CLOSED and (call == CALL_CLOSE or call == CALL_ABORT):
        if not tcb.bits & B_QUEUED:
            release_dead(eng, slot)
        return 0
    save_state(&was, tcb)
    if call == CALL_CLOSE and eng.predicting and predict_close(tcb, cold, &eng.pool.stamps[slot],
                                                                &eng.knobs, now, rows, &timeout):
        arm(eng, slot, T_REXMT, tick_up(now) + timeout)
        count_change(eng, tcb, &was)
        eng.predicted += 1
        n_rows[0] = 1
        return 0
    begin_action(eng, &act, &scratch, slot, rows)
    if call == CALL_SEND:
        send_call(tcb, cold, nbytes, &eng.knobs, now, &act)
    elif call == CALL_RECV:
        taken = receive_call(tcb, cold, nbytes, &eng.knobs, now, &act)
    elif call == CALL_SHUTDOWN:
        shutdown_call(tcb, cold, &eng.knobs, now, &act)
    elif call == CALL_CLOSE:
        close_call(tcb, cold, &eng.knobs, now, &act)
    else:
        abort_call(tcb, cold, &eng.knobs, now, &act)
    if tcb.state != CLOSED:
        apply_action(eng, slot, &was, &act, now)
    n_rows[0] = act.n_rows
    return taken


cdef Py_ssize_t call_batch(EngineState* eng, Call call, const uint64_t* conns, Py_ssize_t n, const uint32_t* nbytes,
                           uint32_t* taken, int64_t now, Segment* rows) noexcept nogil:
    """The same call on each handle in order; nbytes and taken may be NULL. Returns the rows written."""
    cdef Py_ssize_t i, written = 0
    cdef uint32_t more, got, slot
    for i in range(n):
        if i + AHEAD < n:
            slot = <uint32_t>conns[i + AHEAD]
            if slot < eng.pool.capacity:
                prefetch(&eng.pool.blocks[slot])
                if eng.knobs.tcp_timestamps:
                    prefetch(&eng.pool.stamps[slot])
        got = call_one(eng, call, conns[i], nbytes[i] if nbytes != NULL else 0, now, rows + written, &more)
        written += more
        if taken != NULL:
            taken[i] = got
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef uint64_t bytes_queued(const EngineState* eng, uint64_t conn) noexcept nogil:
    """Bytes queued and not acknowledged, 0 for a connection that cannot send."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef const Tcb* tcb
    if ref == 0:
        return 0
    tcb = &eng.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND | OPENING) or not tcb.bits & B_COLD:
        return 0
    return <uint32_t>(eng.pool.colds[ref - 1].snd_end - tcb.snd_una)


cdef uint32_t rows_due_with(EngineState* eng, uint64_t conn, uint32_t nbytes) noexcept nogil:
    """Rows that sending nbytes more would emit now."""
    cdef uint32_t ref = resolve_handle(eng, conn)
    cdef Tcb tcb
    cdef Cold cold
    if ref == 0:
        return 0
    tcb = eng.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND) or tcb.bits & B_ORPHAN:
        return 0
    if tcb.bits & B_COLD:
        cold = eng.pool.colds[ref - 1]
    else:
        use_cold(&tcb, &cold)
    cold.snd_end += nbytes
    return rows_due(&tcb, &cold)


cdef uint64_t accept_one(EngineState* eng, uint16_t listener, int64_t now) noexcept nogil:
    """The oldest unaccepted connection of this listener, held from now on; 0 when there is none."""
    cdef uint32_t slot, ref = accept_queue_pop(&eng.listeners, listener)
    cdef Tcb* tcb
    if ref == 0:
        return 0
    slot = ref - 1
    ref = accept_queue_peek(listener_at(&eng.listeners, listener), ACCEPT_AHEAD)
    if ref:
        prefetch(&eng.pool.blocks[ref - 1])
    tcb = &eng.pool.blocks[slot]
    tcb.bits = (tcb.bits & ~B_QUEUED) | B_HELD
    eng.queued -= 1
    events_add(&eng.events, handle_of(eng, slot), now, listener, EV_ACCEPTED, 0, tcb.state)
    return handle_of(eng, slot)


cdef uint32_t close_listener(EngineState* eng, uint16_t listener, int64_t now, Segment* rows) noexcept nogil:
    """Close a listener; at most one row per unaccepted connection."""
    cdef uint32_t slot, written = 0
    cdef Action act
    cdef Ranges scratch
    cdef PriorState was
    cdef Tcb* tcb
    while True:
        slot = accept_queue_pop(&eng.listeners, listener)
        if slot == 0:
            break
        slot -= 1
        tcb = &eng.pool.blocks[slot]
        tcb.bits &= ~B_QUEUED
        eng.queued -= 1
        if tcb.state == CLOSED:
            release_dead(eng, slot)
            continue
        begin_action(eng, &act, &scratch, slot, rows + written)
        save_state(&was, tcb)
        abandon_call(tcb, &eng.pool.colds[slot], &eng.knobs, now, &act)
        apply_action(eng, slot, &was, &act, now)
        written += act.n_rows
    listener_close(&eng.listeners, listener)
    eng.counts[LISTEN] -= 1
    if eng.knobs.unlisten_forgets:
        forget_half_open(eng, listener, now)
    if eng.eviction_scope == EVICT_PER_LISTENER:
        eviction_forget(&eng.eviction, listener)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


cdef void forget_half_open(EngineState* eng, uint16_t listener, int64_t now) noexcept nogil:
    """Remove a closed listener's half-open entries at once; a walk over all blocks, as nothing lists them."""
    cdef uint32_t slot
    cdef Tcb* tcb
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and tcb.listener == listener:
            end_quietly(eng, slot, CauseListenerClosed, now)


cdef uint64_t lookup_handle(const EngineState* eng, uint32_t raddr, uint16_t rport, uint32_t laddr,
                          uint16_t lport) noexcept nogil:
    cdef uint32_t hash = flow_hash(&eng.flows, raddr, rport, laddr, lport)
    cdef uint32_t ref = flow_find(&eng.flows, hash, raddr, rport, laddr, lport)
    return handle_of(eng, ref - 1) if ref else 0
