"""Any 40 bytes are a segment: no crash, no exception, and every identity holds afterwards.

Pure junk first; then segments that are nearly right, which get further: what an honest peer would say to a
live connection, with some fields spoiled.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tcpcore import SEGMENT, Config, Engine, segments

MS = 1_000_000
START = (2**32 - 500) * MS
LOCAL, PEER = 0x0A000001, 0x0A000002
PORTS = np.arange(1, 5)

CONFIGS = [
    Config.linux(capacity=24, local_addr="10.0.0.1"),
    Config.linux(capacity=24, auto_read=False, rcv_buf=200_000, delack_ms=40, tcp_max_tw_buckets=1,
                 tcp_syncookies=0, tcp_fin_timeout=61, tcp_challenge_ack_limit=3, local_addr="10.0.0.1"),
    Config.freebsd(capacity=9, tcp_timestamps=2, insecure_rst=1, insecure_syn=1, local_addr="10.0.0.1"),
    Config.freebsd(capacity=24, drop_synfin=1, blackhole=2, auto_read=False, local_addr="10.0.0.1"),
    Config.linux(capacity=24, synq_policy="evict-oldest", tcp_syncookies=0, somaxconn=1,
                 local_addr="10.0.0.1"),
    Config.strict(capacity=24, isn="random", local_addr="10.0.0.1"),
]


class Watched:
    """An engine that is looked over after each step."""

    def __init__(self, config):
        self.engine, self.now, self.rows_in, self.rows_out = Engine(config), START, 0, 0
        self.engine.advance(START)

    def look(self):
        eng = self.engine
        assert eng.check() == []
        counters, gauges = eng.counters, eng.gauges()
        assert counters["InSegs"] == self.rows_in and counters["OutSegs"] == self.rows_out
        assert counters["SynQueueAdded"] == gauges["half_open"] + sum(
            counters["SynQueue" + way] for way in ("Established", "Evicted", "Expired", "Reset", "Aborted",
                                                   "ListenerClosed"))
        assert eng.state_counts()[2:].sum() + gauges["held_dead"] == gauges["blocks_used"]

    def heard(self, rows):
        assert rows.dtype == SEGMENT
        self.rows_out += len(rows)
        self.look()
        return rows

    def receive(self, batch):
        self.rows_in += len(batch)
        rows = self.engine.receive(batch, self.now)
        assert len(rows) <= 2 * len(batch)
        return self.heard(rows)

    def wait(self, pause):
        self.now += pause
        self.heard(self.engine.advance(self.now))
        due = self.engine.next_timer()
        assert due is None or due > self.now

    def busy(self):
        """A listener, connections of both roles in many states; the handles."""
        eng = self.engine
        web = eng.listen(LOCAL, 80, 5)
        eng.listen(0, 81, auto_accept=True, auto_close=True)
        mine, _ = eng.connect(PEER, 7, self.now, sport=[1000, 1001], src=LOCAL)
        self.rows_out += np.count_nonzero(mine)
        for port in (80, 81):
            synacks = self.receive(segments(
                4, src=PEER, dst=LOCAL, sport=PORTS, dport=port, flags=2, mss=1460, seq=2**32 - 1, wnd=5000,
                wscale=3, tsval=7, tsecr=0, opts=15))
            synacks = synacks[(synacks["flags"] == 18) & (synacks["dport"] < 4)]    # one stays half-open
            self.receive(segments(
                len(synacks), src=PEER, dst=LOCAL, sport=synacks["dport"], dport=port, flags=16, seq=0,
                wnd=600, ack=synacks["seq"] + np.uint32(1), tsval=8, tsecr=synacks["tsval"]))
        conns = np.concatenate([mine, eng.accept(web, 2)])
        self.heard(eng.send(conns, 3000, self.now))
        return conns


def segment_bytes(most):
    return st.integers(0, most).flatmap(lambda n: arrays(np.uint8, 40 * n)).map(lambda raw: raw.view(SEGMENT))


pauses = st.sampled_from([0, 1, MS, 40 * MS, 500 * MS, 1000 * MS, 60_000 * MS, 600_000 * MS])
calls = st.sampled_from(["", "", "send", "recv", "shutdown", "close", "abort"])


@settings(max_examples=150)
@given(st.sampled_from(CONFIGS), st.lists(st.tuples(segment_bytes(8), pauses), max_size=5))
def test_any_forty_bytes_are_a_segment(config, steps):
    watched = Watched(config)
    watched.busy()
    for batch, pause in steps:
        watched.receive(batch)
        watched.wait(pause)


def test_a_million_junk_segments():
    rng = np.random.default_rng(2)
    watched = Watched(CONFIGS[0])
    watched.busy()
    for _ in range(10):
        junk = rng.integers(0, 256, 40 * 100_000, np.uint8).view(SEGMENT)
        junk["dst"][::2], junk["dport"][::2] = LOCAL, 80
        watched.receive(junk)
        watched.wait(777 * MS)


SPOILS = {
    "seq": lambda rng, v: v + rng.choice([1, -1, 2, 536, 1460, 64_240, -64_240, 2**31, 2**31 - 1]),
    "ack": lambda rng, v: v + rng.choice([1, -1, -2, 1460, -3000, 2**31]),
    "flags": lambda rng, v: v ^ rng.choice([1, 2, 4, 8, 16, 17, 18, 32, 64, 255]),
    "wnd": lambda rng, v: rng.choice([0, 1, 10, 600, 65535]),
    "payload_len": lambda rng, v: rng.choice([0, 1, 2, 1000, 1460, 9000, 65535]),
    "opts": lambda rng, v: v ^ rng.choice([1, 2, 4, 8, 15, 240]),
    "wscale": lambda rng, v: rng.choice([0, 7, 14, 15, 255]),
    "mss": lambda rng, v: rng.choice([0, 1, 48, 536, 65535]),
    "tsval": lambda rng, v: v + rng.choice([1, -1, 1000, -1000, 2**31]),
    "tsecr": lambda rng, v: v + rng.choice([1, -1, 1000, -10_000, 2**31]),
    "sport": lambda rng, v: v ^ 1,
    "dport": lambda rng, v: v ^ 1,
    "src": lambda rng, v: v ^ 3,
    "dst": lambda rng, v: v ^ 1,
}


def nearly_right(rng, engine, now, n):
    """What honest peers would say next to `n` live blocks, about half of it spoiled in a field or two."""
    live = np.flatnonzero(engine.blocks["state"])
    if not len(live):
        return segments(0)
    blocks = engine.blocks[rng.choice(live, n)]
    batch = segments(
        n, src=blocks["raddr"], dst=blocks["laddr"], sport=blocks["rport"], dport=blocks["lport"],
        seq=blocks["rcv_nxt"], ack=blocks["snd_nxt"], wnd=rng.choice([0, 500, 5000, 65535], n), mss=1460,
        flags=rng.choice([16, 16, 17, 24, 24], n), payload_len=rng.choice([0, 0, 1, 1000], n),
        tsval=now // MS % 2**32, tsecr=0, opts=rng.choice([8, 8, 0], n))
    batch["flags"][blocks["state"] == 2] = 18
    for row in batch:
        for name in rng.choice(list(SPOILS), rng.choice([0, 0, 1, 1, 2])):
            row[name] = int(SPOILS[name](rng, int(row[name]))) % 256**SEGMENT[name].itemsize
    return batch


@settings(max_examples=150)
@given(st.sampled_from(CONFIGS), st.integers(0, 2**32),
       st.lists(st.tuples(st.integers(1, 12), pauses, calls), min_size=3, max_size=12))
def test_segments_that_are_nearly_right(config, seed, steps):
    watched, rng = Watched(config), np.random.default_rng(seed)
    conns = watched.busy()
    for n, pause, call in steps:
        watched.receive(nearly_right(rng, watched.engine, watched.now, n))
        some = rng.choice(conns, 2)
        if call == "send":
            watched.heard(watched.engine.send(some, 2000, watched.now))
        elif call == "recv":
            watched.heard(watched.engine.recv(some, None, watched.now)[1])
        elif call:
            watched.heard(getattr(watched.engine, call)(some, watched.now))
        watched.wait(pause)
