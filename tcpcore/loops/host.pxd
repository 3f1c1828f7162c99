# The calls on a host: one engine does what it is asked itself, a group has its members do it (loops/spread).
#
# Engine's methods call these, so that it checks arguments for both. For a group `eng` has the knobs, the
# clock, the mark of a call under way, and all TCBs, member after member, in its pool; the rest of it is
# unused. Invariant: the members' clocks are that of the group.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.connect_args cimport Asked, ConnectArgs
from tcpcore.records.counters cimport Counters
from tcpcore.records.info cimport Info
from tcpcore.records.op cimport Op
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport N_STATES
from tcpcore.components.listeners cimport Listener, open_listener
from tcpcore.loops.advance cimport advance_to
from tcpcore.loops.calls cimport Call, call_batch, close_listener, connection_info, rows_of_send
from tcpcore.loops.connect cimport connect_batch
from tcpcore.loops.guard cimport guard_start
from tcpcore.loops.play cimport play_batch
from tcpcore.loops.receive cimport receive_batch
from tcpcore.loops.spread cimport Spread, spread_advance, spread_receive
from tcpcore.loops.spread_calls cimport (
    spread_calls, spread_info, spread_lookup, spread_rows_of_send, spread_unlisten,
)
from tcpcore.loops.spread_connect cimport spread_connect
from tcpcore.loops.spread_play cimport spread_play
from tcpcore.loops.state cimport EngineState, lookup_handle

cdef struct HostCounts:
    # what a host has of each; a listener of a group is one, though each member has it
    Counters counters
    uint64_t states[N_STATES]
    uint64_t half_open
    uint64_t accept_queued
    uint64_t held_dead
    uint64_t orphans
    uint64_t blocks_used
    uint64_t events_lost

cdef struct HostQueues:
    # the two queues of a listener; of a group's members together
    uint32_t half_open
    uint32_t accept
    uint32_t members
    uint32_t cache            # entries that the buckets of a syncache hold

cdef void host_free(EngineState* eng) noexcept nogil
cdef int host_listen(EngineState* eng, const Listener* fields, const Asked* asked) noexcept nogil
cdef Py_ssize_t host_connect_bound(EngineState* eng, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                                   bint reuse_addr, uint64_t* conns, Segment* rows) noexcept nogil
cdef bint host_port_in_use(EngineState* eng, uint32_t addr, uint16_t port, bint reuse_addr) noexcept nogil
cdef Py_ssize_t host_unaccepted(const EngineState* eng, uint16_t listener) noexcept nogil
cdef void host_queues(const EngineState* eng, uint16_t listener, HostQueues* queues) noexcept nogil
cdef void host_accept(EngineState* eng, uint16_t listener, uint64_t* conns, Py_ssize_t n,
                      int64_t now) noexcept nogil
cdef int64_t host_next_timer(EngineState* eng) noexcept nogil
cdef void host_counts(const EngineState* eng, HostCounts* counts) noexcept nogil
cdef size_t host_bytes(const EngineState* eng) noexcept nogil
cdef object host_events(EngineState* eng)
cdef list host_check(const EngineState* eng)
cdef size_t host_snapshot_size(EngineState* eng) noexcept nogil
cdef bint host_snapshot_write(EngineState* eng, char* at) noexcept nogil
cdef object host_snapshot_read(EngineState* eng, const char* at, size_t n)
cdef void spread_start(EngineState* eng, int64_t at) noexcept nogil


cdef inline Spread* group_of(const EngineState* eng) noexcept nogil:
    return <Spread*>eng.group


cdef inline uint32_t members_of(const EngineState* eng) noexcept nogil:
    """The members of a group; 0: no group."""
    return group_of(eng).n if eng.group != NULL else 0


cdef inline EngineState* first_of(EngineState* eng) noexcept nogil:
    """The engine to ask for what all members have alike: the clock, the listeners."""
    return eng if eng.group == NULL else group_of(eng).members[0]


cdef inline void host_start(EngineState* eng, int64_t at) noexcept nogil:
    if eng.group == NULL:
        guard_start(eng, at)
    else:
        spread_start(eng, at)


cdef inline Listener* host_listener(EngineState* eng, int64_t number) noexcept nogil:
    """The open listener with this id, NULL for none; its queues are the first member's only."""
    return open_listener(&first_of(eng).listeners, number)


cdef inline Py_ssize_t host_receive(EngineState* eng, const Segment* segs, Py_ssize_t n, int64_t now,
                                    Segment* rows) noexcept nogil:
    if eng.group == NULL:
        return receive_batch(eng, segs, n, now, rows)
    return spread_receive(group_of(eng), segs, n, now, rows)


cdef inline Py_ssize_t host_advance(EngineState* eng, int64_t now, Segment* rows,
                                    Py_ssize_t room) noexcept nogil:
    if eng.group == NULL:
        return advance_to(eng, now, rows, room)
    return spread_advance(group_of(eng), now, rows, room)


cdef inline Py_ssize_t host_play(EngineState* eng, Op* ops, Py_ssize_t n, int64_t until, Segment* rows,
                                 int64_t* times, Py_ssize_t room, Py_ssize_t* reached) noexcept nogil:
    cdef Py_ssize_t written
    if eng.group == NULL:
        return play_batch(eng, ops, n, until, rows, times, room, reached)
    written = spread_play(group_of(eng), ops, n, until, rows, times, room, reached)
    eng.now = group_of(eng).members[0].now
    return written


cdef inline Py_ssize_t host_connect(EngineState* eng, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                                    uint64_t* conns, Segment* rows) noexcept nogil:
    if eng.group == NULL:
        return connect_batch(eng, args, n, now, conns, rows)
    return spread_connect(group_of(eng), args, n, now, conns, rows)


cdef inline Py_ssize_t host_call(EngineState* eng, Call call, const uint64_t* conns, Py_ssize_t n,
                                 const uint32_t* nbytes, uint32_t* taken, int64_t now,
                                 Segment* rows) noexcept nogil:
    if eng.group == NULL:
        return call_batch(eng, call, conns, n, nbytes, taken, now, rows)
    return spread_calls(group_of(eng), call, conns, n, nbytes, taken, now, rows)


cdef inline Py_ssize_t host_rows_of_send(EngineState* eng, const uint64_t* conns, const uint32_t* nbytes,
                                         Py_ssize_t n, uint64_t* most) noexcept nogil:
    if eng.group == NULL:
        return rows_of_send(eng, conns, nbytes, n, most)
    return spread_rows_of_send(group_of(eng), conns, nbytes, n, most)


cdef inline uint32_t host_unlisten(EngineState* eng, uint16_t listener, int64_t now,
                                   Segment* rows) noexcept nogil:
    if eng.group == NULL:
        return close_listener(eng, listener, now, rows)
    return spread_unlisten(group_of(eng), listener, now, rows)


cdef inline uint64_t host_lookup(const EngineState* eng, uint32_t raddr, uint16_t rport, uint32_t laddr,
                                 uint16_t lport) noexcept nogil:
    if eng.group == NULL:
        return lookup_handle(eng, raddr, rport, laddr, lport)
    return spread_lookup(group_of(eng), raddr, rport, laddr, lport)


cdef inline void host_info(const EngineState* eng, uint64_t conn, Info* info) noexcept nogil:
    if eng.group == NULL:
        connection_info(eng, conn, info)
    else:
        spread_info(group_of(eng), conn, info)
