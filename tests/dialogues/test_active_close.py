"""FIN-WAIT-1, FIN-WAIT-2 and CLOSING with the application attached (RFC 9293 3.6, 3.10.4, 3.10.7.4)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE
from tests.requirements.verdicts import deviates, requirement


def test_half_close_keeps_receiving(fin_wait_1):
    fin_wait_1.arrives("A", ack=1, length=100)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.FIN_WAIT_1
    fin_wait_1.arrives("A", length=100)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.FIN_WAIT_2
    fin_wait_1.arrives("FA", length=100, at=1000)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.TIME_WAIT


def test_fin_is_resent_with_doubling_intervals(fin_wait_1):
    """RTO = SRTT + 200 ms: Linux adds its minimum where RFC 6298 floors the sum."""
    for at in (0.3, 0.9, 2.1):
        fin_wait_1.expects("FA", seq=1, at=at)
    fin_wait_1.arrives("A")
    assert fin_wait_1.state == State.FIN_WAIT_2


def test_fin_is_resent_in_closing(closing):
    closing.expects("FA", seq=1, at=0.3 - RTT)


def test_fin_follows_queued_data_in_a_segment_of_its_own(established):
    established.send(100)
    established.shutdown()
    established.expects("A", length=100)
    established.expects("FA")
    established.arrives("A", at=RTT)
    assert established.state == State.FIN_WAIT_2


def test_fin_waits_for_room_in_the_peers_window(established):
    """Linux: a FIN takes a number and a number needs a window."""
    established.arrives("A", wnd=0)
    established.shutdown()
    established.expects(SILENCE, at=RTT)
    assert established.state == State.FIN_WAIT_1
    established.arrives("A", wnd=1)
    established.expects("FA")


def test_out_of_order_fin_waits_for_what_is_missing(fin_wait_2):
    fin_wait_2.arrives("FA", seq=11)
    fin_wait_2.expects("A", ack=1)
    assert fin_wait_2.state == State.FIN_WAIT_2
    fin_wait_2.arrives("A", seq=1, length=10)
    fin_wait_2.expects("A", ack=12)
    assert fin_wait_2.state == State.TIME_WAIT


def test_fin_wait_2_has_no_end_while_the_application_is_there(fin_wait_2):
    fin_wait_2.wait(100_000)
    assert fin_wait_2.state == State.FIN_WAIT_2


# -- what RFC 9293 asks


@requirement("3.6 case 1", "3.6 figure 12")
def test_we_close_first(established):
    established.shutdown()
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1
    established.arrives("A", at=RTT)
    assert established.state == State.FIN_WAIT_2
    established.arrives("A", length=100, at=10)
    established.expects("A", within=0.5)
    established.arrives("FA", at=20)
    established.expects("A")
    assert established.state == State.TIME_WAIT


@requirement("3.6 case 3", "3.6 figure 13", "3.10.7.4 eighth",
             freebsd=deviates("the ACK repeats our FIN", ack_repeats_control=0))
def test_both_close_at_once(fin_wait_1):
    fin_wait_1.arrives("FA", ack=1, at=RTT)
    fin_wait_1.expects("A", seq=2)
    assert fin_wait_1.state == State.CLOSING
    fin_wait_1.arrives("A")
    assert fin_wait_1.state == State.TIME_WAIT


@requirement("3.10.7.4 fifth FIN-WAIT-1")
def test_fin_wait_1_ends_when_our_fin_is_acknowledged(fin_wait_1):
    fin_wait_1.arrives("A", ack=1)
    assert fin_wait_1.state == State.FIN_WAIT_1
    fin_wait_1.arrives("A", ack=2)
    assert fin_wait_1.state == State.FIN_WAIT_2


@requirement("3.10.7.4 fifth CLOSING")
def test_closing_ends_when_our_fin_is_acknowledged(closing):
    closing.arrives("A")
    closing.expects(SILENCE)
    assert closing.state == State.TIME_WAIT


@requirement("3.10.7.4 eighth")
@pytest.mark.parametrize("place, after", [
    ("syn_received", "CLOSE_WAIT"), ("established", "CLOSE_WAIT"), ("fin_wait_1", "TIME_WAIT"),
    ("fin_wait_2", "TIME_WAIT"),
])  # fmt: skip
def test_a_fin_is_acknowledged_and_moves_on(request, host, place, after):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("FA", at=RTT)
    dialogue.expects("A")
    assert dialogue.state == State[after]


@requirement("3.10.7.4 eighth", freebsd=deviates("the ACK repeats our FIN", ack_repeats_control=0))
@pytest.mark.parametrize("place", ["closing", "last_ack"])
def test_a_repeated_fin_leaves_the_state(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.arrives("FA", seq=dialogue.said - 1, ack=1)
    dialogue.expects("A", seq=2)
    assert dialogue.state == state
