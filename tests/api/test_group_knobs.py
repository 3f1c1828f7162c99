"""`EngineGroup.set_knobs`: every member has the new knobs, and its part of limits that a host has once."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import Config, Engine, EngineGroup, State, segments
from tcpcore.group import member_config
from tests.api.group_script import LOCAL, PEER, Apart, Script, seen
from tests.api.live_knobs import LIVE, small

PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd, "strict": Config.strict}
EVENTS = ("opened", "established", "accepted", "closed", "lost", "refused", "time_wait", "eof")


def config_of(profile="linux", **knobs):
    return PROFILES[profile](capacity=500, seed=3, local_addr=LOCAL, events=EVENTS, auto_read=False, **knobs)


class Members(Apart):
    """n engines that are set as a group sets its members."""

    def set_knobs(self, **knobs):
        self.config = self.config.replace(**knobs)
        for i, eng in enumerate(self.engines):
            part = member_config(self.config, len(self.engines), i)
            eng.set_knobs(**{name: getattr(part, name) for name in knobs})
            assert eng.config == part


#: Values that act in a script of 25 steps; not tcp_syncookies, which some policies refuse.
TURNED = st.dictionaries(
    st.sampled_from([name for name in LIVE if name != "tcp_syncookies"]), st.integers(0, 1), max_size=6
).map(lambda knobs: {name: small(name)[value] for name, value in knobs.items()})


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 5),
    profile=st.sampled_from(list(PROFILES)),
    changes=st.lists(st.tuples(st.integers(0, 24), TURNED), min_size=1, max_size=3),
)
def test_members_are_set_as_engines_would_be(seed, n, profile, changes):
    config = config_of(profile)
    group = EngineGroup(n, config, threads=1)
    apart = Members(n, config, group._member_of)
    scripts = [Script(group, seed), Script(apart, seed)]
    for i in range(25):
        for _, knobs in (change for change in changes if change[0] == i):
            group.set_knobs(**knobs)
            apart.set_knobs(**knobs)
            assert group.config == apart.config and group.check() == []
        name, result = scripts[0].step()
        assert (name, result) == scripts[1].step(), (i, name)
    assert seen(group, ["timer_pos"]) == seen(apart, ["timer_pos"])
    assert group.check() == apart.check() == []


@given(seed=st.integers(0, 2**32), knobs=TURNED)
def test_a_group_of_one_is_set_as_an_engine(seed, knobs):
    config = config_of(ip_local_port_range=(40000, 40015), tcp_tw_reuse=1)
    hosts = EngineGroup(1, config), Engine(member_config(config, 1, 0))
    scripts = [Script(host, seed, connects=False) for host in hosts]
    for i in range(30):
        if i == 15:
            for host in hosts:
                host.set_knobs(**knobs)
        name, result = scripts[0].step()
        assert (name, result) == scripts[1].step(), (i, name)
    assert seen(hosts[0]) == seen(hosts[1]) and hosts[0].check() == []


def closed_by_us(group, n):
    """Connections that the group opened, closed by both sides at 0."""
    conns, syns = group.connect(PEER, 99, 0, sport=np.arange(5000, 5000 + n))
    peer = {"src": syns["dst"], "dst": syns["src"], "sport": syns["dport"], "dport": syns["sport"]}
    group.receive(segments(n, **peer, seq=9, ack=syns["seq"] + 1, flags=18, wnd=999), 0)
    group.close(conns, 0)
    group.receive(segments(n, **peer, seq=10, ack=syns["seq"] + 2, flags=17, wnd=999), 0)


def test_limits_of_the_host_are_divided_anew():
    """The cap of a host with three members is 10: 4, 3 and 3, and all three fill up."""
    group = EngineGroup(3, Config.linux(capacity=600, local_addr=LOCAL, seed=1))
    group.set_knobs(tcp_max_tw_buckets=10)
    closed_by_us(group, 150)
    assert group.state_counts()[State.TIME_WAIT] == 10
    assert group.counters["TCPTimeWaitOverflow"] == 140 and group.check() == []


def test_a_search_for_a_port_finds_what_a_new_rule_lets_it_take():
    group = EngineGroup(3, capacity=60, ip_local_port_range=(1000, 1003), seed=3, local_addr=LOCAL)
    for _ in range(4):
        conns, syns = group.connect(PEER, 80, 0)
        peer = {"src": PEER, "dst": LOCAL, "sport": 80, "dport": syns["sport"]}
        stamps = {"opts": 8, "tsval": 1, "tsecr": syns["tsval"]}
        group.receive(segments(1, **peer, seq=9, ack=syns["seq"] + 1, flags=18, wnd=999, **stamps), 0)
        group.close(conns, 0)
        group.receive(segments(1, **peer, seq=10, ack=syns["seq"] + 2, flags=17, wnd=999, **stamps), 0)
    assert group.connect(PEER, 80, 2 * 10**9)[0].tolist() == [0]
    group.set_knobs(tcp_tw_reuse=1)
    opened = [int(group.connect(PEER, 80, 2 * 10**9)[0][0]) for _ in range(5)]
    assert all(opened[:4]) and opened[4] == 0 and group.check() == []


def test_a_snapshot_has_the_new_knobs():
    group = EngineGroup(3, Config.linux(capacity=600, local_addr=LOCAL, seed=1))
    group.set_knobs(tcp_max_tw_buckets=7, time_wait_ms=3000, somaxconn=5)
    again = EngineGroup.restore(group.snapshot())
    assert again.config == group.config and again.config.tcp_max_tw_buckets == 7
    for one in (group, again):
        closed_by_us(one, 60)
        assert one.room(one.listen(LOCAL, 80))["backlog"] == 5
    assert seen(group) == seen(again) and group.snapshot() == again.snapshot()


@pytest.mark.parametrize(
    ("knobs", "error", "words"),
    [
        ({"tcp_fin_timeuot": 3}, TypeError, "'tcp_fin_timeuot'; did you mean 'tcp_fin_timeout'?"),
        ({"capacity": 600}, ValueError, "capacity: expected a knob that can change while an engine runs"),
        ({"tcp_rfc1337": 2}, ValueError, "tcp_rfc1337: expected 0 or 1, got 2"),
        ({"tcp_syncookies": 1}, ValueError, "tcp_syncookies: expected a value that needs the same queues"),
    ],
)
def test_a_group_refuses_what_an_engine_refuses_and_nothing_changes(knobs, error, words):
    group = EngineGroup(3, capacity=60, synq_policy="evict-oldest", tcp_syncookies=0)
    before, state = group.config, group.snapshot()
    with pytest.raises(error, match=re.escape(words)):
        group.set_knobs(tcp_retries2=1, **knobs)
    assert group.config == before and group.snapshot() == state and group.check() == []
