# Twelve bytes compared at once. SSE2, which every x86-64 has, takes few instructions for it; elsewhere the
# compiler makes of the loop what it can.
from libc.stdint cimport uint8_t, uint32_t

cdef extern from *:
    """
    #ifdef __SSE2__
    #include <emmintrin.h>
    #endif
    static inline uint32_t tc_tags_bytewise(const uint8_t *tags, uint8_t tag) {
        uint32_t found = 0;
        for (int i = 0; i < 12; i++)
            found |= (uint32_t)(tags[i] == tag) << i;
        return found;
    }
    static inline uint32_t tc_tags_equal(const uint8_t *tags, uint8_t tag) {
    #ifdef __SSE2__
        __m128i all = _mm_loadu_si128((const __m128i *)tags);
        return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8((char)tag))) & 0xFFF;
    #else
        return tc_tags_bytewise(tags, tag);
    #endif
    }
    """
    # Bit i for each of tags[:12] that is this one; 16 bytes are read.
    uint32_t tags_equal "tc_tags_equal"(const uint8_t* tags, uint8_t tag) noexcept nogil
    uint32_t tags_equal_bytewise "tc_tags_bytewise"(const uint8_t* tags, uint8_t tag) noexcept nogil
