"""The SYN-queue policies in the engine: who fits, who goes when somebody must, what is sent and counted."""

import numpy as np
import pytest

from tcpcore import Config, Engine, Flag, State, segments
from tests.behaviour.test_queues import LOCAL, PEER, A, R, S, Server

POLICIES = ["linux", "freebsd", "drop-new", "evict-oldest", "evict-random", "short-timer"]
EVICTING = ["evict-oldest", "evict-random"]
BUCKETS, PLACES = 512, 30
CACHE = BUCKETS * PLACES
evicting = pytest.mark.parametrize("policy", EVICTING)
backlogs = pytest.mark.parametrize("backlog", [0, 1, 2, 3, 7])


def alive(server, ports, to=80):
    """Those of the ports that have a connection or an entry."""
    ports = np.atleast_1d(ports)
    return ports[server.eng.lookup(PEER, ports, LOCAL, to) != 0].tolist()


def counted(server, *names):
    return [server.eng.counters[name] for name in names]


# -- eviction


@evicting
@backlogs
def test_everybody_is_let_in_and_b_plus_one_stay(policy, backlog):
    server = Server(backlog, synq_policy=policy)
    assert server.syn(np.arange(1, backlog + 2)) == backlog + 1 and server.lost() == {}
    assert server.syn(np.arange(100, 104)) == 4
    assert server.half_open == backlog + 1 and server.lost() == {"SynQueueEvicted": 4}
    assert counted(server, "SynQueueAdded", "SynQueueEvicted", "ListenDrops") == [backlog + 5, 4, 0]
    assert alive(server, 103) == [103] and server.eng.check() == []


@backlogs
def test_the_oldest_goes(backlog):
    server = Server(backlog, synq_policy="evict-oldest")
    for port in range(1, 20):
        server.syn(port)
        assert alive(server, np.arange(1, 20)) == list(range(max(1, port - backlog), port + 1))


def test_what_has_left_the_queue_is_no_victim():
    server = Server(3, synq_policy="evict-oldest")
    server.syn([1, 2, 3, 4])
    server.ack(1)
    server.say(R, [3], 10)
    assert server.syn([5, 6]) == 2 and server.lost() == {"EmbryonicReset": 1}, "two had left, two fit"
    assert server.syn([7, 8]) == 2
    assert alive(server, np.arange(1, 9)) == [1, 5, 6, 7, 8]
    assert server.unaccepted == 1 and server.eng.check() == []


def test_age_is_that_of_the_syn_whatever_came_since():
    server = Server(2, synq_policy="evict-oldest")
    server.syn(1)
    server.wait(0.6)
    server.syn([2, 3])
    server.wait(0.5)
    assert server.syn(1) == 1, "answered again"
    server.syn(4)
    assert alive(server, [1, 2, 3, 4]) == [2, 3, 4]


@evicting
def test_a_listener_evicts_its_own(policy):
    server = Server(2, synq_policy=policy)
    server.eng.listen(LOCAL, 81, 2)
    server.syn([1, 2, 3])
    syns = segments(50, src=PEER, dst=LOCAL, sport=np.arange(1, 51), dport=81, flags=S, seq=9, wnd=5000)
    assert len(server.eng.receive(syns, server.now)) == 50
    assert server.half_open == 6 and alive(server, [1, 2, 3]) == [1, 2, 3]


def survivors(seed, backlog=7, n=200):
    server = Server(backlog, synq_policy="evict-random", seed=seed)
    server.syn(np.arange(1, n + 1))
    return alive(server, np.arange(1, n + 1))


def test_chance_depends_on_the_seed_alone():
    assert survivors(1) == survivors(1) != survivors(2)
    assert len(survivors(1)) == 8 and survivors(1) != list(range(193, 201)), "not simply the oldest"


@evicting
def test_the_third_segment_of_an_evicted_peer_is_nobodys(policy):
    server = Server(0, synq_policy=policy)
    server.syn([1, 2])
    assert server.ack(1)["flags"].tolist() == [R] and len(server.ack(2)) == 0
    assert server.unaccepted == 1 and server.half_open == 0


@evicting
def test_an_eviction_sends_nothing_and_is_told(policy):
    server = Server(0, synq_policy=policy, events=("lost",))
    server.syn([1, 2])
    assert [(event["state"], int(event["conn"])) for event in server.eng.events()] == [(0, 1 << 32)]
    assert counted(server, "OutSegs", "OutRsts") == [2, 0]
    assert server.wait(1)["dport"].tolist() == [2], "no timer of the victim is left"


@evicting
@pytest.mark.parametrize(("cookies", "kept"), [(1, 4), (2, 0)])
def test_with_cookies_a_full_queue_answers_and_evicts_nobody(policy, cookies, kept):
    server = Server(3, synq_policy=policy, tcp_syncookies=cookies)
    assert server.syn(np.arange(1, 11)) == 10
    assert alive(server, np.arange(1, 11)) == list(range(1, kept + 1)) and server.lost() == {}
    assert counted(server, "SynQueueEvicted", "SyncookiesSent") == [0, 10 - kept]
    assert len(server.ack(10)) == 0 and server.unaccepted == 1


def lingering(**knobs):
    """Port 1 in TIME-WAIT; its peer's next SYN reopens it."""
    server = Server(1, **knobs)
    server.syn(1)
    server.ack(1)
    conns = server.eng.accept(server.web)
    fin = server.eng.close(conns, server.now)[0]
    server.say(A | Flag.FIN, 1, 10, (int(fin["seq"]) + 1) % 2**32)
    assert server.eng.gauges()["time_wait"] == 1
    return server


@pytest.mark.parametrize(("policy", "half_open", "gone"), [
    ("linux", 3, []), ("drop-new", 3, []), ("short-timer", 3, []), ("evict-oldest", 2, [2]),
])  # fmt: skip
def test_what_reopens_a_time_wait_is_never_refused(policy, half_open, gone):
    server = lingering(synq_policy=policy)
    server.syn([2, 3])
    assert len(server.say(S, 1, 1000)) == 1 and server.half_open == half_open
    assert alive(server, [1, 2, 3]) == [port for port in (1, 2, 3) if port not in gone]
    assert server.eng.check() == []


@evicting
def test_a_closed_listener_evicts_no_more(policy):
    server = Server(1, synq_policy=policy)
    server.syn([1, 2])
    server.eng.unlisten(server.web, server.now)
    server.web = server.eng.listen(LOCAL, 80, 1)
    assert server.syn([3, 4, 5]) == 3 and server.half_open == 4 and server.eng.check() == []
    server.wait(1)
    assert server.half_open == 2 and server.lost() == {"SynQueueEvicted": 1, "ListenerClosed": 2}
    assert server.eng.check() == []


@pytest.mark.parametrize("policy", [*EVICTING, "freebsd"])
def test_a_flood_takes_no_memory(policy):
    server = Server(100, synq_policy=policy, capacity=CACHE)
    sizes = []
    for start in range(1, 2**24, 2**21):
        syns = segments(2**17, src=0x0B000000 + start + np.arange(2**17), dst=LOCAL, sport=7, dport=80,
                        flags=S, seq=9, wnd=5000)
        assert len(server.eng.receive(syns, 0)) == 2**17
        sizes.append(server.eng.gauges()["bytes_total"])
    assert sizes[2:] == [sizes[2]] * 6
    assert server.half_open == (CACHE if policy == "freebsd" else 101)
    assert server.lost() == {"SynQueueEvicted": 2**20 - server.half_open} and server.eng.check() == []


# -- short-timer


def resends(n, backlog, retries=5):
    """Resends that each of n entries of one age gets before it is given up."""
    server = Server(backlog, synq_policy="short-timer", tcp_synack_retries=retries)
    assert server.syn(np.arange(1, n + 1)) == n
    sent = np.zeros(n + 1, int)
    while server.half_open:
        server.now = server.eng.next_timer()
        for row in server.eng.advance(server.now):
            sent[row["dport"]] += 1
    assert server.lost() == {"SynQueueExpired": n} and server.eng.check() == []
    return sent[1:].tolist()


def test_patience_sinks_with_the_free_places():
    """Ten fit. Each that is given up makes room, and the next one is given a fifth more."""
    assert resends(5, 9) == [5] * 5
    assert resends(6, 9) == [4] + [5] * 5
    assert resends(10, 9) == [0, 1, 2, 3, 4] + [5] * 5
    assert resends(3, 2) == [0, 3, 5] and resends(2, 2) == [3, 5] and resends(1, 2) == [5]
    assert resends(4, 3, retries=1) == [0, 0, 1, 1]


@backlogs
def test_a_short_timer_refuses_when_full(backlog):
    server = Server(backlog, synq_policy="short-timer")
    assert server.syn(np.arange(1, backlog + 6)) == backlog + 1
    assert server.lost() == {"SynQueueFull": 4}
    server.wait(1)
    assert server.syn(1000) == 1, "somebody had to go without a resend"


# -- freebsd


def cache(backlog=3, cookies=0, **knobs):
    knobs = {"cookie_encoding": "freebsd", "rto_initial_ms": 60_000, **knobs}
    return Server(backlog, capacity=20_000, synq_policy="freebsd", tcp_syncookies=cookies, **knobs)


def overflow(server, first=100):
    """SYNs one after another until a bucket overflows; the peer's port that met a full one."""
    before = server.eng.counters["SynCachePauses"]
    for port in range(first, 60_000):
        assert server.syn(port) == 1
        if server.eng.counters["SynCachePauses"] > before:
            return port
    raise AssertionError("no bucket overflowed")


def test_the_backlog_limits_no_half_open_entries():
    server = cache(backlog=0)
    assert server.syn(np.arange(1, 5001)) == 5000 and server.half_open == 5000 and server.lost() == {}


def test_512_buckets_hold_30_each_and_lose_their_oldest():
    server = cache()
    server.eng.listen(LOCAL, 81, 3)
    for port in (80, 81):
        syns = segments(30_000, src=PEER, dst=LOCAL, sport=np.arange(1, 30_001), dport=port, flags=S, seq=9,
                        wnd=500)
        assert len(server.eng.receive(syns, 0)) == 30_000
    assert server.half_open == CACHE and server.lost() == {"SynQueueEvicted": 60_000 - CACHE}
    youngest = alive(server, np.arange(1, 30_001), 81)
    assert set(range(29_000, 30_001)) <= set(youngest), "far too few have come since to fill a bucket"
    assert len(alive(server, np.arange(1, 30_001))) < 10 and server.eng.check() == []


def test_the_buckets_are_keyed():
    """The same peers: which ones are lost is another set under another seed."""
    lost = []
    for seed in (1, 1, 2):
        server = cache(seed=seed)
        server.syn(np.arange(1, 15_001))
        lost.append(set(range(1, 15_001)) - set(alive(server, np.arange(1, 15_001))))
    assert lost[0] == lost[1] != lost[2]


def test_an_overflow_empties_the_cache_and_leaves_cookies():
    server = cache(cookies=1)
    last = overflow(server)
    assert server.half_open == 0 and server.eng.gauges()["blocks_used"] == 0
    assert counted(server, "SynQueueEvicted", "SyncookiesSent") == [last - 100, 1]
    assert server.syn(np.arange(1, 51)) == 50 and server.half_open == 0
    assert counted(server, "SyncookiesSent") == [51] and server.eng.check() == []


def test_what_was_emptied_out_may_come_back_as_a_cookie():
    server = cache(backlog=9, cookies=1)
    overflow(server)
    assert len(server.ack([100, 101])) == 0 and server.unaccepted == 2
    assert counted(server, "SyncookiesRecv", "PassiveOpens", "SynQueueEstablished") == [2, 2, 0]
    assert server.say(A, 102, 10, 12345)["flags"].tolist() == [R]
    assert server.eng.check() == []


def test_a_cookie_of_two_minutes_cannot_hold_what_the_entry_held():
    """Linux's encoding has options in the timestamp, which the entry's SYN-ACK did not carry."""
    server = cache(cookies=1, cookie_encoding="linux")
    last = overflow(server)
    assert server.ack(100)["flags"].tolist() == [R]
    assert len(server.ack(last)) == 0 and server.unaccepted == 1


def test_a_pause_is_15_s_and_twice_that_under_a_renewed_attack():
    server = cache(cookies=1)
    for pause in (15, 30):
        overflow(server)
        server.wait(pause - 0.001)
        server.syn(1)
        assert server.half_open == 0
        server.wait(0.001)
        server.syn(2)
        assert server.half_open == 1
    server.wait(30)
    overflow(server)
    server.wait(15)
    server.syn(1)
    assert server.half_open == 1, "quiet for as long as the last pause"
    assert counted(server, "SynCachePauses") == [3] and server.eng.check() == []


def test_no_pause_without_cookies_and_no_cache_with_cookies_always():
    server = cache(cookies=0)
    server.syn(np.arange(1, 20_001))
    assert counted(server, "SynCachePauses", "SyncookiesSent") == [0, 0]
    server = cache(cookies=2)
    server.syn(np.arange(1, 20_001))
    assert server.half_open == 0 and counted(server, "SynCachePauses", "SyncookiesSent") == [0, 20_000]


@pytest.mark.parametrize(("restarts", "seconds"), [(0, 4.5), (1, 5.5)])
def test_a_syn_again_starts_the_resends_over(restarts, seconds):
    """One resend, after 1 s; the SYN again after 2.5 s."""
    server = Server(3, dup_syn_restarts=restarts, tcp_synack_retries=1)
    server.syn(1)
    assert len(server.wait(2.5)) == 1
    assert server.syn(1) == 1
    assert len(server.wait(seconds - 2.501)) == restarts and server.half_open == 1
    server.wait(0.001)
    assert server.half_open == 0 and server.lost() == {"SynQueueExpired": 1}


def test_a_syn_again_is_answered_each_time_or_twice_a_second():
    for restarts, answers in ((0, 1), (1, 5)):
        server = Server(3, dup_syn_restarts=restarts)
        server.syn(1)
        assert sum(server.syn(1) for _ in range(5)) == answers


@backlogs
@pytest.mark.parametrize(("rule", "fit"), [
    ("one-more", lambda b: b + 1), ("half-more", lambda b: max(1, 3 * b // 2)),
])  # fmt: skip
def test_so_many_wait_for_accept(backlog, rule, fit):
    server = Server(backlog, accept_queue_rule=rule)
    for port in range(1, fit(backlog) + 1):
        assert server.syn(port) == 1 and len(server.ack(port)) == 0
    assert server.unaccepted == fit(backlog)
    assert server.syn(1000) == 0 and server.lost() == {"AcceptQueueFull": 1}


def test_the_freebsd_profile_does_all_this():
    eng = Engine(Config.freebsd(capacity=20_000, tcp_timestamps=0))
    eng.listen(LOCAL, 80, 8)
    for port in range(1, 20):
        syn = segments(1, src=PEER, dst=LOCAL, sport=port, dport=80, flags=S, seq=9, wnd=500)
        rows = eng.receive(syn, 0)
        if port == 3:
            assert len(eng.receive(syn, 0)) == 1
        if len(rows):
            eng.receive(segments(1, src=PEER, dst=LOCAL, sport=port, dport=80, flags=A, seq=10,
                                 ack=rows["seq"] + np.uint32(1), wnd=500), 0)
    assert eng.gauges()["accept_queue"] == 12 and eng.causes["AcceptQueueFull"] == 7
    eng.accept(1)
    syns = segments(15_000, src=PEER, dst=LOCAL, sport=np.arange(100, 15_100), dport=80, flags=S, seq=9,
                    wnd=500)
    assert len(eng.receive(syns, 0)) == 15_000
    assert eng.counters["SynCachePauses"] == 1 and eng.gauges()["half_open"] == 0 and eng.check() == []


# -- all of them


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("cookies", [0, 1, 2])
def test_each_entry_leaves_by_one_door(policy, cookies):
    """Peers that come, answer, reset, insist or are silent, more than the queues hold; then all is over."""
    rng = np.random.default_rng(3)
    server = Server(7, synq_policy=policy, tcp_syncookies=cookies, tcp_synack_retries=2, capacity=40)
    came = 0
    for _ in range(300):
        rows = server.say(S, rng.integers(1, 200, 5), 9)
        rows = rows[rows["flags"] == S | A]
        server.iss |= {int(row["dport"]): int(row["seq"]) for row in rows}
        came += len(rows)
        known = [int(port) for port in rng.integers(1, 200, 4) if int(port) in server.iss]
        if known:
            server.ack(known)
        server.say(R, rng.integers(1, 200, 1), 10)
        server.eng.close(server.eng.accept(server.web, 3), server.now)
        server.wait(float(rng.choice([0, 0.1, 1.0])))
        assert server.half_open <= (8 if policy != "freebsd" else 40)
        assert server.eng.check() == []
    counters = server.eng.counters
    assert came and counters["SynQueueAdded"] == server.half_open + sum(
        counters["SynQueue" + door]
        for door in ("Established", "Evicted", "Expired", "Reset", "Aborted", "ListenerClosed"))
    assert counters["SynQueueEvicted"] == server.eng.causes["SynQueueEvicted"]
    assert (counters["SynQueueEvicted"] > 0) == (policy in EVICTING and cookies == 0)
    server.eng.unlisten(server.web, server.now)
    server.wait(1000)
    assert server.half_open == 0 and server.eng.state_counts()[State.SYN_RECEIVED] == 0
    assert server.eng.check() == []
