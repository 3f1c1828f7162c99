"""The memory floor: what one connection event would cost if the engine only touched memory.

One step reads a random table head and changes a random 64-byte line that the head refers to, in its first and
its last word. Head and line are prefetched, as in the engine, and lie in the same kind of mapping (huge pages
where the system gives them). There is no protocol and no branch on data.

Nothing here comes from tcpcore: `benchmarks.compare` builds this file against other revisions, too, and the
floor has to be the same code in each of them.
"""

# heads   2 n references, 8 bytes per line: what the flow table's heads occupy
# lines   n times 64 bytes: what the TCBs occupy
# order   which head comes next; read sequentially, so it costs next to nothing
cimport cython
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t, uintptr_t

cdef extern from *:
    """
    #include <sys/mman.h>
    /* a function that only prefetches looks pure to gcc, which drops its calls: hence the empty asm */
    #define FLOOR_PREFETCH(p) do { __builtin_prefetch((p), 1, 3); __asm__ volatile(""); } while (0)
    """
    void prefetch "FLOOR_PREFETCH"(const void* p) noexcept nogil
    void* mmap(void* addr, size_t length, int prot, int flags, int fd, long offset) nogil
    int munmap(void* addr, size_t length) nogil
    int madvise(void* addr, size_t length, int advice) nogil
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE
    void* MAP_FAILED

cdef enum:
    AHEAD = 32                # steps between a head's prefetch and its use; half of it for the line
    LEAST_STEPS = 1 << 20     # below this a pass is too short to time
    PAGE = 4096
    HUGE = 2 * 1024 * 1024
    HUGE_FROM = 4 * 1024 * 1024       # as in tcpcore/base/arena.pyx

cdef struct Line:
    uint64_t words[8]


@cython.final
cdef class Floor:
    """Heads and lines for `n` connections, filled and touched; `run` makes one pass over them."""

    cdef uint32_t* heads
    cdef uint32_t* order
    cdef Line* lines
    cdef readonly uint32_t n
    cdef readonly uint32_t steps

    def __cinit__(self, uint32_t n, uint64_t seed=0):
        cdef uint64_t state = seed
        cdef uint32_t i
        if n == 0:
            raise ValueError("n: expected at least 1, got 0")
        self.n = n
        self.steps = n if n > LEAST_STEPS else LEAST_STEPS
        self.heads = <uint32_t*>map_zeros(2 * <size_t>n * sizeof(uint32_t))
        self.order = <uint32_t*>map_zeros(<size_t>self.steps * sizeof(uint32_t))
        self.lines = <Line*>map_zeros(<size_t>n * sizeof(Line))
        if self.heads == NULL or self.order == NULL or self.lines == NULL:
            raise MemoryError(f"n: no memory for {n} lines")
        for i in range(2 * n):
            self.heads[i] = <uint32_t>(random(&state) % n)
        for i in range(self.steps):
            self.order[i] = <uint32_t>(random(&state) % (2 * <uint64_t>n))
        for i in range(n):
            self.lines[i].words[0] = i

    def __dealloc__(self):
        unmap(self.heads, 2 * <size_t>self.n * sizeof(uint32_t))
        unmap(self.order, <size_t>self.steps * sizeof(uint32_t))
        unmap(self.lines, <size_t>self.n * sizeof(Line))

    def run(self):
        """Make one pass of `steps` steps."""
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


cdef uint64_t random(uint64_t* state) noexcept nogil:
    """SplitMix64 (Steele, Lea and Flood, 2014): the next 64 random bits."""
    cdef uint64_t z
    state[0] += <uint64_t>0x9e3779b97f4a7c15
    z = state[0]
    z = (z ^ (z >> 30)) * <uint64_t>0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * <uint64_t>0x94d049bb133111eb
    return z ^ (z >> 31)


cdef size_t rounded(size_t nbytes, size_t unit) noexcept nogil:
    return (nbytes + unit - 1) // unit * unit


cdef void* map_zeros(size_t nbytes) noexcept nogil:
    """Map zeros as the engine's arrays are: aligned to huge pages from 4 MiB on; NULL if refused."""
    cdef bint huge = nbytes >= HUGE_FROM
    cdef size_t need = rounded(nbytes, HUGE if huge else PAGE)
    cdef size_t asked = need + (HUGE if huge else 0)
    cdef char* base = <char*>mmap(NULL, asked, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    cdef size_t head
    if <void*>base == MAP_FAILED:
        return NULL
    if huge:
        head = rounded(<uintptr_t>base, HUGE) - <uintptr_t>base
        if head:
            munmap(base, head)
        munmap(base + head + need, HUGE - head)
        base += head
        madvise(base, need, MADV_HUGEPAGE)
    return base


cdef void unmap(void* base, size_t nbytes) noexcept nogil:
    """Undo map_zeros(nbytes); NULL is allowed."""
    if base != NULL:
        munmap(base, rounded(nbytes, HUGE if nbytes >= HUGE_FROM else PAGE))
