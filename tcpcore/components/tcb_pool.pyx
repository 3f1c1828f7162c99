"""The TCB pool: taking TCBs and giving them back, by slot.

It reserves address space for all of them at once and touches only what is used. A freed TCB keeps its
generation and is CLOSED, so a handle of its last owner is recognised as stale.
"""

from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_touched, arena_unmap

cdef bint pool_init(TcbPool* pool, uint32_t capacity, Tcb* blocks) noexcept nogil:
    """Reserve `capacity` TCBs, which lie in `blocks` unless that is NULL; False when memory is refused.

    `blocks` are zeros, stay the caller's, and need not begin at a page.
    """
    memset(pool, 0, sizeof(TcbPool))
    pool.capacity = capacity
    pool.borrowed = blocks != NULL
    pool.blocks = blocks if blocks != NULL else <Tcb*>arena_map(<size_t>capacity * sizeof(Tcb))
    pool.stamps = <Timestamps*>arena_map(<size_t>capacity * sizeof(Timestamps))
    pool.colds = <Cold*>arena_map(<size_t>capacity * sizeof(Cold))
    pool.lives = <Liveness*>arena_map(<size_t>capacity * sizeof(Liveness))
    pool.stack = <uint32_t*>arena_map(<size_t>capacity * sizeof(uint32_t))
    if (pool.blocks == NULL or pool.stamps == NULL or pool.colds == NULL or pool.lives == NULL
            or pool.stack == NULL):
        pool_free(pool)
        return False
    return True


cdef void pool_free(TcbPool* pool) noexcept nogil:
    """Give all memory back that is the pool's own."""
    if not pool.borrowed:
        arena_unmap(pool.blocks, <size_t>pool.capacity * sizeof(Tcb))
    arena_unmap(pool.stamps, <size_t>pool.capacity * sizeof(Timestamps))
    arena_unmap(pool.colds, <size_t>pool.capacity * sizeof(Cold))
    arena_unmap(pool.lives, <size_t>pool.capacity * sizeof(Liveness))
    arena_unmap(pool.stack, <size_t>pool.capacity * sizeof(uint32_t))
    memset(pool, 0, sizeof(TcbPool))


cdef size_t pool_bytes(const TcbPool* pool) noexcept nogil:
    """Touched bytes of the five arrays, or of four where the TCBs are the caller's."""
    return (arena_touched(NULL if pool.borrowed else pool.blocks, <size_t>pool.capacity * sizeof(Tcb))
            + arena_touched(pool.stamps, <size_t>pool.capacity * sizeof(Timestamps))
            + arena_touched(pool.colds, <size_t>pool.capacity * sizeof(Cold))
            + arena_touched(pool.lives, <size_t>pool.capacity * sizeof(Liveness))
            + arena_touched(pool.stack, <size_t>pool.capacity * sizeof(uint32_t)))
