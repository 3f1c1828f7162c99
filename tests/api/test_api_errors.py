"""Bad arguments: an exception that names the argument and says what was expected; the state is untouched."""

import tracemalloc

import numpy as np
import pytest

from tcpcore import SEGMENT, Config, Engine, Flag, segments

SECOND = 10**9
LOCAL, PEER = "10.0.0.1", "10.0.0.2"
NOW = 5 * SECOND


class Scene:
    """An engine in the middle of things: a listener, a half-open entry, three active opens, one done."""

    def __init__(self):
        self.eng = Engine(capacity=16, events=("opened", "lost", "refused"))
        self.web = self.eng.listen(LOCAL, 80)
        self.gone = self.eng.listen(LOCAL, 81)
        self.eng.unlisten(self.gone, 0)
        self.conns, _ = self.eng.connect(PEER, 7, 0, sport=[1, 2, 3])
        synack = segments(1, src=PEER, dst=LOCAL, sport=7, dport=1, flags=Flag.SYN | Flag.ACK, wnd=60_000,
                          seq=1, ack=self.eng.info(self.conns)["snd_nxt"][0])
        self.eng.receive(synack, 0)
        self.syns = segments(4, src=PEER, dst=LOCAL, sport=[1, 2, 3, 4], dport=80, flags=Flag.SYN, seq=9)
        self.eng.receive(self.syns[:1], NOW)

    def seen(self):
        """Everything that a call could have changed, but for the events, which looking at drains."""
        eng = self.eng
        return (eng.blocks.tobytes(), eng.counters, eng.causes, eng.state_counts().tolist(), eng.gauges(),
                eng.next_timer(), repr(eng))


@pytest.fixture
def scene():
    return Scene()


class NoInteger:
    """Not a number at all."""


READ_ONLY = segments(100)
READ_ONLY.flags.writeable = False
PACKED = np.zeros(4, [(name, SEGMENT[name]) for name in SEGMENT.names])

TIMES = (-1, 0, NOW - 1, 2**63, 10**30, 1.5, float(NOW), None, "5", NoInteger(), np.array([NOW]), True)
EMITTERS = {
    "receive": lambda s, now, **out: s.eng.receive(s.syns, now, **out),
    "advance": lambda s, now, **out: s.eng.advance(now, **out),
    "connect": lambda s, now, **out: s.eng.connect(PEER, 80, now, n=2, **out),
    "send": lambda s, now, **out: s.eng.send(s.conns, 10, now, **out),
    "recv": lambda s, now, **out: s.eng.recv(s.conns, None, now, **out),
    "shutdown": lambda s, now, **out: s.eng.shutdown(s.conns, now, **out),
    "close": lambda s, now, **out: s.eng.close(s.conns, now, **out),
    "abort": lambda s, now, **out: s.eng.abort(s.conns, now, **out),
    "unreachable": lambda s, now, **out: s.eng.unreachable(s.conns, now, **out),
    "unlisten": lambda s, now, **out: s.eng.unlisten(s.web, now, **out),
}
OTHER_ORDER = segments(2).byteswap().view(SEGMENT.newbyteorder())
NOT_A_NUMBER = (1.5, "1", NoInteger())

#: The name in the message, the call, and values it must not take.
CALLS = [
    ("segs", lambda s, bad: s.eng.receive(bad, NOW), (
        None, 5, b"x" * 40, [1, 2], np.zeros(3), np.zeros((3, 40), np.uint8), segments(4).reshape(2, 2),
        segments(8)[::2], PACKED, segments(4).tolist(), segments(2)[0], OTHER_ORDER)),
    *(("conns", call, (-1, None, [1.5], ["1"], [-1], [2**64], {}, *NOT_A_NUMBER)) for call in (
        lambda s, bad: s.eng.close(bad, NOW), lambda s, bad: s.eng.info(bad),
        lambda s, bad: s.eng.send(bad, 1, NOW), lambda s, bad: s.eng.recv(bad, None, NOW))),
    ("nbytes", lambda s, bad: s.eng.send(s.conns, bad, NOW), (
        -1, 2**32, None, [1, 2], [[1, 2], [3, 4]], [1, 2, -3], 2**30 + 1, *NOT_A_NUMBER)),
    ("nbytes", lambda s, bad: s.eng.recv(s.conns, bad, NOW), (-1, 2**32, [1, 2], *NOT_A_NUMBER)),
    ("listener", lambda s, bad: s.eng.accept(bad), (0, -1, 99, 2**40, 2**70, None, True, *NOT_A_NUMBER)),
    ("listener", lambda s, bad: s.eng.unlisten(bad, NOW), (0, -1, 99, None, *NOT_A_NUMBER)),
    ("limit", lambda s, bad: s.eng.accept(s.web, bad), (-1, 2**64, True, *NOT_A_NUMBER)),
    ("addr", lambda s, bad: s.eng.listen(bad, 99), (
        -1, 2**32, "10.0.0", "10.0.0.256", "::1", "", "example.org", None, [1, 2], *NOT_A_NUMBER)),
    ("port", lambda s, bad: s.eng.listen(LOCAL, bad), (0, -1, 65536, None, True, [80], *NOT_A_NUMBER)),
    ("backlog", lambda s, bad: s.eng.listen(LOCAL, 99, bad), (-1, 2**64, True, *NOT_A_NUMBER)),
    ("defer_accept", lambda s, bad: s.eng.listen(LOCAL, 99, defer_accept=bad), (-1, 2**31, True)),
    ("rcv_buf", lambda s, bad: s.eng.listen(LOCAL, 99, rcv_buf=bad), (0, -1, 2**31, True, *NOT_A_NUMBER)),
    ("linger_s", lambda s, bad: s.eng.close(s.conns, NOW, linger_s=bad), (
        -2, 65536, [1, -2], True, *NOT_A_NUMBER)),
    ("user_timeout_ms", lambda s, bad: s.eng.listen(LOCAL, 99, user_timeout_ms=bad), (-1, 2**30, True,
                                                                                   *NOT_A_NUMBER)),
    ("user_timeout_ms", lambda s, bad: s.eng.connect(PEER, 80, NOW, user_timeout_ms=bad), (
        -1, 2**30, [1, 2], *NOT_A_NUMBER)),
    ("rcv_buf", lambda s, bad: s.eng.connect(PEER, 80, NOW, rcv_buf=bad), (
        0, -1, 2**31, 2**32, [1, 0], *NOT_A_NUMBER)),
    ("dst", lambda s, bad: s.eng.connect(bad, 80, NOW), (
        -1, 2**32, "nowhere", 0, "0.0.0.0", "224.0.0.1", "255.255.255.255", None, [1, 0], *NOT_A_NUMBER)),
    ("dport", lambda s, bad: s.eng.connect(PEER, bad, NOW), (0, -1, 65536, None, [80, 0], *NOT_A_NUMBER)),
    ("src", lambda s, bad: s.eng.connect(PEER, 80, NOW, src=bad), (
        -1, 2**32, "nowhere", 0, "224.0.0.1", *NOT_A_NUMBER)),
    ("sport", lambda s, bad: s.eng.connect(PEER, 80, NOW, sport=bad), (0, -1, 65536, [80, 0], *NOT_A_NUMBER)),
    ("isn", lambda s, bad: s.eng.connect(PEER, 80, NOW, isn=bad), (-1, 2**32, *NOT_A_NUMBER)),
    ("n", lambda s, bad: s.eng.connect(PEER, 80, NOW, n=bad), (-1, True, 2**64, [2], *NOT_A_NUMBER)),
    ("n", lambda s, bad: s.eng.connect(PEER, [80, 81, 82], NOW, n=bad), (0, 2, 4)),
    ("dst, dport", lambda s, bad: s.eng.connect([1, 2, 3], bad, NOW), ([80, 81], [80] * 4)),
    ("raddr", lambda s, bad: s.eng.lookup(bad, 1, LOCAL, 2), (-1, 2**32, "nowhere", None, *NOT_A_NUMBER)),
    ("rport", lambda s, bad: s.eng.lookup(PEER, bad, LOCAL, 2), (-1, 65536, None, *NOT_A_NUMBER)),
    ("laddr", lambda s, bad: s.eng.lookup(PEER, 1, bad, 2), (-1, 2**32, "nowhere", None, *NOT_A_NUMBER)),
    ("lport", lambda s, bad: s.eng.lookup(PEER, 1, LOCAL, bad), (-1, 65536, None, *NOT_A_NUMBER)),
    ("raddr, rport", lambda s, bad: s.eng.lookup([1, 2], bad, LOCAL, 1), ([1, 2, 3],)),
]


def refused(scene, name, call):
    before = scene.seen()
    with pytest.raises((TypeError, ValueError)) as caught:
        call(scene)
    assert name in str(caught.value).partition(":")[0], f"{name} is not named: {caught.value!r}"
    assert "expected" in str(caught.value) and "got" in str(caught.value), caught.value
    assert scene.seen() == before, "the state was touched"


@pytest.mark.parametrize(("name", "call", "values"), CALLS, ids=[name for name, *_ in CALLS])
def test_bad_argument(scene, name, call, values):
    for bad in values:
        refused(scene, name, lambda s, bad=bad: call(s, bad))
    assert scene.eng.check() == []


def test_the_id_of_a_closed_listener_is_bad(scene):
    refused(scene, "listener", lambda s: s.eng.accept(s.gone))
    refused(scene, "listener", lambda s: s.eng.unlisten(s.gone, NOW))


@pytest.mark.parametrize("call", EMITTERS)
def test_bad_now(scene, call):
    for now in TIMES:
        refused(scene, "now", lambda s, now=now: EMITTERS[call](s, now))


@pytest.mark.parametrize("call", EMITTERS)
def test_out_of_the_wrong_kind(scene, call):
    for out in (5, [], b"x" * 4000, np.zeros(100), np.zeros(4000, np.uint8), segments(100).reshape(10, 10),
                segments(200)[::2], np.zeros(100, PACKED.dtype), READ_ONLY, "out"):
        refused(scene, "out", lambda s, out=out: EMITTERS[call](s, NOW, out=out))


@pytest.mark.parametrize("call", sorted(set(EMITTERS) - {"unlisten", "advance"}))
def test_out_too_small(scene, call):
    needed = {"receive": 8, "connect": 2, "send": 1}.get(call, 3)
    refused(scene, "out", lambda s: EMITTERS[call](s, NOW, out=segments(needed - 1)))
    EMITTERS[call](scene, NOW, out=segments(needed))
    assert scene.eng.check() == []


def test_out_of_advance_and_unlisten_may_be_as_small_as_their_rows(scene):
    refused(scene, "out", lambda s: s.eng.advance(NOW, out=segments(0)))
    assert len(scene.eng.advance(NOW, out=segments(1))) == 1
    assert len(scene.eng.unlisten(scene.web, NOW, out=segments(0))) == 0


@pytest.mark.parametrize("call", EMITTERS)
def test_out_is_used_and_a_view_of_it_returned(call):
    scene, other = Scene(), Scene()
    room = segments(100, seq=77)
    rows = EMITTERS[call](scene, NOW, out=room)
    expected = EMITTERS[call](other, NOW)
    if isinstance(rows, tuple):
        assert rows[0].tolist() == expected[0].tolist()
        rows, expected = rows[1], expected[1]
    assert rows.tobytes() == expected.tobytes()
    assert rows.base is room and (len(rows) == 0 or np.shares_memory(rows, room))
    assert rows.tobytes() == room[:len(rows)].tobytes(), "not from its beginning"
    assert (room["seq"][max(len(rows), 8):] == 77).all(), "written beyond what was returned"
    assert scene.seen() == other.seen()


def test_out_that_overlaps_the_input(scene):
    room = segments(12)
    room[:2] = scene.syns[:2]
    for part in (room, room[1:], room[:4]):
        refused(scene, "out", lambda s, part=part: s.eng.receive(room[:2], NOW, out=part))
    assert len(scene.eng.receive(room[:2], NOW, out=room[2:])) == 2


def test_a_read_only_batch_is_fine(scene):
    scene.syns.flags.writeable = False
    assert len(scene.eng.receive(scene.syns, NOW)) == 4


def test_time_may_stand_still_and_is_one_for_all_calls(scene):
    for call in ("receive", "send", "advance"):
        EMITTERS[call](scene, NOW)
    EMITTERS["close"](scene, NOW + 1)
    refused(scene, "now", lambda s: EMITTERS["receive"](s, NOW))
    EMITTERS["receive"](scene, np.int64(NOW + 1))


@pytest.mark.parametrize(("arguments", "knobs", "named"), [
    ((5,), {}, "config"), (({"capacity": 5},), {}, "config"), ((), {"capacity": 0}, "capacity"),
    ((), {"capacity": 2**31}, "capacity"), ((), {"seed": -1}, "seed"), ((), {"isn": "rfc1948"}, "isn"),
    ((), {"tcp_tw_resue": 1}, "tcp_tw_resue"), ((Config(),), {"mss": "big"}, "mss"),
    ((), {"events": ["opned"]}, "events"), ((), {"ip_local_port_range": (5, 4)}, "ip_local_port_range"),
])
def test_bad_construction(arguments, knobs, named):
    with pytest.raises((TypeError, ValueError), match=named):
        Engine(*arguments, **knobs)


@pytest.mark.parametrize(("n", "fields", "named"), [
    (-1, {}, "n"), (1.5, {}, "n"), (2, {"seq": [1, 2, 3]}, "seq"), (1, {"flags": 256}, "flags"),
    (1, {"sport": -1}, "sport"), (1, {"src": "nowhere"}, "src"), (1, {"window": 1}, "window"),
    (1, {"seq": 1.5}, "seq"),
])
def test_bad_segments(n, fields, named):
    with pytest.raises((TypeError, ValueError), match=f"^{named}: .*expected"):
        segments(n, **fields)


def test_a_bad_segment_never_raises(scene):
    junk = np.frombuffer(bytes(range(256)) * 5, SEGMENT)
    assert len(scene.eng.receive(junk, NOW)) <= 2 * len(junk)
    assert scene.eng.check() == []


@pytest.mark.parametrize("n", [2**20 + 11, 10**9, 2**62])
def test_more_connections_than_there_can_be_are_refused_before_they_take_memory(n):
    eng = Engine(capacity=10)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f"^n: expected 0 .. 1048586, got {n}$"):
            eng.connect(PEER, 80, 0, n=n)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    conns, rows = eng.connect(PEER, 80, 0, n=11)
    assert (np.count_nonzero(conns), len(rows), eng.causes["BlocksExhausted"]) == (10, 10, 1)
