"""The connect loop: for each active open a port, a TCB and a SYN.

A batch is hashed ahead, with the port that each search will most likely end at: a guess that fails costs one
more hash. One open, and the search for its port, is in connect.pxd.
Invariant: a batch of n opens does what n batches of one do.
"""


from tcpcore.base.probing cimport probe_at
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash13_many, tuple_first, tuple_last
from tcpcore.records.counters cimport count_n
from tcpcore.records.tcb cimport B_PASSIVE, CLOSED, SYN_RECEIVED
from tcpcore.components.bound_ports cimport BOUND_SEEN, bound_add, bound_chosen, bound_count
from tcpcore.components.flow_table cimport FLOW_AHEAD, flow_ahead_bucket
from tcpcore.components.listeners cimport LISTENER_OPEN, Listener, listener_at
from tcpcore.components.ports cimport (
    BAR_LISTENED, HAS_RETRY, PORTS_LINUX, PortUse, ports_bar, ports_left_out, ports_odd_full, ports_released,
    ports_speculate, ports_taken, ports_use,
)
from tcpcore.components.tcb_pool cimport pool_ahead
from tcpcore.loops.apply cimport binds_port, release_bound
from tcpcore.loops.isn_batch cimport isn_batch_fill
from tcpcore.loops.pipeline cimport least
from tcpcore.loops.state cimport STRIDE


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


cdef Py_ssize_t connect_batch(EngineState* eng, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                              uint64_t* conns, Segment* rows) noexcept nogil:
    """Active opens in order, at most one row each; conns (out) gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, i, written = 0
    cdef bint chosen = n != 0 and args.sport[0] < 0
    cdef ConnectRequest request
    cdef uint32_t more
    request.asked = args.asked
    while done < n:
        part = least(n - done, SIPHASH_BATCH if chosen else STRIDE)
        if chosen:
            speculate_ports(eng, args, done, part)
        hash_opens(eng, args, done, part, now)
        for i in range(part):
            pool_ahead(&eng.pool, eng.knobs.tcp_timestamps)
            if i + 2 * FLOW_AHEAD < part:
                flow_ahead_bucket(&eng.flows, eng.hashes[i + 2 * FLOW_AHEAD])
            read_connect_args(&request, args, done + i)
            request.hash = eng.hashes[i]
            request.numbers = i
            request.search = &eng.ports.searches[i if chosen else 0]      # not used where the port is named
            conns[done + i] = connect_one(eng, &request, now, rows + written, &more)
            written += more
        done += part
    count_n(&eng.counters, Mib.ActiveOpens, written)
    count_n(&eng.counters, Mib.OutSegs, written)
    return written


# --- ports that are bound otherwise ------------------------------------------------------

cdef bint bar_port(EngineState* eng, uint16_t port) noexcept nogil:
    """Somebody listens on this port: no search gives it (Linux: __inet_hash_connect, tb->fastreuse), and it
    is not counted. False when memory for that is refused; then searches meet it as they meet others."""
    cdef uint32_t slot
    cdef Tcb* tcb
    if not in_port_range(&eng.ports, port):
        return True
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == CLOSED or tcb.lport != port:
            continue
        if eng.bound.use == BOUND_COUNTED:
            release_bound(eng, tcb, tcb.state)
        if tcb.bits & B_EPHEMERAL:
            ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, port)
            tcb.bits &= ~B_EPHEMERAL
    return ports_bar(&eng.ports, port, BAR_LISTENED, True)


cdef void unbar_port(EngineState* eng, uint16_t port, int64_t now) noexcept nogil:
    """A listener on this port has closed. Where it was the last, the connections left count again."""
    cdef uint32_t slot, id
    cdef Tcb* tcb
    if eng.ports.barred == NULL or not eng.ports.barred[port] & BAR_LISTENED:
        return
    for id in range(1, eng.listeners.fresh + 1):
        if (listener_at(&eng.listeners, <uint16_t>id).state == LISTENER_OPEN
                and listener_at(&eng.listeners, <uint16_t>id).port == port):
            return
    ports_bar(&eng.ports, port, BAR_LISTENED, False)
    if not in_port_range(&eng.ports, port):
        return
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if tcb.state == CLOSED or tcb.lport != port:
            continue
        if eng.ports.rule == PORTS_LINUX and binds_port(eng, tcb, tcb.state):
            bind_port(eng, tcb)
        else:
            count_uncounted(eng, slot, now)


cdef void add_bound(EngineState* eng, const Tcb* tcb) noexcept nogil:
    """Count a connection among those that bind their port, or have it from a search."""
    bound_add(&eng.bound, tcb.laddr, tcb.lport, tcb.bits & B_EPHEMERAL != 0, (tcb.lport - eng.ports.low) & 1)


cdef void bind_chosen(EngineState* eng, uint32_t laddr, uint16_t lport) noexcept nogil:
    """Connections that have this port from a search bind it, too, as another one does. One look in the flow
    table for each destination. (Linux refuses to bind it, so nothing says what becomes of them.)"""
    cdef const PortUse* use
    cdef Tcb* tcb
    cdef uint32_t i = 0, ref
    while i <= eng.ports.uses.mask and bound_chosen(&eng.bound, laddr, lport):
        use = <const PortUse*>probe_at(&eng.ports.uses, i, sizeof(PortUse))
        ref = 0
        if use.count and use.laddr == laddr:
            ref = flow_find(&eng.flows, flow_hash(&eng.flows, use.raddr, use.rport, laddr, lport), use.raddr,
                            use.rport, laddr, lport)
        tcb = &eng.pool.blocks[ref - 1] if ref else NULL
        if tcb == NULL or not tcb.bits & B_EPHEMERAL:
            i += 1
            continue
        release_bound(eng, tcb, tcb.state)
        ports_released(&eng.ports, laddr, tcb.raddr, tcb.rport, lport)      # which may put another one at i
        tcb.bits &= ~B_EPHEMERAL
        if binds_port(eng, tcb, tcb.state):
            add_bound(eng, tcb)


cdef void take_port(EngineState* eng, Tcb* tcb, const PortSearch* search, int32_t place) noexcept nogil:
    """A connection gets candidate `place` of this search."""
    if ports_taken(&eng.ports, search, place, tcb.lport):
        tcb.bits |= B_EPHEMERAL
    if unlikely(eng.bound.use == BOUND_COUNTED):
        bind_port(eng, tcb)


cdef void bind_port(EngineState* eng, Tcb* tcb) noexcept nogil:
    """A connection has a port of the range: from a search, counted or not, from its caller, or from a
    listener that is gone. The last two bind it, on Linux; elsewhere it counts as if a search had given it."""
    if (not tcb.bits & B_EPHEMERAL and (eng.ports.rule != PORTS_LINUX or eng.bound.by_search)
            and ports_bound(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)):
        tcb.bits |= B_EPHEMERAL
    if eng.ports.rule != PORTS_LINUX:
        return
    if eng.bound.use == BOUND_COUNTED:
        add_bound(eng, tcb)
        if not tcb.bits & B_EPHEMERAL:
            bind_chosen(eng, tcb.laddr, tcb.lport)
    elif not tcb.bits & B_EPHEMERAL:
        eng.bound.use = BOUND_SEEN


cdef void count_bound_ports(EngineState* eng) noexcept nogil:
    """The first search since there are bound ports: from now on they are counted."""
    cdef uint32_t slot
    cdef Tcb* tcb
    cdef bint chosen
    if eng.bound.use != BOUND_SEEN:
        return
    eng.bound.use = BOUND_COUNTED
    for chosen in range(2):
        for slot in range(eng.pool.fresh):
            tcb = &eng.pool.blocks[slot]
            if tcb.state == CLOSED or (tcb.bits & B_EPHEMERAL != 0) != chosen:
                continue
            if chosen and is_bound(eng, tcb.laddr, tcb.lport):
                ports_released(&eng.ports, tcb.laddr, tcb.raddr, tcb.rport, tcb.lport)
                tcb.bits &= ~B_EPHEMERAL
            if tcb.bits & B_EPHEMERAL or binds_port(eng, tcb, tcb.state):
                bind_port(eng, tcb)


cdef bint is_bound(const EngineState* eng, uint32_t laddr, uint16_t lport) noexcept nogil:
    """Whether no search may give this port of this address (Linux: __inet_hash_connect, tb->fastreuse). Not
    asked of other addresses: an engine may stand for several hosts."""
    return bound_count(&eng.bound, laddr, lport) != 0


cdef bint any_unbound(EngineState* eng, PortSearch* search, bint reuse, int64_t tick) noexcept nogil:
    """Whether a walk may find something where some ports are bound: not all others are counted, or one can be
    given up by now. It begins (search.first) as ports_begin says, which does not know of bound ones."""
    cdef const PortUse* use
    cdef uint32_t bound, even
    count_bound_ports(eng)
    use = ports_use(&eng.ports, search.laddr, search.raddr, search.rport)
    bound = bound_count(&eng.bound, search.laddr, 0)
    even = use.count + bound - (use.odd & ~HAS_RETRY) - bound_chosen(&eng.bound, search.laddr, 0)
    if not reuse and eng.ports.size > 1 and even >= eng.ports.usable_even:
        search.first = eng.ports.size // 2
    return (use.count + bound < eng.ports.usable
            or (reuse and use.odd & HAS_RETRY and <int32_t>(use.retry - <uint32_t>tick) <= 0))


cdef bint nothing_left(EngineState* eng, PortSearch* search) noexcept nogil:
    """True if the only port left is the end of an odd range that this search leaves out (Linux:
    __inet_hash_connect). One look saves walking over all others of its parity in vain."""
    cdef uint32_t odd = bound_chosen(&eng.bound, search.laddr, 0), hash
    cdef uint16_t end = ports_left_out(&eng.ports, search, bound_count(&eng.bound, search.laddr, 0) - odd)
    if end == 0 or is_bound(eng, search.laddr, end):
        return False
    eng.port_looks += 1
    hash = flow_hash(&eng.flows, search.raddr, search.rport, search.laddr, end)
    if flow_find(&eng.flows, hash, search.raddr, search.rport, search.laddr, end):
        return False
    search.first = eng.ports.size // 2
    return ports_odd_full(&eng.ports, search, odd)


cdef bint bar_listened(EngineState* eng) noexcept nogil:
    """The ports of all listeners, of an engine that was just restored; False when memory is refused."""
    cdef uint32_t id
    cdef const Listener* listener
    for id in range(1, eng.listeners.fresh + 1):
        listener = listener_at(&eng.listeners, <uint16_t>id)
        if (listener.state == LISTENER_OPEN and in_port_range(&eng.ports, listener.port)
                and not ports_bar(&eng.ports, listener.port, BAR_LISTENED, True)):
            return False
    return True


cdef bint port_in_use(const EngineState* eng, uint32_t addr, uint16_t port, bint reuse_addr) noexcept nogil:
    """True if a connection keeps bind(2) from this address (0: any) and port: each does, TIME-WAIT included,
    unless both sockets have SO_REUSEADDR (Linux: inet_csk_bind_conflict). A half-open entry has no socket.
    One that connect() chose a port for has not that option, all others are taken to have it."""
    cdef uint32_t slot
    cdef const Tcb* tcb
    for slot in range(eng.pool.fresh):
        tcb = &eng.pool.blocks[slot]
        if (tcb.state == CLOSED or tcb.lport != port or (addr and tcb.laddr != addr)
                or (tcb.state == SYN_RECEIVED and tcb.bits & B_PASSIVE)):
            continue
        if not reuse_addr or (tcb.listener == 0 and tcb.bits & B_EPHEMERAL):
            return True
    return False
