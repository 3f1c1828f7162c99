"""Anonymous mappings for the engine's large arrays.

A page takes memory when it is written for the first time, so reserving space for 100 million connections
takes none. arena_touched asks the kernel which pages are there (mincore); the engine's byte counts are its
answers, and nothing is estimated.
"""

from libc.stdint cimport uintptr_t

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* addr, size_t length, int prot, int flags, int fd, long offset)
    int munmap(void* addr, size_t length)
    int madvise(void* addr, size_t length, int advice)
    int mincore(void* addr, size_t length, unsigned char* vec)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE, MADV_NOHUGEPAGE
    void* MAP_FAILED

cdef enum:
    PAGE = 4096
    HUGE = 2 * 1024 * 1024
    HUGE_FROM = 4 * 1024 * 1024       # below this most of a huge page would stay unused
    VECTOR = 4096                     # pages per mincore call


cdef size_t rounded(size_t nbytes, size_t unit) noexcept nogil:
    return (nbytes + unit - 1) // unit * unit


cdef void* arena_map(size_t nbytes) noexcept nogil:
    """nbytes of zeros, page aligned (2 MiB aligned from 4 MiB on); NULL when refused."""
    cdef bint huge = nbytes >= HUGE_FROM
    cdef size_t need = rounded(nbytes if nbytes else 1, HUGE if huge else PAGE)
    cdef size_t ask = need + (HUGE if huge else 0)
    cdef char* base = <char*>mmap(NULL, ask, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    cdef size_t head
    if <void*>base == MAP_FAILED:
        return NULL
    if huge:
        # unmap what is before and after the aligned part
        head = rounded(<uintptr_t>base, HUGE) - <uintptr_t>base
        if head:
            munmap(base, head)
        if HUGE - head:
            munmap(base + head + need, HUGE - head)
        base += head
        madvise(base, need, MADV_HUGEPAGE)
    return base


cdef void* arena_map_sparse(size_t nbytes) noexcept nogil:
    """arena_map for an array that is touched sparsely: in small pages, whatever the system's default is."""
    cdef void* base = arena_map(nbytes)
    if base != NULL:
        madvise(base, rounded(nbytes, PAGE), MADV_NOHUGEPAGE)
    return base


cdef void arena_unmap(void* base, size_t nbytes) noexcept nogil:
    """Undo arena_map(nbytes); NULL is allowed."""
    if base != NULL:
        munmap(base, rounded(nbytes if nbytes else 1, HUGE if nbytes >= HUGE_FROM else PAGE))


cdef size_t arena_touched(const void* base, size_t nbytes) noexcept nogil:
    """Bytes of the first nbytes that are backed by memory now."""
    cdef unsigned char present[VECTOR]
    cdef size_t pages = rounded(nbytes, PAGE) // PAGE
    cdef size_t done = 0, step, i, touched = 0
    if base == NULL:
        return 0
    while done < pages:
        step = pages - done if pages - done < VECTOR else VECTOR
        if mincore(<char*>base + done * PAGE, step * PAGE, present) != 0:
            return nbytes                     # not knowing, claim the worst
        for i in range(step):
            touched += present[i] & 1
        done += step
    return touched * PAGE
