# Large zeroed arrays that take no memory until they are touched: anonymous mappings, page aligned, and
# from 4 MiB on 2 MiB aligned with huge pages asked for.
from libc.stddef cimport size_t

cdef void* arena_map(size_t nbytes) noexcept nogil
cdef void* arena_map_sparse(size_t nbytes) noexcept nogil
cdef void arena_unmap(void* base, size_t nbytes) noexcept nogil
cdef size_t arena_touched(const void* base, size_t nbytes) noexcept nogil
