# SipHash-1-3 and SipHash-2-4 of the messages that the engine hashes: one or two 64-bit words, or a
# connection's 4-tuple. Inline functions only. Values equal the reference implementation's for the same
# bytes: a message is its little-endian bytes, and the last word compressed has the number of bytes on
# top.
#
# 2-4 is used where an outsider could profit from guessing a value (ISNs, cookies, ports), 1-3, which
# is faster, where only places of tables depend on it, as in Linux (hsiphash) and Rust's standard library.
# Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
#
#   suffix  bytes  words compressed, low bits first
#   _1      8      a              |  8 << 56
#   _tuple  12     raddr laddr    |  rport lport 12 << 56     the first 12 bytes of a Tcb
#   _2      16     a              |  b                    |  16 << 56
#
# Messages of different suffix differ in length, so they are never the same message. The key (k0, k1) is
# the 16 key bytes as two little-endian words.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef struct Sip:
    uint64_t v0, v1, v2, v3


cdef inline uint64_t sip_rotl(uint64_t x, int n) noexcept nogil:
    """x rotated left by n bits."""
    return (x << n) | (x >> (64 - n))


cdef inline void sip_start(Sip* s, uint64_t k0, uint64_t k1) noexcept nogil:
    """Begin a message under the key."""
    s.v0 = k0 ^ <uint64_t>0x736f6d6570736575
    s.v1 = k1 ^ <uint64_t>0x646f72616e646f6d
    s.v2 = k0 ^ <uint64_t>0x6c7967656e657261
    s.v3 = k1 ^ <uint64_t>0x7465646279746573


cdef inline void sip_round(Sip* s) noexcept nogil:
    """One SipRound."""
    s.v0 += s.v1
    s.v2 += s.v3
    s.v1 = sip_rotl(s.v1, 13) ^ s.v0
    s.v3 = sip_rotl(s.v3, 16) ^ s.v2
    s.v0 = sip_rotl(s.v0, 32) + s.v3
    s.v2 += s.v1
    s.v1 = sip_rotl(s.v1, 17) ^ s.v2
    s.v3 = sip_rotl(s.v3, 21) ^ s.v0
    s.v2 = sip_rotl(s.v2, 32)


cdef inline void sip_word(Sip* s, uint64_t m, bint twice) noexcept nogil:
    """Compress one word: c = 1 or 2 rounds."""
    s.v3 ^= m
    sip_round(s)
    if twice:
        sip_round(s)
    s.v0 ^= m


cdef inline uint64_t sip_end(Sip* s, bint four) noexcept nogil:
    """Finalize: d = 3 or 4 rounds."""
    s.v2 ^= 0xff
    sip_round(s)
    sip_round(s)
    sip_round(s)
    if four:
        sip_round(s)
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3


cdef inline uint64_t sip_two(uint64_t k0, uint64_t k1, uint64_t a, uint64_t last, bint strong) noexcept nogil:
    """Hash two words, the last one with the length on top: SipHash-2-4 if strong, else 1-3."""
    cdef Sip s
    sip_start(&s, k0, k1)
    sip_word(&s, a, strong)
    sip_word(&s, last, strong)
    return sip_end(&s, strong)


cdef inline uint64_t siphash13_tuple(uint64_t k0, uint64_t k1, uint32_t raddr, uint16_t rport, uint32_t laddr,
                                     uint16_t lport) noexcept nogil:
    """SipHash-1-3 of a 4-tuple, 12 bytes."""
    return sip_two(k0, k1, raddr | <uint64_t>laddr << 32,
                   rport | <uint64_t>lport << 16 | <uint64_t>12 << 56, False)


cdef inline uint64_t siphash24_tuple(uint64_t k0, uint64_t k1, uint32_t raddr, uint16_t rport, uint32_t laddr,
                                     uint16_t lport) noexcept nogil:
    """SipHash-2-4 of a 4-tuple, 12 bytes."""
    return sip_two(k0, k1, raddr | <uint64_t>laddr << 32,
                   rport | <uint64_t>lport << 16 | <uint64_t>12 << 56, True)


cdef inline uint64_t siphash24_1(uint64_t k0, uint64_t k1, uint64_t a) noexcept nogil:
    """SipHash-2-4 of one word, 8 bytes."""
    return sip_two(k0, k1, a, <uint64_t>8 << 56, True)


cdef inline uint64_t siphash24_2(uint64_t k0, uint64_t k1, uint64_t a, uint64_t b) noexcept nogil:
    """SipHash-2-4 of two words, 16 bytes."""
    cdef Sip s
    sip_start(&s, k0, k1)
    sip_word(&s, a, True)
    sip_word(&s, b, True)
    sip_word(&s, <uint64_t>16 << 56, True)
    return sip_end(&s, True)


cdef inline uint64_t derive_key(uint64_t seed, uint64_t purpose) noexcept nogil:
    """Half of a component's key: SipHash-2-4 under (seed, 0) of the purpose, which nothing else has."""
    return siphash24_1(seed, 0, purpose)
