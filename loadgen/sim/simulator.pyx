"""`Simulator`: owns a run's memory and hands its figures to Python.

It takes engines that are ready (`build` makes them) and plain numbers, plays until a time, and changes what
scenario events change. All else is in the modules that work on `Sim`.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

import numpy as np

from tcpcore import BLOCK

from tcpcore cimport ConnectRow, Segment, engine_abort, engine_accept, engine_of
from loadgen.sim.arrivals cimport flood_next, flood_start, load_next
from loadgen.sim.attempts cimport ask, attempt_over, attempt_settle, slot_of
from loadgen.sim.draw cimport (
    FOR_ACCEPT, FOR_ARRIVALS, FOR_BURSTS, FOR_CONNECTIONS, FOR_ENGINES, FOR_FLOOD, FOR_HALF_CLOSE,
    FOR_LAST_ACK, FOR_LINK, FOR_SPREAD, FOR_TRIES, FAMILY_CONST, Family, FamilyKind, stream, word,
)
from loadgen.sim.histogram cimport BUCKETS, SUB_BITS, Histo
from loadgen.sim.hosts cimport host_timer, hosts_start
from loadgen.sim.inbox cimport inbox_free, inbox_init
from loadgen.sim.link cimport link_emitted, link_send
from loadgen.sim.loop cimport loop_next, loop_run
from loadgen.sim.queue cimport LANES, queue_free, queue_init
from loadgen.sim.world cimport (
    BATCH, CAUSES, CLIENT, F_CLIENT_DONE, F_SERVER_DONE, KINDS, NO_MEMORY, SERVER, SOUND,
    T_ARRIVAL, T_FLOOD, T_STALL_ENDS, Acceptor, Attempt, Flood, Host, Load, Point, Sim, Watch,
)

FAMILIES = ("const", "exp", "lognormal", "normal", "uniform", "trace")
SPEAKS = ("client", "server", "nobody")
KIND_NAMES = ("syn", "syn-ack", "third-ack", "data", "ack", "fin", "last-ack", "rst")


def words_of_bursts(seed, replicate, first, n):
    """n words of the stream of the honest crowds, from number `first` on."""
    cdef uint64_t key = stream(seed, replicate, FOR_BURSTS, 0)
    return np.array([word(key, first + i) for i in range(n)], dtype=np.uint64)


def engine_seed(seed, replicate, number):
    """The seed of engine `number` of a replicate."""
    return stream(seed, replicate, FOR_ENGINES, number)


cdef void* zeros(size_t n, size_t size) except NULL:
    """calloc(), of at least one item. Pages are the system's zero pages until they are written to."""
    cdef void* memory = calloc(n if n > 0 else 1, size)
    if memory == NULL:
        raise MemoryError(f"no memory for {n} x {size} bytes")
    return memory


cdef object histogram(const Histo* histo):
    """The buckets in use: (lowest, highest, counts, min, max, sum)."""
    cdef const uint64_t[::1] view = <uint64_t[:BUCKETS]>histo.counts
    counts = np.asarray(view).astype(np.int64)
    used = np.flatnonzero(counts)
    shift = np.maximum((used >> SUB_BITS) - 1, 0)
    lowest = np.where(used < 1 << (SUB_BITS + 1), used, (used - (shift << SUB_BITS)) << shift)
    highest = lowest + (np.int64(1) << shift) - 1
    least, most = (histo.least, histo.most) if histo.n else (None, None)
    return lowest.astype(np.int64), highest.astype(np.int64), counts[used], least, most, histo.sum


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
        self.make_loads(facts)
        self.make_floods(facts)
        self.make_watch(facts["watch"])

    def __dealloc__(self):
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        for i in range(sim.hosts_n):
            inbox_free(&sim.hosts[i].inbox)
            free(sim.hosts[i].attempt_of)
            free(sim.hosts[i].heard)
            free(sim.hosts[i].listener_of)
        for i in range(sim.loads_n):
            free(sim.loads[i].shape)
            free(sim.loads[i].addrs)
            free(sim.loads[i].ports)
            free(sim.loads[i].connect.counts)
            free(sim.loads[i].served_after.counts)
        for i in range(sim.floods_n):
            free(sim.floods[i].nets)
            free(sim.floods[i].weights)
        queue_free(&sim.queue)
        if sim.watch != NULL:
            for memory in (<size_t>sim.watch.holder, <size_t>sim.watch.since,
                           <size_t>sim.watch.answered.counts, <size_t>sim.watch.unanswered.counts,
                           <size_t>sim.watch.added, <size_t>sim.watch.answered_of,
                           <size_t>sim.watch.evicted_of, <size_t>sim.watch):
                free(<void*><size_t>memory)
        for memory in (<size_t>sim.hosts, <size_t>sim.heap, <size_t>sim.busy, <size_t>sim.attempts,
                       <size_t>sim.free_attempts, <size_t>sim.loads, <size_t>sim.acceptors,
                       <size_t>sim.floods,
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
        sim.at_state, sim.at_generation = fields["state"][1], fields["generation"][1]

    cdef make_hosts(self, uint32_t servers):
        cdef Sim* sim = &self.sim
        cdef const uint8_t[::1] blocks
        cdef uint32_t n = len(self.engines), i
        sim.hosts = <Host*>zeros(n, sizeof(Host))
        sim.heap = <uint32_t*>zeros(n, sizeof(uint32_t))
        sim.busy = <uint32_t*>zeros(n, sizeof(uint32_t))
        sim.servers = servers
        for i in range(n):
            engine = self.engines[i]
            view = engine.blocks.view(np.uint8)
            self.kept.append(view)
            blocks = view
            sim.hosts[i].engine = engine_of(engine)
            sim.hosts[i].blocks = &blocks[0]
            sim.hosts[i].end = SERVER if i < servers else CLIENT
            sim.hosts[i].attempt_of = <uint32_t*>zeros(len(view) // 64, sizeof(uint32_t))
            if inbox_init(&sim.hosts[i].inbox) < 0:
                raise MemoryError("no memory for an inbox")
            sim.hosts_n = i + 1
        hosts_start(sim)
        for i in range(n):
            host_timer(sim, i)

    cdef Family family(self, distribution):
        cdef Family family
        cdef const int64_t[::1] samples
        family.kind = <FamilyKind><int>FAMILIES.index(distribution.family)
        family.a, family.b = distribution.a, distribution.b
        family.samples = NULL
        family.n = 0
        if distribution.family == "trace":
            array = np.array(distribution.samples, dtype=np.int64)
            self.kept.append(array)
            samples = array
            family.samples = &samples[0]
            family.n = len(array)
        return family

    cdef make_link(self, link, seed, replicate):
        cdef Sim* sim = &self.sim
        cdef int end, kind
        sim.link.rtt = self.family(link["rtt"])
        sim.link.half = <int64_t>(link["rtt"].mean + 0.5) // 2
        sim.link.longest = sim.link.half
        sim.link.by_kind = link["by_kind"]
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
            sim.link.last_ack_keys[end] = stream(seed, replicate, FOR_LAST_ACK, end)
        sim.link.last_ack = link["last_ack"]

    cdef make_acceptors(self, listeners, facts):
        cdef Sim* sim = &self.sim
        cdef Acceptor* acceptor
        cdef uint32_t i = 0
        sim.accept_time = self.family(facts["accept_time"])
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
            self.set_close(load, one, stream(facts["seed"], facts["replicate"], FOR_HALF_CLOSE, i))
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

    cdef set_close(self, Load* load, one, uint64_t key):
        """How its connections are closed, and whose ports they have."""
        cdef Sim* sim = &self.sim
        load.by_both, load.by_turns = one["by_both"], one["by_turns"]
        load.close_delay = one["close_delay"]
        load.half_close, load.half_bytes = one["half_close"]
        load.half_key = key
        load.syn_data = one["syn_data"]
        load.again = one["again"]
        load.delay_lane = -1
        if load.close_delay > 0 and sim.queue.lanes_used < LANES:
            load.delay_lane = sim.queue.lanes_used
            sim.queue.lanes_used += 1
        if one["used_again"]:
            load.addrs = <uint32_t*>zeros(one["count"], sizeof(uint32_t))
            load.ports = <uint16_t*>zeros(one["count"], sizeof(uint16_t))

    cdef set_trace(self, Load* load, times):
        cdef const int64_t[::1] view
        if len(times):
            array = np.array(times, dtype=np.int64)
            self.kept.append(array)
            view = array
            load.trace = &view[0]
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
            flood.count, flood.on, flood.off = one["count"], one["on"], one["off"]
            flood.nets_n = len(one["nets"])
            flood.nets = <uint32_t*>zeros(2 * flood.nets_n, sizeof(uint32_t))
            flood.weights = <double*>zeros(flood.nets_n, sizeof(double))
            for k, (first, extra, weight) in enumerate(one["nets"]):
                flood.nets[2 * k], flood.nets[2 * k + 1], flood.weights[k] = first, extra, weight
            flood_start(flood)
            if flood.gap > 0 and flood_next(flood) < INT64_MAX:
                ask(sim, flood_next(flood), T_FLOOD, i, 0, 0, -1)

    cdef make_watch(self, window):
        """window: (ns, how many), None where nothing is watched."""
        cdef Watch* watch
        cdef size_t slots
        if window is None:
            return
        slots = len(self.engines[0].blocks)
        self.sim.watch = watch = <Watch*>zeros(1, sizeof(Watch))
        watch.holder = <uint64_t*>zeros(slots, sizeof(uint64_t))
        watch.since = <int64_t*>zeros(slots, sizeof(int64_t))
        watch.answered.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
        watch.unanswered.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
        watch.window, watch.windows = window
        watch.added = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))
        watch.answered_of = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))
        watch.evicted_of = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))

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
        """Arrivals of an open loop that were due before its end and were not reached."""
        cdef Load* load = &self.sim.loads[number]
        cdef uint64_t begun = load.begun, n = 0
        if load.concurrency:
            return 0
        while load.due < INT64_MAX:
            load.begun += 1
            n += 1
            load_next(load)
        load.begun = begun
        return n

    # --- scenario events -------------------------------------------------------------------------

    def stall(self, until):
        """No accept loop accepts before this time."""
        cdef uint32_t i
        for i in range(self.sim.acceptors_n):
            self.sim.acceptors[i].stalled_until = max(until, self.sim.acceptors[i].stalled_until)
            ask(&self.sim, until, T_STALL_ENDS, i, 0, 0, -1)

    def cut(self, until):
        """The link loses everything that is sent before this time."""
        self.sim.link.cut_until = max(until, self.sim.link.cut_until)

    def emptied(self):
        """The listeners were closed: nothing waits in an accept queue any more."""
        cdef uint32_t i
        for i in range(self.sim.acceptors_n):
            self.sim.acceptors[i].queued = 0

    def abort_all(self):
        """The server resets every connection that its application or its accept queue has (S9.3)."""
        cdef Sim* sim = &self.sim
        cdef uint32_t i
        cdef uint64_t conn
        cdef Attempt* a
        for i in range(sim.acceptors_n):              # abort() is for what has been accepted
            while sim.acceptors[i].queued > 0:
                sim.acceptors[i].queued -= 1
                engine_accept(sim.hosts[sim.acceptors[i].host].engine, sim.acceptors[i].listener, &conn, 1)
        theirs = []
        for i in range(sim.attempts_allocated):
            a = &sim.attempts[i]
            if a.server != 0 and not a.flags & F_SERVER_DONE:
                theirs.append((a.server_host, slot_of(a.server), i))
        for _, _, i in sorted(theirs):                # not by places, which depend on what else has begun
            a = &sim.attempts[i]
            link_emitted(sim, a.server_host, engine_abort(
                sim.hosts[a.server_host].engine, &a.server, 1, sim.now, sim.out, 2 * BATCH))
            a.flags |= F_SERVER_DONE
            attempt_over(sim, i)
        return len(theirs)

    def sent(self, host, segs):
        """Segments that a call from Python made an engine of the server emit at this time."""
        cdef const uint8_t[:, ::1] rows
        if len(segs):
            rows = segs.view(np.uint8).reshape(len(segs), -1)
            link_send(&self.sim, SERVER, <const Segment*>&rows[0, 0], len(segs), self.sim.now, -1)
        host_timer(&self.sim, host)

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
    def queued_most(self):
        """The longest that any accept queue was."""
        return max([self.sim.acceptors[i].queued_most for i in range(self.sim.acceptors_n)], default=0)

    @property
    def queued(self):
        """Connections in all accept queues that no worker has taken."""
        return sum([self.sim.acceptors[i].queued for i in range(self.sim.acceptors_n)])

    @property
    def accept_wait(self):
        """Established to accepted, as histogram()."""
        return histogram(&self.sim.accept_wait)

    def load(self, number):
        """The figures of a load by name; refusals by cause number."""
        cdef Load* load = &self.sim.loads[number]
        return {
            "attempted": load.attempted, "connected": load.connected, "served": load.served,
            "ghost": load.ghost, "gave_up": load.gave_up, "reset": load.reset, "pending": load.pending,
            "first_try": load.first_try, "tries": load.tried, "requests": load.requests_done,
            "first_refusal": load.first_refusal if load.first_refusal >= 0 else None,
            "in_flight": load.in_flight, "half_close": (load.half_closed, load.half_queued, load.half_read),
            "old_taken": load.old_taken,
            "refused": {i: load.refused_by[i] for i in range(CAUSES) if load.refused_by[i]},
            "connect": histogram(&load.connect), "served_after": histogram(&load.served_after),
        }

    def counts(self, number):
        """(attempted, connected, served so far) of a load."""
        cdef Load* load = &self.sim.loads[number]
        return load.attempted, load.connected, load.served_after.n

    def flood_sent(self, number):
        """Segments of a flood so far."""
        return self.sim.floods[number].sent

    def sources(self):
        """Sources of the first new entries since the last call."""
        cdef uint32_t i
        cdef uint32_t n = self.sim.watch.sources_n
        self.sim.watch.sources_n = 0
        return np.array([self.sim.watch.sources[i] for i in range(n)], dtype=np.uint32)

    def watched(self):
        """(residence of answered and unanswered entries, entries added, answered, evicted by window)."""
        cdef Watch* watch = self.sim.watch
        cdef size_t n = watch.windows
        added, answered = np.asarray(<uint64_t[:n]>watch.added), np.asarray(<uint64_t[:n]>watch.answered_of)
        evicted = np.asarray(<uint64_t[:n]>watch.evicted_of)
        columns = [column.astype(np.int64) for column in (added, answered, evicted)]
        return histogram(&watch.answered), histogram(&watch.unanswered), columns

    def closing(self):
        """(resets that found a connection in LAST-ACK or CLOSING, copies of the clients' segments)."""
        return self.sim.link.stuck, self.sim.link.duplicated_of[CLIENT]

    def link(self):
        """What the link has done: sent, lost, duplicated, reordered, late, backscatter."""
        cdef int end, kind
        counts = {"backscatter": self.sim.link.backscatter}
        for kind in range(KINDS):
            if self.sim.link.backscatter_kind[kind]:
                counts[f"outside.{KIND_NAMES[kind]}"] = self.sim.link.backscatter_kind[kind]
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
                          late=self.sim.link.late)
        return counts
