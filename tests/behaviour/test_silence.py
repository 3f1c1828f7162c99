"""Silence of any length: what no `advance` has fired keeps its time and its order (docs/semantics.md, 1)."""

import numpy as np
import pytest

from tcpcore import Engine, segments
from tests.reference.engine import ReferenceEngine

DAY = 86_400 * 10**9
SECOND = 10**9
PEER, LOCAL = "10.0.0.9", "10.0.0.1"
days = pytest.mark.parametrize("days", [1, 7, 24, 25, 40, 49.6, 49.8, 60, 365, 3650])


def opened(engine):
    """One connection, the SYN-ACK already taken."""
    conn, syn = engine.connect(PEER, 81, 0, sport=[5000], isn=1000)
    engine.receive(from_peer(18, 9, int(syn["seq"][0]) + 1), 0)
    return conn, int(syn["seq"][0]) + 1


def from_peer(flags, seq, ack, **more):
    return segments(1, src=PEER, dst=LOCAL, sport=81, dport=5000, seq=seq, ack=ack, flags=flags, wnd=9999,
                    **more)


@days
@pytest.mark.parametrize("stack", [Engine, ReferenceEngine])
def test_resends_come_due_when_they_were_due(stack, days):
    """A call in between, which fires nothing, changes nothing."""
    fired = []
    for look in (False, True):
        engine = stack(capacity=4)
        conn, _ = opened(engine)
        engine.send(conn, 100, 0)
        now = int(days * DAY)
        if look:
            engine.receive(segments(1, src="10.0.0.7", dst=LOCAL, sport=1, dport=99, flags=2), now)
            assert engine.next_timer() == 201 * 10**6
        rows = engine.advance(now)
        fired.append((rows.tobytes(), int(engine.info(conn)["error"][0])))
    assert fired[0] == fired[1]
    assert len(rows) == 15


@days
def test_a_batch_of_two_is_two_batches_of_one(days):
    seen = []
    for split in (False, True):
        engine = Engine(capacity=4)
        engine.listen(LOCAL, 80)
        conn, syn = engine.connect(PEER, 81, 0, sport=[5000], isn=1000)
        now = int(days * DAY)
        reset = from_peer(20, 0, int(syn["seq"][0]) + 1)
        other = segments(1, src="10.0.0.7", dst=LOCAL, sport=5, dport=80, seq=1, flags=2, wnd=100)
        batch = np.concatenate([reset, other])
        parts = [batch[:1], batch[1:]] if split else [batch]
        rows = b"".join(engine.receive(part, now).tobytes() for part in parts)
        entry = engine.lookup("10.0.0.7", 5, LOCAL, 80)
        assert engine.next_timer() <= now + SECOND
        assert len(engine.advance(now)) == 0 and len(engine.advance(now + SECOND)) == 1
        seen.append((rows, engine.info(entry).tobytes(), engine.check()))
    assert seen[0] == seen[1]


@days
@pytest.mark.parametrize("stack", [Engine, ReferenceEngine])
def test_a_round_trip_of_days_is_the_longest_there_is(stack, days):
    engine = stack(capacity=4, tcp_rto_max_ms=10**9)
    conn, syn = engine.connect(PEER, 81, 0, sport=[5000], isn=1000)
    now = int(days * DAY)
    engine.receive(from_peer(18, 9, int(syn["seq"][0]) + 1), now)
    engine.send(conn, 100, now)
    while not (rows := engine.advance(now)).size:
        now = engine.next_timer()
    assert now == int(days * DAY) + 65535 * 3 * 10**6 and rows["payload_len"].tolist() == [100]
