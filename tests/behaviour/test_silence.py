"""Silence of any length: what no `advance` has fired keeps its time and its order (docs/semantics.md, 1)."""

import numpy as np
import pytest

from tcpcore import Config, Engine, segments
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


# ---- what the property test (tests/properties/test_any_silence.py) has found

def both(config, *script):
    """The same (call, arguments ...) on both stacks: rows and deadline after each, which must be the same."""
    told = []
    for stack in (Engine, ReferenceEngine):
        engine, seen = stack(config), []
        for call, *args in script:
            answer = getattr(engine, call)(*args, **({"sport": [5000]} if call == "connect" else {}))
            seen.append(((answer[-1] if call == "connect" else answer).tobytes(), engine.next_timer()))
        told.append(seen)
    assert told[0] == told[1]
    return [due for _, due in told[0]]


@days
@pytest.mark.parametrize("keepinit", [1500, 75_000])
def test_an_attempt_ends_where_it_ends(keepinit, days):
    """A SYN that no advance fired, then the peer's: the end (FreeBSD's keepinit) is past, so due at once. The
    round trip that the peer's ACK tells begins with our SYN-ACK."""
    now = int(days * DAY)
    config = Config.freebsd(capacity=4, isn="rfc793", keepinit_ms=keepinit, tcp_timestamps=0)
    due = both(config, ("connect", PEER, 81, 0), ("receive", from_peer(2, 9, 0), now),
               ("receive", from_peer(16, 10, 1), now + 5), ("send", [1 << 32], 100, now + 5),
               ("advance", now + SECOND))
    assert due[1] == now and due[3] == now + 231 * 10**6


@days
def test_text_of_an_overdue_probe_is_timed_from_then(days):
    """A probe of 50 bytes was due at 0.2 s and goes after days: the sample is the longest there is."""
    engine = Engine(capacity=4, tcp_rto_max_ms=10**9, tcp_timestamps=0)
    conn, una = opened(engine)
    closing = from_peer(16, 10, una)
    closing["wnd"] = 50
    engine.receive(closing, 0)
    engine.send(conn, 100, 0)
    now = int(days * DAY)
    engine.receive(segments(1, src="10.0.0.7", dst=LOCAL, sport=1, dport=99, flags=2), now)
    rows = engine.advance(now, out=segments(1))
    assert rows["payload_len"].tolist() == [50]
    engine.receive(from_peer(16, 10, una + 50), now)
    while not engine.advance(now).size:
        now = engine.next_timer()
    assert now > int(days * DAY) + 65_535 * 10**6


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine])
def test_next_timer_is_not_behind_the_calls(stack):
    """A deadline at 100 s, and a call at 90 s: not the beginning of the far slot, which is at 65.5 s."""
    engine = stack(capacity=4, time_wait_ms=100_000)
    conn, una = opened(engine)
    engine.close(conn, 0)
    engine.receive(from_peer(17, 10, una + 1), 0)
    assert 0 < engine.next_timer() <= 100 * SECOND
    engine.receive(segments(1, src="10.0.0.7", dst=LOCAL, sport=1, dport=99, flags=2), 90 * SECOND)
    assert 90 * SECOND < engine.next_timer() <= 100 * SECOND


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine])
def test_what_is_overdue_stays_so_when_another_timer_is_armed(stack):
    """Output that fell due at 0, all sent since, and a week later one byte that arms the resend timer."""
    engine = stack(capacity=4, tcp_timestamps=0)
    conn, una = opened(engine)
    engine.send(conn, 22 * 536, 0)
    for _ in range(3):
        engine.receive(from_peer(16, 10, int(engine.info(conn)["snd_nxt"][0])), 0)
    assert int(engine.info(conn)["snd_nxt"][0]) == una + 22 * 536 and engine.next_timer() == 0
    engine.send(conn, 1, 7 * DAY)
    assert engine.next_timer() == 0
    assert len(engine.advance(7 * DAY)) == 0


@pytest.mark.parametrize("years", [1, 30, 40, 100])
def test_the_later_timer_keeps_its_time_for_years(years):
    """A resend timer that nobody fires, and after years a delayed ACK: its deadline is not 34.8 years off."""
    now = years * 365 * DAY
    config = Config.linux(capacity=4, isn="rfc793", delack_ms=40, tcp_timestamps=0)
    both(config, ("connect", PEER, 81, 0), ("receive", from_peer(18, 9, 1), 0), ("send", [1 << 32], 100, 0),
         ("receive", segments(1, src=PEER, dst=LOCAL, sport=81, dport=5000, seq=10, ack=1, flags=16, wnd=9999,
                              payload_len=10), now),
         ("advance", now), ("advance", now + 39 * 10**6), ("advance", now + 40 * 10**6))


@pytest.mark.parametrize("after", [0, 2**32, 2**40])
def test_limited_answers_wherever_the_clock_stands(after):
    """tcp_invalid_ratelimit at ticks whose low bits are 0: these meant that nothing had been answered yet."""
    now = after * 10**6
    config = Config.linux(capacity=4, isn="rfc793", tcp_timestamps=0)
    old = from_peer(16, 5, 1)
    both(config, ("connect", PEER, 81, 0), ("receive", from_peer(18, 9, 1), 0),
         *(("receive", old, now + ms * 10**6) for ms in (0, 1, 2, 499, 500, 501, 999, 1000)))


@days
def test_a_time_wait_whose_timestamp_is_old_is_replaced_at_once(days):
    """TS.Recent is days old when TIME-WAIT begins (the FIN had no timestamp), and with it tcp_tw_reuse_delay
    has passed; its port, the only one, can be had."""
    engine = Engine(capacity=4, tcp_tw_reuse=1, ip_local_port_range=(5000, 5000), isn="rfc793")
    conn, syn = engine.connect(PEER, 81, 0)
    nxt = int(syn["seq"][0]) + 1
    engine.receive(from_peer(18, 9, nxt, opts=8, tsval=7, tsecr=int(syn["tsval"][0])), 0)
    now = int(days * DAY)
    engine.close(conn, now)
    engine.receive(from_peer(17, 10, nxt + 1), now)
    assert engine.state_counts()[10] == 1
    conns, rows = engine.connect(PEER, 81, now)
    assert conns[0] and len(rows) == 1 and engine.check() == []
    assert not engine.connect(PEER, 81, now)[0][0]


@days
def test_a_time_wait_is_replaced_when_it_is_old_enough_after_days(days):
    """tcp_tw_reuse_delay of 10 days: not a ms before, also when a refusal has noted the time, and no walk."""
    delay = 10 * 86_400_000
    engine = Engine(capacity=4, tcp_tw_reuse=1, tcp_tw_reuse_delay=delay, time_wait_ms=2**30 - 1,
                    ip_local_port_range=(5000, 5000), isn="rfc793")
    start = int(days * DAY)
    conn, syn = engine.connect(PEER, 81, start)
    nxt = int(syn["seq"][0]) + 1
    stamps = {"opts": 8, "tsval": 7, "tsecr": int(syn["tsval"][0])}
    engine.receive(from_peer(18, 9, nxt, **stamps), start)
    engine.close(conn, start)
    engine.receive(from_peer(17, 10, nxt + 1, **stamps), start)
    for after in (0, 5 * DAY, 8 * DAY, delay * 10**6 - 10**6):
        assert not engine.connect(PEER, 81, start + after)[0][0]
    assert engine._port_looks == 1
    assert engine.connect(PEER, 81, start + delay * 10**6)[0][0]
