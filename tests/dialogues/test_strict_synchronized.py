"""The RFC profile in the synchronized states, to the letter: RFC 9293 3.10.5, 3.10.7.4, RFC 5961, 7323."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE

pytestmark = pytest.mark.profile("strict")

WINDOW = 65_535


# -- first, sequence: the four cases

@pytest.mark.parametrize("ahead, length, acceptable", [
    (0, 0, True), (-1, 0, False), (WINDOW - 1, 0, True), (WINDOW, 0, False),
    (-1, 1, False), (-1, 2, True), (WINDOW - 1, 1, True), (WINDOW - 1, 2, True), (WINDOW, 1, False)])
def test_first_the_four_cases(established, ahead, length, acceptable):
    """Shown by the acknowledgment: only an acceptable segment brings one."""
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", seq=established.said + ahead, length=length)
    acked = int(established.host.stack.info(established.handle)[0]["snd_una"]) - established.iss
    assert (acked % (1 << 32) == 101) == acceptable
    established.host.heard.clear()


def test_first_each_unacceptable_segment_is_acknowledged(connected):
    for _ in range(3):
        connected.arrives("A", seq=connected.said - 1)
        connected.expects("A")


# -- second, RST; fourth, SYN: RFC 5961

@pytest.mark.parametrize("ahead, then", [(0, "dies"), (1, "challenge"), (WINDOW - 1, "challenge"),
                                         (-1, "silence"), (WINDOW, "silence"), (1 << 31, "silence")])
def test_rfc_5961_3_2_resets(connected, ahead, then):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects("A" if then == "challenge" else SILENCE)
    assert connected.state == (State.CLOSED if then == "dies" else state)
    assert connected.error == ("ECONNRESET" if then == "dies" else None)


def test_rfc_5961_3_2_a_reset_outside_the_window_is_silent_whatever_it_carries(established):
    established.arrives("R", seq=established.said - 1, length=10)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


def test_rfc_5961_7_challenges_are_limited_to_ten_or_so_a_second(established):
    answered = 0
    for n in range(60):
        established.arrives("R", seq=established.said + 1 + n)
        answered += len(established.host.heard)
        established.host.heard.clear()
    assert 5 <= answered <= 15


# -- fifth, ACK

@pytest.mark.parametrize("ack", ["ancient", "future"])
def test_rfc_5961_5_2_acknowledgments_out_of_range_are_answered_and_dropped(connected, ack):
    state = connected.state
    connected.arrives("A", ack=connected.next + 1 if ack == "future" else -1000)
    connected.expects("A")
    assert connected.state == state


# -- timestamps: RFC 7323

@pytest.mark.knobs(tcp_timestamps=2)
def test_rfc_7323_5_3_r1_an_old_timestamp_without_text_is_acknowledged(established):
    established.arrives("A", tsval=-5000)
    established.expects("A")


# -- calls

def test_3_10_5_a_shrunk_window_does_not_move_the_number(established):
    established.send(1000)
    established.expects("A", length=1000)
    established.arrives("A", ack=1, wnd=10, seq=established.said)
    established.arrives("A", seq=established.said - 1, ack=1, wnd=10)
    established.expects("A", seq=1001)


# -- TIME-WAIT

@pytest.mark.parametrize("flags, number, answer", [
    ("A", 2, None), ("A", 1, "A"), ("A", 70_000, "A"), ("", 5, None)])
def test_time_wait_nothing_else_restarts_it(time_wait, flags, number, answer):
    time_wait.arrives(flags, seq=number, at=100)
    time_wait.expects(answer or SILENCE)
    time_wait.wait(240.01)
    assert time_wait.state == State.CLOSED


@pytest.mark.parametrize("ahead, then", [(1, "challenge"), (WINDOW, "silence"), (-1, "silence")])
def test_time_wait_second_resets_by_rfc_5961(time_wait, ahead, then):
    time_wait.arrives("R", seq=time_wait.said + ahead)
    time_wait.expects("A" if then == "challenge" else SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.parametrize("number", [2, 1, -1000])
def test_time_wait_fourth_any_other_syn_is_challenged(time_wait, number):
    time_wait.arrives("S", seq=number)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT
