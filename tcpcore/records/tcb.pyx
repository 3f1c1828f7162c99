"""The TCB as Python sees it: the states of a connection, and the dtypes of the structs in tcb.pxd.

Not what changes a TCB (`tcp`) nor where one is allocated (`components.tcb_pool`).
Source: RFC 9293 3.3.1 (names), 3.3.2 (states).
"""

from enum import IntEnum

from tcpcore.records cimport tcb

from tcpcore.records.dtypes import struct_dtype

assert sizeof(Tcb) == 64 and sizeof(Cold) == 64 and sizeof(Timestamps) == 16


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


cdef Tcb _tcb
cdef Cold _cold

#: One connection, 64 bytes. Addresses and ports are host-order integers; ``deadline`` counts ticks of
#: 1 ms (``tick_ns`` = 1_000_000): the low 32 bits of the absolute tick, meaningful while ``timer`` is not 0;
#: ``snd_wnd`` is scaled (bytes); ``rtt`` is the first round trip in ticks, 0 when it could not be measured.
BLOCK = struct_dtype(<Tcb[:1]>&_tcb, sizeof(Tcb))

#: The cold line of a TCB, 64 bytes, valid while the TCB has B_COLD. Internal.
COLD = struct_dtype(<Cold[:1]>&_cold, sizeof(Cold))
