"""Admission of SYNs to the half-open queue, and the entry that an admitted one becomes.

Not which policy says what (components/syn_policy), nor whom it evicts (components/syn_eviction).
Invariant: every SYN that opens nothing is counted under exactly one cause, or answered by a cookie.
Source: docs/semantics.md section 3; Linux tcp_conn_request, FreeBSD syncache_add.
"""


from tcpcore.base.prefetch cimport likely, prefetch, unlikely
from tcpcore.base.siphash cimport siphash24_1
from tcpcore.records.action cimport Action
from tcpcore.records.connect_args cimport Asked
from tcpcore.records.counters cimport (
    CauseAcceptQueueFull, CauseBlocksExhausted, CauseSynQueueEvicted, CauseSynQueueFull,
    CauseSynQueueReserve, Mib, count,
)
from tcpcore.records.event cimport EV_LOST, EV_OPENED
from tcpcore.records.out_of_order cimport Ranges, ranges_empty
from tcpcore.records.segment cimport FIN, OPT_TS
from tcpcore.records.tcb cimport B_COLD, B_EPHEMERAL, B_MATURE, CLOSED, SYN_RECEIVED, T_REXMT
from tcpcore.tcp.liveness cimport start_liveness
from tcpcore.tcp.opens cimport open_passive, open_text
from tcpcore.tcp.rto cimport tick_up
from tcpcore.tcp.syn_image cimport is_alike, keep_image, open_alike
from tcpcore.components.events cimport events_add
from tcpcore.components.flow_table cimport (
    flow_ahead_bucket, flow_hash_tcbs, flow_insert, flow_remove_known,
)
from tcpcore.components.isn cimport isn_hashes, isn_make
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, accept_queue_full, half_open_added, half_open_left, listener_asked, listener_at,
)
from tcpcore.components.ports cimport in_port_range, ports_bound
from tcpcore.components.syn_eviction cimport (
    eviction_add, eviction_bucket, eviction_buckets, eviction_full, eviction_next, eviction_oldest,
    eviction_random,
)
from tcpcore.components.syn_policy cimport (
    ADMIT, ADMIT_COOKIE, EVICT_NEVER, EVICT_OLDEST, EVICT_PER_BUCKET, EVICT_RANDOM, PAUSE,
    REFUSE_ACCEPT_FULL, REFUSE_QUEUE_FULL, REFUSE_RESERVE, Verdict, pause_begin, policy_admit,
    policy_pauses,
)
from tcpcore.components.syncookie cimport COOKIE_FREEBSD, cookie_make
from tcpcore.components.tcb_pool cimport pool_give, pool_take
from tcpcore.loops.apply cimport begin_action, keep_ranges, refuse, remove_connection
from tcpcore.loops.cookies cimport expect_cookies, send_cookie
from tcpcore.loops.isn_batch cimport isn_batch_find, stretch_from, ts_offset_for
from tcpcore.loops.pipeline cimport tcb_or_any
from tcpcore.loops.state cimport KEY_RANDOM, handle_at
from tcpcore.loops.timers cimport arm, stop_timer


cdef Pressure pressure_on(const EngineState* eng, const Listener* listener) noexcept nogil:
    """A listener's queues as a policy sees them; `admitted` fills in what concerns the syncache."""
    cdef Pressure pressure
    pressure.backlog = listener.backlog
    pressure.half_open = listener.half_open
    pressure.young = listener.young
    pressure.accept_full = accept_queue_full(listener)
    pressure.bucket_full = False
    pressure.paused = False
    pressure.proven = False
    return pressure


cdef void look_at_victims(EngineState* eng, Py_ssize_t n) noexcept nogil:
    """Ask ahead for what the evictions of a stretch will touch, and hash their victims at once. Hints only:
    the bucket itself says who goes."""
    cdef Py_ssize_t i
    for i in range(n):
        eng.victims[i] = eviction_next(&eng.eviction, eng.buckets[i], eng.knobs.syncache_bucketlimit)
        prefetch(tcb_or_any(eng, eng.victims[i]))
    flow_hash_tcbs(&eng.flows, eng.victims, n, eng.victim_hashes)
    for i in range(n):
        eng.victim_generations[i] = tcb_or_any(eng, eng.victims[i]).generation
        flow_ahead_bucket(&eng.flows, eng.victim_hashes[i])


cdef uint32_t bucket_of(EngineState* eng, const Segment* seg) noexcept nogil:
    """The syncache bucket of this peer's half-open entry; a stretch of SYNs is hashed at once."""
    cdef Py_ssize_t at = seg - eng.batch - eng.buckets_first, n
    if likely(0 <= at < eng.buckets_count):
        return eng.buckets[at]
    n = stretch_from(eng, seg, eng.buckets_first)
    if n == 0:
        return eviction_bucket(eng.bucket_k0, eng.bucket_k1, seg.src, seg.sport, seg.dport,
                               eng.syncache_buckets)
    eviction_buckets(eng.bucket_k0, eng.bucket_k1, seg, n, eng.syncache_buckets, eng.buckets)
    eng.buckets_first = seg - eng.batch
    eng.buckets_count = n
    if eng.knobs.tcp_syncookies == 0:
        look_at_victims(eng, n)
    return eng.buckets[0]


cdef inline uint32_t queue_of(EngineState* eng, const Segment* seg, uint32_t id) noexcept nogil:
    """The eviction queue of this peer's half-open entry: its syncache bucket, or its listener."""
    return bucket_of(eng, seg) if eng.eviction_scope == EVICT_PER_BUCKET else id


cdef void end_victim(EngineState* eng, const Segment* seg, uint32_t slot, int64_t now) noexcept nogil:
    """remove_connection of whom this SYN evicts; in fewer steps, if it was looked at ahead and is bare."""
    cdef Py_ssize_t at = seg - eng.batch - eng.buckets_first
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef Listener* listener = listener_at(&eng.listeners, tcb.listener)
    if (not 0 <= at < eng.buckets_count or eng.victims[at] != slot + 1
            or eng.victim_generations[at] != tcb.generation or tcb.bits & (B_COLD | B_EPHEMERAL)
            or listener.state != LISTENER_OPEN or not eng.predicting):
        remove_connection(eng, slot, CauseSynQueueEvicted, now)
        return
    eng.half_open -= 1
    half_open_left(listener, tcb.bits & B_MATURE)
    count(&eng.counters, Mib.SynQueueEvicted)
    flow_remove_known(&eng.flows, eng.victim_hashes[at], slot + 1)
    stop_timer(eng, slot)
    eng.counts[SYN_RECEIVED] -= 1
    eng.counters.causes[<uint32_t>CauseSynQueueEvicted] += 1
    events_add(&eng.events, handle_at(eng, slot), now, tcb.listener, EV_LOST, CauseSynQueueEvicted, CLOSED)
    pool_give(&eng.pool, slot)


cdef bint evict(EngineState* eng, const Segment* seg, uint32_t queue, bint random,
                int64_t now) noexcept nogil:
    """End an entry of a full queue to make room; False when the queue has none to give."""
    cdef uint32_t victim
    if random:
        eng.draws += 1
        victim = eviction_random(&eng.eviction, queue, siphash24_1(eng.random_key, KEY_RANDOM, eng.draws))
    else:
        victim = eviction_oldest(&eng.eviction, queue)
    if victim:
        end_victim(eng, seg, victim - 1, now)
    return victim != 0


cdef inline bint bucket_decides(const EngineState* eng, const Listener* listener) noexcept nogil:
    """Whether a SYN is admitted or evicts by the number of entries in its bucket alone."""
    return (eng.eviction_scope == EVICT_PER_BUCKET and eng.knobs.tcp_syncookies == 0
            and not accept_queue_full(listener))


cdef inline bint room_in_bucket(EngineState* eng, const Segment* seg, uint32_t bucket,
                                int64_t now) noexcept nogil:
    """Whether a syncache bucket has room, or an eviction makes some; if not, nothing was done."""
    return (not eviction_full(&eng.eviction, bucket, eng.knobs.syncache_bucketlimit, eng.half_open)
            or evict(eng, seg, bucket, False, now))


cdef void pause_cache(EngineState* eng, int64_t now) noexcept nogil:
    """Pause the syncache (FreeBSD syncache_pause): cookies only for a while, and every entry goes.

    The ISS of an entry is a cookie under this policy, so the ACK of an entry that went may still open.
    """
    cdef uint32_t queue, victim
    pause_begin(&eng.pause, now)
    count(&eng.counters, Mib.SynCachePauses)
    for queue in range(eng.syncache_buckets):
        while True:
            victim = eviction_oldest(&eng.eviction, queue)
            if victim == 0:
                break
            expect_cookies(listener_at(&eng.listeners, eng.pool.blocks[victim - 1].listener), now)
            remove_connection(eng, victim - 1, CauseSynQueueEvicted, now)


cdef inline bint has_room(const EngineState* eng, const Listener* listener) noexcept nogil:
    """Whether this listener takes one more half-open entry, with nothing for `admitted` to decide."""
    return admits_alike(eng) and queue_has_room(listener)


cdef bint admitted(EngineState* eng, const Segment* seg, Listener* listener, uint32_t id, uint32_t queue,
                   bint reopened, bint* cookie, int64_t now) noexcept nogil:
    """Whether a SYN may open a half-open entry, or (cookie, out) is to be answered by a cookie.

    Evicts where the policy says so, and counts a refusal. A SYN that reopens a TIME-WAIT is let in by a full
    half-open queue (tcp_conn_request): it frees the TIME-WAIT, and its peer is known to be real.
    """
    cdef Pressure pressure = pressure_on(eng, listener)
    cdef Verdict verdict
    if eng.eviction_scope == EVICT_PER_BUCKET:
        pressure.paused = eng.knobs.tcp_syncookies and now < eng.pause.until
        pressure.bucket_full = not pressure.paused and eviction_full(
            &eng.eviction, queue, eng.knobs.syncache_bucketlimit, eng.half_open)
    verdict = policy_admit(&pressure, &eng.knobs)
    if verdict == EVICT_OLDEST or verdict == EVICT_RANDOM:
        verdict = ADMIT if evict(eng, seg, queue, verdict == EVICT_RANDOM, now) else REFUSE_QUEUE_FULL
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


cdef inline uint32_t choose_iss(EngineState* eng, const Segment* seg, Py_ssize_t numbers,
                                int64_t now) noexcept nogil:
    """The ISS of a half-open entry.

    Under a policy that pauses it is a FreeBSD cookie, which holds all that the entry holds: an entry that
    the pause ends can still be completed.
    """
    if policy_pauses(&eng.knobs) and eng.cookies.rule == COOKIE_FREEBSD:
        return cookie_make(&eng.cookies, seg, now)
    if isn_hashes(&eng.isn) and numbers >= 0:
        return eng.isns[numbers] + eng.isn_shift
    return isn_make(&eng.isn, seg.dst, seg.dport, seg.src, seg.sport, now)


cdef void count_passive(EngineState* eng, Tcb* tcb) noexcept nogil:
    """Count a port of ip_local_port_range that a peer came to. A call of its own: servers seldom have one."""
    if ports_bound(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport):
        tcb.bits |= B_EPHEMERAL


cdef void ask_of(EngineState* eng, uint32_t slot, uint32_t id) noexcept nogil:
    """Ask of a new connection what its listener asks of all."""
    cdef const Asked* asked = listener_asked(&eng.listeners, <uint16_t>id)
    if asked != NULL:
        start_liveness(&eng.pool.blocks[slot], &eng.pool.colds[slot], &eng.pool.lives[slot],
                       asked.user_timeout_ms, asked.keepalive)


cdef uint32_t fill_half(EngineState* eng, const Segment* seg, uint32_t id, uint32_t slot, int64_t iss,
                        Py_ssize_t numbers, int64_t now, Segment* rows) noexcept nogil:
    """Fill in the TCB of a half-open entry and write its SYN-ACK; the ticks until that is sent again."""
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    cdef uint32_t timeout
    fill_passive_tuple(tcb, seg, id, listener)
    if iss < 0:
        iss = choose_iss(eng, seg, numbers, now)
    timeout = open_passive(tcb, &eng.pool.colds[slot], &eng.pool.stamps[slot], seg, &eng.knobs, now,
                           <uint32_t>iss, ts_offset_for(eng, seg, numbers),
                           buffer_for(eng, listener, seg.opts & OPT_TS), rows)
    if unlikely(eng.listeners.any_asked):
        ask_of(eng, slot, id)
    if opens_alike(eng, tcb.lport):
        keep_image(&eng.syn_image if admits_alike(eng) else &eng.asked_image, tcb, seg, rows, timeout)
    if seg.payload_len or seg.flags & FIN:
        take_syn_text_and_fin(eng, slot, seg)
    if unlikely(in_port_range(&eng.ports, tcb.lport)):
        count_passive(eng, tcb)
    return timeout


cdef uint32_t open_half(EngineState* eng, const Segment* seg, uint32_t hash, uint32_t id, int64_t iss,
                        int64_t now, Segment* rows) noexcept nogil:
    """SYN-RECEIVED from LISTEN (RFC 9293 3.10.7.2, third), if the queue admits it; the rows written, 0 or 1.

    iss >= 0 is the ISS of a SYN that reopens a TIME-WAIT, -1 leaves it to the ISN generator.
    """
    cdef Listener* listener = listener_at(&eng.listeners, id)
    cdef uint32_t ref, timeout, queue = 0
    cdef Py_ssize_t numbers
    cdef bint cookie
    if eng.predicting and iss < 0 and refuses_alike(eng, listener):
        count(&eng.counters, Mib.TCPReqQFullDrop)
        count(&eng.counters, Mib.ListenDrops)
        refuse(eng, CauseSynQueueFull, id, now)
        return 0
    if not (eng.predicting and has_room(eng, listener)):
        queue = queue_of(eng, seg, id)
        cookie = False
        if not (eng.predicting and iss < 0 and bucket_decides(eng, listener)
                and room_in_bucket(eng, seg, queue, now)):
            if not admitted(eng, seg, listener, id, queue, iss >= 0, &cookie, now):
                return 0
        if cookie:
            return send_cookie(eng, seg, id, now, rows)
    ref = pool_take(&eng.pool)
    if ref == 0:
        count(&eng.counters, Mib.ListenDrops)
        count(&eng.counters, Mib.BlocksExhausted)
        refuse(eng, CauseBlocksExhausted, id, now)
        return 0
    numbers = isn_batch_find(eng, seg, now)
    if eng.predicting and iss < 0 and numbers >= 0 and is_alike(&eng.asked_image, seg):
        timeout = eng.asked_image.timeout
        open_alike(&eng.asked_image, &eng.pool.blocks[ref - 1], &eng.pool.stamps[ref - 1], seg, now,
                   eng.isns[numbers] + eng.isn_shift, ts_offset_for(eng, seg, numbers), rows)
    else:
        timeout = fill_half(eng, seg, id, ref - 1, iss, numbers, now, rows)
    flow_insert(&eng.flows, hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_RECEIVED] += 1
    eng.half_open += 1
    half_open_added(listener)
    if eng.eviction_scope != EVICT_NEVER:
        eviction_add(&eng.eviction, queue, ref)
    count(&eng.counters, Mib.SynQueueAdded)
    events_add(&eng.events, handle_at(eng, ref - 1), now, id, EV_OPENED, 0, SYN_RECEIVED)
    return 1


cdef void take_syn_text_and_fin(EngineState* eng, uint32_t slot, const Segment* seg) noexcept nogil:
    """Give the text and the FIN of a SYN to the state machine, which keeps or ignores them (syn_text)."""
    cdef Action act
    cdef Ranges scratch
    begin_action(eng, &act, &scratch, slot, NULL)
    open_text(&eng.pool.blocks[slot], &eng.pool.colds[slot], seg, &eng.knobs, &act)
    if not ranges_empty(act.ranges):
        keep_ranges(eng, slot, &act)
