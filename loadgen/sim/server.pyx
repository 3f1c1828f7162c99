"""The server's application: accept, read, answer, close (S4.1 to S4.5).

There is an accept loop for each listener. Where accepting takes no time the engine does it (`auto_accept`),
and answers a FIN itself (`auto_close`); else workers take connections off the queue one at a time.
"""

from libc.stdint cimport uint8_t, uint64_t

from tcpcore cimport (
    CLOSED, CLOSE_WAIT, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_OPENED, EV_READABLE, engine_accept,
    engine_close, engine_send, engine_shutdown,
)
from loadgen.sim.attempts cimport (
    ask, attempt_new, attempt_over, attempt_rest, block_lives, block_of, block_u4, measured,
    server_attempt, slot_of, tally_of,
)
from loadgen.sim.draw cimport draw_time, word
from loadgen.sim.fill cimport fill_drop, total_add
from loadgen.sim.half_open cimport entry_hears
from loadgen.sim.histogram cimport histo_add
from loadgen.sim.link cimport close_later, closes_flush, link_emitted
from loadgen.sim.peers cimport peer_of
from loadgen.sim.world cimport (
    BATCH, CLIENT_SPEAKS, ENGINE_FAILED, F_ACCEPTED, F_CLIENT_DONE, F_DUE, F_HALF, F_LATE, F_OLD, F_SERVED,
    F_SERVER_CLOSES, F_SERVER_DONE, F_SHUT, F_STRANGER, NOBODY, SERVER_SPEAKS, T_ANSWER_FIN, T_STALL_ENDS,
    T_WORKER, Acceptor, Attempt, Host, Load,
)


cdef void close_conn(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    closes_flush(sim)
    link_emitted(sim, host, engine_close(sim.hosts[host].engine, &conn, 1, sim.now, sim.out, 2 * BATCH))


cdef void server_closes(Sim* sim, uint32_t i) noexcept nogil:
    """close() by the server."""
    cdef Attempt* a = &sim.attempts[i]
    if a.flags & F_SERVER_DONE:
        return
    close_conn(sim, a.server_host, a.server)
    a.flags |= F_SERVER_DONE
    attempt_over(sim, i)


cdef void server_closes_later(Sim* sim, uint32_t i) noexcept nogil:
    """close() by the server, together with others of this instant."""
    cdef Attempt* a = &sim.attempts[i]
    if a.flags & F_SERVER_DONE:
        return
    close_later(sim, a.server_host, a.server)
    a.flags |= F_SERVER_DONE
    attempt_over(sim, i)


cdef void server_closes_with_client(Sim* sim, uint32_t i) noexcept nogil:
    """The server closes at the moment at which the client does, if it has the connection."""
    if sim.attempts[i].server != 0 and sim.attempts[i].flags & F_ACCEPTED:
        server_closes_later(sim, i)


cdef void server_answers_fin(Sim* sim, uint32_t i) noexcept nogil:
    """The server's delay after the client's FIN is over (S3.17)."""
    if sim.attempts[i].server != 0:
        server_closes_later(sim, i)


cdef void hears_fin(Sim* sim, uint32_t i) noexcept nogil:
    """The server's application sees the end of the stream (S3.12, S3.17, S3.18)."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    cdef uint32_t nbytes = load.half_bytes
    if a.flags & F_STRANGER:
        server_closes(sim, i)
        return
    if a.flags & F_SHUT and a.flags & F_SERVER_CLOSES:
        load.half_read += block_u4(block_of(&sim.hosts[a.server_host], a.server), sim.at_rcv_nxt) \
            - a.server_start - 1
        server_closes_later(sim, i)
        return
    if a.flags & F_HALF and not a.flags & F_SERVER_CLOSES and nbytes > 0:
        load.half_queued += nbytes
        closes_flush(sim)
        link_emitted(sim, a.server_host, engine_send(
            sim.hosts[a.server_host].engine, &a.server, &nbytes, 1, sim.now, sim.out, 2 * BATCH))
    if load.close_delay > 0:
        ask(sim, sim.now + load.close_delay, T_ANSWER_FIN, i, a.stamp, 1, load.delay_lane)
    else:
        server_closes_later(sim, i)


cdef void server_may_close(Sim* sim, uint32_t i) noexcept nogil:
    """First close by the server (S3.10), if it has the connection and has said all."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load
    if a.flags & F_STRANGER or not (a.flags & F_SERVER_CLOSES and a.flags & F_DUE and a.flags & F_ACCEPTED):
        return
    load = &sim.loads[a.load]
    if load.speaks == CLIENT_SPEAKS and load.request > 0 and a.heard < load.requests:
        return
    if load.speaks == SERVER_SPEAKS and load.response > 0 and (
            a.said < load.requests or (load.request > 0 and a.heard < load.requests)):
        return
    if a.flags & F_HALF:
        if not a.flags & (F_SHUT | F_SERVER_DONE):
            a.flags |= F_SHUT
            load.half_closed += 1
            closes_flush(sim)
            link_emitted(sim, a.server_host, engine_shutdown(
                sim.hosts[a.server_host].engine, &a.server, 1, sim.now, sim.out, 2 * BATCH))
        return
    server_closes(sim, i)


# --- requests -------------------------------------------------------------------------------------


cdef void answer(Sim* sim, uint32_t i) noexcept nogil:
    """The next response."""
    cdef Attempt* a = &sim.attempts[i]
    cdef uint64_t conn = a.server
    cdef uint32_t nbytes = sim.loads[a.load].response
    a.said += 1
    a.touched = sim.now
    if nbytes > 0 and not a.flags & F_SERVER_DONE:
        closes_flush(sim)
        link_emitted(sim, a.server_host, engine_send(
            sim.hosts[a.server_host].engine, &conn, &nbytes, 1, sim.now, sim.out, 2 * BATCH))


cdef void served(Sim* sim, uint32_t i) noexcept nogil:
    """S4.4."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    if a.flags & F_SERVED:
        return
    a.flags |= F_SERVED
    load.served_so_far += 1
    if measured(sim, a):
        histo_add(&load.served_after, sim.now - a.begun)
    if a.tries == 1 and not a.flags & F_LATE:
        tally_of(sim, a).first_try += 1


cdef void reads(Sim* sim, uint32_t i) noexcept nogil:
    """Text has come from the client, or is there when the connection is accepted."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load
    cdef const uint8_t* block
    cdef uint32_t nbytes, requests
    if a.flags & (F_STRANGER | F_SERVER_DONE) or not a.flags & F_ACCEPTED:
        return
    load = &sim.loads[a.load]
    if load.request == 0:
        block = block_of(&sim.hosts[a.server_host], a.server)
        if load.again >= 0 and not a.flags & F_OLD and block[sim.at_state] < CLOSE_WAIT and block_lives(
                block, sim, a.server) and block_u4(block, sim.at_rcv_nxt) != a.server_start:
            a.flags |= F_OLD                          # the client has said nothing
            load.old_taken += 1
        return
    block = block_of(&sim.hosts[a.server_host], a.server)
    if not block_lives(block, sim, a.server):
        return
    nbytes = block_u4(block, sim.at_rcv_nxt) - a.server_start
    if block[sim.at_state] >= CLOSE_WAIT:
        nbytes -= 1                                   # the FIN
    requests = nbytes // load.request
    if requests <= a.heard:
        return
    a.touched = sim.now
    a.heard = requests
    served(sim, i)
    while a.said < load.requests and a.said < a.heard + (1 if load.speaks == SERVER_SPEAKS else 0):
        answer(sim, i)
    server_may_close(sim, i)


# --- the accept queue -----------------------------------------------------------------------------


cdef int64_t stalled_until(const Sim* sim, uint32_t acceptor) noexcept nogil:
    """When the stall of this instant ends, -1 if there is none (S4.3)."""
    cdef int64_t into, until = -1
    if sim.stall_every > 0:
        into = sim.now % sim.stall_every
        if sim.now >= sim.stall_every and into < sim.stall:
            until = sim.now - into + sim.stall
    if sim.acceptors[acceptor].stalled_until > sim.now and sim.acceptors[acceptor].stalled_until > until:
        until = sim.acceptors[acceptor].stalled_until
    return until


cdef void accepted(Sim* sim, uint32_t i) noexcept nogil:
    """The server's application has a connection."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load
    a.flags |= F_ACCEPTED
    a.touched = sim.now
    if measured(sim, a):
        histo_add(&sim.accept_wait, sim.now - a.established)
    if a.flags & F_STRANGER:
        return
    load = &sim.loads[a.load]
    if load.speaks != CLIENT_SPEAKS or load.request == 0:
        served(sim, i)
    if load.speaks == SERVER_SPEAKS and load.response > 0:
        answer(sim, i)
    if load.rests:
        attempt_rest(sim, i)
        return
    reads(sim, i)
    server_may_close(sim, i)


cdef void take_one(Sim* sim, uint32_t number) noexcept nogil:
    """accept(2), and a look at what it gave."""
    cdef Acceptor* acceptor = &sim.acceptors[number]
    cdef Host* host = &sim.hosts[acceptor.host]
    cdef uint64_t conn
    cdef uint32_t i
    cdef uint8_t state
    if engine_accept(host.engine, acceptor.listener, &conn, 1) != 1:
        sim.failed = ENGINE_FAILED
        return
    acceptor.queued -= 1
    fill_drop(&acceptor.accepting, 1, sim.now)
    total_add(&sim.accepting, -1, sim.now)
    i = server_attempt(sim, acceptor.host, conn)
    state = block_of(host, conn)[sim.at_state]
    if i == NOBODY:
        close_conn(sim, acceptor.host, conn)
    elif state == CLOSED:                             # S4.5: it died in the queue
        server_closes(sim, i)
    else:
        accepted(sim, i)
        if state == CLOSE_WAIT and not sim.attempts[i].flags & F_SERVER_DONE:
            hears_fin(sim, i)


cdef void take(Sim* sim, uint32_t number) noexcept nogil:
    """Workers without work take what is in the queue (S4.2)."""
    cdef Acceptor* acceptor = &sim.acceptors[number]
    cdef int64_t until = stalled_until(sim, number), time
    if until >= 0:
        if not acceptor.waits and acceptor.queued > 0:
            acceptor.waits = True
            ask(sim, until, T_STALL_ENDS, number, 0, 0, -1)
        return
    while acceptor.queued > 0 and acceptor.idle > 0 and not sim.failed:
        take_one(sim, number)
        time = draw_time(&sim.accept_time, word(acceptor.key, acceptor.taken), acceptor.taken)
        acceptor.taken += 1
        if time > 0:
            acceptor.idle -= 1
            ask(sim, sim.now + time, T_WORKER, number, 0, 0, -1)


cdef void server_worker(Sim* sim, uint32_t acceptor) noexcept nogil:
    """A worker has done with its connection."""
    sim.acceptors[acceptor].idle += 1
    take(sim, acceptor)


cdef void server_stall_ends(Sim* sim, uint32_t acceptor) noexcept nogil:
    """The application goes on."""
    sim.acceptors[acceptor].waits = False
    take(sim, acceptor)


# --- what it hears --------------------------------------------------------------------------------


cdef inline uint64_t server_slot(const Sim* sim, uint32_t i, uint32_t host) noexcept nogil:
    """The slot of the attempt's connection on this host of the server; more than any slot if it has none."""
    cdef const Attempt* a = &sim.attempts[i]
    return slot_of(a.server) if a.server != 0 and a.server_host == host else <uint64_t>1 << 32


cdef uint32_t whose(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    """The attempt behind a connection that is now established, or a new stranger. NOBODY without memory."""
    cdef const uint8_t* block = block_of(&sim.hosts[host], conn)
    cdef uint32_t i = peer_of(sim, block)
    cdef uint32_t* place
    if i == NOBODY:
        i = attempt_new(sim)
        if i == NOBODY:
            return i
        sim.attempts[i].flags = F_STRANGER | F_CLIENT_DONE
        sim.attempts[i].begun = sim.now
    else:
        sim.found = i + 1
        sim.attempts[i].server_start = block_u4(block_of(
            &sim.hosts[sim.attempts[i].client_host], sim.attempts[i].client), sim.at_iss) + 1
    sim.attempts[i].server = conn
    sim.attempts[i].server_host = host
    sim.attempts[i].flags &= ~(F_SERVER_DONE | F_ACCEPTED)
    sim.attempts[i].heard = 0
    sim.attempts[i].said = 0
    place = &sim.hosts[host].attempt_of[slot_of(conn)]         # no half-open entry any more, and not at rest
    if place[0] != 0 and place[0] != i + 1 and server_slot(sim, place[0] - 1, host) == slot_of(conn):
        sim.attempts[place[0] - 1].flags |= F_SERVER_DONE      # it is gone, and nothing was heard of it
        attempt_over(sim, place[0] - 1)
    place[0] = i + 1
    return i


cdef void established(Sim* sim, uint32_t host, const Event* event) noexcept nogil:
    """A connection has come into the accept queue."""
    cdef uint32_t i, number
    cdef Attempt* a
    if sim.closes_at_once and not block_lives(block_of(&sim.hosts[host], event.conn), sim, event.conn):
        return                                        # S4.6: nobody held it
    i = whose(sim, host, event.conn)
    if i == NOBODY:
        return
    a = &sim.attempts[i]
    a.established = sim.now
    if sim.now - a.begun >= sim.first_rto:
        a.flags |= F_LATE
    if sim.at_once:
        if not sim.closes_at_once and not block_lives(
                block_of(&sim.hosts[host], event.conn), sim, event.conn):
            server_closes(sim, i)                     # S4.5: it died before it was heard of
        else:
            accepted(sim, i)
        return
    number = sim.hosts[host].listener_of[event.listener]
    sim.acceptors[number].queued += 1
    take(sim, number)


cdef void server_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil:
    """An event of the server's engine."""
    cdef uint32_t i
    cdef Attempt* a
    if sim.watch != NULL and (event.kind <= EV_ESTABLISHED or event.kind == EV_LOST):
        entry_hears(sim, host, event)
    if event.kind == EV_ESTABLISHED:
        if event.listener != 0:
            established(sim, host, event)
        return
    if event.kind == EV_OPENED:
        return
    i = server_attempt(sim, host, event.conn)
    if i == NOBODY:
        return
    a = &sim.attempts[i]
    if event.kind == EV_READABLE:
        reads(sim, i)
    elif event.kind == EV_EOF:
        reads(sim, i)
        if a.flags & F_SERVER_DONE:
            return
        if sim.closes_at_once:                        # the engine has answered it
            a.flags |= F_SERVER_DONE
            attempt_over(sim, i)
        elif a.flags & F_ACCEPTED:
            hears_fin(sim, i)
    elif event.kind == EV_LOST and not a.flags & F_SERVER_DONE:
        if sim.closes_at_once:                        # nobody holds it
            a.flags |= F_SERVER_DONE
            attempt_over(sim, i)
        elif a.flags & F_ACCEPTED:
            server_closes(sim, i)
