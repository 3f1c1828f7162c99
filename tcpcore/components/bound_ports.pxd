# Local ports that connections have by their name, or from a listener that is gone: of an address and port,
# how many do, and how many have it from a search. A search passes over the first kind, whomever it is for.
#
#   | laddr 32 | bound 32 | chosen 32 | lport 16 | 0 16 |
#
# Of port 0: how many ports of laddr are bound, and how many of those are an odd distance from the first one.
#
# Nothing is counted before a search asks while ports are bound (`use`): who names all ports pays nothing.
# Not here: which TCBs there are; loops/connect finds them when counting begins.
# Invariant: an entry has a count above 0. Source: inet_bind_bucket of Linux.
from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint8_t

from tcpcore.base.probing cimport (
    ProbeTable, probe_at, probe_bytes, probe_free, probe_grow, probe_home, probe_must_grow, probe_next,
    probe_remove,
)

cdef enum BoundUse:
    BOUND_NONE = 0            # there has been no bound port
    BOUND_SEEN = 1            # there has, and nobody has searched since
    BOUND_COUNTED = 2

cdef struct BoundPort:
    uint32_t laddr
    uint32_t bound
    uint32_t chosen
    uint16_t lport
    uint16_t _pad

cdef struct BoundPorts:
    ProbeTable ports          # of BoundPort
    uint32_t n                # entries
    uint8_t use               # BoundUse
    uint8_t by_search         # what opens next has its port from a search of the group
    uint8_t incomplete        # memory was refused: some ports are given although they are bound


cdef inline BoundPort* bound_at(const BoundPorts* bound, uint32_t place) noexcept nogil:
    return <BoundPort*>probe_at(&bound.ports, place, sizeof(BoundPort))


cdef inline uint32_t hash_of_bound(const void* owner, const void* entry) noexcept nogil:
    """As a ProbeHash. Without a key: no peer chooses our address and port."""
    cdef const BoundPort* port = <const BoundPort*>entry
    cdef uint32_t hash = port.laddr * <uint32_t>0x9E3779B1 + port.lport * <uint32_t>0x85EBCA6B
    return hash ^ hash >> 15


cdef inline uint32_t bound_place(const BoundPorts* bound, uint32_t laddr, uint16_t lport) noexcept nogil:
    """Where this address and port has its entry, or the empty place where it would; there is a table."""
    cdef BoundPort key
    cdef uint32_t place
    cdef const BoundPort* entry
    key.laddr, key.lport = laddr, lport
    place = probe_home(&bound.ports, hash_of_bound(NULL, &key))
    entry = bound_at(bound, place)
    while entry.bound + entry.chosen and (entry.laddr != laddr or entry.lport != lport):
        place = probe_next(&bound.ports, place)
        entry = bound_at(bound, place)
    return place


cdef inline uint32_t bound_count(const BoundPorts* bound, uint32_t laddr, uint16_t lport) noexcept nogil:
    """Connections that bind this port; of port 0: ports of this address that are bound."""
    return bound_at(bound, bound_place(bound, laddr, lport)).bound if bound.n else 0


cdef inline uint32_t bound_chosen(const BoundPorts* bound, uint32_t laddr, uint16_t lport) noexcept nogil:
    """Connections that have this port from a search; of port 0: bound ones at an odd distance."""
    return bound_at(bound, bound_place(bound, laddr, lport)).chosen if bound.n else 0


cdef inline void bound_change(BoundPorts* bound, uint32_t laddr, uint16_t lport, int by,
                              int by_chosen) noexcept nogil:
    """Change the two counts of an entry, which is made or removed as is needed."""
    cdef uint32_t place
    cdef BoundPort* entry
    if (by > 0 or by_chosen > 0) and (probe_must_grow(&bound.ports, bound.n) or bound.ports.entries == NULL):
        if not probe_grow(&bound.ports, 64, sizeof(BoundPort), hash_of_bound, NULL):
            bound.incomplete = True
            return
    if bound.ports.entries == NULL:
        return
    place = bound_place(bound, laddr, lport)
    entry = bound_at(bound, place)
    bound.n += entry.bound + entry.chosen == 0
    entry.laddr, entry.lport = laddr, lport
    entry.bound += by if by > 0 or entry.bound else 0
    entry.chosen += by_chosen if by_chosen > 0 or entry.chosen else 0
    if entry.bound + entry.chosen == 0:
        bound.n -= 1
        probe_remove(&bound.ports, place, sizeof(BoundPort), hash_of_bound, NULL)


cdef inline void bound_add(BoundPorts* bound, uint32_t laddr, uint16_t lport, bint chosen,
                           bint odd) noexcept nogil:
    """One more connection has this port, at an odd distance or not: by a search (chosen), or it binds it."""
    bound_change(bound, laddr, lport, not chosen, chosen)
    if not chosen and bound_count(bound, laddr, lport) == 1:
        bound_change(bound, laddr, 0, 1, odd)


cdef inline void bound_remove(BoundPorts* bound, uint32_t laddr, uint16_t lport, bint chosen,
                              bint odd) noexcept nogil:
    """One of them is gone."""
    cdef bint last = not chosen and bound_count(bound, laddr, lport) == 1
    bound_change(bound, laddr, lport, -<int>(not chosen), -<int>chosen)
    if last:
        bound_change(bound, laddr, 0, -1, -<int>odd)


cdef inline size_t bound_bytes(const BoundPorts* bound) noexcept nogil:
    """Allocated bytes."""
    return probe_bytes(&bound.ports, sizeof(BoundPort)) if bound.ports.entries != NULL else 0


cdef inline void bound_free(BoundPorts* bound) noexcept nogil:
    """Give the memory back."""
    probe_free(&bound.ports)
