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


@pytest.mark.parametrize("place", ["syn_sent", "closing", "last_ack", "time_wait"])
def test_abort_is_silent_where_both_sides_are_done_or_none_has_begun(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects(SILENCE)
    assert dialogue.state == State.CLOSED


def test_the_number_is_behind_what_was_sent(established):
    established.send(100)
    established.expects("A", length=100)
    established.abort()
    established.expects("RA", seq=101)
