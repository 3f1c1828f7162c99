"""CLOSE-WAIT and LAST-ACK (RFC 9293 3.6, 3.10.4, 3.10.7.4)."""

import pytest

from tcpcore import State
from tests.dialogue import RTT, SILENCE, WINDOW


def test_four_segments(established):
    established.arrives("FA")
    established.expects("A")
    assert established.state == State.CLOSE_WAIT
    established.shutdown()
    established.expects("FA")
    assert established.state == State.LAST_ACK
    established.arrives("A", at=RTT)
    established.expects(SILENCE)
    assert (established.state, established.error) == (State.CLOSED, None)


def test_three_segments_when_the_application_answers_at_once(closed):
    closed.listen(auto_accept=True, auto_close=True)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.arrives("A", at=RTT)
    closed.arrives("FA", at=1)
    closed.expects("FA")
    assert closed.state == State.LAST_ACK
    closed.arrives("A")
    assert closed.state == State.CLOSED


def test_fin_with_data_takes_both(established):
    established.arrives("FA", length=100)
    established.expects("A", ack=102)
    assert established.state == State.CLOSE_WAIT


def test_repeated_fin_is_acknowledged_again(close_wait):
    close_wait.arrives("FA", seq=1)
    close_wait.expects("A")
    assert close_wait.state == State.CLOSE_WAIT


def test_data_still_flows_to_the_peer(close_wait):
    close_wait.send(100)
    close_wait.expects("A", length=100)
    close_wait.arrives("A", at=RTT)
    close_wait.wait(10)
    assert close_wait.state == State.CLOSE_WAIT


def test_data_behind_the_peers_fin_is_ignored(close_wait):
    """RFC 9293 3.10.7.4 (7th): this should not occur; ignore."""
    close_wait.arrives("A", seq=2, length=10)
    close_wait.expects(SILENCE)
    assert close_wait.state == State.CLOSE_WAIT


@pytest.mark.parametrize("place, error", [("close_wait", "EPIPE"), ("closing", "ECONNRESET"),
                                          ("last_ack", "ECONNRESET")])
def test_text_that_reaches_over_the_peers_fin_is_reset(request, host, place, error):
    """Linux; RFC 9293 ignores it."""
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("A", seq=1, ack=1, length=10)
    dialogue.expects("R", seq=1)
    assert (dialogue.state, dialogue.error) == (State.CLOSED, error)


@pytest.mark.knobs(text_over_fin_resets=0)
def test_text_that_reaches_over_the_peers_fin_is_ignored(after_fin):
    state = after_fin.state
    after_fin.arrives("A", seq=1, ack=1, length=10)
    after_fin.expects(SILENCE)
    assert after_fin.state == state


def test_a_second_fin_right_behind_the_first_is_taken(after_fin):
    state = after_fin.state
    after_fin.arrives("FA", seq=1, ack=1, length=1)
    after_fin.expects("A", ack=3)
    assert after_fin.state == state


@pytest.mark.knobs(auto_read=False)
def test_the_peers_fin_does_not_move_the_right_edge_of_the_window(close_wait):
    close_wait.arrives("R", seq=1 + WINDOW)
    close_wait.expects("A", wnd=WINDOW - 1)
    close_wait.arrives("R", seq=1 + WINDOW + 1)
    close_wait.expects(SILENCE)


def test_fin_waits_for_the_queued_data(close_wait):
    close_wait.send(100)
    close_wait.expects("A", length=100)
    close_wait.shutdown()
    close_wait.expects("FA")
    close_wait.arrives("A", ack=101, at=RTT)
    assert close_wait.state == State.LAST_ACK
    close_wait.arrives("A")
    assert close_wait.state == State.CLOSED


def test_last_fin_is_resent_with_doubling_intervals(last_ack):
    for at in (0.3, 0.9, 2.1):
        last_ack.expects("FA", seq=1, at=at)
    last_ack.arrives("A")
    assert last_ack.state == State.CLOSED
    last_ack.wait(1000)


def test_a_further_acknowledgement_finds_nothing(last_ack):
    last_ack.arrives("A")
    last_ack.arrives("A")
    last_ack.expects("R", seq=2)
