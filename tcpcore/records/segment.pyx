"""The segment: building arrays of them, checking and joining arrays.

Not the bytes on the wire, nor how segments are printed (`records.printing`).
Source: RFC 9293 3.1 (header), 3.2 (options).
"""

from enum import IntFlag

import numpy as np

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from tcpcore.records.scalars cimport is_address, is_uint
from tcpcore.records.integers import to_address, to_uint
from tcpcore.records.layouts import SEGMENT


class Flag(IntFlag):
    """Control bits (RFC 9293 3.1), the values of ``SEGMENT['flags']``."""

    FIN = FlagBit.FIN
    SYN = FlagBit.SYN
    RST = FlagBit.RST
    PSH = FlagBit.PSH
    ACK = FlagBit.ACK
    URG = FlagBit.URG
    ECE = FlagBit.ECE
    CWR = FlagBit.CWR


class Option(IntFlag):
    """Which options a segment carries, the values of ``SEGMENT['opts']``."""

    MSS = OptBit.OPT_MSS
    WSCALE = OptBit.OPT_WSCALE
    SACK_OK = OptBit.OPT_SACK_OK
    TS = OptBit.OPT_TS


_IMPLIED = {"mss": OPT_MSS, "wscale": OPT_WSCALE, "tsval": OPT_TS, "tsecr": OPT_TS}
#: Of each field: offset in bytes, size in bytes, the option that it switches on.
_FIELDS = {name: (SEGMENT.fields[name][1], SEGMENT[name].itemsize, _IMPLIED.get(name, 0))
           for name in SEGMENT.names}
cdef object _fields = _FIELDS, _dtype = SEGMENT, _frombuffer = np.frombuffer      # C variables: looked up


cdef bint fill_row(Segment* row, dict fields) except -1:
    """Write numbers and addresses into a row; False, the row undefined, if not all of them are good ones."""
    cdef uint32_t address
    cdef uint64_t number
    cdef int offset, size, option, implied = 0
    cdef char* at
    memset(row, 0, sizeof(Segment))
    for name, value in fields.items():
        field = _fields.get(name)
        if field is None:
            return False
        offset, size, option = field
        implied |= option
        at = <char*>row + offset
        if size == 4 and offset < 8:          # src and dst
            if not is_address(value, &address):
                return False
            (<uint32_t*>at)[0] = address
        elif not is_uint(value, (<uint64_t>1 << 8 * size) - 1, &number):
            return False
        elif size == 4:
            (<uint32_t*>at)[0] = <uint32_t>number
        elif size == 2:
            (<uint16_t*>at)[0] = <uint16_t>number
        else:
            (<uint8_t*>at)[0] = <uint8_t>number
    if "opts" not in fields:
        row.opts = <uint8_t>implied
    return True


def segments(n=1, **fields):
    """An array of `n` segments; scalars broadcast.

    Parameters
    ----------
    n : int
        Number of rows.
    **fields
        Names of SEGMENT. ``src`` and ``dst`` also take dotted strings. ``mss``, ``wscale`` and ``tsval`` /
        ``tsecr`` switch their option on in ``opts`` unless ``opts`` is given.

    Returns
    -------
    SEGMENT[n]

    Raises
    ------
    TypeError, ValueError
        An unknown field, a wrong type, a number out of range, a shape that does not broadcast to n.
    """
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
        raise ValueError(f"n: expected a whole number of rows, got {n!r}")
    cdef Segment row
    if n == 1 and fill_row(&row, fields):
        memory = bytearray(sizeof(Segment))   # faster than numpy's own for a dtype with fields
        memcpy(PyByteArray_AS_STRING(memory), &row, sizeof(Segment))
        return _frombuffer(memory, _dtype)
    out = np.zeros(n, SEGMENT)
    implied = 0
    for name, value in fields.items():
        if name not in SEGMENT.names:
            raise TypeError(f"{name}: not a field of SEGMENT; expected one of {', '.join(SEGMENT.names)}")
        kind = SEGMENT[name]
        checked = (to_address(value, name) if name in ("src", "dst")
                   else to_uint(value, name, 8 * kind.itemsize))
        try:
            out[name] = checked
        except ValueError:
            raise ValueError(f"{name}: expected a scalar or {n} values, "
                             f"got shape {np.shape(checked)}") from None
        implied |= _IMPLIED.get(name, 0)
    if "opts" not in fields:
        out["opts"] = implied
    return out


cdef object _ndarray = np.ndarray             # a C variable: looked up for each array


def as_vector(array, dtype, what, name, bint writable=False):
    """`array` if it is a contiguous vector of `dtype`, which is called `what` in messages.

    Of a subclass of ndarray it is a plain array of the same memory. Raises TypeError (not an array, wrong
    dtype) or ValueError (shape, stride; with `writable` also a read-only array).
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
    if writable and not flags.writeable:
        raise ValueError(f"{name}: expected a writable array, got a read-only one")
    return array


def as_segments(array, name="segs", bint writable=False):
    """`array` if it is a contiguous SEGMENT vector, as `as_vector` says."""
    return as_vector(array, SEGMENT, "SEGMENT", name, writable)


def join(parts):
    """Arrays of segments, one after the other, in one new array.

    It does what ``numpy.concatenate`` does, which copies structured arrays field by field and is up to a
    hundred times slower.

    Parameters
    ----------
    parts : sequence of SEGMENT[k]
        Contiguous; none at all and empty ones are legal.

    Returns
    -------
    SEGMENT[n]
        A copy, even of a single part.

    Raises
    ------
    TypeError
        `parts` is not iterable, or one of them is not an array of SEGMENT.
    ValueError
        One of them has not one dimension, or is not contiguous.
    """
    cdef Py_ssize_t i
    try:
        arrays = list(parts)
    except TypeError:
        raise TypeError(f"parts: expected a sequence of SEGMENT arrays, got {type(parts).__name__}") from None
    for i in range(len(arrays)):
        part = arrays[i]
        if type(part) is not _ndarray or part.dtype is not SEGMENT or part.ndim != 1:
            arrays[i] = as_segments(part, f"parts[{i}]")
    try:
        whole = bytearray().join(arrays)
    except TypeError:                         # one is not contiguous
        for i in range(len(arrays)):
            as_segments(arrays[i], f"parts[{i}]")
        raise
    return np.frombuffer(whole, SEGMENT) if whole else np.empty(0, SEGMENT)
