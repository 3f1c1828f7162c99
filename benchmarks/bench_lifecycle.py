"""pytest-benchmark: a whole life of N pairs, engine and naive twin, without the shuffling between.

A round is all N together; extra_info has the median per pair.
"""

import pytest

from benchmarks.harness import Stopwatch, pinned
from benchmarks.lifecycle import EnginePair, Lifecycle, NaivePair

WATCH = Stopwatch()


@pytest.mark.benchmark(timer=WATCH)
@pytest.mark.parametrize(
    ("pair", "n"), [(EnginePair, 10_000), (NaivePair, 10_000), (EnginePair, 100_000), (EnginePair, 1_000_000)]
)
def test_lifecycle(benchmark, pair, n):
    life = Lifecycle(pair(n), WATCH)
    with pinned():
        benchmark.pedantic(life.cycle, rounds=3, warmup_rounds=1)
    if benchmark.stats:
        benchmark.extra_info["ns_per_pair"] = benchmark.stats.stats.median / n * 1e9
