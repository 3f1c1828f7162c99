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

from tcpcore.block cimport B_COLD, Block
from tcpcore.core cimport AHEAD_PAD, Core
from tcpcore.flowtable cimport flow_ahead_head, flow_differs
from tcpcore.intrin cimport prefetch
from tcpcore.segment cimport Segment

cdef enum:
    AHEAD_HEAD = 48           # at most AHEAD_PAD
    AHEAD_FIRST = 32
    AHEAD_OWNER = 16


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline Block* block_or_any(const Core* core, uint32_t ref) noexcept nogil:
    """The block of a reference; for 0 one that is there, so that nothing has to branch."""
    return &core.pool.blocks[ref - (ref != 0)]


cdef inline void ahead_first(Core* core, Py_ssize_t i) noexcept nogil:
    """The newest block of the chain."""
    core.owners[i] = core.flows.heads[core.hashes[i] & core.flows.mask]
    prefetch(block_or_any(core, core.owners[i]))


cdef inline void ahead_owner(Core* core, const Segment* seg, Py_ssize_t i) noexcept nogil:
    """The first block of the chain if it is the segment's, else the one behind it: chains are short."""
    cdef const Block* tcb = block_or_any(core, core.owners[i])
    cdef uint32_t other = -<uint32_t>(flow_differs(tcb, seg) != 0)      # all ones: not this one
    cdef uint32_t slot, cold = (tcb.bits & B_COLD) != 0         # the first block's, mostly the owner's
    core.owners[i] = (core.owners[i] & ~other) | (tcb.next & other)
    slot = core.owners[i] - (core.owners[i] != 0)
    prefetch(&core.pool.blocks[slot])
    if core.knobs.tcp_timestamps:
        prefetch(&core.pool.stamps[slot])
    prefetch(&core.pool.colds[slot & -cold])


cdef inline void start_ahead(Core* core, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """For a new batch of n <= STRIDE segments: the stages that look_ahead before segment 0 takes for done."""
    cdef Py_ssize_t i
    for i in range(n, n + AHEAD_PAD):         # beyond the end the last one again, so that nobody has to ask
        core.hashes[i] = core.hashes[n - 1]
    for i in range(AHEAD_HEAD):
        flow_ahead_head(&core.flows, core.hashes[i])
    for i in range(AHEAD_FIRST):
        ahead_first(core, i)
    for i in range(AHEAD_OWNER):
        ahead_owner(core, &segs[least(i, n - 1)], i)


cdef inline void look_ahead(Core* core, const Segment* segs, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Before segment i: each stage for the segment that far ahead."""
    flow_ahead_head(&core.flows, core.hashes[i + AHEAD_HEAD])
    ahead_first(core, i + AHEAD_FIRST)
    ahead_owner(core, &segs[least(i + AHEAD_OWNER, n - 1)], i + AHEAD_OWNER)
