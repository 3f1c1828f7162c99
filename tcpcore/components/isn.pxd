# Initial sequence numbers (RFC 9293 3.4.1, RFC 6528) and timestamp offsets (RFC 7323 7.1): functions of a
# clock, a key and a 4-tuple; nothing is remembered per peer. isn_many is isn_make and isn_ts_offset for a
# batch, whose 4-tuples the caller has packed into the words of their SipHash messages (siphash_batch.pxd).
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

cdef enum IsnRule:
    ISN_RFC6528 = 0
    ISN_RFC793 = 1
    ISN_RANDOM = 2

cdef struct Isn:
    IsnRule rule
    int64_t tick_ns
    uint64_t k0
    uint64_t k1
    uint64_t drawn            # random rule: numbers drawn so far

cdef void isn_init(Isn* isn, IsnRule rule, int64_t tick_ns, uint64_t k0, uint64_t k1) noexcept nogil
cdef uint32_t isn_make(Isn* isn, uint32_t laddr, uint16_t lport, uint32_t raddr, uint16_t rport,
                       int64_t now) noexcept nogil
cdef uint32_t isn_ts_offset(const Isn* isn, uint32_t laddr, uint16_t lport, uint32_t raddr,
                            uint16_t rport) noexcept nogil
cdef void isn_many(const Isn* isn, const uint64_t* first, const uint64_t* last, Py_ssize_t n, int64_t now,
                   uint32_t* numbers, uint32_t* offsets) noexcept nogil


cdef inline bint isn_hashes(const Isn* isn) noexcept nogil:
    """isn_many can give ISNs: one is a hash, not the next number of a sequence."""
    return isn.rule == ISN_RFC6528


cdef inline uint32_t isn_clock(const Isn* isn, int64_t now) noexcept nogil:
    """M of RFC 6528 3."""
    return <uint32_t>(now // isn.tick_ns)
