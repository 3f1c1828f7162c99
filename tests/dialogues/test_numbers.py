"""Initial sequence numbers (RFC 9293 3.4.1, RFC 6528) and ports (RFC 6056), off the bench."""

import numpy as np
import pytest

from tcpcore import segments
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, PEER, PEER_PORT, SPACE
from tests.requirements.verdicts import deviates, requirement

SECOND = 1_000_000_000
COOKIES = "the syncache answers with numbers that could be cookies"


def isn(stack, profile, now, dst=PEER, dport=PEER_PORT, src=LOCAL, sport=1000):
    """Of an active open by a fresh host."""
    _, (syn,) = stack(profile).connect(dst, dport, now, src=src, sport=sport)
    return int(syn["seq"])


def passive_isn(stack, profile, now, sport=1000):
    """Of a passive open by a fresh host."""
    host = stack(profile)
    host.listen(LOCAL, LOCAL_PORT)
    syn = segments(1, src=PEER, dst=LOCAL, sport=sport, dport=LOCAL_PORT, flags=2, wnd=1000)
    (synack,) = host.receive(syn, now)
    return int(synack["seq"])


@requirement("MUST-8", "SHLD-1", "RFC6528 3")
def test_an_active_isn_is_a_clock_plus_a_function_of_the_connection(stack, profile):
    for later in (1_000_000, SECOND, 60 * SECOND):
        passed = (isn(stack, profile, SECOND + later) - isn(stack, profile, SECOND)) % SPACE
        assert passed == later // profile.isn_tick_ns % SPACE


@requirement("MUST-8", "SHLD-1", "RFC6528 3", freebsd=deviates(COOKIES, tcp_syncookies=0))
@pytest.mark.engine_only("cookies")
def test_a_passive_isn_is_a_clock_plus_a_function_of_the_connection(stack, profile):
    passed = (passive_isn(stack, profile, 2 * SECOND) - passive_isn(stack, profile, SECOND)) % SPACE
    assert passed == SECOND // profile.isn_tick_ns


@requirement("3.4.1 tick", linux=deviates("the clock ticks every 64 ns", isn_tick_ns=4000))
def test_the_clock_ticks_about_every_four_microseconds(stack, profile):
    passed = (isn(stack, profile, 2 * SECOND) - isn(stack, profile, SECOND)) % SPACE
    assert passed == pytest.approx(250_000, rel=0.1)


@requirement("RFC6528 3")
@pytest.mark.parametrize("other", [
    {"dst": "10.0.0.3"}, {"dport": PEER_PORT + 1}, {"src": "10.0.0.9"}, {"sport": 1001},
], ids=str)  # fmt: skip
def test_each_part_of_the_connection_counts(stack, profile, other):
    assert isn(stack, profile, SECOND, **other) != isn(stack, profile, SECOND)


@requirement("MUST-9", "RFC6528 3 key")
@pytest.mark.engine_only("keys")
def test_the_function_is_keyed_and_tells_nothing_of_other_connections(stack, profile):
    """Another key, other numbers; from one connection to the next every bit changes about half the time."""
    assert isn(stack, profile, SECOND) != isn(stack, profile.replace(seed=1), SECOND)
    numbers = np.array([isn(stack, profile, SECOND, sport=port) for port in range(1024, 1224)], np.uint64)
    flips = np.unpackbits((numbers[1:] ^ numbers[:-1]).astype(">u4").view(np.uint8).reshape(-1, 4), axis=1)
    assert np.all(np.abs(flips.mean(axis=0) - 0.5) < 0.2)


@requirement("RFC6528 2")
def test_numbers_of_successive_incarnations_rise(stack, profile):
    first, second = isn(stack, profile, SECOND), isn(stack, profile, SECOND + SECOND // 10)
    assert 0 < (second - first) % SPACE < SPACE // 2


# -- ports


def ports(stack, profile, n, **arguments):
    _, syns = stack(profile).connect(PEER, 80, SECOND, n=n, **arguments)
    return [int(port) for port in syns["sport"]]


@requirement("RFC6056 3.2", linux=deviates("from 32768 to 60999 only", ip_local_port_range=(1024, 65535)),
             freebsd=deviates("from 10000 only", ip_local_port_range=(1024, 65535)))
@pytest.mark.engine_only("size")
def test_ports_come_from_the_whole_dynamic_range(stack, profile):
    profile = profile.replace(capacity=65_536)
    taken = ports(stack, profile, 65_535 - 1024 + 1)
    assert set(taken) == set(range(1024, 65_536))


@requirement("RFC6056 3.3")
@pytest.mark.engine_only("keys")
def test_the_port_to_one_service_does_not_tell_the_port_to_the_next(stack, profile):
    """One host, a hundred servers."""
    profile = profile.replace(capacity=256)
    servers = np.arange(100, dtype=np.uint32) + np.uint32(0x0A010001)
    taken, other = (
        stack(one).connect(servers, 80, SECOND)[1]["sport"].astype(int)
        for one in (profile, profile.replace(seed=1))
    )
    assert np.mean(np.abs(np.diff(taken)) <= 2) < 0.1
    assert np.mean(taken == other) < 0.1


@requirement("RFC6056 3.3")
@pytest.mark.engine_only("size")
def test_no_port_is_taken_twice_towards_one_service(stack, profile):
    taken = ports(stack, profile.replace(capacity=4096), 3000)
    assert len(set(taken)) == 3000


@requirement("RFC6056 3.3")
@pytest.mark.parametrize("algorithm", range(1, 6))
def test_every_algorithm_can_be_chosen_by_number(stack, profile, algorithm):
    taken = ports(stack, profile.replace(capacity=256, port_selection=algorithm), 100)
    first, last = profile.ip_local_port_range
    assert len(set(taken)) == 100 and first <= min(taken) and max(taken) <= last


@requirement("RFC6056 3.4")
@pytest.mark.engine_only("keys")
def test_two_hosts_with_different_keys_choose_different_ports(stack, profile):
    one, other = (ports(stack, profile.replace(capacity=256, seed=seed), 100) for seed in (1, 2))
    assert len(set(one) & set(other)) < 20
