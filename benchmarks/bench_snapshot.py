"""pytest-benchmark: a snapshot of N connections, and an engine restored from it.

`extra_info` has the bytes of a connection; its time is `ns_per_segment`. Half the connections are passive and
wait in the accept queue, half are active and wait for an answer; all have timestamps.
"""

import numpy as np
import pytest

from benchmarks.harness import SIZES, pinned
from tcpcore import Config, Engine, segments

LOCAL, PEER = 0x0A000001, 0x0B000000
SYN, ACK, TS = 2, 16, 8
MOST = 50_000  # of one address

pytestmark = pytest.mark.benchmark(group="snapshot")


def connected(n, capacity):
    """An engine with n connections."""
    engine = Engine(Config.linux(capacity=capacity, somaxconn=2**20, local_addr="10.0.0.1", tcp_syncookies=0,
                                 tcp_max_syn_backlog=2**31 - 1, synq_policy="drop-new"))
    engine.listen(LOCAL, 80, n)
    number = np.arange(n // 2)
    peers = {"src": PEER + number // MOST, "sport": 1024 + number % MOST, "dst": LOCAL, "dport": 80,
             "wnd": 1000, "opts": TS, "tsval": 1}
    synacks = engine.receive(segments(len(number), **peers, flags=SYN, seq=1), 0)
    engine.receive(segments(len(number), **peers, flags=ACK, seq=2, ack=synacks["seq"] + np.uint32(1),
                            tsecr=synacks["tsval"]), 1_000_000)
    number = np.arange(n - n // 2)
    engine.connect(PEER + number // MOST, 80, 2_000_000, sport=1024 + number % MOST)
    assert engine.gauges()["blocks_used"] == n
    return engine


def note(benchmark, blob, n):
    benchmark.extra_info["bytes_per_connection"] = round(len(blob) / n, 1)


@pytest.mark.parametrize("n", [10, *SIZES])
def test_snapshot(measure, benchmark, n):
    engine = connected(n, 16_000_000)
    with pinned():
        measure(engine.snapshot, n, n, rounds=3)
    note(benchmark, engine.snapshot(), n)


@pytest.mark.parametrize("n", [10, *SIZES])
def test_restore(measure, benchmark, n):
    blob = connected(n, 16_000_000).snapshot()
    with pinned():
        measure(Engine.restore, n, n, blob, rounds=3)
    note(benchmark, blob, n)
    assert Engine.restore(blob).snapshot() == blob
