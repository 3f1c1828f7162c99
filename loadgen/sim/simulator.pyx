"""`Simulator`: owns a run's memory and hands its figures to Python.

It takes engines that are ready (`build` makes them) and plain numbers, plays until a time, and changes what
scenario events change. All else is in the modules that work on `Sim`.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

import numpy as np

from tcpcore import BLOCK

from tcpcore cimport ConnectRow, Segment, engine_abort, engine_accept, engine_of
from loadgen.sim.arrivals cimport flood_next, flood_start, load_left, load_next
from loadgen.sim.attempts cimport ask, attempt_over, attempt_settle, collect, slot_of
from loadgen.sim.draw cimport (
    FOR_ACCEPT, FOR_ARRIVALS, FOR_CONNECTIONS, FOR_ENGINES, FOR_FLOOD, FOR_LINK, FOR_RECONNECT, FOR_SPREAD,
    FOR_TRIES, FAMILY_CONST, Family, FamilyKind, stream,
)
from loadgen.sim.fill cimport Fill, fill_drop, fill_places, fill_start, fill_time
from loadgen.sim.histogram cimport BUCKETS, SUB_BITS, Histo
from loadgen.sim.hosts cimport host_timer, hosts_start
from loadgen.sim.inbox cimport inbox_free, inbox_init
from loadgen.sim.link cimport link_emitted, link_send
from loadgen.sim.loop cimport loop_next, loop_run
from loadgen.sim.queue cimport LANES, queue_free, queue_init
from loadgen.sim.world cimport (
    BATCH, CAUSES, CLIENT, F_ACCEPTED, F_CLIENT_DONE, F_SERVER_DONE, KINDS, NO_MEMORY, SERVER, SOUND,
    T_ARRIVAL, T_FLOOD, T_STALL_ENDS, Acceptor, Attempt, Flood, Host, Load, Point, Reset, Sim, Tally,
)

FAMILIES = ("const", "exp", "lognormal", "normal", "uniform", "trace")
SPEAKS = ("client", "server", "nobody")
KIND_NAMES = ("syn", "syn-ack", "third-ack", "data", "ack", "fin", "last-ack", "rst")


def reconnect_key(seed, replicate, number):
    """The key of the draws of event `number` of a replicate, a reset-all."""
    return stream(seed, replicate, FOR_RECONNECT, number)


def engine_seed(seed, replicate, number):
    """The seed of engine `number` of a replicate."""
    return stream(seed, replicate, FOR_ENGINES, number)


cdef void* zeros(size_t n, size_t size) except NULL:
    """calloc(), of at least one item. Pages are the system's zero pages until they are written to."""
    cdef void* memory = calloc(n if n > 0 else 1, size)
    if memory == NULL:
        raise MemoryError(f"no memory for {n} x {size} bytes")
    return memory


cdef void* address(array) except? NULL:
    """Where a contiguous array's data are. A typed memoryview would say it, too, with 75 kB of code."""
    return <void*><size_t>array.__array_interface__["data"][0]


cdef object histogram(const Histo* histo):
    """The buckets in use: (lowest, highest, counts, min, max, sum)."""
    counts = np.empty(BUCKETS, np.int64)
    memcpy(address(counts), histo.counts, BUCKETS * sizeof(uint64_t))
    used = np.flatnonzero(counts)
    shift = np.maximum((used >> SUB_BITS) - 1, 0)
    lowest = np.where(used < 1 << (SUB_BITS + 1), used, (used - (shift << SUB_BITS)) << shift)
    highest = lowest + (np.int64(1) << shift) - 1
    least, most = (histo.least, histo.most) if histo.n else (None, None)
    return lowest.astype(np.int64), highest.astype(np.int64), counts[used], least, most, histo.sum


cdef void restart(Fill* fill, int64_t now) noexcept nogil:
    fill_start(fill, fill.places, now + 1)


cdef object fullness(const Fill* fill, int64_t now):
    return fill.first, fill_time(fill, now)


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
        self.find_fields()
        if queue_init(&sim.queue) < 0:
            raise MemoryError("no memory for the queue")
        self.make_hosts(len(servers))
        self.make_link(facts["link"], facts["seed"], facts["replicate"])
        self.make_acceptors(listeners, facts)
        self.forget_peaks()
        self.make_loads(facts)
        self.make_floods(facts)

    def __dealloc__(self):
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        for i in range(sim.hosts_n):
            inbox_free(&sim.hosts[i].inbox)
            free(sim.hosts[i].attempt_of)
            free(sim.hosts[i].heard)
            free(sim.hosts[i].listener_of)
            free(sim.hosts[i].half_open)
        for i in range(sim.loads_n):
            free(sim.loads[i].shape)
            free(sim.loads[i].connect.counts)
            free(sim.loads[i].served_after.counts)
        for i in range(sim.floods_n):
            free(sim.floods[i].nets)
            free(sim.floods[i].weights)
        queue_free(&sim.queue)
        for memory in (<size_t>sim.hosts, <size_t>sim.heap, <size_t>sim.busy, <size_t>sim.attempts,
                       <size_t>sim.free_attempts, <size_t>sim.loads, <size_t>sim.acceptors,
                       <size_t>sim.floods, <size_t>sim.resets,
                       <size_t>sim.out, <size_t>sim.rows, <size_t>sim.conns,
                       <size_t>sim.who, <size_t>sim.closing, <size_t>sim.accept_wait.counts):
            free(<void*><size_t>memory)

    # --- making ----------------------------------------------------------------------------------

    cdef find_fields(self):
        cdef Sim* sim = &self.sim
        fields = BLOCK.fields
        if BLOCK.itemsize != 64:
            raise RuntimeError("a BLOCK has 64 bytes")
        sim.at_raddr, sim.at_laddr = fields["raddr"][1], fields["laddr"][1]
        sim.at_rport, sim.at_lport = fields["rport"][1], fields["lport"][1]
        sim.at_iss, sim.at_rcv_nxt = fields["iss"][1], fields["rcv_nxt"][1]
        sim.at_snd_una, sim.at_snd_nxt = fields["snd_una"][1], fields["snd_nxt"][1]
        sim.at_snd_wnd = fields["snd_wnd"][1]
        sim.at_state, sim.at_generation = fields["state"][1], fields["generation"][1]

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
            if i < servers:
                sim.hosts[i].half_open = <uint8_t*>zeros(len(view) // 64, 1)
            if inbox_init(&sim.hosts[i].inbox) < 0:
                raise MemoryError("no memory for an inbox")
            sim.hosts_n = i + 1
        hosts_start(sim)
        for i in range(n):
            host_timer(sim, i)

    cdef Family family(self, distribution):
        cdef Family family
        family.kind = <FamilyKind><int>FAMILIES.index(distribution.family)
        family.a, family.b = distribution.a, distribution.b
        family.samples = NULL
        family.n = 0
        if distribution.family == "trace":
            array = np.array(distribution.samples, dtype=np.int64)
            self.kept.append(array)
            family.samples = <const int64_t*>address(array)
            family.n = len(array)
        return family

    cdef make_link(self, link, seed, replicate):
        cdef Sim* sim = &self.sim
        cdef int end, kind
        sim.link.rtt = self.family(link["rtt"])
        sim.link.half = <int64_t>(link["rtt"].mean + 0.5) // 2
        sim.link.longest = sim.link.half
        sim.link.by_kind = link["by_kind"]
        sim.link.windows[SERVER], sim.link.windows[CLIENT] = link["windows"]
        sim.link.any_old_ack[SERVER], sim.link.any_old_ack[CLIENT] = link["any_old_ack"]
        sim.link.constant = link["constant"]
        sim.link.duplicate_after = link["duplicate_after"]
        sim.link.burst_enter, sim.link.burst_leave, sim.link.burst_loss = link["burst"]
        sim.link.reorder, sim.link.reorder_after = link["reorder"]
        sim.link.jitter = link["jitter"]
        sim.link.late_share, sim.link.late_after = link["late"]
        for kind in range(KINDS):
            sim.link.loss[kind] = link["loss"][kind]
            sim.link.duplicate[kind] = link["duplicate"][kind]
        for end in range(2):
            sim.link.keys[end] = stream(seed, replicate, FOR_LINK, end)

    cdef make_acceptors(self, listeners, facts):
        cdef Sim* sim = &self.sim
        cdef Acceptor* acceptor
        cdef uint32_t i = 0
        sim.accept_time = self.family(facts["accept_time"])
        sim.workers = facts["workers"]
        sim.stall, sim.stall_every = facts["stall"]
        sim.at_once = facts["at_once"]
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

    cdef make_loads(self, facts):
        cdef Sim* sim = &self.sim
        cdef Load* load
        cdef uint32_t i, k
        sim.loads = <Load*>zeros(len(facts["loads"]), sizeof(Load))
        for i, one in enumerate(facts["loads"]):
            sim.loads_n = i + 1
            load = &sim.loads[i]
            load.connect.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
            load.served_after.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
            load.arrivals = stream(facts["seed"], facts["replicate"], FOR_ARRIVALS, i)
            load.draws = stream(facts["seed"], facts["replicate"], FOR_CONNECTIONS, i)
            load.tries_key = stream(facts["seed"], facts["replicate"], FOR_TRIES, i)
            load.poisson = one["poisson"]
            load.points = len(one["shape"])
            load.shape = <Point*>zeros(load.points, sizeof(Point))
            for k, (at, rate, area) in enumerate(one["shape"]):
                load.shape[k].at, load.shape[k].rate, load.shape[k].area = at, rate, area
            self.set_trace(load, one["trace"])
            load.count = one["count"]
            load.concurrency = one["concurrency"]
            load.start, load.stop = one["start"], one["stop"]
            load.hold = self.family(one["hold"])
            load.close_at, load.close_gap = one["close_at"], one["close_gap"]
            load.requests, load.request, load.response = one["requests"], one["request"], one["response"]
            load.speaks = SPEAKS.index(one["speaks"])
            load.idle, load.patience = one["idle"], one["patience"]
            load.tries, load.backoff, load.factor, load.jitter = one["tries"]
            load.by_server, load.by_reset = one["by_server"], one["by_reset"]
            load.hold_lane = -1
            if load.close_at >= 0 or load.hold.kind == FAMILY_CONST:
                if sim.queue.lanes_used < LANES:
                    load.hold_lane = sim.queue.lanes_used
                    sim.queue.lanes_used += 1
            load.first_refusal = -1
            if load.concurrency:
                for _ in range(load.concurrency):
                    ask(sim, load.start, T_ARRIVAL, i, 0, 1, -1)
                load.due = INT64_MAX
            else:
                load_next(load)
                if load.due < INT64_MAX:
                    ask(sim, load.due, T_ARRIVAL, i, 0, 0, -1)

    cdef set_trace(self, Load* load, times):
        if len(times):
            array = np.array(times, dtype=np.int64)
            self.kept.append(array)
            load.trace = <const int64_t*>address(array)
            load.trace_n = len(array)

    cdef make_floods(self, facts):
        cdef Sim* sim = &self.sim
        cdef Flood* flood
        cdef uint32_t i, k
        sim.floods = <Flood*>zeros(len(facts["floods"]), sizeof(Flood))
        for i, one in enumerate(facts["floods"]):
            sim.floods_n = i + 1
            flood = &sim.floods[i]
            flood.key = stream(facts["seed"], facts["replicate"], FOR_FLOOD, i)
            flood.flags = one["flags"]
            flood.poisson = one["poisson"]
            flood.gap = one["gap"]
            flood.start, flood.stop = one["start"], one["stop"]
            flood.reflect = one["reflect"]
            flood.nets_n = len(one["nets"])
            flood.nets = <uint32_t*>zeros(2 * flood.nets_n, sizeof(uint32_t))
            flood.weights = <double*>zeros(flood.nets_n, sizeof(double))
            for k, (first, extra, weight) in enumerate(one["nets"]):
                flood.nets[2 * k], flood.nets[2 * k + 1], flood.weights[k] = first, extra, weight
            flood_start(flood)
            if flood.gap > 0 and flood_next(flood) < INT64_MAX:
                ask(sim, flood_next(flood), T_FLOOD, i, 0, 0, -1)

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
        for i in range(self.sim.attempts_allocated):
            a = &self.sim.attempts[i]
            if a.client or a.server or a.flags != F_CLIENT_DONE | F_SERVER_DONE:
                attempt_settle(&self.sim, i)

    def not_started(self, number):
        """Arrivals of an open loop that were due after the warm-up and not reached, and whether that is exact.

        Where they are Poisson and more than a million, it is their expected number.
        """
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

    cdef emptied_queue(self, Acceptor* acceptor):
        """Nothing waits in an accept queue any more."""
        acceptor.queued = 0
        fill_drop(&self.sim.accepting, acceptor.accepting.now, self.sim.now)
        fill_drop(&acceptor.accepting, acceptor.accepting.now, self.sim.now)

    def abort_all(self, key, within=None):
        """The server resets all connections that its application and its accept queues have (S9.3).

        Returns their number.

        within: their clients begin others, at most this much later (S9.4), by draws of the stream `key`.
        """
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        cdef Py_ssize_t n
        cdef Attempt* a
        cdef Acceptor* acceptor
        cdef uint16_t reset = 0 if within is None else self.reset(key, within)
        for i in range(sim.acceptors_n):              # abort() is for what has been accepted
            acceptor = &sim.acceptors[i]
            while acceptor.queued > 0:
                n = engine_accept(sim.hosts[acceptor.host].engine, acceptor.listener, sim.conns, BATCH)
                if n <= 0:
                    raise RuntimeError(f"an accept queue of {acceptor.queued} gave {n}")
                acceptor.queued -= <uint32_t>n
            self.emptied_queue(acceptor)
        theirs = []
        for i in range(sim.attempts_allocated):
            a = &sim.attempts[i]
            if a.server != 0 and not a.flags & F_SERVER_DONE:
                theirs.append((a.server_host, slot_of(a.server), i))
        for _, _, i in sorted(theirs):                # not by places, which depend on what else has begun
            a = &sim.attempts[i]
            if reset:
                a.reset_by = reset
            link_emitted(sim, a.server_host, engine_abort(
                sim.hosts[a.server_host].engine, &a.server, 1, sim.now, sim.out, 2 * BATCH))
            a.flags |= F_SERVER_DONE
            attempt_over(sim, i)
        return len(theirs)

    cdef uint16_t reset(self, key, within) except 0:
        """Note a reset-all after which clients reconnect: its number, from 1."""
        cdef Sim* sim = &self.sim
        cdef Reset* resets
        if sim.resets_n == 0xFFFF:
            raise OverflowError("a run has at most 65,535 reset-all events with reconnect_within")
        resets = <Reset*>realloc(sim.resets, (sim.resets_n + 1) * sizeof(Reset))
        if resets == NULL:
            raise MemoryError("no memory for a reset-all")
        sim.resets = resets
        resets[sim.resets_n].at, resets[sim.resets_n].within, resets[sim.resets_n].key = sim.now, within, key
        sim.resets_n += 1
        return <uint16_t>sim.resets_n

    def unlistened(self):
        """The listeners were closed, and what waited in their queues was reset (S9.5)."""
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        cdef Attempt* a
        for i in range(sim.acceptors_n):
            self.emptied_queue(&sim.acceptors[i])
        for i in range(sim.attempts_allocated):
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
        cdef uint32_t i
        for i in range(self.sim.acceptors_n):
            restart(&self.sim.acceptors[i].accepting, self.sim.now)
            restart(&self.sim.acceptors[i].half_open, self.sim.now)
        restart(&self.sim.ports, self.sim.now)
        restart(&self.sim.half_open, self.sim.now)
        restart(&self.sim.accepting, self.sim.now)

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
        """The most at once of ports in use, half-open entries and connections in accept queues; exact."""
        return {"ports_in_use": self.sim.ports.most, "server.half_open": self.sim.half_open.most,
                "server.accept_queue": self.sim.accepting.most}

    def places(self, rooms, syncache):
        """The places of each listener's queues, (half-open, accept), 0: no limit. Also after a change of them."""
        cdef uint32_t i
        self.sim.syncache = syncache
        for i, (half_open, accept) in enumerate(rooms):
            fill_places(&self.sim.acceptors[i].half_open, half_open, self.sim.now)
            fill_places(&self.sim.acceptors[i].accepting, accept, self.sim.now)

    def full(self):
        """Queue -> (when one of the listeners' was full first, None: never; the longest that one was), ns."""
        cdef uint32_t i
        cdef Acceptor* acceptor
        found = {"half_open": [], "accept_queue": []}
        for i in range(self.sim.acceptors_n):
            acceptor = &self.sim.acceptors[i]
            for name, one in (("half_open", fullness(&acceptor.half_open, self.sim.now)),
                              ("accept_queue", fullness(&acceptor.accepting, self.sim.now))):
                found[name].append(one)
        return {name: (min([first for first, _ in all_of if first >= 0], default=None),
                       max([lasted for _, lasted in all_of], default=0)) for name, all_of in found.items()}

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
        cdef Load* load = &self.sim.loads[number]
        cdef Tally* tally = &load.tally[0]
        return {
            "attempted": tally.attempted, "connected": tally.connected, "served": tally.served,
            "ghost": tally.ghost, "gave_up": tally.gave_up, "reset": tally.reset, "pending": tally.pending,
            "first_try": tally.first_try, "tries": tally.tried, "requests": tally.requests_done,
            "in_warmup": load.tally[1].attempted,
            "first_refusal": load.first_refusal if load.first_refusal >= 0 else None,
            "refused": {i: tally.refused_by[i] for i in range(CAUSES) if tally.refused_by[i]},
            "connect": histogram(&load.connect), "served_after": histogram(&load.served_after),
        }

    def counts(self, number):
        """(attempted, connected, served so far) of a load, its warm-up included."""
        cdef Load* load = &self.sim.loads[number]
        cdef Tally* tally = load.tally
        return (tally[0].attempted + tally[1].attempted, tally[0].connected + tally[1].connected,
                load.served_so_far)

    def flood_sent(self, number):
        """Segments of a flood so far."""
        return self.sim.floods[number].sent

    def link(self):
        """What the link has done: sent, lost, duplicated, reordered, late, backscatter."""
        cdef int end, kind
        counts = {"backscatter": self.sim.link.backscatter}
        for end, name in ((CLIENT, "client"), (SERVER, "server")):
            counts[f"{name}.fin.unanswered"] = self.sim.unanswered[end]
        for end, name in ((CLIENT, "client"), (SERVER, "server")):
            counts[f"sent_by_{name}"] = self.sim.link.sent[end]
            if not self.sim.link.constant:
                counts[f"lost_of_{name}"] = sum([self.sim.link.lost_kind[end][k] for k in range(KINDS)])
                for kind in range(KINDS):
                    if self.sim.link.sent_kind[end][kind]:
                        label = KIND_NAMES[kind].replace("-", "_")
                        counts[f"{name}.{label}.sent"] = self.sim.link.sent_kind[end][kind]
                        counts[f"{name}.{label}.lost"] = self.sim.link.lost_kind[end][kind]
        if not self.sim.link.constant:
            counts.update(duplicated=self.sim.link.duplicated, reordered=self.sim.link.reordered,
                          late=self.sim.link.late, old_reached=self.sim.link.old_reached,
                          old_accepted=self.sim.link.old_accepted)
        return counts
