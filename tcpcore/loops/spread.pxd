# Several engines behind one address, as SO_REUSEPORT sockets or the receive queues of a network card: each
# 4-tuple belongs to one member, by a keyed hash, and members run side by side on threads.
#
# A round of a batch: hash and count each part's rows, copy them in order to their members, let each member
# work, put the answers into the order of the rows. Nothing depends on the number of threads, and the answers
# are those of the members called with one row after the other.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.base.workers cimport Workers
from tcpcore.records.handle cimport handle_slot
from tcpcore.records.segment cimport Segment
from tcpcore.loops.state cimport EngineState

cdef enum:
    MAX_MEMBERS = 256
    ROUND_ROWS = 8192         # rows of a batch that are divided at once; what that takes stays in the cache
    PART_ROWS = 512           # rows that one thread hashes and copies at a time
    MAX_PARTS = ROUND_ROWS // PART_ROWS

cdef struct Spread:
    uint32_t n                # members
    EngineState* members[MAX_MEMBERS]
    uint32_t first_slot[MAX_MEMBERS + 1]  # slot of the group that is slot 0 of each member
    uint64_t k0               # key of the hash that divides
    uint64_t k1
    Workers workers
    # scratch space of one round
    uint16_t member[ROUND_ROWS]           # of each row
    uint16_t place[ROUND_ROWS]            # of each row among the divided
    uint8_t marks[ROUND_ROWS]             # answers of each divided row
    Segment divided[ROUND_ROWS]           # rows, member after member
    Segment answers[2 * ROUND_ROWS]       # 2 p on: those of divided row p's member, one after the other
    uint32_t start[MAX_MEMBERS * MAX_PARTS + 1]   # by member and part: first place; then first answer
    uint32_t answered[MAX_MEMBERS * MAX_PARTS]    # by member and part: answers
    uint32_t written[MAX_PARTS + 1]       # answers before each part

cdef void spread_init(Spread* group, uint64_t seed, int threads) noexcept nogil
cdef void spread_free(Spread* group) noexcept nogil
cdef uint32_t spread_member(const Spread* group, uint32_t raddr, uint16_t rport, uint32_t laddr,
                            uint16_t lport) noexcept nogil
cdef Py_ssize_t spread_receive(Spread* group, const Segment* segs, Py_ssize_t n, int64_t now,
                               Segment* rows) noexcept nogil
cdef Py_ssize_t spread_advance(Spread* group, int64_t now, Segment* rows, Py_ssize_t room) noexcept nogil


cdef inline uint32_t spread_owner(const Spread* group, uint64_t conn) noexcept nogil:
    """Member that a handle of the group belongs to; the last one for a slot that no member has."""
    cdef uint32_t slot = handle_slot(conn), low = 0, high = group.n - 1, middle
    while low < high:
        middle = (low + high + 1) // 2
        if group.first_slot[middle] <= slot:
            low = middle
        else:
            high = middle - 1
    return low


cdef inline uint64_t to_member(const Spread* group, uint32_t m, uint64_t conn) noexcept nogil:
    """A handle of the group, whose owner is m, as that member has it."""
    return conn - group.first_slot[m]


cdef inline uint64_t to_group(const Spread* group, uint32_t m, uint64_t conn) noexcept nogil:
    """A member's handle as the group has it; 0 stays 0."""
    return conn + group.first_slot[m] if conn else 0
