"""The connect loop: for each active open a port, a TCB and a SYN.

Ports are chosen by components/ports and probed in the flow table here, as only a loop knows both. A batch is
hashed ahead, with the port that each search will most likely end at: a guess that fails costs one more hash.
Invariant: a batch of n opens does what n batches of one do.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t

from tcpcore.base.prefetch cimport expect
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.records.counters cimport (
    CauseAddressInUse, CauseBlocksExhausted, CausePortsExhausted, Mib, NoCause, count, count_n,
)
from tcpcore.records.handle cimport handle_slot
from tcpcore.records.tcb cimport (
    B_EPHEMERAL, B_HELD, B_QUEUED, B_TS, SYN_SENT, TICK_NS, TIME_WAIT, T_REXMT, Tcb,
)
from tcpcore.tcp.opens cimport open_active
from tcpcore.tcp.rto cimport tick_up
from tcpcore.components.events cimport EV_OPENED, events_add
from tcpcore.components.flow_table cimport flow_ahead, flow_find, flow_hash, flow_insert
from tcpcore.components.isn cimport isn_hashes, isn_make, isn_ts_offset
from tcpcore.components.ports cimport (
    PortSearch, ports_begin, ports_bound, ports_candidate, ports_full, ports_met, ports_speculate,
    ports_taken,
)
from tcpcore.components.tcb_pool cimport pool_ahead, pool_is_empty, pool_take
from tcpcore.loops.apply cimport refuse, remove_connection
from tcpcore.loops.isn_batch cimport isn_batch_fill
from tcpcore.loops.pipeline cimport least
from tcpcore.loops.reuse cimport note_time_wait, replaceable_at, time_wait_reusable
from tcpcore.loops.state cimport STRIDE, handle_at
from tcpcore.loops.timers cimport arm

cdef struct ConnectRequest:
    # the arguments of one connect()
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: to be chosen
    int64_t iss               # -1: from the ISN generator
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's

cdef struct PortChoice:
    # a local port, and what the flow table has under the 4-tuple that it makes
    int32_t place             # candidate of the port search; -1: the caller named the port
    uint16_t lport
    uint32_t hash
    uint32_t ref              # TCB (slot + 1) with this 4-tuple, 0 none
    Py_ssize_t numbers        # index into isns and ts_offsets, -1 none
    PortSearch* search


cdef bint may_replace(const EngineState* eng, uint32_t slot, uint32_t laddr, bint chosen,
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


cdef void probe_port(const EngineState* eng, const ConnectRequest* request, Py_ssize_t i,
                     PortChoice* choice) noexcept nogil:
    """Fill in hash, ref and numbers for choice.lport; open i was hashed with the port that was expected."""
    if choice.lport == choice.search.speculated:
        choice.numbers = i
        choice.hash = eng.hashes[i]
    else:
        choice.numbers = -1
        choice.hash = flow_hash(&eng.flows, request.raddr, request.rport, request.laddr, choice.lport)
    choice.ref = flow_find(&eng.flows, choice.hash, request.raddr, request.rport, request.laddr, choice.lport)


cdef bint choose_port(EngineState* eng, const ConnectRequest* request, Py_ssize_t number, PortChoice* choice,
                      int64_t now) noexcept nogil:
    """Find a port that connect() may use (RFC 6056); False when there is none.

    The walk is bounded by the range, and begins only where it may find something (components/ports).
    """
    cdef bint reuse = eng.counts[TIME_WAIT] != 0 and time_wait_reusable(eng, request.laddr)
    cdef int64_t retry = -1, ripe
    cdef Tcb* tcb
    cdef uint32_t i
    if not ports_begin(&eng.ports, choice.search, reuse, now // TICK_NS):
        return False
    for i in range(choice.search.first, eng.ports.size):
        choice.lport = ports_candidate(&eng.ports, choice.search, i)
        probe_port(eng, request, number, choice)
        eng.port_looks += 1
        if choice.ref == 0 or may_replace(eng, choice.ref - 1, request.laddr, True, now):
            choice.place = <int32_t>i
            return True
        tcb = &eng.pool.blocks[choice.ref - 1]
        if not tcb.bits & B_EPHEMERAL and ports_met(&eng.ports, choice.search, choice.lport):
            tcb.bits |= B_EPHEMERAL
            if tcb.state == TIME_WAIT:
                note_time_wait(eng, choice.ref - 1, now)
        if reuse and tcb.state == TIME_WAIT and tcb.bits & B_TS:
            ripe = replaceable_at(eng, choice.ref - 1, now)
            retry = ripe if retry < 0 or ripe < retry else retry
    if reuse:
        ports_full(&eng.ports, choice.search, retry)
    return False


cdef uint64_t no_connection(EngineState* eng, Mib counter, uint8_t cause, int64_t now) noexcept nogil:
    """Count an open that failed; 0, the handle of none."""
    count(&eng.counters, counter)
    refuse(eng, cause, 0, now)
    return 0


cdef uint64_t open_at(EngineState* eng, const ConnectRequest* request, const PortChoice* choice, int64_t iss,
                      int64_t now, Segment* rows, uint32_t* n_rows) noexcept nogil:
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
        iss = eng.isns[choice.numbers]
    elif iss < 0:
        iss = isn_make(&eng.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport, now)
    if eng.knobs.tcp_timestamps == 1:
        ts_offset = (eng.ts_offsets[choice.numbers] if choice.numbers >= 0
                     else isn_ts_offset(&eng.isn, tcb.laddr, tcb.raddr))
    timeout = open_active(tcb, &eng.pool.colds[ref - 1], &eng.pool.stamps[ref - 1], &eng.knobs, now,
                          <uint32_t>iss, ts_offset,
                          request.rcv_buf if request.rcv_buf != eng.knobs.rcv_buf else 0, rows)
    if choice.place >= 0 and ports_taken(&eng.ports, choice.search, choice.place, choice.lport):
        tcb.bits |= B_EPHEMERAL
    flow_insert(&eng.flows, choice.hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_SENT] += 1
    n_rows[0] = 1
    events_add(&eng.events, handle_at(eng, ref - 1), now, 0, EV_OPENED, 0, SYN_SENT)
    return handle_at(eng, ref - 1)


cdef uint64_t connect_one(EngineState* eng, const ConnectRequest* request, Py_ssize_t i, int64_t now,
                          Segment* rows, uint32_t* n_rows) noexcept nogil:
    """Active open i of those hashed; the handle, or 0 and a cause counted."""
    cdef int64_t iss = request.iss
    cdef uint32_t hash = eng.hashes[i]
    cdef PortChoice choice
    choice.hash = hash
    choice.numbers = i
    n_rows[0] = 0
    if request.lport < 0:
        choice.search = &eng.ports.searches[i]
        if not choose_port(eng, request, i, &choice, now):
            return no_connection(eng, Mib.PortsExhausted, CausePortsExhausted, now)
    else:
        choice.place = -1
        choice.lport = <uint16_t>request.lport
        choice.ref = flow_find(&eng.flows, hash, request.raddr, request.rport, request.laddr, choice.lport)
        if choice.ref and not may_replace(eng, choice.ref - 1, request.laddr, False, now):
            return no_connection(eng, Mib.AddressInUse, CauseAddressInUse, now)
    if pool_is_empty(&eng.pool) and (
            choice.ref == 0 or eng.pool.blocks[choice.ref - 1].bits & (B_HELD | B_QUEUED)):
        return no_connection(eng, Mib.BlocksExhausted, CauseBlocksExhausted, now)
    if choice.ref:
        if iss < 0:
            iss = <uint32_t>(eng.pool.blocks[choice.ref - 1].snd_nxt + 65537)
            iss += iss == 0
        count(&eng.counters, Mib.TWRecycled)
        remove_connection(eng, choice.ref - 1, NoCause, now)
    return open_at(eng, request, &choice, iss, now, rows, n_rows)


cdef inline void read_connect_args(ConnectRequest* request, const ConnectArgs* args,
                                   Py_ssize_t at) noexcept nogil:
    """Read row `at` of the columns that connect() was given."""
    request.raddr = args.dst[at * args.steps[0]]
    request.rport = args.dport[at * args.steps[1]]
    request.laddr = args.src[at * args.steps[2]]
    request.lport = args.sport[at * args.steps[3]]
    request.iss = args.isn[at * args.steps[4]]
    request.rcv_buf = args.rcv_buf[at * args.steps[5]]


cdef void speculate_ports(EngineState* eng, const ConnectArgs* args, Py_ssize_t done,
                          Py_ssize_t n) noexcept nogil:
    """Start the port searches of n <= SIPHASH_BATCH opens, and guess the port that each will find."""
    cdef ConnectRequest request
    cdef Py_ssize_t i
    for i in range(n):
        read_connect_args(&request, args, done + i)
        eng.ports.searches[i].raddr = request.raddr
        eng.ports.searches[i].laddr = request.laddr
        eng.ports.searches[i].rport = request.rport
    ports_speculate(&eng.ports, n)


cdef void hash_opens(EngineState* eng, const ConnectArgs* args, Py_ssize_t done, Py_ssize_t n,
                     int64_t now) noexcept nogil:
    """Hash n <= STRIDE opens: for the flow table, the initial sequence numbers and the timestamp offsets.

    Where ports are to be chosen, n is at most SIPHASH_BATCH; the ports are those speculate_ports guessed.
    """
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef ConnectRequest request
    cdef Py_ssize_t start = 0, part, i
    while start < n:
        part = least(n - start, SIPHASH_BATCH)
        for i in range(part):
            read_connect_args(&request, args, done + start + i)
            first[i] = tuple_first(request.raddr, request.laddr)
            last[i] = tuple_last(request.rport, eng.ports.searches[i].speculated if request.lport < 0
                                 else <uint16_t>request.lport)
        siphash13_many(eng.flows.k0, eng.flows.k1, first, last, hashes, part)
        for i in range(part):
            eng.hashes[start + i] = <uint32_t>hashes[i]
        isn_batch_fill(eng, first, last, part, now, start)
        start += part


cdef void count_named(EngineState* eng, const uint64_t* conns, Py_ssize_t n) noexcept nogil:
    """Have the ports counted of a call that named them; no open of it asks for the counts."""
    cdef Py_ssize_t i
    cdef Tcb* tcb
    for i in range(n):
        tcb = &eng.pool.blocks[handle_slot(conns[i])]
        if conns[i] and ports_bound(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport):
            tcb.bits |= B_EPHEMERAL


cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                              uint64_t* conns, Segment* rows) noexcept nogil:
    """Active opens in order, at most one row each; conns (out) gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef bint chosen = n != 0 and args.sport[0] < 0
    cdef ConnectRequest request
    cdef uint32_t more
    while done < n:
        part = least(n - done, SIPHASH_BATCH if chosen else STRIDE)
        if chosen:
            speculate_ports(eng, args, done, part)
        hash_opens(eng, args, done, part, now)
        for i in range(part):
            pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
            flow_ahead(&eng.flows, eng.hashes, i, part)
            read_connect_args(&request, args, done + i)
            conns[done + i] = connect_one(eng, &request, i, now, rows + written, &more)
            written += more
        done += part
    if not chosen and eng.ports.n:
        count_named(eng, conns, n)
    count_n(&eng.counters, Mib.ActiveOpens, written)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written
