"""LISTEN and SYN-RECEIVED: how a passive open completes, is repeated, is given up (RFC 9293 3.5, 3.8.1)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import EDGE, RTT, SECOND, SILENCE, SPACE, WINDOW
from tests.requirements.verdicts import deviates, requirement

AGAIN = "any SYN is taken for the first one again"
RESET = "a RST tells the peer that its attempt is over"


@pytest.mark.knobs(tcp_synack_retries=2)
def test_syn_ack_is_resent_and_given_up_in_silence(syn_received):
    syn_received.expects("SA", at=1)
    syn_received.expects("SA", at=3)
    syn_received.wait(6.99)
    assert syn_received.state == State.SYN_RECEIVED
    syn_received.wait(7.01)
    assert syn_received.state == State.CLOSED
    syn_received.arrives("A")
    syn_received.expects("R", seq=1)


def test_repeated_syn_is_answered_at_once_and_restarts_the_timer(syn_received):
    syn_received.arrives("S", seq=0, mss=1460, at=0.6)
    syn_received.expects("SA")
    syn_received.expects("SA", at=1.6)
    syn_received.expects("SA", at=3.6)


def test_data_on_the_syn_is_not_accepted(listening):
    listening.arrives("S", seq=0, length=100, mss=1460)
    listening.expects("SA", ack=1)
    listening.arrives("A", seq=1)
    assert listening.state == State.ESTABLISHED
    listening.arrives("A", seq=1, length=100)
    listening.expects("A", ack=101)


def test_third_segment_may_carry_data(syn_received):
    syn_received.arrives("A", length=100, at=RTT)
    syn_received.expects("A")
    assert syn_received.state == State.ESTABLISHED


def test_third_segment_may_carry_the_fin(syn_received):
    syn_received.arrives("FA", length=100, at=RTT)
    syn_received.expects("A")
    assert syn_received.state == State.CLOSE_WAIT


def test_lost_third_segment_is_made_good_by_data(syn_received):
    syn_received.arrives("A", length=100, at=0.5)
    syn_received.expects("A")
    assert syn_received.state == State.ESTABLISHED
    syn_received.wait(5)


def test_any_ack_in_the_receive_window_completes(syn_received):
    syn_received.arrives("A", seq=500)
    assert syn_received.state == State.ESTABLISHED


@pytest.mark.parametrize(("seq", "opens"), [(65_535, True), (65_537, False)])
@pytest.mark.knobs(rcv_buf=200_000, tcp_window_scaling=1)
def test_the_receive_window_is_what_the_syn_ack_could_tell(listening, seq, opens):
    """65535 numbers from RCV.NXT on, whatever the buffer."""
    listening.arrives("S", mss=1460, wscale=7)
    listening.expects("SA")
    listening.settled().arrives("A", seq=seq)
    assert (listening.state == State.ESTABLISHED) == opens
    listening.expects(SILENCE if opens else "A")


@pytest.mark.parametrize("flags", ["", "F", "P"])
def test_segment_without_ack_is_dropped(syn_received, flags):
    syn_received.arrives(flags, seq=1, length=0 if flags == "F" else 20)
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.parametrize("ack", [0, 2, 5000])
def test_the_acknowledgement_of_a_reset_is_not_looked_at(syn_received, ack):
    syn_received.arrives("RA", ack=ack)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED


def test_a_fin_on_the_repeated_syn_makes_no_difference(syn_received):
    syn_received.arrives("SF", seq=0, mss=1460)
    syn_received.expects("SA")


def test_the_old_syn_on_it_makes_it_no_third_segment(syn_received):
    syn_received.arrives("SFA", seq=0)
    syn_received.expects("A")
    assert syn_received.state == State.SYN_RECEIVED


def test_old_reset_is_ignored(syn_received):
    syn_received.arrives("R", seq=-999)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.SYN_RECEIVED


def test_syn_with_another_number_in_the_window_ends_the_attempt(syn_received):
    """Linux resets; RFC 9293 3.10.7.4 (4th) returns to LISTEN."""
    other = syn_received.another(irs=(EDGE + 500) % SPACE)
    other.arrives("S", mss=1460)
    other.expects("RA", seq=0)
    assert other.state == State.CLOSED


def test_syn_with_another_number_outside_the_window_is_answered_by_an_ack(syn_received):
    syn_received.arrives("S", seq=-500, mss=1460)
    syn_received.expects("A")
    assert syn_received.state == State.SYN_RECEIVED


def test_late_copy_of_the_syn_after_the_handshake_is_challenged(established):
    established.arrives("S", seq=0, mss=1460)
    established.expects("A")
    assert established.state == State.ESTABLISHED


# -- what RFC 9293 asks


@requirement("3.5 figure 6", "3.10.1 passive", "3.10.7.2 third", "3.10.7.4 fifth SYN-RECEIVED")
@pytest.mark.knobs(tcp_syncookies=0)
def test_three_segments_open_passively(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", seq=0, ack=1, mss=1460, wnd=WINDOW)
    assert (listening.iss, listening.state) == (EDGE, State.SYN_RECEIVED)
    assert not listening.accept()
    listening.arrives("A", at=RTT)
    assert listening.state == State.ESTABLISHED
    assert listening.accept()


@requirement("3.5 figure 8")
def test_an_old_syn_is_undone_by_the_peers_reset(listening):
    """The peer did not send this SYN lately: it resets the answer, and its own SYN opens."""
    old = listening.another(irs=90)
    old.arrives("S", mss=1460)
    old.expects("SA")
    old.arrives("R")
    assert old.state == State.CLOSED
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.state == State.ESTABLISHED


@requirement("MUST-11", "3.10.7.4 second SYN-RECEIVED")
def test_a_passive_syn_received_falls_back_to_listen(syn_received):
    syn_received.arrives("R", seq=1)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED
    assert not syn_received.accept()
    other = syn_received.another(port=2)
    other.arrives("S", mss=1460)
    other.expects("SA")


@requirement("3.10.7.2 third")
def test_text_with_the_syn_is_queued_or_left_to_be_sent_again(listening):
    listening.arrives("S", seq=0, length=100, mss=1460)
    listening.expects("SA", ack=1)
    listening.arrives("A", seq=1)
    assert listening.state == State.ESTABLISHED
    listening.arrives("A", seq=1, length=100)
    listening.host.run(listening.host.now + SECOND)
    assert {int(row["ack"]) for _, row in listening.host.heard} == {(listening.irs + 101) % SPACE}
    listening.host.heard.clear()


@requirement("3.10.7.4 second (3)", "RFC5961 3.2 (3)")
def test_any_other_reset_of_a_half_open_entry_is_challenged(syn_received):
    syn_received.arrives("R", seq=2)
    syn_received.expects("A", ack=1)
    assert syn_received.state == State.SYN_RECEIVED


@requirement("3.10.7.4 fourth SYN-RECEIVED",
             freebsd=deviates(AGAIN, half_open_rules="rfc", acceptance="rfc"))
def test_a_new_syn_in_the_window_ends_a_passive_syn_received(syn_received):
    syn_received.arrives("S", seq=500, mss=1460)
    syn_received.host.heard.clear()
    assert syn_received.state == State.CLOSED


@requirement("3.10.7.4 fourth SYN-RECEIVED", linux=deviates(RESET, half_open_rules="rfc"),
             freebsd=deviates(AGAIN, half_open_rules="rfc", acceptance="rfc"))
def test_a_new_syn_in_the_window_of_a_passive_syn_received_is_not_answered(syn_received):
    syn_received.arrives("S", seq=500, mss=1460)
    syn_received.expects(SILENCE)


@requirement("3.10.7.4 fifth SYN-RECEIVED",
             freebsd=deviates("the entry goes, too", bad_ack_ends_half_open=0))
@pytest.mark.parametrize("ack", [-1000, -1, 0, 2, 100_000])
def test_a_wrong_acknowledgement_is_reset_and_syn_received_stays(syn_received, ack):
    syn_received.arrives("A", seq=1, ack=ack)
    syn_received.expects("R", seq=ack)
    assert syn_received.state == State.SYN_RECEIVED
    syn_received.arrives("A", seq=1)
    assert syn_received.state == State.ESTABLISHED


@requirement("3.10.7.4 first SYN-RECEIVED",
             linux=deviates("the acknowledgement is looked at before the window", wrong_ack_first=0),
             freebsd=deviates("the acknowledgement is looked at before the window", half_open_rules="rfc",
                              acceptance="rfc", ack_repeats_control=0))
def test_the_window_is_looked_at_before_the_acknowledgement(syn_received):
    syn_received.arrives("A", seq=-500, ack=5)
    syn_received.expects("A", ack=1)
