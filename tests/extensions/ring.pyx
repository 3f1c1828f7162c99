"""Queue: numbers of 32 or 64 bits in a growable ring."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from tcpcore.base.ring cimport (
    Ring, ring_at, ring_bytes, ring_drop, ring_free, ring_is_sound, ring_push, ring_reserve,
)


@cython.final
cdef class Queue:
    """First in, first out. `wide` entries have 64 bits, others 32."""

    cdef Ring ring
    cdef uint32_t first_places
    cdef size_t entry_bytes

    def __cinit__(self, uint32_t first_places, bint wide=False):
        if first_places == 0 or first_places & (first_places - 1):
            raise ValueError(f"first_places: expected a power of two, got {first_places}")
        self.first_places = first_places
        self.entry_bytes = sizeof(uint64_t) if wide else sizeof(uint32_t)

    def __dealloc__(self):
        ring_free(&self.ring)

    def __len__(self):
        return self.ring.length

    def __getitem__(self, uint32_t i):
        """The i-th oldest number."""
        if i >= self.ring.length:
            raise IndexError(i)
        entry = ring_at(&self.ring, i, self.entry_bytes)
        return (<uint64_t*>entry)[0] if self.entry_bytes == sizeof(uint64_t) else (<uint32_t*>entry)[0]

    def push(self, uint64_t number):
        if not ring_reserve(&self.ring, self.first_places, self.entry_bytes):
            raise MemoryError("ring: no memory")
        entry = ring_push(&self.ring, self.entry_bytes)
        if self.entry_bytes == sizeof(uint64_t):
            (<uint64_t*>entry)[0] = number
        else:
            (<uint32_t*>entry)[0] = <uint32_t>number

    def pop(self):
        """Remove and return the oldest number."""
        oldest = self[0]
        ring_drop(&self.ring)
        return oldest

    def clear(self):
        """Remove all and give the memory back."""
        ring_free(&self.ring)

    @property
    def nbytes(self):
        return ring_bytes(&self.ring, self.entry_bytes)

    def check(self):
        return [] if ring_is_sound(&self.ring) else ["ring: broken"]
