"""Active opens whose arguments are rows: they are turned into the columns of loops/connect, a few at a time.

Not here: what an open does. The defaults of a ConnectRow, and what it may not name, are here.
Invariant: a batch of n opens does what n batches of one do.
"""

from libc.stdint cimport int32_t, uint16_t, uint32_t

from tcpcore.records.connect_args cimport TIMEOUT_OF_KNOB, ConnectArgs
from tcpcore.records.segment cimport is_unicast
from tcpcore.tcp.receive_window cimport WINDOW_MAX, round_window
from tcpcore.loops.connect cimport connect_batch

cdef enum:
    PART = 64                 # opens that are turned into columns at a time


cdef bint can_connect(const ConnectRow* opens, Py_ssize_t n) noexcept nogil:
    """Every row names a peer, a source and a buffer that there can be."""
    cdef Py_ssize_t i
    for i in range(n):
        if (not is_unicast(opens[i].dst) or (opens[i].src and not is_unicast(opens[i].src))
                or opens[i].dport == 0 or opens[i].rcv_buf > WINDOW_MAX or opens[i].keepalive > 1):
            return False
    return True


cdef Py_ssize_t connect_part(EngineState* eng, const ConnectRow* opens, Py_ssize_t n, int64_t now,
                             uint64_t* conns, Segment* rows) noexcept nogil:
    """Open n <= PART connections, which all name their ports or all do not, and all are kept alive or none.
    Returns the rows written."""
    cdef uint32_t[PART] dst, src, rcv_buf
    cdef uint16_t[PART] dport
    cdef int32_t[PART] sport
    cdef int64_t[PART] isn
    cdef ConnectArgs args
    cdef Py_ssize_t i
    for i in range(n):
        dst[i] = opens[i].dst
        src[i] = opens[i].src if opens[i].src else eng.local_addr
        dport[i] = opens[i].dport
        sport[i] = <int32_t>opens[i].sport if opens[i].sport else -1
        isn[i] = <int64_t>opens[i].isn if opens[i].has_isn else -1
        rcv_buf[i] = 0
        if opens[i].rcv_buf:
            rcv_buf[i] = round_window(&eng.knobs, opens[i].rcv_buf, eng.knobs.mss, False)
    args.dst, args.dport, args.src = dst, dport, src
    args.sport, args.isn, args.rcv_buf = sport, isn, rcv_buf
    for i in range(6):
        args.steps[i] = 1
    args.asked.given = args.asked.keepalive = opens[0].keepalive | eng.knobs.always_keepalive
    args.asked.user_timeout_ms = TIMEOUT_OF_KNOB
    return connect_batch(eng, &args, n, now, conns, rows)


cdef Py_ssize_t connect_rows(EngineState* eng, const ConnectRow* opens, Py_ssize_t n, int64_t now,
                             uint64_t* conns, Segment* rows) noexcept nogil:
    """Active opens in order, at most one row each; conns (out) gets the handles. Returns the rows written."""
    cdef Py_ssize_t done = 0, part, written = 0
    while done < n:
        part = 1
        while (part < PART and done + part < n
                and (opens[done].sport == 0) == (opens[done + part].sport == 0)
                and opens[done].keepalive == opens[done + part].keepalive):
            part += 1
        written += connect_part(eng, opens + done, part, now, conns + done, rows + written)
        done += part
    return written
