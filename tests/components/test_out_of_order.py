"""Out-of-order ranges against a set of numbers, on a circle that wraps in the middle of them."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.extensions.range_pool import Reassembly
from tests.reference.out_of_order import ReferenceRanges

WRAP = 2**32
offsets = st.integers(0, 60)


class RangesMachine(RuleBasedStateMachine):
    @initialize(origin=st.sampled_from([0xFFFF_FFE0, 0xFFFF_FF00, 0x7FFF_FFE0, 0]))
    def start(self, origin):
        self.origin = origin
        self.pool = Reassembly(2)
        self.ref = self.pool.borrow()
        self.model = ReferenceRanges()
        self.rcv_nxt = 0

    def number(self, offset):
        return (self.origin + offset) % WRAP

    @rule(ahead=offsets, length=st.integers(1, 12))
    def segment_arrives(self, ahead, length):
        left = self.rcv_nxt + ahead
        added = self.pool.add(self.ref, self.number(left), self.number(left + length))
        assert added == self.model.add(left, left + length)

    @rule(step=st.integers(0, 30))
    def gap_closes(self, step):
        self.rcv_nxt = self.model.take(self.rcv_nxt + step)
        before = self.rcv_nxt
        assert self.pool.take(self.ref, self.number(before)) == self.number(before)

    @rule(step=st.integers(0, 30))
    def gap_closes_and_more_is_there(self, step):
        start = self.rcv_nxt + step
        self.rcv_nxt = self.model.take(start)
        assert self.pool.take(self.ref, self.number(start)) == self.number(self.rcv_nxt)

    @invariant()
    def agree(self):
        expected = [(self.number(left), self.number(right)) for left, right in self.model.pairs()]
        assert self.pool.pairs(self.ref) == expected
        assert self.pool.empty(self.ref) == (not expected)
        assert self.pool.check() == []


TestRanges = RangesMachine.TestCase
TestRanges.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@pytest.fixture
def record():
    pool = Reassembly(3)
    yield pool, (ref := pool.borrow())
    pool.give_back(ref)
    assert pool.used == 0
    assert pool.check() == []


def test_a_fifth_range_is_refused_until_it_touches_one(record):
    pool, ref = record
    for left in (0xFFFF_FFF0, 0xFFFF_FFF8, 0x0000_0000, 0x0000_0008):
        assert pool.add(ref, left, (left + 4) % WRAP)
    before = pool.pairs(ref)
    assert not pool.add(ref, 0x10, 0x14)
    assert not pool.add(ref, 0xFFFF_FFE0, 0xFFFF_FFE4)
    assert pool.pairs(ref) == before
    assert pool.add(ref, 0xFFFF_FFFC, 0)              # touches both neighbours, across the wrap
    assert pool.pairs(ref) == [(0xFFFF_FFF0, 0xFFFF_FFF4), (0xFFFF_FFF8, 4), (8, 12)]
    assert pool.take(ref, 0xFFFF_FFF0) == 0xFFFF_FFF4
    assert pool.take(ref, 0xFFFF_FFF9) == 4
    assert pool.pairs(ref) == [(8, 12)]


def test_fin_is_due_when_everything_before_it_has_come(record):
    pool, ref = record
    assert not pool.fin_next(ref, 0)
    pool.add(ref, 0xFFFF_FFFA, 5)
    pool.set_fin(ref, 5)
    pool.set_fin(ref, 9)                              # a peer that changes its mind: the first stands
    assert not pool.fin_next(ref, 0xFFFF_FFF0)
    assert pool.take(ref, 0xFFFF_FFFA) == 5
    assert pool.fin_next(ref, 5)
    assert not pool.empty(ref)


def test_pool_gives_every_record_once_and_empty():
    pool = Reassembly(3)
    refs = [pool.borrow() for _ in range(3)]
    assert sorted(refs) == [1, 2, 3]
    assert pool.borrow() == 0
    pool.add(2, 1, 2)
    pool.set_fin(2, 2)
    pool.give_back(2)
    pool.give_back(1)
    assert pool.check() == []
    assert (pool.borrow(), pool.borrow(), pool.borrow()) == (1, 2, 0)
    assert pool.empty(2)
    assert pool.used == 3


def test_pool_takes_memory_only_when_used():
    pool = Reassembly(10_000_000)
    assert pool.nbytes == 0
    pool.borrow()
    assert 0 < pool.nbytes <= 2 << 20


def test_bad_reference():
    with pytest.raises(ValueError, match="ref: expected 1 .. 0, got 1"):
        Reassembly(1).add(1, 0, 1)
