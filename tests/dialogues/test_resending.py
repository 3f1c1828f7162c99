"""When what is unacknowledged goes again: RFC 9293 3.8.1, 3.10.8, RFC 6298."""

import pytest

from tests.dialogues.dialogue import RTT, SECOND, SILENCE, TICK
from tests.requirements.verdicts import deviates, requirement

SLOP = "200 ms of slop are added"
LINEAR = "the first four SYNs go out a second apart"


def resends(dialogue, seconds):
    """When the stack spoke in the next so many seconds of silence from the peer, from `ready` on."""
    host = dialogue.host
    host.run(dialogue.ready + seconds * SECOND)
    times = [(when - dialogue.ready) / SECOND for when, _ in host.heard]
    host.heard.clear()
    return times


def intervals(dialogue, seconds):
    times = [0, *resends(dialogue, seconds)]
    return [late - early for early, late in zip(times, times[1:], strict=False)]


# -- RFC 6298: the timer


@requirement("RFC6298 2.1")
@pytest.mark.parametrize("place", ["syn_sent", "syn_received"])
def test_the_first_timeout_is_a_second(request, host, place):
    dialogue = request.getfixturevalue(place)
    assert resends(dialogue, 30)[0] == pytest.approx(1, abs=0.002)


@requirement("MUST-19", "RFC6298 5.5", linux=deviates(LINEAR, tcp_syn_linear_timeouts=0),
             freebsd=deviates(SLOP, rto_slop_ms=0))
def test_the_syns_interval_doubles(syn_sent):
    assert intervals(syn_sent, 20) == pytest.approx([1, 2, 4, 8], abs=0.002)


@requirement("MUST-19", "RFC6298 5.5", freebsd=deviates(SLOP, rto_slop_ms=0))
def test_the_syn_acks_interval_doubles(syn_received):
    assert intervals(syn_received, 10) == pytest.approx([1, 2, 4], abs=0.002)


@requirement("MUST-19", "3.10.8 RETRANSMISSION", "RFC6298 5.4", "RFC6298 5.5", "RFC6298 5.6",
             freebsd=deviates(SLOP, rto_slop_ms=0))
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "last_ack"])
def test_what_is_unacknowledged_goes_again_at_doubling_intervals(request, host, place):
    dialogue = request.getfixturevalue(place)
    if place == "established":
        dialogue.send(100)
        dialogue.expects("A", length=100)
    waits = intervals(dialogue, 30)
    for shorter, longer in zip(waits, waits[1:], strict=False):
        assert longer == pytest.approx(2 * shorter, abs=0.01)


def after(dialogue, rtts, length=100):
    """The resend timeout once each of `rtts` has been measured on text."""
    dialogue.ready = dialogue.host.now
    for rtt in rtts:
        dialogue.send(length)
        dialogue.expects("A", length=length)
        dialogue.host.run(dialogue.host.now + round(rtt * SECOND))
        dialogue.arrives("A")
    dialogue.settled()
    dialogue.send(length)
    return first_resend(dialogue)


def first_resend(dialogue):
    sent, again = resends(dialogue, 20)[:2]
    assert sent == 0
    return again


MINIMUM = {"tcp_rto_min_us": 1, "rto_min_rule": "rto"}


@requirement("RFC6298 2.2", freebsd=deviates(SLOP, rto_slop_ms=0))
@pytest.mark.knobs(**MINIMUM)
def test_the_first_measurement(established):
    """SRTT := R, RTTVAR := R/2, RTO := SRTT + 4 RTTVAR; R is that of the handshake."""
    established.send(100)
    assert first_resend(established) == pytest.approx(3 * RTT, abs=0.003)


@requirement("RFC6298 2.3", freebsd=deviates(SLOP, rto_slop_ms=0))
@pytest.mark.knobs(**MINIMUM)
def test_the_next_measurements(established):
    srtt, rttvar = RTT, RTT / 2
    for rtt in (0.2, 0.05, 0.05, 0.3):
        rttvar = 3 / 4 * rttvar + abs(srtt - rtt) / 4
        srtt = 7 / 8 * srtt + rtt / 8
    assert after(established, (0.2, 0.05, 0.05, 0.3)) == pytest.approx(srtt + 4 * rttvar, abs=0.003)


@requirement("RFC6298 2.4",
             linux=deviates("the floor is 200 ms, and under 4 RTTVAR alone", tcp_rto_min_us=1_000_000,
                            rto_min_rule="rto"),
             freebsd=deviates("the floor is 30 ms", tcp_rto_min_us=1_000_000, rto_slop_ms=0))
def test_the_timeout_is_at_least_a_second(established):
    assert after(established, [0.01] * 20) == pytest.approx(1, abs=0.003)


@requirement("RFC6298 2.5")
def test_a_ceiling_of_the_timeout_is_at_least_a_minute(established, config):
    established.send(100)
    waits = intervals(established, 900)[1:]
    assert max(waits) >= 60 and max(waits) <= (config.tcp_rto_max_ms + config.rto_slop_ms) / 1000 + 0.002


@requirement("MUST-18", "RFC6298 3")
@pytest.mark.knobs(**MINIMUM, rto_slop_ms=0)
def test_what_was_sent_twice_is_not_measured(established):
    """Karn: neither the late ACK nor the resend tells how long a round trip is."""
    established.send(100)
    first = first_resend(established)
    established.host.run(established.host.now + 2 * SECOND)
    established.host.heard.clear()
    established.next = 101
    established.arrives("A")
    assert after(established, [0.1]) < 2 * first


@requirement("MUST-18", "RFC6298 3")
@pytest.mark.knobs(**MINIMUM, rto_slop_ms=0, rto_syn_resent_ms=3000)
def test_a_syn_sent_twice_is_not_measured(syn_sent):
    resends(syn_sent, 5)
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("A")
    syn_sent.settled()
    syn_sent.send(100)
    assert first_resend(syn_sent) == pytest.approx(3, abs=0.003)


@requirement("RFC6298 5.7", freebsd=deviates("it is one second", rto_syn_resent_ms=3000))
@pytest.mark.knobs(rto_slop_ms=0)
def test_after_a_lost_syn_the_timeout_is_three_seconds(syn_received):
    resends(syn_received, 2)
    syn_received.arrives("A")
    syn_received.accept()
    syn_received.settled()
    syn_received.send(100)
    assert first_resend(syn_received) == pytest.approx(3, abs=0.003)


@requirement("RFC6298 5.1", "RFC6298 5.2")
def test_the_timer_runs_while_anything_is_unacknowledged(established):
    host = established.host
    assert host.stack.next_timer() is None
    established.send(100)
    established.expects("A", length=100)
    assert host.stack.next_timer() is not None
    established.arrives("A")
    established.expects(SILENCE, at=100)


@requirement("RFC6298 5.3")
def test_an_acknowledgement_of_something_new_restarts_it(established):
    established.send(100)
    established.expects("A", length=100)
    established.send(100)
    established.expects("A", length=100)
    before = established.host.stack.next_timer()
    established.host.run(established.host.now + 100 * TICK)
    established.arrives("A", ack=101)
    assert established.host.stack.next_timer() >= before + 50 * TICK
    established.arrives("A")
