"""What all benchmarks of pytest have in common: the timer, and what is noted with each figure.

pytest-benchmark measures the CPU time of the process, or the sections of the module's `WATCH`. The marks of
the benchmarks do not say so: pytest-codspeed, which has clocks of its own, refuses marks with a timer. Under
it a benchmark's whole round counts, the shuffling included, and there is no `ns_per_segment`.
"""

import os
import time

import pytest


def pytest_collection_modifyitems(config, items):
    """Give each benchmark a mark with its timer, unless pytest-codspeed drives."""
    if config.getoption("codspeed", default=False) or "CODSPEED_ENV" in os.environ:
        return
    for item in items:
        mark = item.get_closest_marker("benchmark")
        if mark is not None:
            timer = getattr(item.module, "WATCH", time.process_time)
            item.add_marker(pytest.mark.benchmark(**mark.kwargs, timer=timer), append=False)


@pytest.fixture
def measure(benchmark):
    """A benchmark that notes how much one round does.

    `measure(work, n, segments)` passes `work`, and further arguments, to pytest-benchmark. extra_info gets
    `n`, the number of connections (or whatever the component has), `segments`, that of segments or steps in a
    round, and `ns_per_segment`, the median. With `rounds=3` exactly that many are measured, after a warm one.
    """

    def run(work, n, segments, *args, rounds=None):
        benchmark.extra_info.update(n=n, segments=segments)
        if rounds is None:
            result = benchmark(work, *args)
        else:
            result = benchmark.pedantic(work, args=args, rounds=rounds, warmup_rounds=1)
        measured = getattr(benchmark, "stats", None)  # nothing under --benchmark-disable and pytest-codspeed
        if measured:
            benchmark.extra_info["ns_per_segment"] = measured.stats.median / segments * 1e9
        return result

    return run
