# Arithmetic modulo 2**32 (RFC 9293 3.4): the only place where two sequence numbers are compared. A bare
# `<` on a sequence number is a bug. Ticks kept in 32 bits (RFC 7323 TSval, ts_recent_at) are compared by
# the same rule.
from libc.stdint cimport int32_t, uint32_t


cdef inline bint seq_lt(uint32_t a, uint32_t b) noexcept nogil:
    """a is before b."""
    return <int32_t>(a - b) < 0


cdef inline bint seq_le(uint32_t a, uint32_t b) noexcept nogil:
    """a is before b, or equal."""
    return <int32_t>(a - b) <= 0


cdef inline bint seq_between(uint32_t low, uint32_t x, uint32_t high) noexcept nogil:
    """low <= x <= high on the circle."""
    return x - low <= high - low


cdef inline uint32_t seq_max(uint32_t a, uint32_t b) noexcept nogil:
    """The later one."""
    return b if seq_lt(a, b) else a


cdef inline uint32_t seq_min(uint32_t a, uint32_t b) noexcept nogil:
    """The earlier one."""
    return a if seq_lt(a, b) else b
