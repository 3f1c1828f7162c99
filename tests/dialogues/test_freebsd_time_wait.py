"""FreeBSD's TIME-WAIT: numbers decide, resets do not, and all but the exact duplicate ACK is answered."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import EDGE, RTT, SILENCE, SPACE, bits

pytestmark = pytest.mark.profile("freebsd")

RCV_NXT = (EDGE + 2) % SPACE          # of the fixture, absolute
ANYWHERE = [0, 1, 1000, 65_699, 65_700, -1, -1000, (1 << 31) - 1, 1 << 31]


def incarnation(time_wait, ahead):
    return time_wait.another(irs=(RCV_NXT + ahead) % SPACE)


@pytest.mark.parametrize("switch", [
    pytest.param(None, id="default"), pytest.param(1, marks=pytest.mark.knobs(insecure_rst=1), id="on")])
@pytest.mark.parametrize("flags", ["R", "RA", "SR"])
@pytest.mark.parametrize("ahead", ANYWHERE)
def test_a_reset_is_ignored(time_wait, ahead, flags, switch):
    time_wait.arrives(flags, seq=time_wait.said + ahead)
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.parametrize("ahead", [1, 1000, (1 << 31) - 1])
def test_a_syn_strictly_above_rcv_nxt_reopens_through_the_listener(time_wait, ahead):
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    assert reborn.state == State.SYN_RECEIVED
    assert reborn.iss == time_wait.host.now // 1_000_000 % SPACE     # a new number, not one above the old
    reborn.arrives("A", at=RTT)
    assert reborn.state == State.ESTABLISHED


def test_nobody_listens_any_more_and_it_is_reset(time_wait):
    time_wait.unlisten()
    reborn = incarnation(time_wait, 1000)
    reborn.iss = 0
    reborn.arrives("S", mss=1460)
    reborn.expects("RA", seq=0, ack=1)
    assert time_wait.state == State.CLOSED


@pytest.mark.parametrize("switch", [
    pytest.param(None, id="default"), pytest.param(1, marks=pytest.mark.knobs(insecure_syn=1), id="on")])
@pytest.mark.parametrize("ahead", [0, -1, -1000, -(1 << 31) + 1])
def test_any_other_syn_is_silent(time_wait, ahead, switch):
    incarnation(time_wait, ahead).arrives("S", mss=1460)
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


def test_syn_with_fin_above_rcv_nxt_reopens_too(time_wait):
    reborn = incarnation(time_wait, 1)
    reborn.arrives("SF", mss=1460)
    reborn.expects("SA", ack=1)
    assert reborn.state == State.SYN_RECEIVED


@pytest.mark.parametrize("flags", ["SA", "SFA"])
@pytest.mark.parametrize("ahead", ANYWHERE)
def test_syn_ack_gets_an_ack(time_wait, ahead, flags):
    time_wait.arrives(flags, seq=time_wait.said + ahead)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def test_the_exact_duplicate_ack_is_silent(time_wait):
    time_wait.arrives("A")
    time_wait.expects(SILENCE)


@pytest.mark.parametrize("different", [
    {"seq": 1}, {"seq": 3}, {"seq": 70_000}, {"ack": 1}, {"ack": 3}, {"length": 1}])
def test_every_other_segment_with_ack_is_answered(time_wait, different):
    time_wait.arrives("A", **{"seq": time_wait.said, **different})
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.parametrize("flags", ["PA", "UA"])
def test_a_further_flag_makes_it_another_segment(time_wait, flags):
    assert bits(flags) != bits("A")
    time_wait.arrives(flags)
    time_wait.expects("A")


@pytest.mark.parametrize("flags", ["", "F", "P"])
@pytest.mark.parametrize("ahead", [0, 1, -1])
def test_without_ack_it_is_silent(time_wait, flags, ahead):
    time_wait.arrives(flags, seq=time_wait.said + ahead)
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


def test_answers_are_not_rationed(time_wait):
    for _ in range(3):
        time_wait.arrives("A", seq=1)
        time_wait.expects("A")


@pytest.mark.parametrize("flags, number", [("A", 1), ("A", 2), ("FA", 2), ("SA", 1), ("FA", 0)])
def test_nothing_else_does(time_wait, flags, number):
    time_wait.arrives(flags, seq=number, at=30)
    if (flags, number) != ("A", 2):
        time_wait.expects("A")
    time_wait.wait(60.01)
    assert time_wait.state == State.CLOSED


@pytest.mark.knobs(tcp_timestamps=2)
def test_timestamps_do_not_decide(time_wait):
    reborn = incarnation(time_wait, -1000)
    reborn.timestamps = True
    reborn.arrives("S", mss=1460, tsval=5000)
    time_wait.expects(SILENCE)
    newer = incarnation(time_wait, 1000)
    newer.timestamps = True
    newer.arrives("S", mss=1460, tsval=-5000)
    newer.expects("SA")
