"""The growable ring against a deque: order over the wrap, growth when full, memory given back."""

from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.extensions.ring import Queue


class RingMachine(RuleBasedStateMachine):
    @initialize(first=st.sampled_from([1, 2, 8]), wide=st.booleans())
    def start(self, first, wide):
        self.queue, self.model = Queue(first, wide), deque()
        self.first, self.bits = first, 64 if wide else 32
        self.most, self.next = 0, 2**self.bits - 3      # numbers wrap, too

    @rule(n=st.integers(1, 12))
    def push(self, n):
        for _ in range(n):
            self.queue.push(self.next)
            self.model.append(self.next)
            self.next = (self.next + 1) % 2**self.bits
        self.most = max(self.most, len(self.model))

    @precondition(lambda self: self.model)
    @rule(n=st.integers(1, 12))
    def pop(self, n):
        for _ in range(min(n, len(self.model))):
            assert self.queue.pop() == self.model.popleft()

    @rule()
    def clear(self):
        self.queue.clear()
        self.model.clear()
        self.most = 0
        assert self.queue.nbytes == 0

    @invariant()
    def same(self):
        if hasattr(self, "queue"):
            assert [self.queue[i] for i in range(len(self.queue))] == list(self.model)
            assert self.queue.check() == []
            places = self.queue.nbytes * 8 // self.bits
            assert places == 0 if self.most == 0 else self.most <= places <= max(self.first, 2 * self.most)


TestRing = RingMachine.TestCase


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("head", range(8))
def test_growth_straightens_the_ring(head, wide):
    """Full, with the oldest entry at any place."""
    queue = Queue(8, wide)
    for number in range(head):
        queue.push(number)
        queue.pop()
    for number in range(9):
        queue.push(number)
    assert [queue.pop() for _ in range(9)] == list(range(9))


def test_nothing_is_taken_before_the_first_entry():
    queue = Queue(8)
    assert len(queue) == queue.nbytes == 0
    with pytest.raises(IndexError):
        queue.pop()
