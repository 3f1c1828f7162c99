"""Listeners against a dict: lookup, admission by policy, pruning, accept queue, ids."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tcpcore.backlog import Listeners
from tests.model.backlog_twin import (
    ADMIT,
    ADMIT_COOKIE,
    REFUSE_ACCEPT_FULL,
    REFUSE_QUEUE_FULL,
    REFUSE_RESERVE,
    BacklogTwin,
)

LINUX, DROP_NEW = range(2)
ADDR = 0x0A000001
addrs = st.sampled_from([0, 1, 2, 0xFFFF_FFFF])
ports = st.sampled_from([1, 2, 80, 65535])
which = st.integers(0, 2**16)


class BacklogMachine(RuleBasedStateMachine):
    @initialize(
        policy=st.integers(0, 1),
        cookies=st.integers(0, 2),
        limit=st.sampled_from([0, 1, 4, 16, 2**31 - 1]),
        retries=st.integers(0, 7),
    )
    def start(self, policy, cookies, limit, retries):
        self.listeners = Listeners(
            policy=policy, tcp_syncookies=cookies, tcp_max_syn_backlog=limit, tcp_synack_retries=retries
        )
        self.model = BacklogTwin(policy, cookies, limit, retries)
        self.ref = 0

    def pick(self, which):
        return sorted(self.model.entries)[which % len(self.model.entries)]

    @rule(addr=addrs, port=ports, limit=st.integers(0, 12), auto_accept=st.booleans())
    def open(self, addr, port, limit, auto_accept):
        expected = self.model.open(addr, port, limit, auto_accept)
        assert self.listeners.open(addr, port, limit, auto_accept) == expected

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
            assert self.listeners.synack_retries(listener) == self.model.synack_retries(listener)
            for proven in (False, True):
                assert self.listeners.admit(listener, proven) == self.model.admit(listener, proven)
        assert self.listeners.check() == []


TestBacklog = BacklogMachine.TestCase
TestBacklog.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


def fill(listeners, listener, proven=False):
    """Half-open entries admitted until something else is said: (how many, what was said)."""
    n = 0
    while (said := listeners.admit(listener, proven)) == ADMIT:
        listeners.half_opened(listener)
        n += 1
    return n, said


@pytest.mark.parametrize("backlog", [0, 1, 3, 8, 1024])
@pytest.mark.parametrize("policy", [LINUX, DROP_NEW])
@pytest.mark.parametrize("cookies, said", [(0, REFUSE_QUEUE_FULL), (1, ADMIT_COOKIE)])
def test_backlog_plus_one_half_open_entries_fit(backlog, policy, cookies, said):
    listeners = Listeners(policy=policy, tcp_syncookies=cookies)
    assert fill(listeners, listeners.open(0, 80, backlog)) == (backlog + 1, said)


def test_cookies_always():
    for policy in (LINUX, DROP_NEW):
        listeners = Listeners(policy=policy, tcp_syncookies=2)
        assert fill(listeners, listeners.open(0, 80, 5)) == (0, ADMIT_COOKIE)


@pytest.mark.parametrize("limit, fit", [(16, 13), (256, 193), (1024, 769), (0, None), (3, 4)])
def test_last_quarter_is_for_proven_peers(limit, fit):
    """Recorded: M - M // 4 + 1 entries; without a quarter to keep, M itself limits signed."""
    listeners = Listeners(policy=LINUX, tcp_syncookies=0, tcp_max_syn_backlog=limit)
    listener = listeners.open(0, 80, 4096)
    assert fill(listeners, listener) == (1 if fit is None else fit, REFUSE_RESERVE)
    assert listeners.admit(listener, True) == ADMIT
    assert fill(listeners, listener, proven=True)[1] == REFUSE_QUEUE_FULL


def test_the_reserve_is_linuxs_and_needs_cookies_off():
    for policy, cookies in ((DROP_NEW, 0), (LINUX, 1)):
        listeners = Listeners(policy=policy, tcp_syncookies=cookies, tcp_max_syn_backlog=16)
        assert fill(listeners, listeners.open(0, 80, 100))[0] == 101


@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("policy", [LINUX, DROP_NEW])
def test_a_full_accept_queue_refuses_first(policy, cookies):
    listeners = Listeners(policy=policy, tcp_syncookies=cookies)
    listener = listeners.open(0, 80, 2)
    for ref in (5, 6, 7):
        assert listeners.admit(listener) != REFUSE_ACCEPT_FULL
        listeners.push(listener, ref)
        listeners.half_opened(listener)
    assert listeners.admit(listener) == REFUSE_ACCEPT_FULL
    assert listeners.pop(listener) == 5
    assert listeners.admit(listener) != REFUSE_ACCEPT_FULL


def test_auto_accept_never_fills():
    listeners = Listeners()
    listener = listeners.open(0, 80, 0, auto_accept=True)
    for ref in range(1, 4):
        listeners.push(listener, ref)
    assert listeners.admit(listener) == ADMIT


@pytest.mark.parametrize(
    "queued, young, backlog, retries",
    [
        (4, 0, 0, 5),          # 8 is not above 8
        (5, 0, 0, 2),
        (8, 0, 16, 5),         # exactly half is not above half
        (9, 0, 16, 2),
        (9, 9, 16, 5),         # all young: 18 do not fit
        (9, 4, 16, 4),         # 8 fit, 16 do not
        (9, 2, 16, 3),         # 4, 8 fit, 16 do not
        (9, 1, 16, 2),
    ],
)
def test_pruning(queued, young, backlog, retries):
    listeners = Listeners(policy=LINUX, tcp_synack_retries=5)
    listener = listeners.open(0, 80, backlog)
    for i in range(queued):
        listeners.half_opened(listener)
        if i >= young:
            listeners.half_matured(listener)
    assert listeners.synack_retries(listener) == retries


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_pruning_never_adds_retries(retries):
    listeners = Listeners(policy=LINUX, tcp_synack_retries=retries)
    listener = listeners.open(0, 80, 1)
    for _ in range(50):
        listeners.half_opened(listener)
        listeners.half_matured(listener)
    assert listeners.synack_retries(listener) == retries


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
    with pytest.raises(ValueError, match="policy"):
        Listeners(policy=2)
    with pytest.raises(ValueError, match="listener: 1 is not in use"):
        listeners.admit(1)
    listener = listeners.open(0, 80, 1)
    with pytest.raises(ValueError, match="no young entry"):
        listeners.half_matured(listener)
    with pytest.raises(ValueError, match="no such entry"):
        listeners.half_gone(listener, True)
