# Listeners: which one a SYN is for, how many half-open entries each has, and the queue of
# established connections that nobody has accepted yet. The entries themselves are blocks; here
# they are only counted, and queued by reference (slot + 1).
#
#   table   one u64 per place, open addressing:  | addr 32 | port 16 | id 16 |   0 is empty
#
# Ids are 1 .. 65535; one is used again only when all have been used, so a late block's
# `listener` seldom names a stranger. A Listener* stays valid: listeners never move.
# Invariant: young <= half_open; an OPEN listener is in the table, a CLOSING one is not and
# becomes FREE when its last half-open entry and its last unaccepted connection have gone.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum ListenerState:
    LISTENER_FREE = 0
    LISTENER_OPEN = 1
    LISTENER_CLOSING = 2

cdef struct Listener:
    uint32_t addr             # 0: any
    uint16_t port
    uint8_t state             # ListenerState
    uint8_t auto_accept       # the application accepts at once: nothing queues
    uint8_t auto_close        # it answers the peer's FIN with its own
    uint8_t backlog_capped    # backlog is somaxconn: listen() asked for more, or for no number
    uint16_t next_free        # id freed after this one, 0 none
    uint32_t backlog          # effective, min(backlog, somaxconn)
    uint32_t accept_room      # so many may wait for accept()
    uint32_t half_open
    uint32_t young            # of those: SYN-ACK never resent
    uint32_t rcv_buf          # bytes, not rounded; 0: the knob's
    int64_t cookie_until      # ns; cookies of this listener may come back until then
    uint32_t* ring            # accept queue, [ring_room] references
    uint32_t ring_room        # power of two, or 0
    uint32_t ring_head
    uint32_t ring_len

cdef struct Burst:
    # what a burst of timers found in a listener's queue, less those that it ended or made mature
    uint32_t number           # 0: there was none
    uint32_t half_open
    uint32_t young

cdef struct ListenerTable:
    Listener* listeners       # [id - 1]
    Burst* bursts             # [id - 1]; apart, so that a Listener stays one cache line
    uint64_t* table
    uint32_t mask             # places - 1
    uint32_t n_exact          # entries of the table with an address
    uint32_t n_any            # and without one
    uint32_t fresh            # ids never used yet start behind this one
    uint16_t free_first       # freed ids, oldest first
    uint16_t free_last

cdef bint listeners_init(ListenerTable* backlog) noexcept nogil
cdef void listeners_free(ListenerTable* backlog) noexcept nogil
cdef size_t listeners_bytes(const ListenerTable* backlog) noexcept nogil
cdef list listeners_check(const ListenerTable* backlog)

cdef int listener_open(ListenerTable* backlog, uint32_t addr, uint16_t port, uint32_t limit,
                      uint32_t room) noexcept nogil
cdef void listener_close(ListenerTable* backlog, uint16_t listener) noexcept nogil
cdef uint16_t listener_find(const ListenerTable* backlog, uint32_t addr, uint16_t port) noexcept nogil

cdef void half_open_removed(ListenerTable* backlog, uint16_t listener, bint mature) noexcept nogil
cdef Burst* listener_burst(ListenerTable* backlog, uint16_t listener, uint32_t number) noexcept nogil
cdef void burst_update(Burst* burst, bint gone, bint young) noexcept nogil
cdef bint accept_queue_push(ListenerTable* backlog, uint16_t listener, uint32_t ref) noexcept nogil
cdef uint32_t accept_queue_pop(ListenerTable* backlog, uint16_t listener) noexcept nogil


cdef inline Listener* listener_at(const ListenerTable* backlog, uint16_t listener) noexcept nogil:
    """The listener with this id, which is not 0."""
    return &backlog.listeners[listener - 1]


cdef inline uint32_t accept_queue_peek(const Listener* listener, uint32_t distance) noexcept nogil:
    """The reference that the pop after `distance` more ones will give, 0 none."""
    if listener.ring_len <= distance:
        return 0
    return listener.ring[(listener.ring_head + distance) & (listener.ring_room - 1)]


cdef inline bint accept_queue_full(const Listener* listener) noexcept nogil:
    """As many wait as may."""
    return listener.ring_len >= listener.accept_room and not listener.auto_accept


cdef inline void half_open_added(Listener* listener) noexcept nogil:
    """A half-open entry more, a young one."""
    listener.half_open += 1
    listener.young += 1


cdef inline void half_open_matured(Listener* listener) noexcept nogil:
    """A young entry's SYN-ACK is resent for the first time."""
    listener.young -= 1
