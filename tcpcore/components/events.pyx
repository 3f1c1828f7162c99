"""The event queue.

It does not decide what an event is: the loops add them, and the mask says which kinds are kept. An event that
does not fit is counted in `lost`, never dropped silently. Nor does it know what a call is: whoever adds an
event that may repeat says when the next call begins (events_begin_call).
"""

from enum import IntEnum

import numpy as np

from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.records.event cimport (
    EV_ACCEPTED, EV_CLOSED, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_OPENED, EV_READABLE, EV_REFUSED, EV_TIME_WAIT,
    EV_WRITABLE, Event,
)
from tcpcore.records.handle cimport handle_generation, handle_slot
from tcpcore.records.tcb cimport CLOSED, ESTABLISHED, TIME_WAIT

from tcpcore.records.layouts import EVENT

cdef enum:
    FIRST_PLACES = 1024       # events in the first allocation


class EventKind(IntEnum):
    """What happened, the values of ``EVENT['kind']``; their names in lower case subscribe."""

    OPENED = EV_OPENED
    ESTABLISHED = EV_ESTABLISHED
    ACCEPTED = EV_ACCEPTED
    CLOSED = EV_CLOSED
    LOST = EV_LOST
    REFUSED = EV_REFUSED
    TIME_WAIT = EV_TIME_WAIT
    READABLE = EV_READABLE
    EOF = EV_EOF
    WRITABLE = EV_WRITABLE


cdef bint events_init(Events* events, uint32_t mask, uint32_t bound, uint32_t capacity) noexcept nogil:
    """An empty queue for at most `bound` events of the kinds in `mask`, of connections in slots below
    `capacity`; takes no memory yet. False when memory is refused."""
    memset(events, 0, sizeof(Events))
    events.mask = mask
    events.bound = bound
    events.capacity = capacity
    if not mask & (1 << EV_READABLE | 1 << EV_WRITABLE):
        return True
    events.last = <LastTold*>arena_map(<size_t>capacity * sizeof(LastTold))
    events.call = 4
    return events.last != NULL


cdef void events_free(Events* events) noexcept nogil:
    """Give the memory back."""
    free(events.queue)
    arena_unmap(events.last, <size_t>events.capacity * sizeof(LastTold))
    memset(events, 0, sizeof(Events))


cdef bint grow(Events* events) noexcept nogil:
    """Double the array, up to the bound; False when there is no more."""
    cdef uint32_t want = events.allocated * 2 if events.allocated else FIRST_PLACES
    cdef Event* queue
    if want > events.bound:
        want = events.bound
    if want <= events.allocated:
        return False
    queue = <Event*>realloc(events.queue, want * sizeof(Event))
    if queue == NULL:
        return False
    events.queue = queue
    events.allocated = want
    return True


cdef void events_pack(Events* events) noexcept nogil:
    """Move the events to the front of the array."""
    if events.taken:
        memmove(events.queue, events.queue + events.taken, events.n * sizeof(Event))
        events.taken = 0


cdef bint place(Events* events) noexcept nogil:
    """Make a place behind the newest event; False when there is none. No event moves oftener than it must:
    where fewer have been taken than are left the array grows first."""
    if events.taken < events.n and grow(events):
        return True
    if events.taken:
        events_pack(events)
        return True
    return grow(events)


cdef void events_append(Events* events, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind,
                        uint8_t cause, uint8_t state) noexcept nogil:
    """Queue one event, or count it as lost."""
    cdef Event* event
    if events.taken + events.n == events.allocated and not place(events):
        events.lost += 1
        return
    event = &events.queue[events.taken + events.n]
    events.n += 1
    event.conn = conn
    event.at = at
    event.listener = listener
    event.kind = kind
    event.cause = cause
    event.state = state
    event._pad0 = 0


cdef void events_restart_calls(Events* events) noexcept nogil:
    """Count calls from the beginning, 2**30 calls later: what was told in the old ones is forgotten."""
    memset(events.last, 0, <size_t>events.capacity * sizeof(LastTold))
    events.call = 4


cdef bint events_first(Events* events, uint64_t conn, uint8_t kind) noexcept nogil:
    """Whether this connection has not been told READABLE, or WRITABLE, in this call; from now on it has."""
    cdef LastTold* last = &events.last[handle_slot(conn)]
    cdef uint32_t bit = 1 if kind == EV_READABLE else 2
    if last.generation != handle_generation(conn) or last.call >> 2 != events.call >> 2:
        last.generation = handle_generation(conn)
        last.call = events.call
    if last.call & bit:
        return False
    last.call |= bit
    return True


cdef bint events_reserve(Events* events, uint32_t n) noexcept nogil:
    """Make the array hold n events at least; False when that is beyond the bound, or memory is refused."""
    events_pack(events)
    while events.allocated < n:
        if not grow(events):
            return False
    return True


cdef size_t events_bytes(const Events* events) noexcept nogil:
    """Allocated bytes of the queue, and touched ones of what was told last."""
    return (events.allocated * sizeof(Event)
            + arena_touched(events.last, <size_t>events.capacity * sizeof(LastTold)))


cdef Py_ssize_t events_take(Events* events, Event* to, Py_ssize_t room) noexcept nogil:
    """Move the oldest events, at most `room`, to an array. Returns their number."""
    cdef uint32_t taken = events.n if room >= events.n else <uint32_t>room
    if taken:
        memcpy(to, events.queue + events.taken, taken * sizeof(Event))
    events.n -= taken
    events.taken = events.taken + taken if events.n else 0
    return taken


cdef object events_drain(Events* events):
    """Everything queued, oldest first, as EVENT[n]; the queue is empty afterwards and keeps its memory."""
    out = np.empty(events.n, EVENT)
    cdef Py_buffer view
    if events.n:
        PyObject_GetBuffer(out, &view, PyBUF_WRITABLE)
        memcpy(view.buf, events.queue + events.taken, events.n * sizeof(Event))
        PyBuffer_Release(&view)
    events.n = events.taken = 0
    return out


def event_mask(kinds):
    """The subscription mask for names of EventKind in lower case."""
    mask = 0
    for kind in kinds:
        if not isinstance(kind, str) or kind != kind.lower() or kind.upper() not in EventKind.__members__:
            expected = ", ".join([name.lower() for name in EventKind.__members__])
            raise ValueError(f"events: expected names out of {expected}, got {kind!r}")
        mask |= 1 << EventKind[kind.upper()]
    return mask
