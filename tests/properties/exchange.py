"""One forged segment between two engines: does the exchange that follows end?

Thousands of connections between two engines are brought into the same state. Each gets one forged segment of
its own (flags, numbers around the window, text, timestamp), and then the wire carries what they say, without
loss, for `LAST` seconds. Each connection must fall silent or keep to the rate that its profile's knobs
document: one answer in tcp_invalid_ratelimit, or ack_war_cnt in ack_war_timewindow_ms.

`python -m tests.properties.exchange` goes through all of it; the test of the same name draws from it.
"""

import itertools
import sys

import numpy as np

from tcpcore import SEGMENT, Config, Engine, Flag, Option, State, segments

MS, SECOND = 1_000_000, 1_000_000_000
DELAY = 20 * MS
LAST = 60                          # seconds after the forged segment
SLACK = 40                         # rows of a connection's ordinary life in that time, resends included
A, B = 0x0A000001, 0x0A000002
PROFILES = {"linux": Config.linux, "freebsd": Config.freebsd, "strict": Config.strict}

FLAGS = [sum(bits) for bits in itertools.product((0, Flag.FIN), (0, Flag.SYN), (0, Flag.RST), (0, Flag.ACK))]
TEXT = (0, 100)
SEQS = (-100_000, -101, -1, 0, 1, 1000, 65534, 65535, 70_000, 2**31)      # from RCV.NXT
ACKS = (-100_000, -1, 0, 1, 101, 2**31)                                   # from SND.NXT
STAMPS = (None, 0, 1000, -1000)                                           # from the peer's clock
WINDOWS = (1000, 0)
FORGED = list(itertools.product(FLAGS, TEXT, SEQS, ACKS, STAMPS, WINDOWS))

#: What happens before, as (ms, who, call); the forged segment comes at one of the times after the bar.
SCRIPTS = {
    "open and close": ([(200, "a", "shutdown"), (400, "b", "close")],
                       (10, 30, 50, 110, 210, 230, 300, 410, 430, 600)),
    "orphan": ([(200, "a", "close")], (210, 300)),
    "both close": ([(200, "a", "close"), (200, "b", "close")], (210, 230, 300)),
    "text": ([(100, "a", "send"), (100, "b", "send"), (200, "b", "close")], (110, 210, 300)),
    "crossing": ([], (10, 30, 50, 100)),
}
CASES = [(script, at, target) for script, (_, times) in SCRIPTS.items() for at in times for target in "ab"]
PAIRS = list(itertools.product(PROFILES, PROFILES))


def allowed(config, seconds):
    """Rows of one connection in answer to what says nothing new."""
    rates = [SLACK]
    if config.tcp_invalid_ratelimit:
        rates.append(SLACK + seconds * 1000 / config.tcp_invalid_ratelimit)
    if config.ack_war_cnt and config.ack_war_timewindow_ms:
        rates.append(SLACK + config.ack_war_cnt * (1 + seconds * 1000 / config.ack_war_timewindow_ms))
    return max(rates)


class Wire:
    """Two engines, a fixed delay, no loss; counts rows per connection (by the client's port) and sender."""

    def __init__(self, a, b):
        self.engines = {"a": a, "b": b}
        self.now, self.flying = 0, []              # (due, to, rows)
        self.rows = {"a": np.zeros(65536, int), "b": np.zeros(65536, int)}
        self.stamps = {"a": np.zeros(65536, np.uint32), "b": np.zeros(65536, np.uint32)}

    def put(self, sender, rows):
        rows = rows.copy()
        if not len(rows):
            return
        port = rows["sport" if sender == "a" else "dport"]
        np.add.at(self.rows[sender], port, 1)
        stamped = rows["opts"] & int(Option.TS) != 0
        self.stamps[sender][port[stamped]] = rows["tsval"][stamped]
        self.flying.append((self.now + DELAY, "b" if sender == "a" else "a", rows))

    def run(self, until):
        while True:
            due = [t for e in self.engines.values() if (t := e.next_timer()) is not None]
            due += [t for t, _, _ in self.flying]
            if not due or min(due) > until:
                break
            self.now = max(self.now, min(due))
            arrived = [(to, rows) for t, to, rows in self.flying if t <= self.now]
            self.flying = [one for one in self.flying if one[0] > self.now]
            for to, rows in arrived:
                self.put(to, self.engines[to].receive(rows, self.now))
            for name, engine in self.engines.items():
                self.put(name, engine.advance(self.now))
        self.now = max(self.now, until)


def world(pair, script, forged, knobs=None):
    """The wire and, by engine, the handles of the connections."""
    options = {"capacity": len(forged) + 8, "tcp_challenge_ack_limit": None, "somaxconn": 100_000,
               "tcp_max_syn_backlog": 100_000, "synq_policy": "drop-new", "tcp_syncookies": 0,
               "ip_local_port_range": (10_000, 65_535), **(knobs or {})}
    a, b = (Engine(PROFILES[name](**options, local_addr=addr))
            for name, addr in zip(pair, (A, B), strict=True))
    wire, ports = Wire(a, b), np.arange(10_000, 10_000 + len(forged))
    conns, rows = a.connect(B, 80, 0, sport=ports)
    wire.put("a", rows)
    if script == "crossing":
        wire.put("b", b.connect(A, ports, 0, sport=np.full(len(ports), 80))[1])
    else:
        b.listen(0, 80, backlog=100_000, auto_accept=True)
    return wire, conns, ports


def handles(wire, name, conns, ports):
    """The handles of all connections as this engine has them; 0 where there is none."""
    if name == "a":
        return conns
    return wire.engines["b"].lookup(A, ports, B, np.full(len(ports), 80))


def forge(wire, target, conns, ports, forged):
    """One segment per connection, from its peer's address."""
    info = wire.engines[target].info(handles(wire, target, conns, ports))
    here, there = (A, B) if target == "a" else (B, A)
    peer = "b" if target == "a" else "a"
    flags, text, seqs, acks = (np.array([int(one[i]) for one in forged]) for i in range(4))
    rows = segments(len(forged), src=there, dst=here, flags=flags, payload_len=text)
    rows["wnd"] = [one[5] for one in forged]
    rows["sport"], rows["dport"] = (80, ports) if target == "a" else (ports, 80)
    rows["seq"] = (info["rcv_nxt"].astype(np.int64) + seqs) % 2**32
    rows["ack"] = (info["snd_nxt"].astype(np.int64) + acks) % 2**32
    stamped = np.array([one[4] is not None for one in forged])
    rows["opts"][stamped] = int(Option.TS)
    rows["tsval"] = (wire.stamps[peer][ports].astype(np.int64) + [one[4] or 0 for one in forged]) % 2**32
    rows["tsecr"] = wire.stamps[target][ports]
    return rows


def play(pair, script, at, target, forged, states=None):
    """What is wrong: connections that say too much, and what check() finds. The state that the forged segment
    meets goes into the set `states`; CLOSED where there is no connection."""
    wire, conns, ports = world(pair, script, forged)
    for when, who, call in [*SCRIPTS[script][0], (at, None, None)]:
        if when > at:
            break
        wire.run(when * MS)
        if who:
            engine, known = wire.engines[who], handles(wire, who, conns, ports)
            args = (100, wire.now) if call == "send" else (wire.now,)
            wire.put(who, getattr(engine, call)(known[known != 0], *args))
    wire.run(at * MS)
    bad = forge(wire, target, conns, ports, forged)
    if states is not None:
        met = wire.engines[target].info(handles(wire, target, conns, ports))["state"]
        states.update(State(state) for state in met)
    before = {name: counts.copy() for name, counts in wire.rows.items()}
    wire.put(target, wire.engines[target].receive(bad, wire.now))
    wire.run((at + 1000 * LAST) * MS)
    wrong = []
    for name, engine in wire.engines.items():
        said = (wire.rows[name] - before[name])[ports]
        most = allowed(engine.config, LAST)
        wrong += [f"{pair} {script} at {at} ms, to {target}: {name} sent {said[i]} rows for {forged[i]}"
                  for i in np.flatnonzero(said > most)[:3]]
        wrong += engine.check()
    return wrong


def land(profile, flags, text):
    """LAND: an engine gets what it sends. Rows sent in LAST seconds, what check() finds, the config."""
    engine = Engine(PROFILES[profile](capacity=4, tcp_challenge_ack_limit=None))
    engine.listen(A, 80, auto_accept=True)
    rows = segments(1, src=A, dst=A, sport=80, dport=80, seq=1000, flags=int(flags), wnd=1000,
                    payload_len=text)
    now = sent = 0
    while now < LAST * SECOND:
        rows = np.concatenate([engine.receive(rows, now), engine.advance(now)]).astype(SEGMENT)
        sent += len(rows)
        now += DELAY
    return sent, engine.check(), engine.config


def main():
    wrong = []
    for pair, case in itertools.product(PAIRS, CASES):
        found = play(pair, *case, FORGED)
        print(*pair, *case, "ok" if not found else found[0], flush=True)
        wrong += found
    print(f"{len(wrong)} wrong in {len(PAIRS) * len(CASES) * len(FORGED)} exchanges")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
