# Large zeroed arrays that take no memory until they are touched: anonymous mappings, page aligned, and
# from 4 MiB on 2 MiB aligned, with huge pages asked for behind the first 2 MiB.
from libc.stddef cimport size_t

cdef enum:
    ARENA_HEAD = 2 * 1024 * 1024      # bytes at the start of an array that are small pages

cdef void* arena_map(size_t nbytes) noexcept nogil
cdef void* arena_map_sparse(size_t nbytes) noexcept nogil
cdef void arena_part(void* base, size_t nbytes, size_t first) noexcept nogil
cdef void arena_head_huge(void* base, size_t nbytes) noexcept nogil
cdef void arena_unmap(void* base, size_t nbytes) noexcept nogil
cdef void arena_release(void* base, size_t first, size_t end) noexcept nogil
cdef size_t arena_touched(const void* base, size_t nbytes) noexcept nogil
cdef size_t arena_touched_around(const void* start, size_t nbytes) noexcept nogil
