"""Random scripts of calls on a host and its peers, for test_group.py."""

import numpy as np

from tcpcore import BLOCK, OP, SEGMENT, Engine, OpKind, join, segments
from tcpcore.group import member_config

MS = 1_000_000
LOCAL, PEER = 0x0A000001, 0x0B000000
SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8


class Apart:
    """n engines driven by hand as a group drives its members: what a group is compared with."""

    def __init__(self, n, config, member_of):
        self.engines = [Engine(member_config(config, n, i)) for i in range(n)]
        self.first = np.cumsum([0] + [eng.config.capacity for eng in self.engines]).astype(np.uint64)
        self.member_of = member_of
        self.config = config

    def of_row(self, row):
        return self.member_of(int(row["src"]), int(row["sport"]), int(row["dst"]), int(row["dport"]))

    def owner(self, conn):
        slot = int(conn) & 0xFFFFFFFF
        return max(i for i in range(len(self.engines)) if int(self.first[i]) <= slot)

    def outward(self, i, conns):
        return np.where(conns, conns + self.first[i], np.uint64(0))

    @property
    def blocks(self):
        return np.frombuffer(b"".join(eng.blocks.tobytes() for eng in self.engines), BLOCK)

    @property
    def counters(self):
        return {name: sum(eng.counters[name] for eng in self.engines) for name in self.engines[0].counters}

    @property
    def causes(self):
        return {name: sum(eng.causes[name] for eng in self.engines) for name in self.engines[0].causes}

    def gauges(self):
        every = [eng.gauges() for eng in self.engines]
        return {name: sum(one[name] for one in every) for name in every[0] if not name.startswith("bytes")}

    def state_counts(self):
        counts = sum(eng.state_counts() for eng in self.engines)
        counts[1] = self.engines[0].state_counts()[1]
        return counts

    def listen(self, *args, **named):
        (id_,) = {eng.listen(*args, **named) for eng in self.engines}
        return id_

    def unlisten(self, listener, now):
        return join([eng.unlisten(listener, now) for eng in self.engines])

    def receive(self, segs, now):
        self.clocks(now)
        return join([self.engines[self.of_row(segs[i])].receive(segs[i:i + 1], now)
                     for i in range(len(segs))])

    def clocks(self, now):
        for eng in self.engines:
            eng.receive(np.zeros(0, SEGMENT), now)

    def connect(self, dst, dport, now, *, src, sport):
        self.clocks(now)
        conns, rows = [], []
        for i in range(len(sport)):
            m = self.member_of(int(dst[i]), dport, src, int(sport[i]))
            conn, row = self.engines[m].connect(int(dst[i]), dport, now, src=src, sport=int(sport[i]))
            conns.append(self.outward(m, conn))
            rows.append(row)
        return np.concatenate([np.zeros(0, np.uint64), *conns]), join(rows)

    def accept(self, listener, limit=None):
        taken = []
        for i, eng in enumerate(self.engines):
            left = None if limit is None else limit - sum(map(len, taken))
            taken.append(self.outward(i, eng.accept(listener, left)))
        return np.concatenate(taken)

    def call(self, name, conns, now, *args):
        self.clocks(now)
        results = []
        for i, conn in enumerate(conns):
            m = self.owner(conn)
            own = np.array([conn - self.first[m]], np.uint64)
            results.append(getattr(self.engines[m], name)(own, *(int(arg[i]) for arg in args), now))
        return results

    def send(self, conns, nbytes, now):
        return join(self.call("send", conns, now, nbytes))

    def recv(self, conns, nbytes, now):
        results = self.call("recv", conns, now, nbytes)
        return (np.array([taken[0] for taken, _ in results], np.uint32), join([rows for _, rows in results]))

    def shutdown(self, conns, now):
        return join(self.call("shutdown", conns, now))

    def close(self, conns, now):
        return join(self.call("close", conns, now))

    def abort(self, conns, now):
        return join(self.call("abort", conns, now))

    def unreachable(self, conns, now):
        return join(self.call("unreachable", conns, now))

    def advance(self, now):
        return join([eng.advance(now) for eng in self.engines])

    def next_timer(self):
        return min((at for eng in self.engines if (at := eng.next_timer()) is not None), default=None)

    def lookup(self, raddr, rport, laddr, lport):
        found = []
        for one in zip(raddr, rport, laddr, lport, strict=True):
            m = self.member_of(*map(int, one))
            found.append(self.outward(m, self.engines[m].lookup(*map(int, one)))[0])
        return np.array(found, np.uint64)

    def info(self, conns):
        rows = [self.engines[self.owner(conn)].info(conn - self.first[self.owner(conn)]) for conn in conns]
        return np.concatenate([self.engines[0].info([]), *rows])

    def events(self):
        every, order = [], []
        for i, eng in enumerate(self.engines):
            rows = eng.events()
            rows["conn"] = self.outward(i, rows["conn"])
            order.append(np.maximum.accumulate(rows["at"]))
            every.append(rows)
        return np.concatenate(every)[np.argsort(np.concatenate(order), kind="stable")]

    def check(self):
        return sum((eng.check() for eng in self.engines), [])


class Script:
    """A random script. Peers answer what the host sends; each step gives what can be compared."""

    def __init__(self, host, seed, size=40, connects=True):
        self.host, self.random, self.size, self.connects = host, np.random.default_rng(seed), size, connects
        self.now, self.sent, self.port = 0, np.zeros(0, SEGMENT), 1000
        self.conns = np.zeros(3, np.uint64) + np.array([0, 5, 2**33 + 1], np.uint64)
        self.web = host.listen(LOCAL, 80, 8)
        self.auto = host.listen(0, 81, auto_accept=True, auto_close=True)

    def syns(self, n):
        self.port += n
        ports = np.arange(self.port - n, self.port)
        return segments(n, src=PEER + self.random.integers(0, 9, n), sport=ports, dst=LOCAL,
                        dport=self.random.choice([80, 81, 82], n, p=[0.5, 0.4, 0.1]), flags=SYN, seq=7,
                        wnd=2000, mss=1000, tsval=5, opts=9)

    def answers(self, n):
        """What peers might say to some of what was sent; some of it wrong."""
        if not len(self.sent):
            return self.sent
        rows = self.sent[self.random.integers(0, len(self.sent), n)]
        flags = rows["flags"].astype(np.uint32)
        said = segments(n, src=rows["dst"], sport=rows["dport"], dst=rows["src"], dport=rows["sport"],
                        flags=ACK, seq=rows["ack"], wnd=2000,
                        ack=rows["seq"] + rows["payload_len"] + ((flags & (SYN | FIN)) != 0),
                        opts=8, tsval=6, tsecr=rows["tsval"])
        opening = flags == SYN
        said["flags"][opening] = SYN | ACK
        said["seq"][opening] = 7
        some = self.random.random(n)
        text = ~opening & (some < 0.3)
        said["payload_len"][text] = 50
        said["flags"][~opening & (some > 0.85)] |= FIN
        said["flags"][some > 0.97] = RST
        said["seq"] += (some > 0.95).astype(np.uint32)
        return said

    def some(self):
        k = self.random.integers(0, 12)
        return self.random.choice(self.conns, k) if k else np.zeros(0, np.uint64)

    def step(self):
        """One call; its name and what it gives."""
        host, draw = self.host, self.random
        self.now += int(draw.choice([0, 1, 300 * MS, 1000 * MS, 70_000 * MS], p=[0.5, 0.2, 0.2, 0.07, 0.03]))
        name = draw.choice(["receive", "call", "accept", "advance", "connect", "ask"],
                           p=[0.4, 0.2, 0.1, 0.15, 0.1, 0.05])
        if name == "receive":
            n = int(draw.integers(0, self.size))
            given = join([self.syns(n), self.answers(2 * n)])
            given = given[draw.permutation(len(given))]
            result = self.keep(host.receive(given, self.now))
        elif name == "call":
            what = draw.choice(["send", "recv", "shutdown", "close", "abort", "unreachable"])
            conns = self.some()
            sizes = [draw.integers(0, 3000, len(conns)).astype(np.uint32)] if what in ("send", "recv") else []
            result = getattr(host, what)(conns, *sizes, self.now)
            result = result if what == "recv" else self.keep(result)
        elif name == "accept":
            result = host.accept(self.web, int(draw.integers(0, 9)))
            self.conns = np.concatenate([self.conns, result])[-60:]
        elif name == "advance":
            result = self.keep(host.advance(self.now))
        elif name == "connect":
            n = int(draw.integers(0, 6))
            dst = (PEER + draw.integers(0, 3, n)).astype(np.uint32)
            ports = {"sport": draw.integers(5000, 5400, n)} if self.connects else {}
            conns, result = host.connect(dst, 99, self.now, src=LOCAL, **ports)
            self.keep(result)
            self.conns = np.concatenate([self.conns, conns])[-60:]
            result = conns, result
        else:
            tuples = [self.sent[key][-9:] for key in ("dst", "dport", "src", "sport")]
            result = host.lookup(*tuples), host.info(self.conns)
        return str(name), plain(result)

    def ops(self, n):
        """A timed batch of all kinds of rows; times that are often the same, sometimes far apart."""
        draw, rows = self.random, np.zeros(n, OP)
        gaps = draw.choice([0, 1, 40 * MS, 2000 * MS], n, p=[0.4, 0.3, 0.25, 0.05])
        rows["at"] = self.now + np.cumsum(gaps)
        rows["kind"] = draw.choice(list(OpKind), n, p=[0.6, 0.1, 0.08, 0.08, 0.04, 0.03, 0.04, 0.03])
        rows["conn"] = np.where(rows["kind"] == OpKind.ACCEPT, self.web, draw.choice(self.conns, n))
        rows["arg"] = draw.integers(0, 3000, n)
        segs = join([self.syns(n), self.answers(n)])
        rows["seg"] = segs[draw.integers(0, len(segs), n)]
        opens = rows["kind"] == OpKind.CONNECT
        rows["seg"]["dst"][opens] = PEER + draw.integers(0, 3, int(opens.sum()))
        rows["seg"]["src"][opens] = 0
        rows["seg"]["dport"][opens] = 99
        rows["seg"]["sport"][opens] = draw.choice([0, 0, 6000, 6001], int(opens.sum()))
        self.now = int(rows["at"][-1]) + 5 * MS
        return rows

    def played(self, ops, rows):
        """Take what a timed batch gave into account."""
        self.conns = np.concatenate([self.conns, ops["result"][np.isin(ops["kind"], [2, 3])]])[-60:]
        self.keep(rows)

    def keep(self, rows):
        self.sent = join([self.sent, np.ascontiguousarray(rows)])[-600:]
        return rows


def plain(value):
    """A result in a form that compares."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.dtype.descr, value.tobytes()


def seen(host, but=()):
    """All that can be asked, but for these columns of `blocks`."""
    gauges = {name: value for name, value in host.gauges().items() if not name.startswith("bytes")}
    blocks = [host.blocks[name].tolist() for name in BLOCK.names if name not in but]
    return (blocks, host.counters, host.causes, host.state_counts().tolist(), host.next_timer(), gauges,
            host.events().tolist())
