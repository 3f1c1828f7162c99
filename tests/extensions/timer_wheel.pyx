"""Timers: a timer wheel over TCBs of its own; for tests and benchmarks."""

import numpy as np

cimport cython
from libc.stdint cimport int64_t, uint32_t, uintptr_t

from tcpcore.base.arena cimport arena_map, arena_unmap
from tcpcore.base.prefetch cimport prefetch
from tcpcore.components.timer_wheel cimport (
    TimerWheel, wheel_ahead, wheel_arm, wheel_bytes, wheel_cancel, wheel_catch_up, wheel_check, wheel_free,
    wheel_init, wheel_next, wheel_pop, wheel_start,
)
from tcpcore.records.tcb cimport Tcb

cdef enum:
    AHEAD = 12                # rows between a TCB's prefetch and its use


@cython.final
cdef class Timers:
    """A timer wheel over TCBs 0 .. capacity - 1 of its own, its clock at `start`."""

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

    def catch_up(self, int64_t tick):
        """The clock moves to `tick`; what is due before it keeps its ticks."""
        if tick >= self.wheel.clock:
            wheel_catch_up(&self.wheel, tick)

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

    def next(self, tick=None):
        """A tick not after the earliest deadline, or None; `tick` is now, the clock by default."""
        tick = wheel_next(&self.wheel, self.wheel.clock if tick is None else tick)
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
        return self.wheel.live               # armed TCBs

    @property
    def nbytes(self):
        return wheel_bytes(&self.wheel)      # touched, without the TCBs

    def check(self):
        """Broken invariants in words, also of the TCBs; empty when sound."""
        armed = sum(1 for slot in range(self.capacity) if self.blocks[slot].timer_pos)
        return wheel_check(&self.wheel) + [f"wheel: {armed} armed TCBs"] * (armed != self.wheel.live)
