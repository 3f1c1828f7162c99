"""Every function of `from tcpcore cimport ...`, with addresses for arrays: the tests choose what is there."""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

from tcpcore cimport (
    TCPCORE_ABI, TCPCORE_BAD_ARGUMENT, TCPCORE_BUSY, TCPCORE_NO_MEMORY, TCPCORE_TIME_BACK, ConnectRow, Event,
    FourTuple, Info, Op, Segment, engine_abort, engine_accept, engine_advance, engine_close, engine_connect,
    engine_events, engine_info, engine_lookup, engine_next_timer, engine_of, engine_play,
    engine_receive, engine_recv, engine_send, engine_shutdown, engine_unreachable, tcp_engine,
)
from tcpcore cimport (
    ACK, CWR, ECE, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, PSH, RST, SYN, URG, CLOSED, CLOSE_WAIT,
    CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, LISTEN, SYN_RECEIVED, SYN_SENT, TIME_WAIT,
    EV_ACCEPTED, EV_CLOSED, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_OPENED, EV_READABLE, EV_REFUSED, EV_TIME_WAIT,
    EV_WRITABLE,
)

ABI = TCPCORE_ABI
CODES = {"BUSY": TCPCORE_BUSY, "TIME_BACK": TCPCORE_TIME_BACK, "BAD_ARGUMENT": TCPCORE_BAD_ARGUMENT,
         "NO_MEMORY": TCPCORE_NO_MEMORY}
SIZES = {"Segment": sizeof(Segment), "Event": sizeof(Event), "Info": sizeof(Info),
         "ConnectRow": sizeof(ConnectRow), "FourTuple": sizeof(FourTuple), "Op": sizeof(Op)}
cdef ConnectRow _row
cdef FourTuple _names
OFFSETS = {
    "ConnectRow": {"dst": <char*>&_row.dst - <char*>&_row, "src": <char*>&_row.src - <char*>&_row,
                   "dport": <char*>&_row.dport - <char*>&_row, "sport": <char*>&_row.sport - <char*>&_row,
                   "isn": <char*>&_row.isn - <char*>&_row, "rcv_buf": <char*>&_row.rcv_buf - <char*>&_row,
                   "has_isn": <char*>&_row.has_isn - <char*>&_row},
    "FourTuple": {"raddr": <char*>&_names.raddr - <char*>&_names,
                  "laddr": <char*>&_names.laddr - <char*>&_names,
                  "rport": <char*>&_names.rport - <char*>&_names,
                  "lport": <char*>&_names.lport - <char*>&_names},
}
FLAGS = [FIN, SYN, RST, PSH, ACK, URG, ECE, CWR]
OPTIONS = [OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_TS]
STATES = [CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING,
          LAST_ACK, TIME_WAIT]
EVENTS = [EV_OPENED, EV_ESTABLISHED, EV_ACCEPTED, EV_CLOSED, EV_LOST, EV_REFUSED, EV_TIME_WAIT, EV_READABLE,
          EV_EOF, EV_WRITABLE]


cdef tcp_engine* of(engine) except? NULL:
    return NULL if engine is None else engine_of(engine)


def receive(engine, uintptr_t segs, Py_ssize_t n, int64_t now, uintptr_t out, Py_ssize_t room):
    return engine_receive(of(engine), <const Segment*>segs, n, now, <Segment*>out, room)


def advance(engine, int64_t now, uintptr_t out, Py_ssize_t room):
    return engine_advance(of(engine), now, <Segment*>out, room)


def next_timer(engine):
    return engine_next_timer(of(engine))


def connect(engine, uintptr_t opens, Py_ssize_t n, int64_t now, uintptr_t conns, uintptr_t out,
            Py_ssize_t room):
    return engine_connect(of(engine), <const ConnectRow*>opens, n, now, <uint64_t*>conns, <Segment*>out, room)


def accept(engine, int listener, uintptr_t conns, Py_ssize_t limit):
    return engine_accept(of(engine), listener, <uint64_t*>conns, limit)


def send(engine, uintptr_t conns, uintptr_t nbytes, Py_ssize_t n, int64_t now, uintptr_t out,
         Py_ssize_t room):
    return engine_send(of(engine), <const uint64_t*>conns, <const uint32_t*>nbytes, n, now, <Segment*>out,
                       room)


def recv(engine, uintptr_t conns, uintptr_t nbytes, Py_ssize_t n, int64_t now, uintptr_t taken, uintptr_t out,
         Py_ssize_t room):
    return engine_recv(of(engine), <const uint64_t*>conns, <const uint32_t*>nbytes, n, now, <uint32_t*>taken,
                       <Segment*>out, room)


def shutdown(engine, uintptr_t conns, Py_ssize_t n, int64_t now, uintptr_t out, Py_ssize_t room):
    return engine_shutdown(of(engine), <const uint64_t*>conns, n, now, <Segment*>out, room)


def close(engine, uintptr_t conns, Py_ssize_t n, int64_t now, uintptr_t out, Py_ssize_t room):
    return engine_close(of(engine), <const uint64_t*>conns, n, now, <Segment*>out, room)


def abort(engine, uintptr_t conns, Py_ssize_t n, int64_t now, uintptr_t out, Py_ssize_t room):
    return engine_abort(of(engine), <const uint64_t*>conns, n, now, <Segment*>out, room)


def unreachable(engine, uintptr_t conns, uintptr_t codes, Py_ssize_t n, int64_t now, uintptr_t out,
                Py_ssize_t room):
    return engine_unreachable(of(engine), <const uint64_t*>conns, <const uint32_t*>codes, n, now,
                              <Segment*>out, room)


def lookup(engine, uintptr_t tuples, Py_ssize_t n, uintptr_t conns):
    return engine_lookup(of(engine), <const FourTuple*>tuples, n, <uint64_t*>conns)


def info(engine, uintptr_t conns, Py_ssize_t n, uintptr_t infos):
    return engine_info(of(engine), <const uint64_t*>conns, n, <Info*>infos)


def events(engine, uintptr_t events, Py_ssize_t room):
    return engine_events(of(engine), <Event*>events, room)


def play(engine, uintptr_t ops, Py_ssize_t n, int64_t until, uintptr_t out, uintptr_t at_out,
         Py_ssize_t room):
    return engine_play(of(engine), <Op*>ops, n, until, <Segment*>out, <int64_t*>at_out, room)


def hammer(engine, uintptr_t segs, Py_ssize_t n, uintptr_t out, Py_ssize_t room, Py_ssize_t calls):
    """Receive the segments one by one at time 0, again and again, without the GIL. Calls done and refused."""
    cdef tcp_engine* target = engine_of(engine)
    cdef Py_ssize_t i, done = 0, busy = 0, code
    cdef FourTuple name = FourTuple(1, 2, 3, 4)
    cdef uint64_t conn
    with nogil:
        for i in range(calls):
            code = engine_receive(target, <const Segment*>segs + i % n, 1, 0, <Segment*>out, room)
            done += code >= 0
            busy += code == TCPCORE_BUSY
            engine_next_timer(target)
            engine_lookup(target, &name, 1, &conn)
    return done, busy
