# The event queue: what the embedder subscribed to, in the order in which it happened. It is bounded, and
# always drained as a whole, so its memory is a plain array: it doubles up to the bound, then the newest
# events are lost and counted. EVENT, the numpy dtype, is derived from the struct.
#
#   0     8   16        20    21     22     24
#   |conn |at |listener |kind |cause |state |        two bytes of padding at the end
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    EVENTS_BOUND = 1 << 20    # default

cdef struct Event:
    uint64_t conn             # handle
    int64_t at                # ns
    uint32_t listener         # listener id, 0 for active opens
    uint8_t kind              # EventCode
    uint8_t cause             # 0 where nothing went wrong
    uint8_t state             # StateId after the event
    uint8_t _pad0

cdef enum EventCode:
    EV_OPENED = 1             # a TCB was taken: SYN sent, or SYN received
    EV_ESTABLISHED = 2
    EV_ACCEPTED = 3
    EV_CLOSED = 4             # ended in order
    EV_LOST = 5               # ended otherwise
    EV_REFUSED = 6            # never had a TCB
    EV_TIME_WAIT = 7

cdef struct Events:
    Event* queue
    uint32_t n
    uint32_t allocated
    uint32_t bound
    uint32_t mask             # bit k: events of kind k are wanted
    uint64_t lost

cdef void events_init(Events* events, uint32_t mask, uint32_t bound) noexcept nogil
cdef void events_free(Events* events) noexcept nogil
cdef void events_append(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                        uint8_t cause, uint8_t state) noexcept nogil
cdef bint events_reserve(Events* events, uint32_t n) noexcept nogil
cdef size_t events_bytes(const Events* events) noexcept nogil
cdef object events_drain(Events* events)


cdef inline bint events_wanted(const Events* events, uint8_t kind) noexcept nogil:
    return (events.mask >> kind) & 1


cdef inline void events_add(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                            uint8_t cause, uint8_t state) noexcept nogil:
    """Queue the event if its kind is wanted; costs one test if not."""
    if events_wanted(events, kind):
        events_append(events, conn, at, listener, kind, cause, state)
