"""The reference engine on its own: two of them talk to each other; their handles and timers.

That it does what a kernel did is asked in tests/corpus, that it does what the RFC says in tests/dialogues.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpcore import Config, State, segments
from tests.reference.connection import after, before, between, doubled, model, tick
from tests.reference.engine import ReferenceEngine

MS = 1_000_000
SECOND = 1000 * MS
EDGE = 0xFFFF_FF00
START = EDGE * MS                      # the ISN clock of `reference` reads EDGE
CLIENT, SERVER = "10.0.0.2", "10.0.0.1"


def reference(**knobs):
    return ReferenceEngine(Config.linux(**{
        "capacity": 8, "isn": "rfc793", "isn_tick_ns": MS, "tcp_timestamps": 2, "tcp_syncookies": 0,
        **knobs}))


def converse(client, server, rows, now):
    """Carry segments to and fro until both are silent; how many there were."""
    carried = 0
    here, there = server, client
    while len(rows):
        carried += len(rows)
        rows = here.receive(rows, now)
        here, there = there, here
    return carried


@pytest.fixture
def pair():
    """A connection between two references: client, server, their handles."""
    client, server = reference(local_addr=CLIENT), reference()
    web = server.listen(SERVER, 80)
    conns, rows = client.connect(SERVER, 80, START, sport=40_000)
    assert converse(client, server, rows, START) == 3
    return client, server, conns, server.accept(web)


def states(stack, conns):
    return [State(state) for state in stack.info(conns)["state"]]


def test_two_reference_agree_after_a_handshake(pair):
    client, server, mine, theirs = pair
    assert states(client, mine) == states(server, theirs) == [State.ESTABLISHED]
    assert client.info(mine)["snd_nxt"] == server.info(theirs)["rcv_nxt"] == EDGE + 1
    assert client.next_timer() is None and server.next_timer() is None


def test_data_crosses_the_wrap(pair):
    client, server, mine, theirs = pair
    converse(client, server, client.send(mine, 1000, START), START)
    assert server.info(theirs)["rcv_nxt"] == (EDGE + 1001) % 2**32
    assert client.info(mine)["snd_una"] == (EDGE + 1001) % 2**32


def test_four_segments_close_and_time_wait_runs_out(pair):
    client, server, mine, theirs = pair
    assert converse(client, server, client.close(mine, START), START) == 2
    assert states(client, mine) == [State.FIN_WAIT_2] and states(server, theirs) == [State.CLOSE_WAIT]
    rows = server.close(theirs, START)
    assert len(client.receive(rows, START)) == 1
    assert states(client, mine) == [State.TIME_WAIT]
    assert client.next_timer() == START + 60 * SECOND
    client.advance(START + 60 * SECOND)
    assert client.gauges()["blocks_used"] == 0 and client.next_timer() is None
    assert client.check() == server.check() == []


def test_a_slot_is_taken_again_by_the_next_owner():
    stack = reference()
    conns, _ = stack.connect(SERVER, 80, START, sport=[1, 2, 3])
    assert [int(conn) for conn in conns] == [1 << 32, 1 << 32 | 1, 1 << 32 | 2]
    stack.abort(conns[:2], START)
    again, _ = stack.connect(SERVER, 80, START, sport=[4, 5])
    assert [int(conn) for conn in again] == [2 << 32 | 1, 2 << 32]
    assert states(stack, conns) == [State.CLOSED, State.CLOSED, State.SYN_SENT]
    stack.abort(conns[0], START)
    assert stack.counters["StaleHandles"] == 1


def test_timers_of_one_tick_fire_as_they_were_armed():
    stack = reference()
    stack.connect(SERVER, 80, START, sport=[9, 7, 8])
    assert stack.advance(START + SECOND - 1).size == 0
    assert list(stack.advance(START + SECOND)["sport"]) == [9, 7, 8]


def test_the_clock_does_not_go_back():
    stack = reference()
    stack.advance(START)
    with pytest.raises(ValueError, match="now"):
        stack.receive(segments(1), START - 1)


def test_numbers_are_compared_on_the_circle():
    assert after(5, EDGE) and before(EDGE, 5) and not after(EDGE, EDGE)
    assert between(EDGE, 0, 5) and not between(EDGE, 6, 5)
    assert tick(MS) == 1 and tick(MS + 1) == 2
    assert doubled(200, 3, 1000) == 1000 and model(200, 3, 1000) == 200 + 400 + 800 + 1000


@given(st.lists(st.tuples(st.sampled_from([2, 16, 17, 18, 4, 20, 24]), st.integers(-2, 3), st.integers(-2, 3),
                          st.integers(0, 2)), max_size=12), st.integers(1, 5))
def test_a_batch_is_its_segments_one_by_one(lines, size):
    whole, parts = reference(), reference()
    for stack in (whole, parts):
        stack.listen(SERVER, 80, 2, auto_accept=True)
    batch = segments(len(lines), src=CLIENT, dst=SERVER, sport=40_000, dport=80, wnd=1000)
    for row, (flags, seq, ack, length) in zip(batch, lines, strict=True):
        row["flags"], row["payload_len"] = flags, length
        row["seq"], row["ack"] = (EDGE + seq) % 2**32, (EDGE + ack) % 2**32
    answers = [parts.receive(batch[i:i + size], START) for i in range(0, len(batch), size)]
    assert whole.receive(batch, START).tobytes() == b"".join(part.tobytes() for part in answers)
    assert whole.counters == parts.counters and whole.check() == []
    assert np.array_equal(whole.state_counts(), parts.state_counts())
