"""The connection block: its numpy dtype, its states, and the pool it comes from.

Not the law that changes it (`transition`). Source: RFC 9293 3.3.1 for the names.
"""

# Invariant of the pool: a slot is either on the stack, at or above `fresh`, or in use;
# `used` counts the last kind. A freed block keeps its generation and is CLOSED.
from enum import IntEnum

import numpy as np

from libc.string cimport memset

from tcpcore.arena cimport arena_map, arena_touched, arena_unmap
from tcpcore.intrin cimport expect

assert sizeof(Block) == 64 and sizeof(Cold) == 64 and sizeof(Stamp) == 16


class State(IntEnum):
    """Connection states (RFC 9293 3.3.2), the values of ``BLOCK['state']``."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    ESTABLISHED = 4
    FIN_WAIT_1 = 5
    FIN_WAIT_2 = 6
    CLOSE_WAIT = 7
    CLOSING = 8
    LAST_ACK = 9
    TIME_WAIT = 10


cdef Block _block
_block_view = <Block[:1]>&_block

#: One connection, 64 bytes. Addresses and ports are host-order integers; ``deadline`` counts ticks of
#: 1 ms (``tick_ns`` = 1_000_000): the low 32 bits of the absolute tick, meaningful while ``timer`` is not 0;
#: ``snd_wnd`` is scaled (bytes); ``rtt`` is the first round trip in ticks, 0 when it could not be measured.
BLOCK = np.asarray(_block_view).dtype
del _block_view

cdef Cold _cold
_cold_view = <Cold[:1]>&_cold

#: The cold line that goes with a block, 64 bytes, valid while the block has B_COLD. Internal.
COLD = np.asarray(_cold_view).dtype
del _cold_view


cdef bint pool_init(Pool* pool, uint32_t capacity) noexcept nogil:
    """Reserve capacity blocks; False when the address space is refused."""
    memset(pool, 0, sizeof(Pool))
    pool.capacity = capacity
    pool.blocks = <Block*>arena_map(<size_t>capacity * sizeof(Block))
    pool.stamps = <Stamp*>arena_map(<size_t>capacity * sizeof(Stamp))
    pool.colds = <Cold*>arena_map(<size_t>capacity * sizeof(Cold))
    pool.stack = <uint32_t*>arena_map(<size_t>capacity * sizeof(uint32_t))
    if pool.blocks == NULL or pool.stamps == NULL or pool.colds == NULL or pool.stack == NULL:
        pool_free(pool)
        return False
    return True


cdef void pool_free(Pool* pool) noexcept nogil:
    arena_unmap(pool.blocks, <size_t>pool.capacity * sizeof(Block))
    arena_unmap(pool.stamps, <size_t>pool.capacity * sizeof(Stamp))
    arena_unmap(pool.colds, <size_t>pool.capacity * sizeof(Cold))
    arena_unmap(pool.stack, <size_t>pool.capacity * sizeof(uint32_t))
    memset(pool, 0, sizeof(Pool))


cdef void pool_give(Pool* pool, uint32_t slot) noexcept nogil:
    """Back to the pool; handles of this generation are stale from now on."""
    cdef Block* tcb = &pool.blocks[slot]
    expect(tcb.timer == T_NONE and pool.used > 0)
    tcb.state = CLOSED
    tcb.bits = 0
    pool.stack[pool.n_stack] = slot
    pool.n_stack += 1
    pool.used -= 1


cdef size_t pool_bytes(const Pool* pool) noexcept nogil:
    """Touched bytes of the four arrays; nothing is touched behind `fresh`."""
    return (arena_touched(pool.blocks, <size_t>pool.fresh * sizeof(Block))
            + arena_touched(pool.stamps, <size_t>pool.fresh * sizeof(Stamp))
            + arena_touched(pool.colds, <size_t>pool.fresh * sizeof(Cold))
            + arena_touched(pool.stack, <size_t>pool.fresh * sizeof(uint32_t)))
