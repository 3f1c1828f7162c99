"""A listener whose application is slow: backlog + 1 fit, then SYNs and third segments wait (listen(2))."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, PEER, RTT, SECOND


def opening(dialogue, port):
    """A conversation of another peer port, its SYN answered."""
    other = dialogue.another(port)
    other.arrives("S", mss=1460)
    other.expects("SA")
    return other


def test_syn_is_dropped_while_the_queue_is_over_its_backlog(closed):
    closed.listen(backlog=0)
    first = opening(closed, 1)
    first.arrives("A")
    second = first.another(2)
    second.arrives("S", mss=1460)
    assert second.state == State.CLOSED
    assert first.accept()
    second.arrives("S", seq=0, mss=1460)
    second.expects("SA", ack=1)


def full(closed):
    """Two in the accept queue of two, a third half-open."""
    closed.listen(backlog=1)
    first = opening(closed, 1)
    first.arrives("A", at=RTT)
    second, third = opening(closed, 2), opening(closed, 3)
    second.arrives("A")
    third.arrives("A")
    return first, third


def test_third_segment_is_dropped_and_the_entry_waits(closed):
    first, third = full(closed)
    assert third.state == State.SYN_RECEIVED
    third.expects("SA", at=1)
    assert first.accept()
    third.arrives("A")
    assert third.state == State.ESTABLISHED


@pytest.mark.knobs(tcp_abort_on_overflow=1)
def test_third_segment_is_reset_if_so_configured(closed):
    _, third = full(closed)
    third.expects("R", seq=1)
    assert third.state == State.CLOSED


def test_a_connection_reset_while_it_waits_is_still_accepted(closed):
    closed.listen(backlog=0)
    first = opening(closed, 1)
    first.arrives("A")
    first.arrives("R")
    assert first.state == State.CLOSED
    assert first.accept()
    assert first.error == "ECONNRESET"
    assert not first.accept()


def test_nobody_can_close_a_connection_before_it_is_accepted(closed):
    """Found by the fuzzer: an orphan that was accepted could not be freed by close()."""
    closed.listen(backlog=0)
    first = opening(closed, 1)
    first.arrives("A")
    first.hold(first.host.stack.lookup(PEER, first.port, LOCAL, LOCAL_PORT))
    first.close()
    first.abort()
    assert first.state == State.ESTABLISHED
    assert first.accept()
    first.arrives("R")
    first.close()
    assert first.host.stack.gauges()["blocks_used"] == 0


def test_oldest_first(closed):
    closed.listen(backlog=2)
    first, second = opening(closed, 1), opening(closed, 2)
    second.arrives("A")
    first.arrives("A")
    assert first.accept()
    first.abort()
    second.expects("RA")
    assert second.state == State.CLOSED


@pytest.mark.parametrize("accept_full_drops_syn", [
    pytest.param(value, marks=pytest.mark.knobs(accept_full_drops_syn=value)) for value in (0, 1, 2)
])  # fmt: skip
def test_syns_at_a_full_accept_queue(closed, accept_full_drops_syn):
    """2, Linux before 4.10: they pass while at most one entry is young, its SYN-ACK never resent."""
    closed.listen(backlog=4)
    for port in range(1, 6):
        opening(closed, port).arrives("A")
    for port in (6, 7, 8):
        closed.another(port).arrives("S", mss=1460)
    stack = closed.host.stack
    assert stack.gauges()["half_open"] == {0: 3, 1: 0, 2: 2}[accept_full_drops_syn]
    closed.host.heard.clear()
    stack.advance(closed.host.now + SECOND)         # young no longer
    again = closed.another(9)
    again.host.now += SECOND
    again.arrives("S", mss=1460)
    assert stack.gauges()["half_open"] == {0: 4, 1: 0, 2: 3}[accept_full_drops_syn]
    closed.host.heard.clear()
