"""Steady churn at the running kernel, under its default sysctls: which connects fail, when, and what stays.

The kernel connects at even intervals from a range of a few ports; the peers are this program, behind the
device, and answer at once. Each connection is closed as soon as it is established. Real time, all cases at
once, each in a namespace of its own. What came of it is tests/data/churn.json, printed by
`python -m tests.live.churn` (root, `SECONDS` long); the engine is asked by tests/corpus/test_churn.py.
"""

import errno
import json
import os
import platform
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.live.kernel import new_socket
from tests.live.namespace import LOCAL, Namespace, counters, states
from tests.live.packets import decode, encode

SECONDS, RATE, PORTS = 130, 20, (40000, 40511)
PORT, ISN, WINDOW = 80, 1000, 65535
TIME_WAIT = 6
SAMPLE, LOOK = 5, 0.002                          # s between two looks at the table, and at the device
NICE = -15
COUNTERS = ("TW", "TWRecycled", "TCPTimeWaitOverflow")

#: What differs from the host's defaults, how many servers there are, and who closes first.
CASES = {
    "default": ({}, 1, "client"),
    "tcp_tw_reuse": ({"tcp_tw_reuse": 1}, 1, "client"),
    "tcp_tw_reuse, no timestamps": ({"tcp_tw_reuse": 1, "tcp_timestamps": 0}, 1, "client"),
    "two destinations": ({}, 2, "client"),
    "the server closes": ({}, 1, "server"),
    "tcp_max_tw_buckets": ({"tcp_max_tw_buckets": 100}, 1, "client"),
}


class Churn:
    """One case, in the namespace of the calling thread."""

    def __init__(self, sysctl, destinations, closer):
        self.namespace = Namespace()
        self.namespace.sysctl({"ip_local_port_range": "{} {}".format(*PORTS), **sysctl})
        self.destinations, self.closer = destinations, closer
        self.sockets = {}
        self.opened, self.refused = [0] * SECONDS, [0] * SECONDS

    def play(self):
        before, attempts, time_wait = counters(COUNTERS), 0, []
        self.began = time.monotonic()
        while (now := time.monotonic() - self.began) < SECONDS:
            while attempts < SECONDS * RATE and attempts <= now * RATE:
                self.connect(attempts)
                attempts += 1
            while (packet := self.namespace.receive()) is not None:
                self.answer(decode(packet))
            if now >= len(time_wait) * SAMPLE:
                time_wait.append(states().count(TIME_WAIT))
            time.sleep(LOOK)
        assert attempts == SECONDS * RATE
        assert not self.sockets, "a connection was not closed"
        kept = np.abs(np.add(self.opened, self.refused) - RATE).max() <= 1
        assert kept, "the machine was too busy for real time"
        return {"opened": self.opened, "refused": self.refused, "time_wait": time_wait,
                "counters": {name: value - before[name] for name, value in counters(COUNTERS).items()}}

    def connect(self, attempt):
        sock = new_socket()
        peer = f"10.9.1.{1 + attempt % self.destinations}"
        error = sock.connect_ex((peer, PORT))
        second = min(int(time.monotonic() - self.began), SECONDS - 1)
        (self.refused if error == errno.EADDRNOTAVAIL else self.opened)[second] += 1
        if error == errno.EADDRNOTAVAIL:
            sock.close()
        else:
            assert error == errno.EINPROGRESS, os.strerror(error)
            self.sockets[peer, sock.getsockname()[1]] = sock

    def answer(self, seg):
        """What a peer does: accept, and close when it is told to or first."""
        if seg is None:
            return
        key = seg["src"], seg["dport"]
        after = seg["seq"] + seg["len"] + ("S" in seg["flags"]) + ("F" in seg["flags"]) & 0xFFFFFFFF
        if "S" in seg["flags"]:
            self.say(seg, "SA", ISN, after, {"mss": 1460})
        elif "F" in seg["flags"]:
            first = seg["ack"] == ISN + 1
            self.say(seg, "FA" if first else "A", ISN + 1 if first else ISN + 2, after)
        elif seg["ack"] == ISN + 1 and key in self.sockets:
            if self.closer == "server":
                self.say(seg, "FA", ISN + 1, after)
            else:
                self.sockets.pop(key).close()
        elif seg["ack"] == ISN + 2 and key in self.sockets:
            self.sockets.pop(key).close()

    def say(self, to, flags, seq, ack, options=None):
        options = dict(options or {})
        if "ts" in to["opts"]:
            options["ts"] = [int(time.monotonic() * 1000) & 0xFFFFFFFF, to["opts"]["ts"][0]]
        header = {"src": to["src"], "sport": PORT, "dport": to["dport"], "wnd": WINDOW, "len": 0}
        header |= {"flags": flags, "seq": seq, "ack": ack, "opts": options}
        self.namespace.send(encode(header, LOCAL))


def play(case):
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    return Churn(*case).play()


def record():
    with ThreadPoolExecutor(len(CASES)) as pool:
        came = dict(zip(CASES, pool.map(play, CASES.values()), strict=True))
    about = {"kernel": platform.release(), "rate": RATE, "seconds": SECONDS, "ports": PORTS, "sample": SAMPLE,
             "what": "connects a second that were opened and refused, TIME_WAITs each `sample` seconds"}
    return {"about": about, "cases": {
        name: {"sysctl": sysctl, "destinations": destinations, "closer": closer, **came[name]}
        for name, (sysctl, destinations, closer) in CASES.items()}}


if __name__ == "__main__":
    print(json.dumps(record()))
