"""The connection block: its numpy dtype, its states, and the pool it comes from.

Not the law that changes it (`transition`). Source: RFC 9293 3.3.1 for the names.
"""

# Invariant of the pool: a slot is either on the stack, at or above `fresh`, or in use;
# `used` counts the last kind. A freed block keeps its generation and is CLOSED.
from enum import IntEnum

import numpy as np

from libc.string cimport memset


assert sizeof(Tcb) == 64 and sizeof(Cold) == 64 and sizeof(Timestamps) == 16


class State(IntEnum):
    """Connection states (RFC 9293 3.3.2), the values of ``BLOCK['state']``."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


cdef Tcb _block
_block_view = <Tcb[:1]>&_block

#: One connection, 64 bytes. Addresses and ports are host-order integers; ``deadline`` counts ticks of
#: 1 ms (``tick_ns`` = 1_000_000): the low 32 bits of the absolute tick, meaningful while ``timer`` is not 0;
#: ``snd_wnd`` is scaled (bytes); ``rtt`` is the first round trip in ticks, 0 when it could not be measured.
BLOCK = np.asarray(_block_view).dtype
del _block_view

cdef Cold _cold
_cold_view = <Cold[:1]>&_cold

#: The cold line that goes with a block, 64 bytes, valid while the block has B_COLD. Internal.
COLD = np.asarray(_cold_view).dtype
del _cold_view
