"""One host in two ways: by Engine's methods, and by the functions for compiled callers with pointers.

Both have the same methods with the same answers, so that a test can do a thing to both and compare.
"""

import numpy as np

from tcpcore import EVENT, INFO, SEGMENT, Engine

CONNECT_ROW = np.dtype({
    "names": ["dst", "src", "dport", "sport", "isn", "rcv_buf", "has_isn"],
    "formats": ["u4", "u4", "u2", "u2", "u4", "u4", "u1"],
    "offsets": [0, 4, 8, 10, 12, 16, 20],
    "itemsize": 24,
})  # fmt: skip
FOUR_TUPLE = np.dtype([("raddr", "u4"), ("laddr", "u4"), ("rport", "u2"), ("lport", "u2")])
ROOM = 4096


def address(array):
    """Of an array's memory; None is NULL."""
    return 0 if array is None else array.ctypes.data


def handles(conns):
    return np.array(conns, np.uint64)


def amounts(nbytes):
    return np.array(nbytes, np.uint32)


class ByMethods:
    """An Engine called from Python."""

    def __init__(self, config):
        self.eng = Engine(config)

    def connect(self, opens, now):
        parts = [self.eng.connect(
            row["dst"], row["dport"], now, src=int(row["src"]) or None, sport=int(row["sport"]) or None,
            isn=int(row["isn"]) if row["has_isn"] else None, rcv_buf=int(row["rcv_buf"]) or None,
        ) for row in opens]  # fmt: skip
        return np.concatenate([conns for conns, _ in parts]), np.concatenate([rows for _, rows in parts])

    def receive(self, segs, now):
        return self.eng.receive(segs, now)

    def advance(self, now):
        return self.eng.advance(now)

    def next_timer(self):
        return self.eng.next_timer()

    def accept(self, listener, limit):
        return self.eng.accept(listener, limit)

    def send(self, conns, nbytes, now):
        return self.eng.send(conns, nbytes, now)

    def recv(self, conns, nbytes, now):
        return self.eng.recv(conns, nbytes, now)

    def call(self, name, conns, now):
        return getattr(self.eng, name)(conns, now)

    def lookup(self, names):
        return self.eng.lookup(names["raddr"], names["rport"], names["laddr"], names["lport"])

    def info(self, conns):
        return self.eng.info(conns)

    def events(self):
        return self.eng.events()


class ByFunctions:
    """An Engine called through one of the modules `through_cython` and `through_cpp`."""

    def __init__(self, config, through):
        self.eng, self.through = Engine(config), through

    def rows(self, name, *before):
        out = np.zeros(ROOM, SEGMENT)
        n = getattr(self.through, name)(self.eng, *before, address(out), ROOM)
        assert n >= 0, n
        return out[:n]

    def connect(self, opens, now):
        conns = np.zeros(len(opens), np.uint64)
        rows = self.rows("connect", address(opens), len(opens), now, address(conns))
        return conns, rows

    def receive(self, segs, now):
        return self.rows("receive", address(segs), len(segs), now)

    def advance(self, now):
        return self.rows("advance", now)

    def next_timer(self):
        deadline = self.through.next_timer(self.eng)
        return None if deadline == -1 else deadline

    def accept(self, listener, limit):
        conns = np.zeros(limit, np.uint64)
        return conns[: self.through.accept(self.eng, listener, address(conns), limit)]

    def send(self, conns, nbytes, now):
        return self.rows("send", address(conns), address(nbytes), len(conns), now)

    def recv(self, conns, nbytes, now):
        taken = np.zeros(len(conns), np.uint32)
        rows = self.rows("recv", address(conns), address(nbytes), len(conns), now, address(taken))
        return taken, rows

    def call(self, name, conns, now):
        return self.rows(name, address(conns), len(conns), now)

    def lookup(self, names):
        conns = np.zeros(len(names), np.uint64)
        assert self.through.lookup(self.eng, address(names), len(names), address(conns)) == len(names)
        return conns

    def info(self, conns):
        infos = np.full(len(conns), 7, np.uint8).repeat(INFO.itemsize).view(INFO)
        assert self.through.info(self.eng, address(conns), len(conns), address(infos)) == len(conns)
        return infos

    def events(self):
        parts = []
        while True:
            some = np.zeros(3, EVENT)
            parts.append(some[: self.through.events(self.eng, address(some), 3)])
            if len(parts[-1]) < 3:
                return np.concatenate(parts)
