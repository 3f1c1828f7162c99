"""Listeners, their half-open entries as numbers, and the accept queue.

Not whether a SYN may become an entry (policy), nor the timers of entries (wheel).
"""

cimport cython
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect

cdef enum:
    IDS = 65535
    FIRST_PLACES = 16
    FIRST_RING = 16


# ---- lookup

cdef inline uint64_t key_of(uint32_t addr, uint16_t port) noexcept nogil:
    return <uint64_t>addr << 32 | <uint64_t>port << 16


cdef inline uint32_t home_of(const ListenerTable* backlog, uint64_t entry) noexcept nogil:
    """First place to look at, by Fibonacci hashing: only the caller's own listeners are in the table."""
    return <uint32_t>(((entry >> 16) * <uint64_t>0x9E3779B97F4A7C15) >> 32) & backlog.mask


cdef uint32_t place_of(const ListenerTable* backlog, uint64_t key) noexcept nogil:
    """Where the key is, or the empty place where it would be."""
    cdef uint32_t at = home_of(backlog, key)
    while backlog.table[at] and backlog.table[at] >> 16 != key >> 16:
        at = (at + 1) & backlog.mask
    return at


cdef bint widen(ListenerTable* backlog) noexcept nogil:
    """Twice the places; False when memory is refused."""
    cdef uint64_t* old = backlog.table
    cdef uint32_t places = backlog.mask + 1 if old != NULL else 0, i
    cdef uint32_t want = places * 2 if places else FIRST_PLACES
    cdef uint64_t* wider = <uint64_t*>calloc(want, sizeof(uint64_t))
    if wider == NULL:
        return False
    backlog.table = wider
    backlog.mask = want - 1
    for i in range(places):
        if old[i]:
            wider[place_of(backlog, old[i])] = old[i]
    free(old)
    return True


cdef void remove(ListenerTable* backlog, uint64_t key) noexcept nogil:
    """Take a key out of the table and pull back what was pushed past it."""
    cdef uint32_t gap = place_of(backlog, key), at = gap, home
    while True:
        at = (at + 1) & backlog.mask
        if backlog.table[at] == 0:
            break
        home = home_of(backlog, backlog.table[at])
        if ((at - home) & backlog.mask) >= ((at - gap) & backlog.mask):
            backlog.table[gap] = backlog.table[at]
            gap = at
    backlog.table[gap] = 0


cdef uint16_t listener_find(const ListenerTable* backlog, uint32_t addr, uint16_t port) noexcept nogil:
    """The open listener for a SYN to addr:port, its own address before "any"; 0 none."""
    cdef uint16_t listener = 0
    if backlog.n_exact:
        listener = <uint16_t>backlog.table[place_of(backlog, key_of(addr, port))]
    if listener == 0 and backlog.n_any:
        listener = <uint16_t>backlog.table[place_of(backlog, key_of(0, port))]
    return listener


# ---- listeners

cdef bint listeners_init(ListenerTable* backlog) noexcept nogil:
    """No listeners; False when memory is refused."""
    memset(backlog, 0, sizeof(ListenerTable))
    backlog.listeners = <Listener*>arena_map(IDS * sizeof(Listener))
    backlog.bursts = <Burst*>arena_map(IDS * sizeof(Burst))
    if backlog.listeners == NULL or backlog.bursts == NULL or not widen(backlog):
        listeners_free(backlog)
        return False
    return True


cdef void listeners_free(ListenerTable* backlog) noexcept nogil:
    cdef uint32_t i
    for i in range(backlog.fresh):
        free(backlog.listeners[i].ring)
    arena_unmap(backlog.listeners, IDS * sizeof(Listener))
    arena_unmap(backlog.bursts, IDS * sizeof(Burst))
    free(backlog.table)
    memset(backlog, 0, sizeof(ListenerTable))


cdef size_t listeners_bytes(const ListenerTable* backlog) noexcept nogil:
    """Touched bytes of the listeners, allocated ones of the table and the accept queues."""
    cdef size_t total = (arena_touched(backlog.listeners, IDS * sizeof(Listener))
                         + arena_touched(backlog.bursts, IDS * sizeof(Burst)))
    cdef uint32_t i
    for i in range(backlog.fresh):
        total += backlog.listeners[i].ring_room * sizeof(uint32_t)
    return total + (<size_t>backlog.mask + 1) * sizeof(uint64_t)


cdef uint16_t take_id(ListenerTable* backlog) noexcept nogil:
    """A fresh id, or the one freed longest ago; 0 when all are in use."""
    cdef uint16_t listener = backlog.free_first
    if backlog.fresh < IDS:
        backlog.fresh += 1
        return <uint16_t>backlog.fresh
    if listener:
        backlog.free_first = listener_at(backlog, listener).next_free
        if backlog.free_first == 0:
            backlog.free_last = 0
    return listener


cdef int listener_open(ListenerTable* backlog, uint32_t addr, uint16_t port, uint32_t limit,
                      uint32_t room) noexcept nogil:
    """The id of a new listener, other fields 0; 0: addr:port has one, -1: ids or memory are out."""
    cdef uint64_t key = key_of(addr, port)
    cdef Listener* fields
    cdef uint16_t listener
    if backlog.table[place_of(backlog, key)]:
        return 0
    if 2 * (backlog.n_exact + backlog.n_any + 1) > backlog.mask + 1 and not widen(backlog):
        return -1
    listener = take_id(backlog)
    if listener == 0:
        return -1
    fields = listener_at(backlog, listener)
    memset(fields, 0, sizeof(Listener))
    fields.addr = addr
    fields.port = port
    fields.state = LISTENER_OPEN
    fields.backlog = limit
    fields.accept_room = room
    backlog.table[place_of(backlog, key)] = key | listener
    if addr:
        backlog.n_exact += 1
    else:
        backlog.n_any += 1
    return listener


cdef void free_if_unused(ListenerTable* backlog, uint16_t listener) noexcept nogil:
    """Free a closing listener that nothing refers to any more."""
    cdef Listener* fields = listener_at(backlog, listener)
    if fields.state != LISTENER_CLOSING or fields.half_open or fields.ring_len:
        return
    free(fields.ring)
    memset(fields, 0, sizeof(Listener))
    if backlog.bursts[listener - 1].number:
        backlog.bursts[listener - 1].number = 0
    if backlog.free_last:
        listener_at(backlog, backlog.free_last).next_free = listener
    else:
        backlog.free_first = listener
    backlog.free_last = listener


cdef void listener_close(ListenerTable* backlog, uint16_t listener) noexcept nogil:
    """Stop listening: no SYN finds it, addr:port may be opened again, what it holds stays until it goes."""
    cdef Listener* fields = listener_at(backlog, listener)
    expect(fields.state == LISTENER_OPEN)
    remove(backlog, key_of(fields.addr, fields.port))
    if fields.addr:
        backlog.n_exact -= 1
    else:
        backlog.n_any -= 1
    fields.state = LISTENER_CLOSING
    free_if_unused(backlog, listener)


cdef void half_open_removed(ListenerTable* backlog, uint16_t listener, bint mature) noexcept nogil:
    """A half-open entry less: established, evicted, expired, reset or aborted."""
    cdef Listener* fields = listener_at(backlog, listener)
    expect(fields.half_open > 0 and (mature or fields.young > 0))
    fields.half_open -= 1
    if not mature:
        fields.young -= 1
    free_if_unused(backlog, listener)


cdef Burst* listener_burst(ListenerTable* backlog, uint16_t listener, uint32_t number) noexcept nogil:
    """A half-open entry's timer fires in the burst of this number, whose first one notes the counts."""
    cdef Burst* burst = &backlog.bursts[listener - 1]
    if burst.number != number:
        burst.number = number
        burst.half_open = listener_at(backlog, listener).half_open
        burst.young = listener_at(backlog, listener).young
    return burst


cdef void burst_update(Burst* burst, bint gone, bint young) noexcept nogil:
    """It has fired: an entry has gone or is young no more. One that came during the burst was not noted."""
    if gone and burst.half_open:
        burst.half_open -= 1
    if young and burst.young:
        burst.young -= 1


# ---- accept queue

cdef bint widen_ring(Listener* listener) noexcept nogil:
    """Twice the room, the oldest first again; False when memory is refused."""
    cdef uint32_t want = listener.ring_room * 2 if listener.ring_room else FIRST_RING
    cdef uint32_t behind = listener.ring_room - listener.ring_head
    cdef uint32_t* wider = <uint32_t*>malloc(want * sizeof(uint32_t))
    if wider == NULL:
        return False
    if listener.ring_len:
        memcpy(wider, listener.ring + listener.ring_head, behind * sizeof(uint32_t))
        memcpy(wider + behind, listener.ring, listener.ring_head * sizeof(uint32_t))
    free(listener.ring)
    listener.ring = wider
    listener.ring_room = want
    listener.ring_head = 0
    return True


cdef bint accept_queue_push(ListenerTable* backlog, uint16_t listener, uint32_t ref) noexcept nogil:
    """Queue a connection for accept; the caller has asked accept_queue_full. False: no memory."""
    cdef Listener* fields = listener_at(backlog, listener)
    if fields.ring_len == fields.ring_room and not widen_ring(fields):
        return False
    fields.ring[(fields.ring_head + fields.ring_len) & (fields.ring_room - 1)] = ref
    fields.ring_len += 1
    return True


cdef uint32_t accept_queue_pop(ListenerTable* backlog, uint16_t listener) noexcept nogil:
    """The connection that has waited longest, 0 none."""
    cdef Listener* fields = listener_at(backlog, listener)
    cdef uint32_t ref
    if fields.ring_len == 0:
        return 0
    ref = fields.ring[fields.ring_head]
    fields.ring_head = (fields.ring_head + 1) & (fields.ring_room - 1)
    fields.ring_len -= 1
    free_if_unused(backlog, listener)
    return ref


# ---- invariants

cdef list listeners_check(const ListenerTable* backlog):
    """Every broken invariant in words."""
    cdef const Listener* fields
    cdef uint32_t i, n_open = 0, n_free = 0, in_table = 0
    cdef uint16_t listener
    complaints = []
    for i in range(backlog.fresh):
        fields = &backlog.listeners[i]
        listener = <uint16_t>(i + 1)
        if fields.state == LISTENER_OPEN:
            n_open += 1
            if <uint16_t>backlog.table[place_of(backlog, key_of(fields.addr, fields.port))] != listener:
                complaints.append(f"backlog: listener {listener} cannot be found")
        elif fields.state == LISTENER_FREE:
            n_free += 1
        elif fields.half_open == 0 and fields.ring_len == 0:
            complaints.append(f"backlog: listener {listener} should be free")
        if fields.young > fields.half_open or fields.ring_len > fields.ring_room:
            complaints.append(f"backlog: listener {listener}: more young than half-open, or a full ring")
    for i in range(backlog.mask + 1):
        in_table += backlog.table[i] != 0
    if not n_open == in_table == backlog.n_exact + backlog.n_any:
        complaints.append(f"backlog: {n_open} open, {in_table} in the table, counted otherwise")
    listener = backlog.free_first
    while listener and n_free:
        n_free -= 1
        listener = listener_at(backlog, listener).next_free
    if n_free or listener:
        complaints.append("backlog: free listeners and their chain differ")
    return complaints


@cython.final
cdef class Listeners:
    """Listeners by themselves, for tests and benchmarks."""

    cdef ListenerTable backlog

    def __cinit__(self):
        if not listeners_init(&self.backlog):
            raise MemoryError("backlog: no memory")

    def __dealloc__(self):
        listeners_free(&self.backlog)

    cdef Listener* _at(self, uint16_t listener) except NULL:
        cdef Listener* fields = listener_at(&self.backlog, listener) if 1 <= listener <= IDS else NULL
        if fields == NULL or fields.state == LISTENER_FREE:
            raise ValueError(f"listener: {listener} is not in use")
        return fields

    def open(self, uint32_t addr, uint16_t port, uint32_t limit, uint32_t room=1, bint auto_accept=False):
        """The id, 0 when addr:port is taken, -1 when ids are out."""
        listener = listener_open(&self.backlog, addr, port, limit, room)
        if listener > 0:
            self._at(listener).auto_accept = auto_accept
        return listener

    def close(self, uint16_t listener):
        if self._at(listener).state != LISTENER_OPEN:
            raise ValueError(f"listener: {listener} is closing already")
        listener_close(&self.backlog, listener)

    def find(self, uint32_t addr, uint16_t port):
        """The id of the listener for a SYN to addr:port, 0 none."""
        return listener_find(&self.backlog, addr, port)

    def accept_full(self, uint16_t listener):
        return accept_queue_full(self._at(listener))

    def half_opened(self, uint16_t listener):
        half_open_added(self._at(listener))

    def half_matured(self, uint16_t listener):
        if self._at(listener).young == 0:
            raise ValueError(f"listener: {listener} has no young entry")
        half_open_matured(self._at(listener))

    def half_gone(self, uint16_t listener, bint mature):
        fields = self._at(listener)
        if fields.half_open - fields.young == 0 if mature else fields.young == 0:
            raise ValueError(f"listener: {listener} has no such entry")
        half_open_removed(&self.backlog, listener, mature)

    def push(self, uint16_t listener, uint32_t ref):
        self._at(listener)
        return accept_queue_push(&self.backlog, listener, ref)

    def pop(self, uint16_t listener):
        """The oldest reference, 0 none."""
        self._at(listener)
        return accept_queue_pop(&self.backlog, listener)

    def counts(self, uint16_t listener):
        """(half-open, young, unaccepted)."""
        fields = self._at(listener)
        return fields.half_open, fields.young, fields.ring_len

    @property
    def nbytes(self):
        return listeners_bytes(&self.backlog)

    def check(self):
        return listeners_check(&self.backlog)
