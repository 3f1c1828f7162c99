"""Ephemeral ports of an engine: `connect(sport=None)`. The choice itself (RFC 6056): tests/components."""


import numpy as np
import pytest

from tcpcore import Config, Engine, EngineGroup, Flag, segments
from tests.extensions.ports import EphemeralPorts
from tests.reference.ports import ReferenceHost

MS = 1_000_000
SECOND = 1000 * MS
LOCAL, PEER, OTHER = "10.0.0.1", "10.0.0.2", "10.0.0.3"
RULES = ["linux", "random", "random-retry", "hash", "double-hash", "random-increments"]
RANGE = (40_000, 40_099)

rules = pytest.mark.parametrize("rule", RULES)


def engine(rule="linux", **knobs):
    knobs = {"capacity": 1000, "port_selection": rule, "ip_local_port_range": RANGE, **knobs}
    return Engine(Config.linux(**knobs))


@rules
def test_ports_are_unique_per_four_tuple(rule):
    eng = engine(rule)
    conns, rows = eng.connect(PEER, 80, 0, n=100)
    assert conns.all() and sorted(rows["sport"].tolist()) == list(range(40_000, 40_100))
    for change in ({"dst": OTHER}, {"dport": 81}, {"src": "10.0.0.9"}):
        conns, rows = eng.connect(**{"dst": PEER, "dport": 80, "now": 0, "n": 100, **change})
        assert conns.all() and len(set(rows["sport"].tolist())) == 100
    assert eng.check() == []


@rules
def test_filling_the_range(rule):
    eng = engine(rule, ip_local_port_range=(32768, 60999), capacity=30_000)
    conns, rows = eng.connect(PEER, 80, 0, n=28_232)
    assert conns.all() and len(set(rows["sport"].tolist())) == 28_232


@pytest.mark.parametrize("number", range(len(RULES)), ids=RULES)
def test_the_search_keeps_clear_of_what_is_taken(number):
    """Ports looked at until a range of 2000 is full: a few for each, where a scan from the first would take
    a thousand. That a refusal is no search at all is asked in tests/components."""
    ports, taken, looked = EphemeralPorts(number, 40_000, 41_999), set(), 0
    while ports.begin(1, 2, 80):
        candidates = ports.candidates().tolist()
        i = next(i for i in range(ports.first, ports.size) if candidates[i] not in taken)
        looked += i - ports.first + 1
        taken.add(candidates[i])
        ports.taken(i)
    assert len(taken) == ports.size
    assert looked < 50 * ports.size, "the search does not keep clear of what is taken"


@rules
def test_exhaustion_is_counted(rule):
    eng = engine(rule, ip_local_port_range=(1024, 9215), capacity=9000)
    conns, _ = eng.connect(PEER, 80, 0, n=8192)
    assert conns.all()
    conns, rows = eng.connect(PEER, 80, 0, n=2000)
    assert not conns.any() and len(rows) == 0
    assert eng.causes["PortsExhausted"] == eng.counters["PortsExhausted"] == 2000
    assert eng.connect(OTHER, 80, 0)[0].all(), "another destination has its own ports"


@rules
def test_the_last_free_port_is_found(rule):
    eng = engine(rule)
    conns, rows = eng.connect(PEER, 80, 0, n=100)
    for turn in (3, 77):
        eng.abort(conns[turn], 0)
        again, syn = eng.connect(PEER, 80, 0)
        assert again.all() and syn["sport"] == rows["sport"][turn]
        assert not eng.connect(PEER, 80, 0)[0].any()
    assert eng.check() == []


@rules
def test_ports_taken_by_number_are_stepped_over(rule):
    eng = engine(rule)
    taken = np.arange(40_000, 40_100, 2)
    assert eng.connect(PEER, 80, 0, sport=taken)[0].all()
    conns, rows = eng.connect(PEER, 80, 0, n=60)
    assert np.count_nonzero(conns) == 50 and set(rows["sport"].tolist()) == set(range(40_001, 40_100, 2))
    assert eng.causes["PortsExhausted"] == 10 and eng.check() == []


def test_every_way_to_die_gives_the_port_back():
    eng = engine(tcp_timestamps=0, tcp_fin_timeout=1)
    free = np.arange(40_000, 40_100)

    def opened():
        conns, rows = eng.connect(PEER, 80, opened.now, n=100)
        assert conns.all() and sorted(rows["sport"].tolist()) == free.tolist()
        return conns, rows

    def answer(rows, flags, **fields):
        return eng.receive(segments(
            len(rows), src=PEER, dst=LOCAL, sport=80, dport=rows["sport"], flags=flags, wnd=5000,
            ack=rows["seq"] + np.uint32(1), **fields), opened.now)

    opened.now = 0
    conns, rows = opened()
    answer(rows, Flag.RST | Flag.ACK)                        # refused; held until close, the port is not
    more, rows = opened()
    eng.close(conns, 0)
    eng.close(more, 0)                                       # in SYN-SENT: gone at once
    conns, rows = opened()
    opened.now = 300 * SECOND
    eng.advance(opened.now)                                  # timed out
    conns, rows = opened()
    answer(rows, Flag.SYN | Flag.ACK, seq=5)
    eng.abort(conns, opened.now)
    conns, rows = opened()
    answer(rows, Flag.SYN | Flag.ACK, seq=5)
    fins = eng.close(conns, opened.now)
    assert not eng.connect(PEER, 80, opened.now)[0].any()
    answer(fins, Flag.ACK, seq=6)                            # FIN-WAIT-2 without an application
    opened.now += 100 * SECOND
    eng.advance(opened.now)
    conns, rows = opened()
    eng.abort(conns, opened.now)
    assert eng.check() == [] and eng.gauges()["blocks_used"] == 100, "those that timed out are still held"


def closed_actively(eng, now):
    """100 connections to PEER in TIME_WAIT, with timestamps if the engine has them."""
    conns, syns = eng.connect(PEER, 80, now, n=100)

    def say(rows, flags, seq):
        return eng.receive(segments(
            100, src=PEER, dst=rows["src"], sport=80, dport=rows["sport"], flags=flags, seq=seq, wnd=5000,
            ack=rows["seq"] + np.uint32(1), tsecr=rows["tsval"], tsval=1, opts=rows["opts"] & 8), now)

    say(syns, Flag.SYN | Flag.ACK, 100)
    fins = eng.close(conns, now)
    say(fins, Flag.FIN | Flag.ACK, 101)
    assert eng.gauges()["time_wait"] == 100
    return syns


def test_ports_in_time_wait_are_taken():
    eng = engine(tcp_timestamps=0)
    closed_actively(eng, 0)
    assert not eng.connect(PEER, 80, 59 * SECOND)[0].any() and eng.causes["PortsExhausted"] == 1
    eng.advance(60 * SECOND)
    assert eng.connect(PEER, 80, 60 * SECOND, n=100)[0].all()


def test_tw_reuse_takes_a_port_over_after_its_delay():
    eng = engine(tcp_tw_reuse=1)
    syns = closed_actively(eng, 0)
    assert not eng.connect(PEER, 80, 999 * MS)[0].any(), "before tcp_tw_reuse_delay"
    conns, rows = eng.connect(PEER, 80, 1000 * MS, n=101)
    assert np.count_nonzero(conns) == 100 and set(rows["sport"].tolist()) == set(syns["sport"].tolist())
    assert eng.counters["TWRecycled"] == 100 and eng.causes["PortsExhausted"] == 2
    assert eng.gauges()["time_wait"] == 0 and eng.check() == []


@pytest.mark.parametrize(("began", "free"), [(1, 1000), (400, 1000), (999, 1000), (1000, 2000)])
def test_tw_reuse_in_whole_seconds(began, free):
    """Linux before 6.14 compares seconds of its clock: an age of 1 to 1000 ms, by when TIME-WAIT began."""
    eng = engine(tcp_tw_reuse=1, tw_reuse_clock_ms=1000)
    closed_actively(eng, began * MS)
    assert not eng.connect(PEER, 80, (free - 1) * MS)[0].any() or free - 1 < began
    assert eng.connect(PEER, 80, free * MS, n=100)[0].all()


def test_tw_reuse_on_another_clock_from_now_on():
    eng = engine(tcp_tw_reuse=1)
    closed_actively(eng, 900 * MS)
    assert not eng.connect(PEER, 80, 1000 * MS)[0].any()
    eng.set_knobs(tw_reuse_clock_ms=1000)
    assert eng.connect(PEER, 80, 1000 * MS, n=100)[0].all()


def test_tw_reuse_needs_timestamps():
    eng = engine(tcp_tw_reuse=1, tcp_timestamps=0)
    closed_actively(eng, 0)
    assert not eng.connect(PEER, 80, 10 * SECOND)[0].any()


@pytest.mark.parametrize(("src", "reused"), [("127.0.0.1", True), (LOCAL, False)])
def test_tw_reuse_is_for_loopback_by_default(src, reused):
    eng = engine(local_addr=src)
    closed_actively(eng, 0)
    assert eng.connect(PEER, 80, 10 * SECOND)[0].all() == reused


def test_a_port_asked_for_is_taken_over_at_once_with_timestamps():
    """Linux: the caller who names the port decides; the new numbers go on above the old ones."""
    eng = engine(tcp_tw_reuse=0)
    syns = closed_actively(eng, 0)
    again, rows = eng.connect(PEER, 80, 0, sport=syns["sport"])
    assert again.all() and (rows["seq"] == (syns["seq"] + np.uint32(2 + 65537))).all()
    plain = engine(tcp_timestamps=0)
    syns = closed_actively(plain, 0)
    assert not plain.connect(PEER, 80, 0, sport=syns["sport"])[0].any()
    assert plain.causes["AddressInUse"] == 100


def test_the_order_does_not_depend_on_other_engines():
    one, other = engine(seed=3), engine(seed=3)
    engine(seed=3).connect(PEER, 80, 0, n=10)
    assert one.connect(PEER, 80, 0, n=50)[1].tobytes() == other.connect(PEER, 80, 0, n=50)[1].tobytes()


@rules
@pytest.mark.parametrize("seed", range(8))
def test_a_refusal_is_true_and_a_choice_is_good(rule, seed):
    """Ports chosen, named and passive, TIME-WAITs of any age: refused only where no port is free and none of
    the TIME-WAITs is old enough; the oracle looks at every port. The engine looks at each once at most, and
    at none after a refusal."""
    rng = np.random.default_rng(seed)
    low, high, delay = 40_000, 40_007, 50
    eng = engine(rule, ip_local_port_range=(low, high), tcp_tw_reuse=1, tcp_tw_reuse_delay=delay,
                 time_wait_ms=400, tcp_timestamps=2, isn="rfc793")
    listener, kept = eng.listen(LOCAL, 40_002), {40_002}
    seen, refused, looks = {}, 0, 0          # port -> ms of the last segment of its TIME-WAIT
    named = set()                            # on Linux no search takes over their TIME-WAITs
    for step in range(300):
        now = step * 7 * MS
        eng.advance(now)
        if step == 150:                      # from now on its port is as any other
            eng.unlisten(listener, now)
            kept = set()
        what = rng.integers(5)
        if what == 0:                        # a named port, or a peer that comes to ours
            port = int(rng.integers(low, high + 1))
            if rng.random() < 0.3:
                eng.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=40_002, flags=2, seq=5), now)
            elif eng.connect(PEER, 80, now, sport=port)[0][0] and rule == "linux":
                named.add(port)
        elif what < 3:
            free, old = [], []
            for port in set(range(low, high + 1)) - kept:
                conn = eng.lookup(PEER, 80, LOCAL, port)
                if not conn[0]:
                    free.append(port)
                    named.discard(port)
                elif (port not in named and eng.info(conn)["state"][0] == 10
                      and now // MS - seen.get(port, 10**9) >= delay):
                    old.append(port)
            conns, rows = eng.connect(PEER, 80, now)
            refused += not conns[0]
            assert eng._port_looks - looks <= high - low + 1
            looks = eng._port_looks
            assert bool(conns[0]) == bool(free or old)
            assert conns[0] or not eng.connect(PEER, 80, now, n=9)[0].any() and eng._port_looks == looks
            assert not conns[0] or int(rows["sport"][0]) in free + old
        else:                                # a connection is opened and closed to TIME-WAIT, or dies
            port = int(rng.integers(low, high + 1))
            conn = eng.lookup(PEER, 80, LOCAL, port)
            if conn[0] and eng.info(conn)["state"][0] == 2:
                to_time_wait(eng, conn, port, now)
                seen[port] = now // MS
            elif conn[0] and rng.random() < 0.2:
                eng.abort(conn, now)
        assert eng.check() == []
    assert refused > 5


def to_time_wait(eng, conn, port, now):
    """SYN-SENT to TIME-WAIT, with timestamps, in no time."""
    nxt = int(eng.info(conn)["snd_nxt"][0])
    peer = {"src": PEER, "dst": LOCAL, "sport": 80, "dport": port, "wnd": 9999, "opts": 8, "tsval": now // MS}
    eng.receive(segments(1, **peer, seq=9, ack=nxt, flags=18), now)
    eng.close(conn, now)
    eng.receive(segments(1, **peer, seq=10, ack=nxt + 1, flags=17), now)
    assert eng.info(eng.lookup(PEER, 80, LOCAL, port))["state"][0] == 10


@rules
@pytest.mark.parametrize("filled", ["named", "chosen, one TIME-WAIT elsewhere", "young TIME-WAITs"])
def test_a_full_range_refuses_whatever_has_filled_it(rule, filled):
    """And no refusal walks the range, not even the first, but where a TIME-WAIT may be old enough."""
    def refusals(how, n=400):
        eng = engine(rule, ip_local_port_range=(10_000, 60_000), capacity=60_000, tcp_tw_reuse=1)
        if how == "named":
            eng.connect(PEER, 80, 0, sport=np.arange(10_000, 60_001))
        else:
            conns, rows = eng.connect(PEER, 80, 0, n=50_001)
            for conn, row in zip(conns[:1 if "one" in how else 300], rows, strict=False):
                if "TIME-WAIT" in how and "one" not in how:
                    to_time_wait(eng, conns[conns == conn], int(row["sport"]), 0)
        if "one" in how:
            other, row = eng.connect(OTHER, 80, 0)
            nxt, port = int(row["seq"][0]) + 1, int(row["sport"][0])
            peer = {"src": OTHER, "dst": LOCAL, "sport": 80, "dport": port, "wnd": 9999, "opts": 8}
            eng.receive(segments(1, **peer, seq=9, ack=nxt, flags=18), 0)
            eng.close(other, 0)
            eng.receive(segments(1, **peer, seq=10, ack=nxt + 1, flags=17), 0)
            assert eng.state_counts()[10] == 1
        before, looks = eng.causes["PortsExhausted"], eng._port_looks
        assert not eng.connect(PEER, 80, MS)[0][0]
        for _ in range(n):
            assert not eng.connect(PEER, 80, MS)[0][0]
        assert eng._port_looks == looks
        return eng.causes["PortsExhausted"] - before

    assert refusals(filled) == refusals("plain")


# ---- what a search costs, in ports that it looks at

def all_but(port, low=1024, high=65535):
    return np.array([p for p in range(low, high + 1) if p != port])


@rules
def test_a_million_refusals_look_at_nothing(rule):
    """Bound by name, all but one: that one is found with one walk at most, and no refusal is another, whoever
    binds and unbinds what."""
    eng = engine(rule, ip_local_port_range=(1024, 65535), capacity=70_000, tcp_timestamps=2, isn="rfc793")
    eng.listen(LOCAL, 5000)
    named, _ = eng.connect(PEER, 80, 0, sport=all_but(40_000))
    conns, rows = eng.connect(PEER, 80, 0, n=2)
    assert conns[0] and not conns[1] and int(rows["sport"][0]) == 40_000
    assert eng._port_looks <= 64_512
    looks = eng._port_looks

    def refused(n=1):
        assert not eng.connect(PEER, 80, 0, n=n)[0].any()
        assert eng._port_looks == looks

    refused(10**6)
    eng.abort(conns[:1], 0)                                   # chosen, then named
    assert eng.connect(PEER, 80, 0, sport=40_000)[0][0]
    refused(1000)
    eng.abort(named[5000 - 1024:5001 - 1024], 0)              # named, then taken by a peer
    eng.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=5000, flags=2, seq=5), 0)
    assert eng.lookup(PEER, 80, LOCAL, 5000)[0]
    refused(1000)
    to_time_wait(eng, named[:1], 1024, 0)                     # TIME-WAIT, then named again
    refused(1000)
    named[0] = eng.connect(PEER, 80, 0, sport=1024)[0][0]
    assert named[0]
    refused(1000)
    eng.abort(named[:10], 0)
    conns, _ = eng.connect(PEER, 80, 0, n=1000)
    assert conns[:10].all() and not conns[10:].any()
    looks = eng._port_looks
    refused(1000)
    assert eng.check() == []


@rules
@pytest.mark.parametrize("host", [Engine, lambda config: EngineGroup(3, config)], ids=["engine", "group"])
def test_a_refusal_looks_at_nothing_whatever_was_bound_before(rule, host):
    """To 60 destinations, full by name and by peers before the first search."""
    low, high = RANGE
    size, remotes = high - low + 1, 60
    eng = host(Config.linux(capacity=8000, port_selection=rule, ip_local_port_range=RANGE))
    for port in range(low, high + 1, 2):
        eng.listen(LOCAL, port)
    named, peers = np.arange(low + 1, high + 1, 2), np.arange(low, high + 1, 2)
    dports = np.arange(1, remotes + 1)
    for dport in dports:
        assert eng.connect(PEER, dport, 0, sport=named)[0].all()
        eng.receive(segments(len(peers), src=PEER, dst=LOCAL, sport=dport, dport=peers, flags=2, seq=5), 0)
    assert eng.gauges()["blocks_used"] == remotes * size
    assert not eng.connect(PEER, np.repeat(dports, 50), 0)[0].any()
    assert eng._port_looks == 0
    eng.abort(eng.lookup(PEER, 7, LOCAL, np.arange(low, high + 1)), 0)
    assert eng.connect(PEER, 7, 0, sport=np.arange(low, high + 1))[0].all()
    again = type(eng).restore(eng.snapshot())
    for one in (eng, again):
        assert not one.connect(PEER, 7, 0, n=50)[0].any()
        assert one._port_looks == 0 and one.check() == []


@rules
def test_cookies_count_too(rule):
    """Connections that an ACK of a cookie opened under a port of the range, without a half-open entry."""
    eng = engine(rule, ip_local_port_range=(40_000, 40_001), tcp_syncookies=2)
    listeners = []
    for port in (40_000, 40_001):
        listeners.append(eng.listen(LOCAL, port))
        peer = {"src": PEER, "dst": LOCAL, "sport": 80, "dport": port, "wnd": 9999}
        answer = eng.receive(segments(1, **peer, flags=Flag.SYN, seq=5, mss=1460, opts=1), 0)
        eng.receive(segments(1, **peer, flags=Flag.ACK, seq=6, ack=answer["seq"] + np.uint32(1)), 0)
    assert eng.state_counts()[4] == 2
    assert not eng.connect(PEER, 80, 0)[0][0] and eng._port_looks == 0
    for listener in listeners:               # who listens keeps a port from connect, and so do they then
        eng.accept(listener)
        eng.unlisten(listener, 0)
    assert eng.check() == []
    assert not eng.connect(PEER, 80, 0)[0][0] and eng._port_looks == 0


def test_a_server_outside_the_range_has_no_count():
    """Its peers cost the port allocator nothing, those of one inside only once it has closed."""
    eng = engine(capacity=30_000)
    eng.listen(LOCAL, 80, 30_000)
    peers = 0x0B000000 + np.arange(20_000)
    syns = segments(20_000, src=peers, dst=LOCAL, sport=1024, dport=80, flags=Flag.SYN, seq=1)
    eng.receive(syns, 0)
    inside = engine(capacity=30_000)
    listener = inside.listen(LOCAL, 40_000, 30_000)
    syns["dport"] = 40_000
    inside.receive(syns, 0)
    assert inside.gauges()["bytes_total"] < eng.gauges()["bytes_total"] + 70_000, "a byte for each port"
    inside.unlisten(listener, 0)
    spent = inside.gauges()["bytes_total"] - eng.gauges()["bytes_total"]
    assert spent >= 24 * eng.state_counts()[3] > 24 * 4000, "an entry for each peer of the other"
    assert eng.check() == inside.check() == []


@rules
@pytest.mark.parametrize("seed", range(4))
def test_no_refusal_walks_the_range(rule, seed):
    """Whatever binds ports in which order, and whichever die: without tcp_tw_reuse it looks at none."""
    rng = np.random.default_rng(seed)
    low, high = 40_000, 40_005
    eng = engine(rule, ip_local_port_range=(low, high), tcp_tw_reuse=0, time_wait_ms=100, capacity=100)
    listeners, refused = [eng.listen(LOCAL, low + i) for i in range(3)], 0
    host = ReferenceHost(low, high)
    for i in range(3):
        host.listen(low + i)
    for step in range(400):
        now = step * 20 * MS
        eng.advance(now)
        if step == 200:
            for listener, port in zip(listeners, range(low, low + 3), strict=True):
                eng.unlisten(listener, now)
                host.unlisten(port)
        free = range(low + 3 * (step < 200), high + 1)
        host.connections = {key: chosen for key, chosen in host.connections.items()
                            if eng.lookup(PEER, key[3], LOCAL, key[1])[0]}
        dport = int(rng.integers(80, 82))
        if rng.random() < 0.2:
            port = int(rng.integers(low, high + 1))
            if eng.connect(PEER, dport, now, sport=port)[0][0]:
                host.name(LOCAL, port, PEER, dport)
        elif rng.random() < 0.2:
            eng.receive(segments(1, src=PEER, dst=LOCAL, sport=dport, dport=int(rng.integers(low, low + 3)),
                                 flags=Flag.SYN, seq=5), now)
        elif rng.random() < 0.3:
            port = int(rng.integers(low, high + 1))
            eng.abort(eng.lookup(PEER, dport, LOCAL, port), now)
        else:
            looks = eng._port_looks
            full = bool(eng.lookup(PEER, dport, LOCAL, np.array(free)).all())
            if rule == "linux":                               # a port by name is nobody else's
                open_to = host.free(LOCAL, PEER, dport)
                full = all(eng.lookup(PEER, dport, LOCAL, port)[0] or port not in open_to for port in free)
            conns, rows = eng.connect(PEER, dport, now)
            taken = bool(conns[0])
            if taken:
                host.connections[LOCAL, int(rows["sport"][0]), PEER, dport] = True
            again = rule == "linux" and step >= 200 and eng.state_counts()[3]      # R10.42
            assert taken != full and eng._port_looks - looks <= len(free) * (taken or bool(again))
            refused += not taken
        assert eng.check() == []
    assert refused > 20


@rules
def test_ports_of_time_wait_are_looked_at_when_they_may_be_had(rule):
    """tcp_tw_reuse on a full range: no look before the first of them is old enough, whatever its tick, then
    one walk per port at most and one more that finds the next time."""
    eng = engine(rule, ip_local_port_range=(40_000, 40_999), capacity=2000, tcp_tw_reuse=1, tcp_timestamps=2,
                 tcp_tw_reuse_delay=1000, isn="rfc793")
    conns, rows = eng.connect(PEER, 80, 0, n=1000)
    for i in range(4):
        to_time_wait(eng, conns[i:i + 1], int(rows["sport"][i]), i * 10 * MS)
    for tick in (31, 998, 999):
        looks = eng._port_looks
        assert not eng.connect(PEER, 80, tick * MS, n=1000)[0].any()
        assert eng._port_looks == looks
    for i in range(4):
        for tick, had in ((1000 + 10 * i, 1), (1005 + 10 * i, 0), (1009 + 10 * i, 0)):
            looks = eng._port_looks
            assert np.count_nonzero(eng.connect(PEER, 80, tick * MS, n=1000)[0]) == had
            assert eng._port_looks - looks <= 2 * 1000 * had
    assert eng.check() == []


@rules
@pytest.mark.parametrize("lies", ["in one piece", "in two", "every other"])
def test_no_layout_makes_filling_long(rule, lies):
    """Half of the largest range is taken: the other half costs a bounded number of looks per port."""
    ports = np.arange(1024, 65536)
    taken = {"in one piece": ports[:32_256], "in two": np.r_[ports[:16_128], ports[32_256:48_384]],
             "every other": ports[::2]}[lies]
    eng = engine(rule, ip_local_port_range=(1024, 65535), capacity=70_000)
    eng.connect(PEER, 80, 0, sport=taken)
    conns, _ = eng.connect(PEER, 80, 0, n=40_000)
    assert np.count_nonzero(conns) == 32_256
    assert eng._port_looks < 400 * 32_256
