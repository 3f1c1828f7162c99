# The public names for Cython: `from tcpcore cimport engine_of, engine_receive, Segment`.
# docs/embedding-c.md is the manual; what a name means stands where it is declared.
from tcpcore.records.connect_args cimport ConnectRow
from tcpcore.records.info cimport Info
from tcpcore.records.op cimport (
    OP_ABORT, OP_ACCEPT, OP_CLOSE, OP_CONNECT, OP_RECV, OP_SEGMENT, OP_SEND, OP_SHUTDOWN, Op,
)
from tcpcore.records.segment cimport (
    ACK, CWR, ECE, FIN, OPT_MSS, OPT_SACK_OK, OPT_TS, OPT_WSCALE, PSH, RST, SYN, URG, FourTuple, Segment,
)
from tcpcore.records.tcb cimport (
    CLOSED, CLOSE_WAIT, CLOSING, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, LAST_ACK, LISTEN, SYN_RECEIVED,
    SYN_SENT, TIME_WAIT,
)
from tcpcore.c_api cimport (
    TCPCORE_ABI, TCPCORE_BAD_ARGUMENT, TCPCORE_BUSY, TCPCORE_NO_MEMORY, TCPCORE_TIME_BACK,
    engine_abort, engine_accept, engine_advance, engine_close, engine_connect, engine_events,
    engine_info, engine_lookup, engine_next_timer, engine_of, engine_play, engine_receive, engine_recv,
    engine_send, engine_shutdown, engine_unreachable, tcp_engine,
)
from tcpcore.records.event cimport (
    EV_ACCEPTED, EV_CLOSED, EV_EOF, EV_ESTABLISHED, EV_LOST, EV_OPENED, EV_READABLE, EV_REFUSED,
    EV_TIME_WAIT, EV_WRITABLE, Event,
)
