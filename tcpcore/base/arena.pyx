"""Anonymous mappings for the engine's large arrays.

A page takes memory when it is written for the first time, so reserving space for 100 million connections
takes none. The first 2 MiB of an array are always small pages, whatever the system's default is: an engine
with few connections takes few of them, whatever its capacity. Huge pages are asked for behind them.
arena_touched asks the kernel which pages are there (mincore), those of a huge page included that nobody
wrote to; the engine's byte counts are its answers, and nothing is estimated. In the build of `make fuzz` what
an array leaves of its last page is poisoned for AddressSanitizer; not in `make debug`, which measures memory.
"""

from libc.stdint cimport uintptr_t

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* addr, size_t length, int prot, int flags, int fd, long offset)
    int munmap(void* addr, size_t length)
    int madvise(void* addr, size_t length, int advice)
    int mincore(void* addr, size_t length, unsigned char* vec)
    int PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE, MADV_HUGEPAGE
    int MADV_NOHUGEPAGE, MADV_DONTNEED
    void* MAP_FAILED

cdef extern from *:
    """
    #ifdef TCPCORE_POISON
    #include <sanitizer/asan_interface.h>
    #else
    #define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
    #define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
    #endif
    """
    void poison "ASAN_POISON_MEMORY_REGION"(void* p, size_t n) noexcept nogil
    void unpoison "ASAN_UNPOISON_MEMORY_REGION"(void* p, size_t n) noexcept nogil

cdef enum:
    PAGE = 4096
    HUGE = ARENA_HEAD
    HUGE_FROM = 4 * 1024 * 1024       # below this most of a huge page would stay unused
    VECTOR = 4096                     # pages per mincore call
    COLLAPSE = 25                     # MADV_COLLAPSE, younger than some headers


cdef size_t rounded(size_t nbytes, size_t unit) noexcept nogil:
    return (nbytes + unit - 1) // unit * unit


cdef inline size_t mapped(size_t nbytes) noexcept nogil:
    """Bytes of the mapping for an array of nbytes."""
    return rounded(nbytes if nbytes else 1, HUGE if nbytes >= HUGE_FROM else PAGE)


cdef void* arena_map(size_t nbytes) noexcept nogil:
    """nbytes of zeros, page aligned (2 MiB aligned from 4 MiB on); NULL when refused."""
    cdef char* base = <char*>arena_map_sparse(nbytes)
    if base != NULL and nbytes >= HUGE_FROM:
        madvise(base + HUGE, mapped(nbytes) - HUGE, MADV_HUGEPAGE)
    return base


cdef void arena_part(void* base, size_t nbytes, size_t first) noexcept nogil:
    """Small pages for the 2 MiB of arena_map(nbytes) from byte `first` on, where a part begins."""
    cdef size_t start = first - first % HUGE, end = rounded(first + HUGE, HUGE)
    if nbytes >= HUGE_FROM:
        end = end if end < mapped(nbytes) else mapped(nbytes)
        madvise(<char*>base + start, end - start, MADV_NOHUGEPAGE)


cdef void arena_head_huge(void* base, size_t nbytes) noexcept nogil:
    """Make the first 2 MiB of arena_map(nbytes), now that they are in use, a huge page like the rest."""
    if nbytes >= HUGE_FROM:
        madvise(base, HUGE, MADV_HUGEPAGE)
        madvise(base, HUGE, COLLAPSE)         # at once; a kernel before 6.1 does it when it comes to it


cdef void* arena_map_sparse(size_t nbytes) noexcept nogil:
    """arena_map for an array that is touched sparsely: small pages to its end."""
    cdef size_t need = mapped(nbytes), head
    cdef bint aligned = nbytes >= HUGE_FROM
    cdef char* base = <char*>mmap(NULL, need + (HUGE if aligned else 0), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if <void*>base == MAP_FAILED:
        return NULL
    if aligned:
        # unmap what is before and after the aligned part
        head = rounded(<uintptr_t>base, HUGE) - <uintptr_t>base
        if head:
            munmap(base, head)
        if HUGE - head:
            munmap(base + head + need, HUGE - head)
        base += head
    madvise(base, need, MADV_NOHUGEPAGE)
    poison(base + nbytes, need - nbytes)
    return base


cdef void arena_unmap(void* base, size_t nbytes) noexcept nogil:
    """Undo arena_map(nbytes); NULL is allowed."""
    if base != NULL:
        unpoison(base, mapped(nbytes))
        munmap(base, mapped(nbytes))


cdef void arena_release(void* base, size_t first, size_t end) noexcept nogil:
    """Give the pages back that lie wholly in bytes first .. end - 1 of a mapping; they read as zeros then."""
    first = rounded(first, PAGE)
    end -= end % PAGE
    if first < end:
        madvise(<char*>base + first, end - first, MADV_DONTNEED)


cdef size_t arena_touched(const void* base, size_t nbytes) noexcept nogil:
    """Bytes of an array of nbytes that are backed by memory now."""
    cdef unsigned char present[VECTOR]
    cdef size_t pages = mapped(nbytes) // PAGE
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


cdef size_t arena_touched_around(const void* start, size_t nbytes) noexcept nogil:
    """Bytes of a structure, wherever it was allocated, that are backed by memory now."""
    cdef size_t before = <uintptr_t>start % PAGE
    cdef size_t touched = arena_touched(<const char*>start - before, before + nbytes)
    return touched if touched < nbytes else nbytes
