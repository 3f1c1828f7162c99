"""FreeBSD: an ordinary ACK sent while our FIN is unacknowledged says it again, a challenge ACK does not."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE

pytestmark = pytest.mark.profile("freebsd")


@pytest.fixture(params=["fin_wait_1", "closing", "last_ack"])
def unacknowledged(request, host):
    return request.getfixturevalue(request.param)


def test_an_old_segment_gets_the_fin_again(unacknowledged):
    state, fin = unacknowledged.state, unacknowledged.next - 1
    unacknowledged.arrives("A", seq=unacknowledged.said - 1, ack=fin)
    unacknowledged.expects("FA", seq=fin)
    assert unacknowledged.state == state


def test_so_does_text_beyond_the_window(unacknowledged):
    fin = unacknowledged.next - 1
    unacknowledged.arrives("A", seq=unacknowledged.said + 70_000, length=1)
    unacknowledged.expects("FA", seq=fin)


def test_the_crossing_fin_is_acknowledged_with_it(fin_wait_1):
    fin_wait_1.arrives("FA", ack=1)
    fin_wait_1.expects("FA", seq=1, ack=2)
    assert fin_wait_1.state == State.CLOSING


def test_new_text_is_acknowledged_with_it(fin_wait_1):
    fin_wait_1.arrives("A", ack=1, length=100)
    fin_wait_1.expects("FA", seq=1, at=0.04)


def test_the_resend_timer_is_not_touched(fin_wait_1):
    fin_wait_1.arrives("A", seq=0, ack=1, at=0.25)
    fin_wait_1.expects("FA", seq=1)
    fin_wait_1.expects("FA", seq=1, at=0.5)        # RTO: 100 ms + 4 * 50 ms, and the slop


def test_text_in_flight_before_the_fin_is_not_repeated(established):
    established.send(100)
    established.expects("A", length=100)
    established.shutdown()
    established.expects("FA")
    established.arrives("A", seq=0, ack=1)
    established.expects("FA", seq=101)


@pytest.mark.parametrize("flags", ["R", "S"])
def test_a_challenge_ack_is_bare(unacknowledged, flags):
    unacknowledged.arrives(flags, seq=unacknowledged.said + 5)
    unacknowledged.expects("A")


def test_a_fin_not_sent_yet_is_not_repeated(established):
    established.arrives("A", wnd=0)
    established.send(1)
    established.shutdown()
    established.expects(SILENCE)
    established.arrives("A", seq=established.said - 1, wnd=0)
    established.expects("A")


def test_an_acknowledged_fin_is_not_repeated(fin_wait_2):
    fin_wait_2.arrives("A", seq=fin_wait_2.said - 1)
    fin_wait_2.expects("A")
