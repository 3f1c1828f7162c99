"""pytest-benchmark: the flow table alone, a table of N flows, one step of 4096 random rows each."""

import itertools

import numpy as np
import pytest

from benchmarks.harness import SIZES
from tcpcore import segments
from tests.extensions.flow_table import Table

BATCH = 4096

pytestmark = pytest.mark.benchmark(group="flow table")


def flows(n):
    place = np.arange(n, dtype=np.uint32)
    return segments(n, src=0x0A010000 + place // 64000, sport=1024 + place % 64000, dst=0x0A000001, dport=80)


@pytest.fixture(params=SIZES)
def filled(request):
    """The number of flows, a table with them, and an endless iterator of random batches of them."""
    n = request.param
    rng = np.random.Generator(np.random.PCG64(7))
    rows = flows(n)[rng.permutation(n)]
    table = Table(n, seed=7)
    table.insert(rows)
    order = rng.permutation(n)
    batches = [rows[order[at : at + BATCH]] for at in range(0, n - BATCH + 1, BATCH)]
    return n, table, itertools.cycle(batches)


def test_find(measure, filled):
    n, table, batches = filled
    refs = measure(lambda: table.find(next(batches)), n, BATCH)
    assert refs.all()


def test_remove_and_insert(measure, filled):
    n, table, batches = filled

    def churn():
        batch = next(batches)
        table.remove(batch)
        return table.insert(batch)

    assert measure(churn, n, BATCH).all()


def test_hash(measure, filled):
    n, table, batches = filled
    measure(lambda: table.hash(next(batches)), n, BATCH)
