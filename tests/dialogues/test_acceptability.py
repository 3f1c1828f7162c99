"""Which segments a synchronized connection looks at: RFC 9293 3.10.7.4 (1st), all four cases of the table."""

import pytest

from tcpcore import State
from tests.dialogue import SILENCE, WINDOW


@pytest.mark.parametrize("seq, length", [
    pytest.param(-500, 0, id="old ACK"),
    pytest.param(-500, 100, id="old data"),
    pytest.param(-99, 100, id="old data up to the edge"),
    pytest.param(1 + WINDOW, 10, id="data right of the window"),
    pytest.param(2 + WINDOW, 0, id="ACK right of the window"),
    pytest.param(1 + WINDOW + (1 << 30), 10, id="data a quarter of the space ahead"),
])
def test_unacceptable_segment_is_answered_by_an_ack_and_dropped(established, seq, length):
    established.arrives("A", seq=seq, length=length)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED
    established.arrives("A", length=10)
    established.expects("A", ack=11)


def test_bare_ack_at_the_right_edge_is_acceptable_on_linux(established):
    established.arrives("A", seq=1 + WINDOW)
    established.expects(SILENCE)


def test_overlap_on_the_left_is_trimmed(established):
    established.arrives("A", length=10)
    established.expects("A", ack=11)
    established.arrives("A", seq=6, length=15)
    established.expects("A", ack=21)


def test_fin_beyond_the_window_is_not_taken(established):
    established.arrives("FA", seq=1 + WINDOW)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


def test_segment_without_ack_is_dropped(established):
    """RFC 9293 3.10.7.4 (5th): if the ACK bit is off, drop."""
    established.arrives("", seq=1, length=10)
    established.expects(SILENCE)
    established.arrives("F", seq=1)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
def test_closed_window_refuses_data_and_still_hears_acks_and_resets(established):
    """RFC 9293 MUST-66."""
    established.arrives("A", length=1460)
    established.expects("A", wnd=1460)
    established.arrives("A", length=1460)
    established.expects("A", wnd=0)
    established.arrives("A", seq=2921, length=10)
    established.expects("A", wnd=0)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A")
    established.wait(5)
    assert established.recv() == 2920
    established.expects("A", wnd=2920)
    established.arrives("R")
    assert established.state == State.CLOSED


def test_answers_to_old_acks_share_one_pace(established):
    """RFC 5961 7, `tcp_invalid_ratelimit`: one in 500 ms."""
    established.arrives("A", seq=-500)
    established.expects("A")
    established.arrives("A", seq=-500, at=0.4)
    established.expects(SILENCE)
    established.arrives("S", seq=-500, at=0.45)
    established.expects(SILENCE)
    established.arrives("A", seq=-500, at=0.6)
    established.expects("A")


def test_answers_to_old_data_have_no_pace(established):
    for _ in range(3):
        established.arrives("A", seq=-500, length=10)
        established.expects("A")
