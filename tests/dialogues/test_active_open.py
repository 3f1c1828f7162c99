"""SYN-SENT: how an active open is repeated, answered, refused and given up (RFC 9293 3.10.7.3, 3.8.1)."""

import pytest

from tcpcore import State
from tests.dialogue import EDGE, RTT, SILENCE, WINDOW


def test_three_segments_establish(closed):
    assert closed.connect()
    closed.expects("S", mss=1460, wnd=WINDOW)
    assert closed.iss == EDGE
    closed.arrives("SA", mss=1460, at=RTT)
    closed.expects("A")
    assert closed.state == State.ESTABLISHED


@pytest.mark.knobs(tcp_syn_linear_timeouts=0, tcp_syn_retries=2)
def test_syn_is_resent_with_doubling_intervals_and_given_up(syn_sent):
    syn_sent.expects("S", at=1)
    syn_sent.expects("S", at=3)
    syn_sent.wait(6.99)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.wait(7.01)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("R", seq=1)


@pytest.mark.knobs(tcp_syn_retries=6)
def test_the_first_four_intervals_are_equal_on_linux(syn_sent):
    for at in (1, 2, 3, 4, 5, 7, 11):
        syn_sent.expects("S", at=at)


def test_data_and_fin_on_the_syn_ack_are_dropped(syn_sent):
    syn_sent.arrives("SFA", seq=0, length=10, mss=1460)
    syn_sent.expects("A", ack=1)
    assert syn_sent.state == State.ESTABLISHED


def test_reset_that_acknowledges_the_syn_refuses(syn_sent):
    syn_sent.arrives("RA")
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ECONNREFUSED")


def test_reset_without_acknowledgement_is_ignored(syn_sent):
    syn_sent.arrives("R")
    assert (syn_sent.state, syn_sent.error) == (State.SYN_SENT, None)


@pytest.mark.parametrize("ack", [0, 5])
@pytest.mark.parametrize("flags", ["A", "SA"])
def test_wrong_acknowledgement_is_reset_and_the_syn_repeated(syn_sent, flags, ack):
    """RFC 9293 3.10.7.3 (1st) has the reset; the early SYN is Linux's."""
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects("R", seq=ack)
    syn_sent.expects("S", within=0.02)
    assert syn_sent.state == State.SYN_SENT


def test_bare_acknowledgement_of_the_syn_is_ignored(syn_sent):
    """RFC 9293 3.10.7.3 (5th): neither SYN nor RST, drop."""
    syn_sent.arrives("A")
    syn_sent.expects(SILENCE)
    assert syn_sent.state == State.SYN_SENT


@pytest.mark.parametrize("call", ["shutdown", "close", "abort"])
def test_the_application_may_give_up_in_silence(syn_sent, call):
    getattr(syn_sent, call)()
    syn_sent.wait(10)
    assert syn_sent.state == State.CLOSED
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("R", seq=1)
