"""pytest-benchmark: rows of `play` beside rows of `receive`, on one engine and in the same run (timed.py).

A round is two lives of N connections; `segments` are all their rows. extra_info also gets the ns per row of
each way, and two ratios: of `play` with one time for all rows, and of `play` with a time for each row and a
timer fired between any two, to `receive` of the same segments.
"""

import statistics

import pytest

from benchmarks.harness import SIZES, Stopwatch, pinned
from benchmarks.timed import LAST, WAYS, Timed

PHASES = 3  # of a life, N segments each
WATCH = Stopwatch()

pytestmark = pytest.mark.benchmark(group="timed batch")


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("n", SIZES)
def test_timed(measure, benchmark, n, timestamps):
    timed, laps = Timed(n, WATCH, tcp_timestamps=timestamps), []
    with pinned():
        measure(lambda: laps.append(timed.cycle()), n, 2 * PHASES * n, rounds=3)
    rows = {way: statistics.median(lap[way] for lap in laps[1:] or laps) for way in (*WAYS, *LAST)}
    benchmark.extra_info.update(
        ns_per_row=rows,
        play_to_receive=rows["play"] / rows["receive"],
        timers_to_receive=rows["timers"] / rows["receive, last"],
    )
