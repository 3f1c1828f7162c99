# A first-in first-out queue in a ring of places, which doubles when it is full. Inline functions only.
#
# Entries are plain bytes of one size. A call is given that size, and the number of places of the first
# allocation: both are constants of the caller, so the compiler folds them. The first entry takes memory.
#
#   |  4  |  5  |     |     |  1  |  2  |  3  |     the i-th oldest entry is at (head + i) & (places - 1)
#                           head                    length is 5
#
# Invariants: places is a power of two or 0; length <= places; head < places, or both are 0.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from tcpcore.base.prefetch cimport likely

cdef struct Ring:
    char* entries
    uint32_t places
    uint32_t head             # place of the oldest entry
    uint32_t length           # entries


cdef inline void* ring_at(const Ring* ring, uint32_t i, size_t entry_bytes) noexcept nogil:
    """The i-th oldest entry; i = length < places is where the next one goes."""
    return ring.entries + ((ring.head + i) & (ring.places - 1)) * entry_bytes


cdef inline void* ring_oldest(const Ring* ring, size_t entry_bytes) noexcept nogil:
    """The oldest entry of a ring that has one: ring_at(ring, 0) in fewer instructions."""
    return ring.entries + ring.head * entry_bytes


cdef inline bint ring_grow(Ring* ring, uint32_t first_places, size_t entry_bytes) noexcept nogil:
    """Double the places and move the oldest entry to the first one; False when memory is refused."""
    cdef uint32_t places = 2 * ring.places if ring.places else first_places
    cdef uint32_t unwrapped = ring.places - ring.head
    cdef char* entries = <char*>malloc(places * entry_bytes)
    if entries == NULL:
        return False
    if unwrapped > ring.length:
        unwrapped = ring.length
    if ring.length:
        memcpy(entries, ring.entries + ring.head * entry_bytes, unwrapped * entry_bytes)
        memcpy(entries + unwrapped * entry_bytes, ring.entries, (ring.length - unwrapped) * entry_bytes)
    free(ring.entries)
    ring.entries = entries
    ring.places = places
    ring.head = 0
    return True


cdef inline bint ring_reserve(Ring* ring, uint32_t first_places, size_t entry_bytes) noexcept nogil:
    """Make room for one more entry; False when memory is refused."""
    return likely(ring.length != ring.places) or ring_grow(ring, first_places, entry_bytes)


cdef inline void* ring_push(Ring* ring, size_t entry_bytes) noexcept nogil:
    """Add a newest entry, which the caller fills in, to a ring that has room for it."""
    cdef void* entry = ring_at(ring, ring.length, entry_bytes)
    ring.length += 1
    return entry


cdef inline void ring_drop(Ring* ring) noexcept nogil:
    """Remove the oldest entry of a ring that has one."""
    ring.head = (ring.head + 1) & (ring.places - 1)
    ring.length -= 1


cdef inline void ring_free(Ring* ring) noexcept nogil:
    """Remove all entries and give the memory back."""
    free(ring.entries)
    memset(ring, 0, sizeof(Ring))


cdef inline size_t ring_bytes(const Ring* ring, size_t entry_bytes) noexcept nogil:
    """Allocated bytes."""
    return ring.places * entry_bytes


cdef inline bint ring_is_sound(const Ring* ring) noexcept nogil:
    """The invariants hold."""
    return (ring.places & (ring.places - 1) == 0 and ring.length <= ring.places
            and (ring.head < ring.places or ring.head == 0))
