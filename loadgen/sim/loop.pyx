"""The event loop: what happens next, until a time (S2.1 to S2.7).

An instant is played in rounds: the timers that are due, the segments that arrive, what the applications
hear of it, what they and the loads had planned. What a round sends without delay is another round of the
same instant.
"""

from libc.stdint cimport INT64_MAX, uint8_t, uint32_t, uint64_t

from tcpcore cimport (
    CLOSED, CLOSING, Event, FIN, FIN_WAIT_1, FIN_WAIT_2, FourTuple, LAST_ACK, RST, Segment,
    engine_advance, engine_lookup, engine_receive,
)
from loadgen.sim.ahead cimport TOGETHER, conns_of, segments_ahead
from loadgen.sim.arrivals cimport flood_next, flood_segment
from loadgen.sim.attempts cimport ask, block_of, block_u4, collect
from loadgen.sim.clients cimport client_hears, client_task
from loadgen.sim.hosts cimport host_timer, hosts_due, hosts_next
from loadgen.sim.inbox cimport inbox_take
from loadgen.sim.link cimport closes_flush, link_old, link_send, link_spoofed
from loadgen.sim.queue cimport Item, queue_drop, queue_first
from loadgen.sim.server cimport server_hears, server_stall_ends, server_worker
from loadgen.sim.world cimport (
    BATCH, ENGINE_FAILED, FIRST_LAST_ACK, Flood, Host, SERVER, T_FLOOD, T_STALL_ENDS, T_WORKER,
)

cdef enum:
    FEW = 8                   # of more the engine prefetches by itself


cdef int64_t loop_next(Sim* sim) noexcept nogil:
    """When something happens next, INT64_MAX if nothing will."""
    cdef int lane
    cdef const Item* first = queue_first(&sim.queue, &lane)
    cdef int64_t at = hosts_next(sim)
    return first.at if first != NULL and first.at < at else at


cdef void fire(Sim* sim, uint32_t number) noexcept nogil:
    """The timers of one engine that are due."""
    cdef Host* host = &sim.hosts[number]
    cdef Py_ssize_t n = 2 * BATCH
    if host.timer > sim.now:
        return
    while n == 2 * BATCH and not sim.failed:
        n = engine_advance(host.engine, sim.now, sim.out, 2 * BATCH)
        if n < 0:
            sim.failed = ENGINE_FAILED
            return
        link_send(sim, host.end, sim.out, n, sim.now, -1)
        collect(sim, number)


cdef uint64_t conn_of(const Host* host, const Segment* seg) noexcept nogil:
    """The connection that a segment is for, 0: none."""
    cdef FourTuple four
    cdef uint64_t conn = 0
    four.raddr, four.laddr, four.rport, four.lport = seg.src, seg.dst, seg.sport, seg.dport
    engine_lookup(host.engine, &four, 1, &conn)
    return conn


cdef inline bint any_reset(const Segment* segs, Py_ssize_t n) noexcept nogil:
    cdef uint8_t flags = 0
    cdef Py_ssize_t i
    for i in range(n):
        flags |= segs[i].flags
    return flags & RST != 0


cdef int arrive_closing(Sim* sim, Host* host, const Segment* seg, Py_ssize_t* emitted) noexcept nogil:
    """A FIN or a reset (S5.5): what its answer answers, with FIRST_LAST_ACK where that is one."""
    cdef uint64_t conn = conn_of(host, seg)
    cdef uint8_t state = block_of(host, conn)[sim.at_state] if conn != 0 else <uint8_t>CLOSED
    cdef int answered = seg.flags
    emitted[0] = engine_receive(host.engine, seg, 1, sim.now, sim.out, 2 * BATCH)
    if seg.flags & RST:
        if (state == LAST_ACK or state == CLOSING) and (
                block_of(host, conn)[sim.at_state] == CLOSED
                or block_u4(block_of(host, conn), sim.at_generation) != conn >> 32):
            sim.link.stuck += 1
    elif seg.flags & FIN and (state == FIN_WAIT_1 or state == FIN_WAIT_2):
        # where both had closed: of the client's alone
        if host.end != SERVER or block_of(host, conn)[sim.at_state] != CLOSING:
            answered |= FIRST_LAST_ACK
    return answered


cdef bint any_closing(Sim* sim, Host* host, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """One of these segments finds its connection in LAST-ACK or CLOSING."""
    cdef uint64_t conns[TOGETHER]
    cdef Py_ssize_t part, i
    cdef uint8_t state
    while n > 0:
        part = min(n, <Py_ssize_t>TOGETHER)
        if not conns_of(host, segs, part, conns):
            return True
        for i in range(part):
            state = block_of(host, conns[i])[sim.at_state] if conns[i] != 0 else <uint8_t>CLOSED
            if state == LAST_ACK or state == CLOSING:
                return True
        segs += part
        n -= part
    return False


cdef Py_ssize_t arrive_with_resets(Sim* sim, Host* host, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """Segments of which some are resets: rows written for the last of them, those before are sent.

    Resets alone bring no connection into LAST-ACK or CLOSING: if none of a run of them finds one there, none
    leaves one stuck, and they are taken together.
    """
    cdef Py_ssize_t first = 0, end, m = 0
    cdef uint8_t reset
    cdef bint alone
    while first < n and m >= 0:
        reset = segs[first].flags & RST
        end = first + 1
        while end < n and segs[end].flags & RST == reset:
            end += 1
        alone = reset != 0 and any_closing(sim, host, &segs[first], end - first)
        while first < end and m >= 0:
            link_send(sim, host.end, sim.out, m, sim.now, -1)
            if alone:
                arrive_closing(sim, host, &segs[first], &m)
                first += 1
            else:
                m = engine_receive(host.engine, &segs[first], end - first, sim.now, sim.out, 2 * BATCH)
                first = end
    return m


cdef void arrive(Sim* sim, uint32_t number, uint64_t before) noexcept nogil:
    """The segments of this instant for one engine that were sent before number `before`."""
    cdef Host* host = &sim.hosts[number]
    cdef Segment copy
    cdef const Segment* segs
    cdef int answered
    cdef Py_ssize_t n, m, limit = 1 if sim.link.by_kind else sim.batch
    while not sim.failed:
        n = inbox_take(&host.inbox, sim.now, before, &copy, limit, &segs)
        if n == 0:
            return
        if n <= FEW:
            segments_ahead(sim, number)
        if segs[0].payload_len > 0 and sim.link.late_share > 0.0:
            link_old(sim, number, &segs[0])
        answered = segs[0].flags if limit == 1 else -1
        if limit == 1 and answered & (FIN | RST):
            answered = arrive_closing(sim, host, segs, &m)
        elif limit > 1 and any_reset(segs, n):
            m = arrive_with_resets(sim, host, segs, n)
        else:
            m = engine_receive(host.engine, segs, n, sim.now, sim.out, 2 * BATCH)
        if m < 0:
            sim.failed = ENGINE_FAILED
            return
        sim.segments += n
        link_send(sim, host.end, sim.out, m, sim.now, answered)
        if n > 1:                                     # the engine keeps 2^20 events
            collect(sim, number)


cdef void hear(Sim* sim, uint32_t number) noexcept nogil:
    """What the applications of one host hear (S2.5)."""
    cdef Host* host = &sim.hosts[number]
    cdef Event event
    cdef size_t i
    collect(sim, number)
    while host.heard_n > 0 and not sim.failed:
        i = 0
        while i < host.heard_n:                       # a reaction may add to them, and move them
            event = host.heard[i]
            if host.end == SERVER:
                server_hears(sim, number, &event)
            else:
                client_hears(sim, number, &event)
            i += 1
        host.heard_n = 0
        closes_flush(sim)
        collect(sim, number)


cdef void flood(Sim* sim, uint32_t number) noexcept nogil:
    """The spoofed segments of this instant; each destination in turn gets one."""
    cdef Flood* one = &sim.floods[number]
    cdef Segment seg
    cdef int64_t at = sim.now
    while at <= sim.now and not sim.failed:
        flood_segment(one, sim.server_addr + <uint32_t>(one.sent % sim.destinations), sim.port, &seg)
        link_spoofed(sim, &seg)
        at = flood_next(one)
    if at < INT64_MAX:
        ask(sim, at, T_FLOOD, number, 0, 0, -1)


cdef bint plans(Sim* sim) noexcept nogil:
    """What applications and loads had planned for this instant. True if there was anything."""
    cdef bint any = False
    cdef int lane
    cdef const Item* first
    cdef Item item
    while not sim.failed:
        first = queue_first(&sim.queue, &lane)
        if first == NULL or first.at > sim.now:
            break
        item = first[0]
        queue_drop(&sim.queue, lane)
        any = True
        if item.what == T_FLOOD or item.what == T_WORKER or item.what == T_STALL_ENDS:
            closes_flush(sim)                         # what they send comes after it
        if item.what == T_FLOOD:
            flood(sim, item.who)
        elif item.what == T_WORKER:
            server_worker(sim, item.who)
        elif item.what == T_STALL_ENDS:
            server_stall_ends(sim, item.who)
        else:
            client_task(sim, &item)
    closes_flush(sim)
    return any


cdef void instant(Sim* sim) noexcept nogil:
    """All rounds of the instant sim.now."""
    cdef uint32_t n, i
    cdef uint64_t before
    cdef bint planned
    while not sim.failed:
        n = hosts_due(sim, sim.now)
        before = sim.link.order
        for i in range(n):
            fire(sim, sim.busy[i])
        for i in range(n):
            arrive(sim, sim.busy[i], before)
        for i in range(n):
            host_timer(sim, sim.busy[i])
            collect(sim, sim.busy[i])                 # of all engines, before anything is done about it
        for i in range(n):
            hear(sim, sim.busy[i])
        planned = plans(sim)
        if n == 0 and not planned:
            return


cdef int64_t loop_run(Sim* sim, int64_t until, int64_t most) noexcept nogil:
    """Play all instants up to `until`, at most `most` of them. When the next one is, INT64_MAX if none.

    It ends early after an instant of which there are notes.
    """
    cdef int64_t next = loop_next(sim)
    while next <= until and most > 0 and sim.notes_n == 0 and not sim.failed:
        sim.now = next
        instant(sim)
        next = loop_next(sim)
        most -= 1
    return next
