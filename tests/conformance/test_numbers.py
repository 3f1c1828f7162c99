"""Initial sequence numbers (RFC 9293 3.4.1, RFC 6528) and ports (RFC 6056), off the bench."""

import numpy as np
import pytest

from tcpcore import Engine, segments
from tests.conformance.verdicts import deviates
from tests.dialogue import LOCAL, LOCAL_PORT, PEER, PEER_PORT, SPACE

requirement = pytest.mark.requirement
SECOND = 1_000_000_000
COOKIES = "the syncache answers with numbers that could be cookies"


def isn(profile, now, dst=PEER, dport=PEER_PORT, src=LOCAL, sport=1000):
    """Of an active open by a fresh host."""
    _, (syn,) = Engine(profile).connect(dst, dport, now, src=src, sport=sport)
    return int(syn["seq"])


def passive_isn(profile, now, sport=1000):
    """Of a passive open by a fresh host."""
    host = Engine(profile)
    host.listen(LOCAL, LOCAL_PORT)
    syn = segments(1, src=PEER, dst=LOCAL, sport=sport, dport=LOCAL_PORT, flags=2, wnd=1000)
    (synack,) = host.receive(syn, now)
    return int(synack["seq"])


@requirement("RFC9293 MUST-8", "RFC9293 SHLD-1", "RFC6528 3")
def test_an_active_isn_is_a_clock_plus_a_function_of_the_connection(profile):
    for later in (1_000_000, SECOND, 60 * SECOND):
        passed = (isn(profile, SECOND + later) - isn(profile, SECOND)) % SPACE
        assert passed == later // profile.isn_tick_ns % SPACE


@requirement("RFC9293 MUST-8", "RFC9293 SHLD-1", "RFC6528 3", freebsd=deviates(COOKIES, tcp_syncookies=0))
def test_a_passive_isn_is_a_clock_plus_a_function_of_the_connection(profile):
    passed = (passive_isn(profile, 2 * SECOND) - passive_isn(profile, SECOND)) % SPACE
    assert passed == SECOND // profile.isn_tick_ns


@requirement("RFC9293 3.4.1 tick", linux=deviates("the clock ticks every 64 ns", isn_tick_ns=4000))
def test_the_clock_ticks_about_every_four_microseconds(profile):
    assert (isn(profile, 2 * SECOND) - isn(profile, SECOND)) % SPACE == pytest.approx(250_000, rel=0.1)


@requirement("RFC6528 3")
@pytest.mark.parametrize("other", [
    {"dst": "10.0.0.3"}, {"dport": PEER_PORT + 1}, {"src": "10.0.0.9"}, {"sport": 1001},
], ids=str)  # fmt: skip
def test_each_part_of_the_connection_counts(profile, other):
    assert isn(profile, SECOND, **other) != isn(profile, SECOND)


@requirement("RFC9293 MUST-9", "RFC6528 3 key")
def test_the_function_is_keyed_and_tells_nothing_of_other_connections(profile):
    """Another key, other numbers; from one connection to the next every bit changes about half the time."""
    assert isn(profile, SECOND) != isn(profile.replace(seed=1), SECOND)
    numbers = np.array([isn(profile, SECOND, sport=port) for port in range(1024, 1224)], np.uint64)
    flips = np.unpackbits((numbers[1:] ^ numbers[:-1]).astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)
    assert np.all(np.abs(flips.mean(axis=0) - 0.5) < 0.2)


@requirement("RFC6528 2")
def test_numbers_of_successive_incarnations_rise(profile):
    first, second = isn(profile, SECOND), isn(profile, SECOND + SECOND // 10)
    assert 0 < (second - first) % SPACE < SPACE // 2


# -- ports


def ports(profile, n, **arguments):
    _, syns = Engine(profile).connect(PEER, 80, SECOND, n=n, **arguments)
    return [int(port) for port in syns["sport"]]


@requirement("RFC6056 3.2", linux=deviates("from 32768 to 60999 only", ip_local_port_range=(1024, 65535)),
             freebsd=deviates("from 10000 only", ip_local_port_range=(1024, 65535)))
def test_ports_come_from_the_whole_dynamic_range(profile):
    profile = profile.replace(capacity=65_536)
    taken = ports(profile, 65_535 - 1024 + 1)
    assert set(taken) == set(range(1024, 65_536))


@requirement("RFC6056 3.3")
def test_the_port_to_one_service_does_not_tell_the_port_to_the_next(profile):
    """One host, a hundred servers."""
    profile = profile.replace(capacity=256)
    servers = np.arange(100, dtype=np.uint32) + np.uint32(0x0A010001)
    taken, other = (
        Engine(one).connect(servers, 80, SECOND)[1]["sport"].astype(int)
        for one in (profile, profile.replace(seed=1))
    )
    assert np.mean(np.abs(np.diff(taken)) <= 2) < 0.1
    assert np.mean(taken == other) < 0.1


@requirement("RFC6056 3.3")
def test_no_port_is_taken_twice_towards_one_service(profile):
    taken = ports(profile.replace(capacity=4096), 3000)
    assert len(set(taken)) == 3000


@requirement("RFC6056 3.3")
@pytest.mark.parametrize("algorithm", range(1, 6))
def test_every_algorithm_can_be_chosen_by_number(profile, algorithm):
    taken = ports(profile.replace(capacity=256, port_selection=algorithm), 100)
    first, last = profile.ip_local_port_range
    assert len(set(taken)) == 100 and first <= min(taken) and max(taken) <= last


@requirement("RFC6056 3.4")
def test_two_hosts_with_different_keys_choose_different_ports(profile):
    one, other = (ports(profile.replace(capacity=256, seed=seed), 100) for seed in (1, 2))
    assert len(set(one) & set(other)) < 20
