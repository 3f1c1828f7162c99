"""When connections begin and spoofed segments come.

The n-th arrival is where the integral of the rate reaches n (paced) or the sum of n exponential draws of
mean 1 (Poisson): two settings of a rate see the same draws. The rate is linear between the points of
`shape`. Source: inversion of the cumulative intensity, Lewis and Shedler (1979).
"""

from libc.math cimport sqrt
from libc.stdint cimport INT64_MAX, uint32_t, uint64_t
from libc.string cimport memset

from tcpcore cimport ACK, OPT_MSS, SYN
from loadgen.sim.draw cimport DRAWS_OF_SPOOFED, below, log_of, unit_above_zero, word


cdef double time_of_area(const Point* shape, int points, double area) noexcept nogil:
    """The last moment at which the integral of the rate is not above `area` (S3.2), in ns; -1: never."""
    cdef int i = 0
    cdef double rest, slope, rate
    while i + 1 < points and shape[i + 1].area <= area:
        i += 1
    rest = area - shape[i].area
    rate = shape[i].rate
    if i + 1 == points:
        return shape[i].at + rest / rate if rate > 0.0 else -1.0
    if rest <= 0.0:
        return shape[i].at
    slope = (shape[i + 1].rate - rate) / (shape[i + 1].at - shape[i].at)
    # below 0 by rounding at the end of a fall to no rate
    return shape[i].at + 2.0 * rest / (rate + sqrt(max(0.0, rate * rate + 2.0 * slope * rest)))


cdef void load_next(Load* load) noexcept nogil:
    """Work out when the next connection of an open loop begins."""
    cdef double at
    load.due = INT64_MAX
    if load.begun >= load.count:
        return
    if load.trace_n > 0:
        if load.begun < <uint64_t>load.trace_n:
            load.due = load.start + load.trace[load.begun]
    elif load.points == 0:                            # flat out
        load.due = load.start
    else:
        if load.poisson:
            load.area -= log_of(unit_above_zero(word(load.arrivals, load.begun)))
        else:
            load.area = <double>load.begun
        at = time_of_area(load.shape, load.points, load.area)
        if 0.0 <= at < 4e18:
            load.due = load.start + <int64_t>(at + 0.5)
    if load.due >= load.stop:
        load.due = INT64_MAX


cdef double area_of_time(const Load* load, double at) noexcept nogil:
    """The integral of the rate up to a moment after the load's start, in connections."""
    cdef int i = 0
    cdef double into, slope = 0.0
    if load.points == 0 or at <= load.shape[0].at:
        return 0.0
    while i + 1 < load.points and load.shape[i + 1].at <= at:
        i += 1
    into = at - load.shape[i].at
    if i + 1 < load.points:
        slope = (load.shape[i + 1].rate - load.shape[i].rate) / (load.shape[i + 1].at - load.shape[i].at)
    return load.shape[i].area + into * (load.shape[i].rate + slope * into / 2)


cdef uint64_t first_from(Load* load, uint64_t begun, int64_t at) noexcept nogil:
    """The number of the first arrival, from `begun` on, that is not before a moment; by halving."""
    cdef uint64_t low = begun, high = load.count, middle
    while low < high:
        middle = low + (high - low) // 2
        load.begun = middle
        load_next(load)
        if load.due < at:
            low = middle + 1
        else:
            high = middle
    return low


cdef uint64_t load_left(Load* load, int64_t since, uint64_t most, bint* exact) noexcept nogil:
    """Arrivals that are still to come, from a moment on (S6.6).

    exact (out): False where they are Poisson and more than about `most`: their expected number, then. To
    count them is to draw each.
    """
    cdef uint64_t begun = load.begun, n = 0
    cdef double area = load.area, expected
    cdef int64_t due = load.due
    exact[0] = True
    if load.poisson and load.trace_n == 0 and load.points > 0:
        expected = area_of_time(load, <double>(load.stop - load.start))
        expected -= area_of_time(load, <double>(since - load.start))
        expected = min(expected, <double>(load.count - begun))
        if expected > <double>most:
            exact[0] = False
            return <uint64_t>(expected + 0.5)
        while load.due < INT64_MAX:
            n += load.due >= since
            load.begun += 1
            load_next(load)
    elif load.due < INT64_MAX:
        n = first_from(load, begun, INT64_MAX) - first_from(load, begun, since)
    load.begun, load.area, load.due = begun, area, due
    return n


cdef void flood_start(Flood* flood) noexcept nogil:
    """Where the first spoofed segment is: at the start, or a draw after it (S8.1)."""
    if flood.poisson:
        flood.area = -log_of(unit_above_zero(word(flood.key, 0)))


cdef int64_t flood_next(const Flood* flood) noexcept nogil:
    """When the next spoofed segment comes, INT64_MAX if none does."""
    cdef double after = flood.area * flood.gap
    cdef int64_t at
    if after >= 4e18 or flood.sent >= flood.count:
        return INT64_MAX
    at = <int64_t>(after + 0.5)
    if flood.off > 0:                                 # so long it was on
        at += at // flood.on * flood.off
    at += flood.start
    return at if at < flood.stop else INT64_MAX


cdef void flood_segment(Flood* flood, unsigned int dst, unsigned short dport, Segment* seg) noexcept nogil:
    """Make the next spoofed segment, and move on to the one after it."""
    cdef uint64_t i = flood.sent * DRAWS_OF_SPOOFED
    cdef uint64_t bits = word(flood.key, i + 1), numbers = word(flood.key, i + 3)
    cdef double share
    cdef int net = 0
    memset(seg, 0, sizeof(Segment))
    if flood.nets_n > 1:
        share = <double>(bits & 0xFFFFFF) * (1.0 / 16777216.0)
        while net + 1 < flood.nets_n and share >= flood.weights[net]:
            net += 1
    seg.src = flood.nets[2 * net] + <uint32_t>below(bits, <uint64_t>flood.nets[2 * net + 1] + 1)
    seg.dst = dst
    seg.sport = <unsigned short>(1024 + below(word(flood.key, i + 2), 64512))
    seg.dport = dport
    seg.seq = <uint32_t>(numbers >> 32)
    seg.flags = flood.flags
    seg.wnd = 65535
    if flood.flags & ACK:
        seg.ack = <uint32_t>numbers
    if flood.flags & SYN:
        seg.opts = OPT_MSS
        seg.mss = 1460
    flood.sent += 1
    if flood.poisson:
        flood.area -= log_of(unit_above_zero(word(flood.key, i + DRAWS_OF_SPOOFED)))
    else:
        flood.area += 1.0
