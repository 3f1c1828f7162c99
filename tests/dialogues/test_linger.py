"""`close` with SO_LINGER: for a time the connection is no orphan yet (docs/semantics.md R11.39)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE

EACH = [pytest.param(marks=pytest.mark.profile(name), id=name) for name in ("linux", "freebsd", "strict")]
each_profile = pytest.mark.parametrize((), EACH)


@pytest.fixture
def lingering(established):
    """FIN-WAIT-1 after `close` that lingers for three seconds, the FIN just sent."""
    established.close(linger_s=3)
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1
    return established.settled()


def orphans(dialogue):
    return dialogue.host.stack.gauges()["orphans"]


@each_profile
def test_no_time_at_all_is_a_reset(established):
    established.close(linger_s=0)
    established.expects("RA" if established.host.stack.config.abort_rst_has_ack else "R")
    assert established.state == State.CLOSED
    assert established.host.stack.counters["TCPAbortOnData"] == 1


@each_profile
def test_it_is_an_orphan_once_its_time_has_passed(lingering):
    assert orphans(lingering) == 0
    while lingering.host.stack.next_timer() < lingering.ready + 3_000_000_000:
        lingering.host.fire(lingering.host.stack.next_timer())
    assert orphans(lingering) == 0
    lingering.host.fire(lingering.host.stack.next_timer())
    assert orphans(lingering) == 1 and lingering.state == State.FIN_WAIT_1
    lingering.host.heard.clear()


@each_profile
def test_it_is_an_orphan_once_our_fin_is_acknowledged(lingering):
    lingering.arrives("A", at=RTT)
    assert orphans(lingering) == 1 and lingering.state == State.FIN_WAIT_2
    lingering.arrives("A", length=10)
    lingering.expects("R", seq=2)


@pytest.mark.parametrize((), [pytest.param(marks=pytest.mark.profile(name), id=name)
                              for name in ("linux", "strict")])
def test_text_for_nobody_is_reset(lingering):
    lingering.arrives("A", ack=1, length=10, at=RTT)
    lingering.expects("R", seq=1)
    assert lingering.state == State.CLOSED


@pytest.mark.profile("freebsd")
@pytest.mark.knobs(auto_read=False, delack_ms=0)
def test_freebsd_takes_text_and_throws_it_away(lingering):
    lingering.arrives("A", ack=1, length=10, at=RTT)
    lingering.expects("FA", seq=1, ack=11, wnd=65535)
    assert lingering.state == State.FIN_WAIT_1
    lingering.arrives("A", at=2 * RTT)
    lingering.arrives("A", length=10)
    lingering.expects("R", seq=2)
    assert lingering.state == State.CLOSED


@pytest.mark.knobs(tcp_orphan_retries=1)
def test_its_fin_is_resent_like_that_of_an_application(lingering):
    lingering.expects("FA", seq=1, at=0.3)
    lingering.expects("FA", seq=1, at=0.9)
    lingering.expects("FA", seq=1, at=2.1)
    lingering.wait(4.4)
    assert lingering.state == State.FIN_WAIT_1
    lingering.wait(4.6)
    assert lingering.state == State.CLOSED


@pytest.mark.knobs(tcp_orphan_retries=1)
def test_last_ack_lingers_too(close_wait):
    close_wait.close(linger_s=1)
    close_wait.expects("FA")
    close_wait.settled()
    close_wait.expects("FA", seq=1, at=0.3)
    close_wait.expects("FA", seq=1, at=0.9)
    close_wait.wait(2)
    assert close_wait.state == State.LAST_ACK
    close_wait.wait(2.2)
    assert close_wait.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_the_segment_that_acknowledges_our_fin_is_still_a_connections(lingering):
    """An old FIN on it is answered, and keeps no full socket as it would that of an orphan."""
    lingering.arrives("FA", seq=0, at=RTT)
    lingering.expects("A", ack=1)
    assert lingering.state == State.FIN_WAIT_2
    lingering.expects(SILENCE, at=5.2)
    assert lingering.state == State.CLOSED


def test_the_peers_fin_may_come_with_it(lingering):
    lingering.arrives("FA", at=RTT)
    lingering.expects("A")
    assert lingering.state == State.TIME_WAIT and orphans(lingering) == 0


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_after_shutdown_there_is_nothing_to_wait_for(fin_wait_2):
    fin_wait_2.close(linger_s=100)
    assert orphans(fin_wait_2) == 1
    fin_wait_2.wait(5.1)
    assert fin_wait_2.state == State.CLOSED


@pytest.mark.knobs(tcp_max_orphans=0)
def test_too_many_orphans_are_counted_when_it_becomes_one(lingering):
    for at in (0.3, 0.9, 2.1):
        lingering.expects("FA", seq=1, at=at)
    lingering.expects("RA", at=3)
    assert lingering.state == State.CLOSED
    assert lingering.host.stack.causes["TooManyOrphans"] == 1


@pytest.mark.knobs(tcp_fin_timeout=1)
def test_fin_wait_2_lasts_by_the_interval_of_the_last_resend(established):
    """Linux: icsk_rto, 3.5 times; there was no round trip since to take the doublings back."""
    established.close()
    established.expects("FA")
    established.settled()
    established.expects("FA", seq=1, at=0.3)
    established.expects("FA", seq=1, at=0.9)
    established.arrives("A", at=1)
    established.wait(5.1)
    assert established.state == State.FIN_WAIT_2
    established.wait(5.3)
    assert established.state == State.CLOSED


@pytest.mark.knobs(linger_s=0)
def test_the_knob_is_for_every_close(established):
    established.close()
    established.expects("RA")


@pytest.mark.knobs(linger_s=0)
def test_the_call_says_otherwise(established):
    established.close(linger_s=-1)
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1 and orphans(established) == 1
