"""EventQueue: the event queue by itself."""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from tcpcore.components.events cimport (
    EVENTS_BOUND, Events, events_add, events_add_once, events_begin_call, events_bytes, events_drain,
    events_free, events_init, events_take,
)
from tcpcore.records.event cimport EV_READABLE, EV_WRITABLE, Event

from tcpcore.components.events import event_mask


@cython.final
cdef class EventQueue:
    """An event queue: `kinds` as in ``Config(events=...)``, at most `bound` events, `capacity` slots."""

    cdef Events events

    def __cinit__(self, kinds, uint32_t bound=EVENTS_BOUND, uint32_t capacity=8):
        if not events_init(&self.events, event_mask(kinds), bound, capacity):
            raise MemoryError

    def __dealloc__(self):
        events_free(&self.events)

    def add(self, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind, uint8_t cause, uint8_t state):
        events_add(&self.events, conn, at, listener, kind, cause, state)

    def add_once(self, uint64_t conn, int64_t at, uint32_t listener, uint8_t kind, uint8_t state):
        assert kind == EV_READABLE or kind == EV_WRITABLE
        assert <uint32_t>conn < self.events.capacity
        events_add_once(&self.events, conn, at, listener, kind, state)

    def begin_call(self):
        events_begin_call(&self.events)

    @property
    def call(self):
        return self.events.call

    @call.setter
    def call(self, uint32_t number):
        self.events.call = number

    def drain(self):
        """EVENT[n], oldest first."""
        return events_drain(&self.events)

    def take(self, Py_ssize_t room):
        """The oldest events, at most `room` <= 100, as tuples."""
        cdef Event[100] events
        cdef Py_ssize_t n = events_take(&self.events, events, room)
        return [(each.conn, each.at, each.listener, each.kind, each.cause, each.state) for each in events[:n]]

    @property
    def lost(self):
        return self.events.lost

    @property
    def nbytes(self):
        return events_bytes(&self.events)
