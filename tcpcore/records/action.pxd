# What the law asks the conductor to do. A noun: transition fills it, eng applies it.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.records.counters cimport Counters
from tcpcore.records.out_of_order cimport Ranges
from tcpcore.records.segment cimport Segment
from tcpcore.records.tcb cimport Timestamps

cdef enum TimerOp:
    OP_KEEP = 0
    OP_ARM = 1
    OP_CANCEL = 2

cdef enum Effect:
    E_ACCEPT = 0x01           # a half-open entry became a connection
    E_OPENED = 0x02           # an active open became ESTABLISHED
    E_DEAD = 0x04             # the connection is over; `cause`, `error` say how
    E_REOPEN = 0x08           # TIME-WAIT ends, the SYN goes to the listener with ISS = `iss`
    E_START_OVER = 0x10       # TIME-WAIT ends, the SYN is looked at as if it had never been

cdef struct Action:
    # in: what the law must know and the block does not hold
    bint accept_full          # the listener's accept queue
    bint auto_accept          # the listener's application accepts at once
    bint listening            # somebody listens on this port (asked for TIME-WAIT and SYN only)
    bint tw_full              # tcp_max_tw_buckets reached
    Ranges* ranges            # in out: out-of-order text, possibly empty, never NULL for data states
    Timestamps* stamp              # in out: the block's timestamps
    Counters* counters        # in out
    # out
    Segment* rows             # room for as many rows as the call may emit
    uint32_t n_rows
    bint challenge            # the row is a challenge ACK: the engine-wide limit has a say
    bint ack_owed             # between steps: whatever follows, an ACK is due
    uint32_t sample           # between steps: a round trip in ticks for which no cold line was made
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
