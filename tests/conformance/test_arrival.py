"""SEGMENT ARRIVES in CLOSED, LISTEN and SYN-SENT: RFC 9293 3.10.7.1 to 3.10.7.3, and the resets of 3.5.2."""

import pytest

from tcpcore import State
from tests.conformance.verdicts import deviates
from tests.dialogue import RTT, SILENCE

requirement = pytest.mark.requirement


# -- CLOSED


@requirement("RFC9293 3.10.7.1", "RFC9293 3.5.2 group 1")
@pytest.mark.parametrize("flags, length, taken", [("S", 0, 1), ("F", 0, 1), ("", 20, 20), ("SF", 5, 7)])
def test_closed_resets_what_acknowledges_nothing(closed, flags, length, taken):
    """<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"""
    closed.arrives(flags, length=length)
    closed.expects("RA", seq=0, ack=taken)


@requirement("RFC9293 3.10.7.1", "RFC9293 3.5.2 group 1")
@pytest.mark.parametrize("flags", ["A", "SA", "FA"])
def test_closed_resets_an_acknowledgement_with_its_own_number(closed, flags):
    """<SEQ=SEG.ACK><CTL=RST>"""
    closed.arrives(flags, ack=77)
    closed.expects("R", seq=77)


@requirement("RFC9293 3.10.7.1")
@pytest.mark.parametrize("flags", ["R", "RA", "SR"])
def test_closed_never_answers_a_reset(closed, flags):
    closed.arrives(flags, ack=77)
    closed.expects(SILENCE)


# -- LISTEN


@requirement("RFC9293 3.10.7.2 first", "RFC9293 3.5.3")
@pytest.mark.parametrize("flags", ["R", "RA", "SR"])
def test_listen_ignores_a_reset(listening, flags):
    listening.arrives(flags, ack=77)
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


@requirement("RFC9293 3.10.7.2 second", "RFC9293 3.5.2 group 2")
@pytest.mark.parametrize("flags", ["A", "FA"])
def test_listen_resets_an_acknowledgement(listening, flags):
    listening.arrives(flags, ack=77)
    listening.expects("R", seq=77)


@requirement("RFC9293 3.10.7.2 second", "RFC9293 3.5.2 group 2",
             freebsd=deviates("SYN+ACK is dropped in silence", listen_answers_synack=1))
def test_listen_resets_a_syn_with_an_acknowledgement(listening):
    listening.arrives("SA", ack=77)
    listening.expects("R", seq=77)
    assert listening.state == State.CLOSED


@requirement("RFC9293 3.10.7.2 third")
def test_listen_opens_by_a_syn(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", seq=0, ack=1)
    assert listening.state == State.SYN_RECEIVED


@requirement("RFC9293 3.10.7.2 third", linux=deviates("SYN+FIN is taken for a scan", listen_drops_synfin=0))
def test_listen_opens_by_a_syn_whatever_comes_with_it(listening):
    listening.arrives("SF", mss=1460)
    listening.expects("SA", ack=1)


@requirement("RFC9293 3.10.7.2 fourth")
@pytest.mark.parametrize("flags, length", [("", 0), ("", 20), ("F", 0), ("FP", 20)])
def test_listen_drops_anything_else(listening, flags, length):
    listening.arrives(flags, length=length)
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


# -- SYN-SENT


@requirement("RFC9293 3.10.7.3 first", "RFC9293 3.5.2 group 2")
@pytest.mark.parametrize("flags", ["A", "SA"])
@pytest.mark.parametrize("ack", [-1, 0, 2, 100_000])
def test_syn_sent_resets_a_wrong_acknowledgement(syn_sent, flags, ack):
    """Good is SND.UNA < SEG.ACK =< SND.NXT."""
    syn_sent.arrives(flags, seq=0, ack=ack)
    syn_sent.expects("R", seq=ack)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.host.heard.clear()
    syn_sent.abort()


@requirement("RFC9293 3.10.7.3 first",
             linux=deviates("the SYN goes out again at once", early_syn_resend_ms=0))
def test_syn_sent_waits_on_after_a_wrong_acknowledgement(syn_sent):
    syn_sent.arrives("SA", seq=0, ack=5)
    syn_sent.expects("R", seq=5)
    syn_sent.expects(SILENCE, at=0.9)


@requirement("RFC9293 3.10.7.3 second", "RFC9293 3.5.3")
def test_syn_sent_is_refused_by_a_reset_that_acknowledges_the_syn(syn_sent):
    syn_sent.arrives("RA")
    syn_sent.expects(SILENCE)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ECONNREFUSED")


@requirement("RFC9293 3.10.7.3 second", "RFC9293 3.5.3")
@pytest.mark.parametrize("flags, ack", [("R", 0), ("RA", 0), ("RA", 5)])
def test_syn_sent_drops_any_other_reset(syn_sent, flags, ack):
    syn_sent.arrives(flags, ack=ack)
    assert syn_sent.state == State.SYN_SENT
    assert not syn_sent.host.heard


@requirement("RFC9293 3.10.7.3 fourth")
def test_syn_sent_opens_by_an_acknowledged_syn(syn_sent):
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", seq=1, ack=1)
    assert syn_sent.state == State.ESTABLISHED


@requirement("RFC9293 3.10.7.3 fourth")
def test_syn_sent_sends_queued_text_with_that_acknowledgement(syn_sent):
    syn_sent.send(10)
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", length=10)
    syn_sent.arrives("A")


@requirement("RFC9293 3.10.7.3 fourth")
def test_syn_sent_answers_a_bare_syn_by_syn_ack(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA", seq=0, ack=1)
    assert syn_sent.state == State.SYN_RECEIVED


@requirement("RFC9293 3.10.7.3 fifth")
@pytest.mark.parametrize("flags, length", [("A", 0), ("A", 10), ("", 10), ("F", 0)])
def test_syn_sent_drops_what_is_neither_syn_nor_reset(syn_sent, flags, length):
    syn_sent.arrives(flags, length=length)
    syn_sent.expects(SILENCE)
    assert syn_sent.state == State.SYN_SENT
