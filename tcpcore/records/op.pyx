"""The row of a timed batch: its numpy dtype, and the kinds of rows.

What a row does is loops/play's; whether its fields make sense to an engine is checked there, too.
"""

from enum import IntEnum


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
