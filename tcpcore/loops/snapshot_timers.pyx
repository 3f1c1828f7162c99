"""The timer wheel in a snapshot: lists, chunks and the heap of what is overdue, each as it is.

A TCB says where its entry is, and `Engine.blocks` shows it, so that entries keep their places, cancelled ones
included. Read behind the TCBs. Words that belong to no entry are written as zeros.
Invariant: whatever bytes are read, each chunk is in one list or free, and each armed TCB has one entry, in
the list of its deadline or in the heap.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from tcpcore.base.bitmap cimport bitmap_from, bitmap_set
from tcpcore.base.chunk_list cimport CHUNK_BORDER, CHUNK_BYTES, ChunkList, chunks_left
from tcpcore.base.stream cimport (
    STREAM_WRITE, is_reading, stream_bytes, stream_count, stream_fails, stream_i64, stream_u32, stream_u64,
)
from tcpcore.records.tcb cimport TICK_NS, Tcb
from tcpcore.components.timer_wheel cimport (
    HORIZON, LEVELS, SLOTS, Overdue, TimerWheel, comes_first, level_at, no_tick, slot_at,
)

cdef struct Walk:
    # what a pass over the lists has found
    uint8_t* seen             # chunks
    uint32_t chunks
    uint32_t live
    uint32_t used             # slots of the pool: no entry refers beyond


cdef bint take_chunk(Stream* stream, const TimerWheel* wheel, Walk* walk, uint32_t chunk) noexcept nogil:
    """Count a chunk of a list or of the free ones; False if there is none of this number or it was met."""
    if chunk == 0 or chunk >= wheel.pool.fresh or walk.seen[chunk]:
        stream_fails(stream, "a chunk of timers that is in two places, or nowhere", chunk)
        return False
    walk.seen[chunk] = True
    walk.chunks += 1
    return True


cdef void check_list(Stream* stream, TimerWheel* wheel, int level, uint32_t slot, Walk* walk) noexcept nogil:
    """The list of a slot: its chunks, its entries, and which of them are live."""
    cdef const ChunkList* entries = &wheel.levels[level].lists[slot]
    cdef uint32_t at = entries.first, last = (entries.end - 1) >> 4, chunks = 1, live = 0, ref
    cdef int64_t tick
    cdef const Tcb* tcb
    if at & CHUNK_BORDER == 0 or at == entries.end:
        stream_fails(stream, "a list of timers without a beginning", slot)
        return
    if not take_chunk(stream, wheel, walk, at >> 4):
        return
    while True:
        if at & CHUNK_BORDER == 0:                    # the next chunk, or the end of a full one
            if at == entries.end:
                break
            if (at - 1) >> 4 == last:
                stream_fails(stream, "a list of timers without an end", slot)
                return
            if not take_chunk(stream, wheel, walk, wheel.pool.words[at - 16]):
                return
            at = wheel.pool.words[at - 16] << 4 | 1
            chunks += 1
        elif at == entries.end:
            break
        ref = wheel.pool.words[at]
        if ref == 0 or ref > walk.used:
            stream_fails(stream, "a timer of no TCB", ref)
            return
        tcb = &wheel.blocks[ref - 1]
        if tcb.timer_pos == at:
            live += 1
            tick = wheel.clock + <uint32_t>(tcb.deadline - <uint32_t>wheel.clock)
            if level_at(wheel.clock, tick) != level or slot_at(tick, level) != slot:
                stream_fails(stream, "a timer in the list of another tick", ref - 1)
        at += 1
    if ((at - 1) >> 4 != last or wheel.pool.words[last << 4] or live != entries.live
            or chunks != entries.chunks):
        stream_fails(stream, "a list of timers that is not as long as it says", slot)
    walk.live += live


cdef void check_wheel(Stream* stream, TimerWheel* wheel, uint32_t used) noexcept nogil:
    """Every list, the free chunks, and that no TCB is armed without an entry."""
    cdef Walk walk
    cdef uint32_t i, chunk
    cdef int level, slot
    walk.chunks = walk.live = 0
    walk.used = used
    walk.seen = <uint8_t*>calloc(wheel.pool.fresh, 1)
    if walk.seen == NULL:
        stream_fails(stream, "no memory to check it", 0)
        return
    for level in range(LEVELS):
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
        while slot >= 0:
            check_list(stream, wheel, level, slot, &walk)
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)
    wheel.pool.used = walk.chunks
    chunk = wheel.pool.free
    while chunk and take_chunk(stream, wheel, &walk, chunk):
        chunk = wheel.pool.words[chunk << 4]
    free(walk.seen)
    if walk.chunks != wheel.pool.fresh - 1:
        stream_fails(stream, "a chunk of timers in no list", walk.chunks)
    wheel.live = walk.live + wheel.late
    for i in range(used):
        walk.live -= wheel.blocks[i].timer_pos != 0
    if walk.live + wheel.late:
        stream_fails(stream, "a TCB whose timer is in no list", walk.live)
    # moving a far slot down takes a chunk for each of its entries at most, or what is kept for it
    if chunks_left(&wheel.pool) + 1 < wheel.reserve and chunks_left(&wheel.pool) < wheel.live:
        stream_fails(stream, "more timers than there is room for", wheel.live)


cdef void blank_chunk(char* words, uint32_t chunk, uint32_t first, uint32_t end) noexcept nogil:
    """Zeros for the entries first .. end - 1 of a chunk, in a copy of all chunks but chunk 0."""
    memset(words + (chunk - 1) * <size_t>CHUNK_BYTES + first * sizeof(uint32_t), 0,
           (end - first) * sizeof(uint32_t))


cdef void blank_unused(const TimerWheel* wheel, char* words) noexcept nogil:
    """Zeros for whatever is no entry of a list: what was there once is not part of the state.

    An engine that was restored has zeros in chunks that it never used, and another may not.
    """
    cdef const ChunkList* entries
    cdef uint32_t chunk = wheel.pool.free
    cdef int level, slot
    while chunk:
        blank_chunk(words, chunk, 1, 16)
        chunk = wheel.pool.words[chunk << 4]
    for level in range(LEVELS):
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
        while slot >= 0:
            entries = &wheel.levels[level].lists[slot]
            blank_chunk(words, entries.first >> 4, 1, entries.first & CHUNK_BORDER)
            blank_chunk(words, (entries.end - 1) >> 4, ((entries.end - 1) & CHUNK_BORDER) + 1, 16)
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)


cdef void stream_lists(Stream* stream, TimerWheel* wheel, int level) noexcept nogil:
    """The lists of a level: those of slots with entries."""
    cdef ChunkList* entries
    cdef uint32_t n = 0, i, place, last = 0
    cdef int slot = -1
    if not is_reading(stream):
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
        while slot >= 0:
            n += 1
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)
    if not stream_count(stream, &n, SLOTS, sizeof(ChunkList), "more lists of timers than slots"):
        return
    for i in range(n):
        if not is_reading(stream):
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)
            place = <uint32_t>slot
        stream_u32(stream, &place)
        if is_reading(stream) and (place >= SLOTS or (i and place <= last)):
            stream_fails(stream, "lists of timers that are not in order", place)
            return
        last = place
        entries = &wheel.levels[level].lists[place]
        stream_bytes(stream, entries, sizeof(ChunkList))
        if is_reading(stream):
            bitmap_set(&wheel.levels[level].bitmap, place)


cdef void stream_overdue(Stream* stream, TimerWheel* wheel, uint32_t used) noexcept nogil:
    """The heap of what is overdue, place by place."""
    cdef uint32_t i
    cdef Overdue* entry
    if not stream_count(stream, &wheel.late, used, 20, "more overdue timers than TCBs"):
        return
    for i in range(1, wheel.late + 1):
        entry = &wheel.overdue[i]
        stream_i64(stream, &entry.tick)
        stream_u64(stream, &entry.order)
        stream_u32(stream, &entry.ref)
        if is_reading(stream) and (
                entry.ref == 0 or entry.ref > used or wheel.blocks[entry.ref - 1].timer_pos != 16 * i
                or not 0 <= entry.tick < wheel.clock or entry.order >= wheel.orders
                or (i > 1 and not comes_first(&wheel.overdue[i // 2], entry))):
            stream_fails(stream, "an overdue timer that is not in its place", i)
            wheel.late = i - 1
            return


cdef void stream_wheel(Stream* stream, EngineState* eng) noexcept nogil:
    """The timer wheel."""
    cdef TimerWheel* wheel = &eng.wheel
    cdef int level
    cdef size_t n
    stream_i64(stream, &wheel.clock)
    stream_i64(stream, &wheel.floor)
    stream_i64(stream, &wheel.recent)
    stream_u64(stream, &wheel.orders)
    if not stream_count(stream, &wheel.pool.fresh, wheel.pool.reserved, 1, "more chunks than there are"):
        wheel.pool.fresh = 1
        return
    stream_u32(stream, &wheel.pool.free)
    if is_reading(stream):
        if wheel.pool.fresh == 0 or wheel.pool.fresh - 1 > stream.left // CHUNK_BYTES:
            stream_fails(stream, "more chunks of timers than it has", wheel.pool.fresh)
        if not 0 <= wheel.floor <= wheel.clock <= eng.now // TICK_NS:
            stream_fails(stream, "a timer wheel that is ahead of the clock", 0)
        elif wheel.recent != no_tick() and not wheel.clock <= wheel.recent <= wheel.clock + HORIZON:
            stream_fails(stream, "a timer wheel that remembers a tick which is past", 0)
        if stream.fault != NULL:
            wheel.clock = wheel.floor = 0
            wheel.pool.fresh = 1
            return
    n = (wheel.pool.fresh - 1) * <size_t>CHUNK_BYTES
    stream_bytes(stream, wheel.pool.words + 16, n)
    if stream.mode == STREAM_WRITE:
        blank_unused(wheel, stream.at - n)
    for level in range(LEVELS):
        stream_lists(stream, wheel, level)
    stream_overdue(stream, wheel, eng.pool.fresh)
    if is_reading(stream):
        if wheel.recent != no_tick():
            level = level_at(wheel.clock, wheel.recent)
            wheel.recent_list = &wheel.levels[level].lists[slot_at(wheel.recent, level)]
        if stream.fault == NULL:
            check_wheel(stream, wheel, eng.pool.fresh)
