"""The attempts of a run: begun, found by the handle of either end, counted and given back.

An attempt has a place in an array from its arrival until both applications have let go of it, or until the
client's engine gives its slot to another connection; then its outcome is counted (S6.2 to S6.5). The place
of an attempt changes its stamp when it is given back, so that tasks asked for before are known to be void.
"""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from tcpcore cimport ESTABLISHED, EV_CLOSED, EV_ESTABLISHED, EV_LOST, EV_OPENED, Event, engine_events
from loadgen.sim.draw cimport below, hit
from loadgen.sim.fill cimport fill_add, fill_drop, total_add
from loadgen.sim.world cimport (
    Acceptor, BATCH, CLIENT, ENGINE_FAILED, F_ACCEPTED, F_BOTH_CLOSE, F_CLIENT_DONE, F_CLIENT_RESETS,
    F_CONNECTED, F_GAVE_UP, F_HALF, F_LATE, F_REFUSED, F_RESET, F_SERVED, F_SERVER_CLOSES, F_SERVER_DONE,
    F_STRANGER, N_ENDED, Note, Reset, SERVER, T_ARRIVAL, T_RECONNECT,
)

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void* addr, size_t length, int advice)
    int MADV_HUGEPAGE

cdef enum:
    PAGE = 4096
    HUGE_FROM = 1 << 23       # bytes of the array; below this most of a huge page would stay unused
    # tcpcore.Cause, whose numbers are public
    CAUSE_RESET_BY_PEER = 15
    CAUSE_TIMED_OUT = 16


cdef bint places_grow(Sim* sim) noexcept nogil:
    """Twice as many places; False, and sim.failed, without memory."""
    cdef uint32_t size = 1024 if sim.attempts_allocated == 0 else 2 * sim.attempts_allocated
    cdef Attempt* attempts = NULL
    cdef uintptr_t first
    if size < RESTS:
        attempts = <Attempt*>realloc(sim.attempts, size * sizeof(Attempt))
    if attempts == NULL:
        sim.failed = NO_MEMORY
        return False
    sim.attempts = attempts
    sim.attempts_allocated = size
    if size * sizeof(Attempt) >= HUGE_FROM:           # a hint, for all: mremap() moves no mapping in part
        first = <uintptr_t>attempts & ~<uintptr_t>(PAGE - 1)
        madvise(<void*>first, <uintptr_t>attempts + size * sizeof(Attempt) - first, MADV_HUGEPAGE)
    return True


cdef uint32_t attempt_new(Sim* sim) noexcept nogil:
    """A free place, all zero but its stamp. NOBODY, and sim.failed, without memory."""
    cdef uint32_t i, stamp = 0
    if sim.free_attempt != 0:                         # the place that was given back last
        i = sim.free_attempt - 1
        sim.free_attempt = sim.attempts[i].client_host
        stamp = sim.attempts[i].stamp
    else:
        if sim.attempts_fresh == sim.attempts_allocated and not places_grow(sim):
            return <uint32_t>NOBODY
        i = sim.attempts_fresh
        sim.attempts_fresh += 1
    memset(&sim.attempts[i], 0, sizeof(Attempt))
    sim.attempts[i].stamp = stamp
    sim.attempts[i].connected = -1
    sim.attempts[i].established = -1
    sim.attempts_n += 1
    return i


cdef void place_free(Sim* sim, uint32_t i) noexcept nogil:
    """Give the place of an attempt back; what was asked for it is void."""
    cdef Attempt* a = &sim.attempts[i]
    a.stamp += 1
    a.client = a.server = 0
    a.flags = F_CLIENT_DONE | F_SERVER_DONE
    a.client_host = sim.free_attempt
    sim.free_attempt = i + 1
    sim.attempts_n -= 1


# --- connections at rest --------------------------------------------------------------------------
#
# A connection of a load that `rests` (clients that say nothing and close, at the one engine of each end) is
# held for long, and all that matters of it then is in its two TCBs. Once both ends have it and it is served,
# its place is given back: `attempt_of` says RESTS and has the slot of the other end, nothing else is kept.
# The close, which is asked for by the client's slot and generation, or the first event of either end rouses
# it: it has a place again as if it had never been without.


cdef void attempt_rest(Sim* sim, uint32_t i) noexcept nogil:
    """Let the attempt rest if both ends have nothing but the close before them."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Host* client = &sim.hosts[a.client_host]
    cdef Host* server = &sim.hosts[0]
    cdef uint32_t slot = slot_of(a.client), other = slot_of(a.server)
    cdef const uint8_t* block = block_of(client, a.client)
    if (a.flags & ~F_LATE != F_CONNECTED | F_SERVED | F_ACCEPTED or not measured(sim, a)
            or client.attempt_of[slot] != i + 1 or server.attempt_of[other] != i + 1):
        return
    if block[sim.at_state] != ESTABLISHED or block_u4(block, sim.at_generation) != a.client >> 32:
        return
    block = block_of(server, a.server)
    if block[sim.at_state] != ESTABLISHED or block_u4(block, sim.at_generation) != a.server >> 32:
        return
    client.attempt_of[slot] = RESTS | other
    server.attempt_of[other] = RESTS | slot
    sim.resting += 1
    place_free(sim, i)


cdef uint32_t rouse(Sim* sim, uint64_t client, uint64_t server) noexcept nogil:
    """A place for a connection at rest: 1 + the attempt, 0 without memory."""
    cdef uint32_t i = attempt_new(sim), host = sim.servers
    cdef Attempt* a
    if i == NOBODY:
        return 0
    a = &sim.attempts[i]
    a.client, a.server = client, server
    a.client_host = host
    a.addr = block_u4(block_of(&sim.hosts[host], client), sim.at_laddr)
    a.destination = <uint16_t>(block_u4(block_of(&sim.hosts[host], client), sim.at_raddr) - sim.server_addr)
    a.begun = a.connected = a.established = a.touched = sim.now
    a.tries = 1
    a.flags = F_CONNECTED | F_SERVED | F_ACCEPTED
    sim.hosts[host].attempt_of[slot_of(client)] = i + 1
    sim.hosts[0].attempt_of[slot_of(server)] = (i + 1) | (sim.hosts[0].attempt_of[slot_of(server)] & HALF)
    sim.resting -= 1
    return i + 1


cdef inline uint64_t handle_in(const Sim* sim, const Host* host, uint32_t slot) noexcept nogil:
    return <uint64_t>block_u4(block_of(host, slot), sim.at_generation) << 32 | slot


cdef uint32_t attempt_ended(Sim* sim, Host* h, uint64_t conn) noexcept nogil:
    """Something is heard of a slot whose connection rests: of this connection, since what ends one is told
    before the slot is taken again. 1 + the attempt, 0 without memory."""
    cdef uint32_t other = h.attempt_of[slot_of(conn)] & (<uint32_t>RESTS - 1)
    if h.end == SERVER:
        return rouse(sim, handle_in(sim, &sim.hosts[sim.servers], other), conn)
    return rouse(sim, conn, handle_in(sim, &sim.hosts[0], other))


cdef uint32_t attempt_roused(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    """The slot's connection rests: 1 + the attempt if it is this connection, which is roused, 0 if not."""
    cdef Host* h = &sim.hosts[host]
    if handle_in(sim, h, slot_of(conn)) != conn:
        return 0
    return attempt_ended(sim, h, conn)


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
    if place[0] & RESTS:                              # it had ended without a word: a fault of ours
        sim.failed = ENGINE_FAILED
        return
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
        if place[0] & ~<uint32_t>HALF == i + 1:
            place[0] &= HALF
    place_free(sim, i)


cdef inline Acceptor* half_open_of(Sim* sim, Host* h, Acceptor* acceptor) noexcept nogil:
    """The listener for which its entries count: a syncache is one for all listeners of an engine."""
    return &sim.acceptors[(h - sim.hosts) * sim.destinations] if sim.syncache else acceptor


cdef void half_open_ends(Sim* sim, Host* h, Acceptor* acceptor, const Event* event) noexcept nogil:
    """A connection is established or gone: it was a half-open entry, or never was one (a cookie's)."""
    cdef uint32_t* entry = &h.attempt_of[slot_of(event.conn)]
    if entry[0] & HALF:
        entry[0] &= ~<uint32_t>HALF
        fill_drop(&half_open_of(sim, h, acceptor).half_open, 1, event.at)
        total_add(&sim.half_open, -1, event.at)


cdef bint unanswered(Sim* sim, const Event* event, uint32_t place, uint16_t done) noexcept nogil:
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
        if h.attempt_of[slot_of(event.conn)] & RESTS and event.conn != 0:
            attempt_ended(sim, h, event.conn)
        if h.end == CLIENT:
            if event.kind == EV_CLOSED or event.kind == EV_LOST:
                total_add(&sim.ports, -1, event.at)
                place = client_attempt(sim, <uint32_t>(h - sim.hosts), event.conn)
                sim.unanswered[CLIENT] += unanswered(sim, event, place, F_CLIENT_DONE)
        elif event.listener != 0:
            acceptor = &sim.acceptors[h.listener_of[event.listener]]
            if event.kind == EV_OPENED:
                h.attempt_of[slot_of(event.conn)] |= HALF
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
