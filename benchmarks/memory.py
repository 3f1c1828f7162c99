"""Bytes per connection and end, with all connections established: touched pages of every array."""

from __future__ import annotations

from benchmarks.lifecycle import EnginePair, Lifecycle
from tcpcore import State

LIMIT, LIMIT_WITHOUT_TIMESTAMPS = 160, 100


def bytes_per_connection(n: int, **knobs: object) -> float:
    """Of the larger end, after `n` handshakes through fresh engines and accept."""
    pair = EnginePair(n, **knobs)
    Lifecycle(pair).open()
    ends = (pair.client, pair.server)
    established = [int(end.state_counts()[State.ESTABLISHED]) for end in ends]
    if established != [n, n]:
        raise RuntimeError(f"expected {n} established at both ends, got {established}")
    return max(end.gauges()["bytes_per_connection"] for end in ends)
