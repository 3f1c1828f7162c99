# What arrived ahead of a gap: up to four ranges of sequence numbers, FINs among them. One record for
# each connection that has such text, with its arithmetic; components.range_pool has the pool of records.
#
#       rcv_nxt      left[0]   right[0]      left[1]   right[1]
#   ------|============|#########|=============|#########|=======>   n = 2
#            missing     received    missing     received
#
# Invariant: the n ranges are [left, right), not empty, in the order of their first numbers. Those without a
# FIN neither overlap nor touch each other; one with a FIN stays what it was when it came, as text over all of
# it takes the FIN back (Linux: tcp_data_queue_ofo). All numbers lie within one window, so any two of them
# compare. Source: RFC 9293 3.10.7.4.
from libc.stdint cimport uint8_t, uint32_t

from tcpcore.base.seq cimport seq_le, seq_lt, seq_max, seq_min

cdef enum:
    N_RANGES = 4

cdef struct Ranges:
    uint32_t left[N_RANGES]
    uint32_t right[N_RANGES]  # number after the range's last one, its FIN included
    uint8_t fins[N_RANGES]    # how many of its numbers are FINs
    uint8_t n


cdef inline bint ranges_add(Ranges* ranges, uint32_t left, uint32_t right, uint8_t fins) noexcept nogil:
    """Remember [left, right), left < right, whose last number is a FIN if `fins` is 1; returns False and
    changes nothing if that takes a fifth range."""
    cdef Ranges kept
    cdef uint32_t first = left, last = right
    cdef int i, at = 0
    kept.n = 0
    for i in range(ranges.n):
        if seq_le(ranges.left[i], left) and seq_le(right, ranges.right[i]):
            return True                       # nothing new; not even a FIN, where text has been
    for i in range(ranges.n):
        if ranges.right[i] == left and fins | ranges.fins[i]:
            ranges.right[i] = right           # right behind it: one range, whose FIN counts at its end
            ranges.fins[i] += fins
            return True
    for i in range(ranges.n):
        if not fins | ranges.fins[i] and seq_le(ranges.left[i], right) and seq_le(left, ranges.right[i]):
            first = seq_min(first, ranges.left[i])
            last = seq_max(last, ranges.right[i])
        elif not (seq_le(left, ranges.left[i]) and seq_le(ranges.right[i], right)):
            ranges_put(&kept, kept.n, ranges.left[i], ranges.right[i], ranges.fins[i])
            kept.n += 1
    if kept.n == N_RANGES:
        return False
    while at < kept.n and seq_lt(kept.left[at], first):
        at += 1
    for i in range(kept.n, at, -1):
        ranges_put(&kept, i, kept.left[i - 1], kept.right[i - 1], kept.fins[i - 1])
    ranges_put(&kept, at, first, last, fins)
    kept.n += 1
    ranges[0] = kept
    return True


cdef inline void ranges_put(Ranges* ranges, int i, uint32_t left, uint32_t right,
                            uint8_t fins) noexcept nogil:
    """Write one range."""
    ranges.left[i] = left
    ranges.right[i] = right
    ranges.fins[i] = fins


cdef inline uint32_t ranges_take(Ranges* ranges, uint32_t rcv_nxt, uint8_t* fins) noexcept nogil:
    """Forget every range that RCV.NXT has reached, up to one with a FIN; returns RCV.NXT behind them. `fins`
    (out): how many of the last one's numbers are FINs, 0 without one."""
    cdef int i, gone = 0
    fins[0] = 0
    while gone < ranges.n and not fins[0] and seq_le(ranges.left[gone], rcv_nxt):
        if seq_lt(rcv_nxt, ranges.right[gone]):       # else all of it has come otherwise, its FIN as text
            rcv_nxt = ranges.right[gone]
            fins[0] = ranges.fins[gone]
        gone += 1
    for i in range(gone, ranges.n):
        ranges_put(ranges, i - gone, ranges.left[i], ranges.right[i], ranges.fins[i])
    ranges.n -= <uint8_t>gone
    return rcv_nxt


cdef inline uint32_t ranges_end(const Ranges* ranges) noexcept nogil:
    """The number behind all of them; there is one."""
    cdef uint32_t end = ranges.right[0]
    cdef int i
    for i in range(1, ranges.n):
        end = seq_max(end, ranges.right[i])
    return end


cdef inline bint ranges_empty(const Ranges* ranges) noexcept nogil:
    """Whether nothing is remembered, so that the record can go back to the pool."""
    return ranges.n == 0
