# Applying what the law decides.
#
# Per segment: look the block up, let transition judge, then settle(): timers, counts, queues,
# death. The order of a batch is kept to the letter, so n segments in one batch do exactly
# what n batches of one do; the pipeline in front only asks memory for what will be needed.
# Invariants: counts[s] blocks are in state s; a block is in the flow table unless CLOSED; every
# half-open entry is counted by its listener. check.pyx walks them.
from libc.stdint cimport int32_t, uint8_t
from libc.string cimport memset

from tcpcore.action cimport *
from tcpcore.backlog cimport *
from tcpcore.block cimport *
from tcpcore.counters cimport *
from tcpcore.emit cimport is_brief, rounded, use_cold
from tcpcore.events cimport *
from tcpcore.flowtable cimport *
from tcpcore.handshake cimport open_active, open_passive
from tcpcore.intrin cimport PREDICTION, expect, likely, prefetch
from tcpcore.knobs cimport ROUND_DOWN
from tcpcore.isn cimport isn_hashes, isn_make, isn_many, isn_ts_many, isn_ts_offset
from tcpcore.lanes cimport LANES, siphash13_many, tuple_first, tuple_last
from tcpcore.policy cimport *
from tcpcore.openings cimport Openings
from tcpcore.pipeline cimport block_or_any, least, look_ahead, start_ahead
from tcpcore.ports cimport *
from tcpcore.predict cimport *
from tcpcore.ranges cimport *
from tcpcore.reassembly cimport Ranges, ranges_empty
from tcpcore.rto cimport clock_ms, tick_up
from tcpcore.segment cimport ACK, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, RST, SYN
from tcpcore.sending cimport rows_due
from tcpcore.syncookie cimport *
from tcpcore.synq cimport *
from tcpcore.siphash cimport derive_key, siphash24_1
from tcpcore.transition cimport *
from tcpcore.wheel cimport *

cdef enum:
    AHEAD = 32                # calls: prefetch distance of blocks
    ACCEPT_AHEAD = 64         # accept() does next to nothing with each
    UNLIMITED = 0x7FFFFFFF
    LISTENER_QUEUES = 65536   # of the order book, where each listener has one: ids are 16 bits
    COOKIE_LIFE_S = 120       # Linux TCP_SYNCOOKIE_VALID: how long after the last one they are looked for


cdef bint core_init(Core* core, uint64_t seed) noexcept nogil:
    """Build the organs for core.knobs and pool.capacity; False when memory is refused."""
    cdef uint32_t capacity = core.pool.capacity
    if not pool_init(&core.pool, capacity):
        return False
    core.random_key = derive_key(seed, KEY_RANDOM)
    core.challenge_second = -1
    core.predicting = PREDICTION
    core.bucket_k0 = derive_key(seed, KEY_BUCKETS)
    core.bucket_k1 = derive_key(seed, KEY_BUCKETS + 1)
    core.book = policy_book(&core.knobs)
    pause_init(&core.pause)
    return (flow_init(&core.flows, core.pool.blocks, capacity, derive_key(seed, KEY_FLOWS),
                      derive_key(seed, KEY_FLOWS + 1))
            and wheel_init(&core.wheel, core.pool.blocks, capacity)
            and ranges_init(&core.ranges, capacity)
            and backlog_init(&core.backlog)
            and (core.book == BOOK_NONE
                 or synq_init(&core.synq, core.pool.blocks, capacity,
                              SYNQ_BUCKETS if core.book == BOOK_BUCKETS else LISTENER_QUEUES)))


cdef void core_free(Core* core) noexcept nogil:
    events_free(&core.events)
    ports_free(&core.ports)
    synq_free(&core.synq)
    backlog_free(&core.backlog)
    ranges_free(&core.ranges)
    wheel_free(&core.wheel)
    flow_free(&core.flows)
    pool_free(&core.pool)


cdef size_t core_bytes(const Core* core) noexcept nogil:
    """Touched bytes of every array."""
    return (pool_bytes(&core.pool) + flow_bytes(&core.flows) + wheel_bytes(&core.wheel)
            + ranges_bytes(&core.ranges) + backlog_bytes(&core.backlog) + ports_bytes(&core.ports)
            + synq_bytes(&core.synq) + events_bytes(&core.events) + sizeof(Core))


cdef uint64_t handle_of(const Core* core, uint32_t slot) noexcept nogil:
    return <uint64_t>core.pool.blocks[slot].generation << 32 | slot


cdef uint32_t core_resolve(const Core* core, uint64_t conn) noexcept nogil:
    """slot + 1 of a live handle, 0 for a stale one."""
    cdef uint32_t slot = <uint32_t>conn
    cdef const Block* tcb
    if slot >= core.pool.capacity:
        return 0
    tcb = &core.pool.blocks[slot]
    if conn >> 32 == 0 or tcb.generation != conn >> 32:
        return 0
    return slot + 1 if tcb.state != CLOSED or tcb.bits & (B_HELD | B_QUEUED) else 0


cdef uint32_t block_hash(const Core* core, const Block* tcb) noexcept nogil:
    return flow_hash(&core.flows, tcb.raddr, tcb.rport, tcb.laddr, tcb.lport)


# --- random draws of the engine itself -----------------------------------------------------

cdef bint challenge_allowed(Core* core, int64_t now) noexcept nogil:
    """tcp_challenge_ack_limit: each second of now draws its own allowance around the limit, so that
    nobody can count it out (RFC 5961 7, CVE-2016-5696)."""
    cdef uint32_t limit = core.knobs.tcp_challenge_ack_limit
    cdef int64_t second = now // 1_000_000_000
    if limit == UNLIMITED or limit == 0:              # 0: Linux draws from all numbers then
        return True
    if second != core.challenge_second:
        core.challenge_second = second
        core.draws += 1
        core.challenge_left = (limit + 1) // 2 + <uint32_t>(
            siphash24_1(core.random_key, KEY_RANDOM, core.draws) % limit)
    if core.challenge_left == 0:
        return False
    core.challenge_left -= 1
    return True


# --- timers: the block's main and side timer on the one entry the wheel has for it ----------

cdef int64_t full_tick(const Core* core, uint32_t low) noexcept nogil:
    """The absolute tick of which a block keeps the low 32 bits."""
    return core.wheel.clock + <int32_t>(low - <uint32_t>core.wheel.clock)


cdef void arm(Core* core, uint32_t slot, uint8_t kind, int64_t tick) noexcept nogil:
    core.pool.blocks[slot].timer = kind
    wheel_arm(&core.wheel, slot, tick)


cdef inline void stop_timer(Core* core, uint32_t slot) noexcept nogil:
    wheel_cancel(&core.wheel, slot)
    core.pool.blocks[slot].timer = T_NONE


cdef void disarm(Core* core, uint32_t slot) noexcept nogil:
    cdef Block* tcb = &core.pool.blocks[slot]
    if tcb.timer != T_NONE:
        wheel_cancel(&core.wheel, slot)
        tcb.timer = T_NONE
    if tcb.bits & B_COLD:
        core.pool.colds[slot].later_timer = T_NONE


cdef inline void set_timers(Core* core, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """Carry out the timer operations of an action."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Cold* cold = &core.pool.colds[slot]
    cdef bint two = is_side(tcb.timer) or (tcb.bits & B_COLD and cold.later_timer != T_NONE)
    if likely(act.side_op != OP_ARM and not two):
        if act.main_op == OP_ARM:
            arm(core, slot, act.main_kind, tick_up(now) + act.main_timeout)
        elif act.main_op == OP_CANCEL and tcb.timer != T_NONE:
            wheel_cancel(&core.wheel, slot)
            tcb.timer = T_NONE
        return
    set_both(core, slot, act, now)


cdef void set_both(Core* core, uint32_t slot, const Action* act, int64_t now) noexcept nogil:
    """The general case: work both timers out, put the earlier one (the side timer on a tie) on the
    wheel, the other one into the cold line."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Cold* cold = &core.pool.colds[slot]
    cdef uint8_t main = T_NONE, side = T_NONE
    cdef int64_t main_at = 0, side_at = 0
    use_cold(tcb, cold)
    if is_side(tcb.timer):
        side = tcb.timer
        side_at = full_tick(core, tcb.deadline)
        main = cold.later_timer
        main_at = full_tick(core, cold.later)
    else:
        main = tcb.timer
        main_at = full_tick(core, tcb.deadline)
        side = cold.later_timer
        side_at = full_tick(core, cold.later)
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
        disarm(core, slot)
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
        arm(core, slot, main, main_at)


# --- settling an action ------------------------------------------------------------------------

cdef struct Before:
    # what a block was before the law had it
    uint8_t state
    uint16_t bits
    bint hashed               # hash is the block's
    uint32_t hash


cdef inline bint counts_as_orphan(uint8_t state, uint16_t bits) noexcept nogil:
    return bits & B_ORPHAN and state != TIME_WAIT


cdef inline void remember(Before* was, const Block* tcb) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = False


cdef inline void remember_hashed(Before* was, const Block* tcb, uint32_t hash) noexcept nogil:
    was.state = tcb.state
    was.bits = tcb.bits
    was.hashed = True
    was.hash = hash


cdef inline void begin(Core* core, Action* act, Ranges* scratch, uint32_t slot, Segment* rows) noexcept nogil:
    """An empty action for the block in this slot."""
    cdef Cold* cold = &core.pool.colds[slot]
    memset(act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &core.counters
    act.stamp = &core.pool.stamps[slot]
    if in_set(core.pool.blocks[slot].state, LINGERING):
        act.tw_full = core.counts[TIME_WAIT] + core.brief >= core.knobs.tcp_max_tw_buckets
    if core.pool.blocks[slot].bits & B_COLD and cold.ranges:
        act.ranges = ranges_at(&core.ranges, cold.ranges)
    else:
        scratch.n = 0
        scratch.has_fin = 0
        act.ranges = scratch


cdef void keep_ranges(Core* core, uint32_t slot, const Action* act) noexcept nogil:
    """The out-of-order record follows its contents: borrowed with the first range, returned with the last."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Cold* cold = &core.pool.colds[slot]
    cdef bint empty = ranges_empty(act.ranges)
    if tcb.bits & B_COLD and cold.ranges:
        if empty:
            ranges_return(&core.ranges, cold.ranges)
            cold.ranges = 0
    elif not empty:
        use_cold(tcb, cold)
        cold.ranges = ranges_borrow(&core.ranges)
        if cold.ranges:
            ranges_at(&core.ranges, cold.ranges)[0] = act.ranges[0]


cdef inline void count_change(Core* core, const Block* tcb, const Before* was) noexcept nogil:
    """Gauges after a transition that did not end the connection."""
    if tcb.state == was.state and not (tcb.bits ^ was.bits) & (B_ORPHAN | B_WHOLE):
        return
    core.counts[was.state] -= 1
    core.counts[tcb.state] += 1
    if (tcb.bits | was.bits) & B_ORPHAN:
        core.orphans += counts_as_orphan(tcb.state, tcb.bits) - counts_as_orphan(was.state, was.bits)
        core.brief += is_brief(tcb.state, tcb.bits, &core.knobs) - is_brief(was.state, was.bits, &core.knobs)


cdef void leave_half_open(Core* core, const Block* tcb, const Before* was) noexcept nogil:
    core.half_open -= 1
    backlog_half_gone(&core.backlog, tcb.listener, was.bits & B_MATURE)


cdef void join_accept_queue(Core* core, uint32_t slot, const Before* was, int64_t now) noexcept nogil:
    """A half-open entry has become a connection."""
    cdef Block* tcb = &core.pool.blocks[slot]
    leave_half_open(core, tcb, was)
    count(&core.counters, Mib.SynQueueEstablished)
    enqueue(core, slot, now)


cdef void enqueue(Core* core, uint32_t slot, int64_t now) noexcept nogil:
    """A new connection waits for accept(), or is on its own where the application accepts at once."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Listener* listener = backlog_at(&core.backlog, tcb.listener)
    if not listener.auto_accept and backlog_push(&core.backlog, tcb.listener, slot + 1):
        tcb.bits |= B_QUEUED
        core.queued += 1
    events_tell(&core.events, handle_of(core, slot), now, tcb.listener, EV_ESTABLISHED, 0, tcb.state)


cdef void bury(Core* core, uint32_t slot, const Before* was, uint8_t cause, uint8_t error,
               int64_t now) noexcept nogil:
    """The connection is over: out of the flow table, and out of memory unless somebody holds it."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Cold* cold = &core.pool.colds[slot]
    flow_remove(&core.flows, was.hash if was.hashed else block_hash(core, tcb), slot + 1)
    if tcb.bits & B_EPHEMERAL:
        ports_released(&core.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
    if was.state == TIME_WAIT:                        # has neither in its cold line: leave that alone
        stop_timer(core, slot)
    else:
        disarm(core, slot)
        if tcb.bits & B_COLD and cold.ranges:
            ranges_return(&core.ranges, cold.ranges)
            cold.ranges = 0
    core.counts[was.state] -= 1
    if was.bits & B_ORPHAN:
        core.orphans -= counts_as_orphan(was.state, was.bits)
        core.brief -= is_brief(was.state, was.bits, &core.knobs)
    if was.state == ESTABLISHED or was.state == CLOSE_WAIT:
        count(&core.counters, Mib.EstabResets)
    if cause != NoCause:
        core.counters.causes[cause] += 1
    events_tell(&core.events, handle_of(core, slot), now, tcb.listener,
                EV_LOST if cause != NoCause else EV_CLOSED, cause, CLOSED)
    tcb.state = CLOSED
    if tcb.bits & (B_HELD | B_QUEUED):
        if error:
            use_cold(tcb, cold)
            cold.error = error
        core.held_dead += 1
    else:
        pool_give(&core.pool, slot)


cdef void bury_half_open(Core* core, uint32_t slot, const Before* was, uint8_t cause, uint8_t error,
                         int64_t now) noexcept nogil:
    leave_half_open(core, &core.pool.blocks[slot], was)
    if cause == CauseSynQueueEvicted:
        count(&core.counters, Mib.SynQueueEvicted)
    elif cause == CauseSynQueueExpired:
        count(&core.counters, Mib.SynQueueExpired)
    elif cause == CauseEmbryonicReset:
        count(&core.counters, Mib.SynQueueReset)
    elif cause == CauseListenerClosed:
        count(&core.counters, Mib.SynQueueListenerClosed)
    else:
        count(&core.counters, Mib.SynQueueAborted)
    bury(core, slot, was, cause, error, now)


cdef inline bint in_pool(const Core* core, const Ranges* ranges) noexcept nogil:
    return core.ranges.records <= ranges < core.ranges.records + core.ranges.capacity


cdef inline void carry_on(Core* core, uint32_t slot, const Before* was, const Action* act,
                          int64_t now) noexcept nogil:
    """What every block that lives on needs: its ranges, its timers, its place in the counts."""
    if not ranges_empty(act.ranges) or in_pool(core, act.ranges):
        keep_ranges(core, slot, act)
    set_timers(core, slot, act, now)
    count_change(core, &core.pool.blocks[slot], was)


cdef inline void settle(Core* core, uint32_t slot, const Before* was, Action* act,
                        int64_t now) noexcept nogil:
    """Do what the action says; act.n_rows rows stay in the output."""
    cdef Block* tcb = &core.pool.blocks[slot]
    if likely(not act.effects and not act.challenge and was.state != SYN_RECEIVED and tcb.state != TIME_WAIT):
        carry_on(core, slot, was, act, now)
    else:
        settle_events(core, slot, was, act, now)


cdef void settle_events(Core* core, uint32_t slot, const Before* was, Action* act,
                        int64_t now) noexcept nogil:
    """The same where something happens that others must hear of."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef bint embryo = was.state == SYN_RECEIVED and was.bits & B_PASSIVE
    if act.challenge:
        if challenge_allowed(core, now):
            count(&core.counters, Mib.TCPChallengeACK)
        else:
            act.n_rows = 0
    if act.effects & E_DEAD:
        if embryo and not act.effects & E_ACCEPT:
            bury_half_open(core, slot, was, act.cause, act.error, now)
        else:
            if embryo:
                join_accept_queue(core, slot, was, now)
            bury(core, slot, was, act.cause, act.error, now)
        return
    if act.effects & (E_REOPEN | E_START_OVER):
        return
    if embryo:
        if act.effects & E_ACCEPT:
            join_accept_queue(core, slot, was, now)
        elif tcb.bits & B_MATURE and not was.bits & B_MATURE:
            backlog_half_matured(backlog_at(&core.backlog, tcb.listener))
    elif act.effects & E_OPENED:
        events_tell(&core.events, handle_of(core, slot), now, 0, EV_ESTABLISHED, 0, tcb.state)
    carry_on(core, slot, was, act, now)
    if tcb.state == TIME_WAIT and was.state != TIME_WAIT:
        events_tell(&core.events, handle_of(core, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)


cdef void end_quietly(Core* core, uint32_t slot, uint8_t cause, int64_t now) noexcept nogil:
    """Remove a block that the law was not asked about."""
    cdef Before was
    remember(&was, &core.pool.blocks[slot])
    if was.state == SYN_RECEIVED and was.bits & B_PASSIVE:
        bury_half_open(core, slot, &was, cause, 0, now)
    else:
        bury(core, slot, &was, cause, 0, now)


# --- segments --------------------------------------------------------------------------------

cdef void refuse(Core* core, uint8_t cause, uint32_t listener, int64_t now) noexcept nogil:
    core.counters.causes[cause] += 1
    events_tell(&core.events, 0, now, listener, EV_REFUSED, cause, CLOSED)


cdef Pressure pressure_on(const Core* core, const Listener* listener) noexcept nogil:
    """What a policy may know of a listener's queues; the rest is as if nothing were wrong."""
    cdef Pressure pressure
    pressure.backlog = listener.backlog
    pressure.half_open = listener.half_open
    pressure.young = listener.young
    pressure.accept_full = backlog_accept_full(listener)
    pressure.bucket_full = False
    pressure.paused = False
    pressure.proven = False
    return pressure


cdef uint32_t queue_of(const Core* core, const Segment* seg, uint32_t id) noexcept nogil:
    """Where the order book has, or will have, this peer's half-open entry."""
    if core.book == BOOK_BUCKETS:
        return synq_bucket(core.bucket_k0, core.bucket_k1, seg.src, seg.sport, seg.dport)
    return id


cdef bint evict(Core* core, uint32_t queue, bint random, int64_t now) noexcept nogil:
    """End an entry of a full queue to make room; False when the book has none."""
    cdef uint32_t victim
    if random:
        core.draws += 1
        victim = synq_random(&core.synq, queue, siphash24_1(core.random_key, KEY_RANDOM, core.draws))
    else:
        victim = synq_oldest(&core.synq, queue)
    if victim:
        end_quietly(core, victim - 1, CauseSynQueueEvicted, now)
    return victim != 0


cdef void pause_cache(Core* core, int64_t now) noexcept nogil:
    """FreeBSD: from now on cookies only. Every entry goes; its ACK may still come back as a cookie's."""
    cdef uint32_t queue, victim
    pause_begin(&core.pause, now)
    count(&core.counters, Mib.SynCachePauses)
    for queue in range(SYNQ_BUCKETS):
        while True:
            victim = synq_oldest(&core.synq, queue)
            if victim == 0:
                break
            expect_cookies(backlog_at(&core.backlog, core.pool.blocks[victim - 1].listener), now)
            end_quietly(core, victim - 1, CauseSynQueueEvicted, now)


cdef void expect_cookies(Listener* listener, int64_t now) noexcept nogil:
    listener.cookie_until = now + <int64_t>COOKIE_LIFE_S * 1_000_000_000


cdef inline bint at_ease(const Core* core, const Listener* listener) noexcept nogil:
    """This listener takes one more half-open entry: there is no need to ask `admitted`."""
    return (core.book == BOOK_NONE and listener.half_open <= listener.backlog
            and not backlog_accept_full(listener) and policy_at_ease(&core.knobs))


cdef bint admitted(Core* core, Listener* listener, uint32_t id, uint32_t queue, bint reopened, bint* cookie,
                   int64_t now) noexcept nogil:
    """May this listener take one more half-open entry, or answer with a cookie? Makes room where the policy
    says so, counts the refusal where it does not. What reopens a TIME-WAIT needs no leave of a full queue."""
    cdef Pressure pressure = pressure_on(core, listener)
    cdef Verdict verdict
    if core.book == BOOK_BUCKETS:
        pressure.paused = now < core.pause.until
        pressure.bucket_full = not pressure.paused and synq_full(&core.synq, queue, SYNQ_BUCKET_LIMIT)
    verdict = policy_admit(&pressure, &core.knobs)
    if verdict == EVICT_OLDEST or verdict == EVICT_RANDOM:
        verdict = ADMIT if evict(core, queue, verdict == EVICT_RANDOM, now) else REFUSE_QUEUE_FULL
    elif verdict == PAUSE and not reopened:
        pause_cache(core, now)
        verdict = ADMIT_COOKIE
    cookie[0] = verdict == ADMIT_COOKIE and not reopened
    if verdict == REFUSE_ACCEPT_FULL:
        count(&core.counters, Mib.ListenOverflows)
        refuse(core, CauseAcceptQueueFull, id, now)
    elif cookie[0]:
        count(&core.counters, Mib.TCPReqQFullDoCookies)
        return True
    elif reopened or verdict == ADMIT:
        return True
    elif verdict == REFUSE_RESERVE:
        refuse(core, CauseSynQueueReserve, id, now)
    else:
        count(&core.counters, Mib.TCPReqQFullDrop)
        refuse(core, CauseSynQueueFull, id, now)
    count(&core.counters, Mib.ListenDrops)
    return False


cdef inline void name_block(Block* tcb, const Segment* seg, uint32_t id,
                            const Listener* listener) noexcept nogil:
    """A passive block's 4-tuple and listener."""
    tcb.raddr = seg.src
    tcb.laddr = seg.dst
    tcb.rport = seg.sport
    tcb.lport = seg.dport
    tcb.listener = <uint16_t>id
    if listener.auto_close:
        tcb.bits |= B_AUTO_CLOSE


cdef uint32_t own_buffer(const Core* core, uint32_t size, bint stamped) noexcept nogil:
    """A window as open_passive wants it: 0 where it is the knob's own."""
    return size if size != (core.knobs.rcv_buf_stamped if stamped else core.knobs.rcv_buf) else 0


cdef inline uint32_t buffer_for(const Core* core, const Listener* listener, bint stamped) noexcept nogil:
    """The window of a connection of this listener."""
    if listener.rcv_buf == 0:
        return 0
    stamped = stamped and core.knobs.tcp_timestamps
    return own_buffer(core, rounded(&core.knobs, listener.rcv_buf, core.knobs.mss, stamped), stamped)


cdef uint32_t cookie_buffer(const Core* core, const Listener* listener,
                            const CookieOptions* told) noexcept nogil:
    """The same where a cookie came back: Linux then rounds to the MSS it tells, timestamps or not."""
    cdef uint32_t size = listener.rcv_buf if listener.rcv_buf else core.knobs.rcv_buf_whole
    cdef bint stamped = told.opts & OPT_TS
    if core.knobs.window_rounding != ROUND_DOWN:
        return buffer_for(core, listener, stamped)
    return own_buffer(core, rounded(&core.knobs, size, told.mss, False), stamped)


cdef bint many_syns(const Segment* segs, Py_ssize_t n) noexcept nogil:
    """A quarter of the next ones at least: hashing all at once is cheaper than each of these alone."""
    cdef Py_ssize_t i, syns = 0, look = least(n, LANES // 4)
    for i in range(look):
        syns += segs[i].flags & (SYN | ACK) == SYN
    return 4 * syns >= look


cdef inline Py_ssize_t numbers_of(Core* core, const Segment* seg, int64_t now) noexcept nogil:
    """Where isns and ts_offsets have this segment's, -1 nowhere. They are worked out when the first SYN asks,
    for the LANES segments from it on."""
    cdef Py_ssize_t at = seg - core.batch - core.numbered
    if likely(0 <= at < core.numbered_n):
        return at
    return numbers_from(core, seg, now)


cdef Py_ssize_t numbers_from(Core* core, const Segment* seg, int64_t now) noexcept nogil:
    """The same where they are still to be worked out."""
    cdef uint64_t first[LANES]
    cdef uint64_t last[LANES]
    cdef Py_ssize_t at = seg - core.batch, i, n
    if core.batch == NULL or at < core.numbered or at >= core.batch_n:
        return -1
    n = least(core.batch_n - at, LANES)
    if not many_syns(seg, n):
        return -1
    for i in range(n):
        first[i] = tuple_first(seg[i].src, seg[i].dst)
        last[i] = tuple_last(seg[i].sport, seg[i].dport)
    number_many(core, first, last, n, now, 0)
    core.numbered = at
    core.numbered_n = n
    return 0


cdef void number_many(Core* core, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                      Py_ssize_t at) noexcept nogil:
    """First numbers and timestamp offsets of n <= LANES 4-tuples, as far as they are hashes, from `at` on."""
    if isn_hashes(&core.isn):
        isn_many(&core.isn, first, last, n, now, core.isns + at)
    if core.knobs.tcp_timestamps == 1:
        isn_ts_many(&core.isn, first, n, core.ts_offsets + at)


cdef inline uint32_t ts_offset_for(Core* core, const Segment* seg, Py_ssize_t numbers) noexcept nogil:
    if not seg.opts & OPT_TS or core.knobs.tcp_timestamps != 1:
        return 0
    return core.ts_offsets[numbers] if numbers >= 0 else isn_ts_offset(&core.isn, seg.dst, seg.src)


cdef uint32_t send_cookie(Core* core, const Segment* seg, uint32_t id, int64_t now,
                          Segment* rows) noexcept nogil:
    """Answer a SYN and keep nothing: the half-open entry lives on the stack and in the ISN."""
    cdef Listener* listener = backlog_at(&core.backlog, id)
    cdef Block tcb
    cdef Cold cold
    cdef Stamp stamp
    cdef CookieOptions agreed
    cdef Segment heard = seg[0]
    cdef uint32_t offset = ts_offset_for(core, seg, numbers_of(core, seg, now))
    cookie_agree(&core.cookies, seg, &agreed)
    heard.opts &= agreed.opts | OPT_MSS
    count_n(&core.counters, Mib.SyncookiesLostOptions, options_in(cookie_lost(&core.cookies, seg, &agreed)))
    memset(&tcb, 0, sizeof(Block))
    name_block(&tcb, seg, id, listener)
    open_passive(&tcb, &cold, &stamp, &heard, &core.knobs, now, cookie_make(&core.cookies, seg, now), offset,
                 buffer_for(core, listener, heard.opts & OPT_TS), rows)
    if tcb.bits & B_TS:
        rows[0].tsval = cookie_tsval(&core.cookies, &agreed, clock_ms(now)) + offset
    expect_cookies(listener, now)
    count(&core.counters, Mib.SyncookiesSent)
    count_n(&core.counters, Mib.SynPayloadIgnored, seg.payload_len)
    return 1


cdef uint32_t options_in(uint8_t opts) noexcept nogil:
    return (opts & 1) + (opts >> 1 & 1) + (opts >> 2 & 1) + (opts >> 3 & 1)


cdef bint cookie_back(Core* core, const Segment* seg, uint32_t hash, uint32_t id, int64_t now, Segment* rows,
                      uint32_t* n_rows) noexcept nogil:
    """An ACK to a listener that has sent cookies lately: True when it was one and has been dealt with."""
    cdef Listener* listener = backlog_at(&core.backlog, id)
    cdef CookieOptions told
    cdef uint32_t offset, ref
    n_rows[0] = 0
    if not core.knobs.tcp_syncookies or now > listener.cookie_until:
        return False
    offset = ts_offset_for(core, seg, numbers_of(core, seg, now))
    if not cookie_read(&core.cookies, seg, offset, now, &told):
        count(&core.counters, Mib.SyncookiesFailed)
        return False
    count(&core.counters, Mib.SyncookiesRecv)
    ref = 0
    if backlog_accept_full(listener):
        count(&core.counters, Mib.ListenOverflows)
        refuse(core, CauseAcceptQueueFull, id, now)
    else:
        ref = pool_take(&core.pool)
        if ref == 0:
            count(&core.counters, Mib.BlocksExhausted)
            refuse(core, CauseBlocksExhausted, id, now)
    if ref == 0:
        count(&core.counters, Mib.ListenDrops)
    else:
        n_rows[0] = open_by_cookie(core, seg, hash, ref - 1, id, &told, offset, now, rows)
    return True


cdef uint32_t open_by_cookie(Core* core, const Segment* seg, uint32_t hash, uint32_t slot, uint32_t id,
                             const CookieOptions* told, uint32_t offset, int64_t now,
                             Segment* rows) noexcept nogil:
    """A connection out of nothing but a good cookie; it never was half-open here."""
    cdef Listener* listener = backlog_at(&core.backlog, id)
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Action act
    cdef Ranges scratch
    cdef Before was
    begin(core, &act, &scratch, slot, rows)
    name_block(tcb, seg, id, listener)
    tcb.mss = told.mss
    tcb.bits |= (B_TS if told.opts & OPT_TS else 0) | (B_SACK if told.opts & OPT_SACK_OK else 0)
    if told.opts & OPT_WSCALE:
        tcb.bits |= B_WSCALE
        tcb.wscale = told.wscale
    tcb.state = ESTABLISHED
    remember(&was, tcb)
    core.counts[ESTABLISHED] += 1
    flow_insert(&core.flows, hash, slot + 1)
    open_cookie(tcb, &core.pool.colds[slot], seg, &core.knobs, now, offset,
                cookie_buffer(core, listener, told), &act)
    enqueue(core, slot, now)
    settle(core, slot, &was, &act, now)
    return act.n_rows


cdef inline uint32_t first_number(Core* core, const Segment* seg, Py_ssize_t numbers,
                                  int64_t now) noexcept nogil:
    """The ISS of a half-open entry. Where entries may be dropped to come back as cookies, it is one: those of
    FreeBSD have all they say in this number."""
    if policy_pauses(&core.knobs) and core.cookies.rule == COOKIE_FREEBSD:
        return cookie_make(&core.cookies, seg, now)
    if isn_hashes(&core.isn) and numbers >= 0:
        return core.isns[numbers]
    return isn_make(&core.isn, seg.dst, seg.dport, seg.src, seg.sport, now)


cdef uint32_t open_half(Core* core, const Segment* seg, uint32_t hash, uint32_t id, int64_t iss, int64_t now,
                        Segment* rows) noexcept nogil:
    """A SYN for LISTEN becomes a half-open entry if the queue admits it; iss >= 0 reopens a TIME-WAIT."""
    cdef Listener* listener = backlog_at(&core.backlog, id)
    cdef uint32_t ref, timeout, queue = 0
    cdef Py_ssize_t numbers
    cdef Block* tcb
    cdef bint cookie
    if not (core.predicting and at_ease(core, listener)):
        queue = queue_of(core, seg, id)
        if not admitted(core, listener, id, queue, iss >= 0, &cookie, now):
            return 0
        if cookie:
            return send_cookie(core, seg, id, now, rows)
    ref = pool_take(&core.pool)
    if ref == 0:
        count(&core.counters, Mib.ListenDrops)
        count(&core.counters, Mib.BlocksExhausted)
        refuse(core, CauseBlocksExhausted, id, now)
        return 0
    tcb = &core.pool.blocks[ref - 1]
    name_block(tcb, seg, id, listener)
    numbers = numbers_of(core, seg, now)
    if iss < 0:
        iss = first_number(core, seg, numbers, now)
    timeout = open_passive(tcb, &core.pool.colds[ref - 1], &core.pool.stamps[ref - 1], seg, &core.knobs, now,
                           <uint32_t>iss, ts_offset_for(core, seg, numbers),
                           buffer_for(core, listener, seg.opts & OPT_TS), rows)
    if seg.payload_len or seg.flags & FIN:
        more_than_syn(core, ref - 1, seg)
    flow_insert(&core.flows, hash, ref)
    arm(core, ref - 1, T_REXMT, tick_up(now) + timeout)
    core.counts[SYN_RECEIVED] += 1
    core.half_open += 1
    backlog_half_opened(listener)
    if core.book != BOOK_NONE:
        synq_add(&core.synq, queue, ref)
    count(&core.counters, Mib.SynQueueAdded)
    events_tell(&core.events, handle_of(core, ref - 1), now, id, EV_OPENED, 0, SYN_RECEIVED)
    return 1


cdef void more_than_syn(Core* core, uint32_t slot, const Segment* seg) noexcept nogil:
    """Text or a FIN came with the SYN of this half-open entry."""
    cdef Action act
    cdef Ranges scratch
    begin(core, &act, &scratch, slot, NULL)
    open_text(&core.pool.blocks[slot], &core.pool.colds[slot], seg, &core.knobs, &act)
    if not ranges_empty(act.ranges):
        keep_ranges(core, slot, &act)


cdef bint foreign(const Segment* seg) noexcept nogil:
    """From or to an address no connection can have: this-host, multicast, broadcast (MUST-57, MUST-63)."""
    return seg.src - 1 >= <uint32_t>0xDFFFFFFF or seg.dst - 1 >= <uint32_t>0xDFFFFFFF


cdef inline uint32_t listener_for(Core* core, const Segment* seg) noexcept nogil:
    """backlog_find, which mostly finds the one it found last."""
    cdef const Listener* last
    if core.last_listener:
        last = backlog_at(&core.backlog, core.last_listener)
        if (last.state == LISTENER_OPEN and last.port == seg.dport
                and (last.addr == seg.dst or (last.addr == 0 and core.backlog.n_exact == 0))):
            return core.last_listener
    core.last_listener = backlog_find(&core.backlog, seg.dst, seg.dport)
    return core.last_listener


cdef uint32_t unowned(Core* core, const Segment* seg, uint32_t hash, int64_t now,
                      Segment* rows) noexcept nogil:
    """No block has this 4-tuple: LISTEN or CLOSED."""
    cdef Action act
    cdef uint32_t id, n_rows
    if foreign(seg):
        count(&core.counters, Mib.InErrs)
        return 0
    id = listener_for(core, seg)
    if likely(id and seg.flags & (SYN | ACK | RST | FIN) == SYN):       # in_listen opens, whatever the knobs
        return open_half(core, seg, hash, id, -1, now, rows)
    memset(&act, 0, sizeof(Action))
    act.rows = rows
    act.counters = &core.counters
    if id == 0:
        in_closed(seg, &core.knobs, &act)
    elif seg.flags & (SYN | RST | ACK) == ACK and cookie_back(core, seg, hash, id, now, rows, &n_rows):
        return n_rows
    elif in_listen(seg, &core.knobs, &act) == LISTEN_OPEN:
        return open_half(core, seg, hash, id, -1, now, rows)
    return act.n_rows


cdef inline uint32_t owner_of(const Core* core, const Segment* seg, uint32_t hash,
                              uint32_t hint) noexcept nogil:
    """Who has this 4-tuple, 0 nobody. The hint stands if its block is alive and still has it: no two have."""
    cdef const Block* tcb = block_or_any(core, hint)
    if hint and flow_differs(tcb, seg) == 0 and tcb.state != CLOSED:
        return hint
    return flow_owner(&core.flows, hash, seg)


cdef uint32_t arrives(Core* core, const Segment* seg, uint32_t hash, uint32_t hint, int64_t now,
                      Segment* rows) noexcept nogil:
    """One segment, whoever it is for; returns the rows written, two at most."""
    cdef uint32_t ref = owner_of(core, seg, hash, hint), n_rows
    if ref == 0:
        pool_ahead(&core.pool, core.knobs.tcp_timestamps)
        return unowned(core, seg, hash, now, rows)
    if core.predicting and predicted(core, ref - 1, seg, hash, now, rows, &n_rows):
        return n_rows
    return owned(core, ref - 1, seg, hash, now, rows)


cdef inline bint may_predict(Core* core, const Block* tcb) noexcept nogil:
    """What of the rest of the engine could make the law decide otherwise."""
    cdef const Listener* listener
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = backlog_at(&core.backlog, tcb.listener)
        return listener.state == LISTENER_OPEN and not backlog_accept_full(listener)
    if tcb.state == FIN_WAIT_1:
        return core.counts[TIME_WAIT] + core.brief < core.knobs.tcp_max_tw_buckets
    return True


cdef inline bint predicted(Core* core, uint32_t slot, const Segment* seg, uint32_t hash, int64_t now,
                           Segment* rows, uint32_t* n_rows) noexcept nogil:
    """True: the segment was the expected one, and what settle() would do for it has been done."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Before was
    cdef Predicted what
    cdef uint32_t timeout
    if not may_predict(core, tcb):
        return False
    remember_hashed(&was, tcb, hash)
    what = predict_segment(tcb, &core.pool.colds[slot], &core.pool.stamps[slot], seg, &core.knobs, now,
                           &core.counters, rows, &timeout)
    n_rows[0] = 0
    if what == PREDICT_NOT:
        return False
    core.predicted += 1
    if what == PREDICT_ACCEPTED:
        join_accept_queue(core, slot, &was, now)
        stop_timer(core, slot)
    elif what == PREDICT_OPENED:
        n_rows[0] = 1
        events_tell(&core.events, handle_of(core, slot), now, 0, EV_ESTABLISHED, 0, ESTABLISHED)
        stop_timer(core, slot)
    elif what == PREDICT_PEER_CLOSED:
        n_rows[0] = 1
    elif what == PREDICT_BOTH_CLOSED:
        n_rows[0] = 1
        arm(core, slot, T_REXMT, tick_up(now) + timeout)
    elif what == PREDICT_FIN_ACKED:
        if tcb.bits & B_ORPHAN:
            arm(core, slot, T_FIN_WAIT_2, tick_up(now) + timeout)
        else:
            stop_timer(core, slot)
    elif what == PREDICT_TIME_WAIT:
        n_rows[0] = 1
        arm(core, slot, T_TIME_WAIT, tick_up(now) + timeout)
        events_tell(&core.events, handle_of(core, slot), now, tcb.listener, EV_TIME_WAIT, 0, TIME_WAIT)
    else:
        bury(core, slot, &was, NoCause, 0, now)
        return True
    count_change(core, tcb, &was)
    return True


cdef uint32_t owned(Core* core, uint32_t slot, const Segment* seg, uint32_t hash, int64_t now,
                    Segment* rows) noexcept nogil:
    """The law's word on a segment for this block."""
    cdef uint32_t id
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Listener* listener
    cdef Action act
    cdef Ranges scratch
    cdef Before was
    begin(core, &act, &scratch, slot, rows)
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = backlog_at(&core.backlog, tcb.listener)
        if listener.state != LISTENER_OPEN:
            end_quietly(core, slot, CauseListenerClosed, now)
            return unowned(core, seg, hash, now, rows)
        act.auto_accept = listener.auto_accept
        act.accept_full = backlog_accept_full(listener)
    elif tcb.state == TIME_WAIT and seg.flags & SYN:
        act.listening = backlog_find(&core.backlog, seg.dst, seg.dport) != 0
    remember_hashed(&was, tcb, hash)
    segment_arrives(tcb, &core.pool.colds[slot], seg, &core.knobs, now, &act)
    settle(core, slot, &was, &act, now)
    if act.effects & E_REOPEN:
        count(&core.counters, Mib.TWRecycled)
        end_quietly(core, slot, NoCause, now)
        if in_listen(seg, &core.knobs, &act) == LISTEN_OPEN:
            id = backlog_find(&core.backlog, seg.dst, seg.dport)
            return open_half(core, seg, hash, id, act.iss, now, rows)
    elif act.effects & E_START_OVER:
        count_n(&core.counters, Mib.TWRecycled, act.listening)
        end_quietly(core, slot, NoCause, now)
        return unowned(core, seg, hash, now, rows)
    return act.n_rows


cdef Py_ssize_t core_receive(Core* core, const Segment* segs, Py_ssize_t n, int64_t now,
                             Segment* rows) noexcept nogil:
    """SEGMENT ARRIVES for each in order; rows has room for 2 n. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    while done < n:
        part = least(n - done, STRIDE)
        flow_hash_batch(&core.flows, segs + done, part, core.hashes)
        core.batch = segs + done
        core.batch_n = part
        core.numbered = core.numbered_n = 0
        start_ahead(core, segs + done, part)
        for i in range(part):
            look_ahead(core, segs + done, i, part)
            written += arrives(core, &segs[done + i], core.hashes[i], core.owners[i], now, rows + written)
        done += part
    core.batch = NULL
    count_n(&core.counters, Mib.InSegs, n)
    count_n(&core.counters, Mib.OutSegs, written)
    return written


# --- time ------------------------------------------------------------------------------------

cdef struct Hint:
    # a hash worked out early, and whose
    uint32_t ref
    uint32_t hash


cdef uint32_t fire(Core* core, uint32_t slot, const Hint* hint, int64_t now, Segment* rows) noexcept nogil:
    """The timer of this block has run out; at most one row."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Before was
    if likely(hint.ref == slot + 1):
        remember_hashed(&was, tcb, hint.hash)
    else:
        remember(&was, tcb)
    if tcb.timer == T_TIME_WAIT and core.predicting:
        tcb.timer = T_NONE
        bury(core, slot, &was, NoCause, 0, now)
        return 0
    return fire_any(core, slot, &was, now, rows)


cdef uint32_t fire_any(Core* core, uint32_t slot, Before* was, int64_t now, Segment* rows) noexcept nogil:
    """The law's word on a timer."""
    cdef Block* tcb = &core.pool.blocks[slot]
    cdef Cold* cold = &core.pool.colds[slot]
    cdef uint8_t kind = tcb.timer, most = 0
    cdef uint32_t number
    cdef Burst* burst = NULL
    cdef Listener* listener
    cdef Pressure pressure
    cdef Action act
    cdef Ranges scratch
    tcb.timer = T_NONE
    if tcb.bits & B_COLD and cold.later_timer != T_NONE:
        arm(core, slot, cold.later_timer, full_tick(core, cold.later))
        cold.later_timer = T_NONE
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
        listener = backlog_at(&core.backlog, tcb.listener)
        if listener.state != LISTENER_OPEN:
            end_quietly(core, slot, CauseListenerClosed, now)
            return 0
        pressure = pressure_on(core, listener)
        number = policy_burst(&core.knobs, now)
        if number:
            burst = backlog_burst(&core.backlog, tcb.listener, number)
            pressure.half_open = burst.half_open
            pressure.young = burst.young
        most = policy_synack_retries(&pressure, &core.knobs)
    begin(core, &act, &scratch, slot, rows)
    timeout(tcb, cold, kind, most, &core.knobs, now, &act)
    if burst != NULL:
        burst_less(burst, act.effects & E_DEAD, not was.bits & B_MATURE)
    settle(core, slot, was, &act, now)
    return act.n_rows


cdef inline void fire_ahead(Core* core, Hint* hints, uint32_t turn) noexcept nogil:
    """For timers: blocks 14 early, flow table heads, timestamps and cold lines 8, chains 4."""
    cdef uint32_t ref = wheel_ahead(&core.wheel, 14)
    cdef Hint* hint = &hints[(turn + 8) & 15]
    if ref:
        prefetch(&core.pool.blocks[ref - 1])
    hint.ref = wheel_ahead(&core.wheel, 8)
    if hint.ref:
        hint.hash = block_hash(core, &core.pool.blocks[hint.ref - 1])
        flow_ahead_head(&core.flows, hint.hash)
        if core.pool.blocks[hint.ref - 1].state != TIME_WAIT:
            if core.knobs.tcp_timestamps:
                prefetch(&core.pool.stamps[hint.ref - 1])
            if core.pool.blocks[hint.ref - 1].bits & B_COLD:
                prefetch(&core.pool.colds[hint.ref - 1])
    flow_ahead_first(&core.flows, hints[(turn + 4) & 15].hash)


cdef Py_ssize_t core_advance(Core* core, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil:
    """Fire what is due at or before now, in order, until rows has no room. Returns the rows written."""
    cdef Py_ssize_t written = 0
    cdef int64_t when, limit = now // TICK_NS
    cdef uint32_t ref, turn = 0
    cdef Hint hints[16]
    memset(hints, 0, sizeof(hints))
    while written < room:
        ref = wheel_pop(&core.wheel, limit, &when)
        if ref == 0:
            break
        fire_ahead(core, hints, turn)
        written += fire(core, ref - 1, &hints[turn & 15], when * TICK_NS, rows + written)
        turn += 1
    count_n(&core.counters, Mib.OutSegs, written)
    return written


# --- calls -------------------------------------------------------------------------------------

cdef struct Opening:
    # one connect(), in the numbers of the wire
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: choose one
    int64_t iss               # -1: make one
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's


cdef bint tw_reusable(const Core* core, uint32_t laddr) noexcept nogil:
    """tcp_tw_reuse: 1 always, 2 on loopback."""
    return core.knobs.tcp_tw_reuse == 1 or (core.knobs.tcp_tw_reuse == 2 and laddr >> 24 == 127)


cdef bint may_take_over(const Core* core, uint32_t slot, uint32_t laddr, bint chosen,
                        int64_t now) noexcept nogil:
    """connect() over a TIME-WAIT: with timestamps the old incarnation's segments can be told apart
    (RFC 6191). A port the caller insists on is taken at once, one that we choose by tcp_tw_reuse."""
    cdef const Block* tcb = &core.pool.blocks[slot]
    if tcb.state != TIME_WAIT or not tcb.bits & B_TS:
        return False
    if not chosen:
        return True
    return (tw_reusable(core, laddr)
            and clock_ms(now) - core.pool.stamps[slot].recent_at >= core.knobs.tcp_tw_reuse_delay)


cdef struct Spot:
    # where a new connection will stand in the flow table
    int32_t place             # in the port search; -1: the caller named the port
    uint16_t lport
    uint32_t hash
    uint32_t ref              # who stands there now, 0 nobody
    Py_ssize_t numbers        # where isns and ts_offsets have its, -1 nowhere
    PortSearch* search


cdef void look_at(const Core* core, const Opening* opening, Py_ssize_t i, Spot* spot) noexcept nogil:
    """Fill hash and ref for spot.lport; where it is the port foreseen, its numbers are those of number i."""
    if spot.lport == spot.search.foreseen:
        spot.numbers = i
        spot.hash = core.hashes[i]
    else:
        spot.numbers = -1
        spot.hash = flow_hash(&core.flows, opening.raddr, opening.rport, opening.laddr, spot.lport)
    spot.ref = flow_find(&core.flows, spot.hash, opening.raddr, opening.rport, opening.laddr, spot.lport)


cdef bint choose_port(Core* core, const Opening* opening, Py_ssize_t number, Spot* spot,
                      int64_t now) noexcept nogil:
    """Find a port that connect() may use (RFC 6056); False when there is none. Bounded by the range; what is
    known to be taken is walked only where it might be taken over."""
    cdef bint free = ports_begin(&core.ports, spot.search)
    cdef bint reuse = core.counts[TIME_WAIT] != 0 and tw_reusable(core, opening.laddr)
    cdef uint32_t i
    if not free and not reuse:
        return False
    for i in range(0 if reuse else spot.search.first, core.ports.size):
        spot.lport = ports_candidate(&core.ports, spot.search, i)
        look_at(core, opening, number, spot)
        if spot.ref == 0 or may_take_over(core, spot.ref - 1, opening.laddr, True, now):
            spot.place = <int32_t>i
            return True
    return False


cdef uint64_t no_connection(Core* core, Mib counter, uint8_t cause, int64_t now) noexcept nogil:
    count(&core.counters, counter)
    refuse(core, cause, 0, now)
    return 0


cdef uint64_t core_connect(Core* core, const Opening* opening, Py_ssize_t i, int64_t now, Segment* rows,
                           uint32_t* n_rows) noexcept nogil:
    """One active open, number i of those hashed; the handle, or 0 and a cause."""
    cdef int64_t iss = opening.iss
    cdef uint32_t hash = core.hashes[i]
    cdef Spot spot
    spot.hash = hash
    spot.numbers = i
    n_rows[0] = 0
    if opening.lport < 0:
        spot.search = &core.ports.searches[i]
        if not choose_port(core, opening, i, &spot, now):
            return no_connection(core, Mib.PortsExhausted, CausePortsExhausted, now)
    else:
        spot.place = -1
        spot.lport = <uint16_t>opening.lport
        spot.ref = flow_find(&core.flows, hash, opening.raddr, opening.rport, opening.laddr, spot.lport)
        if spot.ref and not may_take_over(core, spot.ref - 1, opening.laddr, False, now):
            return no_connection(core, Mib.AddressInUse, CauseAddressInUse, now)
    if pool_is_empty(&core.pool) and (
            spot.ref == 0 or core.pool.blocks[spot.ref - 1].bits & (B_HELD | B_QUEUED)):
        return no_connection(core, Mib.BlocksExhausted, CauseBlocksExhausted, now)
    if spot.ref:
        if iss < 0:
            iss = <uint32_t>(core.pool.blocks[spot.ref - 1].snd_nxt + 65537)
            iss += iss == 0
        count(&core.counters, Mib.TWRecycled)
        end_quietly(core, spot.ref - 1, NoCause, now)
    return open_at(core, opening, &spot, iss, now, rows, n_rows)


cdef uint64_t open_at(Core* core, const Opening* opening, const Spot* spot, int64_t iss, int64_t now,
                      Segment* rows, uint32_t* n_rows) noexcept nogil:
    """A block, which there is, for a 4-tuple that is free, and its SYN."""
    cdef uint32_t ref = pool_take(&core.pool), ts_offset = 0, timeout
    cdef Block* tcb
    expect(ref != 0)
    tcb = &core.pool.blocks[ref - 1]
    tcb.raddr = opening.raddr
    tcb.laddr = opening.laddr
    tcb.rport = opening.rport
    tcb.lport = spot.lport
    if iss < 0 and spot.numbers >= 0 and isn_hashes(&core.isn):
        iss = core.isns[spot.numbers]
    elif iss < 0:
        iss = isn_make(&core.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport, now)
    if core.knobs.tcp_timestamps == 1:
        ts_offset = (core.ts_offsets[spot.numbers] if spot.numbers >= 0
                     else isn_ts_offset(&core.isn, tcb.laddr, tcb.raddr))
    timeout = open_active(tcb, &core.pool.colds[ref - 1], &core.pool.stamps[ref - 1], &core.knobs, now,
                          <uint32_t>iss, ts_offset,
                          opening.rcv_buf if opening.rcv_buf != core.knobs.rcv_buf else 0, rows)
    if spot.place >= 0 and ports_taken(&core.ports, spot.search, spot.place, spot.lport):
        tcb.bits |= B_EPHEMERAL
    flow_insert(&core.flows, spot.hash, ref)
    arm(core, ref - 1, T_REXMT, tick_up(now) + timeout)
    core.counts[SYN_SENT] += 1
    n_rows[0] = 1
    events_tell(&core.events, handle_of(core, ref - 1), now, 0, EV_OPENED, 0, SYN_SENT)
    return handle_of(core, ref - 1)


cdef inline void fill_opening(Opening* opening, const Openings* wanted, Py_ssize_t at) noexcept nogil:
    opening.raddr = wanted.dst[at * wanted.steps[0]]
    opening.rport = wanted.dport[at * wanted.steps[1]]
    opening.laddr = wanted.src[at * wanted.steps[2]]
    opening.lport = wanted.sport[at * wanted.steps[3]]
    opening.iss = wanted.isn[at * wanted.steps[4]]
    opening.rcv_buf = wanted.rcv_buf[at * wanted.steps[5]]


cdef void foresee_ports(Core* core, const Openings* wanted, Py_ssize_t done, Py_ssize_t n) noexcept nogil:
    """Searches for n <= LANES openings whose ports are to be chosen."""
    cdef Opening opening
    cdef Py_ssize_t i
    for i in range(n):
        fill_opening(&opening, wanted, done + i)
        core.ports.searches[i].raddr = opening.raddr
        core.ports.searches[i].laddr = opening.laddr
        core.ports.searches[i].rport = opening.rport
    ports_foresee(&core.ports, n)


cdef void hash_openings(Core* core, const Openings* wanted, Py_ssize_t done, Py_ssize_t n,
                        int64_t now) noexcept nogil:
    """Hashes, first numbers and timestamp offsets of n <= STRIDE openings; of at most LANES, with the ports
    foreseen, where ports are to be chosen."""
    cdef uint64_t first[LANES]
    cdef uint64_t last[LANES]
    cdef uint64_t hashes[LANES]
    cdef Opening opening
    cdef Py_ssize_t start = 0, part, i
    while start < n:
        part = least(n - start, LANES)
        for i in range(part):
            fill_opening(&opening, wanted, done + start + i)
            first[i] = tuple_first(opening.raddr, opening.laddr)
            last[i] = tuple_last(opening.rport, core.ports.searches[i].foreseen if opening.lport < 0
                                 else <uint16_t>opening.lport)
        siphash13_many(core.flows.k0, core.flows.k1, first, last, hashes, part)
        for i in range(part):
            core.hashes[start + i] = <uint32_t>hashes[i]
        number_many(core, first, last, part, now, start)
        start += part


cdef Py_ssize_t core_open(Core* core, const Openings* wanted, Py_ssize_t n, int64_t now, uint64_t* conns,
                          Segment* rows) noexcept nogil:
    """Active opens in order, one row each at most; conns gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef bint chosen = n != 0 and wanted.sport[0] < 0
    cdef Opening opening
    cdef uint32_t more
    while done < n:
        part = least(n - done, LANES if chosen else STRIDE)
        if chosen:
            foresee_ports(core, wanted, done, part)
        hash_openings(core, wanted, done, part, now)
        for i in range(part):
            pool_ahead(&core.pool, core.knobs.tcp_timestamps)
            flow_ahead(&core.flows, core.hashes, i, part)
            fill_opening(&opening, wanted, done + i)
            conns[done + i] = core_connect(core, &opening, i, now, rows + written, &more)
            written += more
        done += part
    count_n(&core.counters, Mib.ActiveOpens, written)
    count_n(&core.counters, Mib.OutSegs, written)
    return written


cdef void release_dead(Core* core, uint32_t slot) noexcept nogil:
    """Nobody holds this CLOSED block any longer."""
    core.held_dead -= 1
    core.pool.blocks[slot].bits = 0
    pool_give(&core.pool, slot)


cdef uint32_t core_call(Core* core, Call call, uint64_t conn, uint32_t nbytes, int64_t now, Segment* rows,
                        uint32_t* n_rows) noexcept nogil:
    """One application call on one handle; CALL_RECV returns the bytes taken."""
    cdef uint32_t ref = core_resolve(core, conn), slot, taken = 0, timeout
    cdef Block* tcb
    cdef Cold* cold
    cdef Action act
    cdef Ranges scratch
    cdef Before was
    n_rows[0] = 0
    if ref == 0:
        count(&core.counters, Mib.StaleHandles)
        return 0
    slot = ref - 1
    tcb = &core.pool.blocks[slot]
    cold = &core.pool.colds[slot]
    if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and call != CALL_ABORT:
        return 0                                      # a half-open entry has no application yet
    if tcb.bits & B_ORPHAN and call != CALL_ABORT:
        return 0                                      # the application is gone
    if tcb.state == CLOSED and (call == CALL_CLOSE or call == CALL_ABORT):
        if not tcb.bits & B_QUEUED:
            release_dead(core, slot)
        return 0
    remember(&was, tcb)
    if call == CALL_CLOSE and core.predicting and predict_close(tcb, cold, &core.pool.stamps[slot],
                                                                &core.knobs, now, rows, &timeout):
        arm(core, slot, T_REXMT, tick_up(now) + timeout)
        count_change(core, tcb, &was)
        core.predicted += 1
        n_rows[0] = 1
        return 0
    begin(core, &act, &scratch, slot, rows)
    if call == CALL_SEND:
        send_call(tcb, cold, nbytes, &core.knobs, now, &act)
    elif call == CALL_RECV:
        taken = receive_call(tcb, cold, nbytes, &core.knobs, now, &act)
    elif call == CALL_SHUTDOWN:
        shutdown_call(tcb, cold, &core.knobs, now, &act)
    elif call == CALL_CLOSE:
        close_call(tcb, cold, &core.knobs, now, &act)
    else:
        abort_call(tcb, cold, &core.knobs, now, &act)
    if tcb.state != CLOSED:
        settle(core, slot, &was, &act, now)
    n_rows[0] = act.n_rows
    return taken


cdef Py_ssize_t core_calls(Core* core, Call call, const uint64_t* conns, Py_ssize_t n, const uint32_t* nbytes,
                           uint32_t* taken, int64_t now, Segment* rows) noexcept nogil:
    """The same call on each handle in order; nbytes and taken may be NULL. Returns the rows written."""
    cdef Py_ssize_t i, written = 0
    cdef uint32_t more, got, slot
    for i in range(n):
        if i + AHEAD < n:
            slot = <uint32_t>conns[i + AHEAD]
            if slot < core.pool.capacity:
                prefetch(&core.pool.blocks[slot])
                if core.knobs.tcp_timestamps:
                    prefetch(&core.pool.stamps[slot])
        got = core_call(core, call, conns[i], nbytes[i] if nbytes != NULL else 0, now, rows + written, &more)
        written += more
        if taken != NULL:
            taken[i] = got
    count_n(&core.counters, Mib.OutSegs, written)
    return written


cdef uint64_t core_queued(const Core* core, uint64_t conn) noexcept nogil:
    """Bytes queued and not acknowledged, 0 for a connection that cannot send."""
    cdef uint32_t ref = core_resolve(core, conn)
    cdef const Block* tcb
    if ref == 0:
        return 0
    tcb = &core.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND | OPENING) or not tcb.bits & B_COLD:
        return 0
    return <uint32_t>(core.pool.colds[ref - 1].snd_end - tcb.snd_una)


cdef uint32_t core_rows_due(Core* core, uint64_t conn, uint32_t nbytes) noexcept nogil:
    """Rows that sending nbytes more would emit now."""
    cdef uint32_t ref = core_resolve(core, conn)
    cdef Block tcb
    cdef Cold cold
    if ref == 0:
        return 0
    tcb = core.pool.blocks[ref - 1]
    if not in_set(tcb.state, CAN_SEND) or tcb.bits & B_ORPHAN:
        return 0
    if tcb.bits & B_COLD:
        cold = core.pool.colds[ref - 1]
    else:
        use_cold(&tcb, &cold)
    cold.snd_end += nbytes
    return rows_due(&tcb, &cold)


cdef uint64_t core_accept(Core* core, uint16_t listener, int64_t now) noexcept nogil:
    """The oldest unaccepted connection of this listener, held from now on; 0 when there is none."""
    cdef uint32_t slot, ref = backlog_pop(&core.backlog, listener)
    cdef Block* tcb
    if ref == 0:
        return 0
    slot = ref - 1
    ref = backlog_peek(backlog_at(&core.backlog, listener), ACCEPT_AHEAD)
    if ref:
        prefetch(&core.pool.blocks[ref - 1])
    tcb = &core.pool.blocks[slot]
    tcb.bits = (tcb.bits & ~B_QUEUED) | B_HELD
    core.queued -= 1
    events_tell(&core.events, handle_of(core, slot), now, listener, EV_ACCEPTED, 0, tcb.state)
    return handle_of(core, slot)


cdef uint32_t core_unlisten(Core* core, uint16_t listener, int64_t now, Segment* rows) noexcept nogil:
    """Close a listener; at most one row per unaccepted connection."""
    cdef uint32_t slot, written = 0
    cdef Action act
    cdef Ranges scratch
    cdef Before was
    cdef Block* tcb
    while True:
        slot = backlog_pop(&core.backlog, listener)
        if slot == 0:
            break
        slot -= 1
        tcb = &core.pool.blocks[slot]
        tcb.bits &= ~B_QUEUED
        core.queued -= 1
        if tcb.state == CLOSED:
            release_dead(core, slot)
            continue
        begin(core, &act, &scratch, slot, rows + written)
        remember(&was, tcb)
        abandon_call(tcb, &core.pool.colds[slot], &core.knobs, now, &act)
        settle(core, slot, &was, &act, now)
        written += act.n_rows
    backlog_close(&core.backlog, listener)
    core.counts[LISTEN] -= 1
    if core.knobs.unlisten_forgets:
        forget_half_open(core, listener, now)
    if core.book == BOOK_LISTENERS:
        synq_forget(&core.synq, listener)
    count_n(&core.counters, Mib.OutSegs, written)
    return written


cdef void forget_half_open(Core* core, uint16_t listener, int64_t now) noexcept nogil:
    """Remove a closed listener's half-open entries at once; a walk over all blocks, as nothing lists them."""
    cdef uint32_t slot
    cdef Block* tcb
    for slot in range(core.pool.fresh):
        tcb = &core.pool.blocks[slot]
        if tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE and tcb.listener == listener:
            end_quietly(core, slot, CauseListenerClosed, now)


cdef uint64_t core_lookup(const Core* core, uint32_t raddr, uint16_t rport, uint32_t laddr,
                          uint16_t lport) noexcept nogil:
    cdef uint32_t hash = flow_hash(&core.flows, raddr, rport, laddr, lport)
    cdef uint32_t ref = flow_find(&core.flows, hash, raddr, rport, laddr, lport)
    return handle_of(core, ref - 1) if ref else 0
