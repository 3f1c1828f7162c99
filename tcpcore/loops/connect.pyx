"""H"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport expect
from tcpcore.base.siphash_batch cimport LANES, siphash13_many, tuple_first, tuple_last
from tcpcore.records.counters cimport (
    CauseAddressInUse, CauseBlocksExhausted, CausePortsExhausted, Mib, NoCause, count, count_n,
)
from tcpcore.records.tcb cimport B_EPHEMERAL, B_HELD, B_QUEUED, B_TS, SYN_SENT, TIME_WAIT, T_REXMT, Tcb
from tcpcore.tcp.opens cimport open_active
from tcpcore.tcp.rto cimport clock_ms, tick_up
from tcpcore.components.events cimport EV_OPENED, events_add
from tcpcore.components.flow_table cimport flow_ahead, flow_find, flow_hash, flow_insert
from tcpcore.components.isn cimport isn_hashes, isn_make, isn_ts_offset
from tcpcore.components.ports cimport (
    PortSearch, ports_begin, ports_candidate, ports_speculate, ports_taken,
)
from tcpcore.components.tcb_pool cimport pool_ahead, pool_is_empty, pool_take
from tcpcore.loops.apply cimport end_quietly, refuse
from tcpcore.loops.isn_batch cimport isn_batch_fill
from tcpcore.loops.pipeline cimport least
from tcpcore.loops.state cimport STRIDE, handle_of
from tcpcore.loops.timers cimport arm

cdef struct ConnectRequest:
    # one connect(), in the numbers of the wire
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    int32_t lport             # -1: choose one
    int64_t iss               # -1: make one
    uint32_t rcv_buf          # bytes, rounded; 0: the knob's

cdef struct Spot:
    # where a new connection will stand in the flow table
    int32_t place             # in the port search; -1: the caller named the port
    uint16_t lport
    uint32_t hash
    uint32_t ref              # who stands there now, 0 nobody
    Py_ssize_t numbers        # where isns and ts_offsets have its, -1 nowhere
    PortSearch* search


cdef bint tw_reusable(const EngineState* eng, uint32_t laddr) noexcept nogil:
    """tcp_tw_reuse: 1 always, 2 on loopback."""
    return eng.knobs.tcp_tw_reuse == 1 or (eng.knobs.tcp_tw_reuse == 2 and laddr >> 24 == 127)


cdef bint may_take_over(const EngineState* eng, uint32_t slot, uint32_t laddr, bint chosen,
                        int64_t now) noexcept nogil:
    """connect() over a TIME-WAIT: with timestamps the old incarnation's segments can be told apart
    (RFC 6191). A port the caller insists on is taken at once, one that we choose by tcp_tw_reuse."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    if tcb.state != TIME_WAIT or not tcb.bits & B_TS:
        return False
    if not chosen:
        return True
    return (tw_reusable(eng, laddr)
            and clock_ms(now) - eng.pool.stamps[slot].recent_at >= eng.knobs.tcp_tw_reuse_delay)


cdef void probe_port(const EngineState* eng, const ConnectRequest* request, Py_ssize_t i, Spot* spot) noexcept nogil:
    """Fill hash and ref for spot.lport; where it is the port speculated, its numbers are those of number i."""
    if spot.lport == spot.search.speculated:
        spot.numbers = i
        spot.hash = eng.hashes[i]
    else:
        spot.numbers = -1
        spot.hash = flow_hash(&eng.flows, request.raddr, request.rport, request.laddr, spot.lport)
    spot.ref = flow_find(&eng.flows, spot.hash, request.raddr, request.rport, request.laddr, spot.lport)


cdef bint choose_port(EngineState* eng, const ConnectRequest* request, Py_ssize_t number, Spot* spot,
                      int64_t now) noexcept nogil:
    """Find a port that connect() may use (RFC 6056); False when there is none. Bounded by the range; what is
    known to be taken is walked only where it might be taken over."""
    cdef bint free = ports_begin(&eng.ports, spot.search)
    cdef bint reuse = eng.counts[TIME_WAIT] != 0 and tw_reusable(eng, request.laddr)
    cdef uint32_t i
    if not free and not reuse:
        return False
    for i in range(0 if reuse else spot.search.first, eng.ports.size):
        spot.lport = ports_candidate(&eng.ports, spot.search, i)
        probe_port(eng, request, number, spot)
        if spot.ref == 0 or may_take_over(eng, spot.ref - 1, request.laddr, True, now):
            spot.place = <int32_t>i
            return True
    return False


cdef uint64_t no_connection(EngineState* eng, Mib counter, uint8_t cause, int64_t now) noexcept nogil:
    count(&eng.counters, counter)
    refuse(eng, cause, 0, now)
    return 0


cdef uint64_t open_at(EngineState* eng, const ConnectRequest* request, const Spot* spot, int64_t iss, int64_t now,
                      Segment* rows, uint32_t* n_rows) noexcept nogil:
    """A block, which there is, for a 4-tuple that is free, and its SYN."""
    cdef uint32_t ref = pool_take(&eng.pool), ts_offset = 0, timeout
    cdef Tcb* tcb
    expect(ref != 0)
    tcb = &eng.pool.blocks[ref - 1]
    tcb.raddr = request.raddr
    tcb.laddr = request.laddr
    tcb.rport = request.rport
    tcb.lport = spot.lport
    if iss < 0 and spot.numbers >= 0 and isn_hashes(&eng.isn):
        iss = eng.isns[spot.numbers]
    elif iss < 0:
        iss = isn_make(&eng.isn, tcb.laddr, tcb.lport, tcb.raddr, tcb.rport, now)
    if eng.knobs.tcp_timestamps == 1:
        ts_offset = (eng.ts_offsets[spot.numbers] if spot.numbers >= 0
                     else isn_ts_offset(&eng.isn, tcb.laddr, tcb.raddr))
    timeout = open_active(tcb, &eng.pool.colds[ref - 1], &eng.pool.stamps[ref - 1], &eng.knobs, now,
                          <uint32_t>iss, ts_offset,
                          request.rcv_buf if request.rcv_buf != eng.knobs.rcv_buf else 0, rows)
    if spot.place >= 0 and ports_taken(&eng.ports, spot.search, spot.place, spot.lport):
        tcb.bits |= B_EPHEMERAL
    flow_insert(&eng.flows, spot.hash, ref)
    arm(eng, ref - 1, T_REXMT, tick_up(now) + timeout)
    eng.counts[SYN_SENT] += 1
    n_rows[0] = 1
    events_add(&eng.events, handle_of(eng, ref - 1), now, 0, EV_OPENED, 0, SYN_SENT)
    return handle_of(eng, ref - 1)


cdef uint64_t connect_one(EngineState* eng, const ConnectRequest* request, Py_ssize_t i, int64_t now, Segment* rows,
                           uint32_t* n_rows) noexcept nogil:
    """One active open, number i of those hashed; the handle, or 0 and a cause."""
    cdef int64_t iss = request.iss
    cdef uint32_t hash = eng.hashes[i]
    cdef Spot spot
    spot.hash = hash
    spot.numbers = i
    n_rows[0] = 0
    if request.lport < 0:
        spot.search = &eng.ports.searches[i]
        if not choose_port(eng, request, i, &spot, now):
            return no_connection(eng, Mib.PortsExhausted, CausePortsExhausted, now)
    else:
        spot.place = -1
        spot.lport = <uint16_t>request.lport
        spot.ref = flow_find(&eng.flows, hash, request.raddr, request.rport, request.laddr, spot.lport)
        if spot.ref and not may_take_over(eng, spot.ref - 1, request.laddr, False, now):
            return no_connection(eng, Mib.AddressInUse, CauseAddressInUse, now)
    if pool_is_empty(&eng.pool) and (
            spot.ref == 0 or eng.pool.blocks[spot.ref - 1].bits & (B_HELD | B_QUEUED)):
        return no_connection(eng, Mib.BlocksExhausted, CauseBlocksExhausted, now)
    if spot.ref:
        if iss < 0:
            iss = <uint32_t>(eng.pool.blocks[spot.ref - 1].snd_nxt + 65537)
            iss += iss == 0
        count(&eng.counters, Mib.TWRecycled)
        end_quietly(eng, spot.ref - 1, NoCause, now)
    return open_at(eng, request, &spot, iss, now, rows, n_rows)


cdef inline void read_connect_args(ConnectRequest* request, const ConnectArgs* wanted, Py_ssize_t at) noexcept nogil:
    request.raddr = wanted.dst[at * wanted.steps[0]]
    request.rport = wanted.dport[at * wanted.steps[1]]
    request.laddr = wanted.src[at * wanted.steps[2]]
    request.lport = wanted.sport[at * wanted.steps[3]]
    request.iss = wanted.isn[at * wanted.steps[4]]
    request.rcv_buf = wanted.rcv_buf[at * wanted.steps[5]]


cdef void speculate_ports(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t done, Py_ssize_t n) noexcept nogil:
    """Searches for n <= LANES openings whose ports are to be chosen."""
    cdef ConnectRequest request
    cdef Py_ssize_t i
    for i in range(n):
        read_connect_args(&request, wanted, done + i)
        eng.ports.searches[i].raddr = request.raddr
        eng.ports.searches[i].laddr = request.laddr
        eng.ports.searches[i].rport = request.rport
    ports_speculate(&eng.ports, n)


cdef void hash_connects(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t done, Py_ssize_t n,
                        int64_t now) noexcept nogil:
    """Hashes, first numbers and timestamp offsets of n <= STRIDE openings; of at most LANES, with the ports
    speculated, where ports are to be chosen."""
    cdef uint64_t first[LANES]
    cdef uint64_t last[LANES]
    cdef uint64_t hashes[LANES]
    cdef ConnectRequest request
    cdef Py_ssize_t start = 0, part, i
    while start < n:
        part = least(n - start, LANES)
        for i in range(part):
            read_connect_args(&request, wanted, done + start + i)
            first[i] = tuple_first(request.raddr, request.laddr)
            last[i] = tuple_last(request.rport, eng.ports.searches[i].speculated if request.lport < 0
                                 else <uint16_t>request.lport)
        siphash13_many(eng.flows.k0, eng.flows.k1, first, last, hashes, part)
        for i in range(part):
            eng.hashes[start + i] = <uint32_t>hashes[i]
        isn_batch_fill(eng, first, last, part, now, start)
        start += part


cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* wanted, Py_ssize_t n, int64_t now, uint64_t* conns,
                          Segment* rows) noexcept nogil:
    """Active opens in order, one row each at most; conns gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef bint chosen = n != 0 and wanted.sport[0] < 0
    cdef ConnectRequest request
    cdef uint32_t more
    while done < n:
        part = least(n - done, LANES if chosen else STRIDE)
        if chosen:
            speculate_ports(eng, wanted, done, part)
        hash_connects(eng, wanted, done, part, now)
        for i in range(part):
            pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
            flow_ahead(&eng.flows, eng.hashes, i, part)
            read_connect_args(&request, wanted, done + i)
            conns[done + i] = connect_one(eng, &request, i, now, rows + written, &more)
            written += more
        done += part
    count_n(&eng.counters, Mib.ActiveOpens, written)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written
