# Queues of u32 references, made of chunks of one cache line from a common pool. An entry keeps its
# position until it is dropped. Inline functions only; the owner of a ChunkPool maps its words.
#
#   chunk, 64 bytes   | next chunk | 15 entries |        next is 0 in a list's last chunk
#
# A position counts words of the pool; with `position & 15 == 0` it is at a chunk's first word, which is
# no entry.
# Invariant: all chunks of a list but the last are full. Chunk 0 is never used: 0 means "none".
from libc.stdint cimport uint32_t

from tcpcore.base.prefetch cimport expect, prefetch
cdef enum:
    CHUNK_BYTES = 64
    CHUNK_ENTRIES = 15        # in a chunk
    CHUNK_BORDER = 15         # mask of a position within its chunk

cdef struct ChunkPool:
    uint32_t* words           # [16 * reserved]
    uint32_t reserved         # chunks
    uint32_t fresh            # chunks never used yet start here, from 1
    uint32_t free             # chain of chunks given back, 0 ends
    uint32_t used             # chunks in lists

cdef struct ChunkList:
    uint32_t first            # position of the oldest entry; 0: empty
    uint32_t end              # position behind the newest; 0: empty
    uint32_t chunks           # that it is made of
    uint32_t live             # entries that are not cancelled; counted by the owner


cdef inline uint32_t chunks_left(const ChunkPool* pool) noexcept nogil:
    """Chunks that can still be taken."""
    return pool.reserved - 1 - pool.used


cdef inline void chunk_give(ChunkPool* pool, uint32_t chunk) noexcept nogil:
    """Give a chunk back."""
    pool.words[chunk * 16] = pool.free
    pool.free = chunk
    pool.used -= 1


cdef inline uint32_t chunk_take(ChunkPool* pool) noexcept nogil:
    """Take a chunk, which ends a list; the caller knows that one is left."""
    cdef uint32_t chunk = pool.free if pool.free else pool.fresh
    expect(chunks_left(pool) > 0)
    if pool.free:
        pool.free = pool.words[chunk * 16]
    else:
        pool.fresh += 1
    pool.words[chunk * 16] = 0
    pool.used += 1
    return chunk


cdef inline uint32_t chunk_append(ChunkPool* pool, ChunkList* entries, uint32_t ref) noexcept nogil:
    """Append a reference; returns its position."""
    cdef uint32_t at = entries.end, chunk
    if at & CHUNK_BORDER == 0:                # no chunk yet, or the last one is full
        chunk = chunk_take(pool)
        entries.chunks += 1
        if at:
            pool.words[at - 16] = chunk
        at = chunk * 16 + 1
        entries.first = entries.first if entries.first else at
    pool.words[at] = ref
    entries.end = at + 1
    return at


cdef inline void chunk_drop(ChunkPool* pool, ChunkList* entries) noexcept nogil:
    """Remove the oldest entry; a chunk without entries goes back to the pool."""
    cdef uint32_t chunk = entries.first >> 4, follower
    entries.first += 1
    if entries.first == entries.end:
        entries.first = entries.end = entries.chunks = 0
    elif entries.first & CHUNK_BORDER == 0:
        follower = pool.words[chunk * 16]
        entries.first = follower * 16 + 1
        entries.chunks -= 1
        prefetch(&pool.words[pool.words[follower * 16] * 16])
    else:
        return
    chunk_give(pool, chunk)


cdef inline void chunk_drop_all(ChunkPool* pool, ChunkList* entries) noexcept nogil:
    """Remove all entries of a list that has any, without reading them: the chain of chunks goes back."""
    pool.words[((entries.end - 1) >> 4) * 16] = pool.free
    pool.free = entries.first >> 4
    pool.used -= entries.chunks
    entries.first = entries.end = entries.chunks = 0


cdef inline uint32_t chunk_peek(const ChunkPool* pool, const ChunkList* entries,
                                uint32_t distance) noexcept nogil:
    """The entry `distance` < 15 behind the oldest of a list that has one; 0 beyond the end."""
    cdef uint32_t at = entries.first, chunk, in_first = 16 - (at & CHUNK_BORDER)
    if distance >= in_first:
        chunk = pool.words[(at >> 4) * 16]
        if chunk == 0:
            return 0
        at = chunk * 16 + 1 - in_first
    at += distance
    if at >= entries.end and at >> 4 == (entries.end - 1) >> 4:
        return 0
    return pool.words[at]
