"""ECN in the handshake (RFC 3168 6.1.1): who asks for it, who grants it, and how long."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE
from tests.requirements.verdicts import requirement

ASKING = "SEC"


@requirement("SHLD-8", "RFC3168 6.1.1 grants")
def test_a_syn_with_both_flags_is_granted_ecn(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SAE")


@requirement("RFC3168 6.1.1 plain")
@pytest.mark.parametrize("flags", ["S", "SE", "SC"])
def test_a_syn_without_both_is_not(listening, flags):
    listening.arrives(flags, mss=1460)
    listening.expects("SA")


@pytest.mark.knobs(tcp_ecn=0)
def test_a_host_without_ecn_grants_none(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SA")


@requirement("RFC3168 6.1.1 asks")
@pytest.mark.knobs(tcp_ecn=1)
def test_a_host_that_asks_sets_both(closed):
    assert closed.connect()
    closed.expects("SEC")


@pytest.mark.parametrize("tcp_ecn", [0, 2])
def test_by_default_it_does_not(host, closed, tcp_ecn):
    host.stack.set_knobs(tcp_ecn=tcp_ecn)
    assert closed.connect()
    closed.expects("S")


@pytest.mark.knobs(tcp_ecn=1)
@pytest.mark.parametrize("flags", ["SA", "SAE", "SAEC", "SAC"])
def test_whatever_the_peer_answers_opens(closed, flags):
    assert closed.connect()
    closed.expects("SEC")
    closed.arrives(flags, mss=1460)
    closed.expects("A")
    assert closed.state == State.ESTABLISHED


@pytest.mark.knobs(tcp_ecn=1)
def test_a_syn_that_is_resent_asks_for_none(closed):
    closed.connect()
    closed.expects("SEC")
    closed.expects("S", at=1)
    closed.expects("S", at=2)


@pytest.mark.knobs(tcp_ecn=1, tcp_ecn_fallback=0)
def test_unless_it_is_not_to_fall_back(closed):
    closed.connect()
    closed.expects("SEC")
    closed.expects("SEC", at=1)


@pytest.mark.profile("freebsd")
@pytest.mark.knobs(tcp_ecn=1)
def test_freebsd_asks_once_more(closed):
    closed.connect()
    closed.expects("SEC")
    closed.expects("SEC", at=1)
    closed.expects("S", at=3.2)


@pytest.mark.knobs(tcp_ecn=1)
def test_the_early_resend_is_one(closed):
    closed.connect()
    closed.expects("SEC")
    closed.arrives("A", ack=5)
    closed.expects("R", seq=5)
    closed.expects("S", at=0.008)


def test_a_syn_ack_that_is_resent_still_grants_it(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SAE")
    listening.expects("SAE", at=1)
    listening.expects("SAE", at=3)


def test_so_does_one_for_a_plain_syn(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SAE")
    listening.arrives("S", seq=0, mss=1460)
    listening.expects("SAE")


def test_and_a_second_syn_gets_no_more_than_the_first(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    listening.arrives(ASKING, seq=0, mss=1460)
    listening.expects("SA")


@pytest.mark.profile("freebsd")
def test_freebsd_gives_up_on_it_after_a_resend(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SAE")
    listening.expects("SAE", at=1)
    listening.expects("SA", at=3.2)
    listening.arrives(ASKING, seq=0, mss=1460)
    listening.expects("SA")


@pytest.mark.profile("freebsd")
def test_freebsd_takes_a_plain_syn_for_a_second_thought(listening):
    listening.arrives(ASKING, mss=1460)
    listening.expects("SAE")
    listening.arrives("S", seq=0, mss=1460)
    listening.expects("SA")


@pytest.mark.knobs(tcp_ecn=1)
@pytest.mark.parametrize("flags, answer", [("S", "SA"), ("SE", "SA"), ("SEC", "SAE")])
def test_crossing_syns_that_both_ask(closed, flags, answer):
    closed.connect()
    closed.expects("SEC")
    closed.arrives(flags, mss=1460, at=RTT)
    closed.expects(answer)
    closed.expects(answer, at=1)


def test_a_crossing_syn_that_we_did_not_ask_is_not_granted_it(syn_sent):
    syn_sent.arrives(ASKING, mss=1460, at=RTT)
    syn_sent.expects("SA")


@pytest.mark.profile("freebsd")
def test_on_freebsd_it_is_once(syn_sent):
    syn_sent.arrives(ASKING, mss=1460, at=RTT)
    syn_sent.expects("SAE")
    syn_sent.expects("SA", at=1 + RTT)


@requirement("RFC3168 6.1.1 ignored")
@pytest.mark.parametrize("flags", ["AE", "AC", "AEC"])
def test_on_a_connection_the_flags_change_nothing(established, flags):
    established.arrives("P" + flags, length=100)
    established.expects("A", within=0.05)
    established.arrives(flags)
    established.expects(SILENCE)
    established.arrives("F" + flags)
    established.expects("A", within=0.05)
    assert established.state == State.CLOSE_WAIT


def test_a_reset_has_none(closed):
    closed.arrives(ASKING)
    closed.expects("RA", seq=0)


@pytest.mark.parametrize("tcp_ecn, answer", [(2, "SAE"), (0, "SA")])
def test_the_knob_may_change(listening, tcp_ecn, answer):
    listening.host.stack.set_knobs(tcp_ecn=0)
    listening.host.stack.set_knobs(tcp_ecn=tcp_ecn)
    listening.arrives(ASKING, mss=1460)
    listening.expects(answer)
