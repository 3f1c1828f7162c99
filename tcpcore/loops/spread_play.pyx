"""Timed batches of several engines behind one address: row by row, and between them timers of all members.

What a row does is loops/play's; here its member is found, and the timers of all members fire in the order of
their deadlines, at one deadline member after member. No threads: the next row may belong to any member, and
which one gives a connection, or what port is free, depends on all.
Invariant: it does what one call for each row does, each after the timers due by the time of that row.
"""

from libc.stdint cimport uint16_t, uint32_t

from tcpcore.records.op cimport OP_ACCEPT, OP_CONNECT, OP_SEGMENT, names_connection
from tcpcore.records.tcb cimport TICK_NS
from tcpcore.components.listeners cimport accept_queue_length, open_listener
from tcpcore.components.timer_wheel cimport wheel_is_idle, wheel_next
from tcpcore.loops.advance cimport advance_timed
from tcpcore.loops.guard cimport guard_start
from tcpcore.loops.play cimport play_batch
from tcpcore.loops.spread cimport spread_member, spread_owner, to_group, to_member
from tcpcore.loops.spread_connect cimport HostPort, choose_host_port, count_host_port, no_host_port
from tcpcore.loops.state cimport EngineState

cdef struct Played:
    # where rows and their times go
    Segment* rows
    int64_t* times
    Py_ssize_t room
    Py_ssize_t written


cdef void set_clocks(Spread* group, int64_t at) noexcept nogil:
    """The group's time is that of its members."""
    cdef uint32_t m
    for m in range(group.n):
        group.members[m].now = at


cdef void start_all(Spread* group, int64_t at) noexcept nogil:
    """Set the clock of every member."""
    cdef uint32_t m
    for m in range(group.n):
        guard_start(group.members[m], at)


cdef bint all_idle(const Spread* group, int64_t tick) noexcept nogil:
    """Whether it is clear at a glance that no member has a timer due by this tick."""
    cdef uint32_t m
    for m in range(group.n):
        if not wheel_is_idle(&group.members[m].wheel, tick):
            return False
    return True


cdef bint fire_all_until(Spread* group, int64_t at, Played* out) noexcept nogil:
    """Fire what is due by `at`, in order, and set all clocks to it.

    When the output is full it is False, and the clocks stand at the last timer that was fired.
    """
    cdef int64_t since = group.members[0].now, tick, first
    cdef EngineState* eng
    cdef uint32_t m, who
    if all_idle(group, at // TICK_NS):
        if at != since:
            start_all(group, at)
        return True
    for m in range(group.n):
        if group.members[m].wheel.live:           # the clock of an empty wheel must not run ahead
            guard_start(group.members[m], at)
    while out.written < out.room:
        first, who = at // TICK_NS + 1, 0
        for m in range(group.n):
            tick = wheel_next(&group.members[m].wheel, max(since // TICK_NS, group.members[m].wheel.clock))
            if 0 <= tick < first:
                first, who = tick, m
        if first > at // TICK_NS:
            start_all(group, at)
            return True
        eng = group.members[who]
        out.written += advance_timed(eng, first * TICK_NS, out.rows + out.written, out.times + out.written,
                                     since, NULL, out.room - out.written)
    set_clocks(group, since if out.room == 0 or since > out.times[out.room - 1] else out.times[out.room - 1])
    return False


cdef uint32_t member_of_row(const Spread* group, const Op* op) noexcept nogil:
    """Member that a row is for, if it is not an active open."""
    cdef uint32_t m
    if op.kind == OP_SEGMENT:
        return spread_member(group, op.seg.src, op.seg.sport, op.seg.dst, op.seg.dport)
    if names_connection(op.kind):
        return spread_owner(group, op.conn)
    for m in range(group.n):                      # checked before, but another thread may have written since
        if (open_listener(&group.members[m].listeners, op.conn) != NULL
                and accept_queue_length(open_listener(&group.members[m].listeners, op.conn))):
            return m
    return 0


cdef bint play_row(Spread* group, Op* op, Played* out) noexcept nogil:
    """Do a row, whose member's clock is at its time; whether there was room for it."""
    cdef Py_ssize_t reached = 0
    cdef HostPort port
    cdef bint opens = op.kind == OP_CONNECT, chosen = opens and op.seg.sport == 0
    port.lport = op.seg.sport
    if opens and op.seg.src == 0:
        op.seg.src = group.members[0].local_addr
    if chosen:
        if out.room == out.written:
            return False
        port = choose_host_port(group, op.seg.dst, op.seg.dport, op.seg.src, op.at)
        if port.lport < 0:
            op.result = no_host_port(group, op.at)
            return True
        op.seg.sport = <uint16_t>port.lport
    elif opens:
        port.member = spread_member(group, op.seg.dst, op.seg.dport, op.seg.src, op.seg.sport)
    else:
        port.member = member_of_row(group, op)
    if names_connection(op.kind):
        op.conn = to_member(group, port.member, op.conn)
    out.written += play_batch(group.members[port.member], op, 1, op.at, out.rows + out.written,
                              out.times + out.written, out.room - out.written, &reached)
    if chosen:
        count_host_port(group, &port, op.result)
    if reached and (opens or op.kind == OP_ACCEPT):
        op.result = to_group(group, port.member, op.result)
    return reached


cdef Py_ssize_t spread_play(Spread* group, Op* ops, Py_ssize_t n, int64_t until, Segment* rows,
                            int64_t* times, Py_ssize_t room, Py_ssize_t* reached) noexcept nogil:
    """play_batch of loops/play."""
    cdef Played out
    cdef Op op
    cdef int64_t now
    out.rows, out.times, out.room, out.written = rows, times, room, 0
    while reached[0] < n:
        op = ops[reached[0]]                      # a copy: another thread may write to the rows
        now = group.members[0].now
        op.at = op.at if op.at > now else now
        op.at = op.at if op.at < until else until
        if not fire_all_until(group, op.at, &out) or not play_row(group, &op, &out):
            return out.written
        ops[reached[0]].result = op.result
        reached[0] += 1
    fire_all_until(group, until, &out)
    return out.written
