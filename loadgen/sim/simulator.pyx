"""`Simulator`: owns a run's memory and hands its figures to Python.

It takes engines that are ready (`build` makes them) and plain numbers, plays until a time, and changes what
scenario events change. All else is in the modules that work on `Sim`.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

import numpy as np

from tcpcore import BLOCK
from tcpcore cimport ConnectRow, Segment, engine_of
from loadgen.sim.arrivals cimport load_left
from loadgen.sim.attempts cimport ask, attempt_over, attempt_settle, collect
from loadgen.sim.draw cimport FOR_ACCEPT, FOR_BURSTS, FOR_ENGINES, FOR_RECONNECT, FOR_SPREAD, stream, word
from loadgen.sim.figures cimport (
    address, areas_of, fullness, histogram, levels_restart, link_figures, load_figures, peaks_of,
    refused_of, watch_figures,
)
from loadgen.sim.fill cimport fill_places
from loadgen.sim.histogram cimport BUCKETS
from loadgen.sim.hosts cimport host_timer, hosts_start
from loadgen.sim.inbox cimport inbox_free, inbox_init
from loadgen.sim.link cimport link_send
from loadgen.sim.loop cimport loop_next, loop_run
from loadgen.sim.making cimport (
    family_of, find_fields, free_made, make_floods, make_link, make_loads, make_watch, zeros,
)
from loadgen.sim.played cimport played_acts, played_begins, played_notes
from loadgen.sim.queue cimport queue_free, queue_init
from loadgen.sim.resets cimport abort_all, all_gone, queue_emptied
from loadgen.sim.world cimport (
    BATCH, CLIENT, F_ACCEPTED, F_CLIENT_DONE, F_SERVER_DONE, HALF, NO_MEMORY, SERVER, SOUND, T_STALL_ENDS,
    Acceptor, Attempt, Host, Load, Sim,
)


def reconnect_key(seed, replicate, number):
    """The key of the draws of event `number` of a replicate, a reset-all."""
    return stream(seed, replicate, FOR_RECONNECT, number)


def words_of_bursts(seed, replicate, first, n):
    """n words of the stream of the honest crowds, from number `first` on."""
    return np.array([word(stream(seed, replicate, FOR_BURSTS, 0), first + i)
                     for i in range(n)], dtype=np.uint64)


def engine_seed(seed, replicate, number):
    """The seed of engine `number` of a replicate."""
    return stream(seed, replicate, FOR_ENGINES, number)


cdef class Simulator:
    """One replicate of a scenario, ready to be played. All times are in ns.

    servers, clients: the Engines. Their listeners have been opened; listeners: (number of the server's
    engine, listener id) of each. `facts`: the numbers of the scenario by name, as `loadgen.sim.build` puts
    them together.
    """

    cdef Sim sim
    cdef list engines
    cdef list kept            # arrays that the structs point into
    cdef readonly object names

    def __cinit__(self):
        memset(&self.sim, 0, sizeof(Sim))

    def __init__(self, servers, clients, listeners, facts):
        cdef Sim* sim = &self.sim
        if self.engines is not None:
            raise RuntimeError("a Simulator is made once")
        self.engines = [*servers, *clients]
        self.kept = []
        sim.batch = min(max(1, facts["batch"]), BATCH)
        sim.warmup = facts["warmup"]
        sim.first_rto = facts["first_rto"]
        sim.first_addr = facts["first_addr"]
        sim.addrs = facts["addrs"]
        sim.addrs_per_host = facts["addrs_per_host"]
        sim.server_addr = facts["server_addr"]
        sim.destinations = facts["destinations"]
        sim.port = facts["port"]
        sim.spread_key = stream(facts["seed"], facts["replicate"], FOR_SPREAD, 0)
        sim.out = <Segment*>zeros(2 * BATCH, sizeof(Segment))
        sim.rows = <ConnectRow*>zeros(BATCH, sizeof(ConnectRow))
        sim.conns = <uint64_t*>zeros(BATCH, sizeof(uint64_t))
        sim.who = <uint32_t*>zeros(BATCH, sizeof(uint32_t))
        sim.closing = <uint64_t*>zeros(BATCH, sizeof(uint64_t))
        sim.accept_wait.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
        find_fields(sim, BLOCK)
        if queue_init(&sim.queue) < 0:
            raise MemoryError("no memory for the queue")
        self.make_hosts(len(servers))
        make_link(sim, facts["link"], facts["seed"], facts["replicate"], self.kept)
        self.make_acceptors(listeners, facts)
        self.forget_peaks()
        make_loads(sim, facts, self.kept)
        make_floods(sim, facts)
        make_watch(sim, facts["watch"], len(self.engines[0].blocks))

    def __dealloc__(self):
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        for i in range(sim.hosts_n):
            inbox_free(&sim.hosts[i].inbox)
            free(sim.hosts[i].attempt_of)
            free(sim.hosts[i].heard)
            free(sim.hosts[i].listener_of)
        free_made(sim)
        queue_free(&sim.queue)
        for memory in (<size_t>sim.hosts, <size_t>sim.heap, <size_t>sim.busy, <size_t>sim.attempts,
                       <size_t>sim.acceptors, <size_t>sim.resets, <size_t>sim.out,
                       <size_t>sim.rows, <size_t>sim.conns, <size_t>sim.who, <size_t>sim.closing,
                       <size_t>sim.accept_wait.counts, <size_t>sim.notes):
            free(<void*><size_t>memory)

    # --- making ----------------------------------------------------------------------------------

    cdef make_hosts(self, uint32_t servers):
        cdef Sim* sim = &self.sim
        cdef uint32_t n = len(self.engines), i
        sim.hosts = <Host*>zeros(n, sizeof(Host))
        sim.heap = <uint32_t*>zeros(n, sizeof(uint32_t))
        sim.busy = <uint32_t*>zeros(n, sizeof(uint32_t))
        sim.servers = servers
        for i in range(n):
            engine = self.engines[i]
            view = engine.blocks.view(np.uint8)
            self.kept.append(view)
            sim.hosts[i].engine = engine_of(engine)
            sim.hosts[i].blocks = <const uint8_t*>address(view)
            sim.hosts[i].end = SERVER if i < servers else CLIENT
            sim.hosts[i].attempt_of = <uint32_t*>zeros(len(view) // 64, sizeof(uint32_t))
            if inbox_init(&sim.hosts[i].inbox) < 0:
                raise MemoryError("no memory for an inbox")
            sim.hosts_n = i + 1
        hosts_start(sim)
        for i in range(n):
            host_timer(sim, i)

    cdef make_acceptors(self, listeners, facts):
        cdef Sim* sim = &self.sim
        cdef Acceptor* acceptor
        cdef uint32_t i = 0
        sim.accept_time = family_of(facts["accept_time"], self.kept)
        sim.workers = facts["workers"]
        sim.stall, sim.stall_every = facts["stall"]
        sim.at_once, sim.closes_at_once = facts["at_once"], facts["closes_at_once"]
        sim.acceptors = <Acceptor*>zeros(len(listeners), sizeof(Acceptor))
        sim.acceptors_n = len(listeners)
        most = max((listener for _, listener in listeners), default=0)
        for i in range(sim.servers):
            sim.hosts[i].listener_of = <uint32_t*>zeros(most + 1, sizeof(uint32_t))
        for i, (host, listener) in enumerate(listeners):
            acceptor = &sim.acceptors[i]
            acceptor.host = host
            acceptor.listener = listener
            acceptor.idle = sim.workers
            acceptor.key = stream(facts["seed"], facts["replicate"], FOR_ACCEPT, i)
            sim.hosts[acceptor.host].listener_of[listener] = i

    # --- playing ---------------------------------------------------------------------------------

    def run(self, until, most=1 << 62):
        """Play all instants up to `until`, at most `most` of them. When the next one is, or None.

        MemoryError without memory, RuntimeError if an engine refused a call: a fault of the simulator.
        """
        cdef int64_t end = until, limit = most, next
        with nogil:
            next = loop_run(&self.sim, end, limit)
        if self.sim.failed == NO_MEMORY:
            raise MemoryError("no memory for the simulation")
        if self.sim.failed != SOUND:
            raise RuntimeError(f"an engine refused a call at {self.sim.now} ns")
        return next if next < INT64_MAX else None

    def at(self, now):
        """Set the clock to a time before which nothing happens any more."""
        if loop_next(&self.sim) < now:
            raise ValueError(f"something happens before {now}")
        if now > self.sim.now:
            self.sim.now = now

    def stop_loads(self):
        """No connection and no spoofed segment begins any more."""
        cdef uint32_t i
        for i in range(self.sim.loads_n):
            self.sim.loads[i].stop = min(self.sim.loads[i].stop, self.sim.now)

    def settle(self):
        """The end: count what has become of the attempts that are still under way."""
        cdef uint32_t i
        cdef Attempt* a
        if self.sim.resting:                          # all of one load, which is served
            self.sim.loads[0].tally[0].served += self.sim.resting
            self.sim.resting = 0
        for i in range(self.sim.attempts_fresh):
            a = &self.sim.attempts[i]
            if a.client or a.server or a.flags != F_CLIENT_DONE | F_SERVER_DONE:
                attempt_settle(&self.sim, i)

    def not_started(self, number):
        """Arrivals of an open loop that were due after the warm-up and not reached; False: expected ones."""
        cdef Load* load = &self.sim.loads[number]
        cdef bint exact = True
        if load.concurrency:
            return 0, True
        n = load_left(load, max(self.sim.now, self.sim.warmup), 1 << 20, &exact)
        return n, exact

    # --- scenario events -------------------------------------------------------------------------

    def stall(self, until, only=None):
        """No accept loop accepts before this time; or not that with this number."""
        cdef uint32_t i
        for i in range(self.sim.acceptors_n):
            if only is not None and only != i:
                continue
            self.sim.acceptors[i].stalled_until = max(until, self.sim.acceptors[i].stalled_until)
            ask(&self.sim, until, T_STALL_ENDS, i, 0, 0, -1)

    def cut(self, until):
        """The link loses everything that is sent before this time."""
        self.sim.link.cut_until = max(until, self.sim.link.cut_until)

    def abort_all(self, key, within=None):
        """The server resets all connections that its application and its queues have (S9.3): their number.

        within: their clients begin others, at most this much later (S9.4), by draws of the stream `key`.
        """
        return abort_all(&self.sim, key, within)

    # --- a load that a function in Python plays (section 11) --------------------------------------

    def begin(self, number, host, destination):
        """The next connection of a load begins on this client host: (its number, its handle)."""
        return played_begins(&self.sim, number, host, destination)

    def act(self, handle, nbytes):
        """The client of a connection sends so many bytes, closes (0) or resets (-1). False: it has ended."""
        return played_acts(&self.sim, handle, nbytes)

    def notes(self):
        """What happened to these connections: (number, kind, time, bytes or why) of each, once."""
        return played_notes(&self.sim)

    def unlistened(self):
        """The listeners were closed, and what waited in their queues was reset (S9.5)."""
        cdef Sim* sim = &self.sim
        cdef uint32_t i, slot
        cdef Attempt* a
        for i in range(sim.servers):                  # entries are lost without an event
            for slot in range(len(self.engines[i].blocks)):
                if sim.hosts[i].attempt_of[slot] & HALF:      # so that no page is touched for nothing
                    sim.hosts[i].attempt_of[slot] &= ~<uint32_t>HALF
        for i in range(sim.acceptors_n):
            queue_emptied(sim, &sim.acceptors[i])
            all_gone(&sim.half_open, &sim.acceptors[i].half_open, sim.now)
        for i in range(sim.attempts_fresh):
            a = &sim.attempts[i]
            if a.server != 0 and not a.flags & (F_SERVER_DONE | F_ACCEPTED):
                a.flags |= F_SERVER_DONE
                attempt_over(sim, i)

    def listens(self, listeners):
        """The listeners are open again: (number of the server's engine, listener id) of each, as before."""
        cdef Host* host
        cdef uint32_t i, most = 1 + max([listener for _, listener in listeners], default=0)
        cdef uint32_t* numbers
        for i in range(self.sim.servers):
            host = &self.sim.hosts[i]
            numbers = <uint32_t*>zeros(most, sizeof(uint32_t))
            free(host.listener_of)
            host.listener_of = numbers
        for i, (_, listener) in enumerate(listeners):
            self.sim.acceptors[i].listener = listener
            self.sim.hosts[self.sim.acceptors[i].host].listener_of[listener] = i

    def sent(self, host, segs):
        """Segments that a call from Python made an engine of the server emit at this time."""
        if len(segs):
            link_send(&self.sim, SERVER, <const Segment*>address(segs), len(segs), self.sim.now, -1)
        host_timer(&self.sim, host)
        collect(&self.sim, host)

    def forget_peaks(self):
        """The most of anything, and for how long it was full, is that from the next ns on."""
        levels_restart(&self.sim)

    # --- figures ---------------------------------------------------------------------------------

    @property
    def now(self):
        """The instant played last."""
        return self.sim.now

    @property
    def segments(self):
        """Segments that engines have taken in."""
        return self.sim.segments

    @property
    def peaks(self):
        """The most at once of ports in use, half-open entries and connections in accept queues (S7.6)."""
        return peaks_of(&self.sim)

    @property
    def areas(self):
        """The integrals of these three over time up to now, in ns, modulo 2^64."""
        return areas_of(&self.sim)

    @property
    def refused(self):
        """(attempted, refused) of all loads so far, the warm-up included."""
        return refused_of(&self.sim)

    def places(self, rooms, syncache):
        """The places of each listener's queues, (half-open, accept), 0: no limit; also when they change."""
        cdef uint32_t i
        self.sim.syncache = syncache
        for i, (half_open, accept) in enumerate(rooms):
            fill_places(&self.sim.acceptors[i].half_open, half_open, self.sim.now)
            fill_places(&self.sim.acceptors[i].accepting, accept, self.sim.now)

    def full(self):
        """Queue -> (when one of the listeners' was full first, None: never; the longest that one was), ns."""
        return fullness(&self.sim)

    @property
    def queued(self):
        """Connections in all accept queues that no worker has taken."""
        return sum([self.sim.acceptors[i].queued for i in range(self.sim.acceptors_n)])

    @property
    def accept_wait(self):
        """Established to accepted, as histogram()."""
        return histogram(&self.sim.accept_wait)

    def load(self, number):
        """The figures of a load by name, without its warm-up; refusals by cause number."""
        return load_figures(&self.sim.loads[number])

    def counts(self, number):
        """(attempted, connected, served so far) of a load, its warm-up included."""
        cdef Load* load = &self.sim.loads[number]
        return (load.tally[0].attempted + load.tally[1].attempted,
                load.tally[0].connected + load.tally[1].connected, load.served_so_far)

    def flood_sent(self, number):
        """Segments of a flood so far."""
        return self.sim.floods[number].sent

    def sources(self):
        """Sources of the first new entries since the last call."""
        cdef uint32_t i, n = self.sim.watch.sources_n
        self.sim.watch.sources_n = 0
        return np.array([self.sim.watch.sources[i] for i in range(n)], dtype=np.uint32)

    def watched(self):
        """(residence of answered and unanswered entries, entries added, answered, evicted by window)."""
        return watch_figures(self.sim.watch)

    def closing(self):
        """(resets that found a connection in LAST-ACK or CLOSING, copies of the clients' segments)."""
        return self.sim.link.stuck, self.sim.link.duplicated_of[CLIENT]

    def link(self):
        """What the link has done: sent, lost, duplicated, reordered, late, backscatter."""
        return link_figures(&self.sim)
