"""TIME-WAIT: what it lasts, what it answers, what ends it (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191)."""

import pytest

from tcpcore import State
from tests.dialogue import EDGE, RTT, SILENCE, SPACE

#: RCV.NXT of the fixture, absolute.
RCV_NXT = (EDGE + 2) % SPACE


def incarnation(time_wait, ahead):
    """The next incarnation, its ISN so far ahead of RCV.NXT."""
    return time_wait.another(irs=(RCV_NXT + ahead) % SPACE)


def test_it_lasts_2_msl(time_wait):
    time_wait.wait(59.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(60.01)
    assert time_wait.state == State.CLOSED


@pytest.mark.knobs(time_wait_ms=240_000)
def test_2_msl_is_a_knob(time_wait):
    time_wait.wait(239.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(240.01)
    assert time_wait.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=1)
def test_the_application_may_go_without_shortening_it(time_wait):
    time_wait.close()
    time_wait.wait(59.99)
    assert time_wait.state == State.TIME_WAIT


def test_a_repeated_fin_is_acknowledged_and_restarts_it(time_wait):
    """RFC 9293 3.10.7.4 (8th)."""
    time_wait.arrives("FA", seq=1, at=30)
    time_wait.expects("A")
    time_wait.wait(89.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(90.01)
    assert time_wait.state == State.CLOSED


def test_old_data_is_acknowledged_and_dropped(time_wait):
    time_wait.arrives("A", seq=-99, length=50)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def test_a_bare_acknowledgement_is_not_answered(time_wait):
    time_wait.arrives("A")
    time_wait.expects(SILENCE)


def test_the_exact_reset_ends_it(time_wait):
    time_wait.arrives("R")
    time_wait.expects(SILENCE)
    assert time_wait.state == State.CLOSED


@pytest.mark.parametrize("ahead", [-1000, 1, 1000])
def test_any_other_reset_is_ignored(time_wait, ahead):
    time_wait.arrives("R", seq=time_wait.said + ahead)
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(tcp_rfc1337=1)
def test_no_reset_ends_it_with_rfc_1337(time_wait):
    time_wait.arrives("R")
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.parametrize("ahead", [1, 1000, (1 << 31) - 1])
def test_a_newer_syn_opens_a_new_connection(time_wait, ahead):
    """RFC 9293 MAY-2; Linux puts the new ISN 65537 above the old SND.NXT."""
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    assert reborn.iss == (EDGE + 2 + 65_537) % SPACE
    assert reborn.state == State.SYN_RECEIVED
    reborn.arrives("A", at=RTT)
    assert reborn.state == State.ESTABLISHED


@pytest.mark.parametrize("ahead", [0, -1, -1000, -(1 << 31) + 1])
def test_an_older_syn_is_acknowledged(time_wait, ahead):
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def test_the_reset_that_answers_this_acknowledgement_clears_the_way(time_wait):
    reborn = incarnation(time_wait, -1000)
    reborn.arrives("S", mss=1460)
    time_wait.expects("A")
    time_wait.arrives("R")
    reborn.arrives("S", seq=0, mss=1460)
    reborn.expects("SA", ack=1)


def test_syn_ack_is_acknowledged(time_wait):
    time_wait.arrives("SA", seq=5000)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def test_without_a_listener_a_newer_syn_is_acknowledged_too(time_wait):
    time_wait.unlisten()
    incarnation(time_wait, 1000).arrives("S", mss=1460)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def test_connect_over_it_is_refused(time_wait):
    assert not time_wait.connect()
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(tcp_max_tw_buckets=0)
def test_over_the_cap_there_is_none(fin_wait_2):
    fin_wait_2.arrives("FA")
    fin_wait_2.expects("A")
    assert fin_wait_2.state == State.CLOSED
    fin_wait_2.arrives("FA", seq=1)
    fin_wait_2.expects("R", seq=2)


@pytest.mark.knobs(time_wait_ms=0)
def test_without_2_msl_the_lost_last_ack_leaves_the_peer_alone(fin_wait_2):
    """What TIME-WAIT is for."""
    fin_wait_2.arrives("FA")
    fin_wait_2.expects("A")
    fin_wait_2.wait(1)
    fin_wait_2.arrives("FA", seq=1)
    fin_wait_2.expects("R", seq=2)


@pytest.mark.knobs(tcp_timestamps=1)
@pytest.mark.parametrize("ahead, tsval, opens", [
    pytest.param(-1000, 0, True, id="newer timestamp, lower number"),
    pytest.param(1000, 0, True, id="newer timestamp, higher number"),
    pytest.param(1000, -9000, False, id="older timestamp, higher number"),
    pytest.param(1000, -5000, True, id="equal timestamp, higher number"),
    pytest.param(-1000, -5000, False, id="equal timestamp, lower number"),
])
def test_timestamps_decide_before_numbers(time_wait, ahead, tsval, opens):
    """RFC 6191 2."""
    reborn = incarnation(time_wait, ahead)
    reborn.timestamps = True
    reborn.arrives("S", mss=1460, tsval=tsval, at=5)
    if opens:
        reborn.expects("SA")
        assert reborn.state == State.SYN_RECEIVED
    else:
        time_wait.expects("A")
        assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(tcp_timestamps=1)
def test_connect_over_it_works_with_timestamps(time_wait):
    time_wait.wait(2)
    reborn = time_wait.another()
    reborn.timestamps = True
    assert reborn.connect(isn=None)
    reborn.expects("S")
    reborn.arrives("SA", mss=1460, at=RTT)
    reborn.expects("A")
    assert reborn.state == State.ESTABLISHED
