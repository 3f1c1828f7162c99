# Counts of times in log-linear buckets: exact below 2**8 ns, then 128 buckets for each doubling (0.8 %).
# The smallest and the largest value are kept exactly. HdrHistogram's layout with 2 significant digits and
# more.
from libc.stdint cimport int64_t, uint64_t

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
    cdef int shift = 0
    cdef uint64_t v = <uint64_t>value
    if v < (1 << (SUB_BITS + 1)):
        return <int>v
    while v >> (SUB_BITS + 1):                        # at most 54 steps; the values are rare against segments
        v >>= 1
        shift += 1
    return <int>((shift << SUB_BITS) + v)


cdef inline void histo_add(Histo* histo, int64_t value) noexcept nogil:
    if histo.n == 0 or value < histo.least:
        histo.least = value
    if histo.n == 0 or value > histo.most:
        histo.most = value
    histo.n += 1
    histo.sum += value
    histo.counts[bucket_of(value)] += 1
