"""Listeners: the search by address and port, counts of half-open entries, accept queues.

It does not decide whether a SYN may become an entry (syn_policy), nor keep the entries' timers (timer_wheel).
Layout and invariants: listeners.pxd. The search prefers a listener's own address to "any", as bind(2) does.
"""

from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.base.prefetch cimport expect, unlikely
from tcpcore.base.probing cimport (
    probe_at, probe_bytes, probe_free, probe_grow, probe_home, probe_must_grow, probe_next, probe_remove,
)
from tcpcore.base.ring cimport (
    ring_bytes, ring_drop, ring_free, ring_is_sound, ring_oldest, ring_push, ring_reserve,
)

cdef enum:
    FIRST_PLACES = 16         # of by_address, and of an accept queue

assert sizeof(Listener) == 64       # a cache line


# ---- lookup

cdef inline uint64_t key_of(uint32_t addr, uint16_t port) noexcept nogil:
    return <uint64_t>addr << 32 | <uint64_t>port << 16


cdef inline uint32_t hash_of(uint64_t key) noexcept nogil:
    """Fibonacci hashing (Knuth 3, 6.4), not keyed: only the caller's own listeners are in the table."""
    return <uint32_t>(((key >> 16) * <uint64_t>0x9E3779B97F4A7C15) >> 32)


cdef inline uint32_t hash_of_entry(const void* unused, const void* entry) noexcept nogil:
    """hash_of, as a ProbeHash."""
    return hash_of((<const uint64_t*>entry)[0])


cdef inline uint64_t* entry_at(const ListenerTable* table, uint32_t place) noexcept nogil:
    return <uint64_t*>probe_at(&table.by_address, place, sizeof(uint64_t))


cdef inline uint32_t place_of(const ListenerTable* table, uint64_t key) noexcept nogil:
    """Where the key is, or the empty place where it would be."""
    cdef uint32_t place = probe_home(&table.by_address, hash_of(key))
    while entry_at(table, place)[0] and entry_at(table, place)[0] >> 16 != key >> 16:
        place = probe_next(&table.by_address, place)
    return place


cdef inline uint16_t find_exactly(const ListenerTable* table, uint64_t key) noexcept nogil:
    """The id that goes with the key, 0 none."""
    return <uint16_t>entry_at(table, place_of(table, key))[0]


cdef inline bint grow(ListenerTable* table) noexcept nogil:
    return probe_grow(&table.by_address, FIRST_PLACES, sizeof(uint64_t), hash_of_entry, NULL)


cdef uint16_t listener_find(const ListenerTable* table, uint32_t addr, uint16_t port) noexcept nogil:
    """The open listener for a SYN to addr:port, its own address before "any"; 0 none."""
    cdef uint16_t listener = 0
    if table.n_exact:
        listener = find_exactly(table, key_of(addr, port))
    if listener == 0 and table.n_any:
        listener = find_exactly(table, key_of(0, port))
    return listener


# ---- listeners

cdef bint listeners_init(ListenerTable* table) noexcept nogil:
    """No listeners; False when memory is refused."""
    memset(table, 0, sizeof(ListenerTable))
    table.listeners = <Listener*>arena_map(MAX_LISTENERS * sizeof(Listener))
    table.bursts = <Burst*>arena_map(MAX_LISTENERS * sizeof(Burst))
    table.asked = <Asked*>arena_map(MAX_LISTENERS * sizeof(Asked))
    if table.listeners == NULL or table.bursts == NULL or table.asked == NULL or not grow(table):
        listeners_free(table)
        return False
    return True


cdef void listeners_free(ListenerTable* table) noexcept nogil:
    """Give all memory back."""
    cdef uint32_t i
    for i in range(table.fresh):
        ring_free(&table.listeners[i].accept_queue)
    arena_unmap(table.listeners, MAX_LISTENERS * sizeof(Listener))
    arena_unmap(table.bursts, MAX_LISTENERS * sizeof(Burst))
    arena_unmap(table.asked, MAX_LISTENERS * sizeof(Asked))
    probe_free(&table.by_address)
    memset(table, 0, sizeof(ListenerTable))


cdef size_t listeners_bytes(const ListenerTable* table) noexcept nogil:
    """Touched bytes of the listeners, allocated ones of by_address and the accept queues."""
    cdef size_t total = (arena_touched(table.listeners, MAX_LISTENERS * sizeof(Listener))
                         + arena_touched(table.bursts, MAX_LISTENERS * sizeof(Burst))
                         + arena_touched(table.asked, MAX_LISTENERS * sizeof(Asked)))
    cdef uint32_t i
    for i in range(table.fresh):
        total += ring_bytes(&table.listeners[i].accept_queue, sizeof(uint32_t))
    return total + probe_bytes(&table.by_address, sizeof(uint64_t))


cdef uint16_t take_id(ListenerTable* table) noexcept nogil:
    """A fresh id, or the one freed longest ago; 0 when all are in use."""
    cdef uint16_t listener = table.free_first
    if table.fresh < MAX_LISTENERS:
        table.fresh += 1
        return <uint16_t>table.fresh
    if listener:
        table.free_first = listener_at(table, listener).port
        if table.free_first == 0:
            table.free_last = 0
    return listener


cdef int listener_reserve(ListenerTable* table, uint32_t addr, uint16_t port) noexcept nogil:
    """Make room for a listener: 1; 0: addr:port has one, -1: memory is out."""
    if find_exactly(table, key_of(addr, port)):
        return 0
    if probe_must_grow(&table.by_address, table.n_exact + table.n_any) and not grow(table):
        return -1
    return 1


cdef void listener_next(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Make this id, which is free again, the next one that listener_open takes once all have been used."""
    cdef uint16_t before = table.free_first
    if before == listener:
        return
    while listener_at(table, before).port != listener:
        before = listener_at(table, before).port
    listener_at(table, before).port = listener_at(table, listener).port
    if table.free_last == listener:
        table.free_last = before
    listener_at(table, listener).port = table.free_first
    table.free_first = listener


cdef int listener_open(ListenerTable* table, uint32_t addr, uint16_t port, uint32_t backlog,
                       uint32_t accept_room) noexcept nogil:
    """The id of a new listener, other fields 0; 0: addr:port has one, -1: ids or memory are out."""
    cdef int able = listener_reserve(table, addr, port)
    cdef Listener* fields
    cdef uint16_t listener
    if able <= 0:
        return able
    listener = take_id(table)
    if listener == 0:
        return -1
    fields = listener_at(table, listener)
    memset(fields, 0, sizeof(Listener))
    fields.addr = addr
    fields.port = port
    fields.state = LISTENER_OPEN
    fields.backlog = backlog
    fields.accept_room = accept_room
    add_address(table, listener)
    return listener


cdef void listener_ask(ListenerTable* table, uint16_t listener, const Asked* asked) noexcept nogil:
    """Note what is asked of the connections of this listener."""
    if asked.given:
        table.asked[listener - 1] = asked[0]
        table.any_asked = True


cdef bint listener_link(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Let a listener of a snapshot be found if it is OPEN, or else be freed last if it is FREE. False when
    another one has its address, or memory is refused."""
    cdef Listener* fields = listener_at(table, listener)
    cdef uint64_t key = key_of(fields.addr, fields.port)
    if fields.state == LISTENER_FREE:
        chain_free(table, listener)
    elif fields.state == LISTENER_OPEN:
        if (fields.port == 0 or find_exactly(table, key)
                or (probe_must_grow(&table.by_address, table.n_exact + table.n_any) and not grow(table))):
            return False
        add_address(table, listener)
    return True


cdef inline void add_address(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Have SYNs find a listener; the caller knows that there is room and that the address is free."""
    cdef const Listener* fields = listener_at(table, listener)
    cdef uint64_t key = key_of(fields.addr, fields.port)
    entry_at(table, place_of(table, key))[0] = key | listener
    if fields.addr:
        table.n_exact += 1
    else:
        table.n_any += 1


cdef inline void chain_free(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Make an id the last one of the free ones."""
    if table.free_last:
        listener_at(table, table.free_last).port = listener
    else:
        table.free_first = listener
    table.free_last = listener


cdef void free_listener(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Free a listener that nothing refers to; its id becomes the last one of the free ones."""
    cdef Listener* fields = listener_at(table, listener)
    ring_free(&fields.accept_queue)
    memset(fields, 0, sizeof(Listener))
    if table.any_asked:
        table.asked[listener - 1].given = False
    if table.bursts[listener - 1].number:     # not written otherwise: its page may not be there
        table.bursts[listener - 1].number = 0
    chain_free(table, listener)


cdef inline void free_if_unused(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Free a closing listener that nothing refers to any more."""
    cdef const Listener* fields = listener_at(table, listener)
    if (unlikely(fields.state == LISTENER_CLOSING) and fields.half_open == 0
            and fields.accept_queue.length == 0):
        free_listener(table, listener)


cdef void listener_close(ListenerTable* table, uint16_t listener) noexcept nogil:
    """Stop listening: no SYN finds it, addr:port may be opened again, what it holds stays until it goes."""
    cdef Listener* fields = listener_at(table, listener)
    cdef uint32_t place = place_of(table, key_of(fields.addr, fields.port))
    expect(fields.state == LISTENER_OPEN)
    probe_remove(&table.by_address, place, sizeof(uint64_t), hash_of_entry, NULL)
    if fields.addr:
        table.n_exact -= 1
    else:
        table.n_any -= 1
    fields.state = LISTENER_CLOSING
    free_if_unused(table, listener)


cdef void half_open_removed(ListenerTable* table, uint16_t listener, bint mature) noexcept nogil:
    """A half-open entry less: established, evicted, expired, reset or aborted."""
    cdef Listener* fields = listener_at(table, listener)
    expect(fields.half_open > 0 and (mature or fields.young > 0))
    half_open_left(fields, mature)
    free_if_unused(table, listener)


cdef Burst* listener_burst(ListenerTable* table, uint16_t listener, uint64_t number) noexcept nogil:
    """The burst of this number, in which a half-open entry's timer fires; the first one notes the counts."""
    cdef Burst* burst = &table.bursts[listener - 1]
    if burst.number != number:
        burst.number = number
        burst.half_open = listener_at(table, listener).half_open
        burst.young = listener_at(table, listener).young
    return burst


cdef void burst_update(Burst* burst, bint gone, bint young) noexcept nogil:
    """A timer has fired, and its entry is gone or no longer young.

    An entry that came during the burst was not noted, so a count may be 0 already."""
    if gone and burst.half_open:
        burst.half_open -= 1
    if young and burst.young:
        burst.young -= 1


# ---- accept queue

cdef bint accept_queue_push(ListenerTable* table, uint16_t listener, uint32_t ref) noexcept nogil:
    """Queue a connection for accept(); the caller has asked accept_queue_full. False: no memory."""
    cdef Ring* queue = &listener_at(table, listener).accept_queue
    if not ring_reserve(queue, FIRST_PLACES, sizeof(uint32_t)):
        return False
    (<uint32_t*>ring_push(queue, sizeof(uint32_t)))[0] = ref
    return True


cdef uint32_t accept_queue_pop(ListenerTable* table, uint16_t listener) noexcept nogil:
    """The connection that has waited longest, 0 none."""
    cdef Listener* fields = listener_at(table, listener)
    cdef uint32_t ref
    if fields.accept_queue.length == 0:
        return 0
    ref = (<uint32_t*>ring_oldest(&fields.accept_queue, sizeof(uint32_t)))[0]
    ring_drop(&fields.accept_queue)
    free_if_unused(table, listener)
    return ref


# ---- invariants

cdef list check_listener(const ListenerTable* table, uint16_t listener):
    """Broken invariants of one listener in words."""
    cdef const Listener* fields = listener_at(table, listener)
    cdef list wrong = []
    if fields.state == LISTENER_OPEN:
        if find_exactly(table, key_of(fields.addr, fields.port)) != listener:
            wrong.append(f"listeners: {listener} cannot be found")
    elif fields.state == LISTENER_CLOSING and fields.half_open == 0 and fields.accept_queue.length == 0:
        wrong.append(f"listeners: {listener} should be free")
    if fields.young > fields.half_open or not ring_is_sound(&fields.accept_queue):
        wrong.append(f"listeners: {listener} has more young than half-open entries, or a broken accept queue")
    return wrong


cdef list listeners_check(const ListenerTable* table):
    """Every broken invariant in words."""
    cdef uint32_t i, n_open = 0, n_free = 0, in_table = 0
    cdef uint16_t listener
    cdef list wrong = []
    for i in range(table.fresh):
        n_open += table.listeners[i].state == LISTENER_OPEN
        n_free += table.listeners[i].state == LISTENER_FREE
        wrong += check_listener(table, <uint16_t>(i + 1))
    for i in range(table.by_address.mask + 1):
        in_table += entry_at(table, i)[0] != 0
    if not n_open == in_table == table.n_exact + table.n_any:
        wrong.append(f"listeners: {n_open} open, {in_table} in the table, counted otherwise")
    listener = table.free_first
    while listener and n_free:
        n_free -= 1
        listener = listener_at(table, listener).port
    if n_free or listener:
        wrong.append("listeners: free ones and their chain differ")
    return wrong
