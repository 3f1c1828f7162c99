"""TCP_DEFER_ACCEPT: a listener that wants text, not a bare ACK (Linux: tcp_check_req, syn_ack_recalc)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE


@pytest.fixture
def deferring(closed):
    """A half-open entry whose third segment was a bare ACK; 3 s are two timeouts."""
    closed.listen(defer_accept=3)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.arrives("A")
    closed.expects(SILENCE)
    return closed


def counted(dialogue, name):
    return dialogue.host.stack.counters.get(name, 0)


def test_a_bare_ack_opens_nothing(deferring):
    assert deferring.state == State.SYN_RECEIVED
    assert counted(deferring, "TCPDeferAcceptDrop") == 1
    assert deferring.host.stack.gauges()["half_open"] == 1
    assert not deferring.accept()


def test_text_completes(deferring):
    deferring.arrives("PA", length=10)
    deferring.expects("A")
    assert deferring.state == State.ESTABLISHED
    assert deferring.accept()


def test_a_fin_completes(deferring):
    deferring.arrives("FA")
    deferring.expects("A")
    assert deferring.accept()
    assert deferring.state == State.CLOSE_WAIT


def test_an_ack_ahead_of_a_gap_completes(deferring):
    deferring.arrives("A", seq=5)
    deferring.expects(SILENCE)
    assert deferring.accept()


def test_the_syn_ack_is_silent_until_the_last_timeout(deferring):
    deferring.expects("SA", at=3)
    deferring.expects("SA", at=7)
    deferring.arrives("A")
    deferring.expects(SILENCE)
    assert deferring.accept()


def test_it_goes_on_as_usual_before_the_bare_ack(closed):
    closed.listen(defer_accept=3)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.expects("SA", at=1)
    closed.arrives("A")
    closed.expects("SA", at=3)


@pytest.mark.knobs(tcp_synack_retries=0)
def test_the_period_is_served_whatever_the_retries(deferring):
    deferring.expects("SA", at=3)
    deferring.wait(6.9)
    assert deferring.state == State.SYN_RECEIVED
    deferring.wait(7.1)
    assert deferring.state == State.CLOSED
    assert counted(deferring, "SynQueueExpired") == 1


@pytest.mark.parametrize("seconds, resent", [(1, 1), (2, 3), (3, 3), (4, 7), (7, 7), (8, 15)])
def test_the_period_is_counted_in_timeouts(closed, seconds, resent):
    closed.listen(defer_accept=seconds)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.arrives("A")
    closed.expects("SA", at=resent)


@pytest.mark.knobs(tcp_defer_accept_s=3)
@pytest.mark.parametrize("seconds, state", [(None, State.SYN_RECEIVED), (0, State.ESTABLISHED)])
def test_the_knob_is_the_default_of_listen(closed, seconds, state):
    closed.listen(defer_accept=seconds)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.arrives("A")
    closed.expects(SILENCE)
    assert closed.state == state
    closed.accept()


def test_the_round_trip_reaches_to_the_text(deferring):
    deferring.wait(1.5)
    deferring.arrives("PA", length=10)
    deferring.expects("A")
    deferring.accept()
    deferring.send(10)
    deferring.expects("A", length=10)
    deferring.expects("A", seq=1, length=10, at=1.5 + 4.5)


@pytest.mark.profile("freebsd")
def test_it_is_an_option_of_any_listener(deferring):
    deferring.arrives("PA", length=10)
    deferring.expects("A", within=0.05)
    assert deferring.accept()


@pytest.mark.profile("strict")
def test_by_the_rules_of_the_rfc_too(deferring):
    assert not deferring.accept()
    deferring.arrives("PA", length=10)
    deferring.expects("A", within=0.05)
    assert deferring.accept()
