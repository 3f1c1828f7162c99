"""What a host is asked that needs all members of a group: sums, the next timer, events, a check, a snapshot.

For one engine each function asks that engine. Batches and calls are inline in host.pxd.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

import numpy as np

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer

from tcpcore.base.arena cimport arena_touched_around
from tcpcore.records.counters cimport CauseAddressInUse, Mib, N_CAUSES, N_MIB
from tcpcore.records.event cimport Event
from tcpcore.records.tcb cimport CLOSED, LISTEN, TICK_NS, Tcb
from tcpcore.components.events cimport events_drain, events_take
from tcpcore.components.listeners cimport (
    LISTENER_OPEN, accept_queue_length, listener_ask, listener_at, listener_find, listener_open,
)
from tcpcore.components.timer_wheel cimport wheel_next
from tcpcore.loops.calls cimport accept_one
from tcpcore.loops.connect cimport bar_port, no_connection, port_in_use
from tcpcore.loops.invariants cimport check_invariants
from tcpcore.loops.snapshot cimport snapshot_read, snapshot_size, snapshot_write
from tcpcore.loops.spread cimport spread_free, spread_member, to_group
from tcpcore.loops.spread_calls cimport spread_accept, spread_listen
from tcpcore.loops.state cimport drop_images, state_bytes, state_free

from tcpcore.records.layouts import EVENT


cdef object _bytes = np.dtype((np.void, sizeof(Event)))


cdef inline uint32_t doers_of(const EngineState* eng) noexcept nogil:
    """How many engines do the work: 1 where that is `eng` itself."""
    return 1 if eng.group == NULL else group_of(eng).n


cdef inline EngineState* member_at(const EngineState* eng, uint32_t m) noexcept nogil:
    return <EngineState*>eng if eng.group == NULL else group_of(eng).members[m]


cdef void host_free(EngineState* eng) noexcept nogil:
    """Give all memory back, also of a group that was not completed."""
    cdef uint32_t m
    if eng.group != NULL:
        spread_free(group_of(eng))
        for m in range(group_of(eng).n):
            if group_of(eng).members[m] != NULL:
                state_free(group_of(eng).members[m])
                free(group_of(eng).members[m])
        free(eng.group)
    state_free(eng)
    free(eng)


cdef void spread_start(EngineState* eng, int64_t at) noexcept nogil:
    """guard_start for a group: one time for it and all members."""
    cdef uint32_t m
    eng.now = at
    for m in range(group_of(eng).n):
        guard_start(group_of(eng).members[m], at)


# ---- listeners

cdef int host_listen(EngineState* eng, const Listener* fields, const Asked* asked) noexcept nogil:
    """A listener with these fields: its id, or what listener_open says."""
    cdef Listener* opened
    cdef uint32_t m
    cdef int id
    if eng.group == NULL:
        id = listener_open(&eng.listeners, fields.addr, fields.port, fields.backlog, fields.accept_room)
    else:
        id = spread_listen(group_of(eng), fields.addr, fields.port, fields.backlog, fields.accept_room)
    for m in range(doers_of(eng) if id > 0 else 0):
        bar_port(member_at(eng, m), fields.port)
        opened = listener_at(&member_at(eng, m).listeners, <uint16_t>id)
        opened.auto_accept = fields.auto_accept
        opened.auto_close = fields.auto_close
        opened.defer = fields.defer
        opened.rcv_buf = fields.rcv_buf
        opened.backlog_capped = fields.backlog_capped
        listener_ask(&member_at(eng, m).listeners, <uint16_t>id, asked)
        drop_images(member_at(eng, m))
        member_at(eng, m).counts[LISTEN] += 1
    return id


cdef bint host_port_in_use(EngineState* eng, uint32_t addr, uint16_t port, bint reuse_addr) noexcept nogil:
    """port_in_use of any member."""
    cdef uint32_t m
    for m in range(doers_of(eng)):
        if port_in_use(member_at(eng, m), addr, port, reuse_addr):
            return True
    return False


cdef Py_ssize_t host_connect_bound(EngineState* eng, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                                   bint reuse_addr, uint64_t* conns, Segment* rows) noexcept nogil:
    """host_connect after bind(2) of each port that is named, to its source address (R10.55)."""
    cdef Py_ssize_t i, k, written = 0
    cdef ConnectArgs row = args[0]
    for k in range(6):
        row.steps[k] = 0
    for i in range(n):
        row.dst, row.dport = args.dst + i * args.steps[0], args.dport + i * args.steps[1]
        row.src, row.sport = args.src + i * args.steps[2], args.sport + i * args.steps[3]
        row.isn, row.rcv_buf = args.isn + i * args.steps[4], args.rcv_buf + i * args.steps[5]
        if row.sport[0] >= 0 and (
                listener_find(&member_at(eng, 0).listeners, row.src[0], <uint16_t>row.sport[0])
                or host_port_in_use(eng, row.src[0], <uint16_t>row.sport[0], reuse_addr)):
            conns[i] = no_connection(member_at(eng, 0), Mib.AddressInUse, CauseAddressInUse, now)
        else:
            written += host_connect(eng, &row, 1, now, conns + i, rows + written)
    return written


cdef Py_ssize_t host_unaccepted(const EngineState* eng, uint16_t listener) noexcept nogil:
    """Connections that wait for accept()."""
    cdef Py_ssize_t n = 0
    cdef uint32_t m
    for m in range(doers_of(eng)):
        n += accept_queue_length(listener_at(&member_at(eng, m).listeners, listener))
    return n


cdef void host_accept(EngineState* eng, uint16_t listener, uint64_t* conns, Py_ssize_t n,
                      int64_t now) noexcept nogil:
    """The oldest n unaccepted connections, of which there are as many."""
    cdef Py_ssize_t i
    if eng.group != NULL:
        for i in range(n):
            conns[i] = spread_accept(group_of(eng), listener, now)
        return
    for i in range(n):
        conns[i] = accept_one(eng, listener, now)


cdef void host_queues(const EngineState* eng, uint16_t listener, HostQueues* queues) noexcept nogil:
    """What is in a listener's queues."""
    cdef const Listener* fields
    cdef uint32_t m
    memset(queues, 0, sizeof(HostQueues))
    queues.members = doers_of(eng)
    for m in range(queues.members):
        fields = listener_at(&member_at(eng, m).listeners, listener)
        queues.half_open += fields.half_open
        queues.accept += accept_queue_length(fields)
        queues.cache += member_at(eng, m).syncache_buckets * eng.knobs.syncache_bucketlimit


# ---- timers, counts, events

cdef int64_t host_next_timer(EngineState* eng) noexcept nogil:
    """The tick of the next timer, as wheel_next has it; -1 none."""
    cdef int64_t next = -1, tick
    cdef uint32_t m
    for m in range(doers_of(eng)):
        tick = wheel_next(&member_at(eng, m).wheel, eng.now // TICK_NS)
        if tick >= 0 and (next < 0 or tick < next):
            next = tick
    return next


cdef void host_counts(const EngineState* eng, HostCounts* counts) noexcept nogil:
    """Every count, of one moment."""
    cdef const EngineState* one
    cdef uint32_t m, i
    memset(counts, 0, sizeof(HostCounts))
    for m in range(doers_of(eng)):
        one = member_at(eng, m)
        for i in range(N_MIB):
            counts.counters.mib[i] += one.counters.mib[i]
        for i in range(N_CAUSES):
            counts.counters.causes[i] += one.counters.causes[i]
        for i in range(N_STATES):
            counts.states[i] += one.counts[i]
        counts.half_open += one.half_open
        counts.accept_queued += one.accept_queued
        counts.held_dead += one.held_dead
        counts.orphans += one.orphans - one.lingering
        counts.blocks_used += one.pool.used
        counts.events_lost += one.events.lost
    counts.states[LISTEN] = member_at(eng, 0).counts[LISTEN]


cdef size_t host_bytes(const EngineState* eng) noexcept nogil:
    """Touched bytes of every array; the TCBs of a group are those of `eng`."""
    cdef size_t total = state_bytes(eng)
    cdef uint32_t m
    if eng.group != NULL:
        total += arena_touched_around(eng.group, sizeof(Spread))
        for m in range(doers_of(eng)):
            total += state_bytes(member_at(eng, m))
    return total


cdef object host_events(EngineState* eng):
    """All events, oldest first; what a group's members have at one time, member after member.

    Each member's stay in its order, in which one may come a little after a later one: the deadline of what
    was due at once is rounded down.
    """
    cdef Py_buffer view, times
    cdef Event* event
    cdef int64_t* time
    cdef int64_t latest
    cdef uint32_t m, i, n = 0
    if eng.group == NULL:
        return events_drain(&eng.events)
    for m in range(doers_of(eng)):
        n += member_at(eng, m).events.n
    out, order = np.empty(n, EVENT), np.empty(n, np.int64)
    if n == 0:
        return out
    PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
    PyObject_GetBuffer(order, &times, PyBUF_WRITABLE)
    event, time = <Event*>view.buf, <int64_t*>times.buf
    for m in range(doers_of(eng)):
        n = <uint32_t>events_take(&member_at(eng, m).events, event, member_at(eng, m).events.n)
        latest = 0
        for i in range(n):
            event[i].conn = to_group(group_of(eng), m, event[i].conn)
            latest = max(latest, event[i].at)
            time[i] = latest
        event += n
        time += n
    PyBuffer_Release(&view)
    PyBuffer_Release(&times)
    # as bytes: an index into records would leave the padding as it is
    return out.view(_bytes)[np.argsort(order, kind="stable")].view(EVENT)


# ---- what must hold

cdef list member_faults(const EngineState* eng, uint32_t m):
    """What is wrong between a group and one member, but for the member's own invariants."""
    cdef const EngineState* one = member_at(eng, m)
    cdef const EngineState* first = member_at(eng, 0)
    cdef const Listener* fields
    cdef const Listener* others
    cdef const Tcb* tcb
    cdef uint32_t slot, id
    cdef list faults = []
    if one.now != eng.now:
        faults.append(f"its time is {one.now}, the group's {eng.now}")
    for slot in range(one.pool.fresh):
        tcb = &one.pool.blocks[slot]
        if tcb.state != CLOSED and spread_member(group_of(eng), tcb.raddr, tcb.rport, tcb.laddr,
                                                 tcb.lport) != m:
            faults.append(f"slot {slot}: the 4-tuple belongs to another member")
    if one.listeners.fresh != first.listeners.fresh:
        faults.append("its listeners are not those of the first member")
        return faults
    for id in range(1, first.listeners.fresh + 1):
        fields, others = listener_at(&one.listeners, id), listener_at(&first.listeners, id)
        if (fields.state == LISTENER_OPEN) != (others.state == LISTENER_OPEN):
            faults.append(f"listener {id}: open in one member, not in another")
        elif fields.state == LISTENER_OPEN and (
                fields.addr != others.addr or fields.port != others.port
                or fields.backlog != others.backlog or fields.accept_room != others.accept_room
                or fields.auto_accept != others.auto_accept or fields.auto_close != others.auto_close
                or fields.rcv_buf != others.rcv_buf or fields.defer != others.defer):
            faults.append(f"listener {id}: not the same in all members")
    return faults


cdef list group_faults(const EngineState* eng):
    """What is wrong between a group and its members."""
    cdef uint32_t m
    return [f"member {m}: {fault}" for m in range(doers_of(eng)) for fault in member_faults(eng, m)]


cdef list host_check(const EngineState* eng):
    """All that is wrong, in words; empty when the host is sound."""
    cdef uint32_t m
    if eng.group == NULL:
        return check_invariants(eng)
    return group_faults(eng) + [f"member {m}: {fault}" for m in range(doers_of(eng))
                                for fault in check_invariants(member_at(eng, m))]


# ---- a snapshot: of a group, for each member 8 bytes that say how long its state is, and the state

cdef size_t host_snapshot_size(EngineState* eng) noexcept nogil:
    """Bytes that host_snapshot_write will write; nothing is changed."""
    cdef size_t size = 0
    cdef uint32_t m
    if eng.group == NULL:
        return snapshot_size(eng)
    for m in range(doers_of(eng)):
        size += sizeof(uint64_t) + snapshot_size(member_at(eng, m))
    return size


cdef bint host_snapshot_write(EngineState* eng, char* at) noexcept nogil:
    """Write the state; False when memory for it is refused. Nothing is changed."""
    cdef uint64_t size
    cdef uint32_t m
    if eng.group == NULL:
        return snapshot_write(eng, at)
    for m in range(doers_of(eng)):
        size = snapshot_size(member_at(eng, m))
        memcpy(at, &size, sizeof(size))
        at += sizeof(size)
        if not snapshot_write(member_at(eng, m), at):
            return False
        at += size
    return True


cdef object host_snapshot_read(EngineState* eng, const char* at, size_t n):
    """Read a state into a new host of the same Config. None, or in words why these bytes are none."""
    cdef uint64_t size = 0
    cdef uint32_t m
    if eng.group == NULL:
        return snapshot_read(eng, at, n)
    for m in range(doers_of(eng)):
        if n < sizeof(size):
            return f"it ends before member {m}"
        memcpy(&size, at, sizeof(size))
        at += sizeof(size)
        n -= sizeof(size)
        if size > n:
            return f"it ends within member {m}"
        wrong = snapshot_read(member_at(eng, m), at, size)
        if wrong is not None:
            return f"member {m}: {wrong}"
        at += size
        n -= size
    if n:
        return f"{n} bytes behind the last member"
    eng.now = member_at(eng, 0).now
    faults = group_faults(eng)
    return "; ".join(faults[:3]) if faults else None
