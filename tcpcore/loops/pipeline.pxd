# Looking ahead in a batch: ask memory for what the segments to come will need, each thing when what
# leads to it has arrived. Only hints: when its turn comes a segment's block is checked again.
#
#   segments ahead   48     32            16
#                    head   first block   owner, its timestamps and cold line
#
# One segment's stages between two segments' work, so that fetching and working overlap, and not one
# branch that data decides: a wrong guess would throw the looking ahead away. Tried and lost: loops over
# groups of 2 to 16, which keep memory idle while the group is worked on (docs/performance.md).
from libc.stdint cimport uint32_t

from tcpcore.base.prefetch cimport prefetch
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport B_COLD, Tcb
from tcpcore.components.flow_table cimport flow_ahead_head, flow_differs
from tcpcore.loops.state cimport AHEAD_PAD, EngineState

cdef enum:
    AHEAD_HEAD = 48           # at most AHEAD_PAD
    AHEAD_FIRST = 32
    AHEAD_OWNER = 16


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline Tcb* tcb_or_any(const EngineState* eng, uint32_t ref) noexcept nogil:
    """The block of a reference; for 0 one that is there, so that nothing has to branch."""
    return &eng.pool.blocks[ref - (ref != 0)]


cdef inline void ahead_first(EngineState* eng, Py_ssize_t i) noexcept nogil:
    """The newest block of the chain."""
    eng.owners[i] = eng.flows.heads[eng.hashes[i] & eng.flows.mask]
    prefetch(tcb_or_any(eng, eng.owners[i]))


cdef inline void ahead_owner(EngineState* eng, const Segment* seg, Py_ssize_t i) noexcept nogil:
    """The first block of the chain if it is the segment's, else the one behind it: chains are short."""
    cdef const Tcb* tcb = tcb_or_any(eng, eng.owners[i])
    cdef uint32_t other = -<uint32_t>(flow_differs(tcb, seg) != 0)      # all ones: not this one
    cdef uint32_t slot, cold = (tcb.bits & B_COLD) != 0         # the first block's, mostly the owner's
    eng.owners[i] = (eng.owners[i] & ~other) | (tcb.next & other)
    slot = eng.owners[i] - (eng.owners[i] != 0)
    prefetch(&eng.pool.blocks[slot])
    if eng.knobs.tcp_timestamps:
        prefetch(&eng.pool.stamps[slot])
    prefetch(&eng.pool.colds[slot & -cold])


cdef inline void start_ahead(EngineState* eng, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """For a new batch of n <= STRIDE segments: the stages that look_ahead before segment 0 takes for done."""
    cdef Py_ssize_t i
    for i in range(n, n + AHEAD_PAD):         # beyond the end the last one again, so that nobody has to ask
        eng.hashes[i] = eng.hashes[n - 1]
    for i in range(AHEAD_HEAD):
        flow_ahead_head(&eng.flows, eng.hashes[i])
    for i in range(AHEAD_FIRST):
        ahead_first(eng, i)
    for i in range(AHEAD_OWNER):
        ahead_owner(eng, &segs[least(i, n - 1)], i)


cdef inline void look_ahead(EngineState* eng, const Segment* segs, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """PriorState segment i: each stage for the segment that far ahead."""
    flow_ahead_head(&eng.flows, eng.hashes[i + AHEAD_HEAD])
    ahead_first(eng, i + AHEAD_FIRST)
    ahead_owner(eng, &segs[least(i + AHEAD_OWNER, n - 1)], i + AHEAD_OWNER)
