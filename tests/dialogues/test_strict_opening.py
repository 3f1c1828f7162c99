"""The RFC profile while a connection opens, to the letter of RFC 9293 3.10.7.1 to 3.10.7.4."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE

pytestmark = pytest.mark.profile("strict")

WINDOW = 65_535


# -- 3.10.7.2 LISTEN

def test_listen_third_text_and_fin_on_the_syn_wait_for_established(listening):
    listening.arrives("SF", length=10, mss=1460)
    listening.expects("SA", ack=1)
    listening.arrives("A", seq=1)
    listening.expects("A", ack=12)
    assert listening.state == State.CLOSE_WAIT


# -- 3.10.7.3 SYN-SENT

def test_syn_sent_fourth_other_controls_and_text_go_on_at_the_sixth_step(syn_sent):
    syn_sent.arrives("SFA", mss=1460, length=10, at=RTT)
    syn_sent.expects("A", ack=12)
    assert syn_sent.state == State.CLOSE_WAIT


def test_must_10_simultaneous_open_keeps_what_came_with_the_syn(syn_sent):
    syn_sent.arrives("SF", mss=1460, length=10)
    syn_sent.expects("SA", ack=1)
    syn_sent.arrives("SA", seq=0, ack=1)
    syn_sent.expects("A", ack=12)
    assert syn_sent.state == State.CLOSE_WAIT


# -- 3.10.7.4 SYN-RECEIVED

@pytest.mark.parametrize("ahead", [-1, -1000, WINDOW, 1 << 31])
def test_syn_received_first_what_is_not_acceptable_is_acknowledged(syn_received, ahead):
    syn_received.arrives("A", seq=1 + ahead)
    syn_received.expects("A")
    assert syn_received.state == State.SYN_RECEIVED


def test_syn_received_first_the_syn_again_lies_before_the_window(syn_received):
    syn_received.arrives("S", seq=0)
    syn_received.expects("A", ack=1)
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.parametrize("ahead, then", [(-1, "silence"), (0, "listen"), (1, "challenge"),
                                         (WINDOW - 1, "challenge"), (WINDOW, "silence")])
def test_syn_received_second_a_reset_returns_to_listen_by_rfc_5961(syn_received, ahead, then):
    syn_received.arrives("R", seq=1 + ahead)
    syn_received.expects("A" if then == "challenge" else SILENCE)
    assert syn_received.state == (State.CLOSED if then == "listen" else State.SYN_RECEIVED)


@pytest.mark.parametrize("flags", ["S", "SA"])
def test_syn_received_fourth_a_syn_returns_to_listen(syn_received, flags):
    """MUST-11: it came from LISTEN."""
    syn_received.arrives(flags, seq=1000, ack=1)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED
    syn_received.another().arrives("S", mss=1460)
    assert syn_received.host.heard.pop()[1]["flags"] == 18


@pytest.mark.parametrize("ack", [0, 2, -1000])
def test_syn_received_fifth_after_an_active_open_a_wrong_ack_is_reset_and_nothing_changes(crossed, ack):
    crossed.arrives("A", seq=1, ack=ack)
    crossed.expects("R", seq=ack)
    assert crossed.state == State.SYN_RECEIVED
    crossed.arrives("A", seq=1, ack=1)
    assert crossed.state == State.ESTABLISHED


def test_syn_received_fifth_without_ack_it_is_dropped(syn_received):
    syn_received.arrives("F", seq=1)
    syn_received.arrives("", seq=1, length=10)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.SYN_RECEIVED


# -- times

@pytest.mark.parametrize("place, flags", [("syn_sent", "S"), ("syn_received", "SA")])
def test_must_23_a_syn_is_resent_for_at_least_three_minutes(request, host, place, flags):
    dialogue = request.getfixturevalue(place)
    for at in (1, 3, 7, 15, 31, 63, 123):
        dialogue.expects(flags, at=at, ack=None if flags == "S" else 1)
    dialogue.wait(182.99)
    assert dialogue.state != State.CLOSED
    dialogue.wait(183.01)
    assert dialogue.state == State.CLOSED


def test_rfc_6298_2_4_the_rto_is_at_least_a_second_and_5_5_doubles(established):
    established.send(10)
    established.expects("A", length=10)
    for at in (1, 3, 7, 15, 31, 63, 123, 183):
        established.expects("A", seq=1, length=10, at=at)
