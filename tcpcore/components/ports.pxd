# Ephemeral ports: in which order connect() tries them (RFC 6056), and how many are taken towards each
# destination, so that exhaustion is answered without a search. Whether a port is free is not known here: the
# caller looks one candidate after the other up in the flow table.
#
#   ports_speculate    prepares the first n of `searches` and says which port each will find if every first
#                      candidate is free; a hint, by which the caller prefetches
#   ports_begin     -> False: nothing can be found: all are taken, and none of them can be given up yet
#   ports_candidate    the i-th port to try, 0 <= i < size: every port of the range exactly once;
#                      search.first says where to begin
#   ports_taken        the i-th candidate is in use: counted, and the algorithm's state moves on
#   ports_passed    the i-th candidate is in use, and counted elsewhere: the algorithm's state moves on
#   ports_bound     a connection got its port without a search (named by the caller, or passive): counted if
#                      it is one of the range
#   ports_full      a search has found nothing; when the first of the ports it met can be given up
#   ports_given_up  a connection that has a counted port can be replaced from some tick on (TIME-WAIT)
#   ports_after_silence    called every few days: a time kept in 32 bits must not grow old
#   ports_released     a connection that was counted is gone
#   ports_left_out     of a range of odd size: the port that this search leaves out, if that is what is left
#   ports_bar       a port is given to nobody from now on (reserved, or somebody listens there), or is again
#
# Invariant: each connection whose local port is one of the range, and not barred, is counted; a destination
# has an entry in `uses` exactly while its count is above 0. (Where memory for an entry was refused,
# `incomplete` says so, and a search may look at ports in vain.) Where all its ports are counted, none of them
# can be given up before its `retry`.
# So a refusal is one look at the count. A walk over the range finds nothing only where TIME-WAITs may be
# replaced: once for each of them that went otherwise.
# A port outside the range, such as a server's, costs one comparison. A listener inside it costs an entry and
# a hash for each peer. A search that finds the last free port walks the range, here as in Linux.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.base.arena cimport arena_map
from tcpcore.base.prefetch cimport unlikely
from tcpcore.base.probing cimport ProbeTable
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH

cdef enum PortRule:
    PORTS_LINUX = 0               # algorithm 4, one parity first, then the other
    PORTS_RANDOM = 1              # the numbers of RFC 6056 3.3.1 to 3.3.5
    PORTS_RANDOM_RETRY = 2
    PORTS_HASH = 3
    PORTS_DOUBLE_HASH = 4
    PORTS_RANDOM_INCREMENTS = 5
    PORTS_SEQUENTIAL = 6          # one after the other (RFC 6056 2.1; FreeBSD: portrange.randomized 0)

cdef enum Bar:
    BAR_RESERVED = 1              # ip_local_reserved_ports
    BAR_LISTENED = 2

cdef enum:
    PORT_NUMBERS = 65536
    HAS_RETRY = 0x8000            # a bit of PortUse.odd, which is at most 32,767

cdef struct PortUse:
    uint32_t laddr
    uint32_t raddr
    uint16_t count                # ports taken; 0: no entry
    uint16_t odd                  # of those: an odd distance from the first port; and HAS_RETRY
    uint32_t retry                # with HAS_RETRY: none can be given up before this tick; else none at all
    uint32_t offset               # as in PortSearch, kept so that it is hashed once
    uint16_t index
    uint16_t rport

cdef struct PortSearch:
    uint32_t laddr
    uint32_t raddr
    uint16_t rport
    uint16_t speculated           # the port that ports_speculate expects
    uint16_t index                # entry of `perturb`
    uint32_t steps                # what was in it when ports_speculate began
    uint32_t offset               # where the destination's walk through the range starts, but for its steps
    uint32_t hash                 # of the destination
    uint32_t start                # first candidate, as offset into the range
    uint32_t first                # candidates before this one are known to be taken
    uint64_t draw                 # key of the permutation of algorithm 2

cdef struct Ports:
    PortRule rule
    uint32_t low                  # first port
    uint32_t size                 # candidates of a search
    uint32_t span                 # ports that searches may give, one more than size where the range is odd
    uint32_t usable               # of those: not barred
    uint32_t usable_even          # of those: an even distance from the first
    uint8_t* barred               # [65536] Bar bits of each port; NULL: there is none
    uint64_t k0
    uint64_t k1
    uint64_t drawn                # random numbers drawn so far
    uint64_t draws[SIPHASH_BATCH]     # some numbers, from number draws_from on
    uint64_t draws_from
    uint32_t step                 # of algorithm 1, from block to block (base/block_order)
    uint32_t counter              # next_ephemeral of algorithms 3 and 5
    uint32_t* perturb             # [65536] steps of each table entry of algorithm 4 so far
    ProbeTable uses               # of PortUse, by destination
    uint32_t n                    # destinations
    bint incomplete               # memory for an entry was refused: not all ports are counted
    PortSearch searches[SIPHASH_BATCH]    # for the caller

cdef bint ports_init(Ports* ports, PortRule rule, uint16_t low, uint16_t high,
                     uint64_t k0, uint64_t k1) noexcept nogil
cdef void ports_free(Ports* ports) noexcept nogil
cdef uint32_t ports_count(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil
cdef void ports_speculate(Ports* ports, Py_ssize_t n) noexcept nogil
cdef bint ports_begin(Ports* ports, PortSearch* search, bint reuse, int64_t tick) noexcept nogil
cdef uint16_t ports_candidate(const Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil
cdef bint ports_taken(Ports* ports, const PortSearch* search, uint32_t i, uint16_t lport) noexcept nogil
cdef void ports_full(Ports* ports, const PortSearch* search, int64_t retry) noexcept nogil
cdef void ports_passed(Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil
cdef void ports_given_up(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                         int64_t tick) noexcept nogil
cdef void ports_after_silence(Ports* ports, int64_t followed, int64_t tick) noexcept nogil
cdef bint count_bound(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                      uint16_t lport) noexcept nogil
cdef void ports_released(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                         uint16_t lport) noexcept nogil
cdef PortUse* ports_use(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil
cdef size_t ports_bytes(const Ports* ports) noexcept nogil
cdef dict ports_counts(const Ports* ports)
cdef list ports_check(const Ports* ports)


cdef inline void set_retry(PortUse* use, int64_t retry) noexcept nogil:
    """None of this destination's counted ports can be given up before tick `retry`; -1: none at all."""
    if use.count:
        use.retry = <uint32_t>retry
        use.odd = (use.odd & <uint16_t>~HAS_RETRY) | (HAS_RETRY if retry >= 0 else 0)


cdef inline bint is_barred(const Ports* ports, uint16_t lport) noexcept nogil:
    """Whether this port is reserved, or somebody listens there."""
    return ports.barred != NULL and ports.barred[lport] != 0


cdef inline bint in_port_range(const Ports* ports, uint16_t lport) noexcept nogil:
    """Whether a search may give this port."""
    return <uint32_t>(lport - ports.low) < ports.span and not is_barred(ports, lport)


cdef inline bint ports_bound(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                             uint16_t lport) noexcept nogil:
    """A connection has this port without a search. True: it is counted."""
    return unlikely(in_port_range(ports, lport)) and count_bound(ports, laddr, raddr, rport, lport)


cdef inline bint ports_bar(Ports* ports, uint16_t lport, Bar bar, bint on) noexcept nogil:
    """Bar this port for this reason, or not any more; False, and it is not, when memory is refused. No
    connection with this port may be counted."""
    cdef uint8_t was
    cdef int change
    if ports.barred == NULL:
        if not on:
            return True
        ports.barred = <uint8_t*>arena_map(PORT_NUMBERS)
        if ports.barred == NULL:
            return False
    was = ports.barred[lport]
    ports.barred[lport] = was | bar if on else was & ~bar
    if <uint32_t>(lport - ports.low) < ports.span:
        change = (was != 0) - (ports.barred[lport] != 0)
        ports.usable += change
        if not (lport - ports.low) & 1:
            ports.usable_even += change
    return True


cdef inline uint16_t ports_left_out(const Ports* ports, const PortSearch* search,
                                    uint32_t bound) noexcept nogil:
    """Of a range of odd size: the end of it that this search leaves out, if all others of its parity are
    counted, or among so many that are bound; the caller looks whether it is free, and then the search has
    ports of the other parity at most, from `first` on. Else 0."""
    cdef const PortUse* use = ports_use(ports, search.laddr, search.raddr, search.rport)
    cdef uint16_t end = <uint16_t>(ports.low + (ports.size if search.start == 0 else 0))
    if (is_barred(ports, end)
            or <uint32_t>(use.count - (use.odd & ~HAS_RETRY)) + bound + 1 != ports.usable_even):
        return 0
    return end


cdef inline bint ports_odd_full(const Ports* ports, const PortSearch* search, uint32_t bound) noexcept nogil:
    """True if all ports at an odd distance from the first are counted, or among so many that are bound."""
    cdef const PortUse* use = ports_use(ports, search.laddr, search.raddr, search.rport)
    return <uint32_t>(use.odd & ~HAS_RETRY) + bound >= ports.usable - ports.usable_even
