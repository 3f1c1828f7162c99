"""pytest-benchmark: each end alone and the flood, by number of connections, batch size, timestamps.

A round is all N connections; `segments` are inbound ones, or the steps of the client.
"""

import pytest

from benchmarks.harness import SIZES, Stopwatch, pinned
from benchmarks.lifecycle import BATCH
from benchmarks.sides import POLICIES, ClientSide, Flood, Mixed, ServerSide

WATCH = Stopwatch()

pytestmark = pytest.mark.benchmark(group="one end")


def live(measure, side):
    with pinned():
        measure(side.cycle, side.n, side.n * side.segments, rounds=3)


@pytest.mark.parametrize("timestamps", [0, 1])
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("side", [ServerSide, ClientSide, Mixed])
def test_side(measure, side, n, timestamps):
    live(measure, side(n, WATCH, tcp_timestamps=timestamps))


@pytest.mark.parametrize("batch", [256, 1024, BATCH, 16384])
def test_batch(measure, batch):
    live(measure, ServerSide(min(SIZES[-1], 1_000_000), WATCH, batch))


@pytest.mark.benchmark(group="flood")
@pytest.mark.parametrize("cookies", [0, 1])
@pytest.mark.parametrize("policy", POLICIES)
def test_flood(measure, policy, cookies):
    flood = Flood(WATCH, synq_policy=policy, tcp_syncookies=cookies)
    with pinned():
        measure(flood.cycle, Flood.BACKLOG, Flood.SYNS, rounds=3)
