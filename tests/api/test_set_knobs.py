"""`Engine.set_knobs`: which knobs change, what is refused, and what the changes mean to what exists.

That every rule reads the new value as the reference does is tested by properties/test_engine_reference.py.
"""

import re

import pytest

from tcpcore import Config, Engine, Flag, State, segments
from tcpcore.config import DECLARED
from tests.api.live_knobs import LIVE, small

FIXED = [name for name in DECLARED if name not in LIVE]
S, A, F = Flag.SYN, Flag.ACK, Flag.FIN
MS, SECOND = 10**6, 10**9
SERVER, CLIENT = "10.0.0.1", "10.0.0.2"


def other(name, config):
    """A value of the knob that it does not have."""
    return next(value for value in reversed(small(name)) if value != getattr(config, name))


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
@pytest.mark.parametrize("name", LIVE)
def test_a_live_knob_changes_alone(name, profile):
    eng = Engine(getattr(Config, profile)(capacity=8))
    value = other(name, eng.config)
    expected = eng.config.replace(**{name: value})
    assert eng.set_knobs(**{name: value}) is None
    assert eng.config == expected and eng.check() == []
    assert Engine.restore(eng.snapshot()).config == expected


def test_what_a_new_host_would_do_is_done():
    """All knobs at once, to another profile's values."""
    eng, new = Engine(Config.linux(capacity=8)), {name: getattr(Config.freebsd(), name) for name in LIVE}
    eng.set_knobs(**new)
    assert eng.config == Config.linux(capacity=8, **new)


@pytest.mark.parametrize("name", FIXED)
def test_a_knob_that_is_fixed_is_refused_by_name(name):
    eng = Engine(capacity=8)
    before, state = eng.config, eng.snapshot()
    with pytest.raises(ValueError, match=rf"^{name}: expected a knob that can change while an engine runs"):
        eng.set_knobs(tcp_rfc1337=1, **{name: getattr(before, name)})
    assert eng.config == before and eng.snapshot() == state


@pytest.mark.parametrize(("knobs", "error", "message"), [
    ({"tcp_fin_timeuot": 3}, TypeError, "unknown knob 'tcp_fin_timeuot'; did you mean 'tcp_fin_timeout'?"),
    ({"tcp_fin_timeout": -1}, ValueError, "tcp_fin_timeout: expected an integer from 0 to 1073741, got -1"),
    ({"tcp_rfc1337": 2}, ValueError, "tcp_rfc1337: expected 0 or 1, got 2"),
    ({"somaxconn": "many"}, TypeError, "somaxconn: expected an integer from 0 to 2147483647, got 'many'"),
])
def test_a_bad_value_is_refused_and_nothing_changes(knobs, error, message):
    eng = Engine(capacity=8)
    with pytest.raises(error, match=re.escape(message)):
        eng.set_knobs(tcp_syn_retries=1, **knobs)
    assert eng.config == Config(capacity=8)


@pytest.mark.parametrize(("policy", "before", "after", "legal"), [
    ("linux", 0, 2, True), ("drop-new", 0, 1, True), ("short-timer", 1, 0, True),
    ("evict-oldest", 0, 1, False), ("evict-oldest", 1, 2, True), ("evict-random", 2, 0, False),
    ("freebsd", 0, 1, True), ("freebsd", 1, 0, True), ("freebsd", 1, 2, False), ("freebsd", 2, 1, False),
])
def test_cookies_change_where_the_eviction_queues_stay(policy, before, after, legal):
    eng = Engine(capacity=8, synq_policy=policy, tcp_syncookies=before)
    if legal:
        eng.set_knobs(tcp_syncookies=after)
    else:
        with pytest.raises(ValueError, match=f"^tcp_syncookies: .*{policy}.*, got {after}$"):
            eng.set_knobs(tcp_syncookies=after, tcp_rfc1337=1)
    assert eng.config.tcp_syncookies == (after if legal else before) and eng.config.tcp_rfc1337 == 0


def test_somaxconn_is_for_listeners_opened_later():
    eng = Engine(capacity=8)
    first = eng.listen(SERVER, 80)
    eng.set_knobs(somaxconn=2)
    assert eng.room(first)["backlog"] == 4096
    second = eng.room(eng.listen(SERVER, 81, 100))
    assert second["backlog"] == 2 and second["accept_set_by"] == "somaxconn"


def in_time_wait(eng, sports, now):
    """Active connections, closed by both sides."""
    conns, syns = eng.connect(CLIENT, 80, now, sport=sports)
    ends = {"src": syns["dst"], "dst": syns["src"], "sport": syns["dport"], "dport": syns["sport"]}
    stamps = {"opts": 8, "tsval": 1, "tsecr": syns["tsval"]}
    eng.receive(segments(len(syns), **ends, seq=9, ack=syns["seq"] + 1, flags=S | A, wnd=999, **stamps), now)
    eng.close(conns, now)
    eng.receive(segments(len(syns), **ends, seq=10, ack=syns["seq"] + 2, flags=F | A, wnd=999, **stamps), now)


def test_a_lower_cap_of_time_wait_evicts_nobody():
    eng = Engine(capacity=64)
    in_time_wait(eng, range(1000, 1010), 0)
    eng.set_knobs(tcp_max_tw_buckets=4)
    assert eng.state_counts()[State.TIME_WAIT] == 10 and eng.check() == []
    in_time_wait(eng, [2000, 2001, 2002], 0)
    assert eng.state_counts()[State.TIME_WAIT] == 10 and eng.counters["TCPTimeWaitOverflow"] == 3
    again = Engine.restore(eng.snapshot())
    assert again.check() == [] and again.snapshot() == eng.snapshot()
    eng.advance(60 * SECOND)
    in_time_wait(eng, range(3000, 3005), 60 * SECOND)
    assert eng.state_counts()[State.TIME_WAIT] == 4 and eng.counters["TCPTimeWaitOverflow"] == 4


def test_a_running_timer_keeps_its_deadline():
    eng = Engine(capacity=64)
    in_time_wait(eng, [1000], 0)
    eng.set_knobs(time_wait_ms=5)
    in_time_wait(eng, [1001], 0)
    eng.advance(5 * MS)
    assert eng.state_counts()[State.TIME_WAIT] == 1
    eng.advance(60_000 * MS)
    assert eng.state_counts()[State.TIME_WAIT] == 0


@pytest.mark.parametrize("change", [{"tcp_tw_reuse": 1}, {"tcp_tw_reuse_delay": 1000}])
def test_a_search_for_a_port_finds_what_a_new_rule_lets_it_take(change):
    """A search is not begun where it was known to find nothing (components/ports), by the rule of then."""
    before = {"tcp_tw_reuse": 1, "tcp_tw_reuse_delay": 30_000} if "tcp_tw_reuse" not in change else {}
    eng = Engine(capacity=64, ip_local_port_range=(1000, 1003), seed=3, **before)
    in_time_wait(eng, None, 0)
    for _ in range(3):
        in_time_wait(eng, None, MS)
    for now in (2 * MS, 2000 * MS):
        assert eng.connect(CLIENT, 80, now)[0].tolist() == [0]
    eng.set_knobs(**change)
    conns = [int(eng.connect(CLIENT, 80, 2000 * MS)[0][0]) for _ in range(5)]
    assert all(conns[:4]) and conns[4] == 0 and eng.check() == []


def test_a_time_wait_is_no_longer_taken_when_reuse_is_off():
    eng = Engine(capacity=64, ip_local_port_range=(1000, 1000), tcp_tw_reuse=1)
    in_time_wait(eng, None, 0)
    eng.set_knobs(tcp_tw_reuse=0)
    assert eng.connect(CLIENT, 80, 5 * SECOND)[0].tolist() == [0] and eng.check() == []
    eng.set_knobs(tcp_tw_reuse=1)
    assert eng.connect(CLIENT, 80, 5 * SECOND)[0].tolist() != [0]


def test_a_pause_of_the_syncache_ends_with_the_cookies():
    """FreeBSD: syncache_cookiesonly() is V_tcp_syncookies and paused."""
    eng = Engine(Config.freebsd(capacity=40_000))
    eng.listen(SERVER, 80)
    flood = segments(30_000, src=CLIENT, dst=SERVER, sport=range(1, 30_001), dport=80, flags=S)
    eng.receive(flood, 0)
    paused = eng.gauges()["half_open"]
    eng.receive(segments(10, src=CLIENT, dst=SERVER, sport=range(40_000, 40_010), dport=80, flags=S), MS)
    assert eng.gauges()["half_open"] == paused == 0
    eng.set_knobs(tcp_syncookies=0)
    eng.receive(segments(10, src=CLIENT, dst=SERVER, sport=range(50_000, 50_010), dport=80, flags=S), 2 * MS)
    assert eng.gauges()["half_open"] == 10 and eng.check() == []


def test_a_lower_syn_backlog_acts_at_once_as_in_linux():
    """Twenty SYNs under each limit; Linux 6.18 had 20, 31, 31 and 51 entries in SYN_RECV."""
    eng = Engine(Config.linux(capacity=500, tcp_syncookies=0))
    eng.listen(SERVER, 80, 1000)
    seen = []
    for i, limit in enumerate((4096, 40, 8, 4096)):
        eng.set_knobs(tcp_max_syn_backlog=limit)
        ports = range(1000 + 20 * i, 1020 + 20 * i)
        eng.receive(segments(20, src=CLIENT, dst=SERVER, sport=ports, dport=80, flags=S, wnd=1000), 0)
        seen.append(eng.gauges()["half_open"])
    assert seen == [20, 31, 31, 51] and eng.check() == []
