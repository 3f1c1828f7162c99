"""The row of a timed batch: its numpy dtype, the kinds of rows, and the check that an array is one.

What a row does is loops/play's; whether its fields make sense to an engine is checked there, too.
"""

from enum import IntEnum

import numpy as np

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


cdef object _ndarray = np.ndarray             # a C variable: looked up for each array


def as_vector(array, dtype, what, name):
    """`array` if it is a contiguous, writable vector of `dtype`, which is called `what` in messages.

    Of a subclass of ndarray it is a plain array of the same memory. Raises TypeError (not an array, wrong
    dtype) or ValueError (shape, stride, read-only).
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array of {what}, got {type(array).__name__}")
    if type(array) is not _ndarray:
        array = np.asarray(array)             # a subclass may say anything about itself
    if array.dtype is not dtype and array.dtype != dtype:
        raise TypeError(f"{name}: expected dtype {what} ({dtype.itemsize} bytes), got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got shape {array.shape}")
    flags = array.flags
    if not flags.c_contiguous or not flags.aligned:
        raise ValueError(f"{name}: expected a contiguous, aligned array, got strides {array.strides}")
    if not flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")
    return array
