# Connection handles: generation << 32 | slot. The slot is a TCB's place in the pool; the generation counts
# the connections that have had that slot, from 1. So 0 is never a handle, and a handle that is kept after
# its connection has ended is stale: it does not name the slot's next connection.
from libc.stdint cimport uint32_t, uint64_t


cdef inline uint64_t handle_of(uint32_t generation, uint32_t slot) noexcept nogil:
    return <uint64_t>generation << 32 | slot


cdef inline uint32_t handle_slot(uint64_t conn) noexcept nogil:
    return <uint32_t>conn


cdef inline uint32_t handle_generation(uint64_t conn) noexcept nogil:
    return <uint32_t>(conn >> 32)
