"""`abort` sends a RST where the peer still believes in the connection (RFC 9293 3.10.5)."""

import pytest

from tcpcore import State
from tests.dialogue import SILENCE


@pytest.mark.parametrize("place", ["established", "close_wait", "fin_wait_1", "fin_wait_2"])
def test_abort_resets(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects("RA")
    assert dialogue.state == State.CLOSED
    dialogue.arrives("A")
    dialogue.expects("R", seq=dialogue.next)


@pytest.mark.parametrize("place", ["syn_sent", "closing", "last_ack"])
def test_abort_is_silent_where_both_sides_are_done_or_none_has_begun(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects(SILENCE)
    assert dialogue.state == State.CLOSED


@pytest.mark.parametrize("outlives", [
    pytest.param(State.TIME_WAIT, marks=pytest.mark.knobs(time_wait_outlives=1), id="linux"),
    pytest.param(State.CLOSED, marks=pytest.mark.knobs(time_wait_outlives=0), id="RFC 9293 3.10.5"),
])
def test_time_wait_may_outlive_its_application(time_wait, outlives):
    time_wait.abort()
    time_wait.expects(SILENCE)
    assert time_wait.state == outlives


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


def test_the_number_is_behind_what_was_sent(established):
    established.send(100)
    established.expects("A", length=100)
    established.abort()
    established.expects("RA", seq=101)
