"""Which segments a synchronized connection looks at: RFC 9293 3.10.7.4 (1st), Table 6."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE, WINDOW
from tests.requirements.verdicts import deviates, requirement

TRIM = "what lies outside is cut off, and an empty rest is not answered"
PACE = "an answer to a segment without text goes out once in 500 ms"


def test_bare_ack_at_the_right_edge_is_acceptable_on_linux(established):
    established.arrives("A", seq=1 + WINDOW)
    established.expects(SILENCE)


def test_fin_beyond_the_window_is_not_taken(established):
    established.arrives("FA", seq=1 + WINDOW)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


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


# -- what RFC 9293 asks


#: Where a segment lies outside the window of ESTABLISHED: SEG.SEQ and SEG.LEN.
OUTSIDE = {
    "old ACK": (-500, 0),
    "old data": (-500, 100),
    "old data before the edge": (-199, 100),
    "old data up to the edge": (-99, 100),
    "data right of the window": (5 + WINDOW, 10),
    "ACK right of the window": (2 + WINDOW, 0),
    "ACK further right of it": (5 + WINDOW, 0),
    "data a quarter of the space ahead": (1 + WINDOW + (1 << 30), 10),
}


@requirement("3.10.7.4 first", "3.5.2 group 3")
@pytest.mark.parametrize("place, seq, length", [
    *[pytest.param(place, *at, id=f"{place}-{name}")
      for place in ("established", "fin_wait_2", "close_wait") for name, at in OUTSIDE.items()],
    pytest.param("established", 1 + WINDOW, 10, id="established-data right behind the window"),
])  # fmt: skip
def test_a_segment_outside_the_window_is_answered_by_an_ack_and_dropped(request, host, place, seq, length):
    dialogue = request.getfixturevalue(place)
    dropped(dialogue, seq, length)
    if place != "close_wait":
        dialogue.arrives("A", length=10)
        dialogue.expects("A", ack=11, within=0.5)


@requirement("3.10.7.4 first", "3.5.2 group 3",
             freebsd=deviates("its ACK is taken, and the answer repeats our FIN", acceptance="rfc",
                              ack_repeats_control=0))
@pytest.mark.parametrize("seq, length", [(-500, 0), (-500, 100), (-199, 100), (5 + WINDOW, 10)])
@pytest.mark.parametrize("place", ["fin_wait_1", "closing", "last_ack"])
def test_the_same_while_our_fin_is_unacknowledged(request, host, place, seq, length):
    dropped(request.getfixturevalue(place), seq, length)


def dropped(dialogue, seq, length):
    """Such a segment, its ACK a good one, changes nothing and is answered by an empty ACK."""
    state, said = dialogue.state, dialogue.said
    dialogue.arrives("A", seq=seq - 1 + said, length=length)
    dialogue.expects("A", seq=dialogue.next, ack=said)
    assert dialogue.state == state


@requirement("3.10.7.4 first", linux=deviates(PACE, tcp_invalid_ratelimit=0))
def test_every_segment_outside_the_window_is_answered(established):
    for _ in range(3):
        established.arrives("A", seq=-500)
        established.expects("A")


@requirement("3.10.7.4 first",
             linux=deviates("SEG.LEN 0 is judged by the two edges of the window", acceptance="rfc"),
             freebsd=deviates(TRIM, acceptance="rfc"))
def test_the_number_right_of_the_window_is_outside_it(established):
    """Table 6: SEG.LEN 0 wants SEG.SEQ < RCV.NXT+RCV.WND."""
    established.arrives("A", seq=1 + WINDOW)
    established.expects("A")


@requirement("3.10.7.4 first",
             linux=deviates("of text that ends at RCV.NXT the ACK is taken", acceptance="rfc"),
             freebsd=deviates("of old text the ACK is taken", acceptance="rfc"))
def test_text_that_ends_left_of_the_window_is_dropped_with_its_ack(established):
    """Table 6: RCV.NXT =< SEG.SEQ+SEG.LEN-1."""
    established.arrives("A", length=10)
    established.expects("A", ack=11, within=0.5)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=11, length=0)
    established.expects("A", seq=1, length=100, within=2)
    established.arrives("A")


@requirement("3.10.7.4 first")
def test_a_segment_that_begins_or_ends_in_the_window_is_acceptable(established):
    established.arrives("A", length=10)
    established.expects("A", ack=11, within=0.5)
    established.arrives("A", seq=6, length=15)
    established.expects("A", ack=21, within=0.5)


@requirement("3.10.7.4 first", "MUST-66")
@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
def test_a_closed_window_refuses_text_and_hears_acks_and_resets(established):
    for space in (1460, 0):
        established.arrives("A", length=1460)
        established.expects("A", wnd=space, within=0.5)
    established.arrives("A", seq=2921, length=10)
    established.expects("A", wnd=0)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A")
    established.wait(20)
    assert established.recv() == 2920
    established.expects("A", wnd=2920)
    established.arrives("R")
    assert established.state == State.CLOSED


def fill_the_window(established):
    for space in (1460, 0):
        established.arrives("A", length=1460)
        established.expects("A", wnd=space, within=0.5)


@pytest.mark.parametrize((), [pytest.param(marks=pytest.mark.profile(name), id=name)
                              for name in ("linux", "freebsd")])
@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
def test_a_fin_alone_is_taken_at_a_closed_window(established):
    fill_the_window(established)
    established.arrives("FA")
    established.expects("A", wnd=0, within=0.5)
    assert established.state == State.CLOSE_WAIT


@pytest.mark.parametrize((), [
    pytest.param(marks=[pytest.mark.profile("strict"), pytest.mark.knobs(auto_read=False, rcv_buf=2920)],
                 id="strict"),
    pytest.param(marks=pytest.mark.knobs(auto_read=False, rcv_buf=2920, bare_fin_needs_window=1),
                 id="linux-6.9"),
])  # fmt: skip
def test_a_fin_alone_waits_for_a_window(established):
    fill_the_window(established)
    established.arrives("FA", seq=2921)
    established.expects("A", ack=2921, wnd=0, within=0.5)
    assert established.state == State.ESTABLISHED


@pytest.mark.knobs(auto_read=False, rcv_buf=2920, beyond_window_dropped=0)
def test_a_fin_with_text_waits_for_a_window(established):
    """Since 6.17 it is not acceptable in the first place."""
    fill_the_window(established)
    established.arrives("FA", seq=2921, length=10)
    established.expects("A", ack=2921, wnd=0)
    assert established.state == State.ESTABLISHED
    assert established.host.stack.counters["TCPZeroWindowDrop"] == 1


@requirement("3.10.7.4 first",
             linux=deviates("a FIN right behind the window is taken", acceptance="rfc"),
             freebsd=deviates("a FIN right behind the window is taken", acceptance="rfc"))
@pytest.mark.knobs(rcv_buf=1460)
def test_text_and_fin_beyond_the_window_are_trimmed(established):
    established.arrives("FA", seq=1, length=1460)
    established.expects("A", ack=1461, within=0.5)
    assert established.state == State.ESTABLISHED
