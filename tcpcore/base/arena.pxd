# Big zeroed arrays that cost nothing until touched: anonymous mmap, 64-byte (from
# 4 MiB: 2 MiB) aligned, huge pages asked for from 4 MiB. Ground: knows no organ.
from libc.stddef cimport size_t

cdef void* arena_map(size_t nbytes) noexcept nogil
cdef void* arena_map_sparse(size_t nbytes) noexcept nogil
cdef void arena_unmap(void* base, size_t nbytes) noexcept nogil
cdef size_t arena_touched(const void* base, size_t nbytes) noexcept nogil
