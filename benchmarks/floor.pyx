"""The memory floor: what one connection event costs if the engine did nothing but touch memory.

One step reads a random head and adds to a random 64-byte line that the head refers to, the first
and the last word of it. Both are asked for ahead, as the engine does, in the same kind of mapping
(huge pages where the system gives them). No protocol, no branches: nothing can be cheaper.
"""

# heads   2 n references, 8 bytes per line: the flow table's share
# lines   n times 64 bytes: the blocks
# order   which head comes next; read in sequence, so it costs next to nothing
cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from tcpcore.base.arena cimport arena_map, arena_unmap
from tcpcore.base.prefetch cimport prefetch
from tcpcore.base.siphash cimport siphash24_1

cdef enum:
    AHEAD = 32                # steps between a head's prefetch and its use; half of it for the line
    LEAST_STEPS = 1 << 20     # below this a pass is too short to time

cdef struct Line:
    uint64_t words[8]


@cython.final
cdef class Floor:
    """Heads and lines for `n` connections, filled and touched; `run` walks them once."""

    cdef uint32_t* heads
    cdef uint32_t* order
    cdef Line* lines
    cdef readonly uint32_t n
    cdef readonly uint32_t steps

    def __cinit__(self, uint32_t n, uint64_t seed=0):
        cdef uint32_t i
        if n == 0:
            raise ValueError("n: expected at least 1, got 0")
        self.n = n
        self.steps = n if n > LEAST_STEPS else LEAST_STEPS
        self.heads = <uint32_t*>arena_map(2 * <size_t>n * sizeof(uint32_t))
        self.order = <uint32_t*>arena_map(<size_t>self.steps * sizeof(uint32_t))
        self.lines = <Line*>arena_map(<size_t>n * sizeof(Line))
        if self.heads == NULL or self.order == NULL or self.lines == NULL:
            raise MemoryError(f"n: no memory for {n} lines")
        for i in range(2 * n):
            self.heads[i] = <uint32_t>(siphash24_1(seed, 0, i) % n)
        for i in range(self.steps):
            self.order[i] = <uint32_t>(siphash24_1(seed, 1, i) % (2 * <uint64_t>n))
        for i in range(n):
            self.lines[i].words[0] = i

    def __dealloc__(self):
        arena_unmap(self.heads, 2 * <size_t>self.n * sizeof(uint32_t))
        arena_unmap(self.order, <size_t>self.steps * sizeof(uint32_t))
        arena_unmap(self.lines, <size_t>self.n * sizeof(Line))

    def run(self):
        """One pass of `steps` steps."""
        with nogil:
            walk(self.heads, self.lines, self.order, self.steps)


cdef void walk(const uint32_t* heads, Line* lines, const uint32_t* order, uint32_t steps) noexcept nogil:
    cdef Line* line
    cdef uint32_t i
    for i in range(steps):
        if i + AHEAD < steps:
            prefetch(&heads[order[i + AHEAD]])
        if i + AHEAD // 2 < steps:
            prefetch(&lines[heads[order[i + AHEAD // 2]]])
        line = &lines[heads[order[i]]]
        line.words[0] += 1
        line.words[7] += line.words[0]
