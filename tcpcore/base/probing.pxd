# Open addressing with linear probing, for small tables that are read more often than changed. Inline
# functions only: the table, its growth and the removal of an entry.
#
# The search is the caller's, since only the caller compares keys: from probe_home on, probe_next by
# probe_next, until the key or an empty place is met. Entries are plain bytes of one size, a multiple of
# four, and an entry of zeros is an empty place. The entry's size and its hash are constants of the
# caller, so all this is inlined.
#
#   home = hash & mask      | a a | b |   | c |      the second a and b are not at home; a search for b
#                             ^home of a and b       walks over both a
#
# Invariants: a power of two of places, at most half of them used (probe_must_grow asks before each
# insertion); no place between an entry's home and the entry is empty.
# Source: Knuth, "The Art of Computer Programming" 3, 6.4, algorithms L (search) and R (removal). R moves
# later entries back instead of leaving a mark: no search gets longer by what was there once.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

ctypedef uint32_t (*ProbeHash)(const void* owner,
                               const void* entry) noexcept nogil

cdef struct ProbeTable:
    char* entries             # [mask + 1], NULL before the first probe_grow
    uint32_t mask             # places - 1


cdef inline uint32_t probe_home(const ProbeTable* table, uint32_t hash) noexcept nogil:
    """The place where a search begins."""
    return hash & table.mask


cdef inline uint32_t probe_next(const ProbeTable* table, uint32_t place) noexcept nogil:
    """The place after this one; the first one follows the last."""
    return (place + 1) & table.mask


cdef inline void* probe_at(const ProbeTable* table, uint32_t place, size_t entry_bytes) noexcept nogil:
    """The entry at a place."""
    return table.entries + place * entry_bytes


cdef inline bint probe_used(const void* entry, size_t entry_bytes) noexcept nogil:
    """A place is used if any byte of its entry is not 0."""
    cdef const uint32_t* words = <const uint32_t*>entry
    cdef size_t i
    for i in range(entry_bytes // 4):
        if words[i]:
            return True
    return False


cdef inline bint probe_must_grow(const ProbeTable* table, uint32_t used) noexcept nogil:
    """One more entry than `used` would fill more than half of the places."""
    return 2 * (used + 1) > table.mask + 1


cdef inline bint probe_grow(ProbeTable* table, uint32_t first_places, size_t entry_bytes, ProbeHash hash,
                            const void* owner) noexcept nogil:
    """Double the places and insert every entry again; False when memory is refused."""
    cdef ProbeTable old = table[0]
    cdef uint32_t places = old.mask + 1 if old.entries != NULL else 0, i, at
    cdef uint32_t wanted = 2 * places if places else first_places
    cdef char* entries = <char*>calloc(wanted, entry_bytes)
    if entries == NULL:
        return False
    table.entries = entries
    table.mask = wanted - 1
    for i in range(places):
        if probe_used(probe_at(&old, i, entry_bytes), entry_bytes):
            at = probe_home(table, hash(owner, probe_at(&old, i, entry_bytes)))
            while probe_used(probe_at(table, at, entry_bytes), entry_bytes):
                at = probe_next(table, at)
            memcpy(probe_at(table, at, entry_bytes), probe_at(&old, i, entry_bytes), entry_bytes)
    free(old.entries)
    return True


cdef inline void probe_remove(ProbeTable* table, uint32_t place, size_t entry_bytes, ProbeHash hash,
                              const void* owner) noexcept nogil:
    """Empty a place and move back what was pushed past it."""
    cdef uint32_t gap = place, at = place, home
    while True:
        at = probe_next(table, at)
        if not probe_used(probe_at(table, at, entry_bytes), entry_bytes):
            break
        home = probe_home(table, hash(owner, probe_at(table, at, entry_bytes)))
        # the entry may move if its search passes the gap: its home is not behind the gap
        if ((at - home) & table.mask) >= ((at - gap) & table.mask):
            memcpy(probe_at(table, gap, entry_bytes), probe_at(table, at, entry_bytes), entry_bytes)
            gap = at
    memset(probe_at(table, gap, entry_bytes), 0, entry_bytes)


cdef inline size_t probe_bytes(const ProbeTable* table, size_t entry_bytes) noexcept nogil:
    """Allocated bytes, once the table has any."""
    return (<size_t>table.mask + 1) * entry_bytes


cdef inline void probe_free(ProbeTable* table) noexcept nogil:
    """Give the memory back."""
    free(table.entries)
    memset(table, 0, sizeof(ProbeTable))
