"""The memory of an engine as the system counts it: small for few connections, and told truly by gauges().

Each case is a process of its own, since what the allocator of another test kept would hide the growth. An
engine that did the same warms the interpreter up first.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.foreign.building import SANITIZED

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self/smaps_rollup").exists(), reason="resident memory is read from Linux's /proc"
    ),
    pytest.mark.skipif(SANITIZED, reason="ASan's own memory would be counted, too"),
]

KIB = 1024
PAGE = os.sysconf("SC_PAGESIZE")

PROLOGUE = """
    import gc
    import numpy as np
    from tcpcore import Config, Engine, EngineGroup, State, segments

    CLIENT, SERVER, MS = "10.1.0.1", "10.0.0.1", 10**6

    def resident():
        gc.collect()
        with open("/proc/self/smaps_rollup") as file:       # statm is off by some hundred pages
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))

    def engine_of(config, n, members=0):
        engine = EngineGroup(members, config) if members else Engine(config)
        listener = engine.listen(SERVER, 80)
        sport = np.arange(1000, 1000 + n, dtype=np.uint16)
        fields = dict(src=CLIENT, dst=SERVER, sport=sport, dport=80, wnd=65535)
        syn_acks = engine.receive(segments(n, seq=5, flags=2, opts=1, mss=1460, **fields), 0)
        engine.receive(segments(n, seq=6, ack=syn_acks["seq"] + 1, flags=16, **fields), 10 * MS)
        engine.send(engine.accept(listener), 100, 20 * MS)
        assert engine.state_counts()[State.ESTABLISHED] == n
        return engine
"""


def run(body):
    """The integers that the body prints."""
    script = textwrap.dedent(PROLOGUE) + textwrap.dedent(body)
    # large arrays that are freed go back to the system at once
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
@pytest.mark.parametrize("capacity", [64, 1000, 65536, 1 << 20, 1 << 24, 50_000_000])
def test_ten_connections_touch_less_than_100_kib_whatever_the_capacity(profile, capacity):
    grown, told = run(f"""
        config = Config.{profile}(capacity={capacity})
        warm = [engine_of(config, 10) for _ in range(16)]
        before = resident()
        engines = [engine_of(config, 10) for _ in range(128)]
        print((resident() - before) // 128, sum(engine.gauges()["bytes_total"] for engine in engines) // 128)
    """)
    assert told < 100 * KIB and grown < 100 * KIB
    # small allocations come from pages that are there already, a few others are the interpreter's
    assert abs(grown - told) <= 3 * PAGE


def test_gauges_count_the_untouched_part_of_a_huge_page():
    grown, told = run("""
        config = Config(capacity=4_000_000, tcp_syncookies=0, tcp_max_syn_backlog=10**6, somaxconn=10**6)
        warm = [engine_of(config, 40_000) for _ in range(2)]
        before = resident()
        engine = engine_of(config, 40_000)      # the TCBs fill 2.4 MiB: small pages, then a huge one
        print(resident() - before, engine.gauges()["bytes_total"])
    """)
    assert abs(grown - told) < 256 * KIB < told


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
@pytest.mark.parametrize("capacity", [64, 1_000_000, 1 << 24])
def test_a_thousand_hosts_of_ten_connections_fit_in_200_mb(profile, capacity):
    (grown,) = run(f"""
        config = Config.{profile}(capacity={capacity})
        warm = engine_of(config, 10)
        before = resident()
        engines = [engine_of(config, 10) for _ in range(1000)]
        print(resident() - before)
    """)
    assert grown < 100 * 10**6


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("capacity", [64, 1 << 20, 1 << 24])
def test_each_member_of_a_group_touches_less_than_100_kib_whatever_the_capacity(members, capacity):
    """With ten connections: whichever members have them, and wherever in the array of all a member begins."""
    grown, told = run(f"""
        config = Config(capacity={capacity})
        warm = [engine_of(config, 10, {members}) for _ in range(8)]
        before = resident()
        groups = [engine_of(config, 10, {members}) for _ in range(32)]
        print((resident() - before) // 32, sum(group.gauges()["bytes_total"] for group in groups) // 32)
    """)
    assert told < 100 * KIB * members and grown < 100 * KIB * members
    assert abs(grown - told) <= 3 * PAGE * (members + 1)


@pytest.mark.parametrize("capacity", [64, 65536])
def test_a_thousand_groups_of_two_with_ten_connections_fit_in_200_mb(capacity):
    (grown,) = run(f"""
        config = Config(capacity={capacity})
        warm = engine_of(config, 10, 2)
        before = resident()
        groups = [engine_of(config, 10, 2) for _ in range(1000)]
        print(resident() - before)
    """)
    assert grown < 200 * 10**6


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
@pytest.mark.parametrize("capacity", [64, 65536, 1 << 24])
def test_ten_active_opens_with_events_and_results_kept_touch_less_than_100_kib(profile, capacity):
    """Ports are chosen, events told, calls are of one and what they give is kept."""
    grown, told = run(f"""
        def client(config):
            engine = Engine(config)
            kept = []
            for now in range(0, 300 * MS, 30 * MS):
                conn, syn = engine.connect(SERVER, 80, now)
                fields = dict(src=SERVER, dst=CLIENT, sport=80, dport=syn["sport"], wnd=65535)
                ack = int(syn["seq"][0]) + 1
                kept.append(engine.receive(segments(1, seq=5, ack=ack, flags=18, **fields), now + 10 * MS))
                kept += [syn, engine.send(conn, 100, now + 20 * MS)]
            assert engine.state_counts()[State.ESTABLISHED] == 10
            return engine, kept

        config = Config.{profile}(
            capacity={capacity}, local_addr=CLIENT, events=("opened", "established", "closed", "lost"))
        warm = [client(config) for _ in range(16)]
        before = resident()
        clients = [client(config) for _ in range(128)]
        print((resident() - before) // 128, sum(c[0].gauges()["bytes_total"] for c in clients) // 128)
    """)
    assert told < 100 * KIB and grown < 110 * KIB        # the results are not the engine's


def test_the_slots_of_past_timers_are_given_back():
    told, grown = run("""
        def churn(engine, seconds):
            # a connection each 37 ms, opened and closed by its client
            engine.listen(SERVER, 81, auto_accept=True, auto_close=True)
            for i, now in enumerate(range(30 * MS, seconds * 1000 * MS, 37 * MS)):
                fields = dict(src=CLIENT, dst=SERVER, sport=1024 + i % 60_000, dport=81, wnd=65535)
                engine.advance(now)
                ack = engine.receive(segments(1, seq=5, flags=2, opts=1, mss=1460, **fields), now)["seq"] + 1
                engine.receive(segments(1, seq=6, ack=ack, flags=16, **fields), now)
                engine.receive(segments(1, seq=6, ack=ack, flags=17, **fields), now)
                engine.receive(segments(1, seq=7, ack=ack + 1, flags=16, **fields), now)
            assert engine.state_counts().sum() == 12 and engine.check() == []

        churn(engine_of(Config(capacity=1000), 10), 5)
        before = resident()
        engine = engine_of(Config(capacity=1000), 10)
        churn(engine, 150)                      # the near level of the wheel turns once in 131 s
        print(engine.gauges()["bytes_total"], resident() - before)
    """)
    assert told < 128 * KIB and grown < 192 * KIB
