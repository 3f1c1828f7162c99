"""A silent peer: loss probes, keepalive, the user timeout, orphans behind a closed window (section 7)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SECOND
from tests.requirements.verdicts import deviates, requirement

SOON = {"tcp_keepalive_time": 10, "tcp_keepalive_intvl": 2, "tcp_keepalive_probes": 2}


def opened(closed, **asked):
    """ESTABLISHED by a passive open of a listener that asks for this, accepted after RTT."""
    closed.listen(**asked)
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.settled()
    closed.arrives("A", at=RTT)
    assert closed.accept()
    return closed.settled()


def probed(dialogue, at):
    dialogue.expects("A", at=at, seq=dialogue.next - 1)


# -- keepalive (RFC 9293 3.8.4)


@requirement("MAY-5", "MUST-24", "SHLD-12", "MUST-29")
@pytest.mark.knobs(**SOON)
def test_an_idle_peer_is_probed_without_data_and_one_lost_probe_ends_nothing(closed):
    dialogue = opened(closed, keepalive=True)
    probed(dialogue, 10)
    probed(dialogue, 12)
    dialogue.arrives("A", at=12 + RTT)
    assert dialogue.state == State.ESTABLISHED
    probed(dialogue, 22 + RTT)
    dialogue.arrives("A")


@requirement("MUST-25", "MUST-28")
def test_keepalive_is_off_unless_asked_for_and_then_after_two_hours(closed, profile):
    assert profile.tcp_keepalive_time >= 7200
    dialogue = opened(closed)
    dialogue.expects(None, at=3 * 7200)
    assert dialogue.state == State.ESTABLISHED


@pytest.mark.knobs(always_keepalive=1, **SOON)
@pytest.mark.parametrize("opens", ["listen", "connect"])
def test_always_keepalive_asks_for_it_of_every_connection(closed, opens):
    if opens == "listen":
        dialogue = opened(closed)
    else:
        assert closed.connect()
        closed.expects("S")
        closed.settled()
        closed.arrives("SA", mss=1460, at=RTT)
        closed.expects("A")
        dialogue = closed.settled()
    probed(dialogue, 10)
    probed(dialogue, 12)
    dialogue.expects("RA", at=14)
    assert (dialogue.state, dialogue.error) == (State.CLOSED, "ETIMEDOUT")


@requirement("MUST-26", "MUST-27")
@pytest.mark.knobs(**SOON)
def test_keepalive_waits_while_text_is_unanswered_and_after_the_peer_has_spoken(closed):
    dialogue = opened(closed, keepalive=True)
    dialogue.wait(8)
    dialogue.send(100)
    dialogue.expects("A", length=100)
    dialogue.arrives("A", at=8 + RTT)
    probed(dialogue, 18 + RTT)
    dialogue.arrives("A")


def crossed_and_asked(closed):
    """ESTABLISHED by a simultaneous open that asked for keepalive."""
    assert closed.connect(keepalive=True)
    closed.expects("S")
    closed.arrives("S", mss=1460)
    closed.expects("SA")
    closed.settled()
    closed.arrives("A", at=RTT)
    assert closed.state == State.ESTABLISHED
    return closed.settled()


@pytest.mark.knobs(**SOON)
def test_linux_never_probes_after_a_simultaneous_open(closed):
    crossed_and_asked(closed).wait(100)


@pytest.mark.parametrize((), [pytest.param(marks=pytest.mark.profile(name), id=name)
                              for name in ("freebsd", "strict")])
@pytest.mark.knobs(**SOON)
def test_others_probe_after_a_simultaneous_open_too(closed):
    dialogue = crossed_and_asked(closed)
    probed(dialogue, 10)
    dialogue.arrives("A")


@pytest.mark.knobs(**SOON)
@pytest.mark.parametrize("asked", [{"keepalive": True}, {"keepalive": True, "user_timeout_ms": 13_000}])
def test_keepalive_ends_with_a_rst(closed, asked):
    dialogue = opened(closed, **asked)
    probed(dialogue, 10)
    probed(dialogue, 12)
    dialogue.expects("RA", at=14)
    assert (dialogue.state, dialogue.error) == (State.CLOSED, "ETIMEDOUT")


# -- loss probes (RFC 8985 7)


@pytest.mark.knobs(tcp_sack=1)
def test_a_lone_row_is_probed_before_the_rto_backs_off(closed):
    closed.listen()
    closed.arrives("S", opts=5, mss=1460)
    closed.expects("SA")
    closed.settled()
    closed.arrives("A", at=RTT)
    assert closed.accept()
    closed.settled()
    closed.shutdown()
    closed.expects("FA")
    for at in (0.3, 0.6, 1.2, 2.4):
        closed.expects("FA", at=at, seq=closed.next - 1)
    counters = closed.host.stack.counters
    assert (counters["TCPLossProbes"], counters["TCPTimeouts"]) == (1, 3)


@requirement("RFC8985 7.3",
             freebsd=deviates("no loss probes: those are the RACK stack's", tcp_early_retrans=3),
             strict=deviates("no loss probes", tcp_early_retrans=3))
@pytest.mark.knobs(tcp_sack=1)
def test_the_first_row_again_is_a_probe_and_no_resend(closed):
    closed.listen()
    closed.arrives("S", opts=5, mss=1460)
    closed.expects("SA")
    closed.arrives("A", at=RTT)
    assert closed.accept()
    closed.shutdown()
    closed.expects("FA")
    closed.expects("FA", within=10, seq=closed.next - 1)
    counters = closed.host.stack.counters
    assert counters["RetransSegs"] == 1 and not counters.get("TCPTimeouts", 0)


# -- user timeout (RFC 5482)


@requirement("RFC5482 4")
def test_a_silence_of_the_user_timeout_ends_a_connection(closed):
    dialogue = opened(closed, user_timeout_ms=8000)
    dialogue.send(100)
    while dialogue.state == State.ESTABLISHED:
        dialogue.host.fire(dialogue.host.stack.next_timer())
    dialogue.host.heard.clear()
    assert dialogue.error == "ETIMEDOUT"
    assert 8 * SECOND <= dialogue.host.now - dialogue.ready <= 10 * SECOND


def test_a_user_timeout_stands_for_r2(closed):
    dialogue = opened(closed, user_timeout_ms=5000)
    dialogue.send(100)
    dialogue.expects("A", length=100)
    for at in (0.3, 0.9, 2.1, 4.5):
        dialogue.expects("A", at=at, seq=dialogue.next - 100, length=100)
    dialogue.expects(None, at=5.31)
    assert (dialogue.state, dialogue.error) == (State.CLOSED, "ETIMEDOUT")


@pytest.mark.knobs(tcp_user_timeout_ms=5000)
def test_a_user_timeout_ends_probes_that_are_answered(established):
    established.arrives("A", wnd=0)
    established.send(100)
    while established.state == State.ESTABLISHED and established.host.now < established.ready + 60 * SECOND:
        established.host.run(established.host.now + SECOND, quiet=True)
        if established.host.heard:
            established.host.heard.clear()
            established.arrives("A", wnd=0)
    assert established.error == "ETIMEDOUT"
    assert established.host.now <= established.ready + 7 * SECOND


# -- orphans


@pytest.mark.knobs(tcp_rto_max_ms=1000)
def test_an_orphan_behind_a_closed_window_is_not_probed_for_ever(established):
    established.arrives("A", wnd=0)
    established.send(100)
    established.close()
    for at in (0.3, 0.9):
        established.expects("A", at=at, seq=0)
    established.expects(None, at=3)
    assert established.state == State.CLOSED


@pytest.mark.knobs(tcp_max_orphans=0)
def test_an_orphan_too_many_is_reset(established):
    established.close()
    established.expects("RA", seq=2)
    assert established.state == State.CLOSED
    assert established.host.stack.counters["TCPAbortOnMemory"] == 1
    assert established.host.stack.causes["TooManyOrphans"] == 1
