"""FreeBSD cuts a segment to its window and goes on with what is left: old ones still bring their ACK.

The window is the receive buffer, 65536 rounded up to whole segments, though 65535 is advertised.
"""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE

pytestmark = pytest.mark.profile("freebsd")

WINDOW = 65_700


def test_the_window_is_the_buffer_though_less_is_advertised(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", wnd=65_535)
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.arrives("A", seq=1 + WINDOW - 1, length=1)
    listening.expects("A", ack=1, wnd=65_535)
    listening.arrives("A", seq=1, length=1460)
    listening.expects("A", ack=1461)


def test_the_ack_of_an_old_segment_closes_last_ack(last_ack):
    last_ack.arrives("A", seq=-99, length=100)
    last_ack.expects(SILENCE)
    assert last_ack.state == State.CLOSED


def test_the_ack_of_an_old_segment_leads_to_fin_wait_2(fin_wait_1):
    fin_wait_1.arrives("A", seq=fin_wait_1.said - 1)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.FIN_WAIT_2


def test_the_ack_of_an_old_segment_leads_to_time_wait(closing):
    closing.arrives("FA", seq=closing.said - 1)
    closing.expects("A")
    assert closing.state == State.TIME_WAIT


@pytest.mark.parametrize("behind, length", [(1, 0), (1, 1), (100, 50), (100, 100), (1 << 30, 0)])
def test_an_old_segment_is_acknowledged(established, behind, length):
    established.arrives("A", seq=established.said - behind, length=length)
    established.expects("A")
    assert established.state == State.ESTABLISHED


def test_an_old_segment_without_ack_is_acknowledged_too(established):
    established.arrives("", seq=established.said - 10, length=10)
    established.expects("A")


@pytest.mark.knobs(delack_ms=0)
def test_old_text_before_new_is_cut(established):
    established.arrives("A", seq=established.said - 50, length=150)
    established.expects("A", ack=101)


def test_an_old_fin_is_cut_and_a_new_one_behind_old_text_is_not(established):
    established.arrives("FA", seq=established.said - 51, length=50)
    established.expects("A")
    assert established.state == State.ESTABLISHED
    established.arrives("FA", seq=established.said - 50, length=50)
    established.expects("A", ack=2)
    assert established.state == State.CLOSE_WAIT


@pytest.mark.parametrize("ahead, taken", [(WINDOW - 1, True), (WINDOW, True), (WINDOW + 1, False)])
def test_the_right_edge_for_a_bare_ack(established, ahead, taken):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", seq=established.said + ahead)
    established.expects(SILENCE if taken else "A")
    established.arrives("R", seq=established.said + 1)
    established.expects("A")
    assert int(established.host.stack.info(established.handle)[0]["snd_una"]) == (
        established.iss + 1 + 100 * taken) % (1 << 32)


@pytest.mark.parametrize("ahead", [WINDOW, WINDOW + 1, WINDOW + 5000])
def test_text_wholly_beyond_the_window_is_dropped_and_acknowledged(established, ahead):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", seq=established.said + ahead, length=10)
    established.expects("A")
    established.expects("A", seq=1, length=100, within=1)            # its ACK was dropped with it


def test_text_that_ends_beyond_the_window_is_cut_with_its_fin(established):
    established.arrives("FA", seq=established.said + WINDOW - 10, length=20)
    established.expects("A")                                         # there is a gap before it
    for _ in range(44):
        established.arrives("A", length=1460)
        established.expects("A", within=0.04)
    established.arrives("A", length=1450)
    established.expects("A", ack=1 + WINDOW)
    assert established.state == State.ESTABLISHED


def test_an_acknowledgment_of_the_future_gets_an_ordinary_ack(connected):
    state, repeats = connected.state, connected.state in (
        State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)
    connected.arrives("A", ack=connected.next + 1)
    connected.expects(*("FA",) if repeats else ("A",), **({"seq": connected.next - 1} if repeats else {}))
    assert connected.state == state


def test_however_old_an_acknowledgment_is_the_text_is_taken(established):
    established.arrives("A", ack=-100_000, length=10)
    established.expects("A", within=0.04)


def test_new_text_for_an_application_that_is_gone_is_reset(fin_wait_1):
    fin_wait_1.close()
    fin_wait_1.arrives("A", ack=1, length=10)
    fin_wait_1.expects("R", seq=1)
    assert fin_wait_1.state == State.CLOSED


def test_delayed_ack_of_40_ms(established):
    established.arrives("A", length=100)
    established.expects("A", at=0.04)
    established.arrives("A", length=100)
    established.arrives("A", length=100)
    established.expects("A")                                         # the second one is told at once
    established.expects(SILENCE, at=1)


@pytest.mark.knobs(tcp_timestamps=2)
def test_an_old_timestamp_is_answered_only_with_text(established):
    established.arrives("A", tsval=-5000)
    established.expects(SILENCE)
    established.arrives("A", tsval=-5000, length=10, seq=established.said)
    established.expects("A")
