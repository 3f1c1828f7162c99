"""SYN-SENT: how an active open is repeated, answered, refused and given up (RFC 9293 3.10.7.3, 3.8.1)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import EDGE, RTT, SILENCE, WINDOW
from tests.requirements.verdicts import deviates, requirement


@pytest.mark.knobs(tcp_syn_linear_timeouts=0, tcp_syn_retries=2)
def test_syn_is_resent_with_doubling_intervals_and_given_up(syn_sent):
    syn_sent.expects("S", at=1)
    syn_sent.expects("S", at=3)
    syn_sent.wait(6.99)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.wait(7.01)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("R", seq=1)


@pytest.mark.knobs(tcp_syn_retries=6)
def test_the_first_four_intervals_are_equal_on_linux(syn_sent):
    for at in (1, 2, 3, 4, 5, 7, 11):
        syn_sent.expects("S", at=at)


def test_data_and_fin_on_the_syn_ack_are_dropped(syn_sent):
    syn_sent.arrives("SFA", seq=0, length=10, mss=1460)
    syn_sent.expects("A", ack=1)
    assert syn_sent.state == State.ESTABLISHED


@pytest.mark.parametrize("ack", [0, 5])
@pytest.mark.parametrize("flags", ["A", "SA"])
def test_wrong_acknowledgement_is_reset_and_the_syn_repeated(syn_sent, flags, ack):
    """RFC 9293 3.10.7.3 (1st) has the reset; the early SYN is Linux's."""
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects("R", seq=ack)
    syn_sent.expects("S", within=0.02)
    assert syn_sent.state == State.SYN_SENT


@pytest.mark.parametrize("call", ["shutdown", "close", "abort"])
def test_the_application_may_give_up_in_silence(syn_sent, call):
    getattr(syn_sent, call)()
    syn_sent.wait(10)
    assert syn_sent.state == State.CLOSED
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("R", seq=1)


# -- what RFC 9293 asks


@requirement("3.5 figure 6", "3.10.1 active", "3.10.7.3 fourth")
def test_three_segments_open_actively(closed):
    assert closed.connect()
    closed.expects("S", mss=1460, wnd=WINDOW)
    assert (closed.iss, closed.state) == (EDGE, State.SYN_SENT)
    closed.arrives("SA", mss=1460, at=RTT)
    closed.expects("A", seq=1, ack=1)
    assert closed.state == State.ESTABLISHED


@requirement("3.10.7.3 first", "3.5.2 group 2")
@pytest.mark.parametrize("flags", ["A", "SA"])
@pytest.mark.parametrize("ack", [-1, 0, 2, 100_000])
def test_syn_sent_resets_a_wrong_acknowledgement(syn_sent, flags, ack):
    """Good is SND.UNA < SEG.ACK =< SND.NXT."""
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects("R", seq=ack)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.host.heard.clear()
    syn_sent.abort()


@requirement("3.10.7.3 first",
             linux=deviates("the SYN goes out again at once", early_syn_resend_ms=0))
@pytest.mark.parametrize("flags, ack, answer", [
    ("A", 0, "R"), ("A", 2, "R"), ("SA", 2, "R"), ("SA", 5, "R"), ("RA", 2, SILENCE),
])  # fmt: skip
def test_syn_sent_waits_on_after_a_wrong_acknowledgement(syn_sent, flags, ack, answer):
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects(answer, seq=ack)
    syn_sent.expects(SILENCE, at=0.9)
    assert syn_sent.state == State.SYN_SENT


@requirement("3.10.7.3 second", "3.5.3")
@pytest.mark.parametrize("seq", [0, 12_345])
def test_syn_sent_is_refused_by_a_reset_that_acknowledges_the_syn(syn_sent, seq):
    syn_sent.arrives("RA", seq=seq, ack=1)
    syn_sent.expects(SILENCE)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ECONNREFUSED")


@requirement("3.10.7.3 second", "3.5.3")
@pytest.mark.parametrize("flags, ack, silent", [("R", 0, 0.5), ("RA", 0, 0), ("RA", 2, 0), ("RA", 5, 0)])
def test_syn_sent_drops_any_other_reset(syn_sent, flags, ack, silent):
    syn_sent.arrives(flags, ack=ack)
    syn_sent.expects(SILENCE, at=silent)
    assert (syn_sent.state, syn_sent.error) == (State.SYN_SENT, None)


@requirement("3.10.7.3 fifth")
@pytest.mark.parametrize("flags, length", [("A", 0), ("A", 10), ("FA", 0), ("", 0), ("", 10), ("F", 0)])
def test_syn_sent_drops_what_is_neither_syn_nor_reset(syn_sent, flags, length):
    syn_sent.arrives(flags, length=length)
    syn_sent.expects(SILENCE, at=0.5)
    assert syn_sent.state == State.SYN_SENT
