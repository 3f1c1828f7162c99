# Active opens (RFC 9293 3.10.1): of a batch, and inline of one, for the loops that go from row to row.
#
# Ports are chosen by components/ports and probed in the flow table here, as only a loop knows both.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.base.prefetch cimport expect, unlikely
from tcpcore.records.connect_args cimport Asked, ConnectArgs
from tcpcore.records.counters cimport (
    CauseAddressInUse, CauseBlocksExhausted, CausePortsExhausted, Mib, NoCause, count,
)
from tcpcore.records.event cimport EV_OPENED
from tcpcore.records.handle cimport handle_slot
from tcpcore.records.knobs cimport TIME_WAIT_LINUX
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport (
    B_EPHEMERAL, B_HELD, B_QUEUED, B_TS, B_WINDOW, SYN_SENT, TICK_NS, TIME_WAIT, T_REXMT, Tcb, Timestamps,
)
from tcpcore.tcp.liveness cimport start_liveness
from tcpcore.tcp.opens cimport open_active
from tcpcore.tcp.receive_window cimport keep_window
from tcpcore.tcp.rto cimport tick_up
from tcpcore.components.bound_ports cimport BOUND_COUNTED, BOUND_NONE
from tcpcore.components.events cimport events_add
from tcpcore.components.flow_table cimport flow_candidate, flow_find, flow_hash, flow_insert
from tcpcore.components.isn cimport isn_hashes, isn_make, isn_ts_offset
from tcpcore.components.ports cimport (
    PortSearch, in_port_range, is_barred, ports_begin, ports_bound, ports_candidate, ports_full,
)
from tcpcore.components.tcb_pool cimport pool_is_empty, pool_take
from tcpcore.loops.apply cimport refuse, remove_connection
from tcpcore.loops.reuse cimport note_time_wait, replaceable_at, time_wait_reusable
from tcpcore.loops.state cimport EngineState, handle_at
from tcpcore.loops.timers cimport arm

cdef struct ConnectRequest:
    # the arguments of one connect()
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: to be chosen
    int64_t iss               # -1: from the ISN generator
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's
    Asked asked
    # what was worked out ahead
    uint32_t hash             # of the 4-tuple with the port named, or the one that `search` expects
    Py_ssize_t numbers        # index of its isns and ts_offsets, -1 none
    PortSearch* search        # prepared; not used where the port is named

cdef struct PortChoice:
    # a local port, and what the flow table has under the 4-tuple that it makes
    int32_t place             # candidate of the port search; -1: the caller named the port
    uint16_t lport
    uint32_t hash
    uint32_t ref              # TCB (slot + 1) with this 4-tuple, 0 none
    Py_ssize_t numbers        # index into isns and ts_offsets, -1 none

cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t n, int64_t now,
                              uint64_t* conns, Segment* rows) noexcept nogil


cdef inline bint may_replace(const EngineState* eng, uint32_t slot, uint32_t laddr, bint chosen,
                             int64_t now) noexcept nogil:
    """Whether connect() may replace the TCB in this slot: a TIME-WAIT with timestamps.

    Timestamps tell the segments of the old incarnation apart (RFC 6191; Linux tcp_twsk_unique). A port that
    the caller names is taken over at once, one that is chosen only as tcp_tw_reuse says.
    """
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    if tcb.state != TIME_WAIT or not tcb.bits & B_TS:
        return False
    if not chosen:
        return True
    return time_wait_reusable(eng, laddr) and replaceable_at(eng, slot, now) <= now // TICK_NS


cdef inline void probe_port(const EngineState* eng, const ConnectRequest* request,
                            PortChoice* choice) noexcept nogil:
    """Fill in hash, ref and numbers for choice.lport; it was hashed ahead if it is the port expected."""
    if choice.lport == request.search.speculated:
        choice.numbers = request.numbers
        choice.hash = request.hash
    else:
        choice.numbers = -1
        choice.hash = flow_hash(&eng.flows, request.raddr, request.rport, request.laddr, choice.lport)
    choice.ref = flow_find(&eng.flows, choice.hash, request.raddr, request.rport, request.laddr, choice.lport)


cdef bint bar_port(EngineState* eng, uint16_t port) noexcept nogil
cdef void unbar_port(EngineState* eng, uint16_t port, int64_t now) noexcept nogil
cdef bint bar_listened(EngineState* eng) noexcept nogil
cdef void take_port(EngineState* eng, Tcb* tcb, const PortSearch* search, int32_t place) noexcept nogil
cdef void bind_port(EngineState* eng, Tcb* tcb) noexcept nogil
cdef void count_bound_ports(EngineState* eng) noexcept nogil
cdef bint is_bound(const EngineState* eng, uint32_t laddr, uint16_t lport) noexcept nogil
cdef bint nothing_left(EngineState* eng, PortSearch* search) noexcept nogil
cdef bint any_unbound(EngineState* eng, PortSearch* search, bint reuse, int64_t tick) noexcept nogil
cdef bint port_in_use(const EngineState* eng, uint32_t addr, uint16_t port, bint reuse_addr) noexcept nogil


cdef inline void count_uncounted(EngineState* eng, uint32_t slot, int64_t now) noexcept nogil:
    """A search has met this TCB: count its port, if memory for that was refused when it was bound."""
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if tcb.bits & B_EPHEMERAL == 0 and ports_bound(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport):
        tcb.bits |= B_EPHEMERAL
        if eng.bound.use == BOUND_COUNTED:
            bind_port(eng, tcb)
        if tcb.state == TIME_WAIT:
            note_time_wait(eng, slot, now)


cdef inline bint choose_port(EngineState* eng, const ConnectRequest* request, PortChoice* choice,
                             int64_t now) noexcept nogil:
    """Find a port that connect() may use (RFC 6056); False when there is none.

    The walk is bounded by the range, and begins only where it may find something (components/ports).
    """
    cdef bint reuse = eng.counts[TIME_WAIT] != 0 and time_wait_reusable(eng, request.laddr)
    cdef int64_t retry = -1, ripe
    cdef PortSearch* search = request.search
    cdef bint bound = eng.bound.use != BOUND_NONE
    cdef Tcb* tcb
    cdef uint32_t i
    if not ports_begin(&eng.ports, search, reuse, now // TICK_NS):
        return False
    if unlikely(bound) and not any_unbound(eng, search, reuse, now // TICK_NS):
        return False
    if unlikely(eng.ports.span != eng.ports.size) and not reuse and nothing_left(eng, search):
        return False
    for i in range(search.first, eng.ports.size):
        choice.lport = ports_candidate(&eng.ports, search, i)
        if is_barred(&eng.ports, choice.lport) or bound and is_bound(eng, request.laddr, choice.lport):
            continue
        probe_port(eng, request, choice)
        eng.port_looks += 1
        if choice.ref == 0 or may_replace(eng, choice.ref - 1, request.laddr, True, now):
            choice.place = <int32_t>i
            return True
        tcb = &eng.pool.blocks[choice.ref - 1]
        count_uncounted(eng, choice.ref - 1, now)
        if reuse and tcb.state == TIME_WAIT and tcb.bits & B_TS:
            ripe = replaceable_at(eng, choice.ref - 1, now)
            retry = ripe if retry < 0 or ripe < retry else retry
    if reuse:
        ports_full(&eng.ports, search, retry)
    return False


cdef inline uint64_t no_connection(EngineState* eng, Mib counter, uint8_t cause, int64_t now) noexcept nogil:
    """Count an open that failed; 0, the handle of none."""
    count(&eng.counters, counter)
    refuse(eng, cause, 0, now)
    return 0


cdef inline uint64_t open_at(EngineState* eng, const ConnectRequest* request, const PortChoice* choice,
                             int64_t iss, int64_t now, Segment* rows, uint32_t* n_rows) noexcept nogil:
    """Open a TCB, which the caller knows is to be had, under a free 4-tuple, and write its SYN."""
    cdef uint32_t ref = pool_take(&eng.pool), ts_offset = 0, timeout
    cdef Tcb* tcb
    expect(ref != 0)
    tcb = &eng.pool.blocks[ref - 1]
    tcb.raddr = request.raddr
    tcb.laddr = request.laddr
    tcb.rport = request.rport
    tcb.lport = choice.lport
    if iss < 0 and choice.numbers >= 0 and isn_hashes(&eng.isn):
        iss = <uint32_t>(eng.isns[choice.numbers] + eng.isn_shift)
    elif iss < 0:
        iss = isn_make(&eng.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport, now)
    if eng.knobs.tcp_timestamps == 1:
        ts_offset = (eng.ts_offsets[choice.numbers] if choice.numbers >= 0
                     else isn_ts_offset(&eng.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport))
    timeout = open_active(tcb, &eng.pool.colds[ref - 1], &eng.pool.stamps[ref - 1], &eng.knobs, now,
                          <uint32_t>iss, ts_offset,
                          request.rcv_buf if request.rcv_buf != eng.knobs.rcv_buf_judged else 0, rows)
    if unlikely(request.asked.given):
        start_liveness(tcb, &eng.pool.colds[ref - 1], &eng.pool.lives[ref - 1],
                       request.asked.user_timeout_ms, request.asked.keepalive)
    if choice.place >= 0:
        take_port(eng, tcb, request.search, choice.place)
    elif unlikely(in_port_range(&eng.ports, tcb.lport)):
        bind_port(eng, tcb)
    flow_insert(&eng.flows, choice.hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_SENT] += 1
    n_rows[0] = 1
    events_add(&eng.events, handle_at(eng, ref - 1), now, 0, EV_OPENED, 0, SYN_SENT)
    return handle_at(eng, ref - 1)


cdef inline uint64_t take_over(EngineState* eng, uint64_t handle, const Timestamps* old,
                               Segment* row) noexcept nogil:
    """Have a connection that takes a TIME-WAIT over go on with its TS.Recent, and so with the window of a
    connection with timestamps (Linux: tcp_twsk_unique, tcp_connect_init); returns its handle."""
    cdef uint32_t slot = handle_slot(handle)
    cdef Tcb* tcb = &eng.pool.blocks[slot]
    if eng.knobs.time_wait_rules == TIME_WAIT_LINUX and tcb.bits & B_TS:
        eng.pool.stamps[slot].recent = row.tsecr = old.recent
        eng.pool.stamps[slot].recent_at = old.recent_at
        if not eng.knobs.auto_read and not tcb.bits & B_WINDOW:
            keep_window(tcb, &eng.pool.colds[slot], &eng.knobs, 0)
            eng.pool.colds[slot].rcv_buf = eng.knobs.rcv_buf_stamped
            row.wnd = <uint16_t>min(eng.knobs.rcv_buf_stamped, 65535)
    return handle


cdef inline uint64_t connect_one(EngineState* eng, const ConnectRequest* request, int64_t now, Segment* rows,
                                 uint32_t* n_rows) noexcept nogil:
    """One active open that was hashed ahead; the handle, or 0 and a cause counted."""
    cdef int64_t iss = request.iss
    cdef uint64_t handle
    cdef bint over
    cdef Timestamps old
    cdef PortChoice choice
    choice.hash = request.hash
    choice.numbers = request.numbers
    n_rows[0] = 0
    if request.lport < 0:
        if not choose_port(eng, request, &choice, now):
            return no_connection(eng, Mib.PortsExhausted, CausePortsExhausted, now)
    else:
        choice.place = -1
        choice.lport = <uint16_t>request.lport
        choice.ref = 0
        if flow_candidate(&eng.flows, choice.hash):     # mostly there is none, and no call is made
            choice.ref = flow_find(&eng.flows, choice.hash, request.raddr, request.rport, request.laddr,
                                   choice.lport)
        if choice.ref and not may_replace(eng, choice.ref - 1, request.laddr, False, now):
            return no_connection(eng, Mib.AddressInUse, CauseAddressInUse, now)
    if pool_is_empty(&eng.pool) and (
            choice.ref == 0 or eng.pool.blocks[choice.ref - 1].bits & (B_HELD | B_QUEUED)):
        return no_connection(eng, Mib.BlocksExhausted, CauseBlocksExhausted, now)
    over = choice.ref != 0
    if unlikely(over):
        if iss < 0:
            iss = <uint32_t>(eng.pool.blocks[choice.ref - 1].snd_nxt + 65537)
            iss += iss == 0
        count(&eng.counters, Mib.TWRecycled)
        old = eng.pool.stamps[choice.ref - 1]
        remove_connection(eng, choice.ref - 1, NoCause, now)
    handle = open_at(eng, request, &choice, iss, now, rows, n_rows)   # one call of it, so that it is inlined
    return take_over(eng, handle, &old, rows) if unlikely(over) else handle
