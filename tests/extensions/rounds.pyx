"""Rounds: one connection between two engines, driven as a compiled simulator drives it, a segment a call."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from tcpcore cimport (
    ConnectRow, Segment, engine_accept, engine_connect, engine_of, engine_receive, engine_send, tcp_engine,
)

cdef enum:
    ROOM = 8
    STEP = 10_000             # ns from one round to the next


@cython.final
cdef class Rounds:
    """A connection of `client` with a listener of `server`; both engines are alive as long as this is."""

    cdef object engines
    cdef tcp_engine* client
    cdef tcp_engine* server
    cdef uint64_t conn
    cdef int64_t now

    def __cinit__(self, client, server, int listener, uint32_t addr, port):
        cdef ConnectRow row
        cdef Segment[ROOM] a, b
        cdef uint64_t accepted
        cdef Py_ssize_t n
        self.engines = client, server
        self.client, self.server = engine_of(client), engine_of(server)
        memset(&row, 0, sizeof(row))
        row.dst = addr
        row.dport = port
        n = engine_connect(self.client, &row, 1, 0, &self.conn, a, ROOM)
        n = engine_receive(self.server, a, n, 0, b, ROOM)
        n = engine_receive(self.client, b, n, 0, a, ROOM)
        n = engine_receive(self.server, a, n, 0, b, ROOM)
        if n != 0 or engine_accept(self.server, listener, &accepted, 1) != 1:
            raise RuntimeError(f"no connection: {n}")

    def run(self, Py_ssize_t rounds):
        """Send 100 bytes, take them in, take the ACK in. Rounds that did so."""
        cdef Segment[ROOM] a, b
        cdef uint32_t nbytes = 100
        cdef Py_ssize_t _i, n, done = 0
        with nogil:
            for _i in range(rounds):
                self.now += STEP
                n = engine_send(self.client, &self.conn, &nbytes, 1, self.now, a, ROOM)
                if n == 1:
                    n = engine_receive(self.server, a, 1, self.now, b, ROOM)
                if n == 1:
                    done += engine_receive(self.client, b, 1, self.now, a, ROOM) == 0
        return done
