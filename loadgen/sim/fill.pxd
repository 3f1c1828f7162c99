# How full something is, exactly: what there is, the most there was, since when and for how long it was full.
#
# Every change is told with its time; nothing is sampled. A queue that is full and not full again within one
# instant has been full, for no time. Of what several engines have together, the most is that of the ends of
# instants: within one, the order of their calls is the loop's, not the scenario's.
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef struct Fill:
    uint32_t places           # it is full when it has so many; 0: never
    uint32_t now
    uint32_t most
    int64_t first             # when it was full first, -1: it never was
    int64_t since             # full since, -1: it is not
    int64_t full              # ns, up to `since`


cdef inline void fill_set(Fill* fill, uint32_t n, int64_t now) noexcept nogil:
    """There are n now."""
    fill.now = n
    if n > fill.most:
        fill.most = n
    if fill.places > 0 and n >= fill.places:
        if fill.since < 0:
            fill.since = now
            if fill.first < 0:
                fill.first = now
    elif fill.since >= 0:
        fill.full += now - fill.since
        fill.since = -1


cdef inline void fill_add(Fill* fill, uint32_t n, int64_t now) noexcept nogil:
    fill_set(fill, fill.now + n, now)


cdef inline void fill_drop(Fill* fill, uint32_t n, int64_t now) noexcept nogil:
    fill_set(fill, fill.now - n, now)


cdef inline void fill_start(Fill* fill, uint32_t places, int64_t now) noexcept nogil:
    """So many places from now on; what was before is forgotten, what is in it stays."""
    fill.places = places
    fill.most = 0
    fill.first = fill.since = -1
    fill.full = 0
    fill_set(fill, fill.now, now)


cdef inline void fill_places(Fill* fill, uint32_t places, int64_t now) noexcept nogil:
    """So many places from now on, and it stays known how full it was."""
    fill.places = places
    fill_set(fill, fill.now, now)


cdef inline int64_t fill_time(const Fill* fill, int64_t now) noexcept nogil:
    """How long it was full up to now, in ns."""
    return fill.full + (now - fill.since if fill.since >= 0 else 0)


cdef struct Total:
    uint32_t now
    uint32_t most             # up to `at`
    int64_t at                # of the last change
    uint64_t area             # integral over time up to `at`, in ns: modulo 2^64, only differences count


cdef inline void total_add(Total* total, int64_t n, int64_t now) noexcept nogil:
    """n more, or -n less."""
    if now != total.at:
        total.area += total.now * <uint64_t>(now - total.at)
        if total.now > total.most:
            total.most = total.now
        total.at = now
    total.now = <uint32_t>(total.now + n)


cdef inline uint32_t total_most(const Total* total) noexcept nogil:
    return total.now if total.now > total.most else total.most


cdef inline uint64_t total_area(const Total* total, int64_t now) noexcept nogil:
    """The integral over time from the beginning up to now."""
    return total.area + total.now * <uint64_t>(now - total.at)


cdef inline void total_start(Total* total, int64_t now) noexcept nogil:
    """What was before is forgotten, what is there stays."""
    total.most = 0
    total.area = total_area(total, now)
    total.at = now
