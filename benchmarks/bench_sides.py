"""pytest-benchmark: each end alone and the flood, by number of connections, batch size, timestamps.

A round is all N connections; extra_info has the median per segment (or step, or SYN).
"""

import pytest

from benchmarks.harness import SIZES, Stopwatch, pinned
from benchmarks.lifecycle import BATCH
from benchmarks.sides import POLICIES, ClientSide, Flood, Mixed, ServerSide

WATCH = Stopwatch()

pytestmark = pytest.mark.benchmark(timer=WATCH)


def measure(benchmark, cycle, steps):
    with pinned():
        benchmark.pedantic(cycle, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns_per_step"] = benchmark.stats.stats.median / steps * 1e9


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("side", [ServerSide, ClientSide, Mixed])
def test_side(benchmark, side, n, timestamps):
    life = side(n, WATCH, tcp_timestamps=timestamps)
    measure(benchmark, life.cycle, n * life.segments)


@pytest.mark.parametrize("batch", [256, 1024, BATCH, 16384])
def test_batch(benchmark, batch):
    n = 1_000_000
    life = ServerSide(n, WATCH, batch)
    measure(benchmark, life.cycle, n * life.segments)


@pytest.mark.parametrize("cookies", [0, 1])
@pytest.mark.parametrize("policy", POLICIES)
def test_flood(benchmark, policy, cookies):
    flood = Flood(WATCH, synq_policy=policy, tcp_syncookies=cookies)
    measure(benchmark, flood.cycle, Flood.SYNS)
