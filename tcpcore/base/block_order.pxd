# The numbers 0 .. size - 1 in blocks of 64, the blocks in steps far apart: each number once.
#
# A search that goes on one by one from a random place is long where what is taken lies together: half of a
# range taken in one piece costs a quarter of the range per search. In this order it leaves such a piece after
# a block or two. The step is that of the golden section, which no small number of pieces is in step with
# (Knuth, "The Art of Computer Programming" 3, 6.4, multiplicative hashing).
#
#   block_step     the step for so many numbers; coprime to the number of blocks
#   block_order    the i-th number
#
# What is left over behind the last whole block comes last.
from libc.stdint cimport uint32_t

cdef enum:
    BLOCK_SIZE = 64


cdef inline uint32_t block_step(uint32_t size) noexcept nogil:
    """0.382 of the blocks, or a little more; 1 where there are few."""
    cdef uint32_t blocks = size // BLOCK_SIZE, step, a, b, rest
    if blocks < 8:
        return 1
    step = blocks * 987 // 2584                       # Fibonacci numbers
    while True:
        a, b = blocks, step                           # Euclid
        while b:
            rest = a % b
            a, b = b, rest
        if a == 1:
            return step
        step += 1


cdef inline uint32_t block_order(uint32_t size, uint32_t step, uint32_t i) noexcept nogil:
    """The i-th of 0 .. size - 1."""
    cdef uint32_t blocks = size // BLOCK_SIZE
    if i >= blocks * BLOCK_SIZE:
        return i
    return i // BLOCK_SIZE * step % blocks * BLOCK_SIZE + i % BLOCK_SIZE
