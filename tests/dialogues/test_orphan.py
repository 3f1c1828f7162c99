"""`close`: the application has gone, and the connection ends without it (RFC 1122 4.2.2.13, tcp(7))."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE
from tests.requirements.verdicts import requirement


@pytest.fixture
def orphan(established):
    """FIN-WAIT-1 after `close`, the FIN just sent."""
    established.close()
    established.expects("FA")
    assert established.state == State.FIN_WAIT_1
    return established.settled()


def test_the_close_completes(orphan):
    orphan.arrives("A", at=RTT)
    orphan.arrives("FA", at=2 * RTT)
    orphan.expects("A")
    assert orphan.state == State.TIME_WAIT


def test_data_with_the_peers_fin_is_reset_in_fin_wait_2_too(orphan):
    orphan.arrives("A", at=RTT)
    orphan.arrives("FA", length=10)
    orphan.expects("R", seq=2)
    assert orphan.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_fin_wait_2_is_bounded(orphan):
    orphan.arrives("A", at=RTT)
    orphan.wait(5)
    assert orphan.state == State.FIN_WAIT_2
    orphan.wait(5.2)
    assert orphan.state == State.CLOSED
    orphan.arrives("FA")
    orphan.expects("R", seq=2)


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_acknowledgements_do_not_extend_it(orphan):
    orphan.arrives("A", at=RTT)
    orphan.arrives("A", at=4)
    orphan.expects(SILENCE, at=5.2)
    assert orphan.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_a_fin_in_time_enters_a_full_time_wait(orphan):
    orphan.arrives("A", at=RTT)
    orphan.arrives("FA", at=4)
    orphan.expects("A")
    orphan.wait(63.9)
    assert orphan.state == State.TIME_WAIT
    orphan.wait(64.1)
    assert orphan.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_close_after_shutdown_starts_the_bound(fin_wait_2):
    fin_wait_2.wait(100)
    fin_wait_2.close()
    fin_wait_2.wait(104.9)
    assert fin_wait_2.state == State.FIN_WAIT_2
    fin_wait_2.wait(105.1)
    assert fin_wait_2.state == State.CLOSED


@pytest.mark.knobs(tcp_orphan_retries=2)
def test_the_fin_of_an_orphan_is_given_up_early(orphan):
    orphan.expects("FA", seq=1, at=0.3)
    orphan.expects("FA", seq=1, at=0.9)
    orphan.wait(10)
    assert orphan.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=5)
def test_a_fin_that_is_no_news_keeps_the_connection_whole(orphan):
    """Linux, which saw a FIN, waits as a connection and not as a TIME-WAIT: what acknowledges nothing is not
    answered, and the end is told."""
    orphan.arrives("FA", seq=0, at=RTT)
    orphan.expects("A", ack=1)
    assert orphan.state == State.FIN_WAIT_2
    orphan.arrives("", seq=-9)
    orphan.expects(SILENCE)
    orphan.expects("RA", ack=1, at=RTT + 5)
    assert orphan.state == State.CLOSED


@pytest.mark.knobs(tcp_fin_timeout=62)
def test_what_is_above_a_minute_is_waited_as_a_connection_first(orphan):
    """For two seconds here, and then two (3.5 RTO at least) as a TIME-WAIT, which answers a RST."""
    orphan.arrives("A", at=RTT)
    orphan.arrives("R", seq=0, at=1)
    orphan.expects(SILENCE)
    orphan.arrives("R", seq=0, at=3)
    orphan.expects("A")
    orphan.wait(4)
    assert orphan.state == State.FIN_WAIT_2
    orphan.wait(4.2)
    assert orphan.state == State.CLOSED


def test_old_text_on_the_acknowledgement_of_the_fin_is_not_answered(orphan):
    orphan.arrives("A", seq=0, length=1, at=RTT)
    orphan.expects(SILENCE)
    assert orphan.state == State.FIN_WAIT_2


def test_a_reset_beside_the_window_is_answered_in_fin_wait_2(orphan):
    """There it is judged like a TIME-WAIT's segments, whose flags are looked at last."""
    orphan.arrives("A", at=RTT)
    orphan.arrives("R", seq=0)
    orphan.expects("A")
    assert orphan.state == State.FIN_WAIT_2


def test_close_in_close_wait(close_wait):
    close_wait.close()
    close_wait.expects("FA")
    close_wait.arrives("A", at=RTT)
    assert close_wait.state == State.CLOSED


def test_close_after_the_connection_died_is_silent(established):
    established.arrives("R")
    established.close()
    established.expects(SILENCE)


# -- what RFC 9293 asks


@requirement("MAY-1", "SHLD-3")
@pytest.mark.knobs(auto_read=False)
def test_a_close_that_loses_unread_text_resets(established, config):
    established.arrives("A", length=10)
    established.expects("A", within=0.5)
    established.close()
    established.expects(ours(config))
    assert established.state == State.CLOSED


@requirement("SHLD-3")
def test_text_that_comes_after_the_application_has_gone_is_reset(established):
    established.close()
    established.expects("FA")
    established.arrives("A", length=10)
    established.expects("R", seq=2)
    assert established.state == State.CLOSED


def ours(config):
    """The flags of a RST of our own accord."""
    return "RA" if config.abort_rst_has_ack else "R"
