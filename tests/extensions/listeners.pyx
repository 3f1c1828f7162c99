"""Listeners: the listener table by itself; for tests and benchmarks."""

cimport cython
from libc.stdint cimport uint16_t, uint32_t

from tcpcore.components.listeners cimport (
    LISTENER_FREE, LISTENER_OPEN, Listener, ListenerTable, accept_queue_full, accept_queue_length,
    accept_queue_pop, accept_queue_push, half_open_added, half_open_matured, half_open_removed, listener_at,
    listener_close, listener_find, listener_open, listeners_bytes, listeners_check, listeners_free,
    listeners_init,
)


@cython.final
cdef class Listeners:
    """A listener table without an engine."""

    cdef ListenerTable table

    def __cinit__(self):
        if not listeners_init(&self.table):
            raise MemoryError("listeners: no memory")

    def __dealloc__(self):
        listeners_free(&self.table)

    cdef Listener* _at(self, uint16_t listener) except NULL:
        cdef Listener* fields = listener_at(&self.table, listener) if 1 <= listener <= 65535 else NULL
        if fields == NULL or fields.state == LISTENER_FREE:
            raise ValueError(f"listener: {listener} is not in use")
        return fields

    def open(self, uint32_t addr, uint16_t port, uint32_t backlog, uint32_t room=1, bint auto_accept=False):
        """The id, 0 when addr:port is taken, -1 when ids are out."""
        listener = listener_open(&self.table, addr, port, backlog, room)
        if listener > 0:
            self._at(listener).auto_accept = auto_accept
        return listener

    def close(self, uint16_t listener):
        if self._at(listener).state != LISTENER_OPEN:
            raise ValueError(f"listener: {listener} is closing already")
        listener_close(&self.table, listener)

    def find(self, uint32_t addr, uint16_t port):
        """The id of the listener for a SYN to addr:port, 0 none."""
        return listener_find(&self.table, addr, port)

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
        half_open_removed(&self.table, listener, mature)

    def push(self, uint16_t listener, uint32_t ref):
        self._at(listener)
        return accept_queue_push(&self.table, listener, ref)

    def pop(self, uint16_t listener):
        """The oldest reference, 0 none."""
        self._at(listener)
        return accept_queue_pop(&self.table, listener)

    def counts(self, uint16_t listener):
        """(half-open, young, unaccepted)."""
        fields = self._at(listener)
        return fields.half_open, fields.young, accept_queue_length(fields)

    @property
    def nbytes(self):
        return listeners_bytes(&self.table)

    def check(self):
        return listeners_check(&self.table)
