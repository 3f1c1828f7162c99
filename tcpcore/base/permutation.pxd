# A keyed permutation of 0 .. size - 1: draws without repetition, and without a table of what was drawn.
#
# Four Feistel rounds on the next power of four, repeated until the result is in the range (cycle walking:
# Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
from libc.stdint cimport uint32_t, uint64_t

from tcpcore.base.siphash cimport siphash24_2

cdef enum:
    LEAST_HALF = 4            # bits; on fewer, Feistel rounds mix badly


cdef inline uint32_t permuted(uint64_t k0, uint64_t k1, uint64_t key, uint64_t tag, uint32_t size,
                              uint32_t x) noexcept nogil:
    """Where x < size goes under the permutation `key`; the tag, above bit 40, is of this use of k0, k1."""
    cdef uint32_t half = LEAST_HALF, left, right, turn
    while <uint32_t>1 << 2 * half < size:
        half += 1
    while True:
        left = x >> half
        right = x & ((<uint32_t>1 << half) - 1)
        for turn in range(4):
            x = left ^ <uint32_t>siphash24_2(k0, k1, key, tag | right | <uint64_t>turn << 32)
            left = right
            right = x & ((<uint32_t>1 << half) - 1)
        x = left << half | right
        if x < size:
            return x
