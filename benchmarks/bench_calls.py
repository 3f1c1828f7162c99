"""pytest-benchmark: calls of one from Python, scalars and arrays of one. A round is a thousand of them."""

import pytest

from benchmarks.calls import CALLS, Caller, run_all
from benchmarks.harness import pinned

pytestmark = pytest.mark.benchmark(group="calls of one")


@pytest.mark.parametrize("name", list(Caller().cases()))
def test_call(benchmark, name):
    caller = Caller()
    _, prepared, call = caller.cases()[name]
    with pinned():
        benchmark.pedantic(run_all, setup=lambda: ((call, prepared()), {}), rounds=15, warmup_rounds=1)
    note(benchmark, caller)
    assert caller.engine.check() == []


def test_plain_step(benchmark):
    caller = Caller()
    with pinned():
        benchmark.pedantic(run_all, args=(caller.step, range(CALLS)), rounds=15, warmup_rounds=1)
    note(benchmark, caller)


def note(benchmark, caller):
    """The connection, the calls of a round, and ns of one."""
    benchmark.extra_info.update(n=1, segments=CALLS)
    if measured := getattr(benchmark, "stats", None):  # nothing under --benchmark-disable and pytest-codspeed
        benchmark.extra_info["ns_per_segment"] = measured.stats.median / CALLS * 1e9
