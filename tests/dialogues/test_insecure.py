"""`insecure_rst` and `insecure_syn`: back to RFC 793 (FreeBSD tcp(4)), numbers in the window suffice."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE


@pytest.mark.knobs(insecure_rst=1)
@pytest.mark.parametrize("ahead", [0, 1, 1000])
def test_a_reset_anywhere_in_the_window_resets(connected, ahead):
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert connected.state == State.CLOSED


@pytest.mark.knobs(insecure_rst=1)
def test_a_reset_outside_the_window_still_does_not(established):
    established.arrives("R", seq=-1000)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


@pytest.mark.knobs(insecure_rst=1)
def test_a_reset_in_the_window_ends_a_half_open_entry(syn_received):
    syn_received.arrives("R", seq=500)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED


@pytest.mark.knobs(insecure_syn=1)
def test_a_syn_in_the_window_resets(connected):
    connected.arrives("S", seq=connected.said + 10)
    connected.expects("RA", seq=connected.next)
    assert connected.state == State.CLOSED


@pytest.mark.knobs(insecure_syn=1)
def test_a_syn_outside_the_window_is_answered_by_an_ack(established):
    established.arrives("S", seq=-1000)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED
