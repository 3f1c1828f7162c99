# Prefetching for a batch: each thing a segment will need is asked for when what leads to it has arrived.
#
#   segments ahead   48       32                               16
#                    bucket   candidate and its timestamps     its cold record
#
# Only hints: when its turn comes a segment's TCB is checked again. One segment's stages stand between the
# work of two others, so that memory and processor overlap, and nothing branches on data: a wrong guess would
# throw the prefetches away. Tried and slower: loops over groups of 2 to 16 (docs/performance.md).
from libc.stdint cimport uint32_t

from tcpcore.base.prefetch cimport prefetch
from tcpcore.records.tcb cimport B_COLD, Tcb
from tcpcore.components.flow_table cimport flow_ahead_bucket, flow_candidate
from tcpcore.loops.state cimport AHEAD_PAD, EngineState

cdef enum:
    AHEAD_BUCKET = 48         # at most AHEAD_PAD
    AHEAD_CANDIDATE = 32
    AHEAD_COLD = 16
    FEW = 8                   # segments for which looking ahead costs more than it saves


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """The smaller of two sizes."""
    return a if a < b else b


cdef inline Tcb* tcb_or_any(const EngineState* eng, uint32_t ref) noexcept nogil:
    """The TCB of a reference (slot + 1); for 0 any one, so that nothing branches."""
    return &eng.pool.blocks[ref - (ref != 0)]


cdef inline void ahead_tcb(EngineState* eng, Py_ssize_t i, uint32_t ref) noexcept nogil:
    """Make this TCB (slot + 1), 0 none, the candidate of row i; prefetch it and its timestamps."""
    eng.candidates[i] = ref
    prefetch(tcb_or_any(eng, ref))
    if eng.knobs.tcp_timestamps:
        prefetch(&eng.pool.stamps[ref - (ref != 0)])


cdef inline void ahead_candidate(EngineState* eng, Py_ssize_t i) noexcept nogil:
    """Prefetch what most likely has the 4-tuple of row i."""
    ahead_tcb(eng, i, flow_candidate(&eng.flows, eng.hashes[i]))


cdef inline bint ahead_cold(EngineState* eng, Py_ssize_t i) noexcept nogil:
    """Prefetch the cold record of a row's candidate, if it has one. Whether it has."""
    cdef uint32_t slot = eng.candidates[i] - (eng.candidates[i] != 0)
    cdef bint cold = (eng.pool.blocks[slot].bits & B_COLD) != 0
    prefetch(&eng.pool.colds[slot & -<uint32_t>cold])
    return cold


cdef inline bint start_ahead(EngineState* eng, Py_ssize_t n) noexcept nogil:
    """Begin a batch of n <= STRIDE segments: the stages that look_ahead takes for done at segment 0. Whether
    one of the first TCBs has a cold record: if none has, those of this batch are not asked for."""
    cdef Py_ssize_t i
    cdef bint colds = False
    for i in range(n, n + AHEAD_PAD):         # beyond the end the last one is repeated, which saves a test
        eng.hashes[i] = eng.hashes[n - 1]
    for i in range(least(AHEAD_BUCKET, n)):
        flow_ahead_bucket(&eng.flows, eng.hashes[i])
    for i in range(least(AHEAD_CANDIDATE, n)):
        ahead_candidate(eng, i)
    for i in range(least(AHEAD_COLD, n)):
        colds |= ahead_cold(eng, i)
    return colds


cdef inline void look_at_few(EngineState* eng, Py_ssize_t n) noexcept nogil:
    """The candidates of n <= FEW segments, with nothing to do meanwhile."""
    cdef Py_ssize_t i
    for i in range(n):
        ahead_candidate(eng, i)
    for i in range(n):
        ahead_cold(eng, i)


cdef inline void look_ahead(EngineState* eng, Py_ssize_t i, bint colds) noexcept nogil:
    """Before segment i: each stage for the segment that far ahead. colds: what start_ahead said."""
    flow_ahead_bucket(&eng.flows, eng.hashes[i + AHEAD_BUCKET])
    ahead_candidate(eng, i + AHEAD_CANDIDATE)
    if colds:
        ahead_cold(eng, i + AHEAD_COLD)
