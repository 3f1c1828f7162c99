# The event queue: what the embedder subscribed to, in the order in which it happened. It is bounded, and
# always drained as a whole, so its memory is a plain array: it doubles up to the bound, then the newest
# events are lost and counted. What one event is, is in records/event.
# READABLE and WRITABLE may come again and again: of each, a connection has one a call at most.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from tcpcore.records.event cimport EV_READABLE, EV_WRITABLE, Event

cdef enum:
    EVENTS_BOUND = 1 << 20    # default

# What was told last of the connection in one slot.
cdef struct LastTold:
    uint32_t generation       # of that connection
    uint32_t call             # Events.call, with a bit for READABLE and one for WRITABLE

cdef struct Events:
    Event* queue
    uint32_t taken            # places at the front of `queue` whose events have been taken
    uint32_t n                # events behind them
    uint32_t allocated
    uint32_t bound
    uint32_t mask             # bit k: events of kind k are wanted
    uint64_t lost
    LastTold* last            # a place for each slot, NULL where neither READABLE nor WRITABLE is wanted
    uint32_t capacity         # places
    uint32_t call             # number of the call under way, the two low bits 0

cdef bint events_init(Events* events, uint32_t mask, uint32_t bound, uint32_t capacity) noexcept nogil
cdef void events_free(Events* events) noexcept nogil
cdef void events_append(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                        uint8_t cause, uint8_t state) noexcept nogil
cdef void events_restart_calls(Events* events) noexcept nogil
cdef bint events_first(Events* events, uint64_t conn, uint8_t kind) noexcept nogil
cdef void events_pack(Events* events) noexcept nogil
cdef bint events_reserve(Events* events, uint32_t n) noexcept nogil
cdef size_t events_bytes(const Events* events) noexcept nogil
cdef Py_ssize_t events_take(Events* events, Event* to, Py_ssize_t room) noexcept nogil
cdef object events_drain(Events* events)


cdef inline bint events_wanted(const Events* events, uint8_t kind) noexcept nogil:
    return (events.mask >> kind) & 1


cdef inline void events_add(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                            uint8_t cause, uint8_t state) noexcept nogil:
    """Queue the event if its kind is wanted; costs one test if not."""
    if events_wanted(events, kind):
        events_append(events, conn, at, listener, kind, cause, state)


cdef inline void events_add_once(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                                 uint8_t state) noexcept nogil:
    """Queue a READABLE or WRITABLE of this connection, unless this call has had one."""
    if events_wanted(events, kind) and events_first(events, conn, kind):
        events_append(events, conn, at, listener, kind, 0, state)


cdef inline void events_begin_call(Events* events) noexcept nogil:
    """A new call: READABLE and WRITABLE may be told again."""
    if events.last != NULL:
        events.call += 4
        if events.call == 0:
            events_restart_calls(events)
