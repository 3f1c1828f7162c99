"""ICMP unreachable and time exceeded (RFC 9293 3.9.2.2): what ends, is remembered, and is resent."""

import errno

import pytest

from tcpcore import TIME_EXCEEDED, State
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, PEER, SILENCE
from tests.requirements.verdicts import deviates, outside, requirement

NET, HOST, PROTOCOL, PORT, FRAGMENTATION, PROHIBITED = 0, 1, 2, 3, 4, 13
REASSEMBLY = TIME_EXCEEDED + 1


def resent_twice(established):
    """Text that nobody acknowledges, and its first two resends."""
    established.send(100)
    established.expects("A", length=100)
    established.expects("A", seq=1, length=100, at=0.3)
    established.expects("A", seq=1, length=100, at=0.9)


def tell(dialogue, code=HOST):
    """The message comes for this connection."""
    stack, now = dialogue.host.stack, dialogue.host.now
    conns = stack.lookup(PEER, dialogue.port, LOCAL, LOCAL_PORT)
    dialogue.host.hear(stack.unreachable(conns, now, code))


def error_of(dialogue):
    """The number that the application would see, 0 for none."""
    return int(dialogue.host.stack.info(dialogue.handle)[0]["error"])


@requirement("MUST-54", "SHLD-25", freebsd=outside("a connection that is established ignores it"))
def test_a_soft_error_is_told(established):
    tell(established)
    assert (established.state, error_of(established)) == (State.ESTABLISHED, errno.EHOSTUNREACH)


@requirement("MUST-56")
@pytest.mark.parametrize("code", [NET, HOST, 5])
def test_a_soft_error_does_not_abort(connected, code):
    state = connected.state
    tell(connected, code)
    assert connected.state == state


@requirement("SHLD-26",
             linux=deviates("blind attacks, RFC 5927 5.2", unreachable_rules="rfc"),
             freebsd=deviates("blind attacks, RFC 5927 5.2", unreachable_rules="rfc"))  # fmt: skip
@pytest.mark.parametrize("code, error", [(PROTOCOL, errno.ENOPROTOOPT), (PORT, errno.ECONNREFUSED)])
def test_a_hard_error_aborts(established, code, error):
    tell(established, code)
    assert (established.state, error_of(established)) == (State.CLOSED, error)


@pytest.mark.parametrize("code, error", [
    (NET, errno.ENETUNREACH), (HOST, errno.EHOSTUNREACH), (PROTOCOL, errno.ENOPROTOOPT),
    (PORT, errno.ECONNREFUSED), (5, errno.EOPNOTSUPP), (7, errno.EHOSTDOWN), (8, errno.ENONET),
    (PROHIBITED, errno.EHOSTUNREACH), (15, errno.EHOSTUNREACH)])  # fmt: skip
def test_any_of_them_ends_an_attempt(syn_sent, code, error):
    tell(syn_sent, code)
    syn_sent.expects(SILENCE, at=10)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, error)
    counters, causes = syn_sent.host.stack.counters, syn_sent.host.stack.causes
    assert (counters["InDestUnreachs"], counters["AttemptFails"], causes["Unreachable"]) == (1, 1, 1)


def test_but_not_that_a_segment_is_too_long(syn_sent):
    tell(syn_sent, FRAGMENTATION)
    assert syn_sent.state == State.SYN_SENT


def test_a_crossed_attempt_ends_too(syn_sent):
    syn_sent.arrives("S", mss=1460)
    syn_sent.expects("SA")
    tell(syn_sent, PORT)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, errno.ECONNREFUSED)


@pytest.mark.parametrize("code, state", [
    (NET, State.CLOSED), (HOST, State.CLOSED), (PROTOCOL, State.SYN_RECEIVED), (PORT, State.SYN_RECEIVED),
    (PROHIBITED, State.SYN_RECEIVED)])  # fmt: skip
def test_net_and_host_end_a_half_open_entry(syn_received, code, state):
    tell(syn_received, code)
    assert syn_received.state == state
    counters = syn_received.host.stack.counters
    gone = state == State.CLOSED
    assert (counters.get("ListenDrops", 0), counters.get("SynQueueAborted", 0)) == (gone, gone)


@pytest.mark.parametrize("code", [HOST, PORT])
def test_what_is_remembered_is_forgotten_once_the_peer_is_heard(established, code):
    tell(established, code)
    assert error_of(established) != 0
    established.arrives("A")
    established.expects(SILENCE)
    assert error_of(established) == 0


# -- time exceeded


@requirement("MUST-56")
def test_that_a_time_was_exceeded_does_not_abort(connected):
    state = connected.state
    tell(connected, TIME_EXCEEDED)
    assert connected.state == state


def test_a_time_exceeded_ends_an_attempt_as_host_unreachable(syn_sent):
    tell(syn_sent, TIME_EXCEEDED)
    syn_sent.expects(SILENCE, at=10)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, errno.EHOSTUNREACH)
    counters, causes = syn_sent.host.stack.counters, syn_sent.host.stack.causes
    told = counters.get("InDestUnreachs", 0)
    assert (told, counters["AttemptFails"], causes["Unreachable"]) == (0, 1, 1)


@pytest.mark.parametrize("code", [REASSEMBLY, TIME_EXCEEDED + 2, 12 * 256, 3 * 256 + HOST])
def test_only_time_exceeded_in_transit_is_told(syn_sent, code):
    tell(syn_sent, code)
    assert syn_sent.state == State.SYN_SENT


@pytest.mark.parametrize("code, state", [(TIME_EXCEEDED, State.CLOSED), (REASSEMBLY, State.SYN_RECEIVED)])
def test_a_time_exceeded_ends_a_half_open_entry(syn_received, code, state):
    tell(syn_received, code)
    assert syn_received.state == state


def test_a_time_exceeded_undoes_no_doubling(established):
    resent_twice(established)
    established.wait(1.2)
    tell(established, TIME_EXCEEDED)
    assert error_of(established) == errno.EHOSTUNREACH
    established.expects("A", seq=1, length=100, at=2.1)


@pytest.mark.profile("freebsd")
def test_freebsd_refuses_an_attempt_by_a_time_exceeded(syn_sent):
    """icmp_may_rst; elsewhere it does nothing (tcp_drop_syn_sent), but in the syncache (syncache_unreach)."""
    tell(syn_sent, REASSEMBLY)
    assert syn_sent.state == State.SYN_SENT
    tell(syn_sent, TIME_EXCEEDED)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, errno.EHOSTUNREACH)


@pytest.mark.profile("freebsd")
def test_freebsds_crossed_attempts_ignore_a_time_exceeded(syn_sent):
    syn_sent.arrives("S", mss=1460)
    syn_sent.expects("SA")
    for at in (1, 3.2, 7.4, 15.6, 31.8):
        tell(syn_sent, TIME_EXCEEDED)
        syn_sent.expects("SA", at=at)
    tell(syn_sent, TIME_EXCEEDED)
    assert syn_sent.state == State.SYN_RECEIVED


@pytest.mark.profile("freebsd")
def test_freebsd_drops_a_half_open_entry_by_the_second_time_exceeded(syn_received):
    tell(syn_received, TIME_EXCEEDED)
    for at in (1, 3.2, 7.4):
        syn_received.expects("SA", at=at)
    tell(syn_received, TIME_EXCEEDED)
    assert syn_received.state == State.CLOSED


def test_time_wait_has_nobody_to_tell(time_wait):
    tell(time_wait, PORT)
    time_wait.expects(SILENCE, at=30)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(tcp_retries2=1)
@pytest.mark.parametrize("code, error", [(HOST, errno.EHOSTUNREACH), (PORT, errno.ECONNREFUSED)])
def test_the_timeout_tells_it(established, code, error):
    established.send(100)
    established.expects("A", length=100)
    tell(established, code)
    established.expects("A", seq=1, length=100, at=0.3)
    established.expects(SILENCE, at=5)
    assert (established.state, error_of(established)) == (State.CLOSED, error)


@pytest.mark.parametrize("code, again", [(NET, 0.9), (HOST, 0.9), (PORT, 2.1), (PROHIBITED, 2.1)])
def test_no_route_undoes_a_doubling(established, code, again):
    resent_twice(established)
    established.wait(1.2)
    tell(established, code)
    established.expects("A", seq=1, length=100, at=0.6 + again if again < 2 else again)


def test_what_is_overdue_then_goes_at_once(established):
    resent_twice(established)
    established.wait(1.4)
    tell(established)
    tell(established)
    established.expects("A", seq=1, length=100)


@pytest.mark.profile("freebsd")
def test_freebsd_refuses_an_attempt_by_the_port(syn_sent):
    tell(syn_sent, PORT)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, errno.ECONNREFUSED)


@pytest.mark.profile("freebsd")
def test_freebsd_gives_an_attempt_up_by_the_second_after_four_resends(syn_sent):
    tell(syn_sent)
    assert (syn_sent.state, error_of(syn_sent)) == (State.SYN_SENT, 0)
    for at in (1, 3.2, 7.4):
        syn_sent.expects("S", at=at)
    tell(syn_sent)
    assert (syn_sent.state, error_of(syn_sent)) == (State.SYN_SENT, 0)
    syn_sent.expects("S", at=15.6)
    tell(syn_sent)
    assert (syn_sent.state, error_of(syn_sent)) == (State.CLOSED, errno.EHOSTUNREACH)


@pytest.mark.profile("freebsd")
@pytest.mark.parametrize("code", [HOST, PORT])
def test_freebsd_drops_a_half_open_entry_by_the_second_after_three(syn_received, code):
    tell(syn_received, code)
    for at in (1, 3.2, 7.4):
        tell(syn_received, code)
        assert syn_received.state == State.SYN_RECEIVED
        syn_received.expects("SA", at=at)
    tell(syn_received, code)
    assert syn_received.state == State.CLOSED


@pytest.mark.profile("freebsd")
@pytest.mark.parametrize("code", [HOST, PORT])
def test_freebsds_connections_ignore_it(established, code):
    tell(established, code)
    assert (established.state, error_of(established)) == (State.ESTABLISHED, 0)
