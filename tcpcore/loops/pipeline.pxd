# Prefetching for a batch: each thing a segment will need is asked for when what leads to it has arrived.
#
#   segments ahead   48     32             16
#                    head   newest TCB     candidate, its timestamps and cold record
#
# Only hints: when its turn comes a segment's TCB is checked again. One segment's stages stand between the
# work of two others, so that memory and processor overlap, and nothing branches on data: a wrong guess would
# throw the prefetches away. Tried and slower: loops over groups of 2 to 16 (docs/performance.md).
from libc.stdint cimport uint32_t

from tcpcore.base.prefetch cimport prefetch
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport B_COLD, Tcb
from tcpcore.components.flow_table cimport flow_ahead_head, flow_differs
from tcpcore.loops.state cimport AHEAD_PAD, EngineState

cdef enum:
    AHEAD_HEAD = 48           # at most AHEAD_PAD
    AHEAD_NEWEST = 32
    AHEAD_CANDIDATE = 16
    FEW = 8                   # segments for which looking ahead costs more than it saves


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """The smaller of two sizes."""
    return a if a < b else b


cdef inline Tcb* tcb_or_any(const EngineState* eng, uint32_t ref) noexcept nogil:
    """The TCB of a reference (slot + 1); for 0 any one, so that nothing branches."""
    return &eng.pool.blocks[ref - (ref != 0)]


cdef inline void ahead_newest(EngineState* eng, Py_ssize_t i) noexcept nogil:
    """Prefetch the newest TCB of the chain."""
    eng.candidates[i] = eng.flows.heads[eng.hashes[i] & eng.flows.mask]
    prefetch(tcb_or_any(eng, eng.candidates[i]))


cdef inline void ahead_records(EngineState* eng, uint32_t slot, uint32_t cold) noexcept nogil:
    """Prefetch the TCB in this slot, its timestamps and, if `cold` is 1 and not 0, its cold record."""
    prefetch(&eng.pool.blocks[slot])
    if eng.knobs.tcp_timestamps:
        prefetch(&eng.pool.stamps[slot])
    prefetch(&eng.pool.colds[slot & -cold])


cdef inline bint ahead_candidate(EngineState* eng, const Segment* seg, Py_ssize_t i,
                                 bint colds) noexcept nogil:
    """Prefetch the candidate: the newest TCB if it is the segment's, else the next one; chains are short.
    With `colds` its cold record, too. Whether the newest TCB, mostly the candidate, has one."""
    cdef const Tcb* tcb = tcb_or_any(eng, eng.candidates[i])
    cdef uint32_t other = -<uint32_t>(flow_differs(tcb, seg) != 0)      # all ones where it is not this one
    cdef bint cold = (tcb.bits & B_COLD) != 0
    cdef uint32_t slot
    eng.candidates[i] = (eng.candidates[i] & ~other) | (tcb.next & other)
    slot = eng.candidates[i] - (eng.candidates[i] != 0)
    if colds:
        ahead_records(eng, slot, cold)
    else:
        prefetch(&eng.pool.blocks[slot])
        if eng.knobs.tcp_timestamps:
            prefetch(&eng.pool.stamps[slot])
    return cold


cdef inline bint start_ahead(EngineState* eng, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """Begin a batch of n <= STRIDE segments: the stages that look_ahead takes for done at segment 0. Whether
    one of the first TCBs has a cold record: if none has, those of this batch are not asked for."""
    cdef Py_ssize_t i
    cdef bint colds = False
    for i in range(n, n + AHEAD_PAD):         # beyond the end the last one is repeated, which saves a test
        eng.hashes[i] = eng.hashes[n - 1]
    for i in range(least(AHEAD_HEAD, n)):
        flow_ahead_head(&eng.flows, eng.hashes[i])
    for i in range(least(AHEAD_NEWEST, n)):
        ahead_newest(eng, i)
    for i in range(least(AHEAD_CANDIDATE, n)):
        colds |= ahead_candidate(eng, &segs[i], i, True)
    return colds


cdef inline void look_at_few(EngineState* eng, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """The candidates of n <= FEW segments, with nothing to do meanwhile."""
    cdef Py_ssize_t i
    for i in range(n):
        ahead_newest(eng, i)
    for i in range(n):
        ahead_candidate(eng, &segs[i], i, True)


cdef inline void look_ahead(EngineState* eng, const Segment* segs, Py_ssize_t i, Py_ssize_t n,
                            bint colds) noexcept nogil:
    """Before segment i: each stage for the segment that far ahead. colds: what start_ahead said."""
    flow_ahead_head(&eng.flows, eng.hashes[i + AHEAD_HEAD])
    ahead_newest(eng, i + AHEAD_NEWEST)
    ahead_candidate(eng, &segs[least(i + AHEAD_CANDIDATE, n - 1)], i + AHEAD_CANDIDATE, colds)
