# Every deadline of the engine, at most one per TCB: a hierarchical timing wheel.
#
#   level   ticks per slot     slots   covers
#   near    1 (1 ms)           2**17   the clock's own 65.5 s and the next 65.5 s
#   far     2**16 (65.5 s)     2**17   everything later, up to HORIZON (49.7 days)
#
# Most timeouts are below 2 MSL: they go into the slot of their own tick and never move. A far slot moves down
# exactly when the clock enters the one before it, ahead of anything else: until then nothing can be armed
# directly into its ticks. So entries of one tick come out in the order in which they were armed.
#
# A slot has a list of chunks of references (slot + 1); Tcb.timer_pos is the position of the valid entry.
# Cancelling sets it to 0 and counts the list's live entries down; the entry stays. A list without live
# entries is dropped as a whole; in others a look at the TCB tells which entries are cancelled. (Doubly
# linked lists, as Linux has them, would need 8 more bytes of a TCB's one cache line and touch two other
# TCBs for each timer that is set again.)
# Deadlines are 32 bits, relative to the clock, so that the clock must follow the time of the calls. Where
# what is due has not been fired for long, wheel_catch_up puts it, with its ticks, into a heap (`overdue`),
# whose places are told from others by the low bits of timer_pos. Whatever is in the heap comes first.
# Invariant: `live` entries stand where their TCB's timer_pos says; all in the heap are before the clock, all
# others are not.
# Source: Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 7.
from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint32_t, uint64_t

from tcpcore.base.bitmap cimport Bitmap, bitmap_from, bitmap_has
from tcpcore.base.chunk_list cimport CHUNK_BORDER, ChunkList, ChunkPool
from tcpcore.base.prefetch cimport expect, likely, unlikely
from tcpcore.records.tcb cimport Tcb

cdef enum:
    NEAR, FAR, LEVELS
    DIGIT = 16                # bits of a tick below a far slot
    SLOTS = 1 << 17           # of each level; BITMAP_SIZE
    HORIZON = 0xFFFFFFFF      # ticks ahead that 32 bits of deadline can tell

cdef struct Overdue:
    int64_t tick
    uint64_t order            # of those with the same tick the one armed first comes first
    uint32_t ref              # slot + 1

cdef struct Level:
    ChunkList lists[SLOTS]    # first, so that they begin with a page
    Bitmap bitmap             # slots with entries, cancelled ones included

cdef struct TimerWheel:
    Tcb* blocks
    uint32_t capacity
    Level* levels[LEVELS]
    ChunkPool pool
    int64_t clock             # tick
    int64_t floor             # no tick before it can be armed: the one popped last, or the clock
    int64_t recent            # tick armed last since the clock moved, no_tick() none
    ChunkList* recent_list    # its list: a batch mostly arms one tick
    uint32_t live             # armed TCBs
    uint32_t late             # of those: in the heap
    Overdue* overdue          # [1 .. late], a heap by (tick, order)
    uint64_t orders           # orders given so far
    uint32_t reserve          # chunks kept for moving down, which takes some before it gives one back

cdef bint wheel_init(TimerWheel* wheel, Tcb* blocks, uint32_t capacity) noexcept nogil
cdef void wheel_free(TimerWheel* wheel) noexcept nogil
cdef void wheel_start(TimerWheel* wheel, int64_t tick) noexcept nogil
cdef void wheel_catch_up(TimerWheel* wheel, int64_t tick) noexcept nogil
cdef void overdue_remove(TimerWheel* wheel, uint32_t at) noexcept nogil
cdef void wheel_arm_any(TimerWheel* wheel, uint32_t slot, int64_t tick) noexcept nogil
cdef int64_t wheel_next(TimerWheel* wheel, int64_t tick) noexcept nogil
cdef uint32_t wheel_pop(TimerWheel* wheel, int64_t tick, int64_t* when) noexcept nogil
cdef uint32_t wheel_ahead(const TimerWheel* wheel, uint32_t distance) noexcept nogil
cdef size_t wheel_bytes(const TimerWheel* wheel) noexcept nogil
cdef list wheel_check(const TimerWheel* wheel)


cdef inline int64_t no_tick() noexcept nogil:
    return <int64_t>1 << 62   # -1 would be in the past, and so due now


cdef inline uint32_t slot_at(int64_t tick, int level) noexcept nogil:
    """The slot of a tick on this level."""
    return <uint32_t>(tick >> (DIGIT * level)) & (SLOTS - 1)


cdef inline int level_at(int64_t clock, int64_t tick) noexcept nogil:
    """The level of a tick at or after the clock."""
    return FAR if (tick >> DIGIT) - (clock >> DIGIT) > 1 else NEAR


cdef inline bint wheel_is_idle(const TimerWheel* wheel, int64_t tick) noexcept nogil:
    """Whether it is clear at a glance that wheel_pop up to `tick` would find nothing."""
    return (wheel.clock == tick and wheel.late == 0 and (wheel.live or wheel.pool.fresh == 1)
            and not bitmap_has(&wheel.levels[NEAR].bitmap, slot_at(tick, NEAR)))


cdef inline int64_t wheel_near(const TimerWheel* wheel, int64_t tick, int64_t limit) noexcept nogil:
    """For prefetching: the first tick in `tick` + 1 .. `limit` with entries on the near level; -1 none.

    Neither is before the clock. It looks 65 s ahead at most."""
    cdef int64_t most = wheel.clock + SLOTS // 2 - 1
    cdef int slot, own
    limit = limit if limit < most else most
    while tick < limit:
        own = <int>slot_at(tick + 1, NEAR)
        slot = bitmap_from(&wheel.levels[NEAR].bitmap, own)
        if slot >= 0:
            tick += 1 + slot - own
            return tick if tick <= limit else -1
        tick += SLOTS - own
    return -1


cdef inline const ChunkList* wheel_near_list(const TimerWheel* wheel, int64_t tick) noexcept nogil:
    """For prefetching: the entries of a tick that wheel_near has found."""
    return &wheel.levels[NEAR].lists[slot_at(tick, NEAR)]


cdef inline ChunkList* wheel_list(const TimerWheel* wheel, const Tcb* tcb) noexcept nogil:
    """The list that has an armed TCB's entry."""
    cdef int64_t tick = wheel.clock + <uint32_t>(tcb.deadline - <uint32_t>wheel.clock)
    cdef int level = level_at(wheel.clock, tick)
    return &wheel.levels[level].lists[slot_at(tick, level)]


cdef inline void overdue_put(TimerWheel* wheel, uint32_t at, const Overdue* entry) noexcept nogil:
    wheel.overdue[at] = entry[0]
    wheel.blocks[entry.ref - 1].timer_pos = at * 16


cdef inline bint comes_first(const Overdue* a, const Overdue* b) noexcept nogil:
    """Whether a is due before b, or was armed first where both are due at one tick."""
    return a.tick < b.tick or (a.tick == b.tick and a.order < b.order)


cdef inline void overdue_sift(TimerWheel* wheel, uint32_t at, const Overdue* entry) noexcept nogil:
    """Put an entry at this place or, where the order of the heap asks for it, above or below."""
    cdef uint32_t child
    while at > 1 and comes_first(entry, &wheel.overdue[at // 2]):
        overdue_put(wheel, at, &wheel.overdue[at // 2])
        at //= 2
    while 2 * at <= wheel.late:
        child = 2 * at
        if child < wheel.late and comes_first(&wheel.overdue[child + 1], &wheel.overdue[child]):
            child += 1
        if not comes_first(&wheel.overdue[child], entry):
            break
        overdue_put(wheel, at, &wheel.overdue[child])
        at = child
    overdue_put(wheel, at, entry)


cdef inline bint is_overdue(const Tcb* tcb) noexcept nogil:
    """Whether an armed TCB's entry is in the heap: no entry of a list has such a position."""
    return tcb.timer_pos & CHUNK_BORDER == 0


cdef inline int64_t wheel_tick(const TimerWheel* wheel, const Tcb* tcb) noexcept nogil:
    """The exact tick of an armed TCB."""
    if is_overdue(tcb):
        return wheel.overdue[tcb.timer_pos // 16].tick
    return wheel.clock + <uint32_t>(tcb.deadline - <uint32_t>wheel.clock)


cdef inline void wheel_cancel(TimerWheel* wheel, uint32_t slot) noexcept nogil:
    """Cancel the TCB's timer, if it has one."""
    cdef Tcb* tcb = &wheel.blocks[slot]
    if tcb.timer_pos:
        if unlikely(is_overdue(tcb)):
            overdue_remove(wheel, tcb.timer_pos // 16)
            return
        expect(wheel.pool.words[tcb.timer_pos] == slot + 1)
        wheel_list(wheel, tcb).live -= 1
        tcb.timer_pos = 0
        wheel.live -= 1


cdef inline void wheel_arm(TimerWheel* wheel, uint32_t slot, int64_t tick) noexcept nogil:
    """Arm the TCB's timer, again if it is armed.

    A tick in the past is due now (`floor`), one beyond the horizon is cut to it."""
    cdef uint32_t at
    if likely(tick == wheel.recent and wheel.recent_list.end & CHUNK_BORDER != 0):
        at = wheel.recent_list.end            # space in the last chunk: as chunk_append does it
        wheel_cancel(wheel, slot)
        wheel.pool.words[at] = slot + 1
        wheel.recent_list.end = at + 1
        wheel.recent_list.live += 1
        wheel.blocks[slot].timer_pos = at
        wheel.blocks[slot].deadline = <uint32_t>tick
        wheel.live += 1
    else:
        wheel_arm_any(wheel, slot, tick)
