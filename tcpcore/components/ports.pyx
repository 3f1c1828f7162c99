"""Ephemeral port selection and the count of ports taken per destination.

It does not know whether a port is free: that is a look-up in the flow table. Calls and invariant: ports.pxd.
Source: RFC 6056 3.3; for the rule "linux" __inet_hash_connect() of Linux 6.x (net/ipv4/inet_hashtables.c).
"""

# What an outsider could profit from guessing is SipHash-2-4 of a counter or of the destination, under one
# key: messages are told apart by their length or the tag in their second word. Where only places of
# tables depend on a hash, it is SipHash-1-3.
from libc.stdint cimport int32_t
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.block_order cimport block_order, block_step
from tcpcore.base.permutation cimport permuted
from tcpcore.base.prefetch cimport expect, prefetch
from tcpcore.base.probing cimport (
    probe_at, probe_bytes, probe_free, probe_grow, probe_home, probe_must_grow, probe_next, probe_remove,
)
from tcpcore.base.siphash cimport siphash13_tuple, siphash24_2
from tcpcore.base.siphash_batch cimport siphash13_many, siphash24_many, tuple_first, tuple_last

cdef enum:
    TABLE = 65536                 # Linux: INET_TABLE_PERTURB_SIZE; RFC 6056 3.3.4 suggests 10
    INCREMENT = 500               # RFC 6056 3.3.5, the trade-off constant N
    LINUX_SKIP = 8                # after a choice Linux skips up to this many ports of its parity
    FIRST_PLACES = 64             # of `uses`

cdef enum Tag:
    TAG_OFFSET = 1
    TAG_INDEX = 2
    TAG_ROUND = 3


# ---- numbers nobody outside can guess

cdef inline uint64_t keyed(const Ports* ports, Tag tag, uint64_t a, uint64_t b) noexcept nogil:
    """A number for this use of a and b, which has 56 bits."""
    return siphash24_2(ports.k0, ports.k1, a, <uint64_t>tag << 56 | b)


cdef void draw_ahead(Ports* ports) noexcept nogil:
    """The next SIPHASH_BATCH draws: each is a function of its number alone."""
    cdef uint64_t numbers[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef Py_ssize_t i
    ports.draws_from = ports.drawn + 1
    for i in range(SIPHASH_BATCH):
        numbers[i] = ports.draws_from + i
        last[i] = <uint64_t>8 << 56
    siphash24_many(ports.k0, ports.k1, numbers, last, ports.draws, SIPHASH_BATCH)


cdef inline uint64_t draw(Ports* ports) noexcept nogil:
    """A random number."""
    if ports.drawn + 1 - ports.draws_from >= <uint64_t>SIPHASH_BATCH:
        draw_ahead(ports)
    ports.drawn += 1
    return ports.draws[ports.drawn - ports.draws_from]


cdef inline uint64_t of_destination(const Ports* ports, Tag tag, const PortSearch* search) noexcept nogil:
    return keyed(ports, tag, <uint64_t>search.laddr << 32 | search.raddr, search.rport)


# ---- how many are taken

cdef inline uint32_t hash_of(const Ports* ports, uint32_t laddr, uint32_t raddr,
                             uint16_t rport) noexcept nogil:
    """The hash of a destination, keyed so that nobody can make one search long."""
    return <uint32_t>siphash13_tuple(ports.k0, ports.k1, raddr, rport, laddr, 0)


cdef inline uint32_t hash_of_entry(const void* owner, const void* entry) noexcept nogil:
    """hash_of, as a ProbeHash."""
    cdef const PortUse* use = <const PortUse*>entry
    return hash_of(<const Ports*>owner, use.laddr, use.raddr, use.rport)


cdef inline PortUse* use_at(const Ports* ports, uint32_t place) noexcept nogil:
    return <PortUse*>probe_at(&ports.uses, place, sizeof(PortUse))


cdef inline uint32_t place_from(const Ports* ports, uint32_t hash, uint32_t laddr, uint32_t raddr,
                                uint16_t rport) noexcept nogil:
    """Where the destination's entry is, or the empty place where it would be."""
    cdef uint32_t place = probe_home(&ports.uses, hash)
    cdef const PortUse* use = use_at(ports, place)
    while use.count and (use.raddr != raddr or use.laddr != laddr or use.rport != rport):
        place = probe_next(&ports.uses, place)
        use = use_at(ports, place)
    return place


cdef uint32_t place_of(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    """place_from, where the hash is not known yet."""
    return place_from(ports, hash_of(ports, laddr, raddr, rport), laddr, raddr, rport)


cdef inline PortUse* use_of(const Ports* ports, const PortSearch* search) noexcept nogil:
    """The entry of a search's destination, an empty one if there is none."""
    return use_at(ports, place_from(ports, search.hash, search.laddr, search.raddr, search.rport))


cdef inline bint grow(Ports* ports) noexcept nogil:
    return probe_grow(&ports.uses, FIRST_PLACES, sizeof(PortUse), hash_of_entry, ports)


cdef inline uint16_t odd_of(const PortUse* use) noexcept nogil:
    """Counted ports at an odd distance from the first."""
    return use.odd & ~<uint16_t>HAS_RETRY


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
    ports.counter = 0 if rule == PORTS_SEQUENTIAL else <uint32_t>draw(ports)
    ports.span = ports.size
    if rule == PORTS_LINUX and ports.size > 1:
        ports.size &= ~<uint32_t>1            # of an odd range a search leaves one end out, of three the last
        ports.span = 2 if ports.size == 2 else ports.span
    ports.usable, ports.usable_even = ports.span, (ports.span + 1) // 2
    ports.step = block_step(ports.size)
    if rule == PORTS_LINUX or rule == PORTS_DOUBLE_HASH:
        ports.perturb = <uint32_t*>arena_map(TABLE * sizeof(uint32_t))
        if ports.perturb == NULL:
            return False
    if not grow(ports):
        ports_free(ports)
        return False
    return True


cdef void ports_free(Ports* ports) noexcept nogil:
    """Give all memory back."""
    arena_unmap(ports.perturb, TABLE * sizeof(uint32_t))
    arena_unmap(ports.barred, TABLE)
    probe_free(&ports.uses)
    memset(ports, 0, sizeof(Ports))


cdef uint32_t ports_count(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    """Ports taken towards this destination."""
    return use_at(ports, place_of(ports, laddr, raddr, rport)).count


cdef inline void set_destination(const Ports* ports, const PortUse* use, PortSearch* search) noexcept nogil:
    """Fill in what depends on the destination alone: F and G of RFC 6056 3.3.3 and 3.3.4."""
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


cdef inline bint start_search(Ports* ports, const PortUse* use, PortSearch* search) noexcept nogil:
    """Fill in what depends on the algorithm's state; False when every port is taken."""
    search.draw = 0
    search.first = 0
    if ports.rule == PORTS_LINUX:
        search.start = (search.offset + ports.perturb[search.index]) % ports.size & ~<uint32_t>1
        if <uint32_t>(use.count - odd_of(use)) >= ports.usable_even:
            search.first = ports.size // 2    # one parity is used up: half of the walk can be spared
    elif ports.rule == PORTS_RANDOM:
        search.start = <uint32_t>(draw(ports) % ports.size)
    elif ports.rule == PORTS_RANDOM_RETRY:
        search.draw = draw(ports)
        search.start = 0
    elif ports.rule == PORTS_HASH or ports.rule == PORTS_SEQUENTIAL:
        search.start = (search.offset + ports.counter) % ports.size
    elif ports.rule == PORTS_DOUBLE_HASH:
        search.start = (search.offset + ports.perturb[search.index]) % ports.size
    else:
        search.start = (ports.counter + 1 + <uint32_t>(draw(ports) % INCREMENT)) % ports.size
    return use.count < ports.usable


cdef inline void update_state(Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """The algorithm's state after candidate i has been taken."""
    cdef uint32_t skip, half = ports.size // 2
    if ports.rule == PORTS_LINUX:
        skip = 2 * <uint32_t>(draw(ports) % LINUX_SKIP)
        i = 2 * (i if i < half else i - half)
        ports.perturb[search.index] += (skip if skip > i else i) + 2
    elif ports.rule == PORTS_DOUBLE_HASH:
        ports.perturb[search.index] += i + 1
    elif ports.rule == PORTS_HASH:
        ports.counter += i + 1
    elif ports.rule == PORTS_SEQUENTIAL:
        ports.counter = search.start + i + 1
    elif ports.rule == PORTS_RANDOM_INCREMENTS:
        ports.counter = search.start + i


cdef void ports_speculate(Ports* ports, Py_ssize_t n) noexcept nogil:
    """Prepare the first n of ports.searches, with destinations filled in, and say which port each will find.
    They are run as if each first candidate were free, and what that did to the algorithm's state is undone:
    the real searches, which look at the flow table, come later and find its lines prefetched."""
    cdef uint64_t first[SIPHASH_BATCH]
    cdef uint64_t last[SIPHASH_BATCH]
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef uint64_t drawn = ports.drawn
    cdef uint32_t counter = ports.counter
    cdef PortSearch* search
    cdef const PortUse* use
    cdef Py_ssize_t i
    for i in range(n):
        search = &ports.searches[i]
        first[i] = tuple_first(search.raddr, search.laddr)
        last[i] = tuple_last(search.rport, 0)
    siphash13_many(ports.k0, ports.k1, first, last, hashes, n)
    for i in range(n):
        ports.searches[i].hash = <uint32_t>hashes[i]
        prefetch(use_at(ports, probe_home(&ports.uses, <uint32_t>hashes[i])))
    if drawn + n - ports.draws_from >= <uint64_t>SIPHASH_BATCH:
        draw_ahead(ports)                 # all that is needed, so that undoing still finds them
    for i in range(n):
        search = &ports.searches[i]
        use = use_of(ports, search)
        set_destination(ports, use, search)
        search.steps = ports.perturb[search.index] if ports.perturb != NULL else 0
        start_search(ports, use, search)
        search.speculated = ports_candidate(ports, search, search.first)
        update_state(ports, search, search.first)
    if ports.perturb != NULL:
        for i in range(n - 1, -1, -1):
            ports.perturb[ports.searches[i].index] = ports.searches[i].steps
    ports.counter = counter
    ports.drawn = drawn


cdef bint ports_begin(Ports* ports, PortSearch* search, bint reuse, int64_t tick) noexcept nogil:
    """Start a search that ports_speculate has prepared; False when it can find nothing. With `reuse` a port
    may also be one that a connection gives up (TIME-WAIT, tcp_tw_reuse): no candidate is left out."""
    cdef const PortUse* use = use_of(ports, search)
    cdef bint free = start_search(ports, use, search)
    if reuse:
        search.first = 0
        return free or (use.odd & HAS_RETRY and <int32_t>(use.retry - <uint32_t>tick) <= 0)
    return free


cdef uint16_t ports_candidate(const Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """The i-th port to try; i = 0 .. size - 1 gives each port of the range once.

    DEVIATES: algorithm 1 goes on in blocks, far apart, once a block is used up, so that no search is long;
    algorithm 2 draws without repeating itself, and algorithm 5 goes on one by one after its first random step
    (RFC 6056 draws again each time), so that a search always ends."""
    cdef uint32_t at, half = ports.size // 2
    expect(i < ports.size)
    if ports.rule == PORTS_RANDOM_RETRY:
        at = permuted(ports.k0, ports.k1, search.draw, <uint64_t>TAG_ROUND << 56, ports.size, i)
    elif ports.rule == PORTS_RANDOM:
        at = search.start + block_order(ports.size, ports.step, i)
    elif ports.rule == PORTS_LINUX and half:
        at = search.start + (2 * i if i < half else 2 * (i - half) + 1)
    else:
        at = search.start + i
    return <uint16_t>(ports.low + (at if at < ports.span else at - ports.size))


cdef bint count_port(Ports* ports, const PortSearch* search, uint16_t lport) noexcept nogil:
    """One more port of the search's destination is counted; False, and it is not, when memory is refused."""
    cdef PortUse* use
    if probe_must_grow(&ports.uses, ports.n) and not grow(ports):
        ports.incomplete = True
        return False
    use = use_of(ports, search)
    if use.count == 0:
        ports.n += 1
        use.laddr, use.raddr, use.rport = search.laddr, search.raddr, search.rport
        use.index, use.offset = search.index, search.offset
    use.count += 1
    use.odd += (lport - ports.low) & 1
    return True


cdef bint count_bound(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                      uint16_t lport) noexcept nogil:
    """ports_bound, for a port of the range."""
    cdef PortSearch search
    cdef PortUse* use
    search.laddr, search.raddr, search.rport = laddr, raddr, rport
    search.hash = hash_of(ports, laddr, raddr, rport)
    use = use_of(ports, &search)
    if use.count == 0:
        set_destination(ports, use, &search)
        return count_port(ports, &search, lport)
    use.count += 1
    use.odd += (lport - ports.low) & 1
    return True


cdef bint ports_taken(Ports* ports, const PortSearch* search, uint32_t i, uint16_t lport) noexcept nogil:
    """Candidate i of this search, lport, is in use now; False, and not counted, when memory is refused."""
    if not count_port(ports, search, lport):
        return False
    update_state(ports, search, i)
    return True


cdef void ports_passed(Ports* ports, const PortSearch* search, uint32_t i) noexcept nogil:
    """Candidate i of this search is in use now; who counts it is another."""
    update_state(ports, search, i)


cdef void ports_full(Ports* ports, const PortSearch* search, int64_t retry) noexcept nogil:
    """A search that left out no candidate has failed; none can be given up before tick `retry` (-1: none)."""
    set_retry(use_of(ports, search), retry)


cdef void ports_given_up(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                         int64_t tick) noexcept nogil:
    """From this tick on, which is not past, a connection with a counted port can be replaced."""
    cdef PortUse* use = use_at(ports, place_of(ports, laddr, raddr, rport))
    if use.count and (not use.odd & HAS_RETRY or <int32_t>(<uint32_t>tick - use.retry) < 0):
        use.retry = <uint32_t>tick
        use.odd |= HAS_RETRY


cdef void ports_after_silence(Ports* ports, int64_t followed, int64_t tick) noexcept nogil:
    """A `retry` that is past becomes `tick`; at `followed`, the call before, all were nearer than 2**31."""
    cdef PortUse* use
    cdef uint32_t i
    for i in range(ports.uses.mask + 1):
        use = use_at(ports, i)
        if use.odd & HAS_RETRY and followed + <int32_t>(use.retry - <uint32_t>followed) < tick:
            use.retry = <uint32_t>tick


cdef void ports_released(Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport,
                         uint16_t lport) noexcept nogil:
    """This port is no longer taken towards this destination."""
    cdef uint32_t place = place_of(ports, laddr, raddr, rport)
    cdef PortUse* use = use_at(ports, place)
    expect(use.count > 0)
    use.count -= 1
    use.odd -= (lport - ports.low) & 1
    if use.count == 0:
        probe_remove(&ports.uses, place, sizeof(PortUse), hash_of_entry, ports)
        ports.n -= 1


cdef PortUse* ports_use(const Ports* ports, uint32_t laddr, uint32_t raddr, uint16_t rport) noexcept nogil:
    """The entry of a destination, an empty one if there is none."""
    return use_at(ports, place_of(ports, laddr, raddr, rport))


cdef size_t ports_bytes(const Ports* ports) noexcept nogil:
    """Touched bytes of `perturb` and allocated ones of `uses`."""
    return (arena_touched(ports.perturb, TABLE * sizeof(uint32_t)) + arena_touched(ports.barred, TABLE)
            + probe_bytes(&ports.uses, sizeof(PortUse)))


cdef dict ports_counts(const Ports* ports):
    """{(laddr, raddr, rport): (ports counted, those at an odd distance from the first)}."""
    cdef const PortUse* use
    cdef uint32_t i
    cdef dict counts = {}
    for i in range(ports.uses.mask + 1):
        use = use_at(ports, i)
        if use.count:
            counts[use.laddr, use.raddr, use.rport] = (use.count, odd_of(use))
    return counts


cdef list ports_check(const Ports* ports):
    """Every broken invariant in words."""
    cdef const PortUse* use
    cdef uint32_t i, n = 0
    cdef list wrong = []
    for i in range(ports.uses.mask + 1):
        use = use_at(ports, i)
        if use.count:
            n += 1
            if use.count > ports.usable or odd_of(use) > use.count:
                wrong.append(f"ports: {use.count} taken of {ports.usable} at place {i}")
            if place_of(ports, use.laddr, use.raddr, use.rport) != i:
                wrong.append(f"ports: place {i} cannot be found")
    if n != ports.n:
        wrong.append(f"ports: {ports.n} destinations, found {n}")
    return wrong
