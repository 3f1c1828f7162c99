# Counts of times in log-linear buckets: exact below 2**8 ns, then 128 buckets for each doubling (0.8 %).
# The smallest and the largest value are kept exactly. HdrHistogram's layout with 2 significant digits and
# more.
from libc.stdint cimport int64_t, uint64_t

cdef extern from *:
    """
    #define LG_HIGHEST_BIT(x) (63 - __builtin_clzll(x))
    """
    int highest_bit "LG_HIGHEST_BIT"(uint64_t x) noexcept nogil    # of x > 0

cdef enum:
    SUB_BITS = 7              # 2**7 buckets for each doubling
    BUCKETS = (62 - SUB_BITS) << SUB_BITS

cdef struct Histo:
    uint64_t* counts          # [BUCKETS]
    uint64_t n
    int64_t least
    int64_t most
    double sum


cdef inline int bucket_of(int64_t value) noexcept nogil:
    """The bucket of a value from 0 to 2**61."""
    cdef uint64_t v = <uint64_t>value
    cdef int shift
    if v < (1 << (SUB_BITS + 1)):
        return <int>v
    shift = highest_bit(v) - SUB_BITS                 # so that SUB_BITS + 1 bits are left
    return <int>((shift << SUB_BITS) + (v >> shift))


cdef inline void histo_add(Histo* histo, int64_t value) noexcept nogil:
    if histo.n == 0 or value < histo.least:
        histo.least = value
    if histo.n == 0 or value > histo.most:
        histo.most = value
    histo.n += 1
    histo.sum += value
    histo.counts[bucket_of(value)] += 1
