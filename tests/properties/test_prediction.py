"""Header prediction does what the state machine does: one conversation with and without it, byte for byte."""

import numpy as np
import pytest
from hypothesis import given, settings

from tcpcore import Config, Engine, segments
from tests.properties.test_batches import CLIENT, MS, SERVER, conversations, retell, seen, told_alike
from tests.properties.test_engine_reference import BESIDE_ACCEPTANCE


@settings(max_examples=300)
@given(conversations(profiles=(Config.linux, Config.freebsd, Config.strict), knobs=BESIDE_ACCEPTANCE))
def test_fast_is_slow(conversation):
    config, *recorders = conversation
    for recorder in recorders:
        told_alike(recorder, *retell(config, recorder.log, [], 5, predicting=False))


def life(engines, n, rtt):
    """n whole lives, the client first to close; how many segments arrived."""
    client, server = engines
    web = server.listen(SERVER, 80, n)
    now, arrived = 0, 0
    conns, rows = client.connect(SERVER, 80, now, src=CLIENT, sport=np.arange(1024, 1024 + n))

    def cross(rows, ends):
        nonlocal now, arrived
        for end in ends:
            now += rtt // 2
            arrived += len(rows)
            rows = end.receive(rows, now)
        return rows

    cross(rows, (server, client, server))
    served = server.accept(web)
    cross(client.close(conns, now), (server, client))
    cross(server.close(served, now), (client, server))
    return arrived


@pytest.mark.parametrize("timestamps", [0, 1])
def test_a_whole_life_is_predicted(timestamps):
    """Every segment of the undisturbed life but the SYN takes the short way: were it not so, nothing above
    would have been tested."""
    config = Config.linux(capacity=100, tcp_timestamps=timestamps, local_addr=CLIENT)
    engines = Engine(config), Engine(config)
    n = 50
    arrived = life(engines, n, 40 * MS)
    assert arrived == 7 * n
    assert sum(engine._predicted for engine in engines) == (arrived - n) + 2 * n     # and both closes
    slow = Engine(config), Engine(config)
    for engine in slow:
        engine._predicting = False
    assert life(slow, n, 40 * MS) == arrived
    assert sum(engine._predicted for engine in slow) == 0
    assert [seen(engine) for engine in slow] == [seen(engine) for engine in engines]


def test_nothing_old_is_predicted():
    """The same segment a second time is the state machine's."""
    config = Config.linux(capacity=10, local_addr=SERVER)
    engine = Engine(config)
    engine.listen(SERVER, 80, 5)
    syn = segments(1, src=CLIENT, dst=SERVER, sport=1024, dport=80, seq=7, flags=2, wnd=1000)
    synack = engine.receive(syn, 0)
    ack = segments(2, src=CLIENT, dst=SERVER, sport=1024, dport=80, seq=8, ack=synack["seq"] + 1, flags=16,
                   wnd=1000)
    engine.receive(ack, MS)
    assert engine._predicted == 1


@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("policy", ["linux", "drop-new", "evict-oldest", "freebsd"])
def test_a_queue_that_fills_up(policy, cookies):
    """Where the policy need not be asked it would have said the same, up to the last place and beyond."""
    engines = []
    for predicting in (True, False):
        engine = Engine(Config.linux(capacity=40, synq_policy=policy, tcp_syncookies=cookies))
        engine._predicting = predicting
        engine.listen(SERVER, 80, 3)
        engines.append(engine)
    for port in range(1024, 1036):
        syn = segments(1, src=CLIENT, dst=SERVER, sport=port, dport=80, seq=7,
                       flags=[2, 2 | 64 | 128][port % 2], wnd=1000, opts=[0, 8][port // 2 % 2],
                       tsval=port, payload_len=port // 4 % 2)
        fast, slow = (engine.receive(syn, MS).tobytes() for engine in engines)
        assert fast == slow
        assert engines[0].gauges()["half_open"] == engines[1].gauges()["half_open"]
    assert seen(engines[0]) == seen(engines[1])


def flooded(config, predicting, cuts):
    """All that a host answers to SYNs from many peers, most of them alike, in batches of these sizes; some
    peers complete the handshake, and the minute of the cookies changes."""
    engine = Engine(config)
    engine._predicting = predicting
    engine.listen(SERVER, 80, 20, auto_accept=True)
    rows = np.concatenate([syn(1024 + i, seq=i * 7919) for i in range(360)])
    rows["src"] += np.arange(360, dtype=np.uint32) % 5
    rows["opts"][90:100] = 7
    rows["mss"][200:203] = 536
    rows["payload_len"][220:223] = 5
    answers = []
    for at in range(0, len(rows), 120):
        now = (59_999 + at) * MS
        got = split(engine, rows[at:at + 120], now, cuts)
        acks = answered(np.frombuffer(got, rows.dtype)[::4])
        answers += [got, split(engine, np.concatenate([acks, rows[:9]]), now, cuts)]
    assert engine.check() == []
    return answers, seen(engine)


def split(engine, rows, now, cuts):
    """The answers to these segments in batches of these sizes, the last one of all that are left."""
    answers = b""
    for size in [*cuts, len(rows)]:
        answers += engine.receive(rows[:size], now).tobytes()
        rows = rows[size:]
    return answers


def answered(rows):
    """The ACKs of these SYN-ACKs."""
    return segments(len(rows), src=rows["dst"], dst=rows["src"], sport=rows["dport"], dport=rows["sport"],
                    seq=rows["ack"], ack=rows["seq"] + np.uint32(1), flags=16, wnd=500, opts=rows["opts"] & 8,
                    tsval=rows["tsecr"] + np.uint32(1), tsecr=rows["tsval"])


@pytest.mark.parametrize("profile, knobs", [
    ("linux", {"tcp_syncookies": 0}), ("linux", {"tcp_syncookies": 1}),
    ("linux", {"tcp_syncookies": 1, "tcp_timestamps": 0}), ("linux", {"tcp_syncookies": 2, "tcp_ecn": 1}),
    ("linux", {"tcp_syncookies": 0, "synq_policy": "evict-oldest"}),
    ("linux", {"tcp_syncookies": 0, "synq_policy": "evict-random"}),
    ("linux", {"tcp_syncookies": 0, "synq_policy": "short-timer"}),
    ("freebsd", {"tcp_syncookies": 0}), ("freebsd", {"tcp_syncookies": 1}),
    ("freebsd", {"tcp_syncookies": 2}),
])
def test_a_flood_of_syns_alike(profile, knobs):
    """A full queue refuses, evicts or answers by cookie for a stretch of SYNs as it does for each alone."""
    if profile == "freebsd":
        knobs = knobs | {"syncache_hashsize": 4, "syncache_bucketlimit": 6}
    config = getattr(Config, profile)(capacity=400, somaxconn=400, **knobs)
    slow = flooded(config, False, [1] * 120)
    assert flooded(config, True, []) == flooded(config, True, [3, 1, 70]) == slow


def syn(port, **fields):
    """The SYN of a client at this port, with the options of Linux unless told otherwise."""
    given = {"opts": 15, "mss": 1400, "wscale": 7, "wnd": 64240, "tsval": port, "seq": 3 * port} | fields
    return segments(1, src=CLIENT, dst=SERVER, sport=port, **({"dport": 80, "flags": 2} | given))


def served(predicting, timestamps):
    """All that a host answers to SYNs in a row that mostly are alike, while what they are answered from
    changes: rows, and what is seen of the engine in the end."""
    engine = Engine(Config.linux(capacity=400, tcp_timestamps=timestamps))
    engine._predicting = predicting
    web = engine.listen(SERVER, 80, 300)
    answers = []

    def arrive(rows):
        answers.append(engine.receive(rows, len(answers) * MS).tobytes())

    for other in ({}, {"opts": 7}, {"mss": 536}, {"wscale": 2}, {"wnd": 1}, {"flags": 66}, {"flags": 194},
                  {"dport": 81}, {"payload_len": 3}, {"opts": 0}):  # fmt: skip
        for _ in range(3):
            arrive(syn(2000 + len(answers)))
            arrive(syn(3000 + len(answers), **other))
            arrive(syn(4000 + len(answers), **other))
        if len(answers) == 18:
            engine.listen("0.0.0.0", 81, 300, auto_close=True, rcv_buf=20_000)
    engine.set_knobs(tcp_min_snd_mss=1450)
    arrive(syn(5000))
    engine.unlisten(web, len(answers) * MS)
    arrive(syn(5001))
    engine.listen("0.0.0.0", 80, 5, auto_accept=True, auto_close=True)
    for port in range(5002, 5010):
        arrive(syn(port))
    padded = np.full(3 * 40, 0x55, np.uint8).view(syn(1).dtype)
    for name in padded.dtype.names:
        padded[name] = np.concatenate([syn(6000), syn(6001), syn(6002)])[name]
    arrive(padded)
    return answers, seen(engine)


@pytest.mark.parametrize("timestamps", [0, 1, 2])
def test_syns_like_the_last_one(timestamps):
    """The image of the last SYN answers what the whole passive open does, and ends with what it was made
    under: options, listener, knobs."""
    assert served(True, timestamps) == served(False, timestamps)
