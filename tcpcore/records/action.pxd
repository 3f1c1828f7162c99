# What the TCP state machine asks of the batch loops: tcp fills an Action, loops applies it. The fields marked
# "in" are set before the state machine is called; it never looks anything up itself.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.records.counters cimport Counters
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Liveness, Timestamps

cdef enum TimerOp:
    OP_KEEP = 0
    OP_ARM = 1
    OP_CANCEL = 2

cdef enum Effect:
    E_ACCEPT = 0x01           # a half-open entry became a connection
    E_OPENED = 0x02           # an active open became ESTABLISHED
    E_DEAD = 0x04             # the connection is over; `cause`, `error` say how
    E_REOPEN = 0x08           # TIME-WAIT ends, the SYN goes to the listener with ISS = `iss`
    E_START_OVER = 0x10       # TIME-WAIT ends, the SYN is judged as if there had been no connection
    E_READABLE = 0x20         # text came in order where nothing was unread
    E_EOF = 0x40              # the peer's FIN came in order
    E_WRITABLE = 0x80         # the last byte that the application queued was acknowledged
    E_EDGES = 0xE0            # these three: they change nothing, and are for whoever subscribed to them

cdef struct Action:
    # in: what the state machine must know and the TCB does not hold
    bint accept_full          # the listener's accept queue
    uint8_t defer             # timeouts of a half-open entry during which the listener wants text, 0: never
    bint auto_accept          # the listener's application accepts at once
    bint listening            # a listener has this port (asked for TIME-WAIT and SYN only)
    bint tw_full              # tcp_max_tw_buckets reached
    Ranges* ranges            # in out: out-of-order text, possibly empty, never NULL for data states
    Timestamps* stamp         # in out: the connection's timestamps
    Liveness* live            # in out: its liveness line
    Counters* counters        # in out
    # out
    Segment* rows             # space for as many rows as the call may emit
    uint32_t n_rows
    bint challenge            # the row is a challenge ACK: subject to tcp_challenge_ack_limit
    bint ack_owed             # between steps: an ACK is due, whatever follows
    uint32_t sample           # between steps: an RTT sample in ticks, while there is no cold line
    uint8_t main_op           # TimerOp for the main timer
    uint8_t main_kind
    uint8_t side_op           # TimerOp for the side timer (T_DELACK, T_OUTPUT)
    uint8_t side_kind
    uint32_t main_timeout     # ticks from now
    uint32_t side_timeout
    uint32_t iss
    uint8_t effects
    uint8_t cause
    uint8_t error
