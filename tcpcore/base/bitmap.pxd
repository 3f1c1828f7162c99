# A set of numbers below 2**17 that finds the next member from any number in a few instructions: words of
# bits, a summary of the words, a summary of the summary. Inline functions only.
#
# A word without members is never read, so a page of words that was never written stays untouched.
#
#   top        bit v: summary[v] is not 0
#   summary    bit w & 63 of word w >> 6: occupied[w] is not 0
#   occupied   bit s & 63 of word s >> 6: s is a member
from libc.stdint cimport uint32_t, uint64_t

cdef extern from *:
    int lowest_bit "__builtin_ctzll"(unsigned long long word) noexcept nogil

cdef enum:
    BITMAP_SIZE = 1 << 17           # at most 2**18: one word on top

cdef struct Bitmap:
    uint64_t top
    uint64_t summary[BITMAP_SIZE >> 12]
    uint64_t occupied[BITMAP_SIZE >> 6]


cdef inline void bitmap_set(Bitmap* bitmap, uint32_t s) noexcept nogil:
    """Add a member."""
    bitmap.occupied[s >> 6] |= <uint64_t>1 << (s & 63)
    bitmap.summary[s >> 12] |= <uint64_t>1 << (s >> 6 & 63)
    bitmap.top |= <uint64_t>1 << (s >> 12)


cdef inline void bitmap_clear(Bitmap* bitmap, uint32_t s) noexcept nogil:
    """Remove a member."""
    bitmap.occupied[s >> 6] &= ~(<uint64_t>1 << (s & 63))
    if bitmap.occupied[s >> 6] == 0:
        bitmap.summary[s >> 12] &= ~(<uint64_t>1 << (s >> 6 & 63))
        if bitmap.summary[s >> 12] == 0:
            bitmap.top &= ~(<uint64_t>1 << (s >> 12))


cdef inline uint64_t word_of(const Bitmap* bitmap, uint32_t word) noexcept nogil:
    """occupied[word], without reading it where it is 0."""
    return bitmap.occupied[word] if bitmap.summary[word >> 6] >> (word & 63) & 1 else 0


cdef inline bint bitmap_has(const Bitmap* bitmap, uint32_t s) noexcept nogil:
    """s is a member."""
    return (word_of(bitmap, s >> 6) >> (s & 63)) & 1


cdef inline uint64_t from_bit(uint64_t word, uint32_t bit) noexcept nogil:
    """The word without its bits below this one, bit <= 64."""
    return word >> bit << bit if bit < 64 else 0


cdef inline int bitmap_from(const Bitmap* bitmap, uint32_t s) noexcept nogil:
    """The smallest member at or above s <= BITMAP_SIZE, -1 none."""
    cdef uint32_t word = s >> 6, group = s >> 12
    cdef uint64_t bits
    if s == BITMAP_SIZE:
        return -1
    bits = from_bit(word_of(bitmap, word), s & 63)
    if bits == 0:
        bits = from_bit(bitmap.summary[group], (word & 63) + 1)
        if bits == 0:
            bits = from_bit(bitmap.top, group + 1)
            if bits == 0:
                return -1
            group = <uint32_t>lowest_bit(bits)
            bits = bitmap.summary[group]
        word = group << 6 | <uint32_t>lowest_bit(bits)
        bits = bitmap.occupied[word]
    return <int>(word << 6 | <uint32_t>lowest_bit(bits))


cdef inline list bitmap_check(const Bitmap* bitmap):
    """Every broken invariant in words."""
    cdef uint32_t word, group
    wrong = []
    for word in range(<uint32_t>BITMAP_SIZE >> 6):
        if <bint>(bitmap.summary[word >> 6] >> (word & 63) & 1) != (bitmap.occupied[word] != 0):
            wrong.append(f"summary bit {word} is wrong")
    for group in range(<uint32_t>BITMAP_SIZE >> 12):
        if <bint>(bitmap.top >> group & 1) != (bitmap.summary[group] != 0):
            wrong.append(f"top bit {group} is wrong")
    return wrong
