"""Initial sequence numbers and timestamp offsets, from a clock and a key.

It does not decide when a number is needed. Sources: RFC 9293 3.4.1 (MUST-8, SHLD-1), RFC 6528 3 (the
formula), RFC 7323 7.1 (why the timestamp clock is offset).
"""

# The users of the key hash messages that never coincide (the 4-tuple 12 bytes, a counter 8), or take halves
# of one hash, so knowing one's numbers says nothing about another's.
from libc.string cimport memset

from tcpcore.base.prefetch cimport expect
from tcpcore.base.siphash cimport siphash24_1, siphash24_tuple
from tcpcore.base.siphash_batch cimport SIPHASH_BATCH, siphash24_many


cdef void isn_init(Isn* isn, IsnRule rule, int64_t tick_ns, uint64_t k0, uint64_t k1) noexcept nogil:
    """A generator under the key (k0, k1); tick_ns > 0 is the period of the clock."""
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


cdef uint32_t isn_ts_offset(const Isn* isn, uint32_t laddr, uint16_t lport, uint32_t raddr,
                            uint16_t rport) noexcept nogil:
    """What is added to our clock in TSval: a number for each 4-tuple, as in RFC 7323 7.1 and both stacks.

    The upper half of the hash whose lower half is F of RFC 6528 (Linux: secure_tcp_seq_and_ts_off). The next
    connection of a 4-tuple has the same one, which the reuse of TIME-WAIT relies on (RFC 6191). One for each
    pair of addresses, as Linux had from 4.11 until 6.18.44, tells an attacker off the path the ports in use
    by way of SYN cookies."""
    return <uint32_t>(siphash24_tuple(isn.k0, isn.k1, raddr, rport, laddr, lport) >> 32)


cdef void isn_many(const Isn* isn, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                   uint32_t* numbers, uint32_t* offsets) noexcept nogil:
    """isn_make by RFC 6528 and isn_ts_offset (each out, NULL: not wanted) for n <= SIPHASH_BATCH 4-tuples,
    given as the words of their messages."""
    cdef uint64_t hashes[SIPHASH_BATCH]
    cdef uint32_t clock = isn_clock(isn, now)
    cdef Py_ssize_t i
    siphash24_many(isn.k0, isn.k1, first, last, hashes, n)
    if numbers != NULL:
        for i in range(n):
            numbers[i] = clock + <uint32_t>hashes[i]
    if offsets != NULL:
        for i in range(n):
            offsets[i] = <uint32_t>(hashes[i] >> 32)
