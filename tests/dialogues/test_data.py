"""ESTABLISHED: lengths delivered in order, resent, probed (RFC 9293 3.8, 3.10.7.4 (7th); RFC 6298)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT
from tests.requirements.verdicts import requirement


def test_data_is_acknowledged_at_once(established):
    for length in (1, 1460, 99):
        established.arrives("A", length=length)
        established.expects("A")


def test_fin_behind_a_gap_is_kept(established):
    established.arrives("FA", seq=11, length=10)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=22)
    assert established.state == State.CLOSE_WAIT


@pytest.mark.parametrize(("before", "behind", "state", "reached"), [
    pytest.param([("FA", 101, 0), ("A", 51, 51)], 50, State.ESTABLISHED, 102, id="text over the FIN"),
    pytest.param([("FA", 101, 0), ("A", 51, 50)], 50, State.CLOSE_WAIT, 102, id="text up to the FIN"),
    pytest.param([("FA", 101, 0), ("A", 102, 10)], 100, State.CLOSE_WAIT, 112, id="text behind the FIN"),
    pytest.param([("FA", 51, 50), ("A", 51, 51)], 50, State.CLOSE_WAIT, 102, id="text in its own range"),
    pytest.param([("A", 101, 10), ("FA", 101, 0)], 100, State.ESTABLISHED, 111, id="a FIN where text is"),
    pytest.param([("FA", 111, 0), ("FA", 101, 0)], 100, State.CLOSE_WAIT, 102, id="an earlier FIN"),
    pytest.param([("A", 21, 10), ("A", 41, 10), ("A", 61, 10), ("FA", 81, 0), ("A", 81, 10)], 80,
                 State.ESTABLISHED, 91, id="text over the FIN, the last of four ranges"),
    pytest.param([("A", 101, 10), ("FA", 51, 55)], 50, State.CLOSE_WAIT, 107, id="a FIN within text"),
])  # fmt: skip
def test_text_around_a_fin_that_waits(established, before, behind, state, reached):
    for flags, seq, length in before:
        established.arrives(flags, seq=seq, length=length)
        established.expects("A", ack=1)
    established.arrives("A", seq=1, length=behind)
    established.expects("A", ack=reached)
    assert established.state == state


def test_long_data_is_cut_to_the_peers_mss(established):
    established.send(3000)
    for length in (1460, 1460, 80):
        established.expects("A", length=length)
    established.arrives("A", at=RTT)


def test_unacknowledged_data_is_resent_with_doubling_intervals(established):
    established.send(100)
    established.expects("A", length=100)
    for at in (0.3, 0.9, 2.1, 4.5):
        established.expects("A", seq=1, length=100, at=at)
    established.arrives("A")
    established.wait(100)


@pytest.mark.knobs(tcp_retries2=3)
def test_a_silent_peer_is_given_up(established):
    established.send(100)
    established.expects("A", length=100)
    for at in (0.3, 0.9, 2.1):
        established.expects("A", seq=1, length=100, at=at)
    established.wait(10)
    assert (established.state, established.error) == (State.CLOSED, "ETIMEDOUT")


def test_a_closed_window_is_probed_and_opens(established):
    """RFC 9293 3.8.6.1; Linux probes with the number before SND.UNA."""
    established.arrives("A", wnd=0)
    established.send(100)
    established.expects("A", seq=0, at=0.3)
    established.arrives("A", wnd=0)
    established.expects("A", seq=0, at=0.9)
    established.arrives("A", wnd=1000)
    established.expects("A", length=100)
    established.arrives("A", at=1)


def test_each_acknowledgement_restarts_the_interval_between_probes(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.arrives("A", wnd=50, at=0.2)
    established.expects("A", length=50, at=0.5)
    established.arrives("A", wnd=1000, at=0.6)
    established.expects("A", length=50)
    established.arrives("A", at=0.7)


@pytest.mark.knobs(persist_restarts=0)
def test_acknowledgements_leave_the_probes_alone(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.arrives("A", wnd=50, at=0.2)
    established.expects("A", length=50, at=0.3)
    established.arrives("A", wnd=1000, at=0.4)
    established.expects("A", length=50)
    established.arrives("A", at=0.5)


def test_the_doublings_of_the_probes_are_not_the_texts(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.expects("A", seq=0, at=0.3)
    established.expects("A", seq=0, at=0.9)
    established.arrives("A", wnd=1000, at=1)
    established.expects("A", length=100)
    established.expects("A", seq=1, length=100, at=1.3)
    established.arrives("A")


@pytest.mark.knobs(tcp_retries2=2)
def test_linux_stops_doubling_the_interval_of_probes_at_tcp_retries2(established):
    established.arrives("A", wnd=0)
    established.send(100)
    for at in (0.3, 0.9, 2.1, 3.3):
        established.expects("A", seq=0, at=at)
        established.arrives("A", wnd=0)
    established.abort()
    established.expects("RA", seq=1)


def test_what_is_resent_fits_a_window_that_has_shrunk(established):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", ack=1, length=1)
    established.expects("A")
    established.arrives("A", ack=1, wnd=64)
    established.expects("A", seq=1, length=64, at=0.3)
    established.arrives("A")


# -- what RFC 9293 asks


@requirement("SHLD-31", "MAY-13")
def test_text_ahead_of_a_gap_is_held_and_acknowledged(established):
    """A gap is told by duplicate ACKs and closed by one."""
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=31, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=21, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=41)


@requirement("3.10.7.4 seventh")
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2"])
def test_text_is_taken_and_acknowledged(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("A", length=100)
    dialogue.expects("A", within=0.5)
