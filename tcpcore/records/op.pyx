"""The row of a timed batch: its numpy dtype, and the kinds of rows.

What a row does is loops/play's; whether its fields make sense to an engine is checked there, too.
"""

from enum import IntEnum

from tcpcore.records.dtypes import struct_dtype
from tcpcore.records.segment import SEGMENT

assert sizeof(Op) == 72


class OpKind(IntEnum):
    """What a row of a timed batch is, the values of ``OP['kind']``."""

    SEGMENT = OP_SEGMENT
    CONNECT = OP_CONNECT
    ACCEPT = OP_ACCEPT
    SEND = OP_SEND
    RECV = OP_RECV
    SHUTDOWN = OP_SHUTDOWN
    CLOSE = OP_CLOSE
    ABORT = OP_ABORT


cdef Op _op

#: One row of ``Engine.play``, 72 bytes: ``at`` in ns, ``kind`` as in OpKind, ``conn`` a handle (ACCEPT: a
#: listener id), ``arg`` bytes (SEND, RECV), ``seg`` a SEGMENT (CONNECT: its dst, dport, src, sport); the call
#: writes ``result``.
OP = struct_dtype(<Op[:1]>&_op, sizeof(Op), seg=SEGMENT)
