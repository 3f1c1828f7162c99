"""Pruning in bursts: half-open entries whose timers share a slot of Linux's wheel are judged together.

The kernel fires a slot of 256 ms in one go, so no SYN takes a freed place before the last of the slot has
been judged. Source: the pruned rows of the recorded floods (tests/corpus/test_flood_table.py).
"""

import numpy as np
import pytest

from tcpcore import Config, Engine, segments
from tests.behaviour.test_queues import LOCAL, MS, PEER, A, S, Server
from tests.reference.engine import ReferenceEngine

SLOT = 256                             # ms
PRUNED = 7000                          # ms of age at the third timer
FIRST = (-PRUNED) % SLOT               # who comes then is judged at the beginning of a slot


def flooded(since, until, backlog=255):
    """A server with one SYN in each ms [since, until): the first 256 fill the queue, the others find a place
    when one has become free."""
    server = Server(backlog)
    server.wait(since / 1000)
    for ms in range(since, until):
        server.syn(1 + ms)
        server.wait(0.001)
    assert server.eng.check() == []
    return server


def expired(server):
    return server.eng.counters["SynQueueExpired"]


def test_a_burst_prunes_to_half_though_each_place_is_taken_at_once():
    """256 entries of one slot: 129 go at 7 s until 127 of them are left; the newcomers spare nobody."""
    server = flooded(FIRST, FIRST + PRUNED + SLOT)
    assert expired(server) == 129
    assert server.half_open == 256, "129 have come"


def test_the_next_burst_sees_who_came_in_the_last_one():
    """Judged half a slot later, the second half meets a queue with 128 young: four resends are allowed."""
    half = SLOT // 2
    server = flooded(FIRST + half, FIRST + half + PRUNED + half)
    assert expired(server) == 128
    server = flooded(FIRST + half, FIRST + half + PRUNED + SLOT)
    assert expired(server) == 128


@pytest.mark.parametrize("policy", ["drop-new", "evict-oldest", "short-timer"])
def test_other_policies_have_no_bursts(policy):
    server = Server(31, synq_policy=policy, tcp_syncookies=0, tcp_synack_retries=1)
    for ms in range(32):
        server.syn(1 + ms)
        server.wait(0.001)
    assert expired(server) == 0
    gone = []
    for _ in range(3100):
        server.wait(0.001)
        gone.append(expired(server))
    steps = np.diff(gone)
    assert gone[-1] == 32 and steps.max() == 1, "each at its own time"


def both(engine, reference, method, *arguments):
    """What both answer, which is the same."""
    rows, same = getattr(engine, method)(*arguments), getattr(reference, method)(*arguments)
    assert rows.tolist() == same.tolist()
    return rows


@pytest.mark.parametrize("seed", range(3))
def test_engine_and_reference_prune_alike(seed):
    """100 SYNs a second at a backlog of 20, of which some are followed by an ACK: the same rows all along."""
    rng = np.random.default_rng(seed)
    config = Config.linux(capacity=64, tcp_syncookies=0, tcp_timestamps=0, isn="rfc793", isn_tick_ns=MS)
    engine, reference = Engine(config), ReferenceEngine(config)
    for stack in (engine, reference):
        stack.listen(LOCAL, 80, 20, auto_accept=True)
    for ms in np.cumsum(rng.integers(1, 20, 3000)).tolist():
        peer = {"src": PEER, "dst": LOCAL, "sport": 1 + ms % 60_000, "dport": 80, "wnd": 5000}
        both(engine, reference, "advance", ms * MS)
        rows = both(engine, reference, "receive", segments(1, flags=S, seq=9, **peer), ms * MS)
        if len(rows) and rng.random() < 0.1:
            ack = segments(1, flags=A, seq=10, ack=rows["seq"] + 1, **peer)
            both(engine, reference, "receive", ack, ms * MS)
    assert engine.counters["SynQueueExpired"] == reference.counters["SynQueueExpired"] > 40
    assert engine.check() == []
