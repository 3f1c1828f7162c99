# A range of bytes in memory, to tell arguments apart that must not overlap.
from libc.stdint cimport uintptr_t

cdef struct Span:
    # bytes in memory, from `base` on
    uintptr_t base
    Py_ssize_t nbytes


cdef inline bint overlap(const Span* a, const Span* b) noexcept nogil:
    """They share at least one byte."""
    return (a.nbytes != 0 and b.nbytes != 0 and a.base < b.base + <uintptr_t>b.nbytes
            and b.base < a.base + <uintptr_t>a.nbytes)
