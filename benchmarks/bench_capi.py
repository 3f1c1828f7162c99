"""pytest-benchmark: the functions for compiled callers, a segment a call; the target is 500 ns a round.

A round is a send, the receive of what it sent and the receive of the ACK, on one connection of two engines:
three calls, each with its checks and the engine's lock. `ns_per_segment` in extra_info is ns per round.
"""

import pytest

from benchmarks.calls import ROUNDS, rounds
from benchmarks.harness import pinned

pytestmark = pytest.mark.benchmark(group="calls of one")


@pytest.mark.parametrize("timestamps", [0, 1])
def test_round_through_cython(measure, timestamps):
    connection = rounds(timestamps)
    assert connection.run(1000) == 1000
    with pinned():
        measure(connection.run, 1, ROUNDS, ROUNDS, rounds=7)
