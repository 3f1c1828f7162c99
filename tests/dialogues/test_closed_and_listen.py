"""CLOSED and LISTEN: RFC 9293 3.10.7.1, 3.10.7.2, the resets of 3.5.2, flags that mean nothing there."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE, configuration
from tests.requirements.verdicts import deviates, requirement

RESETS = ["R", "RA", "SR", "FR", "SRA"]


# -- CLOSED


@requirement("3.10.7.1", "3.5.2 group 1")
@pytest.mark.parametrize("flags, length, taken", [
    ("S", 0, 1), ("F", 0, 1), ("", 0, 0), ("", 20, 20), ("P", 20, 20), ("FP", 20, 21), ("SF", 0, 2),
    ("SF", 5, 7), ("FPU", 0, 1),
])  # fmt: skip
def test_closed_resets_what_acknowledges_nothing(closed, flags, length, taken):
    """<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>"""
    closed.arrives(flags, length=length)
    closed.expects("RA", seq=0, ack=taken, wnd=0)


@requirement("3.10.7.1", "3.5.2 group 1")
@pytest.mark.parametrize("flags", ["A", "SA", "FA", "FPUA"])
def test_closed_resets_an_acknowledgement_with_its_own_number(closed, flags):
    """<SEQ=SEG.ACK><CTL=RST>"""
    closed.arrives(flags, ack=77)
    closed.expects("R", seq=77, wnd=0)


@requirement("3.10.7.1")
@pytest.mark.parametrize("flags", RESETS)
def test_closed_never_answers_a_reset(closed, flags):
    closed.arrives(flags, ack=77)
    closed.expects(SILENCE)
    assert closed.state == State.CLOSED


# -- LISTEN


@requirement("3.10.7.2 first", "3.5.3")
@pytest.mark.parametrize("flags", RESETS)
def test_listen_ignores_a_reset(listening, flags):
    listening.arrives(flags, ack=77)
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


@requirement("3.10.7.2 second", "3.5.2 group 2")
@pytest.mark.parametrize("flags", ["A", "FA"])
def test_listen_resets_an_acknowledgement(listening, flags):
    listening.arrives(flags, ack=77)
    listening.expects("R", seq=77)
    assert listening.state == State.CLOSED


@requirement("3.10.7.2 second", "3.5.2 group 2",
             freebsd=deviates("SYN+ACK is dropped in silence", listen_answers_synack=1))
def test_listen_resets_a_syn_with_an_acknowledgement(listening):
    listening.arrives("SA", ack=77)
    listening.expects("R", seq=77)
    assert listening.state == State.CLOSED


@requirement("3.10.7.2 third", linux=deviates("SYN+FIN is taken for a scan", listen_drops_synfin=0))
def test_listen_opens_by_a_syn_whatever_comes_with_it(listening):
    listening.arrives("SF", mss=1460)
    listening.expects("SA", ack=1)


@requirement("3.10.7.2 fourth")
@pytest.mark.parametrize("flags, length", [
    ("", 0), ("", 20), ("F", 0), ("P", 0), ("P", 20), ("FP", 20), ("FPU", 0),
])  # fmt: skip
def test_listen_drops_anything_else(listening, flags, length):
    listening.arrives(flags, length=length)
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


def test_listener_takes_syn_with_fin_for_a_scan_on_linux(listening):
    listening.arrives("SF")
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


@pytest.mark.parametrize("dropped", [1, 0])
@pytest.mark.parametrize("flags, length", [("", 0), ("F", 0), ("P", 20), ("FPU", 0)])
def test_what_acknowledges_nothing_is_not_even_told_that_it_is_old(request, host, flags, length, dropped):
    """Linux; by the letter it is unacceptable and answered."""
    if host.stack.config.flagless_dropped != dropped:
        host.stack = type(host.stack)(configuration(flagless_dropped=dropped))
    established = request.getfixturevalue("established")
    established.arrives(flags, seq=-30, length=length)
    established.expects(*([SILENCE] if dropped else ["A"]))
    established.arrives(flags, seq=1, length=length)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


@pytest.mark.parametrize("flags", ["SEU", "SPU"])
def test_listener_takes_a_syn_with_ornaments(listening, flags):
    listening.arrives(flags, mss=1460)
    listening.expects("SA")
    assert listening.state == State.SYN_RECEIVED


@requirement("3.10.7.4 eighth")
@pytest.mark.parametrize("place", ["closed", "listening", "syn_sent"])
def test_a_fin_before_the_handshake_changes_nothing(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.arrives("F", length=0)
    dialogue.host.heard.clear()
    assert dialogue.state == state
