"""The running kernel under a SYN flood, and the `linux` profile under the same.

A smaller grid than the recorded one (tests/corpus/test_flood_table.py), all of it at once: each flood has a
namespace of its own. 300 clients are few, so a share may be off by two points, 20 %, and three standard
deviations of so many besides; the capacity and the mean population are as sharp as there.
"""

import heapq
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.corpus.flood import COUNTERS, PER_SECOND, RTT, SECOND, TRIES, Row, mean_flood
from tests.live.kernel import new_socket
from tests.live.namespace import LOCAL, Namespace, counters, states, why_not
from tests.live.packets import encode

CLIENTS = 300
PORT = 80
SPOOFED, HONEST = 0x0A400000, 0x0AC80000        # 10.64/10, 10.200/16: behind the device
SYN_RECV = 3
SYN_ACK = 0x12
DIFFERENT = 8192                                # spoofed SYNs; before one comes again its entry is long gone
JIFFY = 0.004                                   # s between two looks at the device
EVERY = 0.05                                    # s between two looks at the queue
AFTER = 3.3                                     # s from the last client's first try to the end
LATE, KEPT = 0.03, 0.95                         # s that a packet may be late, and how many must not be
ATTEMPTS = 2
NICE = -15

#: backlog, tcp_max_syn_backlog, SYNs a second, tcp_synack_retries, tcp_syncookies
GRID = [
    (16, 1024, 100, 1, 0),
    (64, 1024, 100, 1, 0),
    (64, 1024, 1000, 1, 0),
    (256, 64, 100, 1, 0),                       # the three-quarter rule
    (256, 1024, 1000, 0, 0),
    (64, 1024, 1000, 1, 1),
    (64, 1024, 1000, 1, 2),
]
needs = pytest.mark.skipif(bool(why_not()), reason=f"the live kernel {why_not()}")


class Flood:
    """One flood against the kernel, in the namespace of the calling thread."""

    def __init__(self, namespace, row, spoofed):
        self.namespace, self.row = namespace, row
        namespace.sysctl({"tcp_max_syn_backlog": row.tcp_max_syn_backlog, "somaxconn": 4096,
                          "tcp_synack_retries": row.tcp_synack_retries, "tcp_syncookies": row.tcp_syncookies,
                          "tcp_no_metrics_save": 1})
        self.listener = new_socket()
        self.listener.bind((LOCAL, PORT))
        self.listener.listen(row.backlog)
        rng = np.random.default_rng(row.rate)
        self.warm_up = row.warm_up / SECOND
        last = self.warm_up + CLIENTS / PER_SECOND
        self.end = last + AFTER
        self.spoofed = spoofed
        first = np.sort(rng.uniform(self.warm_up, last, CLIENTS))
        self.due = [(at + wait / SECOND, who, attempt, None) for who, at in enumerate(first.tolist())
                    for attempt, wait in enumerate(TRIES)]
        heapq.heapify(self.due)
        self.answered = np.full(CLIENTS, len(TRIES))
        self.served, self.half_open = [], []
        self.kept = []                              # for each packet: did it keep its time?

    def play(self):
        before = counters(COUNTERS)
        sent, looked, began = 0, 0.0, time.monotonic()
        while (now := time.monotonic() - began) < self.end:
            while sent <= now * self.row.rate:
                self.kept.append(now - sent / self.row.rate <= LATE)
                self.namespace.send(self.spoofed[sent % len(self.spoofed)])
                sent += 1
            self.clients_say(now)
            self.hear(began)
            if self.warm_up <= now < self.end - AFTER and now >= looked + EVERY:
                looked = now
                self.half_open.append(sum(state == SYN_RECV for state in states()))
            time.sleep(max(0.0, now + JIFFY - (time.monotonic() - began)))
        seen = {name: value - before[name] for name, value in counters(COUNTERS).items()}
        return self.seen(seen)

    def seen(self, count):
        row = self.row
        return Row(row.backlog, row.tcp_max_syn_backlog, row.rate, row.tcp_synack_retries, row.tcp_syncookies,
                   np.mean(self.answered == 0), np.mean(self.answered < len(TRIES)), np.mean(self.half_open),
                   max(self.half_open), count, CLIENTS)

    def clients_say(self, now):
        while self.due and self.due[0][0] <= now:
            at, who, attempt, ack = heapq.heappop(self.due)
            self.kept.append(now - at <= LATE)
            if ack is not None:
                self.namespace.send(segment(HONEST + who, 5000, "A", 1001, ack))
            elif self.answered[who] == len(TRIES):
                self.namespace.send(syn(HONEST + who, 5000, 1000))

    def hear(self, began):
        """SYN-ACKs to clients; backscatter is nobody's."""
        while (packet := self.namespace.receive()) is not None:
            peer, = struct.unpack_from("!I", packet, 16)
            who = peer - HONEST
            if packet[9] == socket.IPPROTO_TCP and 0 <= who < CLIENTS and packet[33] == SYN_ACK:
                isn, = struct.unpack_from("!I", packet, 24)
                self.heard(who, isn, time.monotonic() - began)
        while True:
            try:
                self.served.append(self.listener.accept()[0])
            except BlockingIOError:
                break

    def heard(self, who, isn, now):
        if self.answered[who] < len(TRIES):
            return
        pending = [attempt for _, client, attempt, ack in self.due if client == who and ack is None]
        self.answered[who] = min(pending, default=len(TRIES)) - 1
        heapq.heappush(self.due, (now + RTT / SECOND, who, 0, isn + 1 & 0xFFFFFFFF))

    def leave(self):
        for sock in [*self.served, self.listener]:
            sock.close()


def syn(src, sport, seq=7):
    return segment(src, sport, "S", seq, 0, {"mss": 1460})


def segment(src, sport, flags, seq, ack, opts=None):
    src = socket.inet_ntoa(struct.pack("!I", src))
    header = {"src": src, "sport": sport, "dport": PORT, "flags": flags, "seq": seq, "ack": ack, "wnd": 65535}
    return encode(header | {"len": 0, "opts": opts}, LOCAL)


def play(settings, spoofed):
    """What the kernel does: a Row, or None where the machine was too busy each time."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    for _ in range(ATTEMPTS):
        flood = Flood(Namespace(), Row(*settings, 0, 0, 0, 0, {}, CLIENTS), spoofed)
        try:
            row = flood.play()
        finally:
            flood.leave()
            flood.namespace.close()
        if np.mean(flood.kept) >= KEPT:
            assert len(flood.served) == np.count_nonzero(flood.answered < len(TRIES)), "connected, not served"
            return row
    return None


@pytest.fixture(scope="module")
def kernel():
    """Every row of the grid, at the same time."""
    ports = np.random.default_rng(0).integers(1024, 65536, DIFFERENT)
    spoofed = [syn(SPOOFED + 257 * i, int(port)) for i, port in enumerate(ports)]
    with ThreadPoolExecutor(len(GRID)) as pool:
        return dict(zip(GRID, pool.map(lambda settings: play(settings, spoofed), GRID), strict=True))


def differences(ours, theirs):
    """What the profile does otherwise than the kernel."""
    off = {}
    for name in ("first_try", "three_tries"):
        share = getattr(theirs, name)
        spread = 3 * (share * (1 - share) / CLIENTS) ** 0.5
        off[name] = abs(getattr(ours, name) - share) > max(0.02, 0.2 * share) + spread
    off["half_open_mean"] = abs(ours.half_open_mean - theirs.half_open_mean) > 0.05 * theirs.half_open_mean
    off["half_open_max"] = ours.half_open_max != theirs.half_open_max
    off |= {name: abs(ours.counters[name] - theirs.counters[name]) > 0.05 * theirs.counters[name] + 30
            for name in COUNTERS}
    return [name for name, differs in off.items() if differs]


def played(kernel, settings):
    if kernel[settings] is None:
        pytest.skip("the machine is too busy for real time")
    return kernel[settings]


@needs
@pytest.mark.parametrize("settings", GRID, ids=lambda settings: "-".join(map(str, settings)))
def test_the_running_kernel_and_the_profile_agree(settings, kernel):
    theirs = played(kernel, settings)
    ours = mean_flood(theirs)
    assert differences(ours, theirs) == [], (vars(ours), vars(theirs))


@needs
@pytest.mark.parametrize(("settings", "knobs"), [
    ((256, 64, 100, 1, 0), {"synq_policy": "drop-new"}),        # no reserve
    ((256, 1024, 1000, 0, 0), {"tcp_synack_retries": 1}),
    ((64, 1024, 1000, 1, 1), {"tcp_syncookies": 0}),
    ((64, 1024, 100, 1, 0), {"synq_policy": "evict-oldest"}),
], ids=str)  # fmt: skip
def test_the_running_kernel_is_no_other_stack(settings, knobs, kernel):
    theirs = played(kernel, settings)
    assert differences(mean_flood(theirs, **knobs), theirs)
