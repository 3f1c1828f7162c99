"""The application's calls on several engines behind one address, and what it can ask of them.

A call on handles is done by each handle's member, in the order of the handles; what stands together is one
batch. Every member has every listener, under the same id, as a host has sockets with SO_REUSEPORT.
Invariant: a batch of n does what n batches of one do.
"""

from libc.stdlib cimport free, malloc

from tcpcore.components.listeners cimport (
    LISTENER_FREE, MAX_LISTENERS, ListenerTable, accept_queue_length, listener_at, listener_next,
    listener_open, listener_reserve,
)
from tcpcore.loops.calls cimport accept_one, call_batch, close_listener, connection_info, rows_of_send
from tcpcore.loops.spread cimport MAX_MEMBERS, spread_member, spread_owner, to_group, to_member
from tcpcore.loops.state cimport lookup_handle

cdef enum:
    RUN = 256                 # handles that are translated at a time


cdef uint16_t common_id(Spread* group) noexcept nogil:
    """Have every member take the same id next. 0: none is free everywhere.

    Fresh ids are the same everywhere. One that was used is free again when the last connection of its
    listener has gone, which members see at different times.
    """
    cdef const ListenerTable* first = &group.members[0].listeners
    cdef uint16_t id = first.free_first
    cdef uint32_t m, n_free
    if first.fresh < MAX_LISTENERS:
        return <uint16_t>(first.fresh + 1)
    while id:
        n_free = 0
        for m in range(group.n):
            n_free += listener_at(&group.members[m].listeners, id).state == LISTENER_FREE
        if n_free == group.n:
            break
        id = listener_at(first, id).port
    for m in range(group.n):
        if id:
            listener_next(&group.members[m].listeners, id)
    return id


cdef int spread_listen(Spread* group, uint32_t addr, uint16_t port, uint32_t backlog,
                       uint32_t accept_room) noexcept nogil:
    """listener_open for every member, under one id; it fails for all of them or for none."""
    cdef int id, able
    cdef uint32_t m
    for m in range(group.n):
        able = listener_reserve(&group.members[m].listeners, addr, port)
        if able <= 0:
            return able
    id = common_id(group)
    if id == 0:
        return -1
    for m in range(group.n):
        listener_open(&group.members[m].listeners, addr, port, backlog, accept_room)
    return id


cdef uint32_t spread_unlisten(Spread* group, uint16_t listener, int64_t now, Segment* rows) noexcept nogil:
    """CLOSE of a listener. Returns the rows written, one per unaccepted connection, member after member."""
    cdef uint32_t m, written = 0
    for m in range(group.n):
        written += close_listener(group.members[m], listener, now, rows + written)
    return written


cdef uint64_t spread_accept(Spread* group, uint16_t listener, int64_t now) noexcept nogil:
    """The oldest unaccepted connection of the first member that has one; 0 for none."""
    cdef uint32_t m
    for m in range(group.n):
        if accept_queue_length(listener_at(&group.members[m].listeners, listener)):
            return to_group(group, m, accept_one(group.members[m], listener, now))
    return 0


cdef Py_ssize_t spread_calls(Spread* group, Call call, const uint64_t* conns, Py_ssize_t n,
                             const uint32_t* nbytes, uint32_t* taken, int64_t now,
                             Segment* rows) noexcept nogil:
    """call_batch of loops/calls. Returns the rows written."""
    cdef uint64_t own[RUN]
    cdef uint64_t conn
    cdef uint32_t m, owner
    cdef Py_ssize_t done = 0, part, written = 0
    while done < n:
        m, part = 0, 0
        while part < RUN and done + part < n:
            conn = conns[done + part]
            owner = spread_owner(group, conn)
            if part and owner != m:
                break
            m = owner
            own[part] = to_member(group, m, conn)
            part += 1
        written += call_batch(group.members[m], call, own, part, nbytes + done if nbytes != NULL else NULL,
                              taken + done if taken != NULL else NULL, now, rows + written)
        done += part
    return written


cdef Py_ssize_t spread_rows_of_send(Spread* group, const uint64_t* conns, const uint32_t* nbytes,
                                    Py_ssize_t n, uint64_t* most) noexcept nogil:
    """rows_of_send of loops/calls: the rows that a SEND emits at most, -1 when there is no memory."""
    cdef uint64_t* own = <uint64_t*>malloc(n * (sizeof(uint64_t) + sizeof(uint32_t)) + 1)
    cdef uint32_t* amounts = <uint32_t*>(own + n)
    cdef uint64_t most_of_member = 0
    cdef uint32_t start[MAX_MEMBERS + 1]
    cdef uint32_t m
    cdef Py_ssize_t i, more, need = 0
    most[0] = 0
    if own == NULL:
        return -1
    for m in range(group.n + 1):
        start[m] = 0
    for i in range(n):
        start[spread_owner(group, conns[i]) + 1] += 1
    for m in range(group.n):
        start[m + 1] += start[m]
    for i in range(n):
        m = spread_owner(group, conns[i])
        own[start[m]] = to_member(group, m, conns[i])
        amounts[start[m]] = nbytes[i]
        start[m] += 1
    i = 0                                     # start[m] is now the end of member m
    for m in range(group.n):
        more = rows_of_send(group.members[m], own + i, amounts + i, start[m] - i, &most_of_member)
        i = start[m]
        if more < 0:
            need = -1
            break
        need += more
        most[0] = max(most[0], most_of_member)
    free(own)
    return need


cdef uint64_t spread_lookup(const Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil:
    """The handle of the connection with this 4-tuple, 0 when there is none."""
    cdef uint32_t m = spread_member(group, raddr, rport, laddr, lport)
    return to_group(group, m, lookup_handle(group.members[m], raddr, rport, laddr, lport))


cdef void spread_info(const Spread* group, uint64_t conn, Info* info) noexcept nogil:
    """STATUS of one connection."""
    cdef uint32_t m = spread_owner(group, conn)
    connection_info(group.members[m], to_member(group, m, conn), info)
