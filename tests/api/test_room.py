"""Engine.room: the places it tells are those that the engine really gives."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import ROOM, Config, Engine, Flag, segments

LOCAL = "10.0.0.1"
PER_LISTENER = ["linux", "drop-new", "evict-oldest", "evict-random", "short-timer"]
POLICIES = [*PER_LISTENER, "freebsd"]
CACHE = 512 * 30                       # FreeBSD: net.inet.tcp.syncache.hashsize and .bucketlimit


def syns(n, first=0):
    """SYNs of `n` peers, port 80."""
    who = np.arange(first, first + n)
    return segments(n, src=0x0B000000 + who, dst=LOCAL, sport=1024, dport=80, flags=Flag.SYN, seq=7, wnd=1000)


def handshakes(eng, n, first=0):
    """Peers that answer the SYN-ACK, one after the other, as far as they get one."""
    for i in range(first, first + n):
        syn = syns(1, i)
        answer = eng.receive(syn, 0)
        if len(answer):
            eng.receive(segments(1, src=syn["src"], dst=LOCAL, sport=1024, dport=80, flags=Flag.ACK, seq=8,
                                 ack=answer["seq"] + np.uint32(1), wnd=1000), 0)


def limits(room):
    return int(room["half_open_max"]), str(room["half_open_set_by"])


def accept_limits(room):
    return int(room["accept_max"]), str(room["accept_set_by"])


def test_a_row_has_both_queues():
    eng = Engine(capacity=100)
    web = eng.listen(LOCAL, 80, 7)
    eng.receive(syns(3), 0)
    room = eng.room(web)
    assert room.dtype == ROOM and room.shape == ()
    assert room.tolist() == (3, 8, "backlog", 0, 8, "backlog", 7)
    assert ROOM.names[:6] == ("half_open", "half_open_max", "half_open_set_by",
                              "accept", "accept_max", "accept_set_by")
    assert pickle.loads(pickle.dumps(room)) == room


def test_it_is_a_copy():
    eng = Engine(capacity=100)
    web = eng.listen(LOCAL, 80, 7)
    room = eng.room(web)
    eng.receive(syns(3), 0)
    assert room["half_open"] == 0 and eng.room(web)["half_open"] == 3


@pytest.mark.parametrize(("backlog", "effective", "set_by"), [
    (None, 5, "somaxconn"), (6, 5, "somaxconn"), (5, 5, "backlog"), (4, 4, "backlog"), (0, 0, "backlog"),
])
def test_somaxconn_or_the_backlog_sets_both(backlog, effective, set_by):
    eng = Engine(capacity=100, somaxconn=5)
    room = eng.room(eng.listen(LOCAL, 80, backlog))
    assert limits(room) == accept_limits(room) == (effective + 1, set_by)
    assert room["backlog"] == effective


@pytest.mark.parametrize(("of", "backlog", "expected"), [
    (256, 1024, (193, "tcp_max_syn_backlog")), (256, 192, (193, "backlog")), (256, 191, (192, "backlog")),
    (256, 193, (193, "tcp_max_syn_backlog")), (0, 10, (1, "tcp_max_syn_backlog")),
    (4096, 4096, (3073, "tcp_max_syn_backlog")), (2**31 - 1, 4096, (4097, "backlog")),
])
def test_linux_without_cookies_keeps_a_reserve(of, backlog, expected):
    for policy in PER_LISTENER:
        eng = Engine(capacity=1, synq_policy=policy, tcp_syncookies=0, tcp_max_syn_backlog=of)
        room = eng.room(eng.listen(LOCAL, 80, backlog))
        assert limits(room) == (expected if policy == "linux" else (backlog + 1, "backlog"))
        assert accept_limits(room) == (backlog + 1, "backlog")
    eng = Engine(capacity=1, tcp_syncookies=1, tcp_max_syn_backlog=of)
    assert limits(eng.room(eng.listen(LOCAL, 80, backlog))) == (backlog + 1, "backlog")


@pytest.mark.parametrize("policy", POLICIES)
def test_cookies_always_means_no_entries(policy):
    eng = Engine(capacity=1000, synq_policy=policy, tcp_syncookies=2)
    web = eng.listen(LOCAL, 80, 16)
    eng.receive(syns(100), 0)
    assert limits(eng.room(web)) == (0, "tcp_syncookies") and eng.room(web)["half_open"] == 0
    assert accept_limits(eng.room(web)) == (17, "backlog")


def test_freebsd_has_one_cache_for_all_listeners():
    eng = Engine(Config.freebsd(capacity=1000))
    web, mail = eng.listen(LOCAL, 80, 16), eng.listen(LOCAL, 25)
    eng.receive(syns(100), 0)
    for listener in (web, mail):
        assert limits(eng.room(listener)) == (CACHE, "syncache")
        assert eng.room(listener)["half_open"] == 100
    assert accept_limits(eng.room(web)) == (24, "backlog")
    assert accept_limits(eng.room(mail)) == (192, "somaxconn")


def test_freebsd_cache_is_full_at_its_room():
    eng = Engine(Config.freebsd(capacity=20_000, tcp_syncookies=0))
    web = eng.listen(LOCAL, 80)
    eng.receive(syns(40_000), 0)
    room = eng.room(web)
    assert room["half_open"] == room["half_open_max"] == eng.gauges()["half_open"]
    assert eng.causes["SynQueueEvicted"] == 40_000 - CACHE


def test_an_auto_accept_listener_has_no_accept_queue():
    eng = Engine(capacity=100)
    web = eng.listen(LOCAL, 80, 2, auto_accept=True)
    handshakes(eng, 10)
    assert eng.state_counts()[4] == 10
    assert accept_limits(eng.room(web)) == (0, "auto_accept") and eng.room(web)["accept"] == 0


@given(
    policy=st.sampled_from(PER_LISTENER),
    backlog=st.none() | st.integers(0, 60),
    somaxconn=st.integers(0, 50),
    tcp_max_syn_backlog=st.integers(0, 70),
    tcp_syncookies=st.integers(0, 2),
)
def test_the_half_open_queue_is_full_at_its_room(
    policy, backlog, somaxconn, tcp_max_syn_backlog, tcp_syncookies
):
    eng = Engine(capacity=200, synq_policy=policy, somaxconn=somaxconn, tcp_syncookies=tcp_syncookies,
                 tcp_max_syn_backlog=tcp_max_syn_backlog)
    web = eng.listen(LOCAL, 80, backlog)
    most = int(eng.room(web)["half_open_max"])
    for i in range(most):
        eng.receive(syns(1, i), 0)
        assert eng.room(web)["half_open"] == i + 1
    lost = ("SynQueueFull", "SynQueueReserve", "SynQueueEvicted")
    assert not any(eng.causes[cause] for cause in lost) and not eng.counters["SyncookiesSent"]
    eng.receive(syns(10, most), 0)
    assert eng.room(web)["half_open"] == most
    assert sum(eng.causes[cause] for cause in lost) + eng.counters["SyncookiesSent"] == 10
    reserve = eng.room(web)["half_open_set_by"] == "tcp_max_syn_backlog"
    assert eng.causes["SynQueueReserve"] == (10 if reserve else 0)


@given(
    policy=st.sampled_from(POLICIES),
    rule=st.sampled_from(["one-more", "half-more"]),
    backlog=st.none() | st.integers(0, 20),
    somaxconn=st.integers(0, 15),
    tcp_syncookies=st.integers(0, 2),
)
def test_the_accept_queue_is_full_at_its_room(policy, rule, backlog, somaxconn, tcp_syncookies):
    eng = Engine(capacity=200, synq_policy=policy, accept_queue_rule=rule, somaxconn=somaxconn,
                 tcp_syncookies=tcp_syncookies)
    web = eng.listen(LOCAL, 80, backlog)
    most = int(eng.room(web)["accept_max"])
    handshakes(eng, most)
    assert eng.room(web)["accept"] == most and not eng.causes["AcceptQueueFull"]
    handshakes(eng, 3, most)
    assert eng.room(web)["accept"] == most and eng.counters["ListenOverflows"] >= 3
    assert len(eng.accept(web)) == most and eng.room(web)["accept"] == 0


@pytest.mark.parametrize("wrong", [0, 2, 99, -1, 2**70])
def test_an_id_of_no_open_listener_is_refused(wrong):
    eng = Engine(capacity=10)
    eng.listen(LOCAL, 80)
    with pytest.raises(ValueError, match="listener: expected"):
        eng.room(wrong)


@pytest.mark.parametrize("wrong", [None, "1", 1.0, True])
def test_what_is_no_id_is_refused(wrong):
    with pytest.raises(TypeError, match="listener: expected an integer"):
        Engine(capacity=10).room(wrong)


def test_a_closed_listener_has_no_room():
    eng = Engine(capacity=10)
    web = eng.listen(LOCAL, 80)
    eng.unlisten(web, 0)
    with pytest.raises(ValueError, match="listener"):
        eng.room(web)
