"""The attempts of a run: begun, found by the handle of either end, counted and given back.

An attempt has a place in an array from its arrival until both applications have let go of it, or until the
client's engine gives its slot to another connection; then its outcome is counted (S6.2 to S6.5). The place
of an attempt changes its stamp when it is given back, so that tasks asked for before are known to be void.
"""

from libc.stdlib cimport realloc
from libc.string cimport memset

from tcpcore cimport EV_CLOSED, EV_ESTABLISHED, EV_LOST, EV_OPENED, Event, engine_events
from loadgen.sim.draw cimport below, hit
from loadgen.sim.fill cimport fill_add, fill_drop, total_add
from loadgen.sim.world cimport (
    Acceptor, BATCH, CLIENT, ENGINE_FAILED, F_BOTH_CLOSE, F_CLIENT_DONE, F_CLIENT_RESETS, F_CONNECTED,
    F_GAVE_UP, F_HALF, F_REFUSED, F_RESET, F_SERVED, F_SERVER_CLOSES, F_SERVER_DONE, F_STRANGER, N_ENDED,
    Note, Reset, SERVER, T_ARRIVAL, T_RECONNECT,
)

cdef enum:
    # tcpcore.Cause, whose numbers are public
    CAUSE_RESET_BY_PEER = 15
    CAUSE_TIMED_OUT = 16


cdef uint32_t attempt_new(Sim* sim) noexcept nogil:
    """A free place, all zero but its stamp. NOBODY, and sim.failed, without memory."""
    cdef uint32_t i, size, stamp
    cdef Attempt* attempts
    cdef uint32_t* places
    if sim.free_n == 0:
        size = 1024 if sim.attempts_allocated == 0 else 2 * sim.attempts_allocated
        attempts = <Attempt*>realloc(sim.attempts, size * sizeof(Attempt))
        if attempts != NULL:
            sim.attempts = attempts
        places = <uint32_t*>realloc(sim.free_attempts, size * sizeof(uint32_t))
        if places != NULL:
            sim.free_attempts = places
        if attempts == NULL or places == NULL or size < sim.attempts_allocated:
            sim.failed = NO_MEMORY
            return <uint32_t>NOBODY
        for i in range(size - sim.attempts_allocated):
            sim.free_attempts[i] = size - 1 - i       # the lowest place is taken first
            memset(&sim.attempts[size - 1 - i], 0, sizeof(Attempt))
            sim.attempts[size - 1 - i].flags = F_CLIENT_DONE | F_SERVER_DONE
        sim.free_n = size - sim.attempts_allocated
        sim.attempts_allocated = size
    sim.free_n -= 1
    i = sim.free_attempts[sim.free_n]
    stamp = sim.attempts[i].stamp
    memset(&sim.attempts[i], 0, sizeof(Attempt))
    sim.attempts[i].stamp = stamp
    sim.attempts[i].connected = -1
    sim.attempts[i].established = -1
    sim.attempts_n += 1
    return i


cdef uint32_t attempt_begin(Sim* sim, uint32_t number, uint64_t n) noexcept nogil:
    """A new attempt of a load, with this number, its host and destination (S3.4). NOBODY without memory."""
    cdef Load* load = &sim.loads[number]
    cdef uint32_t i = attempt_new(sim), host
    cdef Attempt* a
    cdef double who
    if i == NOBODY:
        return i
    a = &sim.attempts[i]
    a.load = <uint16_t>number
    a.number = n
    a.begun = sim.now
    a.touched = sim.now
    if load.poisson:
        host = <uint32_t>below(word(load.draws, n * DRAWS_OF_CONNECTION + 1), sim.addrs)
        a.destination = <uint16_t>below(word(load.draws, n * DRAWS_OF_CONNECTION + 2), sim.destinations)
    else:
        host = <uint32_t>(n % sim.addrs)
        a.destination = <uint16_t>(n // sim.addrs % sim.destinations)
    if load.again >= 0 and n < load.count and sim.loads[load.again].addrs[n] != 0:
        host = sim.loads[load.again].addrs[n] - sim.first_addr
    a.addr = sim.first_addr + host
    if load.addrs != NULL and n < load.count:         # not of one that connects again after a reset-all
        load.addrs[n] = a.addr
    a.client_host = sim.servers + host // sim.addrs_per_host
    if load.by_turns:
        a.flags |= F_SERVER_CLOSES if n % 3 == 1 else F_BOTH_CLOSE if n % 3 == 2 else 0
    elif load.by_server > 0.0 or load.by_reset > 0.0 or load.by_both > 0.0:
        who = unit(word(load.draws, n * DRAWS_OF_CONNECTION + 3))
        if who < load.by_server:
            a.flags |= F_SERVER_CLOSES
        elif who < load.by_server + load.by_reset:
            a.flags |= F_CLIENT_RESETS
        elif who < load.by_server + load.by_reset + load.by_both:
            a.flags |= F_BOTH_CLOSE
    if load.half_close > 0.0 and not a.flags & F_BOTH_CLOSE and hit(word(load.half_key, n), load.half_close):
        a.flags |= F_HALF
    tally_of(sim, a).attempted += 1
    return i


cdef uint32_t attempt_arrives(Sim* sim, uint32_t number) noexcept nogil:
    """The next arrival of a load. NOBODY without memory."""
    cdef uint32_t i = attempt_begin(sim, number, sim.loads[number].begun)
    sim.loads[number].begun += i != NOBODY
    return i


cdef void attempt_bind(Sim* sim, uint32_t i, uint32_t host, uint64_t conn) noexcept nogil:
    """A client's engine gave this handle to the attempt; who had its slot before is over."""
    cdef uint32_t* place = &sim.hosts[host].attempt_of[slot_of(conn)]
    cdef Attempt* other
    if place[0] != 0 and place[0] != i + 1:
        other = &sim.attempts[place[0] - 1]
        if other.client_host == host and slot_of(other.client) == slot_of(conn) and other.client != 0:
            if other.server != 0 and not other.flags & F_SERVER_DONE:
                other.client = 0                      # the server's application still has it
            else:
                attempt_settle(sim, place[0] - 1)
    place[0] = i + 1
    sim.attempts[i].client = conn
    sim.attempts[i].client_host = host


cdef void attempt_over(Sim* sim, uint32_t i) noexcept nogil:
    """Either application has let go: count the attempt if nothing can happen to it any more."""
    cdef Attempt* a = &sim.attempts[i]
    if not a.flags & F_CLIENT_DONE:
        return
    if a.flags & F_SERVER_DONE or (a.server == 0 and (a.client == 0 or not a.flags & F_CONNECTED)):
        attempt_settle(sim, i)


cdef void reconnects(Sim* sim, const Attempt* a) noexcept nogil:
    """S9.4: the client of a connection that a reset-all has reset begins another, not before its time."""
    cdef const Reset* reset = &sim.resets[a.reset_by - 1]
    cdef int64_t at = reset.at + <int64_t>(unit(word(word(reset.key, a.load), a.number)) * reset.within)
    if sim.loads[a.load].concurrency:
        ask(sim, at, T_ARRIVAL, a.load, 0, 1, -1)
    else:
        ask(sim, at, T_RECONNECT, a.load, a.addr, a.destination, -1)


cdef void note(Sim* sim, const Attempt* a, NoteKind kind, uint64_t what) noexcept nogil:
    """Keep what happened to a connection for the function that plays its load."""
    cdef Note* notes
    if sim.notes_n == sim.notes_allocated:
        notes = <Note*>realloc(sim.notes, 2 * (sim.notes_n + 32) * sizeof(Note))
        if notes == NULL:
            sim.failed = NO_MEMORY
            return
        sim.notes = notes
        sim.notes_allocated = 2 * (sim.notes_n + 32)
    sim.notes[sim.notes_n].number, sim.notes[sim.notes_n].what = a.number, what
    sim.notes[sim.notes_n].at, sim.notes[sim.notes_n].kind = sim.now, kind
    sim.notes_n += 1


cdef void attempt_let_go(Sim* sim, uint32_t i) noexcept nogil:
    """The client's application has nothing more to do with the attempt: S3.3's next user, and its outcome."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    if a.flags & F_CLIENT_DONE:
        return
    a.flags |= F_CLIENT_DONE
    if load.played:
        note(sim, a, N_ENDED, a.flags & (F_REFUSED | F_RESET | F_GAVE_UP))
    if a.reset_by and a.flags & F_RESET:
        reconnects(sim, a)
    elif load.concurrency and load.begun < load.count and sim.now < load.stop:
        ask(sim, sim.now, T_ARRIVAL, a.load, 0, 1, -1)
    attempt_over(sim, i)


cdef void attempt_settle(Sim* sim, uint32_t i) noexcept nogil:
    """Count what the attempt has come to, and give its place back."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Tally* tally
    cdef uint32_t* place
    if not a.flags & F_STRANGER:
        tally = tally_of(sim, a)
        if a.flags & F_SERVED:
            tally.served += 1
        elif a.flags & F_REFUSED:
            tally.refused += 1
            tally.refused_by[a.cause] += 1
        elif a.flags & F_RESET:
            tally.reset += 1
        elif a.flags & F_GAVE_UP:
            tally.gave_up += 1
        elif a.flags & F_CONNECTED and (
                (a.flags & F_CLIENT_DONE and a.flags & F_SERVER_DONE)
                or sim.now - a.connected >= 2 * sim.link.longest):
            tally.ghost += 1
        else:
            tally.pending += 1
            tally.in_flight += a.flags & F_CONNECTED != 0
    if a.client != 0:
        place = &sim.hosts[a.client_host].attempt_of[slot_of(a.client)]
        if place[0] == i + 1:
            place[0] = 0
    if a.server != 0:
        place = &sim.hosts[a.server_host].attempt_of[slot_of(a.server)]
        if place[0] == i + 1:
            place[0] = 0
    a.stamp += 1
    a.client = a.server = 0
    a.flags = F_CLIENT_DONE | F_SERVER_DONE
    sim.free_attempts[sim.free_n] = i
    sim.free_n += 1
    sim.attempts_n -= 1


cdef inline Acceptor* half_open_of(Sim* sim, Host* h, Acceptor* acceptor) noexcept nogil:
    """The listener for which its entries count: a syncache is one for all listeners of an engine."""
    return &sim.acceptors[(h - sim.hosts) * sim.destinations] if sim.syncache else acceptor


cdef void half_open_ends(Sim* sim, Host* h, Acceptor* acceptor, const Event* event) noexcept nogil:
    """A connection is established or gone: it was a half-open entry, or never was one (a cookie's)."""
    cdef uint8_t* entry = &h.half_open[slot_of(event.conn)]
    if entry[0]:
        entry[0] = 0
        fill_drop(&half_open_of(sim, h, acceptor).half_open, 1, event.at)
        total_add(&sim.half_open, -1, event.at)


cdef bint unanswered(const Sim* sim, const Event* event, uint32_t place, uint16_t done) noexcept nogil:
    """The connection was reset or timed out though its application had closed it: an answer was missing."""
    if event.kind != EV_LOST or (event.cause != CAUSE_RESET_BY_PEER and event.cause != CAUSE_TIMED_OUT):
        return False
    return place == NOBODY or sim.attempts[place].flags & done != 0


cdef size_t count_events(Sim* sim, Host* h, Event* events, size_t n) noexcept nogil:
    """Count what ports and queues have gained and lost. How many events are left: those to be heard of."""
    cdef size_t k, kept = 0
    cdef uint32_t place
    cdef Event* event
    cdef Acceptor* acceptor
    for k in range(n):
        event = &events[k]
        if h.end == CLIENT:
            if event.kind == EV_CLOSED or event.kind == EV_LOST:
                total_add(&sim.ports, -1, event.at)
                place = client_attempt(sim, <uint32_t>(h - sim.hosts), event.conn)
                sim.unanswered[CLIENT] += unanswered(sim, event, place, F_CLIENT_DONE)
        elif event.listener != 0:
            acceptor = &sim.acceptors[h.listener_of[event.listener]]
            if event.kind == EV_OPENED:
                h.half_open[slot_of(event.conn)] = 1
                fill_add(&half_open_of(sim, h, acceptor).half_open, 1, event.at)
                total_add(&sim.half_open, 1, event.at)
            elif event.kind == EV_ESTABLISHED:
                half_open_ends(sim, h, acceptor, event)
                if not sim.at_once:
                    fill_add(&acceptor.accepting, 1, event.at)
                    total_add(&sim.accepting, 1, event.at)
            elif event.kind == EV_LOST:
                half_open_ends(sim, h, acceptor, event)
                place = server_attempt(sim, <uint32_t>(h - sim.hosts), event.conn)
                sim.unanswered[SERVER] += unanswered(sim, event, place, F_SERVER_DONE)
        if event.kind != EV_CLOSED and (event.kind != EV_OPENED or (sim.watch != NULL and h.end == SERVER)):
            events[kept] = event[0]
            kept += 1
    return kept


cdef void collect(Sim* sim, uint32_t host) noexcept nogil:
    """Fetch the events of an engine, which keeps only 2^20, for when the applications hear of them."""
    cdef Host* h = &sim.hosts[host]
    cdef Event* heard
    cdef Py_ssize_t n = BATCH
    while n == BATCH:
        if h.heard_n + BATCH > h.heard_allocated:
            heard = <Event*>realloc(h.heard, 2 * (h.heard_n + BATCH) * sizeof(Event))
            if heard == NULL:
                sim.failed = NO_MEMORY
                return
            h.heard = heard
            h.heard_allocated = 2 * (h.heard_n + BATCH)
        n = engine_events(h.engine, h.heard + h.heard_n, BATCH)
        if n < 0:
            sim.failed = ENGINE_FAILED
            return
        h.heard_n += count_events(sim, h, h.heard + h.heard_n, n)
