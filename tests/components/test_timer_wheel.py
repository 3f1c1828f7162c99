"""The timer wheel against a sorted list, with clocks that start where ticks wrap or slots end."""

import random
from bisect import bisect_left, insort

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.extensions.timer_wheel import Timers
from tests.reference.timer_wheel import ReferenceWheel

CAPACITY = 40
HORIZON = 2**32 - 1
FAR = 2**16  # ticks of a far slot
EDGES = [0, FAR - 1, 2 * FAR - 1, 3 * FAR - 3, 2**32 - 5, 2**33 - 5, 2**40]
slots = st.integers(0, CAPACITY - 1)
delays = st.one_of(
    st.integers(-3, 20),
    st.integers(0, 5 * FAR),
    st.sampled_from([at * FAR + by for at in (1, 2, 3) for by in (-1, 0, 1)] + [HORIZON]),
    st.integers(0, HORIZON),
)


def popped(timers, tick, limit=None):
    return list(zip(*(column.tolist() for column in timers.pop(tick, limit)), strict=True))


class WheelMachine(RuleBasedStateMachine):
    @initialize(clock=st.sampled_from(EDGES), back=st.integers(0, 10))
    def start(self, clock, back):
        clock = max(0, clock - back)
        self.timers = Timers(CAPACITY, clock)
        self.model = ReferenceWheel(clock)

    @rule(slot=slots, delay=delays)
    def arm(self, slot, delay):
        tick = self.model.clock + delay
        self.timers.arm([slot], tick)
        self.model.arm(slot, tick)

    @rule(several=st.lists(slots), delay=delays)
    def arm_several_for_one_tick(self, several, delay):
        tick = self.model.clock + delay
        self.timers.arm(several, tick)
        for slot in several:
            self.model.arm(slot, tick)

    @rule(several=st.lists(slots))
    def cancel(self, several):
        self.timers.cancel(several)
        for slot in several:
            self.model.cancel(slot)

    @rule(delay=delays, limit=st.one_of(st.none(), st.integers(1, 5)))
    def pop(self, delay, limit):
        tick = self.model.clock + delay
        limit = limit if limit is None else min(limit, self.model.live)
        assert popped(self.timers, tick, limit) == self.model.pop(tick, limit)

    @rule(leap=st.one_of(delays, st.sampled_from([2**31, 2**32, 2**40])))
    def catch_up(self, leap):
        if leap <= 2**33 or not self.model.live:
            self.timers.catch_up(self.model.clock + leap)
            self.model.catch_up(self.model.clock + leap)

    @rule(leap=delays)
    def ask_at_a_later_time(self, leap):
        """What `next` tells is past only if something is due; the clock may have moved on to tell that."""
        now = self.model.clock + max(leap, 0)
        due, tick = self.model.next(), self.timers.next(now)
        assert (due is None) == (tick is None)
        assert due is None or (tick == due if due <= now else now < tick <= due)
        assert self.timers.clock in (self.model.clock, now)
        if self.timers.clock != self.model.clock:
            self.model.catch_up(now)

    @rule()
    def follow_next_to_the_earliest_deadline(self):
        due = self.model.next()
        while due is not None and (tick := self.timers.next()) < due:
            assert tick > self.timers.clock
            assert popped(self.timers, tick) == self.model.pop(tick) == []
        assert self.timers.next() == due

    @invariant()
    def agree(self):
        assert self.timers.live == self.model.live
        assert self.timers.clock == self.model.clock
        due, tick = self.model.next(), self.timers.next()
        assert (due is None) == (tick is None)
        if due is not None:
            assert tick <= due
            assert tick > self.timers.clock or tick == due
            if due // FAR - self.timers.clock // FAR <= 1:
                assert tick == due
        assert self.timers.check() == []


TestWheel = WheelMachine.TestCase
TestWheel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("tick", [-1, -2, -(2**40)])
def test_a_tick_before_time_began_is_due_now(tick):
    timers = Timers(CAPACITY)
    timers.arm([7], tick)
    assert popped(timers, 0) == [(7, 0)]


@pytest.mark.parametrize("clock", EDGES)
def test_100k_operations(clock):
    """A long deterministic run: mostly short timers armed again and again, with leaps now and then."""
    draw = random.Random(clock)
    capacity = 2000
    timers = Timers(capacity, clock)
    due, armed, order = [], {}, 0             # sorted (tick, order, slot), and slot -> its entry
    for _ in range(100_000):
        slot, dice = draw.randrange(capacity), draw.random()
        if dice < 0.7:
            delay = draw.choice((draw.randrange(50), draw.randrange(5000), draw.randrange(2**26)))
            if slot in armed:
                del due[bisect_left(due, armed[slot])]
            order += 1
            armed[slot] = (timers.clock + delay, order, slot)
            insort(due, armed[slot])
            timers.arm([slot], timers.clock + delay)
        elif dice < 0.85:
            if slot in armed:
                del due[bisect_left(due, armed.pop(slot))]
            timers.cancel([slot])
        else:
            tick = timers.clock + draw.choice((0, 1, 7, 300, 5000 if dice < 0.999 else 2**25))
            expected = []
            while due and due[0][0] <= tick:
                when, _, which = due.pop(0)
                del armed[which]
                expected.append((which, when))
            assert popped(timers, tick) == expected
        assert timers.live == len(due)
    assert timers.check() == []


def test_armed_between_two_pops_of_one_tick_comes_last():
    timers = Timers(4, 2**32 - 1)
    timers.arm([0, 1], 2**32)
    assert popped(timers, 2**32, 1) == [(0, 2**32)]
    timers.arm([2], 2**32)
    timers.arm([3], 5)                        # long past: due now
    assert popped(timers, 2**32) == [(1, 2**32), (2, 2**32), (3, 2**32)]
    timers.arm([0], 2**32)
    assert timers.next() == 2**32
    assert popped(timers, 2**32) == [(0, 2**32)]
    assert timers.next() is None


def test_order_of_arming_survives_moving_down():
    timers = Timers(100, 0)
    tick = 3 * FAR + 5000
    timers.arm(np.arange(0, 50), tick)
    assert popped(timers, 2 * FAR - 1) == []
    timers.arm(np.arange(50, 70), tick)
    assert popped(timers, 2 * FAR) == []      # the slot has moved down
    timers.arm(np.arange(70, 90), tick)
    assert popped(timers, tick - 1) == []
    timers.arm(np.arange(90, 100), tick)
    assert popped(timers, tick) == [(slot, tick) for slot in range(100)]


def test_an_earlier_tick_pops_nothing_and_leaves_the_clock():
    timers = Timers(1, 100)
    timers.arm([0], 50)
    assert popped(timers, 99) == []
    assert timers.clock == 100
    assert popped(timers, 100) == [(0, 100)]


def test_beyond_the_horizon_is_cut_to_it():
    timers = Timers(1, 2**32 - 7)
    timers.arm([0], 2**60)
    assert popped(timers, 2**61) == [(0, 2**32 - 7 + HORIZON)]


def test_rearming_for_ever_neither_fails_nor_grows():
    """Cancelled entries are thrown away when the pool runs out, whatever stands between them."""
    capacity = 1000
    timers = Timers(capacity, 0)
    everyone = np.arange(capacity)
    timers.arm(everyone, 2**30 + everyone)
    draw = np.random.default_rng(5)
    for _ in range(700):
        timers.arm(everyone[1:], draw.integers(1, 2**28, capacity - 1))
    assert timers.nbytes < 2 << 20
    assert timers.check() == []
    assert timers.live == capacity
    slots, ticks = timers.pop(2**30)
    assert len(slots) == capacity
    assert (np.diff(ticks) >= 0).all()
    assert slots[-1] == 0


def test_moving_down_finds_room_in_a_full_pool():
    """4096 ticks get their first entry at once when nearly every chunk is in use."""
    capacity = 5000
    timers = Timers(capacity, 0)
    everyone = np.arange(capacity)
    for _ in range(31):                       # 10,702 chunks for arming, 334 of them each time
        timers.arm(everyone, 2**24)
    timers.arm(everyone, 5 * FAR + everyone % 4096)
    expected = np.lexsort((everyone, everyone % 4096))
    assert timers.pop(5 * FAR, 1)[0] == expected[0]
    assert timers.check() == []
    assert (timers.pop(6 * FAR)[0] == expected[1:]).all()


def test_full_of_cancelled_entries_it_starts_anew():
    timers = Timers(5000, 0)
    timers.arm(np.arange(5000), np.arange(5000) * 1000)
    timers.cancel(np.arange(5000))
    assert timers.next() is None
    assert popped(timers, 2**50) == []
    assert timers.clock == 2**50
    assert timers.check() == []
    timers.arm([1], 2**50 + 4)
    assert popped(timers, 2**50 + 9) == [(1, 2**50 + 4)]


def test_ahead_sees_what_follows():
    timers = Timers(90, 0)
    tick = 3 * FAR
    timers.arm(np.arange(90), tick)
    timers.pop(2 * FAR)                       # moving down leaves old references in the sixth chunk
    timers.cancel(np.arange(90))
    timers.pop(tick)
    timers.arm(np.arange(80), tick)           # which is the last one again
    assert popped(timers, tick, 1) == [(0, tick)]
    assert [timers.ahead(distance) for distance in range(1, 15)] == list(range(1, 15))
    popped(timers, tick, 76)
    assert [timers.ahead(distance) for distance in (1, 2, 3, 4)] == [77, 78, 79, None]


def test_bad_arguments():
    timers = Timers(4)
    with pytest.raises(ValueError, match="slots: expected 0 .. 3, got 4"):
        timers.arm([4], 1)
