"""CLOSE-WAIT and LAST-ACK (RFC 9293 3.6, 3.10.4, 3.10.7.4)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE, SPACE, WINDOW
from tests.requirements.verdicts import requirement


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


# -- what RFC 9293 asks


@requirement("3.6 case 2", "3.6 figure 12", "MUST-12")
def test_the_peer_closes_first(established):
    """A normal close is told from an abort: there is no error."""
    established.arrives("FA")
    established.expects("A")
    assert (established.state, established.error) == (State.CLOSE_WAIT, None)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", at=RTT)
    established.shutdown()
    established.expects("FA")
    assert established.state == State.LAST_ACK
    established.arrives("A", at=2 * RTT)
    established.expects(SILENCE)
    assert (established.state, established.error) == (State.CLOSED, None)


@requirement("3.10.7.4 fifth LAST-ACK")
def test_last_ack_ends_when_our_fin_is_acknowledged(last_ack):
    last_ack.arrives("A", ack=1)
    assert last_ack.state == State.LAST_ACK
    last_ack.arrives("A", ack=2)
    assert (last_ack.state, last_ack.error) == (State.CLOSED, None)


@requirement("3.10.7.4 seventh")
def test_text_after_the_peers_fin_is_ignored(after_fin):
    state, said = after_fin.state, after_fin.said
    after_fin.arrives("A", seq=said, ack=1, length=10)
    assert after_fin.state == state
    assert all(int(row["ack"]) == (after_fin.irs + said) % SPACE for _, row in after_fin.host.heard)
    after_fin.host.heard.clear()


@requirement("3.10.7.4 eighth")
def test_a_repeated_fin_leaves_close_wait(close_wait):
    close_wait.arrives("FA", seq=1, ack=1)
    close_wait.expects("A")
    assert close_wait.state == State.CLOSE_WAIT
