"""Closing: RFC 9293 3.6, 3.10.4, 3.10.5, TIME-WAIT with RFC 6191 and RFC 1337."""

import numpy as np
import pytest

from tcpcore import State
from tests.conformance.verdicts import PROFILES, deviates
from tests.dialogue import EDGE, RTT, SILENCE, SPACE

requirement = pytest.mark.requirement
RCV_NXT = (EDGE + 2) % SPACE              # of the fixture time_wait
MINUTE = "MSL is half a minute"


# -- 3.6: the three ways


@requirement("RFC9293 3.6 case 1", "RFC9293 3.6 figure 12")
def test_we_close_first(established):
    established.shutdown()
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1
    established.arrives("A", at=RTT)
    assert established.state == State.FIN_WAIT_2
    established.arrives("A", length=100, at=10)
    established.expects("A", within=0.5)
    established.arrives("FA", at=20)
    established.expects("A")
    assert established.state == State.TIME_WAIT


@requirement("RFC9293 3.6 case 2", "RFC9293 3.6 figure 12")
def test_the_peer_closes_first(established):
    established.arrives("FA")
    established.expects("A")
    assert established.state == State.CLOSE_WAIT
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", at=RTT)
    established.shutdown()
    established.expects("FA")
    assert established.state == State.LAST_ACK
    established.arrives("A", at=2 * RTT)
    assert established.state == State.CLOSED


@requirement("RFC9293 3.6 case 3", "RFC9293 3.6 figure 13",
             freebsd=deviates("the ACK repeats our FIN", ack_repeats_control=0))
def test_both_close_at_once(fin_wait_1):
    fin_wait_1.arrives("FA", ack=1, at=RTT)
    fin_wait_1.expects("A", seq=2)
    assert fin_wait_1.state == State.CLOSING
    fin_wait_1.arrives("A")
    assert fin_wait_1.state == State.TIME_WAIT


@requirement("RFC9293 MUST-12")
def test_a_normal_close_is_told_from_an_abort(close_wait):
    assert close_wait.error is None
    close_wait.shutdown()
    close_wait.expects("FA")
    close_wait.arrives("A")
    assert (close_wait.state, close_wait.error) == (State.CLOSED, None)


# -- 3.6.1: half-duplex close


@requirement("RFC9293 MAY-1", "RFC9293 SHLD-3")
@pytest.mark.knobs(auto_read=False)
def test_a_close_that_loses_unread_text_resets(established, config):
    established.arrives("A", length=10)
    established.expects("A", within=0.5)
    established.close()
    established.expects(ours(config))
    assert established.state == State.CLOSED


@requirement("RFC9293 SHLD-3")
def test_text_that_comes_after_the_application_has_gone_is_reset(established):
    established.close()
    established.expects("FA")
    established.arrives("A", length=10)
    established.expects("R", seq=2)
    assert established.state == State.CLOSED


# -- TIME-WAIT


@requirement("RFC9293 MUST-13", "RFC9293 3.10.8 TIME-WAIT", linux=deviates(MINUTE, time_wait_ms=240_000),
             freebsd=deviates(MINUTE, time_wait_ms=240_000))
def test_time_wait_lasts_2_msl_of_two_minutes(time_wait):
    time_wait.wait(239.99)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(240.01)
    assert time_wait.state == State.CLOSED


@requirement("RFC9293 MUST-13")
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


@requirement("RFC9293 MUST-13",
             linux=deviates("over tcp_max_tw_buckets there is none", tcp_max_tw_buckets=None))
@pytest.mark.knobs(capacity=270_000)
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


@requirement("RFC9293 3.10.7.4 fifth TIME-WAIT", "RFC9293 3.10.7.4 eighth TIME-WAIT")
def test_a_repeated_fin_is_acknowledged_and_restarts_2_msl(time_wait, config):
    msl2 = config.time_wait_ms / 1000
    time_wait.arrives("FA", seq=1, at=msl2 / 2)
    time_wait.expects("A")
    time_wait.wait(1.5 * msl2 - 0.01)
    assert time_wait.state == State.TIME_WAIT
    time_wait.wait(1.5 * msl2 + 0.01)
    assert time_wait.state == State.CLOSED


@requirement("RFC9293 3.10.7.4 second TIME-WAIT",
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
def test_old_text_does_not_end_time_wait(time_wait):
    """What it provokes is an ACK, which the peer, being closed, may answer by a reset: hence F1."""
    time_wait.arrives("A", seq=-500, length=10)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


def incarnation(time_wait, ahead):
    """The next incarnation, its ISN so far ahead of RCV.NXT."""
    return time_wait.another(irs=(RCV_NXT + ahead) % SPACE)


@requirement("RFC9293 MAY-2")
def test_a_syn_above_the_last_number_reopens_with_an_isn_above_ours(time_wait):
    ours = (time_wait.iss + time_wait.next) % SPACE
    reborn = incarnation(time_wait, 1000)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    assert reborn.state == State.SYN_RECEIVED
    assert 0 < (reborn.iss - ours) % SPACE < 1 << 31


@requirement("RFC9293 MAY-2")
@pytest.mark.parametrize("ahead", [0, -1, -1000])
def test_an_old_duplicate_syn_leaves_time_wait(time_wait, ahead):
    reborn = incarnation(time_wait, ahead)
    reborn.arrives("S", mss=1460)
    time_wait.host.heard.clear()
    assert time_wait.state == State.TIME_WAIT


@requirement("RFC9293 MAY-2 (2)", **dict.fromkeys(PROFILES, deviates("its record is gone by then")))
def test_a_reset_of_the_reopened_connection_brings_time_wait_back(time_wait):
    reborn = incarnation(time_wait, 1000)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")
    reborn.arrives("R")
    assert time_wait.state == State.TIME_WAIT


@requirement("RFC9293 SHLD-4", "RFC6191 2",
             freebsd=deviates("the number alone decides", time_wait_rules="rfc"))
@pytest.mark.knobs(tcp_timestamps=1)
@pytest.mark.parametrize("ahead, tsval, opens", [
    pytest.param(-1000, 0, True, id="newer timestamp, lower number"),
    pytest.param(1000, -9000, False, id="older timestamp, higher number"),
])  # fmt: skip
def test_timestamps_decide_against_numbers(time_wait, ahead, tsval, opens):
    again_with_timestamps(time_wait, ahead, tsval, opens)


@requirement("RFC9293 SHLD-4", "RFC6191 2")
@pytest.mark.knobs(tcp_timestamps=1)
@pytest.mark.parametrize("ahead, tsval, opens", [
    pytest.param(1000, 0, True, id="newer timestamp, higher number"),
    pytest.param(1000, -5000, True, id="equal timestamp, higher number"),
    pytest.param(-1000, -5000, False, id="equal timestamp, lower number"),
])  # fmt: skip
def test_equal_timestamps_leave_it_to_the_number(time_wait, ahead, tsval, opens):
    again_with_timestamps(time_wait, ahead, tsval, opens)


def again_with_timestamps(time_wait, ahead, tsval, opens):
    """A SYN of the same peer, `tsval` from now; whether it opens."""
    reborn = incarnation(time_wait, ahead)
    reborn.timestamps = True
    reborn.arrives("S", mss=1460, tsval=tsval, at=5)
    time_wait.host.heard.clear()
    assert time_wait.state == (State.SYN_RECEIVED if opens else State.TIME_WAIT)


@requirement("RFC6191 2")
def test_without_timestamps_a_higher_number_decides(time_wait):
    reborn = incarnation(time_wait, 1000)
    reborn.arrives("S", mss=1460)
    reborn.expects("SA")


# -- 3.10.4, 3.10.5: CLOSE and ABORT, state by state


@requirement("RFC9293 3.10.4")
@pytest.mark.parametrize("place, sent, after", [
    ("syn_sent", None, "CLOSED"), ("established", "FA", "FIN_WAIT_1"), ("close_wait", "FA", "LAST_ACK"),
    ("fin_wait_1", None, "FIN_WAIT_1"), ("fin_wait_2", None, "FIN_WAIT_2"), ("closing", None, "CLOSING"),
    ("last_ack", None, "LAST_ACK"), ("time_wait", None, "TIME_WAIT"),
])  # fmt: skip
def test_close(request, host, place, sent, after):
    dialogue = request.getfixturevalue(place)
    dialogue.shutdown()
    dialogue.expects(sent)
    assert dialogue.state == State[after]


@requirement("RFC9293 3.10.4", linux=deviates("the FIN waits for ESTABLISHED", shutdown_waits=0))
def test_close_in_an_active_syn_received(syn_sent):
    """If nothing was queued, a FIN; FIN-WAIT-1."""
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.shutdown()
    syn_sent.expects("FA")
    assert syn_sent.state == State.FIN_WAIT_1


@requirement("RFC9293 3.10.4")
def test_close_waits_for_the_queued_text(established):
    established.arrives("A", wnd=0)
    established.send(10)
    established.shutdown()
    assert established.state == State.FIN_WAIT_1
    established.arrives("A", wnd=1000)
    established.expects("FA", length=10)


@requirement("RFC9293 3.10.4 LISTEN",
             linux=deviates("half-open entries stay until their next timer", unlisten_forgets=1))
def test_close_of_listen_forgets_what_is_half_open(syn_received):
    syn_received.unlisten()
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED


@requirement("RFC9293 3.10.5", linux=deviates("with an ACK", abort_rst_has_ack=0),
             freebsd=deviates("with an ACK", abort_rst_has_ack=0))
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2", "close_wait"])
def test_abort_resets(request, host, place):
    """<SEQ=SND.NXT><CTL=RST>"""
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects("R", seq=dialogue.next)
    assert dialogue.state == State.CLOSED


@requirement("RFC9293 3.10.5")
@pytest.mark.parametrize("place", ["syn_sent", "closing", "last_ack"])
def test_abort_is_silent(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.abort()
    dialogue.expects(SILENCE)
    assert dialogue.state == State.CLOSED


@requirement("RFC9293 3.10.5", linux=deviates("TIME-WAIT goes on", time_wait_outlives=0))
def test_abort_ends_time_wait(time_wait):
    time_wait.abort()
    time_wait.expects(SILENCE)
    assert time_wait.state == State.CLOSED


def ours(config):
    """The flags of a RST of our own accord."""
    return "RA" if config.abort_rst_has_ack else "R"


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
