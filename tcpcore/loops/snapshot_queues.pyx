"""Listeners, eviction queues, ports and events in a snapshot.

Tables that are only searched are made again: listeners by address from the listeners, ports in use from the
TCBs that have one. All are read behind the TCBs.
Invariant: whatever bytes are read, an entry of a queue is a TCB that says so itself, once.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort
from libc.string cimport memcmp

from tcpcore.base.probing cimport probe_at
from tcpcore.base.ring cimport ring_at, ring_push
from tcpcore.base.stream cimport (
    STREAM_WRITE, is_reading, stream_bytes, stream_count, stream_fails, stream_i64, stream_u32, stream_u64,
    stream_u8,
)
from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB, Asked
from tcpcore.records.event cimport Event
from tcpcore.records.tcb cimport B_EPHEMERAL, B_PASSIVE, B_QUEUED, CLOSED, SYN_RECEIVED, Tcb
from tcpcore.tcp.receive_window cimport WINDOW_MAX
from tcpcore.components.bound_ports cimport BOUND_SEEN
from tcpcore.components.events cimport events_pack, events_reserve, events_wanted
from tcpcore.components.listeners cimport (
    LISTENER_CLOSING, LISTENER_FREE, MAX_LISTENERS, Burst, Listener, ListenerTable, accept_queue_push,
    listener_asked, listener_at, listener_link,
)
from tcpcore.components.ports cimport (
    HAS_RETRY, PORTS_LINUX, PortUse, Ports, in_port_range, ports_bound, ports_use,
)
from tcpcore.components.syn_eviction cimport (
    EVICTION_PLACES, EvictionEntry, eviction_bucket, eviction_reserve,
)
from tcpcore.components.syn_policy cimport EVICT_NEVER, EVICT_PER_BUCKET
from tcpcore.loops.connect cimport bar_listened

cdef enum:
    PERTURB = 1 << 16         # numbers in Ports.perturb

cdef struct Destination:
    # a destination whose ports can be given up, as it stands in a snapshot
    uint32_t laddr
    uint32_t raddr
    uint32_t rport
    uint32_t retry


# ---- listeners

cdef void stream_waiting(Stream* stream, EngineState* eng, uint32_t id, uint8_t* seen) noexcept nogil:
    """The accept queue of a listener, oldest first; `seen` marks the slots that were in one already."""
    cdef Listener* listener = listener_at(&eng.listeners, <uint16_t>id)
    cdef uint32_t n = listener.accept_queue.length, i, ref = 0
    cdef const Tcb* tcb
    if not stream_count(stream, &n, eng.pool.fresh, sizeof(ref), "more unaccepted connections than TCBs"):
        return
    for i in range(n):
        if not is_reading(stream):
            ref = (<uint32_t*>ring_at(&listener.accept_queue, i, sizeof(uint32_t)))[0]
        stream_u32(stream, &ref)
        if not is_reading(stream):
            continue
        if ref == 0 or ref > eng.pool.fresh or seen[ref - 1]:
            stream_fails(stream, "an accept queue with an entry that is no TCB", ref)
            return
        tcb = &eng.pool.blocks[ref - 1]
        if not tcb.bits & B_QUEUED or tcb.listener != id:
            stream_fails(stream, "an accept queue with a TCB that is not in it", ref - 1)
            return
        seen[ref - 1] = True
        if not accept_queue_push(&eng.listeners, <uint16_t>id, ref):
            stream_fails(stream, "no memory for its accept queue", id)
            return


cdef void stream_burst(Stream* stream, Burst* burst, bint noted) noexcept nogil:
    """What a burst of timers found; the record is not touched where there was none."""
    cdef uint8_t told = noted
    stream_u8(stream, &told)
    if told:
        stream_u64(stream, &burst.number)
        stream_u32(stream, &burst.half_open)
        stream_u32(stream, &burst.young)


cdef void stream_asked(Stream* stream, ListenerTable* table, uint32_t id) noexcept nogil:
    """What is asked of a listener's connections; the record is not touched where nothing is."""
    cdef uint8_t given = not is_reading(stream) and listener_asked(table, <uint16_t>id) != NULL
    cdef Asked* asked = &table.asked[id - 1]
    stream_u8(stream, &given)
    if given:
        stream_u32(stream, &asked.user_timeout_ms)
        stream_u8(stream, &asked.keepalive)
        if asked.keepalive > 1 or asked.user_timeout_ms > TIMEOUT_OF_KNOB or given > 1:
            stream_fails(stream, "a listener with a field that is out of range", id)
        asked.given = True
        table.any_asked = True


cdef void stream_listener(Stream* stream, EngineState* eng, uint32_t id, uint8_t* seen) noexcept nogil:
    """One listener and who waits there; of a free one that it is free."""
    cdef Listener* listener = listener_at(&eng.listeners, <uint16_t>id)
    cdef Burst* burst = &eng.listeners.bursts[id - 1]
    cdef bint noted = False
    stream_u8(stream, &listener.state)
    if listener.state == LISTENER_FREE:
        return
    stream_u32(stream, &listener.addr)
    stream_bytes(stream, &listener.port, sizeof(uint16_t))
    stream_u8(stream, &listener.auto_accept)
    stream_u8(stream, &listener.auto_close)
    stream_u8(stream, &listener.backlog_capped)
    stream_u8(stream, &listener.defer)
    stream_u32(stream, &listener.backlog)
    stream_u32(stream, &listener.accept_room)
    stream_u32(stream, &listener.half_open)
    stream_u32(stream, &listener.young)
    stream_u32(stream, &listener.rcv_buf)
    stream_i64(stream, &listener.cookie_until)
    if not is_reading(stream):
        noted = burst.number != 0
    stream_burst(stream, burst, noted)
    stream_asked(stream, &eng.listeners, id)
    if is_reading(stream) and (
            listener.state > LISTENER_CLOSING or listener.rcv_buf > WINDOW_MAX
            or listener.auto_accept | listener.auto_close | listener.backlog_capped > 1):
        stream_fails(stream, "a listener with a field that is out of range", id)
    stream_waiting(stream, eng, id, seen)
    if is_reading(stream) and listener.state == LISTENER_CLOSING and not (
            listener.half_open or listener.accept_queue.length):
        stream_fails(stream, "a closed listener that nothing refers to", id)
    if is_reading(stream) and stream.fault == NULL and not listener_link(&eng.listeners, <uint16_t>id):
        stream_fails(stream, "two listeners on one address, or one on port 0", id)


cdef void stream_free_listeners(Stream* stream, EngineState* eng) noexcept nogil:
    """The ids that are free, in the order in which they will be used."""
    cdef uint16_t id = eng.listeners.free_first
    cdef uint32_t n = 0, i
    for i in range(1, eng.listeners.fresh + 1):
        n += listener_at(&eng.listeners, <uint16_t>i).state == LISTENER_FREE
    for _ in range(n):
        stream_bytes(stream, &id, sizeof(uint16_t))
        if not is_reading(stream):
            id = listener_at(&eng.listeners, id).port
        elif (id == 0 or id > eng.listeners.fresh or id == eng.listeners.free_last
                or listener_at(&eng.listeners, id).state != LISTENER_FREE
                or listener_at(&eng.listeners, id).port):
            stream_fails(stream, "a free listener that is not free, or twice", id)
            return
        else:
            listener_link(&eng.listeners, id)


cdef void stream_listeners(Stream* stream, EngineState* eng) noexcept nogil:
    """All listeners by id, then the free ids."""
    cdef uint32_t id, waiting = 0
    cdef uint8_t* seen = NULL
    if not stream_count(stream, &eng.listeners.fresh, MAX_LISTENERS, 1, "more listeners than there are"):
        return
    if is_reading(stream):
        seen = <uint8_t*>calloc(<size_t>eng.pool.fresh + 1, 1)
        if seen == NULL:
            stream_fails(stream, "no memory to check it", 0)
            return
    for id in range(1, eng.listeners.fresh + 1):
        stream_listener(stream, eng, id, seen)
        if stream.fault != NULL:
            break
        waiting += listener_at(&eng.listeners, <uint16_t>id).accept_queue.length
    free(seen)
    if is_reading(stream) and waiting != eng.accept_queued:
        stream_fails(stream, "accept queues that are not as long as it says", waiting)
    if stream.fault == NULL:
        stream_free_listeners(stream, eng)


# ---- eviction

cdef bint belongs(const EngineState* eng, uint32_t queue, const Tcb* tcb) noexcept nogil:
    """A half-open entry is to be evicted from this queue."""
    if eng.eviction_scope == EVICT_PER_BUCKET:
        return queue == eviction_bucket(eng.bucket_k0, eng.bucket_k1, tcb.raddr, tcb.rport, tcb.lport,
                                        eng.syncache_buckets)
    return queue == tcb.listener


cdef void stream_queue(Stream* stream, EngineState* eng, uint32_t queue, uint8_t* seen) noexcept nogil:
    """One eviction queue, oldest first, dead entries included: a random draw may meet them. Its places are
    what decides when they are swept out."""
    cdef uint32_t places = eng.eviction.queues[queue].places, n = eng.eviction.queues[queue].length, i
    cdef EvictionEntry* entry
    cdef const Tcb* tcb
    stream_u32(stream, &places)
    if is_reading(stream) and (places < EVICTION_PLACES or (
            places > EVICTION_PLACES and places > 4 * <uint64_t>eng.pool.fresh)):
        stream_fails(stream, "an eviction queue with more places than TCBs ask for", queue)
        return
    if not stream_count(stream, &n, places, sizeof(EvictionEntry), "an eviction queue beyond its places"):
        return
    if is_reading(stream) and not eviction_reserve(&eng.eviction, queue, places):
        stream_fails(stream, "an eviction queue without memory, or of no such size", queue)
        return
    for i in range(n):
        entry = <EvictionEntry*>ring_at(&eng.eviction.queues[queue], i, sizeof(EvictionEntry))
        stream_u32(stream, &entry.ref)
        stream_u32(stream, &entry.generation)
        if not is_reading(stream):
            continue
        if entry.ref == 0 or entry.ref > eng.pool.fresh:
            stream_fails(stream, "an eviction queue with an entry that is no TCB", entry.ref)
            return
        ring_push(&eng.eviction.queues[queue], sizeof(EvictionEntry))
        eng.eviction.entries += 1
        tcb = &eng.pool.blocks[entry.ref - 1]
        if tcb.generation == entry.generation and tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE:
            if seen[entry.ref - 1] or not belongs(eng, queue, tcb):
                stream_fails(stream, "a half-open entry in two eviction queues, or in a wrong one", queue)
                return
            seen[entry.ref - 1] = True


cdef void stream_eviction(Stream* stream, EngineState* eng) noexcept nogil:
    """The eviction queues that have had an entry. Queues that nobody can have used are not touched."""
    cdef uint32_t queue, n = 0, i, last = 0
    cdef uint32_t queues = eng.eviction.n_queues
    cdef uint8_t* seen = NULL
    if eng.eviction_scope == EVICT_NEVER:
        return
    if eng.eviction_scope != EVICT_PER_BUCKET:
        queues = eng.listeners.fresh + 1
    if not is_reading(stream):
        for queue in range(queues):
            n += eng.eviction.queues[queue].places != 0
    if not stream_count(stream, &n, queues, 3 * sizeof(uint32_t), "more eviction queues than there are"):
        return
    queue = 0
    if is_reading(stream):
        seen = <uint8_t*>calloc(<size_t>eng.pool.fresh + 1, 1)
        if seen == NULL:
            stream_fails(stream, "no memory to check it", 0)
            return
    for i in range(n):
        if not is_reading(stream):
            while eng.eviction.queues[queue].places == 0:
                queue += 1
        stream_u32(stream, &queue)
        if is_reading(stream) and (queue >= queues or (i and queue <= last)):
            stream_fails(stream, "eviction queues that are not in order", queue)
            break
        stream_queue(stream, eng, queue, seen)
        if stream.fault != NULL:
            break
        last = queue
        queue += 1
    free(seen)


# ---- ports

cdef int in_order(const void* a, const void* b) noexcept nogil:
    """Any order will do, as long as it does not depend on where in the table a destination is."""
    return memcmp(a, b, sizeof(Destination))


cdef void stream_perturb(Stream* stream, Ports* ports) noexcept nogil:
    """The steps of algorithm 4 that are not 0."""
    cdef uint32_t i, n = 0, index = 0
    if ports.perturb == NULL:
        return
    if not is_reading(stream):
        for i in range(PERTURB):
            n += ports.perturb[i] != 0
    if not stream_count(stream, &n, PERTURB, 2 * sizeof(uint32_t), "more steps of ports than there are"):
        return
    for _ in range(n):
        if not is_reading(stream):
            while ports.perturb[index] == 0:
                index += 1
        stream_u32(stream, &index)
        if is_reading(stream) and index >= PERTURB:
            stream_fails(stream, "steps of ports that are out of range", index)
            return
        stream_u32(stream, &ports.perturb[index])
        index += 1


cdef uint32_t list_destinations(const Ports* ports, Destination* found) noexcept nogil:
    """The destinations with a `retry` in a fixed order, unless found is NULL; how many."""
    cdef const PortUse* use
    cdef uint32_t i, n = 0
    for i in range(ports.uses.mask + 1):
        use = <const PortUse*>probe_at(&ports.uses, i, sizeof(PortUse))
        if use.count == 0 or not use.odd & HAS_RETRY:
            continue
        if found != NULL:
            found[n].laddr, found[n].raddr, found[n].rport = use.laddr, use.raddr, use.rport
            found[n].retry = use.retry
        n += 1
    if found != NULL:
        qsort(found, n, sizeof(Destination), in_order)
    return n


cdef void stream_retries(Stream* stream, Ports* ports) noexcept nogil:
    """When ports can be given up, by destination."""
    cdef uint32_t n = 0, i
    cdef Destination* found = NULL
    cdef Destination one
    cdef PortUse* use
    if not is_reading(stream):
        n = list_destinations(ports, NULL)
    if stream.mode == STREAM_WRITE:
        found = <Destination*>malloc(n * sizeof(Destination) + 1)
        if found == NULL:
            stream_fails(stream, "no memory to write it", n)
            return
        list_destinations(ports, found)
    if stream_count(stream, &n, ports.n, sizeof(Destination), "more destinations than connections have"):
        for i in range(n):
            if stream.mode == STREAM_WRITE:
                one = found[i]
            stream_bytes(stream, &one, sizeof(Destination))
            if is_reading(stream):
                use = ports_use(ports, one.laddr, one.raddr, <uint16_t>one.rport)
                if use.count == 0 or use.odd & HAS_RETRY or one.rport > 65535:
                    stream_fails(stream, "ports given up towards a destination that has none", i)
                    break
                use.retry = one.retry
                use.odd |= HAS_RETRY
    free(found)


cdef void stream_ports(Stream* stream, EngineState* eng) noexcept nogil:
    """The state of the port search; which ports are taken is counted again."""
    cdef Tcb* tcb
    cdef uint32_t slot
    stream_u64(stream, &eng.ports.drawn)
    stream_u32(stream, &eng.ports.counter)
    stream_perturb(stream, &eng.ports)
    if is_reading(stream) and stream.fault == NULL:
        if not bar_listened(eng):
            stream_fails(stream, "no memory for the ports of listeners", 0)
            return
        for slot in range(eng.pool.fresh):
            tcb = &eng.pool.blocks[slot]
            if tcb.state == CLOSED or not tcb.bits & B_EPHEMERAL and not in_port_range(&eng.ports, tcb.lport):
                continue
            if not tcb.bits & B_EPHEMERAL and eng.ports.rule == PORTS_LINUX:
                eng.bound.use = BOUND_SEEN
                continue
            if not ports_bound(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport):
                stream_fails(stream, "a chosen port out of its range, or no memory for it", slot)
                return
            tcb.bits |= B_EPHEMERAL
    stream_retries(stream, &eng.ports)


# ---- events

cdef void stream_events(Stream* stream, EngineState* eng) noexcept nogil:
    """Events that nobody has fetched, and how many were lost."""
    cdef uint32_t i
    cdef uint32_t n = eng.events.n
    events_pack(&eng.events)
    stream_u64(stream, &eng.events.lost)
    if not stream_count(stream, &n, eng.events.bound, sizeof(Event), "more events than the queue holds"):
        return
    if is_reading(stream):
        if not events_reserve(&eng.events, n):
            stream_fails(stream, "no memory for its events", n)
            return
        eng.events.n = n
    stream_bytes(stream, eng.events.queue, n * sizeof(Event))
    for i in range(n if is_reading(stream) else 0):
        if eng.events.queue[i].kind > 31 or not events_wanted(&eng.events, eng.events.queue[i].kind):
            stream_fails(stream, "an event that nobody subscribed to", i)
            return
