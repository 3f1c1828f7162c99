# The pool of TCBs: an array, and a stack of the slots that are free again.
#
# Freed slots are taken again last-in first-out, so that what is in use stays in few pages and in the cache.
# Invariant: a slot is on the stack, at or above `fresh`, or in use; `used` counts the last kind.
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t
from libc.string cimport memset

from tcpcore.base.prefetch cimport expect, prefetch
from tcpcore.records.tcb cimport CLOSED, T_NONE, Cold, Liveness, Tcb, Timestamps

cdef struct TcbPool:
    Tcb* blocks               # [capacity], 64-byte aligned
    Timestamps* stamps        # [capacity], same index
    Cold* colds               # [capacity], same index
    Liveness* lives           # [capacity], same index
    uint32_t* stack           # freed slots
    uint32_t n_stack
    uint32_t fresh            # slots never used yet start here
    uint32_t used
    uint32_t capacity
    bint borrowed             # `blocks` is part of an array of the caller's

cdef bint pool_init(TcbPool* pool, uint32_t capacity, Tcb* blocks) noexcept nogil
cdef void pool_free(TcbPool* pool) noexcept nogil
cdef size_t pool_bytes(const TcbPool* pool) noexcept nogil


cdef inline bint pool_is_empty(const TcbPool* pool) noexcept nogil:
    return pool.n_stack == 0 and pool.fresh == pool.capacity


cdef inline void pool_ahead(const TcbPool* pool, bint stamped) noexcept nogil:
    """Prefetch the TCB (and its timestamps) that the 16th pool_take from now will give."""
    cdef uint32_t slot
    if pool.n_stack > 16:
        slot = pool.stack[pool.n_stack - 17]
        prefetch(pool.stack + pool.n_stack - 64)      # the stack, too; below its start it does no harm
    elif pool.fresh + 16 < pool.capacity:
        slot = pool.fresh + 16
    else:
        return
    prefetch(&pool.blocks[slot])
    if stamped:
        prefetch(&pool.stamps[slot])


cdef inline uint32_t pool_take(TcbPool* pool) noexcept nogil:
    """A zeroed TCB with a new generation, as slot + 1; 0 when all are in use."""
    cdef uint32_t slot, generation
    if pool.n_stack:
        pool.n_stack -= 1
        slot = pool.stack[pool.n_stack]
    elif pool.fresh < pool.capacity:
        slot = pool.fresh
        pool.fresh += 1
    else:
        return 0
    pool.used += 1
    generation = pool.blocks[slot].generation + 1
    memset(&pool.blocks[slot], 0, sizeof(Tcb))
    pool.blocks[slot].generation = generation if generation else 1
    return slot + 1


cdef inline void pool_give(TcbPool* pool, uint32_t slot) noexcept nogil:
    """Free a TCB; handles of this generation are stale from now on."""
    cdef Tcb* tcb = &pool.blocks[slot]
    expect(tcb.timer == T_NONE and pool.used > 0)
    tcb.state = CLOSED
    tcb.bits = 0
    pool.stack[pool.n_stack] = slot
    pool.n_stack += 1
    pool.used -= 1
