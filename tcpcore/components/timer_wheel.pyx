"""The timer wheel: arm, cancel, pop in order of (tick, arming).

It uses ``deadline`` and ``timer_pos`` of a TCB only; what a deadline means, the TCP state machine decides.
Layout, ordering argument, invariant and source: timer_wheel.pxd.
"""

# The chunk pool is reserved for four times as many entries as there are TCBs, since arming again leaves a
# cancelled entry. When even that is used up, every list is rewritten without them (`compact`).
from libc.string cimport memset

from tcpcore.base.arena cimport arena_map, arena_map_sparse, arena_release, arena_touched, arena_unmap
from tcpcore.base.bitmap cimport bitmap_check, bitmap_clear, bitmap_set
from tcpcore.base.chunk_list cimport (
    CHUNK_BYTES, CHUNK_ENTRIES, chunk_append, chunk_drop, chunk_drop_all, chunk_peek, chunks_left,
)
from tcpcore.base.prefetch cimport prefetch

cdef enum:
    AHEAD = 12                # entries between a TCB's prefetch and its use
    RELEASE = 10              # in units of 2**10 ticks, the pages of past slots are given back
    POSITIONS = 1 << 28       # chunks that a 32-bit position can address


cdef bint wheel_init(TimerWheel* wheel, Tcb* blocks, uint32_t capacity) noexcept nogil:
    """Reserve a wheel for blocks[capacity], its clock at 0; False when memory is refused."""
    cdef uint64_t chunks = (4 * <uint64_t>capacity + 65536) // CHUNK_ENTRIES
    memset(wheel, 0, sizeof(TimerWheel))
    wheel.reserve = (capacity if capacity < 1 << DIGIT else 1 << DIGIT) + 2       # one per tick of a far slot
    chunks += wheel.reserve + (capacity if capacity < LEVELS * SLOTS else LEVELS * SLOTS)   # last ones
    wheel.blocks = blocks
    wheel.pool.reserved = <uint32_t>(chunks if chunks < POSITIONS else POSITIONS)
    wheel.pool.fresh = 1
    wheel.recent = no_tick()
    wheel.levels[NEAR] = <Level*>arena_map_sparse(sizeof(Level))
    wheel.levels[FAR] = <Level*>arena_map_sparse(sizeof(Level))
    wheel.pool.words = <uint32_t*>arena_map(<size_t>wheel.pool.reserved * CHUNK_BYTES)
    wheel.overdue = <Overdue*>arena_map_sparse((<size_t>capacity + 1) * sizeof(Overdue))
    wheel.capacity = capacity
    if (wheel.levels[NEAR] == NULL or wheel.levels[FAR] == NULL or wheel.pool.words == NULL
            or wheel.overdue == NULL):
        wheel_free(wheel)
        return False
    return True


cdef void wheel_free(TimerWheel* wheel) noexcept nogil:
    """Give all memory back."""
    arena_unmap(wheel.levels[NEAR], sizeof(Level))
    arena_unmap(wheel.levels[FAR], sizeof(Level))
    arena_unmap(wheel.pool.words, <size_t>wheel.pool.reserved * CHUNK_BYTES)
    arena_unmap(wheel.overdue, (<size_t>wheel.capacity + 1) * sizeof(Overdue))
    memset(wheel, 0, sizeof(TimerWheel))


cdef size_t wheel_bytes(const TimerWheel* wheel) noexcept nogil:
    """Touched bytes of slots, chunks and the heap."""
    return (arena_touched(wheel.overdue, (<size_t>wheel.capacity + 1) * sizeof(Overdue))
            + arena_touched(wheel.levels[NEAR], sizeof(Level))
            + arena_touched(wheel.levels[FAR], sizeof(Level))
            + arena_touched(wheel.pool.words, <size_t>wheel.pool.reserved * CHUNK_BYTES))


cdef void release(TimerWheel* wheel, int64_t first, int64_t end) noexcept nogil:
    """Give back the pages of the near slots of ticks first .. end - 1, which are past, but for used ones.

    Without it every engine that runs for two minutes would come to hold all slots, 2 MiB of them, however few
    timers it has."""
    cdef Level* near = wheel.levels[NEAR]
    cdef uint32_t slot, stop, used
    if end - first >= SLOTS:
        first = end - SLOTS
    while first < end:
        slot = slot_at(first, NEAR)                   # a stretch of free slots, within one turn
        stop = <uint32_t>(slot + (end - first) if end - first < SLOTS - slot else SLOTS)
        used = <uint32_t>bitmap_from(&near.bitmap, slot)      # -1, none, is above all others
        if used < stop:
            stop = used
        arena_release(near, slot * sizeof(ChunkList), stop * sizeof(ChunkList))
        first += stop - slot + (used == stop)


cdef inline void set_clock(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Set the clock and forget the list of the last arming: which list a tick has depends on the clock."""
    if unlikely((tick ^ wheel.clock) >> RELEASE):
        release(wheel, wheel.clock >> RELEASE << RELEASE, tick >> RELEASE << RELEASE)
    wheel.clock = wheel.floor = tick
    wheel.recent = no_tick()


cdef int64_t next_start(const TimerWheel* wheel, int level) noexcept nogil:
    """First tick of the next slot with entries of this level after the clock's own, -1 none."""
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


cdef inline bint is_live(const TimerWheel* wheel, uint32_t at) noexcept nogil:
    """The entry at this position has not been cancelled."""
    return wheel.blocks[wheel.pool.words[at] - 1].timer_pos == at


cdef inline void prefetch_ahead(const TimerWheel* wheel, const ChunkList* entries) noexcept nogil:
    """Prefetch the TCB of an entry some way behind the first."""
    cdef uint32_t ref = chunk_peek(&wheel.pool, entries, AHEAD)
    if ref:
        prefetch(&wheel.blocks[ref - 1])


cdef inline bint drop_cancelled(TimerWheel* wheel, int level, uint32_t slot) noexcept nogil:
    """Drop entries until the slot's first one is live; False when none is."""
    cdef ChunkList* entries = &wheel.levels[level].lists[slot]
    if not bitmap_has(&wheel.levels[level].bitmap, slot):
        return False                          # an unwritten list is not read: its page is not there
    if entries.live:
        while not is_live(wheel, entries.first):
            prefetch_ahead(wheel, entries)
            chunk_drop(&wheel.pool, entries)
        return True
    chunk_drop_all(&wheel.pool, entries)
    bitmap_clear(&wheel.levels[level].bitmap, slot)
    return False


cdef void compact(TimerWheel* wheel) noexcept nogil:
    """Rewrite every list with its live entries only, order kept; one chunk left is enough."""
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
                ref = wheel.pool.words[old.first] if is_live(wheel, old.first) else 0
                chunk_drop(&wheel.pool, &old)
                if ref:
                    wheel.blocks[ref - 1].timer_pos = chunk_append(&wheel.pool, kept, ref)
            if kept.first == 0:
                bitmap_clear(&wheel.levels[level].bitmap, slot)
            slot = bitmap_from(&wheel.levels[level].bitmap, slot + 1)


cdef void wheel_start(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Set the clock of a wheel on whose levels nothing is armed; empties every slot and the chunk pool."""
    cdef int level, slot
    expect(wheel.live == wheel.late)
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
    """Move the entries of a far slot into the slots of their ticks.

    It is the slot after the one that the clock has just entered."""
    cdef uint32_t slot = slot_at(wheel.clock + (1 << DIGIT), FAR), low = <uint32_t>wheel.clock, ref
    cdef ChunkList* entries = &wheel.levels[FAR].lists[slot]
    expect(chunks_left(&wheel.pool) >= wheel.reserve - 1)       # the last arming may have taken one
    while entries.live:
        prefetch_ahead(wheel, entries)
        ref = 0
        if is_live(wheel, entries.first):
            ref = wheel.pool.words[entries.first]
            entries.live -= 1
        chunk_drop(&wheel.pool, entries)
        if ref:
            place(wheel, ref, wheel.clock + <uint32_t>(wheel.blocks[ref - 1].deadline - low))
    if entries.first:
        chunk_drop_all(&wheel.pool, entries)
    bitmap_clear(&wheel.levels[FAR].bitmap, slot)


cdef bint advance_clock(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Move the clock to where something happens next, at most to `tick`; False if nothing does by then.

    That is the next tick with entries or the next tick at which a far slot moves down. If they are the
    same, the far slot moves down first."""
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
    """wheel_arm, where the list has still to be found."""
    wheel_cancel(wheel, slot)
    tick = tick if tick > wheel.floor else wheel.floor
    if tick < wheel.clock:
        overdue_add(wheel, slot + 1, tick)
        return
    if tick - wheel.clock > HORIZON:
        tick = wheel.clock + HORIZON
    if chunks_left(&wheel.pool) < wheel.reserve:
        compact(wheel)
    wheel.blocks[slot].deadline = <uint32_t>tick
    wheel.recent_list = place(wheel, slot + 1, tick)
    wheel.recent = tick
    wheel.live += 1


cdef void overdue_add(TimerWheel* wheel, uint32_t ref, int64_t tick) noexcept nogil:
    """Arm a TCB, which is not armed, at a tick before the clock."""
    cdef Overdue entry
    entry.tick, entry.order, entry.ref = tick, wheel.orders, ref
    wheel.orders += 1
    wheel.late += 1
    wheel.live += 1
    wheel.blocks[ref - 1].deadline = <uint32_t>tick
    overdue_sift(wheel, wheel.late, &entry)


cdef void overdue_remove(TimerWheel* wheel, uint32_t at) noexcept nogil:
    """Disarm the TCB at this place of the heap."""
    cdef Overdue last = wheel.overdue[wheel.late]
    wheel.blocks[wheel.overdue[at].ref - 1].timer_pos = 0
    wheel.late -= 1
    wheel.live -= 1
    if at <= wheel.late:
        overdue_sift(wheel, at, &last)


cdef void wheel_catch_up(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Move the clock on to `tick`; what is due before it keeps its order, in the heap, and may be armed anew
    at its old tick."""
    cdef uint32_t ref
    cdef int64_t when, floor = wheel.floor
    while True:
        ref = pop_level(wheel, tick - 1, &when)
        if ref == 0:
            break
        overdue_add(wheel, ref, when)
    advance_clock(wheel, tick)
    wheel.floor = floor if wheel.late else wheel.clock


cdef int64_t wheel_next(TimerWheel* wheel, int64_t tick) noexcept nogil:
    """A tick not after the earliest deadline, -1 when nothing is armed; `tick` is now, not before the clock.

    It is the deadline itself if that is up to 65.5 s ahead, and often further, else the start of its far
    slot; at or before `tick` only the deadline: else the clock moves on to `tick` first."""
    cdef int64_t start
    cdef int level
    if wheel.live == 0:
        return -1
    if wheel.late:
        return wheel.overdue[1].tick
    if drop_cancelled(wheel, NEAR, slot_at(wheel.clock, NEAR)):
        return wheel.clock
    for level in range(LEVELS):
        start = next_start(wheel, level)
        while start >= 0:
            if drop_cancelled(wheel, level, slot_at(start, level)):
                if level == FAR and start <= tick:
                    wheel_catch_up(wheel, tick)
                    return wheel_next(wheel, tick)
                return start
            start = next_start(wheel, level)
    expect(False)
    return -1


cdef uint32_t wheel_pop(TimerWheel* wheel, int64_t tick, int64_t* when) noexcept nogil:
    """Disarm and return (as slot + 1) the next TCB due at or before `tick`, its tick in `when` (out).

    0 when there is none; then the clock stands at `tick`, unless it was past it already.
    """
    cdef uint32_t ref
    if wheel.late == 0:
        return pop_level(wheel, tick, when)
    if wheel.overdue[1].tick > tick:
        return 0
    ref = wheel.overdue[1].ref
    when[0] = wheel.floor = wheel.overdue[1].tick
    overdue_remove(wheel, 1)
    return ref


cdef uint32_t pop_level(TimerWheel* wheel, int64_t tick, int64_t* when) noexcept nogil:
    """wheel_pop without the heap."""
    cdef uint32_t ref, slot
    cdef ChunkList* entries
    if tick < wheel.clock:
        return 0
    while wheel.live != wheel.late:
        slot = slot_at(wheel.clock, NEAR)
        if drop_cancelled(wheel, NEAR, slot):
            entries = &wheel.levels[NEAR].lists[slot]
            prefetch_ahead(wheel, entries)
            ref = wheel.pool.words[entries.first]
            wheel_cancel(wheel, ref - 1)
            chunk_drop(&wheel.pool, entries)
            if entries.first == 0:
                bitmap_clear(&wheel.levels[NEAR].bitmap, slot)
            when[0] = wheel.clock
            return ref
        if not advance_clock(wheel, tick):
            return 0
    wheel_start(wheel, tick)
    return 0


cdef uint32_t wheel_ahead(const TimerWheel* wheel, uint32_t distance) noexcept nogil:
    """For prefetching: the reference `distance` < 15 entries behind the one just popped; 0 none."""
    cdef const ChunkList* entries = &wheel.levels[NEAR].lists[slot_at(wheel.clock, NEAR)]
    return chunk_peek(&wheel.pool, entries, distance - 1) if distance and entries.first else 0


cdef void check_list(const TimerWheel* wheel, int level, uint32_t slot, list wrong, list found):
    """Walk one list; found is [live entries, chunks]."""
    cdef const ChunkList* entries = &wheel.levels[level].lists[slot]
    cdef uint32_t at = entries.first, ref, live = 0, chunks = 1
    cdef int64_t tick
    while at != entries.end:
        if at & CHUNK_BORDER == 0:
            at = wheel.pool.words[at - 16] * 16 + 1
            chunks += 1
            if at < 16 or chunks > wheel.pool.used:
                wrong.append(f"wheel: level {level} slot {slot}: broken chain of chunks")
                return
        ref = wheel.pool.words[at]
        if wheel.blocks[ref - 1].timer_pos == at:
            live += 1
            tick = wheel.clock + <uint32_t>(wheel.blocks[ref - 1].deadline - <uint32_t>wheel.clock)
            if slot_at(tick, level) != slot or level_at(wheel.clock, tick) != level:
                wrong.append(f"wheel: TCB {ref - 1}, due at {tick}, is on level {level} at {slot}")
        at += 1
    if live != entries.live or chunks != entries.chunks:
        wrong.append(f"wheel: level {level} slot {slot}: {entries.live} live in {entries.chunks} "
                     f"chunks, found {live} in {chunks}")
    found[0] += live
    found[1] += chunks


cdef list wheel_check(const TimerWheel* wheel):
    """Every broken invariant in words; complete for the wheel's own memory, and slow."""
    cdef const Level* here
    cdef uint32_t free = 0, chunk = wheel.pool.free, i
    cdef int level, slot
    wrong, found = [], [0, 0]
    for level in range(LEVELS):
        here = wheel.levels[level]
        slot = bitmap_from(&here.bitmap, 0)
        while slot >= 0:
            if here.lists[slot].first == 0:
                wrong.append(f"wheel: level {level} slot {slot}: in the bitmap and empty")
            else:
                check_list(wheel, level, slot, wrong, found)
            slot = bitmap_from(&here.bitmap, slot + 1)
        wrong += [f"wheel: level {level}: {text}" for text in bitmap_check(&here.bitmap)]
    for i in range(1, wheel.late + 1):
        if wheel.overdue[i].tick >= wheel.clock or (i > 1 and comes_first(&wheel.overdue[i],
                                                                          &wheel.overdue[i // 2])):
            wrong.append(f"wheel: overdue at {i}: out of order")
        if wheel.blocks[wheel.overdue[i].ref - 1].timer_pos != 16 * i:
            wrong.append(f"wheel: overdue at {i}: the TCB does not know")
    found[0] += wheel.late
    if found != [wheel.live, wheel.pool.used]:
        wrong.append(f"wheel: live {wheel.live} in {wheel.pool.used} chunks, found {found}")
    while chunk and free < wheel.pool.reserved:
        free += 1
        chunk = wheel.pool.words[chunk * 16]
    if free + wheel.pool.used != wheel.pool.fresh - 1 or wheel.pool.fresh > wheel.pool.reserved:
        wrong.append(f"wheel: {free} free and {wheel.pool.used} used chunks of {wheel.pool.fresh - 1}")
    return wrong
