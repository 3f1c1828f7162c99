"""pytest-benchmark: the lifecycle of N pairs, engine and naive reference; the shuffling is not timed.

A round is all N pairs; extra_info has the median per pair.
"""

import pytest

from benchmarks.harness import SIZES, Stopwatch, pinned
from benchmarks.lifecycle import EnginePair, Lifecycle, NaivePair

WATCH = Stopwatch()

pytestmark = pytest.mark.benchmark(timer=WATCH)


def measure(benchmark, pair):
    life = Lifecycle(pair, WATCH)
    with pinned():
        benchmark.pedantic(life.cycle, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns_per_pair"] = benchmark.stats.stats.median / pair.n * 1e9


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("n", SIZES)
def test_lifecycle(benchmark, n, timestamps):
    measure(benchmark, EnginePair(n, tcp_timestamps=timestamps))


def test_naive_lifecycle(benchmark):
    measure(benchmark, NaivePair(10_000))
