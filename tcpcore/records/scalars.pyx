"""Single integers and addresses as arguments, read without numpy.

Known are Python's int, numpy's integers, and for addresses dotted strings; no subclass of them, since it may
run code of its own. All else, and what is out of range, is left to the general way (records/segment).
"""

from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_CheckExact
from cpython.number cimport PyNumber_Index
from cpython.unicode cimport PyUnicode_CheckExact, PyUnicode_GET_LENGTH, PyUnicode_READ_CHAR

import numpy as np

cdef frozenset _integers = frozenset([np.dtype(code).type for code in "bhilqBHILQ"])


cdef is_uint(value, uint64_t most, uint64_t* number):
    """Whether `value` is an integer of 0 .. `most`, which `number` then is."""
    cdef int overflow = 0
    cdef long long found
    if not PyLong_CheckExact(value):
        if type(value) not in _integers:
            return False
        value = PyNumber_Index(value)
    found = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow or found < 0 or <uint64_t>found > most:
        return False                          # also what is above 2**63, though `most` may allow it
    number[0] = found
    return True


cdef bint is_dotted(value, uint32_t* address) noexcept:
    """Whether a string is a dotted IPv4 address as ``ipaddress`` takes it: no zeros in front of a number."""
    cdef Py_ssize_t i, length = PyUnicode_GET_LENGTH(value)
    cdef uint32_t octet = 0, letter, found = 0
    cdef int digits = 0, dots = 0
    if length > 15:
        return False
    for i in range(length):
        letter = PyUnicode_READ_CHAR(value, i)
        if letter == c".":
            if digits == 0:
                return False
            found = found << 8 | octet
            dots += 1
            octet = digits = 0
        elif c"0" <= letter <= c"9":
            octet = 10 * octet + letter - c"0"
            if octet > 255 or (digits and octet < 10):
                return False
            digits += 1
        else:
            return False
    if digits == 0 or dots != 3:
        return False
    address[0] = found << 8 | octet
    return True


cdef is_address(value, uint32_t* address):
    """Whether `value` is an integer of 32 bits or a dotted string; `address` then is that one."""
    cdef uint64_t number
    if PyUnicode_CheckExact(value):
        return is_dotted(value, address)
    if not is_uint(value, 0xFFFFFFFF, &number):
        return False
    address[0] = <uint32_t>number
    return True
