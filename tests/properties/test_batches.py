"""A batch of n does what n batches of one do.

Two engines talk to each other and to strangers, in random order, and every call is written down. Then the
whole conversation is told again to fresh engines: once as it was, once with each batch of segments, handles
and openings cut at random and each `advance` squeezed through a small `out`. Rows, blocks, counters, causes,
events and deadlines must be the same bytes; `readable` and `writable`, which come once a call, may come once
a piece.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpcore import SEGMENT, Config, Engine, EventKind, segments
from tests.reference.events import merged

MS = 1_000_000
DAY = 86_400_000 * MS
START = (2**32 - 300) * MS             # the millisecond clocks wrap soon
CLIENT, SERVER = 0x0A000002, 0x0A000001
EVENTS = tuple(kind.name.lower() for kind in EventKind)

CONFIGS = [
    {"capacity": 32},
    {"capacity": 9, "tcp_timestamps": 0, "auto_read": False, "rcv_buf": 4000, "tcp_max_tw_buckets": 2},
    {"capacity": 32, "isn": "random", "port_selection": "random", "tcp_challenge_ack_limit": 4,
     "tcp_invalid_ratelimit": 0, "delack_ms": 40, "ip_local_port_range": (40000, 40007)},
    {"capacity": 12, "synq_policy": "drop-new", "tcp_abort_on_overflow": 1, "isn": "rfc793",
     "time_wait_ms": 30, "port_selection": "hash", "ip_local_port_range": (40000, 40003)},
    {"capacity": 12, "synq_policy": "evict-random", "tcp_syncookies": 0, "dup_syn_restarts": 1,
     "somaxconn": 1},
]


class Recorder:
    """An engine that writes down what it is told, what it answers and its events."""

    def __init__(self, config):
        self.engine, self.log, self.said, self.events = Engine(config), [], [], []
        self.listener = self.conns = None

    def call(self, name, *args, **options):
        answer = getattr(self.engine, name)(*args, **options)
        self.log.append((name, args, options))
        self.events.append(self.engine.events().tolist())
        rows = answer[1] if isinstance(answer, tuple) else answer
        if isinstance(rows, np.ndarray) and rows.dtype == SEGMENT:
            self.said.append(rows.tobytes())
        return answer


def cut(n, cuts):
    """0 .. n in pieces, at the fractions `cuts`."""
    edges = sorted({0, n, *(int(where * n) for where in cuts)})
    return list(zip(edges, edges[1:], strict=False))


def part(value, begin, end):
    return value[begin:end] if isinstance(value, (np.ndarray, list)) else value


def retell(config, log, cuts, room, predicting=True):
    """The same calls in pieces; rows as bytes and events, call by call."""
    engine, said, events = Engine(config), [], []
    engine._predicting = predicting
    for name, args, options in log:
        method = getattr(engine, name)
        if name in ("listen", "accept", "unlisten"):
            answer = method(*args, **options)
            if name == "unlisten":
                said.append(answer.tobytes())
        elif name == "advance":
            out, rows = segments(room), b""
            while True:
                some = method(*args, out=out)
                rows += some.tobytes()
                if len(some) < room:
                    break
            said.append(rows)
        else:
            rows = b""
            for begin, end in cut(len(args[0]), cuts):
                answer = method(*(part(value, begin, end) for value in args), **options)
                rows += (answer[1] if isinstance(answer, tuple) else answer).tobytes()
            said.append(rows)
        events.append(merged(engine.events().tolist()))
    return engine, said, events


def seen(engine):
    gauges = engine.gauges()
    del gauges["bytes_total"], gauges["bytes_per_connection"]
    handles = engine.blocks["generation"].astype(np.uint64) << np.uint64(32)
    handles |= np.arange(len(handles), dtype=np.uint64)
    return {"blocks": engine.blocks.tobytes(), "counters": engine.counters, "causes": engine.causes,
            "gauges": gauges, "states": engine.state_counts().tolist(), "events": engine.events().tolist(),
            "check": engine.check(), "info": engine.info(handles).tolist()}


def junk(draw, other):
    """Segments of nobody, or beside a connection the other engine has."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n = draw(st.integers(1, 12))
    blocks = other.blocks[:8][rng.integers(0, 8, n)]
    near = rng.random(n) < 0.7
    off = rng.choice([0, 0, 0, 1, -1, 1000, 2**31], n)
    return segments(
        n, src=np.where(near, blocks["raddr"], CLIENT), dst=np.where(near, blocks["laddr"], SERVER),
        sport=np.where(near, blocks["rport"], rng.integers(1, 9, n)),
        dport=np.where(near, blocks["lport"], 80),
        seq=(blocks["rcv_nxt"] + off) % 2**32, ack=(blocks["snd_nxt"] + rng.choice([0, 0, 1, -1], n)) % 2**32,
        flags=rng.choice([2, 16, 17, 18, 4, 20, 0, 255, 24], n), wnd=rng.choice([0, 1, 500, 65535], n),
        payload_len=rng.choice([0, 0, 1, 100, 3000], n), tsval=rng.integers(0, 2**32, n),
        opts=rng.choice([0, 8, 15], n), mss=rng.choice([0, 536, 1460], n), wscale=rng.integers(0, 20, n))


def some(draw, conns):
    """All of them, or a few."""
    few = st.lists(st.sampled_from(conns), min_size=1, max_size=6)
    return np.array(draw(st.one_of(st.just(conns), few)), np.uint64)


class World:
    """A client and a server, what is under way to each, and the time."""

    def __init__(self, config, seed):
        self.rng = np.random.default_rng(seed)
        self.now = START
        self.client, self.server = Recorder(config), Recorder(config)
        self.wires = {self.client: [], self.server: []}
        self.conns = {self.client: [0], self.server: [0]}

    def other(self, one):
        return self.server if one is self.client else self.client

    def send(self, one, rows):
        """`one` has sent rows."""
        self.wires[self.other(one)].append(rows)

    def connect(self, n, sport):
        found, rows = self.client.call("connect", np.full(n, SERVER), np.full(n, 80), self.now, sport=sport)
        self.conns[self.client] += found[found > 0].tolist()
        self.send(self.client, rows)

    def deliver(self, one, loss):
        """What is under way to `one`, some of it lost, some of it twice."""
        while self.wires[one]:
            batch = self.wires[one].pop(0)
            copies = self.rng.choice([1, 0, 2], len(batch), p=[1 - loss, loss / 2, loss / 2])
            self.send(one, one.call("receive", batch[np.repeat(np.arange(len(batch)), copies)], self.now))

    def talk(self, rounds, loss):
        for _ in range(rounds):
            self.deliver(self.server, loss)
            self.deliver(self.client, loss)

    def accept(self, listener, limit):
        self.conns[self.server] += self.server.call("accept", listener, limit).tolist()

    def wait(self, pause):
        self.now += pause
        for one in (self.client, self.server):
            self.send(one, one.call("advance", self.now))


ACTIONS = ["open", "open", "talk", "talk", "deliver", "connect", "accept", "wait", "junk", "send", "send",
           "recv", "shutdown", "close", "close", "abort", "unreachable", "silence"]
SILENCES = [7 * DAY, 13 * DAY, 25 * DAY, 40 * DAY, 60 * DAY, 2**31 * MS, 2**32 * MS, 1000 * DAY]
PAUSES = [0, 1, MS, 41 * MS, 200 * MS, 1000 * MS, 3000 * MS, 61_000 * MS]


@st.composite
def conversations(draw, profiles=(Config.linux,), knobs=None, configs=CONFIGS):
    """The config, one of `configs` with some of `knobs` turned, and what client and server wrote down."""
    profile = draw(st.sampled_from(profiles))
    config = profile(events=EVENTS, seed=draw(st.integers(0, 3)), local_addr=CLIENT,
                     **draw(st.sampled_from(configs)),
                     **draw(st.fixed_dictionaries({}, optional=knobs or {})))
    world = World(config, draw(st.integers(0, 2**32)))
    listener = world.server.call("listen", SERVER, 80, draw(st.integers(0, 6)),
                                 auto_close=draw(st.booleans()), auto_accept=draw(st.booleans()))
    for _ in range(draw(st.integers(4, 20))):
        one = draw(st.sampled_from([world.client, world.server]))
        conns = world.conns[one]
        what = draw(st.sampled_from(ACTIONS))
        if what in ("connect", "open"):
            world.connect(draw(st.integers(1, 8)), draw(st.sampled_from([None, None, None, 40001])))
        if what in ("talk", "open"):
            world.talk(draw(st.integers(2, 4)), draw(st.sampled_from([0.0, 0.0, 0.3])))
        if what in ("accept", "open"):
            world.accept(listener, draw(st.sampled_from([None, 1])))
        elif what == "deliver":
            world.deliver(one, 0.3)
        elif what == "junk":
            world.send(one, one.call("receive", junk(draw, one.engine), world.now))
        elif what == "silence":
            world.now += draw(st.sampled_from(SILENCES))
        elif what == "wait":
            world.wait(draw(st.sampled_from(PAUSES)))
        elif what == "send":
            nbytes = draw(st.sampled_from([1, 1460, 9000]))
            world.send(one, one.call("send", some(draw, conns), nbytes, world.now))
        elif what == "recv":
            nbytes = draw(st.sampled_from([None, 1, 2000]))
            world.send(one, one.call("recv", some(draw, conns), nbytes, world.now)[1])
        elif what == "close":
            linger = draw(st.sampled_from([None, None, 0, 1, 20]))
            world.send(one, one.call(what, some(draw, conns), world.now, linger_s=linger))
        elif what in ("shutdown", "abort", "unreachable"):
            world.send(one, one.call(what, some(draw, conns), world.now))
    if draw(st.booleans()):
        world.server.call("unlisten", listener, world.now)
    world.wait(10**12)
    return config, world.client, world.server


def told_alike(recorder, again, said, events):
    """An engine to which a conversation was told again said and became the same."""
    told = seen(recorder.engine)
    assert told["check"] == []
    for call, mine, its in zip([entry for entry in recorder.log if entry[0] not in ("listen", "accept")],
                               recorder.said, said, strict=True):
        assert mine == its, call
    assert recorder.events == events
    for name, value in seen(again).items():
        assert value == told[name], name


@settings(max_examples=150)
@given(conversations(), st.lists(st.floats(0, 1), max_size=6), st.integers(1, 5))
def test_batches_may_be_cut_anywhere(conversation, cuts, room):
    config, *recorders = conversation
    for recorder in recorders:
        told_alike(recorder, *retell(config, recorder.log, cuts, room))


def test_a_flood_in_one_batch_or_one_by_one():
    """More than one stride of the pipeline, the same flow several times in it."""
    rng = np.random.default_rng(1)
    n = 5000
    batch = segments(n, src=CLIENT, dst=SERVER, sport=rng.integers(1, 600, n), dport=80,
                     seq=rng.integers(0, 3, n), ack=rng.integers(0, 3, n), wnd=1000,
                     flags=rng.choice([2, 2, 16, 4, 17], n))
    config = Config.linux(capacity=300, isn="rfc793", tcp_challenge_ack_limit=20)
    whole, single = Engine(config), Engine(config)
    for engine in (whole, single):
        engine.listen(SERVER, 80, 200)
    rows = whole.receive(batch, 0)
    assert rows.tobytes() == b"".join(single.receive(batch[i:i + 1], 0).tobytes() for i in range(n))
    assert seen(whole) == seen(single)


@settings(max_examples=100)
@given(st.sampled_from(["linux", "random", "random-retry", "hash", "double-hash", "random-increments"]),
       st.sampled_from([40000, 40001, 40040, 42000]), st.integers(1, 40), st.integers(0, 2**32),
       st.lists(st.floats(0, 1), max_size=6))
def test_chosen_ports_do_not_depend_on_the_cut(rule, high, sources, seed, cuts):
    """Several stretches of connect(), few sources and ports in use: what is speculated for a stretch is often
    wrong, and the connections of one stretch meet each other's ports."""
    rng = np.random.default_rng(seed)
    config = Config.linux(capacity=700, seed=seed, port_selection=rule, tcp_tw_reuse=1,
                          ip_local_port_range=(40000, high))
    whole, cuttable = Engine(config), Engine(config)
    for now in range(0, 3 * MS, MS):
        src = CLIENT + rng.integers(0, sources, 300).astype(np.uint32)
        taken = np.unique(rng.integers(40000, high + 1, 40))
        for engine in (whole, cuttable):
            engine.connect(SERVER, 80, now, src=CLIENT, sport=taken)
        conns, rows = whole.connect(SERVER, 80, now, src=src)
        parts = [cuttable.connect(SERVER, 80, now, src=src[begin:end]) for begin, end in cut(300, cuts)]
        assert conns.tobytes() == b"".join(part.tobytes() for part, _ in parts)
        assert rows.tobytes() == b"".join(part.tobytes() for _, part in parts)
        gone = conns[(conns != 0) & (rng.random(300) < 0.5)]
        for engine in (whole, cuttable):
            engine.abort(gone, now)
    assert seen(whole) == seen(cuttable)
