"""Initial sequence numbers and timestamp offsets: clock, key, and nothing remembered per peer.

Not the choice of when to draw one. Sources: RFC 9293 3.4.1 (MUST-8, SHLD-1), RFC 6528 3 (the formula),
RFC 7323 7.1 (why the timestamp clock is offset per pair of addresses).
"""

# The three users of the key hash messages that never coincide (the 4-tuple 12 bytes; 8 bytes of an
# address pair, whose upper half is not 0; 8 bytes of a counter, whose upper half is), so knowing one's
# numbers says nothing about another's.
import numpy as np

from libc.string cimport memset

from tcpcore.base.prefetch cimport expect
from tcpcore.base.siphash cimport derive_key, siphash24_1, siphash24_2, siphash24_tuple
from tcpcore.base.siphash_batch cimport LANES, siphash24_many

from tcpcore.records.segment import to_address, to_uint

_RULES = {"rfc6528": ISN_RFC6528, "rfc793": ISN_RFC793, "random": ISN_RANDOM}


cdef void isn_init(Isn* isn, IsnRule rule, int64_t tick_ns, uint64_t k0, uint64_t k1) noexcept nogil:
    """tick_ns > 0 is the period of the clock."""
    expect(tick_ns > 0)
    memset(isn, 0, sizeof(Isn))
    isn.rule = rule
    isn.tick_ns = tick_ns
    isn.k0 = k0
    isn.k1 = k1


cdef uint32_t isn_make(Isn* isn, uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport,
                       int64_t now) noexcept nogil:
    """ISN = M + F(4-tuple, key), RFC 6528 3; now in ns, not negative."""
    cdef uint32_t clock = isn_clock(isn, now)
    if isn.rule == ISN_RFC6528:
        return clock + <uint32_t>siphash24_tuple(isn.k0, isn.k1, raddr, rport, laddr, lport)
    elif isn.rule == ISN_RFC793:
        return clock
    isn.drawn += 1
    return <uint32_t>siphash24_1(isn.k0, isn.k1, isn.drawn)


cdef uint32_t isn_ts_offset(const Isn* isn, uint32_t laddr, uint32_t raddr) noexcept nogil:
    """What is added to our clock in TSval: one number per pair of addresses, RFC 7323 7.1."""
    return <uint32_t>siphash24_1(isn.k0, isn.k1, raddr | <uint64_t>laddr << 32)


cdef void isn_many(const Isn* isn, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                   uint32_t* numbers) noexcept nogil:
    """isn_make by RFC 6528 for n <= LANES 4-tuples, as the words of their message (lanes.pxd)."""
    cdef uint64_t whole[LANES]
    cdef uint32_t clock = isn_clock(isn, now)
    cdef Py_ssize_t i
    siphash24_many(isn.k0, isn.k1, first, last, whole, n)
    for i in range(n):
        numbers[i] = clock + <uint32_t>whole[i]


cdef void isn_ts_many(const Isn* isn, const uint64_t* first, Py_ssize_t n, uint32_t* offsets) noexcept nogil:
    """isn_ts_offset for n <= LANES pairs of addresses, the first words of their 4-tuples."""
    cdef uint64_t last[LANES]
    cdef uint64_t whole[LANES]
    cdef Py_ssize_t i
    for i in range(n):
        last[i] = <uint64_t>8 << 56
    siphash24_many(isn.k0, isn.k1, first, last, whole, n)
    for i in range(n):
        offsets[i] = <uint32_t>whole[i]


cdef Isn keyed(IsnRule rule, int64_t tick_ns, uint64_t seed) noexcept:
    cdef Isn isn
    isn_init(&isn, rule, tick_ns, derive_key(seed, 0), derive_key(seed, 1))
    return isn


cdef within_int64(value, name, least):
    checked = to_uint(value, name, 64)
    if np.any(checked < least) or np.any(checked >= 1 << 63):
        raise ValueError(f"{name}: expected {least} .. {(1 << 63) - 1}, got {value}")
    return checked


def make(rule, tick_ns, seed, laddr, lport, raddr, rport, now):
    """Initial sequence numbers as a new engine with this key would draw them, in order; for tests.

    Parameters
    ----------
    rule : {"rfc6528", "rfc793", "random"}
    tick_ns : int
        Period of the clock, at least 1 ns.
    seed : int
        Where the key comes from, 0 to 2**64 - 1.
    laddr, raddr : address or uint32 array
    lport, rport : int or uint16 array
    now : int or int64 array
        Nanoseconds, not negative. Broadcast with the four above.

    Returns
    -------
    uint32[...]
        In the broadcast shape, drawn in C order.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type, out of range or of a shape that does not broadcast.
    """
    if rule not in _RULES:
        raise ValueError(f"rule: expected one of {', '.join(_RULES)}, got {rule!r}")
    cdef Isn isn = keyed(_RULES[rule], within_int64(tick_ns, "tick_ns", 1), to_uint(seed, "seed", 64))
    rows = np.broadcast(to_address(laddr, "laddr"), to_uint(lport, "lport", 16), to_address(raddr, "raddr"),
                        to_uint(rport, "rport", 16), within_int64(now, "now", 0))
    numbers = [isn_make(&isn, a, b, c, d, t) for a, b, c, d, t in rows]
    return np.array(numbers, np.uint32).reshape(rows.shape)


def ts_offset(seed, laddr, raddr):
    """Timestamp offsets under the same key; for tests.

    Parameters
    ----------
    seed : int
        Where the key comes from, 0 to 2**64 - 1.
    laddr, raddr : address or uint32 array

    Returns
    -------
    uint32[...]
        In the broadcast shape.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong type, out of range or of a shape that does not broadcast.
    """
    cdef Isn isn = keyed(ISN_RFC6528, 1, to_uint(seed, "seed", 64))
    rows = np.broadcast(to_address(laddr, "laddr"), to_address(raddr, "raddr"))
    return np.array([isn_ts_offset(&isn, a, b) for a, b in rows], np.uint32).reshape(rows.shape)


def siphash24(k0, k1, message):
    """SipHash-2-4 of 8, 12 or 16 bytes by the ground's functions; for tests.

    Parameters
    ----------
    k0, k1 : int
        The key's halves, 0 to 2**64 - 1.
    message : bytes

    Returns
    -------
    int
        All 64 bits.

    Raises
    ------
    ValueError
        Another length.
    """
    cdef uint64_t a = int.from_bytes(message[:8], "little")
    cdef uint64_t b = int.from_bytes(message[8:16], "little")
    if len(message) == 8:
        return siphash24_1(k0, k1, a)
    elif len(message) == 12:
        return siphash24_tuple(k0, k1, <uint32_t>a, <uint16_t>b, <uint32_t>(a >> 32), <uint16_t>(b >> 16))
    elif len(message) == 16:
        return siphash24_2(k0, k1, a, b)
    raise ValueError(f"message: expected 8, 12 or 16 bytes, got {len(message)}")


def derived_key(seed, purpose):
    """Half of an organ's key, as the engine derives it from its seed; for tests.

    Parameters
    ----------
    seed, purpose : int
        0 to 2**64 - 1.

    Returns
    -------
    int
        64 bits.
    """
    return derive_key(seed, purpose)
