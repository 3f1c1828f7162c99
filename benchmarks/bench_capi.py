"""pytest-benchmark: the functions for compiled callers, a segment a call; the target is 500 ns a round.

A round is a send, the receive of what it sent and the receive of the ACK, on one connection of two engines:
three calls, each with its checks and the engine's lock. `ns_per_segment` in extra_info is ns per round.
"""

import pytest

from benchmarks.harness import pinned
from tcpcore import Engine
from tests.extensions.rounds import Rounds

ROUNDS = 200_000

pytestmark = pytest.mark.benchmark(group="calls of one")


def rounds(timestamps=1):
    """A connection between two engines, warm."""
    client, server = (Engine(capacity=64, local_addr=addr, tcp_timestamps=timestamps)
                      for addr in ("10.0.0.2", "10.0.0.1"))  # fmt: skip
    return Rounds(client, server, server.listen("10.0.0.1", 80), 0x0A000001, 80)


@pytest.mark.parametrize("timestamps", [0, 1])
def test_round_through_cython(measure, timestamps):
    connection = rounds(timestamps)
    assert connection.run(1000) == 1000
    with pinned():
        measure(connection.run, 1, ROUNDS, ROUNDS, rounds=7)
