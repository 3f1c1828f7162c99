"""FreeBSD's LISTEN and SYN-SENT, simultaneous open, and the times of an attempt."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import EDGE, RTT, SILENCE

pytestmark = pytest.mark.profile("freebsd")


# -- LISTEN

@pytest.mark.parametrize("flags", ["SA", "SFA"])
def test_listen_is_silent_to_syn_ack(listening, flags):
    listening.iss = 0
    listening.arrives(flags, ack=77)
    listening.expects(SILENCE)


# -- SYN-SENT

@pytest.mark.parametrize("flags", ["A", "SA", "FA", "SFA"])
@pytest.mark.parametrize("ack", [0, 2, -1000, 1000])
def test_a_wrong_ack_is_reset_and_the_attempt_goes_on(syn_sent, flags, ack):
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects("R", seq=ack)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.expects("S", at=1, ack=None)


def test_text_on_the_synack_is_taken(syn_sent):
    syn_sent.arrives("SA", mss=1460, length=100, at=RTT)
    syn_sent.expects("A", ack=101)
    syn_sent.expects(SILENCE, at=1)
    assert syn_sent.state == State.ESTABLISHED


def test_a_fin_on_the_synack_is_taken(syn_sent):
    syn_sent.arrives("SFA", mss=1460, at=RTT)
    syn_sent.expects("A", ack=2)
    assert syn_sent.state == State.CLOSE_WAIT


def test_the_syn_goes_again_after_1_and_twice_that_with_slop_until_keepinit(syn_sent):
    iss = syn_sent.iss
    for at in (1, 3.2, 7.4, 15.6, 31.8, 64):
        syn_sent.expects("S", at=at)
    assert syn_sent.iss == iss
    syn_sent.wait(74.99)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.wait(75.01)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")


@pytest.mark.knobs(keepinit_ms=200_000)
def test_the_interval_is_at_most_64_s_slop_included(syn_sent):
    for at in (1, 3.2, 7.4, 15.6, 31.8, 64, 128, 192):
        syn_sent.expects("S", at=at)
    syn_sent.expects(SILENCE, at=199.9)


@pytest.mark.knobs(tcp_timestamps=2, tcp_sack=1, tcp_window_scaling=1)
def test_the_syn_offers_wscale_6_sack_and_a_1_ms_clock(closed):
    assert closed.connect()
    closed.expects("S", opts=15, mss=1460, wscale=6, wnd=65_535, tsval=EDGE, tsecr=0)
    closed.timestamps = True
    closed.wait(0.3)
    closed.arrives("SA", mss=1460, wscale=3, opts=15)
    closed.expects("A", wnd=-(-65_700 >> 6), tsval=(EDGE + 300) % (1 << 32))


# -- simultaneous open

@pytest.mark.parametrize("flags", ["S", "SF"])
def test_text_on_the_crossing_syn_waits_for_established(syn_sent, flags):
    """And for something else that tells its ACK."""
    syn_sent.arrives(flags, mss=1460, length=100)
    syn_sent.expects("SA", ack=1)
    syn_sent.arrives("A", seq=101, ack=1, at=RTT)
    syn_sent.expects(SILENCE, at=1)
    assert syn_sent.state == State.ESTABLISHED
    syn_sent.close()
    syn_sent.expects("FA", ack=101)


@pytest.mark.parametrize("length, flags", [(1, "A"), (0, "FA")])
def test_text_or_fin_behind_it_is_acknowledged_at_once(syn_sent, length, flags):
    syn_sent.arrives("S", mss=1460, length=100)
    syn_sent.expects("SA", ack=1)
    syn_sent.arrives(flags, seq=101, ack=1, length=length, at=RTT)
    syn_sent.expects("A", ack=102)


def test_its_fin_is_forgotten(syn_sent):
    syn_sent.arrives("SF", mss=1460)
    syn_sent.expects("SA", ack=1)
    syn_sent.arrives("A", seq=1, ack=1)
    syn_sent.expects(SILENCE)
    assert syn_sent.state == State.ESTABLISHED


def test_the_synack_starts_the_resend_timer_afresh(syn_sent):
    syn_sent.arrives("S", mss=1460, at=0.5)
    syn_sent.expects("SA")
    syn_sent.expects("SA", at=1.5)
    syn_sent.expects("SA", at=3.7)


def test_keepinit_bounds_it_from_the_first_syn_on(syn_sent):
    syn_sent.arrives("S", mss=1460, at=0.5)
    for at in (0.5, 1.5, 3.7, 7.9, 16.1, 32.3, 64.5):
        syn_sent.expects("SA", at=at)
    syn_sent.wait(74.99)
    assert syn_sent.state == State.SYN_RECEIVED
    syn_sent.wait(75.01)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")


def test_the_crossing_synack_establishes_and_is_acknowledged(crossed):
    crossed.arrives("SA", seq=0, ack=1)
    crossed.expects("A")
    assert crossed.state == State.ESTABLISHED


def test_the_crossing_syn_again_gets_the_synack_again(crossed):
    crossed.arrives("S", seq=0)
    crossed.expects("SA", ack=1)
    assert crossed.state == State.SYN_RECEIVED


@pytest.mark.parametrize("ack", [0, 2, -1000])
@pytest.mark.parametrize("flags", ["A", "SA", "FA"])
def test_a_wrong_ack_is_reset_before_anything_else(crossed, flags, ack):
    crossed.arrives(flags, seq=90_000, ack=ack)
    crossed.expects("R", seq=ack)
    assert crossed.state == State.SYN_RECEIVED


def test_what_lies_before_the_peers_syn_is_reset(crossed):
    crossed.arrives("A", seq=-1, ack=1)
    crossed.expects("R", seq=1)
    assert crossed.state == State.SYN_RECEIVED


@pytest.mark.parametrize("ahead, kills", [(-1, None), (0, True), (1, False), (65_699, False), (65_700, None)])
def test_a_reset_there_is_judged_like_anywhere_and_refuses(crossed, ahead, kills):
    crossed.arrives("R", seq=1 + ahead)
    crossed.expects("A" if kills is False else SILENCE)
    assert (crossed.state, crossed.error) == (
        (State.CLOSED, "ECONNREFUSED") if kills else (State.SYN_RECEIVED, None))


@pytest.mark.knobs(insecure_rst=1)
def test_with_insecure_rst_it_refuses_from_anywhere_in_the_window(crossed):
    crossed.arrives("R", seq=65_700)
    crossed.expects(SILENCE)
    assert (crossed.state, crossed.error) == (State.CLOSED, "ECONNREFUSED")


@pytest.mark.parametrize("linger", [None, 0, 5])
def test_close_there_forgets_the_connection(crossed, linger):
    crossed.close(**({} if linger is None else {"linger_s": linger}))
    crossed.expects(SILENCE, at=5)
    assert crossed.state == State.CLOSED
    crossed.arrives("A", seq=1, ack=1)
    crossed.expects("R", seq=1)


def test_shutdown_there_sends_its_fin_with_another_syn_ack(crossed):
    """tcp_usrclosed sets TF_NEEDFIN, with which tcp_output adds FIN to what SYN-RECEIVED sends."""
    crossed.shutdown()
    crossed.expects("SFA", seq=0)
    assert crossed.state == State.SYN_RECEIVED
    crossed.shutdown()
    crossed.expects(SILENCE)
    crossed.expects("SFA", seq=0, at=1)
    crossed.arrives("A", ack=2)
    crossed.expects(SILENCE)
    assert crossed.state == State.FIN_WAIT_2
    crossed.arrives("FA")
    crossed.expects("A")
    assert crossed.state == State.TIME_WAIT


def test_that_fin_goes_alone_once_the_syn_is_acknowledged(crossed):
    crossed.shutdown()
    crossed.expects("SFA", seq=0)
    crossed.arrives("A", ack=1, at=RTT)
    crossed.expects(SILENCE)
    assert crossed.state == State.FIN_WAIT_1
    crossed.expects("FA", seq=1, within=1)
    crossed.arrives("A", ack=2)
    assert crossed.state == State.FIN_WAIT_2


@pytest.mark.parametrize("ack, state", [(1, State.CLOSING), (2, State.TIME_WAIT)])
def test_a_fin_crosses_that_fin(crossed, ack, state):
    crossed.shutdown()
    crossed.expects("SFA", seq=0)
    crossed.arrives("FA", ack=ack, at=RTT)
    crossed.expects("FA" if ack == 1 else "A", **({"seq": 1} if ack == 1 else {}))
    assert crossed.state == state
    if ack == 1:
        crossed.arrives("A", ack=2)
        assert crossed.state == State.TIME_WAIT


def test_the_ack_of_more_than_that_fin_is_reset(crossed):
    crossed.shutdown()
    crossed.expects("SFA", seq=0)
    crossed.arrives("A", ack=3)
    crossed.expects("R", seq=3)
    crossed.arrives("A", ack=2)
    assert crossed.state == State.FIN_WAIT_2


def test_with_text_queued_shutdown_there_is_as_in_established(crossed):
    """DEVIATES: FreeBSD's text goes with the SYN-ACK, too."""
    crossed.send(10)
    crossed.shutdown()
    crossed.expects("FA", seq=1, length=10)
    assert crossed.state == State.FIN_WAIT_1
    crossed.arrives("A", ack=12)


def test_a_syn_in_the_window_says_nothing(crossed):
    """SYN-RECEIVED is no synchronized state."""
    crossed.arrives("S", seq=1000)
    crossed.expects(SILENCE)
    assert crossed.state == State.SYN_RECEIVED
