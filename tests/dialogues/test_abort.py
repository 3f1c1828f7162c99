"""`abort` sends a RST where the peer still believes in the connection (RFC 9293 3.10.5)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE
from tests.requirements.verdicts import deviates, requirement


@pytest.mark.parametrize("place", ["established", "close_wait", "fin_wait_1", "fin_wait_2"])
def test_abort_resets_with_an_ack_on_linux(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects("RA")
    assert dialogue.state == State.CLOSED
    dialogue.arrives("A")
    dialogue.expects("R", seq=dialogue.next)


@pytest.mark.knobs(time_wait_outlives=1)
def test_time_wait_may_outlive_its_application(time_wait):
    time_wait.abort()
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(auto_read=False)
@pytest.mark.parametrize("place", ["last_ack", "closing"])
def test_text_that_nobody_read_is_reset_in_any_state(request, host, place):
    """RFC 2525 2.17: it counts before the goodbyes do."""
    dialogue = request.getfixturevalue("established")
    dialogue.arrives("A", length=100)
    dialogue.expects("A")
    if place == "last_ack":
        dialogue.arrives("FA")
        dialogue.expects("A")
    dialogue.shutdown()
    dialogue.expects("FA")
    if place == "closing":
        dialogue.arrives("FA", ack=1)
        dialogue.expects("A")
    dialogue.abort()
    dialogue.expects("RA")
    assert dialogue.state == State.CLOSED


def test_what_is_unsent_is_reset_in_closing(established):
    """Linux: tcp_disconnect; the RFC would not be in CLOSING yet."""
    established.arrives("A", wnd=0)
    established.send(10)
    established.shutdown()
    established.expects(SILENCE)
    established.arrives("FA", wnd=0)
    established.expects("A")
    assert established.state == State.CLOSING
    established.abort()
    established.expects("RA")


def test_the_number_is_behind_what_was_sent(established):
    established.send(100)
    established.expects("A", length=100)
    established.abort()
    established.expects("RA", seq=101)


# -- what RFC 9293 asks


@requirement("3.10.5", linux=deviates("with an ACK", abort_rst_has_ack=0),
             freebsd=deviates("with an ACK", abort_rst_has_ack=0))
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2", "close_wait"])
def test_abort_resets(request, host, place):
    """<SEQ=SND.NXT><CTL=RST>"""
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects("R", seq=dialogue.next)
    assert dialogue.state == State.CLOSED


@requirement("3.10.5")
@pytest.mark.parametrize("place", ["syn_sent", "closing", "last_ack"])
def test_abort_is_silent(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects(SILENCE)
    assert dialogue.state == State.CLOSED
