"""Counts of bound ports against a multiset. Which connections bind one is asked in tests/behaviour."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.extensions.ports import BoundPortCounts


class BoundMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.ports = BoundPortCounts()
        self.model = {False: Counter(), True: Counter()}

    @rule(laddr=st.integers(0, 3), lport=st.integers(1, 40), chosen=st.booleans(), n=st.integers(1, 3))
    def add(self, laddr, lport, chosen, n):
        for _ in range(n):
            self.ports.add(laddr, lport, chosen)
        self.model[chosen][laddr, lport] += n

    @rule(data=st.data(), chosen=st.booleans())
    def remove(self, data, chosen):
        if self.model[chosen]:
            key = data.draw(st.sampled_from(sorted(self.model[chosen])))
            self.ports.remove(*key, chosen)
            self.model[chosen] -= Counter([key])

    @rule(laddr=st.integers(0, 3), lport=st.integers(41, 44), chosen=st.booleans())
    def remove_what_is_not_there(self, laddr, lport, chosen):
        self.ports.remove(laddr, lport, chosen)

    @invariant()
    def agree(self):
        bound, chosen = self.model[False], self.model[True]
        for laddr in range(4):
            assert [self.ports.count(laddr, lport) for lport in range(1, 41)] == [
                bound[laddr, lport] for lport in range(1, 41)]
            assert [self.ports.chosen(laddr, lport) for lport in range(1, 41)] == [
                chosen[laddr, lport] for lport in range(1, 41)]
            ours = [lport for where, lport in +bound if where == laddr]
            assert self.ports.count(laddr, 0) == len(ours)
            assert self.ports.chosen(laddr, 0) == sum(lport % 2 for lport in ours)
        assert self.ports.check()


TestBound = BoundMachine.TestCase
TestBound.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


def test_many_ports_come_and_go():
    ports = BoundPortCounts()
    for laddr in range(20):
        for lport in range(1024, 2048):
            ports.add(laddr << 24, lport, lport % 2)
    assert ports.check() and ports.count(5 << 24, 0) == 512 and ports.chosen(5 << 24, 0) == 0
    assert ports.nbytes <= 20 * 1024 * 16 * 4
    for laddr in range(20):
        for lport in range(1024, 2048):
            ports.remove(laddr << 24, lport, lport % 2)
    assert ports.check() and ports.count(5 << 24, 0) == 0
