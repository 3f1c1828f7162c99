"""The engine for compiled callers: the functions of c_api.pxd, and their table for C and C++.

What `Engine` does for Python, for callers without the GIL: check the arguments, mark the engine busy, count
the rows, and only then change anything. The checks that need the engine's state are those of `loops`, which
both use. Nothing here decides what a segment means. The arrays are the caller's: no other thread may write to
them meanwhile. Source: RFC 9293 3.9.1 (the calls).
"""

from cpython.pycapsule cimport PyCapsule_GetContext, PyCapsule_New, PyCapsule_SetContext
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport uintptr_t

from tcpcore.base.span cimport Span, overlap
from tcpcore.records.tcb cimport TICK_NS
from tcpcore.components.events cimport events_take
from tcpcore.components.listeners cimport Listener, accept_queue_length, open_listener
from tcpcore.components.timer_wheel cimport wheel_next
from tcpcore.loops.advance cimport advance_to
from tcpcore.loops.calls cimport (
    CALL_ABORT, CALL_CLOSE, CALL_RECV, CALL_SEND, CALL_SHUTDOWN, CALL_UNREACHABLE, MAX_QUEUED, Call,
    accept_one, call_batch, connection_info, rows_of_send,
)
from tcpcore.loops.connect_rows cimport can_connect, connect_rows
from tcpcore.loops.guard cimport (
    ENTERED, ENTRY_BUSY, Entry, guard_enter, guard_enter_now, guard_leave, guard_start, is_time,
)
from tcpcore.loops.play cimport (
    PLAY_LEAST, PLAY_SOUND, PLAY_TIME_BACK, PlayFault, play_batch, play_check, play_not_reached,
)
from tcpcore.loops.receive cimport receive_batch
from tcpcore.loops.state cimport EngineState, lookup_handles
from tcpcore.engine cimport state_of

cdef enum:
    SIZE_BITS = 48            # an array has at most 2**48 rows: products with row sizes stay exact

cdef extern from "include/tcpcore.h":
    ctypedef struct tcpcore_segment:
        pass
    ctypedef struct tcpcore_event:
        pass
    ctypedef struct tcpcore_info:
        pass
    ctypedef struct tcpcore_op:
        pass
    ctypedef struct tcpcore_connect_row:
        pass
    ctypedef struct tcpcore_four_tuple:
        pass
    # function pointers, to be filled in as addresses: the header names the structs otherwise
    ctypedef struct tcpcore_api:
        int abi
        size_t size
        void* engine_of
        void* engine_receive
        void* engine_advance
        void* engine_next_timer
        void* engine_connect
        void* engine_accept
        void* engine_send
        void* engine_recv
        void* engine_shutdown
        void* engine_close
        void* engine_abort
        void* engine_lookup
        void* engine_info
        void* engine_events
        void* engine_play
        void* engine_unreachable

assert sizeof(tcpcore_segment) == sizeof(Segment) and sizeof(tcpcore_event) == sizeof(Event)
assert sizeof(tcpcore_info) == sizeof(Info) and sizeof(tcpcore_connect_row) == sizeof(ConnectRow)
assert sizeof(tcpcore_four_tuple) == sizeof(FourTuple) and sizeof(tcpcore_op) == sizeof(Op)

needs_tcpcore_abi_1 = TCPCORE_ABI


# --- what every function does first ------------------------------------------------------------


cdef inline bint is_array(const void* first, Py_ssize_t n) noexcept nogil:
    """An array of n rows may begin here."""
    return 0 <= n <= <Py_ssize_t>1 << SIZE_BITS and (first != NULL or n == 0)


cdef inline bint apart(const void* a, Py_ssize_t a_bytes, const void* b, Py_ssize_t b_bytes) noexcept nogil:
    """Two arguments share no memory."""
    cdef Span first = Span(<uintptr_t>a, a_bytes), second = Span(<uintptr_t>b, b_bytes)
    return not overlap(&first, &second)


cdef inline Py_ssize_t enter(EngineState* eng, int64_t now) noexcept nogil:
    """Mark the engine busy for a call at this time: 0, and guard_leave() must follow, or a code."""
    cdef Entry entry = guard_enter(eng, now)
    if entry == ENTERED:
        return 0
    return TCPCORE_BUSY if entry == ENTRY_BUSY else TCPCORE_TIME_BACK


cdef tcp_engine* find_engine(object engine) except NULL:
    """engine_of() behind the check of the ABI."""
    return <tcp_engine*>state_of(engine)


# --- SEGMENT ARRIVES and timeouts (RFC 9293 3.10.7, 3.10.8) --------------------------------------


cdef Py_ssize_t engine_receive(tcp_engine* engine, const Segment* segs, Py_ssize_t n, int64_t now,
                               Segment* out, Py_ssize_t room) noexcept nogil:
    """Take in n segments, in order. Rows written; it needs room for two rows per segment."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t code, written
    if (eng == NULL or not is_time(now) or not is_array(segs, n) or not is_array(out, room)
            or not apart(segs, n * sizeof(Segment), out, room * sizeof(Segment))):
        return TCPCORE_BAD_ARGUMENT
    if room < 2 * n:
        return -2 * n
    code = enter(eng, now)
    if code:
        return code
    guard_start(eng, now)
    written = receive_batch(eng, segs, n, now, out)
    guard_leave(eng)
    return written


cdef Py_ssize_t engine_advance(tcp_engine* engine, int64_t now, Segment* out, Py_ssize_t room) noexcept nogil:
    """Fire the timers due at or before `now`, in order, until `out` is full; it needs room for one row.
    Rows written: where they fill `out`, engine_next_timer() <= now says that there is more."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t code, written
    if eng == NULL or not is_time(now) or not is_array(out, room):
        return TCPCORE_BAD_ARGUMENT
    if room < 1:
        return -1
    code = enter(eng, now)
    if code:
        return code
    guard_start(eng, now)
    written = advance_to(eng, now, out, room)
    guard_leave(eng)
    return written


cdef int64_t engine_next_timer(const tcp_engine* engine) noexcept nogil:
    """A time in ns not after the earliest live deadline, -1 if no timer runs; or a code."""
    cdef EngineState* eng = <EngineState*>engine      # the search drops what was cancelled: no reader alone
    cdef int64_t tick
    if eng == NULL:
        return TCPCORE_BAD_ARGUMENT
    if guard_enter_now(eng) != ENTERED:
        return TCPCORE_BUSY
    tick = wheel_next(&eng.wheel, eng.now // TICK_NS)
    guard_leave(eng)
    return tick if tick < 0 else tick * TICK_NS


# --- the calls (RFC 9293 3.10.1 to 3.10.5) -------------------------------------------------------


cdef Py_ssize_t engine_connect(tcp_engine* engine, const ConnectRow* opens, Py_ssize_t n, int64_t now,
                               uint64_t* conns, Segment* out, Py_ssize_t room) noexcept nogil:
    """Open n connections, in order. Rows written, at most one each; it needs room for as many.
    conns (out), n handles: 0 where there was no port, no block or the tuple is in use, counted by cause."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t code, written
    if (eng == NULL or not is_time(now) or not is_array(opens, n) or not is_array(conns, n)
            or not is_array(out, room)
            or not apart(opens, n * sizeof(ConnectRow), out, room * sizeof(Segment))
            or not apart(conns, n * sizeof(uint64_t), out, room * sizeof(Segment))
            or not apart(opens, n * sizeof(ConnectRow), conns, n * sizeof(uint64_t))
            or not can_connect(opens, n)):
        return TCPCORE_BAD_ARGUMENT
    if room < n:
        return -n
    code = enter(eng, now)
    if code:
        return code
    guard_start(eng, now)
    written = connect_rows(eng, opens, n, now, conns, out)
    guard_leave(eng)
    return written


cdef Py_ssize_t engine_accept(tcp_engine* engine, int listener, uint64_t* conns,
                              Py_ssize_t limit) noexcept nogil:
    """Take at most `limit` unaccepted connections of a listener, oldest first. Their number."""
    cdef EngineState* eng = <EngineState*>engine
    cdef const Listener* fields
    cdef Py_ssize_t i, count
    if eng == NULL or not is_array(conns, limit):
        return TCPCORE_BAD_ARGUMENT
    if guard_enter_now(eng) != ENTERED:
        return TCPCORE_BUSY
    fields = open_listener(&eng.listeners, listener)
    if fields == NULL:
        guard_leave(eng)
        return TCPCORE_BAD_ARGUMENT
    count = accept_queue_length(fields)
    count = count if count < limit else limit
    guard_start(eng, eng.now)
    for i in range(count):
        conns[i] = accept_one(eng, <uint16_t>listener, eng.now)
    guard_leave(eng)
    return count


cdef Py_ssize_t call(tcp_engine* engine, Call what, const uint64_t* conns, Py_ssize_t n,
                     const uint32_t* nbytes, uint32_t* taken, int64_t now, Segment* out,
                     Py_ssize_t room) noexcept nogil:
    """One call on each of n handles, in order: as many rows as handles at most, except for CALL_SEND."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t code, need = n, written
    cdef uint64_t most = 0
    if (eng == NULL or not is_time(now) or not is_array(conns, n) or not is_array(out, room)
            or not apart(conns, n * sizeof(uint64_t), out, room * sizeof(Segment))
            or not apart(nbytes, n * sizeof(uint32_t) if nbytes != NULL else 0,
                         out, room * sizeof(Segment))):
        return TCPCORE_BAD_ARGUMENT
    code = enter(eng, now)
    if code:
        return code
    if what == CALL_SEND:
        need = rows_of_send(eng, conns, nbytes, n, &most)
    if need < 0 or most > MAX_QUEUED or room < need:
        guard_leave(eng)
        return TCPCORE_NO_MEMORY if need < 0 else TCPCORE_BAD_ARGUMENT if most > MAX_QUEUED else -need
    guard_start(eng, now)
    written = call_batch(eng, what, conns, n, nbytes, taken, now, out)
    guard_leave(eng)
    return written


cdef Py_ssize_t engine_send(tcp_engine* engine, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                            int64_t now, Segment* out, Py_ssize_t room) noexcept nogil:
    """Queue nbytes[i] of text on conns[i] and send what may go. Rows written.
    BAD_ARGUMENT also where one connection would have over 2**30 bytes queued and unacknowledged."""
    if not is_array(nbytes, n):
        return TCPCORE_BAD_ARGUMENT
    return call(engine, CALL_SEND, conns, n, nbytes, NULL, now, out, room)


cdef Py_ssize_t engine_recv(tcp_engine* engine, const uint64_t* conns, const uint32_t* nbytes, Py_ssize_t n,
                            int64_t now, uint32_t* taken, Segment* out, Py_ssize_t room) noexcept nogil:
    """Take up to nbytes[i] (NULL: all) out of each receive buffer. Rows written, at most one each.
    taken (out, may be NULL): the bytes of each."""
    if n < 0 or n >> SIZE_BITS or (taken != NULL and (
            not apart(taken, n * sizeof(uint32_t), conns, n * sizeof(uint64_t))
            or not apart(taken, n * sizeof(uint32_t), out, room * sizeof(Segment) if room > 0 else 0)
            or not apart(taken, n * sizeof(uint32_t),
                         nbytes, n * sizeof(uint32_t) if nbytes != NULL else 0))):
        return TCPCORE_BAD_ARGUMENT
    return call(engine, CALL_RECV, conns, n, nbytes, taken, now, out, room)


cdef Py_ssize_t engine_shutdown(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                                Segment* out, Py_ssize_t room) noexcept nogil:
    """Half-close: a FIN after all queued data. Rows written, at most one each."""
    return call(engine, CALL_SHUTDOWN, conns, n, NULL, NULL, now, out, room)


cdef Py_ssize_t engine_close(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                             Segment* out, Py_ssize_t room) noexcept nogil:
    """Close and let go of the connections, as close(2) does. Rows written, at most one each."""
    return call(engine, CALL_CLOSE, conns, n, NULL, NULL, now, out, room)


cdef Py_ssize_t engine_abort(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n, int64_t now,
                             Segment* out, Py_ssize_t room) noexcept nogil:
    """Reset the connections and let go of them. Rows written, at most one each."""
    return call(engine, CALL_ABORT, conns, n, NULL, NULL, now, out, room)


cdef Py_ssize_t engine_unreachable(tcp_engine* engine, const uint64_t* conns, const uint32_t* codes,
                                   Py_ssize_t n, int64_t now, Segment* out, Py_ssize_t room) noexcept nogil:
    """ICMP destination unreachable with codes[i] (NULL: host, 1; TCPCORE_TIME_EXCEEDED). Rows written, at
    most one each."""
    return call(engine, CALL_UNREACHABLE, conns, n, codes, NULL, now, out, room)


# --- STATUS (RFC 9293 3.10.6) and events ---------------------------------------------------------


cdef Py_ssize_t engine_lookup(tcp_engine* engine, const FourTuple* tuples, Py_ssize_t n,
                              uint64_t* conns) noexcept nogil:
    """Handles of n connections by 4-tuple, 0 where there is none. n."""
    cdef EngineState* eng = <EngineState*>engine
    if (eng == NULL or not is_array(tuples, n) or not is_array(conns, n)
            or not apart(tuples, n * sizeof(FourTuple), conns, n * sizeof(uint64_t))):
        return TCPCORE_BAD_ARGUMENT
    if guard_enter_now(eng) != ENTERED:
        return TCPCORE_BUSY
    lookup_handles(eng, tuples, n, conns)
    guard_leave(eng)
    return n


cdef Py_ssize_t engine_info(tcp_engine* engine, const uint64_t* conns, Py_ssize_t n,
                            Info* infos) noexcept nogil:
    """Status of n connections; all zeros (CLOSED) for a stale handle. n."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t i
    if (eng == NULL or not is_array(conns, n) or not is_array(infos, n)
            or not apart(conns, n * sizeof(uint64_t), infos, n * sizeof(Info))):
        return TCPCORE_BAD_ARGUMENT
    if guard_enter_now(eng) != ENTERED:
        return TCPCORE_BUSY
    for i in range(n):
        connection_info(eng, conns[i], &infos[i])
    guard_leave(eng)
    return n


cdef Py_ssize_t engine_events(tcp_engine* engine, Event* events, Py_ssize_t room) noexcept nogil:
    """Take the oldest events, at most `room`. Their number: fewer than `room` if none is left."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t taken
    if eng == NULL or not is_array(events, room):
        return TCPCORE_BAD_ARGUMENT
    if guard_enter_now(eng) != ENTERED:
        return TCPCORE_BUSY
    taken = events_take(&eng.events, events, room)
    guard_leave(eng)
    return taken


# --- capsules: an engine, and the table for C and C++ --------------------------------------------


cdef Py_ssize_t engine_play(tcp_engine* engine, Op* ops, Py_ssize_t n, int64_t until, Segment* out,
                            int64_t* at_out, Py_ssize_t room) noexcept nogil:
    """A timed batch, as Engine.play() with `out`; it stops before what may not fit. Rows written."""
    cdef EngineState* eng = <EngineState*>engine
    cdef Py_ssize_t code, row = 0, reached = 0, written = 0
    cdef PlayFault fault
    if (eng == NULL or not is_time(until) or not is_array(ops, n) or not is_array(out, room)
            or not is_array(at_out, room) or not apart(ops, n * sizeof(Op), out, room * sizeof(Segment))
            or not apart(ops, n * sizeof(Op), at_out, room * sizeof(int64_t))
            or not apart(out, room * sizeof(Segment), at_out, room * sizeof(int64_t))):
        return TCPCORE_BAD_ARGUMENT
    if room < PLAY_LEAST:
        return -PLAY_LEAST
    code = enter(eng, until)
    if code:
        return code
    fault = play_check(eng, ops, n, until, &row)
    if fault == PLAY_SOUND:
        written = play_batch(eng, ops, n, until, out, at_out, room, &reached)
        play_not_reached(ops, n, reached)
    guard_leave(eng)
    if fault == PLAY_SOUND:
        return written
    return TCPCORE_TIME_BACK if fault == PLAY_TIME_BACK else TCPCORE_BAD_ARGUMENT


cdef void let_go(object capsule) noexcept:
    """The end of a capsule: its reference to the Engine."""
    Py_DECREF(<object>PyCapsule_GetContext(capsule))


def engine_capsule(engine):
    """A PyCapsule "tcpcore.engine" of the Engine's ``tcp_engine*``, for code that cannot call engine_of().

    The Engine lives at least as long as the capsule. TypeError for anything but an Engine.
    """
    capsule = PyCapsule_New(find_engine(engine), "tcpcore.engine", let_go)
    PyCapsule_SetContext(capsule, <void*>engine)
    Py_INCREF(engine)
    return capsule


cdef tcpcore_api _table


cdef object fill_table():
    """The table as a capsule of the name that import_tcpcore() asks for."""
    _table.abi = TCPCORE_ABI
    _table.size = sizeof(tcpcore_api)
    _table.engine_of = <void*>find_engine
    _table.engine_receive = <void*>engine_receive
    _table.engine_advance = <void*>engine_advance
    _table.engine_next_timer = <void*>engine_next_timer
    _table.engine_connect = <void*>engine_connect
    _table.engine_accept = <void*>engine_accept
    _table.engine_send = <void*>engine_send
    _table.engine_recv = <void*>engine_recv
    _table.engine_shutdown = <void*>engine_shutdown
    _table.engine_close = <void*>engine_close
    _table.engine_abort = <void*>engine_abort
    _table.engine_lookup = <void*>engine_lookup
    _table.engine_info = <void*>engine_info
    _table.engine_events = <void*>engine_events
    _table.engine_play = <void*>engine_play
    _table.engine_unreachable = <void*>engine_unreachable
    return PyCapsule_New(&_table, "tcpcore._C_API", NULL)


#: PyCapsule "tcpcore._C_API", the functions for C and C++: tcpcore.h reads it.
_C_API = fill_table()
