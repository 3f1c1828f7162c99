"""pytest-benchmark: the lifecycle of N pairs, engine and naive reference; the shuffling is not timed.

A round is all N pairs; a pair exchanges seven segments.
"""

import pytest

from benchmarks.harness import SIZES, Stopwatch, pinned
from benchmarks.lifecycle import EnginePair, Lifecycle, NaivePair

SEGMENTS = 7  # of a pair: three open it, four close it
WATCH = Stopwatch()

pytestmark = pytest.mark.benchmark(group="pair")


def live(measure, pair):
    life = Lifecycle(pair, WATCH)
    with pinned():
        measure(life.cycle, pair.n, SEGMENTS * pair.n, rounds=3)


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("n", SIZES)
def test_lifecycle(measure, n, timestamps):
    live(measure, EnginePair(n, tcp_timestamps=timestamps))


def test_naive_lifecycle(measure):
    live(measure, NaivePair(10_000))
