"""What Engine's methods check their arguments with: bytes of arrays, integers, rows of segments.

TypeError or ValueError names the argument, what was expected and what came. No engine is known here.
"""

import operator

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from libc.stdint cimport int64_t, uintptr_t

from tcpcore.base.span cimport overlap
from tcpcore.records.scalars cimport is_uint
from tcpcore.records.segment cimport Segment
from tcpcore.loops.guard cimport TIME_BITS

import numpy as np

from tcpcore.records.layouts import SEGMENT
from tcpcore.records.segment import as_segments

cdef object _ndarray = np.ndarray, _segment = SEGMENT      # C variables: looked up in every call
cdef object _uint64 = np.dtype(np.uint64)

cdef int64_t _last_now = <int64_t>1 << TIME_BITS


cdef span_of(array, int flags, Span* span):
    """The bytes of a contiguous array; they stay where they are for as long as somebody holds it."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, flags)
    span.base = <uintptr_t>view.buf
    span.nbytes = view.len
    PyBuffer_Release(&view)


cdef int extent_of(array, Span* span) except -1:
    """The bytes from an array's first element in memory to its last, whatever its strides."""
    cdef Py_buffer view
    cdef Py_ssize_t i, reach
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    span.base = <uintptr_t>view.buf
    span.nbytes = view.itemsize if view.len else 0
    for i in range(view.ndim if view.len else 0):
        reach = (view.shape[i] - 1) * view.strides[i]
        if reach < 0:
            span.base += reach
            reach = -reach
        span.nbytes += reach
    PyBuffer_Release(&view)
    return 0


cdef apart(out, name, given, converted):
    """ValueError if `out`, an array or None, shares memory with this argument or what was made of it."""
    cdef Span written, read
    if out is None:
        return
    span_of(out, PyBUF_SIMPLE, &written)
    if type(given) is not _ndarray:
        given = np.asarray(given) if isinstance(given, np.ndarray) else converted
    extent_of(given, &read)
    if overlap(&written, &read):
        raise ValueError(f"out: expected memory apart from {name}, got an overlapping array")


cdef bint is_plain(array, bint writable) except -1:
    """Whether as_segments() would give this array back as it is, and whether it can be written if need be."""
    cdef Py_buffer view
    cdef bint plain
    if type(array) is not _ndarray or array.dtype is not _segment:
        return False
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    plain = (view.ndim == 1 and (view.shape[0] < 2 or view.strides[0] == sizeof(Segment))
             and <uintptr_t>view.buf % sizeof(int) == 0 and not (writable and view.readonly))
    PyBuffer_Release(&view)
    return plain


cdef rows_given(out):
    """The argument `out`, checked but for its length: None or a plain array of SEGMENT."""
    if out is None or is_plain(out, True):
        return out
    return as_segments(out, "out", writable=True)


cdef rows_read(segs):
    """The argument `segs`: a plain array of SEGMENT."""
    return segs if is_plain(segs, False) else as_segments(segs, "segs")


cdef integer(value, name, low, high):
    """`value` as an int of low .. high; TypeError or ValueError naming it."""
    if type(value) is int and low <= value <= high:
        return value
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: expected an integer, got {value!r}")
    value = number
    if not low <= value <= high:
        raise ValueError(f"{name}: expected {low} .. {high}, got {value}")
    return value


cdef time_of(now, name="now"):
    """The argument of this name, a time, in ns."""
    cdef int overflow = 0
    cdef int64_t at
    if PyLong_CheckExact(now):
        at = PyLong_AsLongLongAndOverflow(now, &overflow)
        if 0 <= at <= _last_now and not overflow:
            return now
    return integer(now, name, 0, _last_now)


cdef is_handle(conns, uint64_t* handle):
    """Whether this is one handle, an integer or an array of one; `handle` then is that one.

    As in records/scalars: False leaves it to the general way, as_handles().
    """
    cdef Py_buffer view
    cdef bint one
    if type(conns) is not _ndarray:
        return is_uint(conns, 0xFFFFFFFFFFFFFFFF, handle)
    if conns.dtype is not _uint64:
        return False
    PyObject_GetBuffer(conns, &view, PyBUF_STRIDES)
    one = view.len == sizeof(uint64_t) and <uintptr_t>view.buf % sizeof(uint64_t) == 0
    if one:
        handle[0] = (<const uint64_t*>view.buf)[0]
    PyBuffer_Release(&view)
    return one


cdef broadcast(n, dict fields, bint scalars_too=True):
    """The named arrays as vectors of one length, in order; that length is `n` unless n is None.

    Without `scalars_too` a scalar may stay a vector of one element.
    """
    shapes = {name: np.shape(value) for name, value in fields.items()}
    lengths = {shape for shape in shapes.values() if shape}
    if n is None and len(lengths) == 1 and len(length := lengths.pop()) == 1:
        # the common case, scalars and vectors of one length, without numpy's general and slow way
        return [np.ascontiguousarray(value) if shapes[name] else np.full(length if scalars_too else 1, value)
                for name, value in fields.items()]
    try:
        shape = np.broadcast_shapes(*shapes.values(), () if n is None else (n,))
    except ValueError:
        got = ", ".join([f"{name} {shape}" for name, shape in shapes.items()])
        raise ValueError(f"{'n, ' if n is not None else ''}{', '.join(fields)}: "
                         f"expected shapes that broadcast, got {got}"
                         + (f", n {n}" if n is not None else "")) from None
    if n is not None and int(np.prod(shape)) != n:
        raise ValueError(f"n: expected the common length {int(np.prod(shape))}, got {n}")
    return [np.ascontiguousarray(np.broadcast_to(value, shape).ravel()) for value in fields.values()]


cdef unicast(array, name):
    """`array` if all its addresses are unicast; ValueError naming it otherwise (RFC 9293 MUST-46)."""
    wrong = np.subtract(array, np.uint32(1)) >= 0xDFFFFFFF
    if np.any(wrong):
        bad = np.asarray(array)[wrong]
        raise ValueError(f"{name}: expected unicast addresses, got {bad.flat[0]:#010x}")
    return array
