"""Ephemeral ports: each rule tries every port once, counts match a set, choices are as RFC 6056 says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.extensions.ports import EphemeralPorts
from tests.reference.ports import ReferencePorts

LINUX, RANDOM, RANDOM_RETRY, HASH, DOUBLE_HASH, RANDOM_INCREMENTS = RULES = range(6)
A = (0x0A000001, 0x0A000002, 80)
B = (0x0A000001, 0x0A000002, 81)
every_rule = pytest.mark.parametrize("number", RULES)


@given(
    number=st.sampled_from(RULES),
    low=st.integers(1, 65535),
    span=st.integers(0, 200),
    key=st.integers(0, 2**64 - 1),
    takes=st.integers(0, 5),
)
def test_every_port_of_the_range_once(number, low, span, key, takes):
    high = min(low + span, 65535)
    ports = EphemeralPorts(number, low, high, key, 7)
    expected = list(range(low, high + 1))
    odd = number == LINUX and len(expected) > 1 and len(expected) % 2
    for _ in range(takes + 1):
        if ports.begin(*A):
            candidates = ports.candidates().tolist()
            left_out = set() if not odd else {high} if candidates[0] == low else {low}
            assert sorted(candidates) == sorted(set(expected) - left_out)
            ports.taken(min(takes, ports.size - 1))
    assert ports.size == len(expected) - odd


@every_rule
def test_the_full_range_once(number):
    ports = EphemeralPorts(number, 1, 65535, 1, 2)
    assert ports.begin(*A)
    candidates = ports.candidates()
    assert len(np.unique(candidates)) == len(candidates) == ports.size == 65535 - (number == LINUX)


class PortsMachine(RuleBasedStateMachine):
    @initialize(number=st.sampled_from(RULES), size=st.integers(1, 9), key=st.integers(0, 2**64 - 1))
    def start(self, number, size, key):
        self.ports = EphemeralPorts(number, 65536 - size, 65535, key, key)
        self.model = ReferencePorts(65536 - size, self.ports.span)
        self.chosen = []

    @rule(laddr=st.integers(0, 1), raddr=st.integers(0, 40), rport=st.integers(0, 1))
    def connect(self, laddr, raddr, rport):
        destination = (laddr, raddr, rport)
        assert self.ports.begin(*destination) != self.model.exhausted(destination)
        if not self.model.exhausted(destination):
            candidates = self.ports.candidates().tolist()
            i = self.model.first_free(destination, candidates)
            end, odd_full = self.ports.left_out() if self.ports.span != self.ports.size else (0, False)
            spared = end and self.model.is_free(destination, end)
            assert (i is None) == bool(spared and odd_full), "an odd range is exhausted for this search alone"
            if i is None:
                return
            first = self.ports.size // 2 if spared else self.ports.first
            assert first <= i, "the search may skip only what is taken"
            assert self.ports.taken(i)
            self.model.take(destination, candidates[i])
            self.chosen.append((destination, candidates[i]))

    @rule(lport=st.integers(65536 - 12, 65535), reserved=st.booleans(), on=st.booleans())
    def bar(self, lport, reserved, on):
        if not any(port == lport for _, port in self.model.used):
            assert self.ports.bar(lport, reserved, on)
            self.model.bar(lport, reserved, on)

    @rule(laddr=st.integers(0, 1), raddr=st.integers(0, 40), rport=st.integers(0, 1),
          lport=st.integers(65536 - 12, 65535))
    def bind(self, laddr, raddr, rport, lport):
        """Named by the caller, or passive; the caller looks whether it is free."""
        destination = (laddr, raddr, rport)
        if self.model.is_free(destination, lport):
            assert self.ports.bound(*destination, lport) == self.model.counts(lport)
            if self.model.counts(lport):
                self.model.take(destination, lport)
                self.chosen.append((destination, lport))

    @precondition(lambda self: self.chosen)
    @rule(which=st.integers(0, 2**16))
    def close(self, which):
        destination, port = self.chosen.pop(which % len(self.chosen))
        self.model.release(destination, port)
        self.ports.released(*destination, port)

    @invariant()
    def agree(self):
        for destination in {destination for destination, _ in self.chosen} | {A}:
            assert self.ports.count(*destination) == self.model.count(destination)
        assert self.ports.check() == []


TestPorts = PortsMachine.TestCase
TestPorts.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)


@every_rule
def test_exhaustion_is_answered_at_once_and_ends(number):
    ports = EphemeralPorts(number, 40000, 40099, 3, 4)
    used = set()
    while ports.begin(*A):
        candidates = ports.candidates().tolist()
        i = next(i for i, port in enumerate(candidates) if port not in used)
        ports.taken(i)
        used.add(candidates[i])
    assert used == set(range(40000, 40100))
    assert ports.begin(*B)
    ports.released(*A, 40050)
    assert ports.begin(*A)
    assert ports.count(*A) == 99


def test_many_destinations_come_and_go():
    ports = EphemeralPorts(RANDOM, 1024, 65535, 5, 6)
    chosen = []
    for raddr in range(20_000):
        assert ports.begin(1, raddr, 80)
        chosen.append(int(ports.candidates(1)[0]))
        assert ports.taken(0)
    assert ports.check() == []
    assert ports.nbytes <= 20_000 * 4 * 20
    for raddr in range(0, 20_000, 2):
        ports.released(1, raddr, 80, chosen[raddr])
    assert ports.check() == []
    assert [ports.count(1, raddr, 80) for raddr in range(6)] == [0, 1] * 3
    for raddr in range(1, 20_000, 2):
        ports.released(1, raddr, 80, chosen[raddr])
    assert ports.check() == []


def first_choices(number, n, destinations=(A,), low=32768, high=60999):
    """What n connects get when nothing is in the way."""
    ports = EphemeralPorts(number, low, high, 11, 12)
    chosen = []
    for i in range(n):
        assert ports.begin(*destinations[i % len(destinations)])
        chosen.append(int(ports.candidates(1)[0]))
        ports.taken(0)
        ports.released(*destinations[i % len(destinations)], chosen[-1])
    return np.array(chosen)


@pytest.mark.parametrize("number", [RANDOM, RANDOM_RETRY])
def test_random_rules_are_uniform(number):
    counts = np.bincount(first_choices(number, 64_000, low=100, high=163) - 100, minlength=64)
    assert ((counts - 1000) ** 2 / 1000).sum() < 103.4        # chi-square, 63 degrees, p = 0.001


def test_random_retry_is_uniform_in_every_try_and_between_two():
    ports = EphemeralPorts(RANDOM_RETRY, 100, 107, 1, 2)
    pairs, singles = np.zeros((8, 8), int), np.zeros((8, 8), int)
    for _ in range(11_200):
        ports.begin(*A)
        candidates = ports.candidates() - 100
        pairs[candidates[0], candidates[1]] += 1
        singles[np.arange(8), candidates] += 1
    assert (np.diag(pairs) == 0).all()
    off = pairs[~np.eye(8, dtype=bool)]
    assert ((off - 200) ** 2 / 200).sum() < 93.2              # 55 degrees, p = 0.001
    assert (((singles - 1400) ** 2 / 1400).sum(axis=1) < 24.3).all()      # 7 degrees, p = 0.001


def test_hash_counts_on_for_everybody():
    """Algorithm 3: one counter, so another destination's connects show in the steps of ours."""
    chosen = first_choices(HASH, 1000, [A, B])
    assert (np.diff(chosen[::2]) % 28232 == 2).all()
    assert (np.diff(chosen[1::2]) % 28232 == 2).all()
    assert (chosen[1] - chosen[0]) % 28232 != 1


def test_double_hash_counts_on_for_each_destination():
    """Algorithm 4: the other destination's connects do not show."""
    chosen = first_choices(DOUBLE_HASH, 1000, [A, B])
    assert (np.diff(chosen[::2]) % 28232 == 1).all()
    assert (np.diff(chosen[1::2]) % 28232 == 1).all()


def test_random_increments():
    steps = np.diff(first_choices(RANDOM_INCREMENTS, 20_000)) % 28232
    assert steps.min() == 1
    assert steps.max() == 500
    assert abs(steps.mean() - 250.5) < 5


def test_linux_steps_by_two_and_skips_up_to_seven_more():
    steps = np.diff(first_choices(LINUX, 8000)) % 28232
    values, counts = np.unique(steps, return_counts=True)
    assert values.tolist() == [2, 4, 6, 8, 10, 12, 14, 16]    # max(0, 2 x random below 8) + 2
    # skip 0 and i = 0 both mean a step of 2, so each is an eighth
    assert (abs(counts - 1000) < 150).all()


def test_linux_tries_one_parity_first():
    ports = EphemeralPorts(LINUX, 32768, 60999, 8, 9)
    ports.begin(*A)
    candidates = ports.candidates().astype(int)
    assert (candidates[:14116] % 2 == 0).all()
    assert (candidates[14116:] % 2 == 1).all()
    assert (np.diff(candidates[:14116]) % 28232 == 2).all()
    assert candidates[14116] == candidates[0] + 1


def test_linux_leaves_the_last_of_three_ports_alone():
    ports = EphemeralPorts(LINUX, 100, 102)
    ports.begin(*A)
    assert sorted(ports.candidates().tolist()) == [100, 101]


def test_linux_leaves_one_end_of_an_odd_range_out():
    """The last port where it begins with the first, else the first (`tests/data/ports.json`, odd5)."""
    seen = set()
    for raddr in range(50):
        ports = EphemeralPorts(LINUX, 100, 104, 1, raddr)
        ports.begin(1, raddr, 80)
        candidates = ports.candidates().tolist()
        assert sorted(candidates) == ([100, 101, 102, 103] if candidates[0] == 100 else [101, 102, 103, 104])
        seen.add(candidates[0])
    assert seen == {100, 102}


@every_rule
def test_same_key_same_ports(number):
    def run(key):
        ports = EphemeralPorts(number, 1024, 65535, key, 0)
        chosen = []
        for raddr in range(50):
            ports.begin(1, raddr % 7, 443)
            chosen.append(int(ports.candidates(1)[0]))
            ports.taken(0)
        return chosen

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="rule, low, high"):
        EphemeralPorts(6, 1, 2)
    with pytest.raises(ValueError, match="rule, low, high"):
        EphemeralPorts(1, 3, 2)
    with pytest.raises(ValueError, match="nothing is taken"):
        EphemeralPorts(1, 1, 2).released(*A, 1)


@every_rule
def test_ports_bound_without_a_search_are_counted(number):
    """By name or passively, before the first search: so the range is known to be full without a walk."""
    ports = EphemeralPorts(number, 100, 109, 1, 2)
    for port in range(100, 110):
        assert ports.begin(*A) and ports.bound(*A, port)
    assert not ports.begin(*A)
    assert ports.begin(*B)
    ports.released(*A, 105)
    assert ports.begin(*A)
    assert ports.check() == []


@every_rule
def test_a_full_destination_is_walked_only_where_a_port_may_be_given_up(number):
    ports = EphemeralPorts(number, 100, 109, 1, 2)
    for _ in range(10):
        assert ports.begin(*A)
        ports.taken(0)
    assert not ports.begin(*A, reuse=True, tick=2**30)
    ports.given_up(*A, 1000)
    ports.given_up(*A, 2000)
    assert not ports.begin(*A, reuse=True, tick=998)
    assert not ports.begin(*A)
    assert ports.begin(*A, reuse=True, tick=1000) and ports.first == 0
    ports.full(1500)                                          # that one was not to be had after all
    assert not ports.begin(*A, reuse=True, tick=1498)
    assert ports.begin(*A, reuse=True, tick=1500)
    ports.given_up(*B, 5)                                     # nothing is counted towards B
    assert ports.check() == []


@every_rule
def test_what_is_bound_outside_the_range_costs_nothing(number):
    ports = EphemeralPorts(number, 100, 109, 1, 2)
    empty = ports.nbytes
    for raddr in range(1000):
        for port in (0, 80, 99, 110, 65535):
            assert not ports.bound(1, raddr, 80, port)
    assert ports.nbytes == empty and ports.count(1, 0, 80) == 0 and ports.check() == []


def test_the_port_that_linux_leaves_alone_is_not_counted():
    ports = EphemeralPorts(LINUX, 100, 102)
    assert ports.bound(*A, 100) and ports.bound(*A, 101) and not ports.bound(*A, 102)
    assert not ports.begin(*A)


@every_rule
def test_a_search_goes_on_as_if_its_destination_were_new(number):
    """What is bound before the first search changes neither its order nor the numbers drawn."""
    fresh, bound = (EphemeralPorts(number, 100, 9999, 1, 2) for _ in range(2))
    for port in range(3000, 9000, 7):
        assert bound.bound(*A, port)
    for _ in range(20):
        assert fresh.begin(*A) and bound.begin(*A)
        candidates = fresh.candidates().tolist()
        assert candidates == bound.candidates().tolist()
        i = next(i for i, port in enumerate(candidates) if port not in range(3000, 9000, 7))
        fresh.taken(i)
        bound.taken(i)


@every_rule
def test_the_time_to_look_again_is_exact(number):
    """At no tick before it, whatever its low bits, and over days without a call."""
    ports = EphemeralPorts(number, 100, 109, 1, 2)
    for _ in range(10):
        ports.begin(*A)
        ports.taken(0)
    for tick in (1000, 1001, 2**32 - 1, 2**32, 2**32 + 1):
        ports.full(tick)
        assert not ports.begin(*A, reuse=True, tick=tick - 1)
        assert ports.begin(*A, reuse=True, tick=tick)
    ports.full(-1)
    assert not ports.begin(*A, reuse=True, tick=2**33)
    ports.given_up(*A, 2**33 + 2**30)                         # later than the next call after 6.2 days
    ports.after_silence(2**33, 2**33 + 2**29)
    assert not ports.begin(*A, reuse=True, tick=2**33 + 2**30 - 1)
    ports.after_silence(2**33 + 2**29, 2**33 + 2**40)         # past: it stays so
    assert ports.begin(*A, reuse=True, tick=2**33 + 2**40)
    ports.given_up(*A, 2**33 + 2**40 + 2**30)                 # the earlier one stands
    assert ports.begin(*A, reuse=True, tick=2**33 + 2**40)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 511, 512, 513, 1000, 28_232, 64_512])
def test_random_goes_on_from_block_to_block(size):
    ports = EphemeralPorts(RANDOM, 1000, 1000 + size - 1, 1, 2)
    ports.begin(*A)
    order = (ports.candidates().astype(int) - int(ports.candidates(1)[0])) % size
    assert sorted(order.tolist()) == list(range(size))
    steps = np.diff(order)
    assert (steps != 1).sum() <= size // 64
    if size >= 512:
        assert (np.abs(steps[(steps != 1) & (order[1:] < size // 64 * 64)]) > size // 4).all()
