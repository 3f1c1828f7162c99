"""Eviction queues of half-open entries against lists: oldest, random, exact limits, bounded memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.extensions.syn_eviction import SynQueues, bucket
from tests.reference import syn_eviction as reference
from tests.reference.syn_eviction import ReferenceEviction

FIRST, ENTRY = 32, 8                  # places of a queue's first ring, bytes of one
QUEUES = 3
CAPACITY = 150
which = st.integers(0, 2**16)
queues = st.integers(0, QUEUES - 1)


class EvictionMachine(RuleBasedStateMachine):
    """Entries come, complete, die and are evicted; slots are used again at once, last freed first."""

    @initialize(by_age=st.booleans())
    def start(self, by_age):
        self.eviction, self.reference = SynQueues(CAPACITY, QUEUES), ReferenceEviction(QUEUES)
        self.by_age = by_age
        self.half_open, self.forgotten = [], []
        self.most = [0] * QUEUES

    def leaves(self, ref):
        (self.half_open if ref in self.half_open else self.forgotten).remove(ref)
        self.reference.leave(ref)

    @rule(queue=queues, n=st.integers(1, 40))
    def syns_arrive(self, queue, n):
        for _ in range(n):
            ref = self.eviction.add(queue)
            assert (ref == 0) == (len(self.half_open) + len(self.forgotten) + self.established == CAPACITY)
            if ref:
                self.reference.add(queue, ref)
                self.half_open.append(ref)
                self.most[queue] = max(self.most[queue], len(self.reference.queues[queue]))

    established = 0

    @precondition(lambda self: self.half_open and self.established < CAPACITY // 4)
    @rule(which=which, n=st.integers(1, 10))
    def handshakes_complete(self, which, n):
        for i in range(min(n, len(self.half_open))):
            ref = self.half_open[(which + 7 * i) % len(self.half_open)]
            self.eviction.establish(ref)
            self.leaves(ref)
            self.established += 1

    @precondition(lambda self: self.half_open or self.forgotten)
    @rule(which=which, n=st.integers(1, 20))
    def entries_expire(self, which, n):
        for i in range(n):
            if refs := self.half_open + self.forgotten:
                ref = refs[(which + 5 * i) % len(refs)]
                self.eviction.end(ref)
                self.leaves(ref)

    @rule(queue=queues, n=st.integers(1, 20), draw=st.integers(0, 2**64 - 1))
    def evict(self, queue, n, draw):
        for i in range(n):
            if self.by_age:
                ref = self.eviction.oldest(queue)
                assert ref == self.reference.oldest(queue)
            else:
                ref = self.eviction.random(queue, (draw + i * 0x9E3779B97F4A7C15) % 2**64)
                assert ref in self.reference.queues[queue] if self.reference.queues[queue] else ref == 0
            if ref:
                self.eviction.end(ref)
                self.leaves(ref)

    @rule(queue=queues, limit=st.integers(0, 40))
    def is_it_full(self, queue, limit):
        assert self.eviction.full(queue, limit) == self.reference.full(queue, limit)

    @rule(queue=queues)
    def listener_closes(self, queue):
        for ref in self.reference.queues[queue]:
            self.half_open.remove(ref)
            self.forgotten.append(ref)
        self.eviction.forget(queue)
        self.reference.forget(queue)
        self.most[queue] = 0

    @invariant()
    def agree(self):
        counts = [self.eviction.count(queue) for queue in range(QUEUES)]
        assert counts == [len(queue) for queue in self.reference.queues]
        assert self.eviction.ring_bytes <= sum(max(FIRST, 4 * most) * ENTRY for most in self.most)
        assert self.eviction.check() == []


TestSynq = EvictionMachine.TestCase
TestSynq.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def fill(eviction, queue, n):
    return [eviction.add(queue) for _ in range(n)]


def test_the_oldest_goes_first():
    eviction = SynQueues(100, 1)
    refs = fill(eviction, 0, 100)
    assert eviction.add(0) == 0                        # no TCB: nothing is added
    for ref in refs:
        assert eviction.oldest(0) == ref
        eviction.end(ref)
    assert eviction.oldest(0) == 0


def test_a_slot_used_again_is_a_new_entry():
    """The second owner of a slot stands where it came, not where the first one stood."""
    eviction = SynQueues(2, 1)
    first, second = fill(eviction, 0, 2)
    eviction.end(first)
    assert eviction.add(0) == first
    assert eviction.count(0) == 2 and eviction.check() == []
    assert [eviction.oldest(0), eviction.oldest(0), eviction.oldest(0)] == [second, first, 0]


def test_a_connection_is_not_a_victim():
    eviction = SynQueues(3, 1)
    a, b, c = fill(eviction, 0, 3)
    eviction.establish(a)
    eviction.establish(c)
    assert eviction.oldest(0) == b
    assert eviction.oldest(0) == 0


def test_queues_are_apart():
    eviction = SynQueues(10, 65536)
    a, b = eviction.add(1), eviction.add(65535)
    assert eviction.oldest(0) == 0 and eviction.oldest(65535) == b and eviction.oldest(1) == a


def test_a_forgotten_queue_starts_anew():
    eviction = SynQueues(200, 2)
    fill(eviction, 1, 100)
    eviction.forget(1)
    assert eviction.ring_bytes == 0 and eviction.oldest(1) == 0
    ref = eviction.add(1)
    assert eviction.oldest(1) == ref


@pytest.mark.parametrize("limit", [1, 2, 3, 30])
def test_a_bucket_holds_its_limit_exactly(limit):
    """FreeBSD's rule by hand: a full bucket loses its oldest; whoever left otherwise made room."""
    eviction = SynQueues(1000, 1)
    refs = []
    for n in range(500):
        if eviction.full(0, limit):
            assert len(refs) == limit
            victim = eviction.oldest(0)
            assert victim == refs.pop(0)
            eviction.end(victim)
        refs.append(eviction.add(0))
        assert eviction.count(0) == len(refs) <= limit
        if n % 7 == 3:
            eviction.end(refs.pop(n % len(refs)))
    assert eviction.ring_bytes <= FIRST * ENTRY


def test_the_limit_counts_the_living_only():
    eviction = SynQueues(60, 1)
    refs = fill(eviction, 0, 30)
    assert eviction.full(0, 30) and not eviction.full(0, 31)
    eviction.establish(refs[29])
    assert not eviction.full(0, 30) and eviction.full(0, 29)
    fill(eviction, 0, 1)
    assert eviction.full(0, 30)


@pytest.mark.parametrize("backlog", [3, 100, 1000])
def test_memory_is_bounded_by_the_living(backlog):
    """A hundred thousand SYNs through a queue that never holds more than its backlog."""
    eviction = SynQueues(backlog + 1, 1)
    refs = fill(eviction, 0, backlog)
    highest = 0
    for n in range(100_000):
        at = n * 7919 % backlog
        eviction.end(refs[at])                         # from anywhere: nobody is asked for a victim
        refs[at] = eviction.add(0)
        if n % 1000 == 0:
            highest = max(highest, eviction.ring_bytes)
    assert highest <= max(FIRST, 4 * backlog) * ENTRY
    assert eviction.count(0) == backlog and eviction.check() == []


def test_random_is_uniform_over_the_living():
    """Each of 5 living among 12 goes in a fifth of 20,000 trials: inside 5 standard deviations."""
    rng = np.random.default_rng(1)
    n = 20_000
    gone = np.zeros(12, int)
    for draw in rng.integers(0, 2**64, n, dtype=np.uint64):
        eviction = SynQueues(12, 1)
        refs = fill(eviction, 0, 12)
        for at in (0, 1, 3, 4, 7, 8, 11):
            eviction.end(refs[at])
        gone[refs.index(eviction.random(0, int(draw)))] += 1
    alive = [2, 5, 6, 9, 10]
    assert gone.sum() == gone[alive].sum() == n
    assert abs(gone[alive] - n / 5).max() < 5 * (n * 0.2 * 0.8) ** 0.5


def test_random_finds_the_last_one_alive():
    for draw in (0, 1, 2**63, 2**64 - 1):
        eviction = SynQueues(1000, 1)
        refs = fill(eviction, 0, 1000)
        for ref in refs[:612] + refs[613:]:
            eviction.end(ref)
        assert eviction.random(0, draw) == refs[612]
        assert eviction.random(0, draw) == 0


@given(seed=st.integers(0, 2**64 - 1), raddr=st.integers(0, 2**32 - 1), rport=st.integers(0, 2**16 - 1),
       lport=st.integers(0, 2**16 - 1))
def test_bucket_equals_the_reference(seed, raddr, rport, lport):
    assert bucket(seed, raddr, rport, lport) == reference.bucket(seed, raddr, rport, lport)


def test_buckets_fill_evenly_and_cannot_be_aimed_at():
    """51,200 peers of a subnet: 100 a bucket, within 6 standard deviations; another key scatters them."""
    here = np.array([bucket(1, 0x0A000000 + i, 1024, 80) for i in range(51_200)])
    counts = np.bincount(here, minlength=512)
    assert len(counts) == 512 and abs(counts - 100).max() < 60
    aimed = np.flatnonzero(here == 0)
    assert len({bucket(2, 0x0A000000 + int(i), 1024, 80) for i in aimed}) > len(aimed) // 2


def test_bad_arguments():
    with pytest.raises(ValueError, match="capacity, queues: expected 1 or more, got 0, 1"):
        SynQueues(0, 1)
    eviction = SynQueues(2, 4)
    for call in (eviction.add, eviction.oldest, eviction.count, eviction.forget):
        with pytest.raises(ValueError, match="queue: expected 0 .. 3, got 4"):
            call(4)
    with pytest.raises(ValueError, match="ref: 1 is not half-open"):
        eviction.end(1)
    assert eviction.add(0) == 1
    eviction.establish(1)
    with pytest.raises(ValueError, match="ref: 1 is not half-open"):
        eviction.establish(1)
