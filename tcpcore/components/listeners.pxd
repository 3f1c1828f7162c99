# Listeners: which one a SYN is for, how many half-open entries each has, and its accept queue, the
# established connections that nobody has accepted yet. Entries are TCBs of the pool: here they are
# counted, and queued by reference (slot + 1). Whether a SYN may become an entry is syn_policy's question.
#
#   by_address   open addressing, 8 bytes an entry:  | addr 32 | port 16 | id 16 |
#
# Ids are 1 .. 65535; one is used again only when all have been used, so an old TCB's `listener` seldom names
# another listener. A Listener* stays valid: listeners never move.
# Invariants: young <= half_open; an OPEN listener is in by_address, a CLOSING one is not, and it becomes
# FREE when its last half-open entry and its last unaccepted connection have gone. "Young" and "mature"
# are Linux's words (inet_csk_reqsk_queue_young): a young entry's SYN-ACK was never resent.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from tcpcore.base.probing cimport ProbeTable
from tcpcore.base.ring cimport Ring, ring_at
from tcpcore.records.connect_args cimport Asked

cdef enum:
    MAX_LISTENERS = 65535

cdef enum ListenerState:
    LISTENER_FREE = 0
    LISTENER_OPEN = 1
    LISTENER_CLOSING = 2

cdef struct Listener:
    uint32_t addr             # 0: any
    uint16_t port             # of a FREE one: the id freed after this one, 0 none
    uint8_t state             # ListenerState
    uint8_t auto_accept       # the application accepts at once: nothing queues
    uint8_t auto_close        # it answers the peer's FIN with its own
    uint8_t backlog_capped    # backlog is somaxconn: listen() asked for more, or for no number
    uint8_t defer             # timeouts during which a half-open entry waits for text (TCP_DEFER_ACCEPT)
    uint32_t backlog          # effective, min(backlog, somaxconn)
    uint32_t accept_room      # so many may wait for accept()
    uint32_t half_open
    uint32_t young            # of those: SYN-ACK never resent
    uint32_t rcv_buf          # bytes, not rounded; 0: the knob's
    int64_t cookie_until      # ns; cookies of this listener may come back until then
    Ring accept_queue         # of uint32_t references

cdef struct Burst:
    # what a burst of timers found in a listener's queue, less those that it ended or made mature
    uint64_t number           # 0: there was none
    uint32_t half_open
    uint32_t young

cdef struct ListenerTable:
    Listener* listeners       # [id - 1]
    Burst* bursts             # [id - 1]; apart, so that a Listener stays one cache line
    Asked* asked              # [id - 1]; apart, too: valid where one of them was given
    bint any_asked            # one was
    ProbeTable by_address
    uint32_t n_exact          # entries of by_address with an address
    uint32_t n_any            # and without one
    uint32_t fresh            # ids never used yet start behind this one
    uint16_t free_first       # freed ids, oldest first
    uint16_t free_last

cdef bint listeners_init(ListenerTable* table) noexcept nogil
cdef void listeners_free(ListenerTable* table) noexcept nogil
cdef size_t listeners_bytes(const ListenerTable* table) noexcept nogil
cdef list listeners_check(const ListenerTable* table)

cdef int listener_reserve(ListenerTable* table, uint32_t addr, uint16_t port) noexcept nogil
cdef void listener_next(ListenerTable* table, uint16_t listener) noexcept nogil
cdef int listener_open(ListenerTable* table, uint32_t addr, uint16_t port, uint32_t backlog,
                       uint32_t accept_room) noexcept nogil
cdef void listener_close(ListenerTable* table, uint16_t listener) noexcept nogil
cdef void listener_ask(ListenerTable* table, uint16_t listener, const Asked* asked) noexcept nogil
cdef bint listener_link(ListenerTable* table, uint16_t listener) noexcept nogil
cdef uint16_t listener_find(const ListenerTable* table, uint32_t addr, uint16_t port) noexcept nogil

cdef void half_open_removed(ListenerTable* table, uint16_t listener, bint mature) noexcept nogil
cdef Burst* listener_burst(ListenerTable* table, uint16_t listener, uint64_t number) noexcept nogil
cdef void burst_update(Burst* burst, bint gone, bint young) noexcept nogil
cdef bint accept_queue_push(ListenerTable* table, uint16_t listener, uint32_t ref) noexcept nogil
cdef uint32_t accept_queue_pop(ListenerTable* table, uint16_t listener) noexcept nogil


cdef inline Listener* listener_at(const ListenerTable* table, uint16_t listener) noexcept nogil:
    """The listener with this id, which is not 0."""
    return &table.listeners[listener - 1]


cdef inline Listener* open_listener(const ListenerTable* table, int64_t number) noexcept nogil:
    """The open listener with the id that a caller gives, NULL for none."""
    if not 0 < number <= table.fresh or listener_at(table, number).state != LISTENER_OPEN:
        return NULL
    return listener_at(table, number)


cdef inline const Asked* listener_asked(const ListenerTable* table, uint16_t listener) noexcept nogil:
    """What was asked of this listener's connections, NULL for nothing."""
    if not table.any_asked or not table.asked[listener - 1].given:
        return NULL
    return &table.asked[listener - 1]


cdef inline uint32_t accept_queue_length(const Listener* listener) noexcept nogil:
    """Connections that wait for accept()."""
    return listener.accept_queue.length


cdef inline uint32_t accept_queue_peek(const Listener* listener, uint32_t distance) noexcept nogil:
    """The reference that the pop after `distance` more ones will give, 0 none."""
    if listener.accept_queue.length <= distance:
        return 0
    return (<uint32_t*>ring_at(&listener.accept_queue, distance, sizeof(uint32_t)))[0]


cdef inline bint accept_queue_full(const Listener* listener) noexcept nogil:
    """As many wait as may."""
    return listener.accept_queue.length >= listener.accept_room and not listener.auto_accept


cdef inline void half_open_added(Listener* listener) noexcept nogil:
    """Count a new half-open entry, which is young."""
    listener.half_open += 1
    listener.young += 1


cdef inline void half_open_left(Listener* listener, bint mature) noexcept nogil:
    """half_open_removed of a listener that is OPEN."""
    listener.half_open -= 1
    listener.young -= not mature


cdef inline void half_open_matured(Listener* listener) noexcept nogil:
    """A young entry's SYN-ACK is resent for the first time."""
    listener.young -= 1
