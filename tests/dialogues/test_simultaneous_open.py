"""SYN crosses SYN (RFC 9293 3.5, figure 7; MUST-10)."""

import numpy as np
import pytest

from tcpcore import State
from tests.dialogues.dialogue import LOCAL, PEER, RTT, SILENCE, START
from tests.requirements.verdicts import deviates, requirement


@pytest.fixture
def crossed(syn_sent):
    """SYN-RECEIVED by an active open, the SYN-ACK just sent."""
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    assert syn_sent.state == State.SYN_RECEIVED
    return syn_sent.settled()


def test_an_acknowledgement_establishes(crossed):
    crossed.arrives("A")
    crossed.expects(SILENCE)
    assert (crossed.state, crossed.error) == (State.ESTABLISHED, None)


def test_a_fin_right_behind_is_taken(crossed):
    crossed.arrives("FA")
    crossed.expects("A")
    assert crossed.state == State.CLOSE_WAIT


def test_a_further_syn_is_answered_by_a_bare_ack(crossed):
    crossed.arrives("S", seq=0, mss=1460)
    crossed.expects("A")
    assert crossed.state == State.SYN_RECEIVED


def test_the_syn_ack_keeps_the_timer_of_the_syn(crossed):
    crossed.expects("SA", at=1 - RTT)


@pytest.mark.parametrize("seq", [0, 2])
def test_only_an_exact_reset_ends_it(crossed, seq):
    crossed.arrives("R", seq=seq)
    crossed.expects("A" if seq > 1 else SILENCE)
    assert crossed.state == State.SYN_RECEIVED
    crossed.arrives("R", seq=1)
    assert crossed.state == State.CLOSED
    assert crossed.error is not None


def test_the_peers_syn_ack_is_acknowledged(crossed):
    crossed.arrives("SA", seq=0)
    crossed.expects("A")
    assert crossed.state == State.ESTABLISHED


def test_shutdown_waits_for_the_acknowledgement_of_our_syn(crossed):
    crossed.shutdown()
    crossed.expects(SILENCE)
    assert crossed.state == State.SYN_RECEIVED
    crossed.arrives("A")
    crossed.expects("FA")
    assert crossed.state == State.FIN_WAIT_1
    crossed.arrives("A")


def test_close_sends_the_fin_and_the_syn_ack_goes_on(crossed):
    crossed.close()
    crossed.expects("FA")
    for at in (1 - RTT, 3 - RTT, 7 - RTT):
        crossed.expects("SA", at=at)
    crossed.arrives("A")
    assert crossed.state == State.FIN_WAIT_2


def test_linux_takes_an_acknowledgement_of_nothing_for_consent(crossed):
    crossed.arrives("A", ack=0)
    crossed.expects(SILENCE)
    assert crossed.state == State.ESTABLISHED
    crossed.expects("SA", at=1 - RTT)
    crossed.arrives("A", length=10)
    crossed.expects("A")
    crossed.wait(100)


@pytest.mark.knobs(ack_of_iss_opens=0)
def test_an_acknowledgement_of_nothing_is_reset(crossed):
    """RFC 9293 3.10.7.4 (5th)."""
    crossed.arrives("A", ack=0)
    crossed.expects("R", seq=0)
    assert crossed.state == State.SYN_RECEIVED


def test_a_closed_window_moves_the_number_of_an_ack_back(syn_sent):
    syn_sent.arrives("S", mss=1460, wnd=0, at=RTT)
    syn_sent.expects("SA")
    syn_sent.arrives("S", seq=0)
    syn_sent.expects("A", seq=0)


@pytest.mark.knobs(tcp_sack=1)
@pytest.mark.parametrize("sack, fins, syn_acks", [(1, (1 + RTT,), (2 + RTT, 4 + RTT)), (0, (), (1, 3))])
def test_close_probes_with_the_fin_before_the_syn_ack_goes_again(syn_sent, sack, fins, syn_acks):
    """With SACK (tcp_send_loss_probe); the RTO counts from the SYN-ACK."""
    syn_sent.arrives("S", mss=1460, opts=1 | 4 * sack, at=RTT)
    syn_sent.expects("SA")
    syn_sent.close()
    syn_sent.expects("FA", seq=1)
    for at in fins:
        syn_sent.expects("FA", seq=1, at=at)
    for at in syn_acks:
        syn_sent.expects("SA", at=at)


@pytest.mark.knobs(tcp_timestamps=1, tcp_sack=1)
def test_an_ack_of_the_iss_is_a_round_trip(closed):
    """Linux: tcp_synack_rtt_meas. The FIN is probed for after two of them."""
    assert closed.connect()
    closed.expects("S")
    closed.timestamps = True
    closed.arrives("S", mss=1460, opts=1 | 4 | 8, at=RTT)
    closed.expects("SA")
    closed.shutdown()
    closed.arrives("A", ack=0, at=1.5 * RTT)
    closed.expects("FA", seq=1)
    closed.expects("FA", seq=1, at=2.5 * RTT + 0.002)


@pytest.mark.knobs(tcp_timestamps=1)
def test_the_syn_ack_is_timed_and_not_its_echo(closed):
    """Linux: tcp_ack_update_rtt; the echo is that of the FIN."""
    assert closed.connect()
    closed.expects("S")
    closed.timestamps = True
    closed.arrives("S", mss=1460, opts=1 | 8, at=RTT)
    closed.expects("SA")
    closed.wait(2 * RTT)
    closed.close()
    closed.expects("FA", seq=1)
    closed.arrives("A", ack=1, at=3 * RTT)
    closed.expects("FA", seq=1, at=9 * RTT)


SCALING = {"tcp_window_scaling": 1, "rcv_wscale_min": 7, "auto_read": False, "tcp_invalid_ratelimit": 0}


@pytest.mark.knobs(**SCALING)
def test_our_shift_stays_when_the_peers_syn_has_none(syn_sent):
    """Linux: rcv_wscale goes back to 0 with a SYN-ACK alone (tcp_rcv_synsent_state_process)."""
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA", wnd=64240, wscale=7)
    syn_sent.arrives("A")
    syn_sent.arrives("A", seq=0)
    syn_sent.expects("A", wnd=502)
    syn_sent.send(100)
    syn_sent.expects("A", length=100)
    syn_sent.arrives("A", wnd=10)
    syn_sent.send(100)
    syn_sent.expects(SILENCE)                         # ten bytes are no 1280: the peer's are not scaled


@pytest.mark.knobs(**SCALING)
def test_the_syn_ack_tells_the_window_that_was_told_last(syn_sent):
    edge = 1 + 64240
    syn_sent.arrives("S", mss=1460, wscale=7, at=RTT)
    syn_sent.expects("SA", wnd=64240)
    syn_sent.arrives("R", seq=edge + 1)               # it was not rounded up
    syn_sent.expects(SILENCE)
    syn_sent.arrives("R", seq=edge)
    syn_sent.expects("A", wnd=502)
    syn_sent.expects("SA", wnd=64256, at=1)


@pytest.mark.knobs(tcp_syn_retries=3)
def test_the_linear_resends_are_the_syns_alone(syn_sent):
    """Linux doubles the interval of every SYN-ACK, whatever tcp_syn_linear_timeouts says."""
    for at in (1, 2):
        syn_sent.expects("S", at=at)
    syn_sent.arrives("S", at=2.5)
    syn_sent.expects("SA", at=2.5)
    syn_sent.expects("SA", at=3)
    syn_sent.wait(4.9)
    assert syn_sent.state == State.SYN_RECEIVED
    syn_sent.wait(5)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")


def test_the_syn_ack_goes_on_with_the_interval_it_has(syn_sent):
    """Also after close(), when it is resent like text."""
    for at in (1, 2):
        syn_sent.expects("S", at=at)
    syn_sent.arrives("S", at=2.5)
    syn_sent.expects("SA", at=2.5)
    syn_sent.expects("SA", at=3)
    syn_sent.close()
    syn_sent.expects("FA", at=3)
    for at in (5, 9, 17):
        syn_sent.expects("SA", at=at)
    syn_sent.arrives("A")
    assert syn_sent.state == State.FIN_WAIT_2


# -- what RFC 9293 asks


@requirement("MUST-10", "3.5 figure 7", "3.10.7.3 fourth")
def test_crossing_syns_open(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA", seq=0, ack=1)
    assert syn_sent.state == State.SYN_RECEIVED
    syn_sent.arrives("SA", seq=0, mss=1460)
    syn_sent.host.heard.clear()           # its SYN is an old one, and may be answered
    assert syn_sent.state == State.ESTABLISHED


@requirement("MUST-10")
def test_two_hosts_of_one_profile_open_to_each_other(stack, profile, config):
    """As the profile is, and on the bench, where the numbers wrap."""
    for one in (profile, config):
        here, there = stack(one), stack(one.replace(local_addr=PEER))
        ours, out = here.connect(PEER, 2, START, sport=1)
        theirs, back = there.connect(LOCAL, 1, START, sport=2)
        for _ in range(6):
            out, back = here.receive(back.copy(), START).copy(), there.receive(out.copy(), START).copy()
        assert len(out) == len(back) == 0
        states = np.concatenate([here.info(ours)["state"], there.info(theirs)["state"]])
        assert set(states) == {State.ESTABLISHED}


@requirement("MUST-11", "3.10.7.4 second SYN-RECEIVED",
             linux=deviates("the error is ECONNRESET", refused_in_syn_received=1))
def test_an_active_syn_received_is_refused(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.arrives("R", seq=1)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ECONNREFUSED")


@requirement("3.10.7.4 fourth SYN-RECEIVED",
             freebsd=deviates("it says nothing and is dropped", acceptance="rfc"))
def test_a_syn_is_challenged_in_an_active_syn_received(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.arrives("S", seq=500, mss=1460)
    syn_sent.expects("A", ack=1)
    assert syn_sent.state == State.SYN_RECEIVED


@requirement("3.10.4", linux=deviates("the FIN waits for ESTABLISHED", shutdown_waits=0),
             freebsd=deviates("the FIN goes with another SYN-ACK", shutdown_waits=0))
def test_close_in_an_active_syn_received(syn_sent):
    """If nothing was queued, a FIN; FIN-WAIT-1."""
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.shutdown()
    syn_sent.expects("FA")
    assert syn_sent.state == State.FIN_WAIT_1
    syn_sent.arrives("A")


def test_a_crossed_open_closed_late_still_has_the_time_of_an_orphan(syn_sent):
    """The linear resends took their time before the first doubling: the first resend is what counts."""
    for at in range(1, 5):
        syn_sent.expects("S", at=at)
    syn_sent.arrives("S", at=4.5)
    syn_sent.expects("SA", at=4.5)
    syn_sent.expects("SA", at=5)
    syn_sent.wait(5.5)
    syn_sent.close()
    syn_sent.expects("FA", seq=1)
    syn_sent.expects("SA", at=7)
