# Looking ahead in a batch: ask memory for what the segments to come will need, each thing when what
# leads to it has arrived. Only hints: when its turn comes a segment's block is checked again.
#
#   groups ahead   5      3             1
#                  head   first block   owner, its cold line
#
# A stage is a loop over a group, a few instructions a turn and no branch that data decides, so that page
# walks overlap and a wrong guess never throws the looking ahead away.
from libc.stdint cimport uint32_t

from tcpcore.block cimport Block
from tcpcore.core cimport Core
from tcpcore.flowtable cimport flow_ahead_head, flow_differs
from tcpcore.intrin cimport prefetch
from tcpcore.segment cimport Segment

cdef enum:
    GROUP = 8


cdef inline Py_ssize_t least(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    return a if a < b else b


cdef inline void ahead_heads(const Core* core, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, end):
        flow_ahead_head(&core.flows, core.hashes[i])


cdef inline Block* block_or_any(const Core* core, uint32_t ref) noexcept nogil:
    """The block of a reference; for 0 one that is there, so that nothing has to branch."""
    return &core.pool.blocks[ref - (ref != 0)]


cdef inline void ahead_firsts(Core* core, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(first, end):
        core.owners[i] = core.flows.heads[core.hashes[i] & core.flows.mask]
        prefetch(block_or_any(core, core.owners[i]))


cdef inline void ahead_owners(Core* core, const Segment* segs, Py_ssize_t first, Py_ssize_t end) noexcept nogil:
    """The first block of the chain if it is the segment's, else the one behind it: chains are short."""
    cdef Py_ssize_t i
    cdef uint32_t ref, other
    cdef const Block* tcb
    for i in range(first, end):
        ref = core.owners[i]
        tcb = block_or_any(core, ref)
        other = -<uint32_t>(flow_differs(tcb, &segs[i]) != 0)      # all ones: not this one
        ref = (ref & ~other) | (tcb.next & other)
        core.owners[i] = ref
        prefetch(block_or_any(core, ref))
        if core.knobs.tcp_timestamps:
            prefetch(&core.pool.colds[ref - (ref != 0)])


cdef inline void look_ahead(Core* core, const Segment* segs, Py_ssize_t i, Py_ssize_t n) noexcept nogil:
    """Before segment i, the first of a group: each stage for its own group ahead."""
    ahead_heads(core, least(i + 5 * GROUP, n), least(i + 6 * GROUP, n))
    ahead_firsts(core, least(i + 3 * GROUP, n), least(i + 4 * GROUP, n))
    ahead_owners(core, segs, least(i + GROUP, n), least(i + 2 * GROUP, n))


cdef inline void start_ahead(Core* core, const Segment* segs, Py_ssize_t n) noexcept nogil:
    """What look_ahead before segment 0 takes for done."""
    ahead_heads(core, 0, least(5 * GROUP, n))
    ahead_firsts(core, 0, least(3 * GROUP, n))
    ahead_owners(core, segs, 0, least(GROUP, n))
