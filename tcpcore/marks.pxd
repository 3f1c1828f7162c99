# A set of up to 4096 small numbers with "the next member from here" in a few instructions:
# 64 words of bits and a summary word. Ground: cdef inline only.
#
#   summary    bit w: occupied[w] is not 0
#   occupied   bit s & 63 of word s >> 6: s is a member
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(unsigned long long word) noexcept nogil

cdef struct Marks:
    uint64_t summary
    uint64_t occupied[64]


cdef inline void marks_set(Marks* marks, uint32_t s) noexcept nogil:
    marks.occupied[s >> 6] |= <uint64_t>1 << (s & 63)
    marks.summary |= <uint64_t>1 << (s >> 6)


cdef inline void marks_clear(Marks* marks, uint32_t s) noexcept nogil:
    marks.occupied[s >> 6] &= ~(<uint64_t>1 << (s & 63))
    if marks.occupied[s >> 6] == 0:
        marks.summary &= ~(<uint64_t>1 << (s >> 6))


cdef inline bint marks_has(const Marks* marks, uint32_t s) noexcept nogil:
    return (marks.occupied[s >> 6] >> (s & 63)) & 1


cdef inline int marks_from(const Marks* marks, uint32_t s) noexcept nogil:
    """The smallest member at or above s <= 4096, -1 none."""
    cdef uint32_t word = s >> 6
    cdef uint64_t bits
    if word == 64:
        return -1
    bits = marks.occupied[word] >> (s & 63)
    if bits:
        return <int>(s + <uint32_t>lowest_bit(bits))
    if word == 63:
        return -1
    bits = marks.summary >> (word + 1)
    if bits == 0:
        return -1
    word += 1 + <uint32_t>lowest_bit(bits)
    return <int>((word << 6) + <uint32_t>lowest_bit(marks.occupied[word]))
