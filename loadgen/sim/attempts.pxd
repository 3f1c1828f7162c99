# The attempts of a run: taken, found by the handle of either end, counted and given back.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from tcpcore cimport CLOSED, ConnectRow
from loadgen.sim.draw cimport DRAWS_OF_CONNECTION, TRIES_OF_CONNECTION, draw_time, unit, word
from loadgen.sim.queue cimport Item, queue_add
from loadgen.sim.world cimport (
    CLIENT_SPEAKS, HALF, NO_MEMORY, NOBODY, RESTS, SERVER_SPEAKS, T_CLOSE, T_CLOSE_SLOT, Attempt, Host, Load,
    NoteKind, Sim, Tally, Task,
)

cdef uint32_t attempt_new(Sim* sim) noexcept nogil
cdef uint32_t attempt_begin(Sim* sim, uint32_t number, uint64_t n) noexcept nogil
cdef uint32_t attempt_arrives(Sim* sim, uint32_t number) noexcept nogil
cdef void note(Sim* sim, const Attempt* a, NoteKind kind, uint64_t what) noexcept nogil
cdef void attempt_over(Sim* sim, uint32_t i) noexcept nogil
cdef void attempt_let_go(Sim* sim, uint32_t i) noexcept nogil
cdef void attempt_settle(Sim* sim, uint32_t i) noexcept nogil
cdef void collect(Sim* sim, uint32_t host) noexcept nogil
cdef void attempt_rest(Sim* sim, uint32_t i) noexcept nogil
cdef uint32_t attempt_roused(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil
cdef void attempt_bind(Sim* sim, uint32_t i, uint32_t host, uint64_t conn) noexcept nogil


cdef inline uint32_t slot_of(uint64_t conn) noexcept nogil:
    return <uint32_t>conn


cdef inline uint32_t client_host(const Sim* sim, uint32_t addr) noexcept nogil:
    """The host with this address, NOBODY if no client has it."""
    cdef uint32_t i = addr - sim.first_addr
    return sim.servers + i // sim.addrs_per_host if i < sim.addrs else <uint32_t>NOBODY


cdef inline uint32_t client_attempt(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    """The attempt whose current try has this handle on a client host, NOBODY if there is none."""
    cdef uint32_t i = sim.hosts[host].attempt_of[slot_of(conn)]
    if i & RESTS:
        i = attempt_roused(sim, host, conn)
    if i == 0 or sim.attempts[i - 1].client != conn or sim.attempts[i - 1].client_host != host:
        return <uint32_t>NOBODY
    return i - 1


cdef inline uint32_t server_attempt(Sim* sim, uint32_t host, uint64_t conn) noexcept nogil:
    """The attempt that the server's host knows by this handle, NOBODY if there is none."""
    cdef uint32_t i = sim.hosts[host].attempt_of[slot_of(conn)] & ~<uint32_t>HALF
    if i & RESTS:
        i = attempt_roused(sim, host, conn)
    if i == 0 or sim.attempts[i - 1].server != conn or sim.attempts[i - 1].server_host != host:
        return <uint32_t>NOBODY
    return i - 1


cdef inline bint measured(const Sim* sim, const Attempt* a) noexcept nogil:
    """The attempt began after the warm-up."""
    return a.begun >= sim.warmup


cdef inline Tally* tally_of(Sim* sim, const Attempt* a) noexcept nogil:
    """Where the attempt is counted."""
    return &sim.loads[a.load].tally[a.begun < sim.warmup]


cdef inline const uint8_t* block_of(const Host* host, uint64_t conn) noexcept nogil:
    """The BLOCK row of a handle."""
    return host.blocks + (<size_t>slot_of(conn) << 6)


cdef inline uint32_t block_u4(const uint8_t* block, uint32_t offset) noexcept nogil:
    return (<const uint32_t*>(block + offset))[0]


cdef inline uint16_t block_u2(const uint8_t* block, uint32_t offset) noexcept nogil:
    return (<const uint16_t*>(block + offset))[0]


cdef inline bint block_lives(const uint8_t* block, const Sim* sim, uint64_t conn) noexcept nogil:
    """The block is that of this connection, which has not ended (S4.6)."""
    return block[sim.at_state] != CLOSED and block_u4(block, sim.at_generation) == conn >> 32


cdef inline void ask(Sim* sim, int64_t at, Task what, uint32_t who, uint32_t stamp, uint32_t extra,
                     int lane) noexcept nogil:
    """Queue a task, not before now."""
    cdef Item item
    item.at = at if at > sim.now else sim.now
    item.what = what
    item.who = who
    item.stamp = stamp
    item.extra = extra
    if not queue_add(&sim.queue, &item, lane):
        sim.failed = NO_MEMORY


cdef inline void ask_close(Sim* sim, uint32_t i, int64_t at) noexcept nogil:
    """Queue the close of a connection; of one that may rest by then by its slot and generation."""
    cdef const Attempt* a = &sim.attempts[i]
    cdef const Load* load = &sim.loads[a.load]
    if load.rests:
        ask(sim, at, T_CLOSE_SLOT, slot_of(a.client), <uint32_t>(a.client >> 32), 0, load.hold_lane)
    else:
        ask(sim, at, T_CLOSE, i, a.stamp, 0, load.hold_lane)


cdef inline uint32_t attempt_meant(Sim* sim, const Item* item) noexcept nogil:
    """The attempt that a task is about, NOBODY if it is void."""
    if item.what == T_CLOSE_SLOT:
        return client_attempt(sim, sim.servers, <uint64_t>item.stamp << 32 | item.who)
    return item.who if sim.attempts[item.who].stamp == item.stamp else <uint32_t>NOBODY


# --- what its load wants of it --------------------------------------------------------------------


cdef inline int64_t hold_of(const Load* load, uint64_t number) noexcept nogil:
    """The holding time of the connection with this number (S3.10)."""
    return draw_time(&load.hold, word(load.draws, number * DRAWS_OF_CONNECTION), number)


cdef inline int64_t try_time(const Load* load, const Attempt* a) noexcept nogil:
    """How long the application waits for the try that it has just begun (S3.13)."""
    cdef double wait = load.backoff
    for _ in range(1, a.tries):
        wait *= load.factor
    wait *= 1.0 - load.jitter * unit(word(load.tries_key, a.number * TRIES_OF_CONNECTION + a.tries))
    return <int64_t>(wait + 0.5)


cdef inline bint complete(const Load* load, const Attempt* a) noexcept nogil:
    """The client has asked for and read all that it wanted."""
    if load.speaks == CLIENT_SPEAKS:
        return (load.request == 0 or a.sent >= load.requests) and (
            load.response == 0 or load.request == 0 or a.answered >= load.requests)
    if load.speaks == SERVER_SPEAKS:
        return load.response == 0 or a.answered >= load.requests
    return True


cdef inline void connect_row(Sim* sim, const Attempt* a, ConnectRow* row) noexcept nogil:
    """The row of connect() for it (S3.4)."""
    memset(row, 0, sizeof(ConnectRow))
    row.src, row.dst, row.dport = a.addr, sim.server_addr + a.destination, sim.port
    # 0, any port, where the first connection had none
    if sim.loads[a.load].again >= 0 and a.number < sim.loads[a.load].count:
        row.sport = sim.loads[sim.loads[a.load].again].ports[a.number]
