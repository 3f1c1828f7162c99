"""Linear probing against a set: growth, removal from the middle of runs, the invariant at every step."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.extensions.probing import ProbedSet

numbers = st.integers(0, 40)
#: Few homes, the last places of the table among them: long runs that wrap around.
hashes = st.sampled_from([0, 1, 2, 3, 62, 63, 126, 127, 2**32 - 1])


def check(probed):
    """A search for every entry finds it: no empty place between its home and it; at most half are used."""
    layout = probed.layout()
    used = [(place, entry) for place, entry in enumerate(layout) if entry is not None]
    assert len(used) == len(probed) <= len(layout) // 2
    assert len(layout) & (len(layout) - 1) == 0 and probed.nbytes == 12 * len(layout)
    for place, (_, hash) in used:
        walked = hash % len(layout)
        while walked != place:
            assert layout[walked] is not None
            walked = (walked + 1) % len(layout)


class ProbingMachine(RuleBasedStateMachine):
    @initialize(first=st.sampled_from([2, 4, 16]))
    def start(self, first):
        self.probed, self.model = ProbedSet(first), set()

    @rule(number=numbers, hash=hashes)
    def add(self, number, hash):
        assert self.probed.add(number, hash) == ((number, hash) not in self.model)
        self.model.add((number, hash))

    @rule(number=numbers, hash=hashes)
    def remove_any(self, number, hash):
        assert self.probed.remove(number, hash) == ((number, hash) in self.model)
        self.model.discard((number, hash))

    @precondition(lambda self: self.model)
    @rule(which=st.integers(0, 2**16))
    def remove(self, which):
        entry = sorted(self.model)[which % len(self.model)]
        assert self.probed.remove(*entry)
        self.model.remove(entry)

    @invariant()
    def same(self):
        if hasattr(self, "probed"):
            check(self.probed)
            assert {entry for entry in self.probed.layout() if entry} == self.model
            assert all(entry in self.probed for entry in self.model)


TestProbing = ProbingMachine.TestCase


def test_a_removal_moves_entries_back_towards_their_homes():
    """Knuth's algorithm R: b and c follow a into its place, d is at home and stays."""
    probed = ProbedSet(16)
    for number, hash in ((1, 14), (2, 14), (3, 15), (4, 1)):
        probed.add(number, hash)
    assert [probed.layout()[place] for place in (14, 15, 0, 1)] == [(1, 14), (2, 14), (3, 15), (4, 1)]
    probed.remove(1, 14)
    assert [probed.layout()[place] for place in (14, 15, 0, 1)] == [(2, 14), (3, 15), None, (4, 1)]


def test_it_doubles_before_it_is_more_than_half_full():
    probed = ProbedSet(4)
    places = []
    for number in range(9):
        probed.add(number, 7)
        places.append(probed.places)
    assert places == [4, 4, 8, 8, 16, 16, 16, 16, 32]


@pytest.mark.parametrize("places", [0, 3, 24])
def test_bad_sizes(places):
    with pytest.raises(ValueError, match="first_places: expected a power of two"):
        ProbedSet(places)
