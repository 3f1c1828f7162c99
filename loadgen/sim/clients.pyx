"""The clients' applications: connect, ask, wait, close, try again (S3.1 to S3.16).

Each function is one thing that an application does or hears. What the engine then emits goes to the link.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint64_t

from tcpcore cimport (
    CLOSE_WAIT, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_READABLE, EV_REFUSED, engine_abort, engine_connect,
    engine_send, engine_shutdown,
)
from loadgen.sim.arrivals cimport load_next
from loadgen.sim.attempts cimport (
    ask, ask_close, attempt_arrives, attempt_begin, attempt_bind, attempt_let_go, attempt_meant, block_lives,
    block_of, block_u2, block_u4, client_attempt, collect, complete, connect_row, hold_of, measured, note,
    tally_of, try_time,
)
from loadgen.sim.fill cimport total_add
from loadgen.sim.histogram cimport histo_add
from loadgen.sim.link cimport close_later, closes_flush, link_emitted
from loadgen.sim.peers cimport connected_next
from loadgen.sim.server cimport server_answers_fin, server_closes_with_client, server_may_close
from loadgen.sim.world cimport (
    Attempt, BATCH, CLIENT_SPEAKS, ENGINE_FAILED, F_BOTH_CLOSE, F_CLIENT_DONE, F_CLIENT_RESETS, F_CONNECTED,
    F_DUE, F_GAVE_UP, F_HALF, F_REFUSED, F_RESET, F_SERVED, F_SERVER_CLOSES, F_SHUT, Host, Load, NOBODY,
    N_CONNECTED, N_READ, SERVER_SPEAKS, Sim, T_ANSWER_FIN, T_ARRIVAL, T_CLOSE, T_CLOSE_SLOT, T_IDLE,
    T_PATIENCE, T_RECONNECT, T_REQUEST, T_TRY_ENDS,
)

cdef enum:
    CAUSE_CONNECT_REFUSED = 12    # tcpcore.Cause, whose numbers are public
    CAUSE_RESET_BY_PEER = 15

cdef int64_t YEAR = 365 * 86400 * <int64_t>1000000000

# --- what the engine is asked to do ---------------------------------------------------------------

cdef void client_closes(Sim* sim, uint32_t i) noexcept nogil:
    """close() by the client, or abort() where a reset was drawn."""
    cdef Attempt* a = &sim.attempts[i]
    cdef uint64_t conn = a.client
    if a.flags & F_CLIENT_DONE:
        return
    if conn != 0:
        if a.flags & F_CLIENT_RESETS and a.flags & F_DUE:
            closes_flush(sim)
            link_emitted(sim, a.client_host, engine_abort(
                sim.hosts[a.client_host].engine, &conn, 1, sim.now, sim.out, 2 * BATCH))
            collect(sim, a.client_host)
        else:
            close_later(sim, a.client_host, conn)
    attempt_let_go(sim, i)


cdef void client_shuts(Sim* sim, uint32_t i) noexcept nogil:
    """shutdown() by the client, which goes on reading."""
    cdef Attempt* a = &sim.attempts[i]
    cdef uint64_t conn = a.client
    a.flags |= F_SHUT
    sim.loads[a.load].half_closed += 1
    if conn != 0:
        closes_flush(sim)
        link_emitted(sim, a.client_host, engine_shutdown(
            sim.hosts[a.client_host].engine, &conn, 1, sim.now, sim.out, 2 * BATCH))


cdef void client_answers_fin(Sim* sim, uint32_t i, uint64_t conn) noexcept nogil:
    """The client sees the end of the stream (S3.12, S3.17, S3.18)."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    cdef uint32_t nbytes = load.half_bytes
    if a.flags & F_SHUT and not a.flags & F_SERVER_CLOSES:
        load.half_read += block_u4(block_of(&sim.hosts[a.client_host], conn), sim.at_rcv_nxt) \
            - a.client_start - 1
    else:
        if a.flags & F_HALF and a.flags & F_SERVER_CLOSES and nbytes > 0:
            closes_flush(sim)
            load.half_queued += nbytes
            link_emitted(sim, a.client_host, engine_send(
                sim.hosts[a.client_host].engine, &conn, &nbytes, 1, sim.now, sim.out, 2 * BATCH))
        if load.close_delay > 0:
            ask(sim, sim.now + load.close_delay, T_ANSWER_FIN, i, a.stamp, 0, load.delay_lane)
            return
    close_later(sim, a.client_host, conn)
    attempt_let_go(sim, i)


cdef void client_sends(Sim* sim, uint32_t i, uint32_t nbytes) noexcept nogil:
    """The next request."""
    cdef Attempt* a = &sim.attempts[i]
    cdef uint64_t conn = a.client
    a.sent += 1
    a.touched = sim.now
    if conn != 0 and nbytes > 0:
        closes_flush(sim)
        link_emitted(sim, a.client_host, engine_send(
            sim.hosts[a.client_host].engine, &conn, &nbytes, 1, sim.now, sim.out, 2 * BATCH))


# --- opening --------------------------------------------------------------------------------------

cdef void failed_try(Sim* sim, uint32_t i, uint16_t why, uint16_t cause) noexcept nogil:
    """A try came to nothing: the next follows when its time is over (S3.14), or this was the last."""
    cdef Attempt* a = &sim.attempts[i]
    a.flags |= why
    a.cause = cause
    if a.tries >= sim.loads[a.load].tries:
        attempt_let_go(sim, i)


cdef void refused(Sim* sim, uint32_t i, uint16_t cause) noexcept nogil:
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    if load.first_refusal < 0:
        load.first_refusal = sim.now
    a.client = 0
    failed_try(sim, i, F_REFUSED, cause)


cdef void connects_flush(Sim* sim, uint32_t host, Py_ssize_t n) noexcept nogil:
    """connect() for the n attempts of sim.who, all on one host."""
    cdef Host* h = &sim.hosts[host]
    cdef Py_ssize_t i, k, first = h.heard_n, without = 0
    cdef Load* load
    cdef Attempt* a
    if n == 0:
        return
    closes_flush(sim)
    for i in range(n):
        connect_row(sim, &sim.attempts[sim.who[i]], &sim.rows[i])
    k = engine_connect(h.engine, sim.rows, n, sim.now, sim.conns, sim.out, 2 * BATCH)
    if sim.loads[sim.attempts[sim.who[0]].load].syn_data > 0:      # all are of one load
        for i in range(k):
            sim.out[i].payload_len = sim.loads[sim.attempts[sim.who[0]].load].syn_data
    link_emitted(sim, host, k)
    if sim.failed:
        return
    for i in range(n):
        a = &sim.attempts[sim.who[i]]
        load = &sim.loads[a.load]
        a.tries += 1
        tally_of(sim, a).tried += 1
        a.client_host = host
        if sim.conns[i] != 0:
            attempt_bind(sim, sim.who[i], host, sim.conns[i])
            if load.ports != NULL and a.number < load.count:
                load.ports[a.number] = block_u2(block_of(h, sim.conns[i]), sim.at_lport)
        else:
            without += 1
        if load.patience > 0 and a.tries == 1:
            ask(sim, sim.now + load.patience, T_PATIENCE, sim.who[i], a.stamp, 0, -1)
        if load.tries > 0:
            ask(sim, sim.now + try_time(load, a), T_TRY_ENDS, sim.who[i], a.stamp, a.tries, -1)
    collect(sim, host)
    total_add(&sim.ports, n - without, sim.now)
    if without == 0:
        return
    k = first
    for i in range(n):            # one `refused` for each connect without a handle, in order
        if sim.conns[i] == 0:
            while k < <Py_ssize_t>h.heard_n and h.heard[k].kind != EV_REFUSED:
                k += 1
            if k == <Py_ssize_t>h.heard_n:
                sim.failed = ENGINE_FAILED
                return
            refused(sim, sim.who[i], h.heard[k].cause)
            k += 1
    for k in range(first, <Py_ssize_t>h.heard_n):     # what else there may be is heard in its turn
        if h.heard[k].kind != EV_REFUSED:
            h.heard[first] = h.heard[k]
            first += 1
    h.heard_n = first


cdef void clients_arrive(Sim* sim, uint32_t number) noexcept nogil:
    """All connections of a load that begin at this instant (S3.2)."""
    cdef Load* load = &sim.loads[number]
    cdef Py_ssize_t n = 0
    cdef uint32_t i, host = 0
    while load.due <= sim.now and not sim.failed:
        i = attempt_arrives(sim, number)
        if i == NOBODY:
            return
        if n > 0 and (n == sim.batch or sim.attempts[i].client_host != host):
            connects_flush(sim, host, n)
            n = 0
        host = sim.attempts[i].client_host
        sim.who[n] = i
        n += 1
        load_next(load)
    connects_flush(sim, host, n)
    if load.due < INT64_MAX:
        ask(sim, load.due, T_ARRIVAL, number, 0, 0, -1)


cdef void next_user(Sim* sim, uint32_t number) noexcept nogil:
    """One connection of a closed loop."""
    cdef Load* load = &sim.loads[number]
    cdef uint32_t i
    if load.begun < load.count and sim.now < load.stop:
        i = attempt_arrives(sim, number)
        if i != NOBODY:
            sim.who[0] = i
            connects_flush(sim, sim.attempts[i].client_host, 1)


cdef void reconnect(Sim* sim, const Item* item) noexcept nogil:
    """A client whose connection a reset-all has reset begins another: same host, same destination (S9.4)."""
    cdef Load* load = &sim.loads[item.who]
    cdef uint32_t i
    cdef Attempt* a
    if sim.now >= load.stop:
        return
    i = attempt_begin(sim, item.who, (<uint64_t>1 << 40) + load.reconnects)     # apart from those of arrivals
    if i == NOBODY:
        return
    load.reconnects += 1
    a = &sim.attempts[i]
    a.addr, a.destination = item.stamp, <uint16_t>item.extra
    a.client_host = sim.servers + (a.addr - sim.first_addr) // sim.addrs_per_host
    sim.who[0] = i
    connects_flush(sim, a.client_host, 1)


# --- what it hears --------------------------------------------------------------------------------

cdef void connected(Sim* sim, uint32_t i, uint64_t conn) noexcept nogil:
    """connect() has returned (S3.6): the first request, and when the connection will be over."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    cdef int64_t over
    a.flags = a.flags & ~<uint32_t>(F_REFUSED | F_RESET) | F_CONNECTED
    a.connected = sim.now
    connected_next(sim, i)
    tally_of(sim, a).connected += 1
    if measured(sim, a):
        histo_add(&load.connect, sim.now - a.begun)
    if load.response > 0 or load.half_close > 0.0 or load.played:
        a.client_start = block_u4(block_of(&sim.hosts[a.client_host], conn), sim.at_rcv_nxt)
    if load.close_at >= 0:
        over = load.close_at + <int64_t>(load.closes * load.close_gap + 0.5)
        load.closes += 1
    else:
        over = sim.now + hold_of(load, a.number)
    if load.close_at < INT64_MAX and over - sim.now < YEAR:       # later than any run
        ask_close(sim, i, over)
    if load.idle > 0:
        a.touched = sim.now
        ask(sim, sim.now + load.idle, T_IDLE, i, a.stamp, 0, -1)
    if load.played:
        note(sim, a, N_CONNECTED, 0)
    elif load.speaks == CLIENT_SPEAKS and load.request > 0 and load.requests > 0:
        client_sends(sim, i, load.request)
        if load.response == 0:
            ask_request(sim, i)


cdef void ask_request(Sim* sim, uint32_t i) noexcept nogil:
    """The next request is due at its share of the holding time (S3.9)."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    if a.sent < load.requests and not load.played:
        ask(sim, a.connected + <int64_t>(<double>hold_of(load, a.number) * a.sent / load.requests),
            T_REQUEST, i, a.stamp, 0, -1)


cdef void may_close(Sim* sim, uint32_t i) noexcept nogil:
    """First close (S3.10, S3.11), if its time has come and all has been read."""
    cdef Attempt* a = &sim.attempts[i]
    if not a.flags & F_DUE or a.flags & (F_CLIENT_DONE | F_SHUT):
        return
    if a.flags & F_SERVER_CLOSES:
        closes_flush(sim)                             # what it sends comes after them
        server_may_close(sim, i)
    elif complete(&sim.loads[a.load], a):
        if a.flags & F_HALF and a.flags & F_CONNECTED:
            client_shuts(sim, i)
            return
        if a.flags & F_BOTH_CLOSE:
            closes_flush(sim)
            server_closes_with_client(sim, i)
        client_closes(sim, i)


cdef void reads(Sim* sim, uint32_t i) noexcept nogil:
    """Text has come from the server."""
    cdef Attempt* a = &sim.attempts[i]
    cdef Load* load = &sim.loads[a.load]
    cdef const uint8_t* block = block_of(&sim.hosts[a.client_host], a.client)
    cdef uint32_t nbytes = block_u4(block, sim.at_rcv_nxt) - a.client_start, responses
    if load.response == 0 or a.flags & F_CLIENT_DONE or not block_lives(block, sim, a.client):
        return
    if block[sim.at_state] >= CLOSE_WAIT:             # and so every state in which a FIN has been taken
        nbytes -= 1
    responses = nbytes // load.response
    a.touched = sim.now
    if load.played:
        note(sim, a, N_READ, nbytes)
    if responses <= a.answered:
        return
    tally_of(sim, a).requests_done += responses - a.answered
    a.answered = responses
    if load.request > 0:
        if load.speaks == SERVER_SPEAKS:
            while a.sent < a.answered and a.sent < load.requests:
                client_sends(sim, i, load.request)
        elif a.answered >= a.sent:
            ask_request(sim, i)
    may_close(sim, i)


cdef void client_hears(Sim* sim, uint32_t host, const Event* event) noexcept nogil:
    """An event of a client's engine."""
    cdef uint32_t i = client_attempt(sim, host, event.conn)
    cdef Attempt* a
    cdef bint by_reset
    if i == NOBODY:
        return
    a = &sim.attempts[i]
    if event.kind == EV_ESTABLISHED:
        if not a.flags & F_CLIENT_DONE:
            connected(sim, i, event.conn)
    elif event.kind == EV_READABLE:
        reads(sim, i)
    elif event.kind == EV_EOF:
        reads(sim, i)
        if not a.flags & F_CLIENT_DONE:
            client_answers_fin(sim, i, event.conn)
    elif event.kind == EV_LOST and not a.flags & F_CLIENT_DONE:
        close_later(sim, host, event.conn)            # a dead one is held until its application closes it
        by_reset = event.cause == CAUSE_CONNECT_REFUSED or event.cause == CAUSE_RESET_BY_PEER
        if a.flags & F_CONNECTED:
            a.flags |= F_RESET if by_reset else F_GAVE_UP
            attempt_let_go(sim, i)
        else:
            a.client = 0
            failed_try(sim, i, F_RESET if by_reset else F_GAVE_UP, 0)


# --- what it has planned --------------------------------------------------------------------------

cdef void try_ends(Sim* sim, uint32_t i) noexcept nogil:
    """The time of a try is over (S3.13)."""
    cdef Attempt* a = &sim.attempts[i]
    if a.tries >= sim.loads[a.load].tries:
        if not a.flags & (F_REFUSED | F_RESET):
            a.flags |= F_GAVE_UP
        client_closes(sim, i)
        return
    if a.client != 0:
        close_later(sim, a.client_host, a.client)
        a.client = 0
    a.flags &= ~(F_REFUSED | F_RESET | F_GAVE_UP)
    sim.who[0] = i
    connects_flush(sim, a.client_host, 1)


cdef void client_task(Sim* sim, const Item* item) noexcept nogil:
    """A task of the queue that is about an attempt, or an arrival."""
    cdef uint32_t i = item.who
    cdef Attempt* a
    if item.what == T_ARRIVAL:
        if item.extra:
            next_user(sim, i)
        else:
            clients_arrive(sim, i)
        return
    if item.what == T_RECONNECT:
        reconnect(sim, item)
        return
    i = attempt_meant(sim, item)
    if i == NOBODY:
        return
    a = &sim.attempts[i]
    if item.what == T_CLOSE or item.what == T_CLOSE_SLOT:
        a.flags |= F_DUE
        may_close(sim, i)
    elif item.what == T_ANSWER_FIN and item.extra:
        server_answers_fin(sim, i)
    elif a.flags & F_CLIENT_DONE:
        return
    elif item.what == T_ANSWER_FIN:
        client_closes(sim, i)
    elif item.what == T_REQUEST:
        client_sends(sim, i, sim.loads[a.load].request)
        if sim.loads[a.load].response == 0:
            ask_request(sim, i)
            may_close(sim, i)
    elif item.what == T_TRY_ENDS:
        if item.extra == a.tries and not a.flags & F_CONNECTED:
            try_ends(sim, i)
    elif item.what == T_PATIENCE:
        if not a.flags & F_SERVED:
            a.flags |= F_GAVE_UP
            client_closes(sim, i)
    elif item.what == T_IDLE:
        if sim.now - a.touched >= sim.loads[a.load].idle:
            client_closes(sim, i)
        else:
            ask(sim, a.touched + sim.loads[a.load].idle, T_IDLE, i, a.stamp, 0, -1)
