# A run's distributions, link, loads and floods, out of the plain numbers of `loadgen.sim.build`.
#
# Inline functions with the GIL: `simulator` calls each once. What the structs point into is appended to
# `kept`, which lives as long as they do. Their addresses are asked of the arrays: a typed memoryview would
# cost 75 kB of code.
from libc.stdint cimport INT64_MAX, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from loadgen.sim.arrivals cimport flood_next, flood_start, load_next
from loadgen.sim.attempts cimport ask
from loadgen.sim.draw cimport (
    FAMILY_CONST, FOR_ARRIVALS, FOR_CONNECTIONS, FOR_FLOOD, FOR_HALF_CLOSE, FOR_LAST_ACK, FOR_LINK,
    FOR_TRIES, Family, FamilyKind, stream,
)
from loadgen.sim.histogram cimport BUCKETS
from loadgen.sim.queue cimport LANES
from loadgen.sim.world cimport CLIENT, KINDS, SERVER, T_ARRIVAL, T_FLOOD, Flood, Load, Point, Sim, Watch


cdef inline void* zeros(size_t n, size_t size) except NULL:
    """calloc(), of at least one item. Pages are the system's zero pages until they are written to."""
    cdef void* memory = calloc(n if n > 0 else 1, size)
    if memory == NULL:
        raise MemoryError(f"no memory for {n} x {size} bytes")
    return memory


cdef inline int find_fields(Sim* sim, block) except -1:
    """Where a block, as `tcpcore.BLOCK` has it, keeps what the loop reads."""
    fields = block.fields
    assert block.itemsize == 64
    sim.at_raddr, sim.at_laddr = fields["raddr"][1], fields["laddr"][1]
    sim.at_rport, sim.at_lport = fields["rport"][1], fields["lport"][1]
    sim.at_iss, sim.at_rcv_nxt = fields["iss"][1], fields["rcv_nxt"][1]
    sim.at_snd_una, sim.at_snd_nxt = fields["snd_una"][1], fields["snd_nxt"][1]
    sim.at_snd_wnd = fields["snd_wnd"][1]
    sim.at_state, sim.at_generation = fields["state"][1], fields["generation"][1]
    return 0


cdef inline Family family_of(distribution, list kept) except *:
    """A distribution as the draws take it; `kept` keeps its samples."""
    from array import array
    cdef Family family
    family.kind = <FamilyKind><int>(
        "const", "exp", "lognormal", "normal", "uniform", "trace").index(distribution.family)
    family.a, family.b = distribution.a, distribution.b
    family.samples = NULL
    family.n = 0
    if distribution.family == "trace":
        values = array("q", distribution.samples)
        kept.append(values)
        family.samples = <const int64_t*><size_t>values.buffer_info()[0]
        family.n = len(values)
    return family


cdef inline int make_link(Sim* sim, link, seed, replicate, list kept) except -1:
    """The link, by the numbers of `build.link_facts`."""
    cdef int end, kind
    sim.link.rtt = family_of(link["rtt"], kept)
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
        sim.link.last_ack_keys[end] = stream(seed, replicate, FOR_LAST_ACK, end)
    sim.link.last_ack = link["last_ack"]
    return 0


cdef inline int make_trace(Load* load, times, list kept) except -1:
    """The arrivals that are listed; `kept` keeps them."""
    from array import array
    if len(times):
        values = array("q", times)
        kept.append(values)
        load.trace = <const int64_t*><size_t>values.buffer_info()[0]
        load.trace_n = len(values)
    return 0


cdef inline int make_close(Sim* sim, Load* load, one, uint64_t key) except -1:
    """How its connections are closed, and whose ports they have."""
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
    return 0


cdef inline int make_loads(Sim* sim, facts, list kept) except -1:
    """The loads, with their first arrivals queued."""
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
        make_trace(load, one["trace"], kept)
        load.count = one["count"]
        load.concurrency = one["concurrency"]
        load.start, load.stop = one["start"], one["stop"]
        load.hold = family_of(one["hold"], kept)
        load.close_at, load.close_gap = one["close_at"], one["close_gap"]
        load.requests, load.request, load.response = one["requests"], one["request"], one["response"]
        load.speaks = ("client", "server", "nobody").index(one["speaks"])
        load.idle, load.patience = one["idle"], one["patience"]
        load.tries, load.backoff, load.factor, load.jitter = one["tries"]
        load.by_server, load.by_reset = one["by_server"], one["by_reset"]
        make_close(sim, load, one, stream(facts["seed"], facts["replicate"], FOR_HALF_CLOSE, i))
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
    return 0


cdef inline int make_floods(Sim* sim, facts) except -1:
    """The floods, with their first segments queued."""
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
    return 0


cdef inline int make_watch(Sim* sim, window, size_t slots) except -1:
    """What is seen of a half-open queue under a flood; window: (ns, how many), None: nothing is watched."""
    cdef Watch* watch
    if window is None:
        return 0
    sim.watch = watch = <Watch*>zeros(1, sizeof(Watch))
    watch.holder = <uint64_t*>zeros(slots, sizeof(uint64_t))
    watch.since = <int64_t*>zeros(slots, sizeof(int64_t))
    watch.answered.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
    watch.unanswered.counts = <uint64_t*>zeros(BUCKETS, sizeof(uint64_t))
    watch.window, watch.windows = window
    watch.added = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))
    watch.answered_of = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))
    watch.evicted_of = <uint64_t*>zeros(watch.windows, sizeof(uint64_t))
    return 0


cdef inline void free_made(Sim* sim) noexcept:
    """Give back the loads, the floods and the watch."""
    cdef uint32_t i
    for i in range(sim.loads_n):
        free(sim.loads[i].shape)
        free(sim.loads[i].addrs)
        free(sim.loads[i].ports)
        free(sim.loads[i].connect.counts)
        free(sim.loads[i].served_after.counts)
    for i in range(sim.floods_n):
        free(sim.floods[i].nets)
        free(sim.floods[i].weights)
    free(sim.loads)
    free(sim.floods)
    if sim.watch != NULL:
        for memory in (<size_t>sim.watch.holder, <size_t>sim.watch.since, <size_t>sim.watch.answered.counts,
                       <size_t>sim.watch.unanswered.counts, <size_t>sim.watch.added,
                       <size_t>sim.watch.answered_of, <size_t>sim.watch.evicted_of):
            free(<void*><size_t>memory)
        free(sim.watch)
