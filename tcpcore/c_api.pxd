# The engine for compiled callers: Cython cimports these names from `tcpcore`, C and C++ include tcpcore.h.
#
# Every function but engine_of needs no GIL, checks what it is given and marks the engine busy meanwhile. It
# returns a number of rows, or -(rows needed) with nothing done where `room` is too small, or a code below
# -(1 << 60) with nothing done. docs/embedding-c.md is the manual.
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from tcpcore.records.connect_args cimport ConnectRow
from tcpcore.records.event cimport Event
from tcpcore.records.info cimport Info
from tcpcore.records.op cimport Op
from tcpcore.records.segment cimport FourTuple, Segment

cdef extern from *:
    """
    typedef struct tcp_engine tcp_engine;
    #define TCPCORE_BUSY (-((Py_ssize_t)1 << 60) - 1)
    #define TCPCORE_TIME_BACK (-((Py_ssize_t)1 << 60) - 2)
    #define TCPCORE_BAD_ARGUMENT (-((Py_ssize_t)1 << 60) - 3)
    #define TCPCORE_NO_MEMORY (-((Py_ssize_t)1 << 60) - 4)
    """
    ctypedef struct tcp_engine:
        pass
    const Py_ssize_t TCPCORE_BUSY             # a call on this engine is under way
    const Py_ssize_t TCPCORE_TIME_BACK        # `now` lies before the engine's time
    const Py_ssize_t TCPCORE_BAD_ARGUMENT     # NULL, a negative number, overlapping memory, no such listener
    const Py_ssize_t TCPCORE_NO_MEMORY        # for the count of a send() that names a handle more than once

# It changes with every struct and every function of this file that changes. An importing module looks for a
# variable of its own ABI's name at import, so that one compiled for another ABI fails there.
cdef enum:
    TCPCORE_ABI = 1

cdef int needs_tcpcore_abi_1

cdef tcp_engine* find_engine(object engine) except NULL

cdef Py_ssize_t engine_receive(tcp_engine* engine, const Segment* segs, Py_ssize_t n, int64_t now,
                               Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_advance(tcp_engine* engine, int64_t now, Segment* out, Py_ssize_t room) noexcept nogil
cdef int64_t engine_next_timer(const tcp_engine* engine) noexcept nogil

cdef Py_ssize_t engine_connect(tcp_engine* engine, const ConnectRow* opens, Py_ssize_t n, int64_t now,
                               uint64_t* conns, Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_accept(tcp_engine* engine, int listener, uint64_t* conns,
                              Py_ssize_t limit) noexcept nogil
cdef Py_ssize_t engine_send(tcp_engine* engine, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                            int64_t now, Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_recv(tcp_engine* engine, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                            int64_t now, uint32_t* taken, Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_shutdown(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                                Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_close(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                             Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_abort(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                             Segment* out, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_unreachable(tcp_engine* engine, const uint64_t* conns, const uint32_t* codes,
                                   Py_ssize_t n, int64_t now, Segment* out, Py_ssize_t room) noexcept nogil

cdef Py_ssize_t engine_lookup(tcp_engine* engine, const FourTuple* tuples, Py_ssize_t n,
                              uint64_t* conns) noexcept nogil
cdef Py_ssize_t engine_info(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n,
                            Info* infos) noexcept nogil
cdef Py_ssize_t engine_events(tcp_engine* engine, Event* events, Py_ssize_t room) noexcept nogil
cdef Py_ssize_t engine_play(tcp_engine* engine, Op* ops, Py_ssize_t n, int64_t until, Segment* out,
                            int64_t* at_out, Py_ssize_t room) noexcept nogil


cdef inline tcp_engine* engine_of(object engine) except NULL:
    """The engine behind an Engine, borrowed: it lives as long as that object. TypeError for anything else."""
    if needs_tcpcore_abi_1 != TCPCORE_ABI:
        raise ImportError(f"this module was compiled for ABI {TCPCORE_ABI} of tcpcore, the installed one has "
                          f"ABI {needs_tcpcore_abi_1}: compile the module again")
    return find_engine(engine)
