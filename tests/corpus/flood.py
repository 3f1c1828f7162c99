"""A SYN flood and honest clients at an engine, as the recorded floods were made; the recording's rows.

Spoofed SYNs come at a constant rate, from before the first of the honest clients, 50 a second, to after the
last try of the last one. A client is 20 ms away and tries at 0, 1 and 3 s. The kernel's timers stand on a
wheel, with slots of 32 ms where they are 1 or 2 s away and of 256 ms where they are 4 s away: all that time
out in one slot leave together, and newcomers find places until those are taken. Here the host looks at its
clock just as often; entries that outlive two resends meet both slots, so theirs are played with either, and
the kernel is between. Where the flood stands against the wheel is not known of a kernel, so a row is compared
with the mean over some such phases; the cookie rows do not depend on it.
"""

import csv
import heapq
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from tcpcore import Config, Engine, Flag, State, segments

MS = 1_000_000
SECOND = 1000 * MS
LOCAL, HONEST = "10.0.0.1", 0x0A010000
CLIENTS, PER_SECOND, RTT = 450, 50, 20 * MS
TRIES = (0, 1 * SECOND, 3 * SECOND)
LATER = 3300 * MS                      # from the last client's first try to the end
PHASES = (0, 127, 254, 381)            # ms from the start of a slot to that of the flood
COUNTERS = ("TCPReqQFullDrop", "ListenDrops", "SyncookiesSent", "SyncookiesRecv")


@dataclass
class Row:
    """What was set and what was seen."""

    backlog: int
    tcp_max_syn_backlog: int
    rate: int
    tcp_synack_retries: int
    tcp_syncookies: int
    first_try: float
    three_tries: float
    half_open_mean: float
    half_open_max: int
    counters: dict
    clients: int = CLIENTS

    @classmethod
    def read(cls, line):
        values = [float(line[name]) if name in ("first_try", "three_tries") else int(line[name])
                  for name in cls.__dataclass_fields__ if name not in ("counters", "clients")]
        return cls(*values, {name: int(line[name]) for name in COUNTERS if line[name]})

    @property
    def warm_up(self):
        """ns of flood before the first client: a second more than an entry lives, or has four resends."""
        return {0: 4, 1: 4, 5: 16}[self.tcp_synack_retries] * SECOND

    @property
    def slots(self):
        """ms of the kernel's wheel (HZ=250) where an entry's timers stand: 1 and 2 s ahead, and 4 s ahead."""
        return {0: (32,), 1: (32,), 5: (32, 256)}[self.tcp_synack_retries]

    @property
    def is_full(self):
        """More come while an entry lives than the backlog has room for."""
        life = 2 ** (self.tcp_synack_retries + 1) - 1
        return self.rate * life > self.backlog and self.tcp_syncookies < 2

    def __str__(self):
        return "-".join(map(str, astuple(self)[:5]))


TABLE = [Row.read(line) for line in csv.DictReader(
    (Path(__file__).parents[1] / "data" / "flood_table.csv").read_text().splitlines())]


class Clients:
    """Who tries to connect, until a SYN-ACK comes back; a heap of (time, client, try, acknowledgment)."""

    def __init__(self, rng, since, n):
        self.first = np.sort(since + rng.integers(0, n * SECOND // PER_SECOND, n))
        self.due = [(int(first) + wait, who, attempt, None) for who, first in enumerate(self.first)
                    for attempt, wait in enumerate(TRIES)]
        heapq.heapify(self.due)
        self.answered = np.full(n, len(TRIES))     # by which try

    def say(self, engine, until):
        """All that falls due before `until`."""
        while self.due and self.due[0][0] < until:
            now, who, attempt, ack = heapq.heappop(self.due)
            peer = {"src": HONEST + who, "sport": 5000, "dst": LOCAL, "dport": 80, "wnd": 65535}
            if ack is not None:
                engine.receive(segments(1, flags=Flag.ACK, seq=1001, ack=ack, **peer), now)
            elif self.answered[who] == len(TRIES):
                for row in engine.receive(segments(1, flags=Flag.SYN, seq=1000, mss=1460, **peer), now):
                    self.answered[who] = attempt
                    heapq.heappush(self.due, (now + RTT, who, attempt, int(row["seq"]) + 1 & 0xFFFFFFFF))


def spoofed(rng, n):
    return segments(n, src=rng.integers(0x0B000000, 0xDF000000, n, dtype=np.uint32), dst=LOCAL, dport=80,
                    sport=rng.integers(1024, 65536, n, dtype=np.uint16), flags=Flag.SYN, mss=1460,
                    seq=rng.integers(0, 2**32, n, dtype=np.uint32), wnd=65535)


def flood(row, phase=0, slot=32, **knobs):
    """The engine's row for these settings, the flood beginning `phase` ms after the host's clock, which is
    looked at every `slot` ms."""
    rng = np.random.default_rng(phase)
    settings = {name: getattr(row, name) for name in ("tcp_max_syn_backlog", "tcp_synack_retries",
                                                      "tcp_syncookies")}
    engine = Engine(Config.linux(**{**settings, "capacity": 1 << 14, "seed": phase, **knobs}))
    engine.listen(LOCAL, 80, row.backlog, auto_accept=True)
    since = phase * MS + row.warm_up
    clients = Clients(rng, since, row.clients)
    end = since + row.clients * SECOND // PER_SECOND + LATER
    times = phase * MS + np.arange((end - phase * MS) * row.rate // SECOND) * SECOND // row.rate
    syns = spoofed(rng, len(times))
    edges = np.searchsorted(times, np.arange(phase, end // MS + 1) * MS)
    half_open = []
    for step, ms in enumerate(range(phase, end // MS)):
        if ms % slot == 0:
            engine.advance(ms * MS)
        if edges[step] < edges[step + 1]:
            engine.receive(syns[edges[step]:edges[step + 1]], ms * MS)
        clients.say(engine, (ms + 1) * MS)
        if since <= ms * MS < end - LATER and ms % 10 == 0:
            half_open.append(engine.state_counts()[State.SYN_RECEIVED])
    assert engine.check() == []
    counters = {name: engine.counters[name] for name in COUNTERS}
    return Row(*astuple(row)[:5], np.mean(clients.answered == 0), np.mean(clients.answered < len(TRIES)),
               np.mean(half_open), max(half_open), counters, row.clients)


def mean_flood(row, slot=32, **knobs):
    """The mean over the phases that matter, with as many clients."""
    phases = PHASES[:1] if row.tcp_syncookies else PHASES
    seen = [flood(row, phase * slot // 32, slot, **knobs) for phase in phases]
    mean = {name: np.mean([getattr(one, name) for one in seen])
            for name in ("first_try", "three_tries", "half_open_mean")}
    mean["half_open_max"] = max(one.half_open_max for one in seen)
    mean["counters"] = {name: np.mean([one.counters[name] for one in seen]) for name in COUNTERS}
    return Row(*astuple(row)[:5], **mean, clients=row.clients)


def played(row, **knobs):
    """A row for each slot that its entries meet."""
    return [mean_flood(row, slot, **knobs) for slot in row.slots]


def off(values, recorded):
    """How far the recorded value is from the range of ours."""
    low, high = float(min(values)), float(max(values))
    return max(low - recorded, recorded - high, 0)


def differences(ours, row):
    """What is not as recorded: shares by more than two points, 20 % and two standard deviations of so many
    clients, the mean by more than 5 %, a full queue's maximum at all, counters by more than 3 % and two
    standard deviations of a count."""
    allowed = {}
    for name in ("first_try", "three_tries"):
        share = getattr(row, name)
        allowed[name] = max(0.02, 0.2 * share, 2 * (share * (1 - share) / row.clients) ** 0.5)
    allowed["half_open_mean"] = 0.05 * row.half_open_mean
    allowed["half_open_max"] = 0 if row.is_full else np.inf
    found = [name for name, most in allowed.items()
             if off([getattr(one, name) for one in ours], getattr(row, name)) > most]
    for name, recorded in row.counters.items():
        if off([one.counters[name] for one in ours], recorded) > max(0.03 * recorded, 2 * recorded ** 0.5):
            found.append(name)
    return found
