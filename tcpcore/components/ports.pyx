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

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect, prefetch
from tcpcore.base.siphash cimport siphash13_tuple, siphash24_2
from tcpcore.base.siphash_batch cimport siphash13_many, siphash24_many, tuple_first, tuple_last

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


cdef void draw_ahead(Ports* ports) noexcept nogil:
    """The next LANES draws: each is a function of its number alone."""
    cdef uint64_t numbers[LANES]
    cdef uint64_t last[LANES]
    cdef Py_ssize_t i
    ports.draws_from = ports.drawn + 1
    for i in range(LANES):
        numbers[i] = ports.draws_from + i
        last[i] = <uint64_t>8 << 56
    siphash24_many(ports.k0, ports.k1, numbers, last, ports.draws, LANES)


cdef inline uint64_t draw(Ports* ports) noexcept nogil:
    if ports.drawn + 1 - ports.draws_from >= <uint64_t>LANES:
        draw_ahead(ports)
    ports.drawn += 1
    return ports.draws[ports.drawn - ports.draws_from]


cdef inline uint64_t of_destination(const Ports* ports, Tag tag, const PortSearch* search) noexcept nogil:
    return keyed(ports, tag, <uint64_t>search.laddr << 32 | search.raddr, search.rport)


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

cdef uint32_t home_of(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    return <uint32_t>siphash13_tuple(ports.k0, ports.k1, raddr, rport, laddr, 0)


cdef inline uint32_t place_from(const Ports* ports, uint32_t home, uint32_t laddr, uint32_t raddr,
                                uint16_t rport) noexcept nogil:
    """Where the destination's entry is, or the empty place where it would be."""
    cdef uint32_t at = home & ports.mask
    cdef const PortUse* use = &ports.uses[at]
    while use.count and (use.raddr != raddr or use.laddr != laddr or use.rport != rport):
        at = (at + 1) & ports.mask
        use = &ports.uses[at]
    return at


cdef uint32_t place_of(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    return place_from(ports, home_of(ports, laddr, raddr, rport), laddr, raddr, rport)


cdef inline PortUse* use_of(const Ports* ports, const PortSearch* search) noexcept nogil:
    return &ports.uses[place_from(ports, search.home, search.laddr, search.raddr, search.rport)]


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
        home = home_of(ports, ports.uses[at].laddr, ports.uses[at].raddr, ports.uses[at].rport) & ports.mask
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
    draw_ahead(ports)
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


cdef inline void aim(const Ports* ports, const PortUse* use, PortSearch* search) noexcept nogil:
    """What a search owes to its destination alone."""
    cdef uint64_t offset
    search.index, search.offset = use.index, use.offset
    if use.count or ports.perturb == NULL and ports.rule != PORTS_HASH:
        return
    offset = of_destination(ports, TAG_OFFSET, search)
    search.index = <uint16_t>offset
    search.offset = <uint32_t>offset
    if ports.rule == PORTS_LINUX:
        search.offset = <uint32_t>(offset >> 32)
    elif ports.rule == PORTS_DOUBLE_HASH:
        search.index = <uint16_t>of_destination(ports, TAG_INDEX, search)
    if ports.perturb != NULL:             # its entry's random first value is computed, not stored
        search.offset += <uint32_t>siphash13_tuple(ports.k0, ports.k1, search.index, 0, 0, 0)


cdef inline bint start(Ports* ports, const PortUse* use, PortSearch* search) noexcept nogil:
    """What it owes to all that was taken so far; False when all are."""
    search.draw = 0
    search.first = 0
    if ports.rule == PORTS_LINUX:
        search.start = (search.offset + ports.perturb[search.index]) % ports.size & ~<uint32_t>1
        if use.count - use.odd >= ports.size // 2:
            search.first = ports.size // 2    # one parity is used up: half of the walk can be spared
    elif ports.rule == PORTS_RANDOM:
        search.start = <uint32_t>(draw(ports) % ports.size)
    elif ports.rule == PORTS_RANDOM_RETRY:
        search.draw = draw(ports)
        search.start = 0
    elif ports.rule == PORTS_HASH:
        search.start = (search.offset + ports.counter) % ports.size
    elif ports.rule == PORTS_DOUBLE_HASH:
        search.start = (search.offset + ports.perturb[search.index]) % ports.size
    else:
        search.start = (ports.counter + 1 + <uint32_t>(draw(ports) % INCREMENT)) % ports.size
    return use.count < ports.size


cdef inline void move_on(Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """The algorithm's memory after candidate i has been taken."""
    cdef uint32_t skip, half = ports.size // 2
    if ports.rule == PORTS_LINUX:
        skip = 2 * <uint32_t>(draw(ports) % LINUX_SKIP)
        i = 2 * (i if i < half else i - half)
        ports.perturb[search.index] += (skip if skip > i else i) + 2
    elif ports.rule == PORTS_DOUBLE_HASH:
        ports.perturb[search.index] += i + 1
    elif ports.rule == PORTS_HASH:
        ports.counter += i + 1
    elif ports.rule == PORTS_RANDOM_INCREMENTS:
        ports.counter = search.start + i


cdef void ports_speculate(Ports* ports, Py_ssize_t n) noexcept nogil:
    """Prepare the first n of ports.searches, with destinations filled in, and foresee their ports: all are
    played as if each first candidate were free, and what that did to the algorithm's memory is taken back."""
    cdef uint64_t first[LANES]
    cdef uint64_t last[LANES]
    cdef uint64_t homes[LANES]
    cdef uint64_t drawn = ports.drawn
    cdef uint32_t counter = ports.counter
    cdef PortSearch* search
    cdef const PortUse* use
    cdef Py_ssize_t i
    for i in range(n):
        search = &ports.searches[i]
        first[i] = tuple_first(search.raddr, search.laddr)
        last[i] = tuple_last(search.rport, 0)
    siphash13_many(ports.k0, ports.k1, first, last, homes, n)
    for i in range(n):
        ports.searches[i].home = <uint32_t>homes[i]
        prefetch(&ports.uses[<uint32_t>homes[i] & ports.mask])
    if drawn + n - ports.draws_from >= <uint64_t>LANES:
        draw_ahead(ports)                 # all of these: taking back shall not find them gone
    for i in range(n):
        search = &ports.searches[i]
        use = use_of(ports, search)
        aim(ports, use, search)
        search.steps = ports.perturb[search.index] if ports.perturb != NULL else 0
        start(ports, use, search)
        search.speculated = ports_candidate(ports, search, search.first)
        move_on(ports, search, search.first)
    if ports.perturb != NULL:
        for i in range(n - 1, -1, -1):
            ports.perturb[ports.searches[i].index] = ports.searches[i].steps
    ports.counter = counter
    ports.drawn = drawn


cdef bint ports_begin(Ports* ports, PortSearch* search) noexcept nogil:
    """Start a search made ready; False when all are taken: then it is good only for taking one over."""
    return start(ports, use_of(ports, search), search)


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
    return <uint16_t>(ports.low + (at if at < ports.size else at - ports.size))


cdef bint ports_taken(Ports* ports, const PortSearch* search, uint32_t i, uint16_t lport) noexcept nogil:
    """Candidate i of this search, lport, is in use now; False, and not counted, when memory is refused."""
    cdef PortUse* use
    if 2 * (ports.n + 1) > ports.mask + 1 and not grow(ports):
        return False
    use = use_of(ports, search)
    if use.count == 0:
        ports.n += 1
        use.laddr, use.raddr, use.rport = search.laddr, search.raddr, search.rport
        use.index, use.offset = search.index, search.offset
    use.count += 1
    use.odd += (lport - ports.low) & 1
    move_on(ports, search, i)
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
    return arena_touched(ports.perturb, TABLE * sizeof(uint32_t)) + (<size_t>ports.mask + 1) * sizeof(PortUse)


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

    def __cinit__(self, int rule, uint16_t low, uint16_t high, uint64_t k0=0, uint64_t k1=0):
        if not 0 <= rule <= 5 or not 1 <= low <= high:
            raise ValueError(f"rule, low, high: expected 0 .. 5, 1 <= low <= high, got {rule}, {low}, {high}")
        if not ports_init(&self.ports, <PortRule>rule, low, high, k0, k1):
            raise MemoryError("ports: no memory")

    def __dealloc__(self):
        ports_free(&self.ports)

    def begin(self, uint32_t laddr, uint32_t raddr, uint16_t rport):
        """Start a search; False when every port is taken."""
        cdef PortSearch* search = self.ports.searches
        search.laddr, search.raddr, search.rport = laddr, raddr, rport
        ports_speculate(&self.ports, 1)
        return ports_begin(&self.ports, search)

    def candidates(self, n=None):
        """The first n candidates of the search (uint16), all when None."""
        out = np.empty(self.ports.size if n is None else min(n, self.ports.size), np.uint16)
        cdef uint16_t* port = <uint16_t*><uintptr_t>out.ctypes.data
        cdef uint32_t i
        for i in range(<uint32_t>out.size):
            port[i] = ports_candidate(&self.ports, self.ports.searches, i)
        return out

    def taken(self, uint32_t i):
        """Candidate i of the search is taken."""
        if i >= self.ports.size:
            raise ValueError(f"i: expected 0 .. {self.ports.size - 1}, got {i}")
        return ports_taken(&self.ports, self.ports.searches, i,
                           ports_candidate(&self.ports, self.ports.searches, i))

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
        return self.ports.searches[0].first

    @property
    def size(self):
        """Ports the rule uses."""
        return self.ports.size

    @property
    def nbytes(self):
        return ports_bytes(&self.ports)

    def check(self):
        return ports_check(&self.ports)
