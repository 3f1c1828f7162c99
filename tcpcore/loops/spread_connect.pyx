"""Active opens of several engines behind one address.

The local ports are the host's: one search (components/ports) walks them for all members, and asks at each
candidate the member that the 4-tuple with this port belongs to. That member then opens the connection as if
the caller had named the port. The state of the search is the first member's, which makes none of its own;
each member counts the ports that its connections have, as its threads free them.
Invariant: a group of one chooses the ports that its member would. Source: RFC 6056 3.3.
"""

from tcpcore.records.counters cimport CausePortsExhausted, Mib
from tcpcore.records.tcb cimport B_TS, TICK_NS, TIME_WAIT, Tcb
from tcpcore.components.flow_table cimport flow_find, flow_hash
from tcpcore.components.ports cimport (
    HAS_RETRY, PortSearch, PortUse, is_barred, ports_begin, ports_candidate, ports_passed, ports_speculate,
    ports_use, set_retry,
)
from tcpcore.loops.connect cimport (
    connect_batch, count_bound_ports, count_uncounted, is_bound, may_replace, no_connection,
)
from tcpcore.loops.reuse cimport replaceable_at, time_wait_reusable
from tcpcore.loops.spread cimport MAX_MEMBERS, spread_member, to_group
from tcpcore.loops.state cimport EngineState


cdef bint is_port_left(Spread* group, const PortSearch* search, bint reuse, int64_t tick) noexcept nogil:
    """Whether a walk may find something: not all ports are counted, or one can be given up by now."""
    cdef const PortUse* use
    cdef uint32_t m, taken = 0
    cdef bint ripe = False
    for m in range(group.n):
        use = ports_use(&group.members[m].ports, search.laddr, search.raddr, search.rport)
        taken += use.count
        if use.count and use.odd & HAS_RETRY and <int32_t>(use.retry - <uint32_t>tick) <= 0:
            ripe = True
    return taken < group.members[0].ports.usable or (reuse and ripe)


cdef void met_port(EngineState* eng, uint32_t slot, int64_t now, bint reuse, int64_t* retry) noexcept nogil:
    """A search has met this member's TCB: note (in out) when its port can be given up."""
    cdef const Tcb* tcb = &eng.pool.blocks[slot]
    cdef int64_t ripe
    count_uncounted(eng, slot, now)
    if reuse and tcb.state == TIME_WAIT and tcb.bits & B_TS:
        ripe = replaceable_at(eng, slot, now)
        retry[0] = ripe if retry[0] < 0 or ripe < retry[0] else retry[0]


cdef bint bound_by_any(Spread* group, uint32_t laddr, uint16_t lport) noexcept nogil:
    """is_bound of any member."""
    cdef uint32_t m
    for m in range(group.n):
        if is_bound(group.members[m], laddr, lport):
            return True
    return False


cdef HostPort choose_host_port(Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                               int64_t now) noexcept nogil:
    """A local port for a connection to this destination: choose_port of loops/connect for all members."""
    cdef EngineState* first = group.members[0]
    cdef EngineState* eng
    cdef PortSearch* search = &first.ports.searches[0]
    cdef HostPort port
    cdef uint16_t lport
    cdef uint32_t i, m, hash, ref
    cdef int64_t retry[MAX_MEMBERS]
    cdef bint reuse = False
    search.raddr, search.rport, search.laddr = raddr, rport, laddr
    port.lport, port.place, port.member = -1, 0, 0
    for m in range(group.n):
        count_bound_ports(group.members[m])
        retry[m] = -1
        reuse = reuse or (group.members[m].counts[TIME_WAIT] != 0 and time_wait_reusable(first, laddr))
    ports_speculate(&first.ports, 1)
    if (not ports_begin(&first.ports, search, reuse, now // TICK_NS)
            or not is_port_left(group, search, reuse, now // TICK_NS)):
        return port
    for i in range(search.first, first.ports.size):
        lport = ports_candidate(&first.ports, search, i)
        if is_barred(&first.ports, lport) or bound_by_any(group, laddr, lport):
            continue
        m = spread_member(group, raddr, rport, laddr, lport)
        eng = group.members[m]
        hash = flow_hash(&eng.flows, raddr, rport, laddr, lport)
        ref = flow_find(&eng.flows, hash, raddr, rport, laddr, lport)
        first.port_looks += 1
        if ref == 0 or may_replace(eng, ref - 1, laddr, True, now):
            port.lport, port.place, port.member = lport, i, m
            eng.bound.by_search = True
            return port
        met_port(eng, ref - 1, now, reuse, &retry[m])
    for m in range(group.n):
        if reuse:
            set_retry(ports_use(&group.members[m].ports, laddr, raddr, rport), retry[m])
    return port


cdef void count_host_port(Spread* group, const HostPort* port, uint64_t conn) noexcept nogil:
    """This member's connection (0: it could not be opened) has the port that was just chosen. The member has
    counted it, as one that the caller named."""
    group.members[port.member].bound.by_search = False
    if conn:
        ports_passed(&group.members[0].ports, &group.members[0].ports.searches[0], port.place)


cdef uint64_t no_host_port(Spread* group, int64_t now) noexcept nogil:
    """Count an open for which there was no port; 0, the handle of none."""
    return no_connection(group.members[0], Mib.PortsExhausted, CausePortsExhausted, now)


cdef Py_ssize_t spread_connect(Spread* group, const ConnectArgs* args, Py_ssize_t n, int64_t now,
                               uint64_t* conns, Segment* rows) noexcept nogil:
    """Active opens in order, at most one row each; conns (out) gets the handles. Returns the rows written."""
    cdef Py_ssize_t i, written = 0
    cdef ConnectArgs row = args[0]
    cdef uint32_t raddr, laddr
    cdef uint16_t rport
    cdef HostPort port
    cdef bint chosen
    row.steps[0] = row.steps[1] = row.steps[2] = row.steps[3] = row.steps[4] = row.steps[5] = 0
    row.dst, row.dport, row.src, row.sport = &raddr, &rport, &laddr, &port.lport
    for i in range(n):
        # copies: they must not change between the choice of the member and its open
        raddr = args.dst[i * args.steps[0]]
        rport = args.dport[i * args.steps[1]]
        laddr = args.src[i * args.steps[2]]
        port.lport = args.sport[i * args.steps[3]]
        row.isn = args.isn + i * args.steps[4]
        row.rcv_buf = args.rcv_buf + i * args.steps[5]
        chosen = port.lport < 0
        if chosen:
            port = choose_host_port(group, raddr, rport, laddr, now)
            if port.lport < 0:
                conns[i] = no_host_port(group, now)
                continue
        else:
            port.member = spread_member(group, raddr, rport, laddr, <uint16_t>port.lport)
        written += connect_batch(group.members[port.member], &row, 1, now, conns + i, rows + written)
        if chosen:
            count_host_port(group, &port, conns[i])
        conns[i] = to_group(group, port.member, conns[i])
    return written
