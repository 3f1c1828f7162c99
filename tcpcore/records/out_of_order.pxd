# What arrived ahead of a gap: up to four ranges of sequence numbers, and where the FIN is. One record for
# each connection that has such text, with its arithmetic; components.range_pool has the pool of records.
#
#       rcv_nxt      left[0]   right[0]      left[1]   right[1]
#   ------|============|#########|=============|#########|=======>   n = 2
#            missing     received    missing     received
#
# Invariant: the n ranges are [left, right), not empty, in order, and neither overlap nor
# touch. All numbers lie within one window, so any two of them compare. Source: RFC 9293 3.10.7.4.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.base.seq cimport seq_le, seq_lt, seq_max, seq_min

cdef enum:
    N_RANGES = 4

cdef struct Ranges:
    uint32_t left[N_RANGES]
    uint32_t right[N_RANGES]  # number after the range's last byte
    uint32_t fin_seq          # number of the peer's FIN, while has_fin
    uint8_t n
    uint8_t has_fin


cdef inline bint ranges_add(Ranges* ranges, uint32_t left, uint32_t right) noexcept nogil:
    """Remember [left, right), left < right; returns False and changes nothing if that takes a fifth range."""
    cdef int first = 0, behind, i, n = ranges.n
    while first < n and seq_lt(ranges.right[first], left):
        first += 1
    behind = first                            # first .. behind - 1 become one with the new range
    while behind < n and seq_le(ranges.left[behind], right):
        behind += 1
    if behind > first:
        ranges.left[first] = seq_min(ranges.left[first], left)
        ranges.right[first] = seq_max(ranges.right[behind - 1], right)
        for i in range(behind, n):
            ranges.left[first + 1 + i - behind] = ranges.left[i]
            ranges.right[first + 1 + i - behind] = ranges.right[i]
        ranges.n = <uint8_t>(n - (behind - first - 1))
        return True
    if n == N_RANGES:
        return False
    for i in range(n, first, -1):
        ranges.left[i] = ranges.left[i - 1]
        ranges.right[i] = ranges.right[i - 1]
    ranges.left[first] = left
    ranges.right[first] = right
    ranges.n = <uint8_t>(n + 1)
    return True


cdef inline uint32_t ranges_take(Ranges* ranges, uint32_t rcv_nxt) noexcept nogil:
    """Forget every range that RCV.NXT has reached; returns RCV.NXT behind them."""
    cdef int i, gone = 0
    while gone < ranges.n and seq_le(ranges.left[gone], rcv_nxt):
        rcv_nxt = seq_max(rcv_nxt, ranges.right[gone])
        gone += 1
    for i in range(gone, ranges.n):
        ranges.left[i - gone] = ranges.left[i]
        ranges.right[i - gone] = ranges.right[i]
    ranges.n = <uint8_t>(ranges.n - gone)
    if ranges.has_fin and seq_lt(ranges.fin_seq, rcv_nxt):
        ranges.has_fin = False                # text where the FIN was announced: it was none
    return rcv_nxt


cdef inline void ranges_set_fin(Ranges* ranges, uint32_t fin_seq) noexcept nogil:
    """Remember where the peer's FIN is; if it was known already, the first number stays."""
    if not ranges.has_fin:
        ranges.has_fin = True
        ranges.fin_seq = fin_seq


cdef inline bint ranges_fin_next(const Ranges* ranges, uint32_t rcv_nxt) noexcept nogil:
    """Whether RCV.NXT is at the FIN: everything before it has arrived."""
    return ranges.has_fin and ranges.fin_seq == rcv_nxt


cdef inline bint ranges_empty(const Ranges* ranges) noexcept nogil:
    """Whether nothing is remembered, so that the record can go back to the pool."""
    return ranges.n == 0 and not ranges.has_fin
