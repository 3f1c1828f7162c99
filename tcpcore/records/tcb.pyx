"""The TCB as Python sees it: the states of a connection, and the dtypes of the structs in tcb.pxd.

Not what changes a TCB (`tcp`) nor where one is allocated (`components.tcb_pool`).
Source: RFC 9293 3.3.1 (names), 3.3.2 (states).
"""

from enum import IntEnum

from tcpcore.records cimport tcb


class State(IntEnum):
    """Connection states (RFC 9293 3.3.2), the values of ``BLOCK['state']``."""

    CLOSED = tcb.CLOSED
    LISTEN = tcb.LISTEN
    SYN_SENT = tcb.SYN_SENT
    SYN_RECEIVED = tcb.SYN_RECEIVED
    ESTABLISHED = tcb.ESTABLISHED
    FIN_WAIT_1 = tcb.FIN_WAIT_1
    FIN_WAIT_2 = tcb.FIN_WAIT_2
    CLOSE_WAIT = tcb.CLOSE_WAIT
    CLOSING = tcb.CLOSING
    LAST_ACK = tcb.LAST_ACK
    TIME_WAIT = tcb.TIME_WAIT
