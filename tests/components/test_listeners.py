"""Listeners against a dict: lookup, counts, accept queue, ids."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.extensions.listeners import Listeners
from tests.reference.listeners import ReferenceListeners

ADDR = 0x0A000001
addrs = st.sampled_from([0, 1, 2, 0xFFFF_FFFF])
ports = st.sampled_from([1, 2, 80, 65535])
which = st.integers(0, 2**16)


class BacklogMachine(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.listeners, self.model = Listeners(), ReferenceListeners()
        self.ref = 0

    def pick(self, which):
        return sorted(self.model.entries)[which % len(self.model.entries)]

    @rule(addr=addrs, port=ports, room=st.integers(1, 12), auto_accept=st.booleans())
    def open(self, addr, port, room, auto_accept):
        expected = self.model.open(addr, port, room, auto_accept)
        assert self.listeners.open(addr, port, 7, room, auto_accept) == expected

    @precondition(lambda self: self.model.entries)
    @rule(which=which)
    def close(self, which):
        listener = self.pick(which)
        if not self.model.entries[listener].closing:
            self.listeners.close(listener)
            self.model.close(listener)

    @precondition(lambda self: self.model.entries)
    @rule(which=which, n=st.integers(1, 6))
    def syns_arrive(self, which, n):
        listener = self.pick(which)
        for _ in range(n):
            self.listeners.half_opened(listener)
            self.model.entries[listener].half_open.append(False)

    @precondition(lambda self: self.model.entries)
    @rule(which=which, n=st.integers(1, 4))
    def synacks_are_resent(self, which, n):
        listener = self.pick(which)
        half_open = self.model.entries[listener].half_open
        for _ in range(min(n, half_open.count(False))):
            self.listeners.half_matured(listener)
            half_open[half_open.index(False)] = True

    @precondition(lambda self: any(entry.half_open for entry in self.model.entries.values()))
    @rule(which=which, entry=which, queue=st.booleans())
    def half_open_entry_goes(self, which, entry, queue):
        having = sorted(listener for listener, one in self.model.entries.items() if one.half_open)
        listener = having[which % len(having)]
        half_open = self.model.entries[listener].half_open
        mature = half_open[entry % len(half_open)]
        if queue:
            self.ref += 1
            assert self.listeners.push(listener, self.ref)
            self.model.entries[listener].waiting.append(self.ref)
        self.listeners.half_gone(listener, mature)
        self.model.half_gone(listener, mature)

    @precondition(lambda self: self.model.entries)
    @rule(which=which, n=st.integers(1, 4))
    def accept(self, which, n):
        listener = self.pick(which)
        for _ in range(n):
            if listener in self.model.entries:
                assert self.listeners.pop(listener) == self.model.pop(listener)

    @invariant()
    def agree(self):
        for addr in (0, 1, 2, 0xFFFF_FFFF, 7):
            for port in (1, 2, 80, 65535, 7):
                assert self.listeners.find(addr, port) == self.model.find(addr, port)
        for listener, entry in self.model.entries.items():
            counts = (len(entry.half_open), entry.half_open.count(False), len(entry.waiting))
            assert self.listeners.counts(listener) == counts
            assert self.listeners.accept_full(listener) == self.model.accept_full(listener)
        assert self.listeners.check() == []


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


def test_so_many_may_wait():
    listeners = Listeners()
    listener = listeners.open(0, 80, 0, 3)
    for ref in (5, 6, 7):
        assert not listeners.accept_full(listener)
        listeners.push(listener, ref)
    assert listeners.accept_full(listener)
    assert listeners.pop(listener) == 5
    assert not listeners.accept_full(listener)


def test_auto_accept_never_fills():
    listeners = Listeners()
    listener = listeners.open(0, 80, 0, auto_accept=True)
    for ref in range(1, 4):
        listeners.push(listener, ref)
    assert not listeners.accept_full(listener)


def test_ids_are_used_once_before_any_is_used_again():
    listeners = Listeners()
    assert [listeners.open(ADDR, port, 1) for port in (1, 2)] == [1, 2]
    listeners.close(2)
    listeners.close(1)
    for listener in range(3, 65536):
        assert listeners.open(ADDR, listener, 1) == listener
    assert [listeners.open(0, port, 1) for port in (1, 2, 3)] == [2, 1, -1]
    assert listeners.check() == []
    assert [listeners.find(ADDR, port) for port in (3, 65535, 2, 1, 4)] == [3, 65535, 1, 2, 4]
    assert listeners.nbytes <= 65536 * 64 + 8 * 2**17 + 4096


def test_a_closing_listener_keeps_its_id_until_its_last_entry_goes():
    listeners = Listeners()
    old = listeners.open(ADDR, 80, 1)
    listeners.half_opened(old)
    listeners.push(old, 9)
    listeners.close(old)
    assert listeners.find(ADDR, 80) == 0
    assert listeners.open(ADDR, 80, 1) == old + 1
    assert listeners.pop(old) == 9
    listeners.half_gone(old, False)
    with pytest.raises(ValueError, match="listener: 1 is not in use"):
        listeners.counts(old)
    assert listeners.check() == []


def test_accept_queue_keeps_its_order_while_it_grows():
    listeners = Listeners()
    listener = listeners.open(0, 80, 2**32 - 1)
    expected, taken, ref = [], [], 0
    for push, pop in ((10, 7), (30, 5), (100, 90), (1000, 1)):
        for _ in range(push):
            ref += 1
            listeners.push(listener, ref)
            expected.append(ref)
        taken += [listeners.pop(listener) for _ in range(pop)]
    while ref := listeners.pop(listener):
        taken.append(ref)
    assert taken == expected


def test_bad_arguments():
    listeners = Listeners()
    with pytest.raises(ValueError, match="listener: 1 is not in use"):
        listeners.accept_full(1)
    listener = listeners.open(0, 80, 1)
    with pytest.raises(ValueError, match="no young entry"):
        listeners.half_matured(listener)
    with pytest.raises(ValueError, match="no such entry"):
        listeners.half_gone(listener, True)
