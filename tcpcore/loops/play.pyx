"""The loop over a timed batch: the timers due by the time of a row, then what the row says.

It prefetches as the receive loop does, over rows of all kinds: segments by their 4-tuple, calls by their
handle, active opens by the port that they will most likely get. Timers that fire in between spoil nothing, as
all of that is hints. Not here: what a segment or a call does (receive, connect, calls) nor a timer (advance).
Invariant: it does what one call for each row does, each after an advance() to the time of that row.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport likely, unlikely
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH
from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB
from tcpcore.records.counters cimport Mib, count_n
from tcpcore.records.handle cimport handle_slot
from tcpcore.records.op cimport (
    OP_ABORT, OP_ACCEPT, OP_CONNECT, OP_RECV, OP_SEGMENT, OP_SEND, names_connection, result_not_reached,
    result_refused,
)
from tcpcore.records.segment cimport SYN, is_unicast
from tcpcore.records.tcb cimport TICK_NS
from tcpcore.components.events cimport events_begin_call
from tcpcore.components.flow_table cimport flow_ahead_bucket, flow_candidate, flow_hash_batch
from tcpcore.components.isn cimport isn_clock
from tcpcore.components.listeners cimport open_listener
from tcpcore.components.ports cimport PortSearch, ports_speculate
from tcpcore.components.tcb_pool cimport pool_ahead
from tcpcore.components.timer_wheel cimport wheel_is_idle
from tcpcore.loops.advance cimport TIMER_STAGES, TimersAhead, advance_timed, timers_ahead
from tcpcore.loops.calls cimport (
    CALL_SEND, MAX_QUEUED, Call, accept_one, bytes_queued, call_batch, rows_due_with,
)
from tcpcore.loops.connect cimport ConnectRequest, connect_one
from tcpcore.loops.guard cimport guard_start
from tcpcore.loops.isn_batch cimport isn_batch_find
from tcpcore.loops.pipeline cimport (
    AHEAD_BUCKET, AHEAD_CANDIDATE, AHEAD_COLD, ahead_cold, ahead_tcb, least, look_ahead, start_ahead,
)
from tcpcore.loops.receive cimport arrives
from tcpcore.loops.state cimport AHEAD_PAD, STRIDE, begin_stretch

cdef enum:
    TIMER_AHEAD = 8           # rows between two stages of look_ahead_timers

cdef struct Output:
    # where rows and their times go, and what the loop knows from one row to the next
    Segment* rows
    int64_t* times
    Py_ssize_t room
    Py_ssize_t written
    int64_t tick              # of the engine's time
    uint32_t clock            # of the ISN generator then
    bint only_segments        # the stretch has no other rows
    TimersAhead timers
    Py_ssize_t searched       # searches for a port used in this stretch
    Py_ssize_t segments       # rows that were segments, and what they emitted
    Py_ssize_t answers
    Py_ssize_t opened         # rows that opened a connection


# ---- before anything is done

cdef PlayFault fault_of(const EngineState* eng, const Op* op) noexcept nogil:
    """What is wrong with a row, but for its time."""
    if not OP_SEGMENT <= op.kind <= OP_ABORT:
        return PLAY_KIND
    if op.kind == OP_ACCEPT and open_listener(&eng.listeners, op.conn) == NULL:
        return PLAY_LISTENER
    if op.kind == OP_SEND and op.arg > MAX_QUEUED:
        return PLAY_AMOUNT
    if op.kind == OP_CONNECT:
        if not is_unicast(op.seg.dst):
            return PLAY_DST
        if op.seg.dport == 0:
            return PLAY_DPORT
        if op.seg.src and not is_unicast(op.seg.src):
            return PLAY_SRC
    return PLAY_SOUND


cdef PlayFault play_check(const EngineState* eng, const Op* ops, Py_ssize_t n, int64_t until,
                          Py_ssize_t* row) noexcept nogil:
    """The first thing that is wrong with a timed batch; `row` (out) is where, if it is a row."""
    cdef int64_t latest = eng.now
    cdef Py_ssize_t i
    cdef PlayFault fault
    if until < latest:
        return PLAY_UNTIL
    for i in range(n):
        row[0] = i
        if ops[i].at < latest:
            return PLAY_TIME_BACK
        if ops[i].at > until:
            return PLAY_TOO_LATE
        latest = ops[i].at
        if ops[i].kind != OP_SEGMENT:
            fault = fault_of(eng, &ops[i])
            if fault != PLAY_SOUND:
                return fault
    return PLAY_SOUND


cdef void play_not_reached(Op* ops, Py_ssize_t n, Py_ssize_t reached) noexcept nogil:
    """Mark the rows from `reached` on as not reached."""
    cdef Py_ssize_t i
    for i in range(reached, n):
        ops[i].result = result_not_reached()


# ---- working ahead

cdef inline void load_open(EngineState* eng, const Op* op, Segment* seg, PortSearch* search) noexcept nogil:
    """An active open as the SYN that it will be answered by has it: the peer is the source.

    Where the port is to be chosen, `search` gets the destination, and ports_speculate will say the port.
    """
    seg.src = op.seg.dst
    seg.dst = op.seg.src if op.seg.src else eng.local_addr
    seg.sport = op.seg.dport
    seg.dport = op.seg.sport
    seg.flags = SYN
    if op.seg.sport == 0:
        search.raddr = seg.src
        search.laddr = seg.dst
        search.rport = seg.sport


cdef Py_ssize_t load_stretch(EngineState* eng, const Op* ops, Py_ssize_t n, Output* out) noexcept nogil:
    """Copy the next rows' segments to eng.arriving and hash them; returns the number of rows.

    It ends where there is no search for a port any more. Each open gets the port that it is expected to find.
    """
    cdef Py_ssize_t i, part = least(n, STRIDE), searches = 0
    cdef Segment* seg
    out.only_segments = True
    for i in range(part):
        seg = &eng.arriving[i]
        if likely(ops[i].kind == OP_SEGMENT):
            seg[0] = ops[i].seg
            continue
        out.only_segments = False
        memset(seg, 0, sizeof(Segment))
        if ops[i].kind == OP_CONNECT:
            if ops[i].seg.sport == 0 and searches == SIPHASH_BATCH:
                part = i
                break
            load_open(eng, &ops[i], seg, &eng.ports.searches[searches])
            searches += ops[i].seg.sport == 0
    if searches:
        ports_speculate(&eng.ports, searches)
        searches = 0
        for i in range(part):
            if ops[i].kind == OP_CONNECT and ops[i].seg.sport == 0:
                eng.arriving[i].dport = eng.ports.searches[searches].speculated
                searches += 1
    flow_hash_batch(&eng.flows, eng.arriving, part, eng.hashes)
    begin_stretch(eng, eng.arriving, part)
    return part


cdef inline void ahead_mixed(EngineState* eng, const Op* ops, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Prefetch the TCB that row i names, or the candidate of its 4-tuple; no branch, as in loops/pipeline."""
    cdef const Op* op = &ops[least(i, n - 1)]
    cdef uint32_t slot = handle_slot(op.conn), found = flow_candidate(&eng.flows, eng.hashes[i])
    cdef uint32_t named = -<uint32_t>(names_connection(op.kind) and slot < eng.pool.capacity)
    ahead_tcb(eng, i, (found & ~named) | ((slot + 1) & named))


cdef void start_ahead_mixed(EngineState* eng, const Op* ops, Py_ssize_t n) noexcept nogil:
    """start_ahead of loops/pipeline for rows of all kinds."""
    cdef Py_ssize_t i
    for i in range(n, n + AHEAD_PAD):
        eng.hashes[i] = eng.hashes[n - 1]
    for i in range(AHEAD_BUCKET):
        flow_ahead_bucket(&eng.flows, eng.hashes[i])
    for i in range(AHEAD_CANDIDATE):
        ahead_mixed(eng, ops, i, n)
    for i in range(AHEAD_COLD):
        ahead_cold(eng, i)


cdef inline void look_ahead_mixed(EngineState* eng, const Op* ops, Py_ssize_t i,
                                  Py_ssize_t n) noexcept nogil:
    """look_ahead of loops/pipeline for rows of all kinds."""
    flow_ahead_bucket(&eng.flows, eng.hashes[i + AHEAD_BUCKET])
    ahead_mixed(eng, ops, i + AHEAD_CANDIDATE, n)
    ahead_cold(eng, i + AHEAD_COLD)


cdef inline void look_ahead_timers(EngineState* eng, Output* out, const Op* ops, Py_ssize_t i,
                                   Py_ssize_t n) noexcept nogil:
    """Before row i, whose time is new: each stage for the timers due by a row to come.

    Where rows have times of their own, a timer or two fire between any of them, each at a tick of its own:
    without this every one of them would wait for memory four times over.
    """
    cdef Py_ssize_t stage
    cdef int64_t at
    for stage in range(TIMER_STAGES):
        at = ops[least(i + TIMER_AHEAD * (TIMER_STAGES - stage), n - 1)].at
        if at >= (out.timers.asked[stage] + 1) * TICK_NS:
            timers_ahead(eng, &out.timers, <int>stage, at // TICK_NS)


# ---- row by row

cdef inline bint fire_until(EngineState* eng, int64_t at, Output* out) noexcept nogil:
    """Set the clock to `at` and fire what is due by then.

    When the output is full it is False, and the clock stands at the last timer that was fired, as there may
    be more between that and `at`.
    """
    cdef int64_t since = eng.now
    cdef uint32_t clock
    if at != since:
        clock = isn_clock(&eng.isn, at)
        eng.isn_shift += clock - out.clock
        out.clock = clock
        out.tick = at // TICK_NS
        guard_start(eng, at)
    if wheel_is_idle(&eng.wheel, out.tick):
        return True
    out.written += advance_timed(eng, at, out.rows + out.written, out.times + out.written, since,
                                 &out.timers, out.room - out.written)
    if likely(out.written < out.room):
        return True
    eng.now = since if since > out.times[out.room - 1] else out.times[out.room - 1]
    return False


cdef inline Py_ssize_t rows_needed(EngineState* eng, uint8_t kind, uint64_t conn,
                                   uint32_t arg) noexcept nogil:
    """Rows that this row emits at most."""
    if likely(kind == OP_SEGMENT):
        return 2
    if kind == OP_SEND:
        return rows_due_with(eng, conn, arg)
    return kind != OP_ACCEPT


cdef uint64_t open_one(EngineState* eng, Output* out, uint16_t sport, Py_ssize_t i, int64_t now,
                       uint32_t* more) noexcept nogil:
    """CONNECT, row i of the stretch, from this port or (0) from one that is chosen: the handle or 0."""
    cdef ConnectRequest request
    request.raddr = eng.arriving[i].src
    request.rport = eng.arriving[i].sport
    request.laddr = eng.arriving[i].dst
    request.lport = sport if sport else -1
    request.iss = -1
    request.rcv_buf = 0
    request.asked.given = eng.knobs.always_keepalive
    if unlikely(request.asked.given):
        request.asked.keepalive, request.asked.user_timeout_ms = True, TIMEOUT_OF_KNOB
    request.hash = eng.hashes[i]
    request.numbers = isn_batch_find(eng, &eng.arriving[i], now)
    # in bounds even if another thread writes to the rows
    request.search = &eng.ports.searches[out.searched & (SIPHASH_BATCH - 1)]
    out.searched += sport == 0
    pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
    return connect_one(eng, &request, now, out.rows + out.written, more)


cdef uint64_t do_call(EngineState* eng, uint8_t kind, uint64_t conn, uint32_t arg, int64_t now,
                      Segment* rows, uint32_t* more) noexcept nogil:
    """A row that is neither a segment nor an open; its result."""
    cdef uint32_t taken = 0
    more[0] = 0
    if kind == OP_ACCEPT:
        # checked before, but another thread may have written to the rows since
        return accept_one(eng, <uint16_t>conn, now) if open_listener(&eng.listeners, conn) != NULL else 0
    if kind == OP_SEND and bytes_queued(eng, conn) + arg > MAX_QUEUED:
        return result_refused()
    # what a CLOSE has there means nothing: it is SO_LINGER as the knob has it
    more[0] = call_batch(eng, <Call>(CALL_SEND + kind - OP_SEND), &conn, 1,
                         &arg if kind == OP_SEND or kind == OP_RECV else NULL, &taken, now, rows)
    return taken if kind == OP_RECV else 0


cdef Py_ssize_t play_stretch(EngineState* eng, Op* ops, Py_ssize_t n, int64_t until,
                             Output* out) noexcept nogil:
    """Do the rows that load_stretch has loaded; returns how many, fewer than n where the output is full."""
    cdef Py_ssize_t i
    cdef uint32_t more, arg, j
    cdef uint64_t conn
    cdef uint8_t kind
    cdef int64_t at
    cdef Op* op
    cdef Segment* rows
    cdef bint colds = False
    out.searched = 0
    if out.only_segments:
        colds = start_ahead(eng, n)
    else:
        start_ahead_mixed(eng, ops, n)
    for i in range(n):
        if likely(out.only_segments):
            look_ahead(eng, i, colds)
        else:
            look_ahead_mixed(eng, ops, i, n)
        op = &ops[i]
        # each read once, and the time kept in its bounds: another thread may write to the rows
        at, kind, conn, arg = op.at, op.kind, op.conn, op.arg
        at = at if at > eng.now else eng.now
        at = at if at < until else until
        if at != eng.now:
            look_ahead_timers(eng, out, ops, i, n)
        if not fire_until(eng, at, out) or out.room - out.written < rows_needed(eng, kind, conn, arg):
            return i
        rows = out.rows + out.written
        if likely(kind == OP_SEGMENT):
            events_begin_call(&eng.events)
            more = arrives(eng, &eng.arriving[i], eng.hashes[i], eng.candidates[i], at, rows)
            op.result = 0
            # both, as a branch would cost more: there is space for two rows
            out.times[out.written] = out.times[out.written + 1] = at
            out.written += more
            out.segments += 1
            out.answers += more
            continue
        if kind == OP_CONNECT:
            op.result = open_one(eng, out, op.seg.sport, i, at, &more)
            out.opened += more
        else:
            op.result = do_call(eng, kind, conn, arg, at, rows, &more)
        for j in range(more):
            out.times[out.written + j] = at
        out.written += more
    return n


cdef Py_ssize_t play_batch(EngineState* eng, Op* ops, Py_ssize_t n, int64_t until, Segment* rows,
                           int64_t* times, Py_ssize_t room, Py_ssize_t* reached) noexcept nogil:
    """Do the rows from `reached` (in out) on and fire what is due by `until`, while there is space.

    `rows` and `times` have `room` places, at least PLAY_LEAST. It stops before a row that may emit more than
    is left, and before a row or the end where there is no place left for the timers. Each row gets its
    result. Returns the rows written.
    """
    cdef Output out
    cdef Py_ssize_t part, stage, done = reached[0]
    memset(&out, 0, sizeof(Output))
    out.rows, out.times, out.room = rows, times, room
    out.tick = eng.now // TICK_NS
    for stage in range(TIMER_STAGES):
        out.timers.asked[stage] = out.tick
    out.clock = isn_clock(&eng.isn, eng.now)
    while done < n:
        part = load_stretch(eng, ops + done, n - done, &out)
        reached[0] = done + play_stretch(eng, ops + done, part, until, &out)
        done += part
        if reached[0] < done:
            break
    eng.batch = NULL
    count_n(&eng.counters, Mib.InSegs, out.segments)
    count_n(&eng.counters, Mib.ActiveOpens, out.opened)
    count_n(&eng.counters, Mib.OutSegs, out.answers + out.opened)     # their loops count the others
    if reached[0] == n:
        fire_until(eng, until, &out)
    return out.written
