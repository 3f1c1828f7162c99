"""A timed batch does what one call for each of its rows does.

Two hosts talk over a network with delays, loss and reordering, one call for each segment and each call of an
application, and all timers fired in between: that is the loop which `Engine.play` describes. Then each host's
rows are played to a fresh engine in pieces, some of them through a small `out`. Results, rows and their
times, blocks, counters, causes, events and deadlines must be the same bytes.
"""

import heapq
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpcore import BLOCK, OP, SEGMENT, Config, Engine, OpKind, State, join, segments
from tests.properties.test_batches import CLIENT, CONFIGS, DAY, EVENTS, MS, SERVER, START, seen

NOT_REACHED, REFUSED = 2**64 - 1, 2**64 - 2
ALL = 0xFFFFFFFF
PROFILES = (Config.linux, Config.freebsd, Config.strict)
KINDS = [OpKind.CONNECT, *OpKind] + 3 * [OpKind.SEND, OpKind.RECV]
GAPS = [0, 0, 0, 1, 1000, MS // 3, MS, 3 * MS, 7 * MS, 41 * MS, 200 * MS, 1000 * MS, 3000 * MS, 61_000 * MS]
SILENCES = [7 * DAY, 30 * DAY, 2**32 * MS]
MOST = 4000                                    # segments of a conversation
CALLS = {OpKind.SHUTDOWN: "shutdown", OpKind.CLOSE: "close", OpKind.ABORT: "abort"}


def op(at, kind, conn=0, arg=0, seg=None):
    row = np.zeros(1, OP)
    row["at"], row["kind"], row["conn"], row["arg"] = at, kind, conn, arg
    if seg is not None:
        row["seg"] = seg
    return row


def one_by_one(engine, row):
    """What a row of OP says, as one call; its result and the rows."""
    at, kind, conn, arg = (row[name].item() for name in ("at", "kind", "conn", "arg"))
    if kind == OpKind.SEGMENT:
        return 0, engine.receive(row["seg"].copy(), at)
    if kind == OpKind.CONNECT:
        dst, dport, src, sport = (row["seg"][name].item() for name in ("dst", "dport", "src", "sport"))
        conns, rows = engine.connect(dst, dport, at, src=src or None, sport=sport or None)
        return conns.item(), rows
    if kind == OpKind.ACCEPT:
        conns = engine.accept(conn, 1)
        return conns.item() if len(conns) else 0, segments(0)
    if kind == OpKind.SEND:
        try:
            return 0, engine.send(conn, arg, at)
        except ValueError:
            return REFUSED, segments(0)
    if kind == OpKind.RECV:
        taken, rows = engine.recv(conn, None if arg == ALL else arg, at)
        return taken.item(), rows
    return 0, getattr(engine, CALLS[kind])(conn, at)


class Host:
    """An engine, driven by one call at a time, and what it did and said."""

    def __init__(self, config, addr, listening):
        self.engine, self.addr, self.now = Engine(config), addr, START
        self.listener = listen(self.engine, addr, listening)
        self.conns = [0, 2**32 * 5]
        self.ops, self.rows, self.times, self.results = [], [segments(0)], [], []

    def say(self, rows, at):
        self.rows.append(rows)
        self.times += [at] * len(rows)
        return [(rows[i:i + 1], at) for i in range(len(rows))]

    def advance(self, now):
        """Fire what is due by now, each timer at its own time; the rows with their times."""
        said = []
        while (due := self.engine.next_timer()) is not None and due <= now:
            self.now = max(due, self.now)
            said += self.say(self.engine.advance(self.now), self.now)
        self.now = now
        assert len(self.engine.advance(now)) == 0
        return said

    def do(self, row):
        at = row["at"].item()
        said = self.advance(at)
        result, rows = one_by_one(self.engine, row)
        self.ops.append(row)
        self.results.append(result)
        if row["kind"] in (OpKind.CONNECT, OpKind.ACCEPT) and result:
            self.conns.append(result)
        return said + self.say(rows, at)


def listen(engine, addr, listening):
    auto_accept, auto_close, backlog = listening
    return engine.listen(addr, 80, backlog, auto_accept=auto_accept, auto_close=auto_close)


class Network:
    """Two hosts, and what is under way between them."""

    def __init__(self, configs, listening, seed):
        self.rng = random.Random(seed)
        self.hosts = [Host(config, addr, listening)
                      for config, addr in zip(configs, (CLIENT, SERVER), strict=True)]
        self.flying, self.order = [], itertools.count()
        self.left = MOST                       # without delay two hosts may contradict each other for ever

    def put(self, said, delays):
        for rows, at in said:
            copies = self.rng.choice([1, 1, 1, 1, 1, 1, 1, 0, 2])
            to = [host for host in self.hosts if host.addr == rows["dst"].item()]
            for host in to * copies if self.left > 0 else []:
                self.left -= 1
                due = at + self.rng.choice(delays)
                heapq.heappush(self.flying, (due, next(self.order), host, rows))

    def run(self, until, delays):
        """What happens until then, in order: segments arrive, timers fire."""
        while True:
            timers = [(max(due, host.now), host) for host in self.hosts
                      if (due := host.engine.next_timer()) is not None]
            at, host = min(timers, key=lambda timer: timer[0], default=(until + 1, None))
            if self.flying and self.flying[0][0] <= min(at, until):
                due, _, host, rows = heapq.heappop(self.flying)
                self.put(host.do(op(max(due, host.now), OpKind.SEGMENT, seg=rows)), delays)
            elif at <= until:
                self.put(host.advance(at), delays)
            else:
                return

    def act(self, now):
        """Something that an application does, or a segment that nobody expects."""
        rng, host = self.rng, self.rng.choice(self.hosts)
        kind = rng.choice(KINDS)
        blocks = host.engine.blocks[:8]        # also those that no call has told
        alive = [block["generation"].item() << 32 | slot for slot, block in enumerate(blocks)
                 if block["state"] in (State.ESTABLISHED, State.CLOSE_WAIT)]
        conn = rng.choice(alive * 3 + host.conns[-4:] + host.conns[:2])
        if kind == OpKind.CONNECT:
            peer = rng.choice([one.addr for one in self.hosts])
            seg = segments(1, dst=peer, dport=rng.choice([80, 80, 80, 81]), src=rng.choice([0, host.addr]),
                           sport=rng.choice([0, 0, 0, 40001]))
            return host, op(now, kind, seg=seg)
        if kind == OpKind.SEGMENT:
            tcb = host.engine.blocks[rng.randrange(8)]
            seg = segments(1, src=tcb["raddr"], dst=host.addr, sport=tcb["rport"], dport=tcb["lport"],
                           seq=(tcb["rcv_nxt"].item() + rng.choice([0, 0, 1, -1, 2000])) % 2**32,
                           ack=(tcb["snd_nxt"].item() + rng.choice([0, 0, 1, -1])) % 2**32,
                           flags=rng.choice([2, 16, 17, 18, 4, 20, 24]), wnd=rng.choice([0, 1, 500, 65535]),
                           payload_len=rng.choice([0, 0, 1, 100, 3000]))
            return host, op(now, kind, seg=seg)
        if kind == OpKind.ACCEPT:
            return host, op(now, kind, host.listener)
        most = ALL if kind == OpKind.RECV else 70_000
        return host, op(now, kind, conn, rng.choice([0, 1, 1460, 9000, most]))


def conversation(configs, listening, seed, actions, silent=False):
    """The hosts after some random actions, with all that followed."""
    network = Network(configs, listening, seed)
    rng, now = network.rng, START
    delays = rng.choice([[0], [MS], [20 * MS], [0, 1000, MS, 30 * MS], [7 * MS, 7 * MS + 1]])
    for _ in range(actions):
        now += rng.choice(GAPS)
        if silent and rng.random() < 0.1:
            now += rng.choice(SILENCES)
        network.run(now, delays)
        host, row = network.act(now)
        network.put(host.do(row), delays)
    end = now + rng.choice([0, MS, 10**10, 10**12])
    network.run(end, delays)
    for host in network.hosts:
        host.advance(end)
    return network.hosts


def play_through(engine, ops, until, room):
    """One play, or as many as it takes through an output of `room` rows (None: one without limit)."""
    said, k = [], 0
    while True:
        if room is None:
            rows, times = engine.play(ops[k:], until)
        else:
            out, at_out = np.zeros(room, SEGMENT), np.zeros(room + 1, np.int64)
            rows, times = engine.play(ops[k:], until, out=out, at_out=at_out)
            assert len(rows) == 0 or np.shares_memory(rows, out)
        said.append((rows, times))
        results = ops["result"][k:]
        reached = int(np.argmax(results == NOT_REACHED)) if NOT_REACHED in results else len(results)
        assert (results[reached:] == NOT_REACHED).all()
        due = engine.next_timer()
        if k + reached == len(ops) and (due is None or due > until):
            return said
        assert room is not None
        if reached == 0 and len(rows) == 0:
            room *= 2                          # too small for the first row
        k += reached


def played(config, host, listening, cuts, rooms, end):
    """A fresh engine to which the host's rows are played in pieces; and what it said."""
    engine = Engine(config)
    listen(engine, host.addr, listening)
    ops = np.concatenate([np.zeros(0, OP), *host.ops]).astype(OP)
    ops["result"] = 12345
    edges = sorted({0, len(ops), *(int(where * len(ops)) for where in cuts)})
    said = []
    for (begin, stop), room in zip(itertools.pairwise(edges), itertools.cycle(rooms), strict=False):
        until = ops["at"][stop - 1] if room == 2 else ops["at"][stop] if stop < len(ops) else end
        said += play_through(engine, ops[begin:stop], int(until), room)
    said += play_through(engine, ops[:0], end, None)
    return engine, ops["result"], join([rows for rows, _ in said]), np.concatenate([at for _, at in said])


def looped(config, host, listening):
    """A fresh engine to which the host's rows were told as the loop that `play` documents."""
    engine = Engine(config)
    listen(engine, host.addr, listening)
    for row in host.ops:
        engine.advance(row["at"].item())
        one_by_one(engine, row)
    engine.advance(host.now)
    return engine


def without_places(blocks):
    """The blocks without their places in the timer wheel, which depend on when it was looked at."""
    blocks = np.frombuffer(blocks, BLOCK).copy()
    blocks["timer_pos"] = 0
    return blocks.tobytes()


def same(config, host, listening, cuts, rooms):
    engine, results, rows, times = played(config, host, listening, cuts, rooms, host.now)
    assert results.tolist() == host.results
    assert times.tolist() == host.times
    assert sorted(host.times) == host.times
    assert rows.tobytes() == join(host.rows).tobytes()
    mine, its = seen(engine), seen(host.engine)
    assert mine["check"] == []
    if not cuts and rooms == [None]:
        assert mine == seen(looped(config, host, listening))
    mine["blocks"], its["blocks"] = without_places(mine["blocks"]), without_places(its["blocks"])
    for name, value in its.items():
        assert mine[name] == value, name


listeners = st.tuples(st.booleans(), st.booleans(), st.integers(0, 6))
pieces = st.tuples(st.lists(st.floats(0, 1), max_size=4),
                   st.lists(st.sampled_from([None, None, 2, 3, 5, 40]), min_size=1, max_size=4))


@settings(max_examples=200)
@given(st.tuples(st.sampled_from(PROFILES), st.sampled_from(PROFILES)), st.sampled_from(CONFIGS),
       st.booleans(), listeners, st.integers(0, 2**32), st.integers(1, 40), st.booleans(), pieces)
def test_a_timed_batch_is_the_loop(profiles, knobs, auto_read, listening, seed, actions, silent, how):
    knobs = {"auto_read": auto_read} | knobs
    configs = [profile(events=EVENTS, seed=seed % 3, local_addr=addr, **knobs)
               for profile, addr in zip(profiles, (CLIENT, SERVER), strict=True)]
    for config, host in zip(configs, conversation(configs, listening, seed, actions, silent), strict=True):
        same(config, host, listening, *how)


@pytest.mark.parametrize("rule", ["linux", "random", "random-retry", "hash", "double-hash",
                                  "random-increments"])
def test_a_long_timed_batch_is_the_loop(rule):
    """Several stretches of the pipeline, and more searches for ports than one stretch can have."""
    config = Config.linux(events=EVENTS, capacity=400, port_selection=rule, tcp_tw_reuse=1,
                          ip_local_port_range=(40000, 40200), time_wait_ms=3000)
    listening = (True, True, 10)
    for host in conversation([config, config.replace(local_addr=SERVER)], listening, 5, 900):
        same(host.engine.config, host, listening, [0.1, 0.6], [None, 7, None])
