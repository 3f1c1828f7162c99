# SipHash of many messages at once, which the compiler vectorizes. The same values as siphash.pxd; a
# message is the words compressed, two or (_3) three, its length already on top.
#
# Verbatim C, because no Cython function can carry an attribute: target_clones compiles the loops once per
# instruction set and the loader picks (glibc only), so a wheel for any x86-64 hashes 4 or 8 messages at a
# time. The rounds are written on scalars: gcc vectorizes the loop over messages.
from libc.stdint cimport uint16_t, uint32_t, uint64_t

cdef enum:
    SIPHASH_BATCH = 64        # messages packed at a time: their words stay in the L1 cache

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GLIBC__) && __GNUC__ >= 12 && !defined(__clang__) \\
        && !defined(TCPCORE_DEBUG)
    #define TC_CLONES __attribute__((unused, target_clones("arch=x86-64-v4", "avx2", "default")))
    #else
    #define TC_CLONES __attribute__((unused))
    #endif
    #define TC_ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
    #define TC_ROUND do { v0 += v1; v2 += v3; v1 = TC_ROTL(v1, 13) ^ v0; v3 = TC_ROTL(v3, 16) ^ v2; \\
        v0 = TC_ROTL(v0, 32) + v3; v2 += v1; v1 = TC_ROTL(v1, 17) ^ v2; v3 = TC_ROTL(v3, 21) ^ v0; \\
        v2 = TC_ROTL(v2, 32); } while (0)
    #define TC_SIP(NAME, C, D) \\
    TC_CLONES static void NAME(uint64_t k0, uint64_t k1, const uint64_t *restrict a, \\
                               const uint64_t *restrict b, uint64_t *restrict out, Py_ssize_t n) { \\
        for (Py_ssize_t i = 0; i < n; i++) { \\
            uint64_t v0 = k0 ^ 0x736f6d6570736575u, v1 = k1 ^ 0x646f72616e646f6du; \\
            uint64_t v2 = k0 ^ 0x6c7967656e657261u, v3 = k1 ^ 0x7465646279746573u ^ a[i]; \\
            C; v0 ^= a[i]; v3 ^= b[i]; C; v0 ^= b[i]; v2 ^= 0xff; D; \\
            out[i] = v0 ^ v1 ^ v2 ^ v3; \\
        } \\
    }
    TC_SIP(tc_sip13, TC_ROUND, TC_ROUND; TC_ROUND; TC_ROUND)
    TC_SIP(tc_sip24, TC_ROUND; TC_ROUND, TC_ROUND; TC_ROUND; TC_ROUND; TC_ROUND)
    TC_CLONES static void tc_sip24_3(uint64_t k0, uint64_t k1, const uint64_t *restrict a,
                                     const uint64_t *restrict b, uint64_t last,
                                     uint64_t *restrict out, Py_ssize_t n) {
        for (Py_ssize_t i = 0; i < n; i++) {
            uint64_t v0 = k0 ^ 0x736f6d6570736575u, v1 = k1 ^ 0x646f72616e646f6du;
            uint64_t v2 = k0 ^ 0x6c7967656e657261u, v3 = k1 ^ 0x7465646279746573u ^ a[i];
            TC_ROUND; TC_ROUND; v0 ^= a[i]; v3 ^= b[i]; TC_ROUND; TC_ROUND; v0 ^= b[i]; v3 ^= last;
            TC_ROUND; TC_ROUND; v0 ^= last; v2 ^= 0xff; TC_ROUND; TC_ROUND; TC_ROUND; TC_ROUND;
            out[i] = v0 ^ v1 ^ v2 ^ v3;
        }
    }
    """
    void siphash13_many "tc_sip13"(uint64_t k0, uint64_t k1, const uint64_t* a, const uint64_t* last,
                                   uint64_t* out, Py_ssize_t n) noexcept nogil
    void siphash24_many "tc_sip24"(uint64_t k0, uint64_t k1, const uint64_t* a, const uint64_t* last,
                                   uint64_t* out, Py_ssize_t n) noexcept nogil
    void siphash24_many_3 "tc_sip24_3"(uint64_t k0, uint64_t k1, const uint64_t* a, const uint64_t* b,
                                       uint64_t last, uint64_t* out, Py_ssize_t n) noexcept nogil


cdef inline uint64_t tuple_first(uint32_t raddr, uint32_t laddr) noexcept nogil:
    """First word of the message of siphash13_tuple and siphash24_tuple."""
    return raddr | <uint64_t>laddr << 32


cdef inline uint64_t tuple_last(uint16_t rport, uint16_t lport) noexcept nogil:
    """Last word of the message of siphash13_tuple and siphash24_tuple."""
    return rport | <uint64_t>lport << 16 | <uint64_t>12 << 56
