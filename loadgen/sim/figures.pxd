# A run's figures out of its structs, as dicts of numbers by name: what `simulator` hands to Python.
#
# Inline functions with the GIL, called once or a few times in a run.
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from loadgen.sim.fill cimport Fill, fill_start, fill_time, total_area, total_most, total_start
from loadgen.sim.histogram cimport BUCKETS, SUB_BITS, Histo
from loadgen.sim.world cimport CAUSES, CLIENT, KINDS, SERVER, Acceptor, Load, Sim, Tally, Watch


cdef inline void* address(array) except? NULL:
    """Where a contiguous array's data are. A typed memoryview would say it, too, with 75 kB of code."""
    return <void*><size_t>array.__array_interface__["data"][0]


cdef inline object histogram(const Histo* histo):
    """The buckets in use: (lowest, highest, counts, min, max, sum)."""
    import numpy as np
    counts = np.empty(BUCKETS, np.int64)
    memcpy(address(counts), histo.counts, BUCKETS * sizeof(uint64_t))
    used = np.flatnonzero(counts)
    shift = np.maximum((used >> SUB_BITS) - 1, 0)
    lowest = np.where(used < 1 << (SUB_BITS + 1), used, (used - (shift << SUB_BITS)) << shift)
    highest = lowest + (np.int64(1) << shift) - 1
    least, most = (histo.least, histo.most) if histo.n else (None, None)
    return lowest.astype(np.int64), highest.astype(np.int64), counts[used], least, most, histo.sum


cdef inline void restart(Fill* fill, int64_t now) noexcept nogil:
    fill_start(fill, fill.places, now + 1)


cdef inline void levels_restart(Sim* sim) noexcept nogil:
    """The most of anything, and for how long it was full, is that from the next ns on."""
    cdef uint32_t i
    for i in range(sim.acceptors_n):
        restart(&sim.acceptors[i].accepting, sim.now)
        restart(&sim.acceptors[i].half_open, sim.now)
    total_start(&sim.ports, sim.now + 1)
    total_start(&sim.half_open, sim.now + 1)
    total_start(&sim.accepting, sim.now + 1)


cdef inline dict peaks_of(const Sim* sim):
    """The most at once of ports in use, half-open entries and connections in accept queues (S7.6)."""
    cdef bint one = sim.acceptors_n == 1
    return {
        "ports_in_use": total_most(&sim.ports),
        "server.half_open": sim.acceptors.half_open.most if one else total_most(&sim.half_open),
        "server.accept_queue": sim.acceptors.accepting.most if one else total_most(&sim.accepting),
    }


cdef inline dict areas_of(const Sim* sim):
    """The same three as integrals over time up to now, ns, modulo 2^64."""
    return {
        "ports_in_use": total_area(&sim.ports, sim.now),
        "server.half_open": total_area(&sim.half_open, sim.now),
        "server.accept_queue": total_area(&sim.accepting, sim.now),
    }


cdef inline tuple refused_of(const Sim* sim):
    """(attempted, refused) of all loads so far, the warm-up included."""
    cdef uint32_t i
    cdef uint64_t attempted = 0, refused = 0
    for i in range(sim.loads_n):
        attempted += sim.loads[i].tally[0].attempted + sim.loads[i].tally[1].attempted
        refused += sim.loads[i].tally[0].refused + sim.loads[i].tally[1].refused
    return attempted, refused


cdef inline dict fullness(const Sim* sim):
    """Queue -> (when one of the listeners' was full first, None: never; the longest that one was), ns."""
    cdef uint32_t i
    cdef const Acceptor* acceptor
    found = {"half_open": [], "accept_queue": []}
    for i in range(sim.acceptors_n):
        acceptor = &sim.acceptors[i]
        found["half_open"].append((acceptor.half_open.first, fill_time(&acceptor.half_open, sim.now)))
        found["accept_queue"].append((acceptor.accepting.first, fill_time(&acceptor.accepting, sim.now)))
    return {name: (min([first for first, _ in all_of if first >= 0], default=None),
                   max([lasted for _, lasted in all_of], default=0)) for name, all_of in found.items()}


cdef inline dict load_figures(const Load* load):
    """The figures of a load by name, without its warm-up; refusals by cause number."""
    cdef const Tally* tally = &load.tally[0]
    return {
        "attempted": tally.attempted, "connected": tally.connected, "served": tally.served,
        "ghost": tally.ghost, "gave_up": tally.gave_up, "reset": tally.reset, "pending": tally.pending,
        "first_try": tally.first_try, "tries": tally.tried, "requests": tally.requests_done,
        "in_warmup": load.tally[1].attempted, "in_flight": tally.in_flight, "old_taken": load.old_taken,
        "half_close": (load.half_closed, load.half_queued, load.half_read),
        "first_refusal": load.first_refusal if load.first_refusal >= 0 else None,
        "refused": {i: tally.refused_by[i] for i in range(CAUSES) if tally.refused_by[i]},
        "connect": histogram(&load.connect), "served_after": histogram(&load.served_after),
    }


cdef inline object column(const uint64_t* counts, size_t n):
    import numpy as np
    found = np.empty(n, np.int64)
    memcpy(address(found), counts, n * sizeof(uint64_t))
    return found


cdef inline tuple watch_figures(const Watch* watch):
    """(residence of answered and unanswered entries, [entries added, answered, evicted by window])."""
    columns = [column(watch.added, watch.windows), column(watch.answered_of, watch.windows),
               column(watch.evicted_of, watch.windows)]
    return histogram(&watch.answered), histogram(&watch.unanswered), columns


cdef inline dict link_figures(const Sim* sim):
    """What the link has done, by name."""
    kinds = ("syn", "syn_ack", "third_ack", "data", "ack", "fin", "last_ack", "rst")
    cdef int end, kind
    counts = {"backscatter": sim.link.backscatter}
    for kind in range(KINDS):
        if sim.link.backscatter_kind[kind]:
            counts["outside." + kinds[kind].replace("_", "-")] = sim.link.backscatter_kind[kind]
    for end, name in ((CLIENT, "client"), (SERVER, "server")):
        counts[f"{name}.fin.unanswered"] = sim.unanswered[end]
    for end, name in ((CLIENT, "client"), (SERVER, "server")):
        counts[f"sent_by_{name}"] = sim.link.sent[end]
        if not sim.link.constant:
            counts[f"lost_of_{name}"] = sum([sim.link.lost_kind[end][k] for k in range(KINDS)])
            for kind in range(KINDS):
                if sim.link.sent_kind[end][kind]:
                    label = kinds[kind]
                    counts[f"{name}.{label}.sent"] = sim.link.sent_kind[end][kind]
                    counts[f"{name}.{label}.lost"] = sim.link.lost_kind[end][kind]
    if not sim.link.constant:
        counts.update(duplicated=sim.link.duplicated, reordered=sim.link.reordered,
                      late=sim.link.late, old_reached=sim.link.old_reached,
                      old_accepted=sim.link.old_accepted)
    return counts
