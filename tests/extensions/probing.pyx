"""ProbedSet: numbers in a table with linear probing, each with a home of the caller's choice."""

cimport cython
from libc.stdint cimport uint32_t

from tcpcore.base.probing cimport (
    ProbeTable, probe_at, probe_bytes, probe_free, probe_grow, probe_home, probe_must_grow, probe_next,
    probe_remove, probe_used,
)

cdef struct Entry:
    uint32_t number           # may be 0 while `present` is not
    uint32_t hash
    uint32_t present


cdef uint32_t hash_of_entry(const void* owner, const void* entry) noexcept nogil:
    return (<const Entry*>entry).hash


@cython.final
cdef class ProbedSet:
    """A set of (number, hash); `first_places` is a power of two."""

    cdef ProbeTable table
    cdef uint32_t first_places
    cdef uint32_t n

    def __cinit__(self, uint32_t first_places):
        if first_places == 0 or first_places & (first_places - 1):
            raise ValueError(f"first_places: expected a power of two, got {first_places}")
        self.first_places = first_places
        if not self._grow():
            raise MemoryError("probing: no memory")

    def __dealloc__(self):
        probe_free(&self.table)

    cdef bint _grow(self) noexcept:
        return probe_grow(&self.table, self.first_places, sizeof(Entry), hash_of_entry, NULL)

    cdef Entry* _at(self, uint32_t place) noexcept:
        return <Entry*>probe_at(&self.table, place, sizeof(Entry))

    cdef uint32_t _place(self, uint32_t number, uint32_t hash) noexcept:
        cdef uint32_t place = probe_home(&self.table, hash)
        while self._at(place).present and (self._at(place).number != number or self._at(place).hash != hash):
            place = probe_next(&self.table, place)
        return place

    def __len__(self):
        return self.n

    def __contains__(self, item):
        number, hash = item
        return bool(self._at(self._place(number, hash)).present)

    def add(self, uint32_t number, uint32_t hash):
        """Add an entry that is not there; False if it is."""
        if self._at(self._place(number, hash)).present:
            return False
        if probe_must_grow(&self.table, self.n) and not self._grow():
            raise MemoryError("probing: no memory")
        entry = self._at(self._place(number, hash))
        entry.number, entry.hash, entry.present = number, hash, 1
        self.n += 1
        return True

    def remove(self, uint32_t number, uint32_t hash):
        """Remove an entry; False if it is not there."""
        cdef uint32_t place = self._place(number, hash)
        if not self._at(place).present:
            return False
        probe_remove(&self.table, place, sizeof(Entry), hash_of_entry, NULL)
        self.n -= 1
        return True

    @property
    def places(self):
        return self.table.mask + 1

    @property
    def nbytes(self):
        return probe_bytes(&self.table, sizeof(Entry))

    def layout(self):
        """(number, hash) at each place, None where it is empty."""
        return [(self._at(i).number, self._at(i).hash) if probe_used(self._at(i), sizeof(Entry)) else None
                for i in range(self.table.mask + 1)]
