"""The timer wheel: arm, cancel, pop in order of (tick, arming).

It knows blocks by their ``deadline`` and ``timer_pos`` only: what a deadline means is the transition's
business. Layout, ordering argument and source: ``wheel.pxd``.
"""

# The chunk pool is reserved for four times as many entries as there are blocks: who arms again leaves a
# cancelled entry behind. When even that is used up, every list is rewritten without them (`compact`).
import numpy as np

cimport cython
from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_map_sparse, arena_touched, arena_unmap
from tcpcore.base.bitmap cimport bitmap_check, bitmap_clear, bitmap_from, bitmap_has, bitmap_set
from tcpcore.base.chunk_list cimport (
    CHUNK_BYTES, CHUNK_ROOM, chunk_append, chunk_drop, chunk_drop_all, chunk_peek, chunks_left,
)
from tcpcore.base.prefetch cimport prefetch

cdef enum:
    AHEAD = 12                # entries between a block's prefetch and its turn
    POSITIONS = 1 << 28       # chunks that a 32-bit position can address
    MANY = 1 << 18            # timers, from which on huge pages are not mostly air


cdef bint wheel_init(TimerWheel* wheel, Tcb* blocks, uint32_t capacity) noexcept nogil:
    """Reserve a wheel for blocks[capacity], its clock at 0; False when memory is refused."""
    cdef uint64_t chunks = (4 * <uint64_t>capacity + 65536) // CHUNK_ROOM
    memset(wheel, 0, sizeof(TimerWheel))
    wheel.reserve = (capacity if capacity < 1 << DIGIT else 1 << DIGIT) + 2       # one per tick of a far slot
    chunks += wheel.reserve + (capacity if capacity < LEVELS * SLOTS else LEVELS * SLOTS)   # last ones
    wheel.blocks = blocks
    wheel.pool.reserved = <uint32_t>(chunks if chunks < POSITIONS else POSITIONS)
    wheel.pool.fresh = 1
    wheel.recent = no_tick()
    wheel.levels[NEAR] = <Level*>arena_map_sparse(sizeof(Level))
    wheel.levels[FAR] = <Level*>arena_map_sparse(sizeof(Level))
    wheel.pool.words = <uint32_t*>(arena_map if capacity >= MANY else arena_map_sparse)(
        <size_t>wheel.pool.reserved * CHUNK_BYTES)
    if wheel.levels[NEAR] == NULL or wheel.levels[FAR] == NULL or wheel.pool.words == NULL:
        wheel_free(wheel)
        return False
    return True


cdef void wheel_free(TimerWheel* wheel) noexcept nogil:
    arena_unmap(wheel.levels[NEAR], sizeof(Level))
    arena_unmap(wheel.levels[FAR], sizeof(Level))
    arena_unmap(wheel.pool.words, <size_t>wheel.pool.reserved * CHUNK_BYTES)
    memset(wheel, 0, sizeof(TimerWheel))


cdef size_t wheel_bytes(const TimerWheel* wheel) noexcept nogil:
    """Touched bytes of slots and chunks."""
    return (arena_touched(wheel.levels[NEAR], sizeof(Level)) + arena_touched(wheel.levels[FAR], sizeof(Level))
            + arena_touched(wheel.pool.words, <size_t>wheel.pool.reserved * CHUNK_BYTES))


cdef inline void set_clock(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Which list a tick has depends on the clock."""
    wheel.clock = tick
    wheel.recent = no_tick()


cdef int64_t next_start(const TimerWheel* wheel, int level) noexcept nogil:
    """First tick of the next marked slot of this level after the clock's own, -1 none."""
    cdef int own = <int>slot_at(wheel.clock, level)
    cdef int slot = bitmap_from(&wheel.levels[level].bitmap, own + 1)
    if slot < 0:
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
    if slot < 0 or slot == own:
        return -1
    return ((wheel.clock >> (DIGIT * level)) + ((slot - own) & (SLOTS - 1))) << (DIGIT * level)


cdef inline ChunkList* place(TimerWheel* wheel, uint32_t ref, int64_t tick) noexcept nogil:
    """Append to the slot of `tick`; its list."""
    cdef int level = level_at(wheel.clock, tick)
    cdef uint32_t slot = slot_at(tick, level)
    cdef ChunkList* entries = &wheel.levels[level].lists[slot]
    wheel.blocks[ref - 1].timer_pos = chunk_append(&wheel.pool, entries, ref)
    entries.live += 1
    bitmap_set(&wheel.levels[level].bitmap, slot)
    return entries


cdef inline bint counts(const TimerWheel* wheel, uint32_t at) noexcept nogil:
    """The entry at this position has not been left behind."""
    return wheel.blocks[wheel.pool.words[at] - 1].timer_pos == at


cdef inline void block_ahead(const TimerWheel* wheel, const ChunkList* entries) noexcept nogil:
    """Ask for the block of an entry some way behind the first."""
    cdef uint32_t ref = chunk_peek(&wheel.pool, entries, AHEAD)
    if ref:
        prefetch(&wheel.blocks[ref - 1])


cdef inline bint skim(TimerWheel* wheel, int level, uint32_t slot) noexcept nogil:
    """Drop what was left behind until an entry that counts leads the slot; False when none does."""
    cdef ChunkList* entries = &wheel.levels[level].lists[slot]
    if not bitmap_has(&wheel.levels[level].bitmap, slot):
        return False                          # a list nobody wrote is not read: its page is not there
    if entries.live:
        while not counts(wheel, entries.first):
            block_ahead(wheel, entries)
            chunk_drop(&wheel.pool, entries)
        return True
    chunk_drop_all(&wheel.pool, entries)
    bitmap_clear(&wheel.levels[level].bitmap, slot)
    return False


cdef void compact(TimerWheel* wheel) noexcept nogil:
    """Rewrite every list with only the entries that count, order kept; one chunk left is enough."""
    cdef ChunkList old
    cdef ChunkList* kept
    cdef int level, slot
    cdef uint32_t ref
    for level in range(LEVELS):
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
        while slot >= 0:
            kept = &wheel.levels[level].lists[slot]
            old = kept[0]
            kept.first = kept.end = kept.chunks = 0
            while old.first:
                ref = wheel.pool.words[old.first] if counts(wheel, old.first) else 0
                chunk_drop(&wheel.pool, &old)
                if ref:
                    wheel.blocks[ref - 1].timer_pos = chunk_append(&wheel.pool, kept, ref)
            if kept.first == 0:
                bitmap_clear(&wheel.levels[level].bitmap, slot)
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)


cdef void wheel_start(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Set the clock of a wheel on which nothing is armed; every slot is empty then, and the pool anew."""
    cdef int level, slot
    expect(wheel.live == 0)
    for level in range(LEVELS):
        slot = bitmap_from(&wheel.levels[level].bitmap, 0)
        while slot >= 0:
            memset(&wheel.levels[level].lists[slot], 0, sizeof(ChunkList))
            bitmap_clear(&wheel.levels[level].bitmap, slot)
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)
    wheel.pool.free = 0
    wheel.pool.fresh = 1
    wheel.pool.used = 0
    set_clock(wheel, tick)


cdef void move_down(TimerWheel* wheel) noexcept nogil:
    """Spread the far slot behind the one that the clock has just entered over its ticks."""
    cdef uint32_t slot = slot_at(wheel.clock + (1 << DIGIT), FAR), low = <uint32_t>wheel.clock, ref
    cdef ChunkList* entries = &wheel.levels[FAR].lists[slot]
    expect(chunks_left(&wheel.pool) >= wheel.reserve - 1)       # the last arming may have taken one
    while entries.live:
        block_ahead(wheel, entries)
        ref = 0
        if counts(wheel, entries.first):
            ref = wheel.pool.words[entries.first]
            entries.live -= 1
        chunk_drop(&wheel.pool, entries)
        if ref:
            place(wheel, ref, wheel.clock + <uint32_t>(wheel.blocks[ref - 1].deadline - low))
    if entries.first:
        chunk_drop_all(&wheel.pool, entries)
    bitmap_clear(&wheel.levels[FAR].bitmap, slot)


cdef bint turn(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Move the clock to the next tick with entries, or to where a far slot moves down, which goes first; to
    `tick`, and False, when that comes before either."""
    cdef int64_t start = next_start(wheel, NEAR), far = next_start(wheel, FAR)
    cdef bint moves = False
    if far >= 0:
        far -= 1 << DIGIT
        moves = start < 0 or far <= start
    if moves:
        start = far
    if start < 0 or start > tick:
        set_clock(wheel, tick)
        return False
    set_clock(wheel, start)
    if moves:
        move_down(wheel)
    return True


cdef void wheel_arm_any(TimerWheel* wheel, uint32_t slot, int64_t tick) noexcept nogil:
    """wheel_arm where the list has still to be found."""
    wheel_cancel(wheel, slot)
    if tick < wheel.clock:
        tick = wheel.clock
    elif tick - wheel.clock > HORIZON:
        tick = wheel.clock + HORIZON
    if chunks_left(&wheel.pool) < wheel.reserve:
        compact(wheel)
    wheel.blocks[slot].deadline = <uint32_t>tick
    wheel.recent_list = place(wheel, slot + 1, tick)
    wheel.recent = tick
    wheel.live += 1


cdef int64_t wheel_next(TimerWheel* wheel) noexcept nogil:
    """A tick not after the earliest deadline, -1 when nothing is armed: the deadline itself up to 65.5 s
    ahead, and often further, else the start of its far slot."""
    cdef int64_t start
    cdef int level
    if wheel.live == 0:
        return -1
    if skim(wheel, NEAR, slot_at(wheel.clock, NEAR)):
        return wheel.clock
    for level in range(LEVELS):
        start = next_start(wheel, level)
        while start >= 0:
            if skim(wheel, level, slot_at(start, level)):
                return start
            start = next_start(wheel, level)
    expect(False)
    return -1


cdef uint32_t wheel_pop(TimerWheel* wheel, int64_t tick, int64_t* when) noexcept nogil:
    """Disarm and return (as slot + 1) the next block due at or before `tick`, its tick in `when` (out).

    0 when there is none; then the clock stands at `tick`, unless it was past it already.
    """
    cdef uint32_t ref, slot
    cdef ChunkList* entries
    if tick < wheel.clock:
        return 0
    while wheel.live:
        slot = slot_at(wheel.clock, NEAR)
        if skim(wheel, NEAR, slot):
            entries = &wheel.levels[NEAR].lists[slot]
            block_ahead(wheel, entries)
            ref = wheel.pool.words[entries.first]
            wheel_cancel(wheel, ref - 1)
            chunk_drop(&wheel.pool, entries)
            if entries.first == 0:
                bitmap_clear(&wheel.levels[NEAR].bitmap, slot)
            when[0] = wheel.clock
            return ref
        if not turn(wheel, tick):
            return 0
    wheel_start(wheel, tick)
    return 0


cdef uint32_t wheel_ahead(const TimerWheel* wheel, uint32_t distance) noexcept nogil:
    """For prefetching: the reference `distance` < 15 entries behind the one just popped; 0 none."""
    cdef const ChunkList* entries = &wheel.levels[NEAR].lists[slot_at(wheel.clock, NEAR)]
    return chunk_peek(&wheel.pool, entries, distance - 1) if distance and entries.first else 0


cdef void check_list(const TimerWheel* wheel, int level, uint32_t slot, list complaints, list found):
    """Walk one list; found is [live entries, chunks]."""
    cdef const ChunkList* entries = &wheel.levels[level].lists[slot]
    cdef uint32_t at = entries.first, ref, live = 0, chunks = 1
    cdef int64_t tick
    while at != entries.end:
        if at & CHUNK_BORDER == 0:
            at = wheel.pool.words[at - 16] * 16 + 1
            chunks += 1
            if at < 16 or chunks > wheel.pool.used:
                complaints.append(f"wheel: level {level} slot {slot}: broken chain of chunks")
                return
        ref = wheel.pool.words[at]
        if wheel.blocks[ref - 1].timer_pos == at:
            live += 1
            tick = wheel.clock + <uint32_t>(wheel.blocks[ref - 1].deadline - <uint32_t>wheel.clock)
            if slot_at(tick, level) != slot or level_at(wheel.clock, tick) != level:
                complaints.append(f"wheel: block {ref - 1}, due at {tick}, is on level {level} at {slot}")
        at += 1
    if live != entries.live or chunks != entries.chunks:
        complaints.append(f"wheel: level {level} slot {slot}: {entries.live} live in {entries.chunks} "
                          f"chunks, found {live} in {chunks}")
    found[0] += live
    found[1] += chunks


cdef list wheel_check(const TimerWheel* wheel):
    """Every broken invariant in words; complete for the wheel's own memory, and slow."""
    cdef const Level* here
    cdef uint32_t free = 0, chunk = wheel.pool.free
    cdef int level, slot
    complaints, found = [], [0, 0]
    for level in range(LEVELS):
        here = wheel.levels[level]
        slot = bitmap_from(&here.bitmap, 0)
        while slot >= 0:
            if here.lists[slot].first == 0:
                complaints.append(f"wheel: level {level} slot {slot}: marked and empty")
            else:
                check_list(wheel, level, slot, complaints, found)
            slot = bitmap_from(&here.bitmap, slot + 1)
        complaints += [f"wheel: level {level}: {text}" for text in bitmap_check(&here.bitmap)]
    if found != [wheel.live, wheel.pool.used]:
        complaints.append(f"wheel: live {wheel.live} in {wheel.pool.used} chunks, found {found}")
    while chunk and free < wheel.pool.reserved:
        free += 1
        chunk = wheel.pool.words[chunk * 16]
    if free + wheel.pool.used != wheel.pool.fresh - 1 or wheel.pool.fresh > wheel.pool.reserved:
        complaints.append(f"wheel: {free} free and {wheel.pool.used} used chunks of {wheel.pool.fresh - 1}")
    return complaints


@cython.final
cdef class Timers:
    """A wheel over blocks 0 .. capacity - 1 of its own, its clock at `start`; for tests and benchmarks."""

    cdef TimerWheel wheel
    cdef Tcb* blocks
    cdef uint32_t capacity

    def __cinit__(self, uint32_t capacity, int64_t start=0):
        self.capacity = capacity
        self.blocks = <Tcb*>arena_map(<size_t>capacity * sizeof(Tcb))
        if self.blocks == NULL or not wheel_init(&self.wheel, self.blocks, capacity):
            raise MemoryError(f"capacity: no memory for {capacity} timers")
        wheel_start(&self.wheel, start)

    def __dealloc__(self):
        wheel_free(&self.wheel)
        arena_unmap(self.blocks, <size_t>self.capacity * sizeof(Tcb))

    cdef void each(self, const uint32_t* slot, const int64_t* tick, Py_ssize_t n) noexcept nogil:
        """Arm at tick[i], or cancel where tick is NULL."""
        cdef Py_ssize_t i
        for i in range(n):
            if i + AHEAD < n:
                prefetch(&self.blocks[slot[i + AHEAD]])
            if tick != NULL:
                wheel_arm(&self.wheel, slot[i], tick[i])
            else:
                wheel_cancel(&self.wheel, slot[i])

    def _slots(self, slots):
        array = np.ascontiguousarray(slots, np.uint32).reshape(-1)
        if array.size and array.max() >= self.capacity:
            raise ValueError(f"slots: expected 0 .. {self.capacity - 1}, got {array.max()}")
        return array

    def arm(self, slots, ticks):
        """Arm `slots` (uint32) at `ticks` (int64, absolute; one, or one each), in order; again if armed."""
        slots = self._slots(slots)
        ticks = np.ascontiguousarray(np.broadcast_to(np.asarray(ticks, np.int64), slots.shape))
        self.each(<uint32_t*><uintptr_t>slots.ctypes.data, <int64_t*><uintptr_t>ticks.ctypes.data, slots.size)

    def cancel(self, slots):
        """Cancel `slots` (uint32); those that are not armed are left alone."""
        slots = self._slots(slots)
        self.each(<uint32_t*><uintptr_t>slots.ctypes.data, NULL, slots.size)

    def pop(self, int64_t tick, limit=None):
        """Disarm what is due at or before `tick`, at most `limit`: (slots uint32[k], ticks int64[k])."""
        cdef Py_ssize_t k = 0, n = self.wheel.live if limit is None else min(limit, self.wheel.live)
        slots, ticks = np.empty(n, np.uint32), np.empty(n, np.int64)
        cdef uint32_t* slot = <uint32_t*><uintptr_t>slots.ctypes.data
        cdef int64_t* when = <int64_t*><uintptr_t>ticks.ctypes.data
        cdef bint all = limit is None         # then the pop that gives nothing moves the clock
        cdef uint32_t ref
        cdef int64_t due
        while all or k < n:
            ref = wheel_pop(&self.wheel, tick, &due)
            if ref == 0:
                break
            slot[k], when[k] = ref - 1, due
            k += 1
        return slots[:k], ticks[:k]

    def next(self):
        """A tick not after the earliest deadline, or None."""
        tick = wheel_next(&self.wheel)
        return None if tick < 0 else tick

    def ahead(self, uint32_t distance):
        """The slot `distance` < 15 entries behind the one just popped, or None."""
        ref = wheel_ahead(&self.wheel, distance)
        return ref - 1 if ref else None

    @property
    def clock(self):
        return self.wheel.clock              # ticks

    @property
    def live(self):
        return self.wheel.live               # armed blocks

    @property
    def nbytes(self):
        return wheel_bytes(&self.wheel)      # touched, the blocks left out

    def check(self):
        """Broken invariants in words, blocks compared too; empty when sound."""
        armed = sum(1 for slot in range(self.capacity) if self.blocks[slot].timer_pos)
        return wheel_check(&self.wheel) + [f"wheel: {armed} armed blocks"] * (armed != self.wheel.live)
