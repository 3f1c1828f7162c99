"""Ephemeral port selection and the count of ports taken per destination.

Not the question whether a port is free: that is the flow table's. Source: RFC 6056 3.3; for the
rule "linux" the behaviour of Linux 6.x connect().
"""

# What an outsider could profit from guessing is SipHash-2-4 of a counter or of the destination, under
# one key: messages are told apart by their length or the tag in their second word. Where only the
# places of tables depend on it, 1-3 does.
import numpy as np

cimport cython
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tcpcore.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.intrin cimport expect
from tcpcore.siphash cimport siphash13_tuple, siphash24_1, siphash24_2

cdef enum:
    TABLE = 65536                 # Linux's size; RFC 6056 3.3.4 suggests 10
    INCREMENT = 500               # RFC 6056 3.3.5, the trade-off constant N
    LINUX_SKIP = 8                # after a choice Linux skips up to this many ports of its parity
    FIRST_USES = 64
    LEAST_HALF = 4                # bits; on fewer, Feistel rounds mix badly

cdef enum Tag:
    TAG_OFFSET = 1
    TAG_INDEX = 2
    TAG_ROUND = 3


# ---- numbers nobody outside can guess

cdef inline uint64_t keyed(const Ports* ports, Tag tag, uint64_t a, uint64_t b) noexcept nogil:
    """b has 56 bits."""
    return siphash24_2(ports.k0, ports.k1, a, <uint64_t>tag << 56 | b)


cdef inline uint64_t draw(Ports* ports) noexcept nogil:
    ports.drawn += 1
    return siphash24_1(ports.k0, ports.k1, ports.drawn)


cdef inline uint64_t of_destination(const Ports* ports, Tag tag, uint32_t laddr, uint32_t raddr,
                                    uint16_t rport) noexcept nogil:
    return keyed(ports, tag, <uint64_t>laddr << 32 | raddr, rport)


cdef inline uint32_t perturbation(const Ports* ports, uint32_t index) noexcept nogil:
    """Table entry of algorithm 4: its random first value, computed and not stored, plus its steps."""
    return <uint32_t>siphash13_tuple(ports.k0, ports.k1, index, 0, 0, 0) + ports.perturb[index]


cdef uint32_t shuffled(const Ports* ports, uint64_t key, uint32_t x) noexcept nogil:
    """x < size through a keyed permutation of 0 .. size - 1: four Feistel rounds, walked until inside."""
    cdef uint32_t half = LEAST_HALF, left, right, turn
    while <uint32_t>1 << 2 * half < ports.size:
        half += 1
    while True:
        left = x >> half
        right = x & ((<uint32_t>1 << half) - 1)
        for turn in range(4):
            x = left ^ <uint32_t>keyed(ports, TAG_ROUND, key, right | <uint64_t>turn << 32)
            left = right
            right = x & ((<uint32_t>1 << half) - 1)
        x = left << half | right
        if x < ports.size:
            return x


# ---- how many are taken

cdef inline uint32_t home_of(const Ports* ports, uint32_t laddr, uint32_t raddr,
                             uint16_t rport) noexcept nogil:
    return <uint32_t>siphash13_tuple(ports.k0, ports.k1, raddr, rport, laddr, 0) & ports.mask


cdef uint32_t place_of(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    """Where the destination's entry is, or the empty place where it would be."""
    cdef uint32_t at = home_of(ports, laddr, raddr, rport)
    cdef const PortUse* use = &ports.uses[at]
    while use.count and (use.raddr != raddr or use.laddr != laddr or use.rport != rport):
        at = (at + 1) & ports.mask
        use = &ports.uses[at]
    return at


cdef bint grow(Ports* ports) noexcept nogil:
    """Twice the places; False when memory is refused."""
    cdef PortUse* old = ports.uses
    cdef uint32_t places = ports.mask + 1 if old != NULL else 0, i
    cdef uint32_t want = places * 2 if places else FIRST_USES
    cdef PortUse* wider = <PortUse*>calloc(want, sizeof(PortUse))
    if wider == NULL:
        return False
    ports.uses = wider
    ports.mask = want - 1
    for i in range(places):
        if old[i].count:
            wider[place_of(ports, old[i].laddr, old[i].raddr, old[i].rport)] = old[i]
    free(old)
    return True


cdef void close_gap(Ports* ports, uint32_t gap) noexcept nogil:
    """Empty a place and pull back what was pushed past it."""
    cdef uint32_t at = gap, home
    while True:
        at = (at + 1) & ports.mask
        if ports.uses[at].count == 0:
            break
        home = home_of(ports, ports.uses[at].laddr, ports.uses[at].raddr, ports.uses[at].rport)
        if ((at - home) & ports.mask) >= ((at - gap) & ports.mask):
            ports.uses[gap] = ports.uses[at]
            gap = at
    memset(&ports.uses[gap], 0, sizeof(PortUse))


# ---- the calls

cdef bint ports_init(Ports* ports, PortRule rule, uint16_t low, uint16_t high,
                     uint64_t k0, uint64_t k1) noexcept nogil:
    """Ports low .. high, 1 <= low <= high; False when memory is refused."""
    memset(ports, 0, sizeof(Ports))
    ports.rule = rule
    ports.low = low
    ports.size = <uint32_t>high - low + 1
    ports.k0 = k0
    ports.k1 = k1
    ports.counter = <uint32_t>draw(ports)
    if rule == PORTS_LINUX and ports.size > 1:
        ports.size &= ~<uint32_t>1        # Linux leaves the last port of an odd range alone
    if rule == PORTS_LINUX or rule == PORTS_DOUBLE_HASH:
        ports.perturb = <uint32_t*>arena_map(TABLE * sizeof(uint32_t))
        if ports.perturb == NULL:
            return False
    if not grow(ports):
        ports_free(ports)
        return False
    return True


cdef void ports_free(Ports* ports) noexcept nogil:
    arena_unmap(ports.perturb, TABLE * sizeof(uint32_t))
    free(ports.uses)
    memset(ports, 0, sizeof(Ports))


cdef uint32_t ports_count(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    """Ports taken towards this destination."""
    return ports.uses[place_of(ports, laddr, raddr, rport)].count


cdef bint ports_begin(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                      PortSearch* search) noexcept nogil:
    """Start a search (out) for a port towards a destination; False when all are taken: then the search
    is good for nothing but taking a port over."""
    cdef uint64_t offset
    cdef const PortUse* use = &ports.uses[place_of(ports, laddr, raddr, rport)]
    search.laddr = laddr
    search.raddr = raddr
    search.rport = rport
    search.index = 0
    search.draw = 0
    search.first = 0
    if ports.rule == PORTS_LINUX:
        offset = of_destination(ports, TAG_OFFSET, laddr, raddr, rport)
        search.index = <uint32_t>offset & (TABLE - 1)
        search.start = (<uint32_t>(offset >> 32) + perturbation(ports, search.index)) % ports.size
        search.start &= ~<uint32_t>1
        if use.count - use.odd >= ports.size // 2:
            search.first = ports.size // 2    # one parity is used up: half of the walk can be spared
    elif ports.rule == PORTS_RANDOM:
        search.start = <uint32_t>(draw(ports) % ports.size)
    elif ports.rule == PORTS_RANDOM_RETRY:
        search.draw = draw(ports)
        search.start = 0
    elif ports.rule == PORTS_HASH:
        offset = of_destination(ports, TAG_OFFSET, laddr, raddr, rport)
        search.start = (<uint32_t>offset + ports.counter) % ports.size
    elif ports.rule == PORTS_DOUBLE_HASH:
        offset = of_destination(ports, TAG_OFFSET, laddr, raddr, rport)
        search.index = <uint32_t>of_destination(ports, TAG_INDEX, laddr, raddr, rport) & (TABLE - 1)
        search.start = (<uint32_t>offset + perturbation(ports, search.index)) % ports.size
    else:
        search.start = (ports.counter + 1 + <uint32_t>(draw(ports) % INCREMENT)) % ports.size
    return use.count < ports.size


cdef uint16_t ports_candidate(const Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """The i-th port to try; i = 0 .. size - 1 gives each port of the range once.

    DEVIATES: algorithm 2 draws without repeating itself, and algorithm 5 goes on one by one after
    its first random step (RFC 6056 draws again each time), so that a search always ends.
    """
    cdef uint32_t at, half = ports.size // 2
    expect(i < ports.size)
    if ports.rule == PORTS_RANDOM_RETRY:
        at = shuffled(ports, search.draw, i)
    elif ports.rule == PORTS_LINUX and half:
        at = search.start + (2 * i if i < half else 2 * (i - half) + 1)
    else:
        at = search.start + i
    return <uint16_t>(ports.low + at % ports.size)


cdef bint ports_taken(Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """Candidate i of this search is in use now; False, and not counted, when memory is refused."""
    cdef uint32_t at, skip, half = ports.size // 2
    cdef PortUse* use
    if 2 * (ports.n + 1) > ports.mask + 1 and not grow(ports):
        return False
    at = place_of(ports, search.laddr, search.raddr, search.rport)
    use = &ports.uses[at]
    if use.count == 0:
        ports.n += 1
        use.laddr = search.laddr
        use.raddr = search.raddr
        use.rport = search.rport
    use.count += 1
    use.odd += (ports_candidate(ports, search, i) - ports.low) & 1
    if ports.rule == PORTS_LINUX:
        skip = 2 * <uint32_t>(draw(ports) % LINUX_SKIP)
        i = 2 * (i % half) if half else 0
        ports.perturb[search.index] += (skip if skip > i else i) + 2
    elif ports.rule == PORTS_DOUBLE_HASH:
        ports.perturb[search.index] += i + 1
    elif ports.rule == PORTS_HASH:
        ports.counter += i + 1
    elif ports.rule == PORTS_RANDOM_INCREMENTS:
        ports.counter = search.start + i
    return True


cdef void ports_released(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                         uint16_t lport) noexcept nogil:
    """This port is no longer taken towards this destination."""
    cdef uint32_t at = place_of(ports, laddr, raddr, rport)
    expect(ports.uses[at].count > 0)
    ports.uses[at].count -= 1
    ports.uses[at].odd -= (lport - ports.low) & 1
    if ports.uses[at].count == 0:
        close_gap(ports, at)
        ports.n -= 1


cdef size_t ports_bytes(const Ports* ports) noexcept nogil:
    """Touched bytes of the table and allocated bytes of the counts."""
    cdef size_t table = arena_touched(ports.perturb, TABLE * sizeof(uint32_t))
    return table + (<size_t>ports.mask + 1) * sizeof(PortUse)


cdef list ports_check(const Ports* ports):
    """Every broken invariant in words."""
    cdef const PortUse* use
    cdef uint32_t i, n = 0
    complaints = []
    for i in range(ports.mask + 1):
        use = &ports.uses[i]
        if use.count:
            n += 1
            if use.count > ports.size or use.odd > use.count:
                complaints.append(f"ports: {use.count} taken of {ports.size} at place {i}")
            if place_of(ports, use.laddr, use.raddr, use.rport) != i:
                complaints.append(f"ports: place {i} cannot be found")
    if n != ports.n:
        complaints.append(f"ports: {ports.n} destinations, found {n}")
    return complaints


@cython.final
cdef class EphemeralPorts:
    """Ports `low` .. `high` under a rule (0 is Linux's, 1 to 5 RFC 6056's), for tests and benchmarks."""

    cdef Ports ports
    cdef PortSearch search

    def __cinit__(self, int rule, uint16_t low, uint16_t high, uint64_t k0=0, uint64_t k1=0):
        if not 0 <= rule <= 5 or not 1 <= low <= high:
            raise ValueError(f"rule, low, high: expected 0 .. 5, 1 <= low <= high, got {rule}, {low}, {high}")
        if not ports_init(&self.ports, <PortRule>rule, low, high, k0, k1):
            raise MemoryError("ports: no memory")

    def __dealloc__(self):
        ports_free(&self.ports)

    def begin(self, uint32_t laddr, uint32_t raddr, uint16_t rport):
        """Start a search; False when every port is taken."""
        return ports_begin(&self.ports, laddr, raddr, rport, &self.search)

    def candidates(self, n=None):
        """The first n candidates of the search (uint16), all when None."""
        out = np.empty(self.ports.size if n is None else min(n, self.ports.size), np.uint16)
        cdef uint16_t* port = <uint16_t*><uintptr_t>out.ctypes.data
        cdef uint32_t i
        for i in range(<uint32_t>out.size):
            port[i] = ports_candidate(&self.ports, &self.search, i)
        return out

    def taken(self, uint32_t i):
        """Candidate i of the search is taken."""
        if i >= self.ports.size:
            raise ValueError(f"i: expected 0 .. {self.ports.size - 1}, got {i}")
        return ports_taken(&self.ports, &self.search, i)

    def released(self, uint32_t laddr, uint32_t raddr, uint16_t rport, uint16_t lport):
        if self.count(laddr, raddr, rport) == 0:
            raise ValueError("released: nothing is taken towards this destination")
        ports_released(&self.ports, laddr, raddr, rport, lport)

    def count(self, uint32_t laddr, uint32_t raddr, uint16_t rport):
        """Ports taken towards a destination."""
        return ports_count(&self.ports, laddr, raddr, rport)

    @property
    def first(self):
        """Candidates of the search before this one are known to be taken."""
        return self.search.first

    @property
    def size(self):
        """Ports the rule uses."""
        return self.ports.size

    @property
    def nbytes(self):
        return ports_bytes(&self.ports)

    def check(self):
        return ports_check(&self.ports)
