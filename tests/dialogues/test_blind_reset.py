"""A RST ends a connection only by the exact number (RFC 9293 3.10.7.4 (2nd), RFC 5961 3.2)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE, TICK, WINDOW
from tests.requirements.verdicts import deviates, requirement


def test_after_the_peers_fin_the_application_is_told_epipe_on_linux(close_wait):
    close_wait.arrives("R")
    assert close_wait.error == "EPIPE"


def test_the_number_of_the_peers_fin_resets_too_on_linux(after_fin):
    after_fin.arrives("R", seq=after_fin.said - 1)
    assert after_fin.state == State.CLOSED


def test_the_acknowledgement_of_a_reset_is_not_looked_at(established):
    established.arrives("RA", ack=-100_000)
    assert established.state == State.CLOSED


def test_syn_with_reset_is_a_reset(established):
    established.arrives("SR", seq=5000)
    established.expects("A")
    assert established.state == State.ESTABLISHED
    established.arrives("SR", seq=1)
    assert established.state == State.CLOSED


@pytest.mark.knobs(insecure_rst=1)
def test_any_number_in_the_window_resets_if_so_configured(established):
    established.arrives("R", seq=1000)
    assert established.state == State.CLOSED


@pytest.mark.knobs(tcp_sack=1, auto_read=False)
@pytest.mark.parametrize("sack, flags, seq, resets", [
    (1, "A", 200, False), (1, "A", 201, True), (1, "FA", 201, False), (1, "FA", 202, True),
    (0, "A", 201, False),
])  # fmt: skip
def test_a_reset_behind_what_came_ahead_of_a_gap_resets_on_linux(listening, sack, flags, seq, resets):
    """With SACK: from a peer whose text before it was lost (tcp_validate_incoming)."""
    listening.arrives("S", mss=1460, opts=1 | 4 * sack)
    listening.expects("SA")
    listening.arrives("A", at=0.03)
    listening.arrives(flags, seq=101, length=100)
    listening.expects("A")
    listening.arrives("R", seq=seq)
    listening.expects(SILENCE if resets else "A")


# -- what RFC 9293 and RFC 5961 ask


@requirement("3.10.7.4 second (1)", "RFC5961 3.2 (1)")
@pytest.mark.parametrize("ahead", [-1000, WINDOW + 2, 1 << 31])
def test_a_reset_outside_the_window_is_dropped_in_silence(connected, ahead):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert connected.state == state


@requirement("3.10.7.4 second (1)", "RFC5961 3.2 (1)",
             linux=deviates("after its FIN the peer may reset with the FIN's own number", rst_before_fin=0))
def test_a_reset_with_the_number_of_the_peers_fin_is_old(after_fin):
    state = after_fin.state
    after_fin.arrives("R", seq=after_fin.said - 1)
    after_fin.expects(SILENCE)
    assert after_fin.state == state


@requirement("3.10.7.4 second (2)", "RFC5961 3.2 (2)", "3.5.3")
def test_the_exact_reset_resets(connected):
    connected.arrives("R")
    connected.expects(SILENCE)
    assert connected.state == State.CLOSED
    assert connected.error is not None


@requirement("3.10.7.4 second (3)", "RFC5961 3.2 (3)")
@pytest.mark.parametrize("ahead", [1, 1000, WINDOW - 2])
def test_any_other_reset_in_the_window_is_challenged(connected, ahead):
    state, said = connected.state, connected.said
    connected.arrives("R", seq=said + ahead)
    connected.expects("A", ack=said)
    assert connected.state == state


@requirement("3.10.7.4 second, the user is told", "MUST-12")
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2"])
def test_the_user_hears_of_a_reset(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("R")
    assert dialogue.error == "ECONNRESET"


@requirement("3.10.7.4 second, the user is told",
             linux=deviates("EPIPE: the peer's end was read before", epipe_in_close_wait=0))
def test_the_user_hears_of_a_reset_in_close_wait(close_wait):
    close_wait.arrives("R")
    assert close_wait.error == "ECONNRESET"


@requirement("SHLD-2")
def test_a_reset_may_carry_text(established):
    established.arrives("R", length=20)
    established.expects(SILENCE)
    assert established.state == State.CLOSED


@requirement("RFC5961 7")
def test_challenge_acks_are_throttled(established):
    """RFC 5961 gives 10 in 5 s as an example; Linux's limit is drawn anew each second, 1.5 times the knob at
    most, so that nobody can count it."""
    host = established.host
    for number in range(1000):
        host.run(host.now + TICK)
        established.arrives("S", seq=5000 + number)
    assert 1 <= len(host.heard) <= 30
    host.heard.clear()


@pytest.mark.profile("freebsd")
@pytest.mark.parametrize("flags", ["R", "S"])
def test_freebsd_sends_five_challenges_in_a_second(established, flags):
    """FreeBSD: ack_war_cnt in ack_war_timewindow, for each connection (FreeBSD-SA-26:06)."""
    host = established.host
    for _ in range(2):
        for number in range(50):
            host.run(host.now + TICK)
            established.arrives(flags, seq=101 + number)
        assert len(host.heard) == 5
        host.heard.clear()
        host.run(host.now + 1001 * TICK)


@pytest.mark.knobs(ack_war_cnt=2, ack_war_timewindow_ms=100, tcp_invalid_ratelimit=0)
def test_the_window_begins_with_its_first_ack(established):
    for at, answered in ((1, 1), (1.05, 1), (1.1, 0), (1.101, 1), (1.102, 1), (1.201, 0), (1.202, 1)):
        established.arrives("A", seq=-1000, at=at)
        assert len(established.host.heard) == answered
        established.host.heard.clear()


@pytest.mark.knobs(ack_war_cnt=1, ack_war_timewindow_ms=10_000, tcp_invalid_ratelimit=0)
def test_old_text_is_answered_whatever_the_limit(established):
    for _ in range(3):
        established.arrives("A", seq=-99, length=50)
        established.expects("A")
