"""Which acknowledgements are believed (RFC 9293 3.10.7.4 (5th), RFC 5961 5.2)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE, WINDOW
from tests.requirements.verdicts import deviates, requirement


@pytest.mark.parametrize("ack", [
    pytest.param(2, id="of what was never sent"),
    pytest.param(100_000, id="far ahead"),
    pytest.param(1 - WINDOW - 1, id="older than the largest window"),
])
def test_incredible_acknowledgement_is_answered_and_its_data_dropped(established, ack):
    established.arrives("A", seq=1, ack=ack, length=10)
    established.expects("A", ack=1)
    established.arrives("FA", seq=1, ack=ack)
    established.expects(SILENCE)
    established.arrives("FA", seq=1, ack=ack, at=0.5)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


def test_where_we_opened_the_syn_counts_among_what_was_acknowledged(syn_sent):
    """SND.UNA - 1 acknowledges less than everything, but not less than anything."""
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A")
    syn_sent.arrives("FA", ack=0)
    syn_sent.expects("A")
    assert syn_sent.state == State.CLOSE_WAIT


def test_where_the_peer_opened_it_does_not(established):
    established.arrives("FA", seq=1, ack=0)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


@pytest.mark.parametrize("place, after", [("fin_wait_1", State.FIN_WAIT_2), ("last_ack", State.CLOSED)])
def test_an_acknowledgement_beyond_our_fin_is_not_one_of_it(request, host, place, after):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.arrives("A", ack=1)
    assert dialogue.state == state
    dialogue.arrives("A", ack=3)
    dialogue.expects("A")
    assert dialogue.state == state
    dialogue.arrives("A", ack=2)
    assert dialogue.state == after


# -- what RFC 9293 and RFC 5961 ask


@requirement("3.10.7.4 fifth")
@pytest.mark.parametrize("flags, length", [("", 0), ("", 10), ("P", 0), ("F", 0)])
def test_a_segment_without_ack_is_dropped(connected, flags, length):
    state = connected.state
    connected.arrives(flags, seq=connected.said, length=length)
    connected.expects(SILENCE)
    assert connected.state == state


@requirement("3.10.7.4 fifth ESTABLISHED", "RFC5961 5.2")
@pytest.mark.parametrize("ack", [2, 100_000])
def test_an_acknowledgement_of_what_was_never_sent_is_answered_and_dropped(established, ack):
    established.arrives("A", seq=1, ack=ack, length=10)
    established.expects("A", ack=1)


@requirement("MAY-12", "RFC5961 5.2",
             freebsd=deviates("an ACK of any age is ignored, and its text taken", ack_range="rfc5961"))
def test_an_acknowledgement_older_than_the_largest_window_is_answered_and_dropped(established):
    established.arrives("A", seq=1, ack=-WINDOW, length=10)
    established.expects("A", ack=1)


@requirement("3.10.7.4 fifth ESTABLISHED")
def test_a_duplicate_acknowledgement_is_ignored_and_its_text_taken(established):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", at=0.1)
    established.arrives("A", ack=1)
    established.expects(SILENCE)
    established.arrives("A", ack=51, length=10)
    established.expects("A", ack=11, within=0.5)


@requirement("3.10.7.4 fifth ESTABLISHED, window")
def test_the_window_moves_with_new_segments_only(established):
    """SND.WL1 < SEG.SEQ, or equal and SND.WL2 =< SEG.ACK."""
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=1, length=10, wnd=0)
    established.expects("A", ack=21)
    established.send(100)
    established.expects("A", ack=21, length=100)
    established.arrives("A", seq=21)
