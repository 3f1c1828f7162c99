"""TIME-WAIT: what it lasts, answers, what ends it (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191)."""

import numpy as np
import pytest

from tcpcore import State
from tests.dialogues.dialogue import EDGE, RTT, SILENCE, SPACE
from tests.requirements.verdicts import PROFILES, deviates, requirement

MINUTE = "MSL is half a minute"

#: RCV.NXT of the fixture, absolute.
RCV_NXT = (EDGE + 2) % SPACE


def incarnation(time_wait, ahead):
    """The next incarnation, its ISN so far ahead of RCV.NXT."""
    return time_wait.another(irs=(RCV_NXT + ahead) % SPACE)


def into_time_wait(host):
    """From SYN-SENT on, by closing first; the peer's timestamp then."""
    host.timestamps = True
    host.arrives("SA", mss=1460, at=RTT)
    host.expects("A")
    host.close()
    host.expects("FA")
    host.arrives("A")
    latest = host.clock()
    host.arrives("FA")
    host.expects("A")
    return latest


@pytest.mark.knobs(tcp_timestamps=1, auto_read=False)
def test_connect_goes_on_with_the_timestamp_of_a_time_wait(closed):
    """Linux: tcp_twsk_unique; its window is that of a connection with timestamps."""
    assert closed.connect()
    closed.expects("S", wnd=64240, tsecr=0)
    latest = into_time_wait(closed)
    assert closed.state == State.TIME_WAIT
    again = closed.another()
    assert again.connect()
    again.expects("S", wnd=65160, tsecr=latest)
    again.expects("S", wnd=65160, tsecr=latest, within=1.1)


@pytest.mark.knobs(tcp_timestamps=1, auto_read=False)
@pytest.mark.parametrize("older", [True, False])
def test_a_syn_that_crosses_is_judged_by_the_timestamp_of_that_time_wait(closed, older):
    """Linux: tcp_rcv_synsent_state_process. The SYN-ACK goes on with it, if the SYN had none."""
    assert closed.connect()
    closed.expects("S")
    latest = into_time_wait(closed)
    again = closed.another()
    assert again.connect()
    again.expects("S", tsecr=latest)
    again.timestamps = older
    again.arrives("S", mss=1460, tsval=-1000)
    if older:
        again.expects(SILENCE)
        assert again.state == State.SYN_SENT
    else:
        again.expects("SA", tsecr=latest)


@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
@pytest.mark.parametrize((), [pytest.param(marks=pytest.mark.knobs(tcp_max_tw_buckets=0), id="no room"),
                              pytest.param(id="room")])
def test_its_fin_keeps_the_edge_of_the_window(established):
    established.shutdown()
    established.expects("FA")
    established.arrives("A")
    established.arrives("FA")
    established.expects("A", wnd=2919)


def test_it_lasts_2_msl(time_wait):
    time_wait.wait(59.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(60.01)
    assert time_wait.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=1)
def test_the_application_may_go_without_shortening_it(time_wait):
    time_wait.close()
    time_wait.wait(59.99)
    assert time_wait.state == State.TIME_WAIT


def test_a_bare_acknowledgement_is_not_answered(time_wait):
    time_wait.arrives("A")
    time_wait.expects(SILENCE)


@pytest.mark.parametrize("ahead", [-1000, 1, 1000])
def test_any_other_reset_is_ignored(time_wait, ahead):
    time_wait.arrives("R", seq=time_wait.said + ahead)
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
@pytest.mark.parametrize("ahead, tsval", [
    pytest.param(1000, -9000, id="older timestamp, higher number"),
    pytest.param(-1000, -5000, id="equal timestamp, lower number"),
])
def test_a_syn_refused_by_its_timestamp_is_acknowledged(time_wait, ahead, tsval):
    """RFC 6191 2."""
    reborn = incarnation(time_wait, ahead)
    reborn.timestamps = True
    reborn.arrives("S", mss=1460, tsval=tsval, at=5)
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


# -- what the RFCs ask


@requirement("MUST-13", "3.10.8 TIME-WAIT", linux=deviates(MINUTE, time_wait_ms=240_000),
             freebsd=deviates(MINUTE, time_wait_ms=240_000))
def test_time_wait_lasts_2_msl_of_two_minutes(time_wait):
    time_wait.wait(239.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(240.01)
    assert time_wait.state == State.CLOSED


@requirement("MUST-13")
def test_the_active_closer_is_in_time_wait_and_the_passive_is_not(time_wait):
    assert time_wait.state == State.TIME_WAIT
    other = time_wait.another(port=2)
    other.arrives("S", mss=1460)
    other.expects("SA")
    other.arrives("A")
    other.accept()
    other.arrives("FA")
    other.expects("A")
    other.shutdown()
    other.expects("FA")
    other.arrives("A")
    assert other.state == State.CLOSED


@requirement("MUST-13",
             linux=deviates("over tcp_max_tw_buckets there is none", tcp_max_tw_buckets=None))
@pytest.mark.knobs(capacity=270_000)
@pytest.mark.engine_only("size")
def test_every_active_close_has_its_time_wait(host):
    """One more than Linux keeps by default."""
    stack, many = host.stack, 262_145
    conns, syns = stack.connect("10.0.0.2", 80, host.now, n=many, src=spread(many))
    answer = syns.copy()
    swap(answer, flags=0x12, ack=syns["seq"] + 1, seq=EDGE)
    stack.receive(answer, host.now)
    fins = stack.shutdown(conns, host.now).copy()
    swap(fins, flags=0x11, ack=fins["seq"] + 1, seq=(RCV_NXT - 1) % SPACE)
    stack.receive(fins, host.now)
    assert stack.state_counts()[State.TIME_WAIT] == many
    stack.abort(conns, host.now)
    stack.advance(host.now + 1)


@requirement("3.10.7.4 fifth TIME-WAIT", "3.10.7.4 eighth TIME-WAIT")
def test_a_repeated_fin_is_acknowledged_and_restarts_2_msl(time_wait, config):
    msl2 = config.time_wait_ms / 1000
    time_wait.arrives("FA", seq=1, at=msl2 / 2)
    time_wait.expects("A")
    time_wait.wait(1.5 * msl2 - 0.01)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(1.5 * msl2 + 0.01)
    assert time_wait.state == State.CLOSED


@requirement("3.10.7.4 second TIME-WAIT",
             freebsd=deviates("RFC 1337: no reset ends TIME-WAIT", tcp_rfc1337=0))
def test_an_exact_reset_ends_time_wait(time_wait):
    time_wait.arrives("R")
    time_wait.expects(SILENCE)
    assert time_wait.state == State.CLOSED


@requirement("RFC1337 3 F1", linux=deviates("an exact reset ends TIME-WAIT", tcp_rfc1337=1),
             strict=deviates("RFC 9293 3.10.7.4 (2nd) wants the opposite", tcp_rfc1337=1))
def test_no_reset_ends_time_wait(time_wait):
    time_wait.arrives("R")
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@requirement("RFC1337 2 H1")
@pytest.mark.parametrize("seq, length", [(-500, 10), (-99, 50)])
def test_old_text_does_not_end_time_wait(time_wait, seq, length):
    """What it provokes is an ACK, which the peer, being closed, may answer by a reset: hence F1."""
    time_wait.arrives("A", seq=seq, length=length)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


@requirement("MAY-2", "RFC6191 2")
@pytest.mark.parametrize("ahead", [1000, 5000])
def test_a_syn_above_the_last_number_reopens_with_an_isn_above_ours(time_wait, ahead):
    """Without timestamps the number decides."""
    ours = (time_wait.iss + time_wait.next) % SPACE
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    assert reborn.state == State.SYN_RECEIVED
    assert 0 < (reborn.iss - ours) % SPACE < 1 << 31


@requirement("MAY-2")
@pytest.mark.parametrize("ahead", [0, -1, -1000])
def test_an_old_duplicate_syn_leaves_time_wait(time_wait, ahead):
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    time_wait.host.heard.clear()
    assert time_wait.state == State.TIME_WAIT


@requirement("MAY-2 (2)", **dict.fromkeys(PROFILES, deviates("its record is gone by then",
                                                             expect=State.CLOSED)))
def test_a_reset_of_the_reopened_connection_brings_time_wait_back(time_wait, outcome):
    reborn = incarnation(time_wait, 1000)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    reborn.arrives("R")
    assert time_wait.state == outcome(State.TIME_WAIT)


@requirement("SHLD-4", "RFC6191 2",
             freebsd=deviates("the number alone decides", time_wait_rules="rfc"))
@pytest.mark.knobs(tcp_timestamps=1)
@pytest.mark.parametrize("ahead, tsval, opens", [
    pytest.param(-1000, 0, True, id="newer timestamp, lower number"),
    pytest.param(1000, -9000, False, id="older timestamp, higher number"),
])  # fmt: skip
def test_timestamps_decide_against_numbers(time_wait, ahead, tsval, opens):
    again_with_timestamps(time_wait, ahead, tsval, opens)


@requirement("SHLD-4", "RFC6191 2")
@pytest.mark.knobs(tcp_timestamps=1)
@pytest.mark.parametrize("ahead, tsval, opens", [
    pytest.param(1000, 0, True, id="newer timestamp, higher number"),
    pytest.param(1000, -5000, True, id="equal timestamp, higher number"),
    pytest.param(-1000, -5000, False, id="equal timestamp, lower number"),
])  # fmt: skip
def test_equal_timestamps_leave_it_to_the_number(time_wait, ahead, tsval, opens):
    again_with_timestamps(time_wait, ahead, tsval, opens)


def again_with_timestamps(time_wait, ahead, tsval, opens):
    """A SYN of the same peer, `tsval` from now; whether it opens. Where it does not, an ACK may answer."""
    reborn = incarnation(time_wait, ahead)
    reborn.timestamps = True
    reborn.arrives("S", mss=1460, tsval=tsval, at=5)
    if opens:
        reborn.expects("SA")
    time_wait.host.heard.clear()
    assert time_wait.state == (State.SYN_RECEIVED if opens else State.TIME_WAIT)


@requirement("3.10.5", linux=deviates("TIME-WAIT goes on", time_wait_outlives=0))
def test_abort_ends_time_wait(time_wait):
    time_wait.abort()
    time_wait.expects(SILENCE)
    assert time_wait.state == State.CLOSED


def spread(many):
    """Addresses enough for so many connections to one port."""
    return np.arange(many, dtype=np.uint32) % np.uint32(64) + np.uint32(0x0A010001)


def swap(segs, **fields):
    """Make of what was sent what the other end answers."""
    for one, other in (("src", "dst"), ("sport", "dport")):
        segs[one], segs[other] = segs[other].copy(), segs[one].copy()
    for name, value in fields.items():
        segs[name] = value
    segs["wnd"], segs["opts"] = 64_240, 0
