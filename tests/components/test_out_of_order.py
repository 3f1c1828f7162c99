"""Out-of-order ranges against their reference, on a circle that wraps in the middle of them."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.extensions.range_pool import Reassembly
from tests.reference.out_of_order import Range, taken, with_range

WRAP = 2**32
offsets = st.integers(0, 60)


class RangesMachine(RuleBasedStateMachine):
    @initialize(origin=st.sampled_from([0xFFFF_FFE0, 0xFFFF_FF00, 0x7FFF_FFE0, 0]))
    def start(self, origin):
        self.pool = Reassembly(2)
        self.ref = self.pool.borrow()
        self.model = []
        self.rcv_nxt = origin

    @rule(ahead=offsets, length=st.integers(1, 12), fin=st.sampled_from([False, False, True]))
    def segment_arrives(self, ahead, length, fin):
        left, right = (self.rcv_nxt + ahead) % WRAP, (self.rcv_nxt + ahead + length) % WRAP
        model = with_range(self.model, Range(left, right, int(fin)), self.rcv_nxt)
        assert self.pool.add(self.ref, left, right, fin) == (model is not None)
        self.model = self.model if model is None else model

    @rule(step=st.integers(0, 30))
    def gap_closes(self, step):
        start = (self.rcv_nxt + step) % WRAP
        self.rcv_nxt, fins, self.model = taken(self.model, start)
        assert self.pool.take(self.ref, start) == (self.rcv_nxt, fins)
        while self.model and taken(self.model, self.rcv_nxt)[2] != self.model:     # what a FIN left behind
            before, (self.rcv_nxt, fins, self.model) = self.rcv_nxt, taken(self.model, self.rcv_nxt)
            assert self.pool.take(self.ref, before) == (self.rcv_nxt, fins)

    @invariant()
    def agree(self):
        expected = [(r.first, r.end, r.fins) for r in self.model]
        assert self.pool.pairs(self.ref) == expected
        assert self.pool.empty(self.ref) == (not expected)
        if expected:
            last = max(self.model, key=lambda r: r.place(self.rcv_nxt)[1])
            assert self.pool.end(self.ref) == last.end
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
    assert pool.pairs(ref) == [(0xFFFF_FFF0, 0xFFFF_FFF4, 0), (0xFFFF_FFF8, 4, 0), (8, 12, 0)]
    assert pool.take(ref, 0xFFFF_FFF0) == (0xFFFF_FFF4, 0)
    assert pool.take(ref, 0xFFFF_FFF9) == (4, 0)
    assert pool.pairs(ref) == [(8, 12, 0)]


def test_fin_is_due_when_everything_before_it_has_come(record):
    pool, ref = record
    pool.add(ref, 0xFFFF_FFFA, 5)
    pool.add(ref, 9, 10, fin=True)                    # a peer that changes its mind
    pool.add(ref, 5, 6, fin=True)
    assert pool.pairs(ref) == [(0xFFFF_FFFA, 6, 1), (9, 10, 1)]
    assert pool.take(ref, 0xFFFF_FFF0) == (0xFFFF_FFF0, 0)
    assert pool.take(ref, 0xFFFF_FFFA) == (6, 1)      # the first that is due counts
    assert not pool.empty(ref)


def test_text_over_a_fin_takes_it_back_and_text_beside_it_does_not(record):
    pool, ref = record
    pool.add(ref, 10, 11, fin=True)
    pool.add(ref, 5, 10)
    assert pool.pairs(ref) == [(5, 10, 0), (10, 11, 1)]
    pool.add(ref, 8, 12)
    assert pool.pairs(ref) == [(5, 12, 0)]
    pool.add(ref, 10, 11, fin=True)                   # text has been there
    assert pool.pairs(ref) == [(5, 12, 0)]


def test_text_right_behind_a_fin_puts_it_off(record):
    pool, ref = record
    pool.add(ref, 10, 11, fin=True)
    pool.add(ref, 11, 15)
    assert pool.pairs(ref) == [(10, 15, 1)]


def test_pool_gives_every_record_once_and_empty():
    pool = Reassembly(3)
    refs = [pool.borrow() for _ in range(3)]
    assert sorted(refs) == [1, 2, 3]
    assert pool.borrow() == 0
    pool.add(2, 1, 3, fin=True)
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
