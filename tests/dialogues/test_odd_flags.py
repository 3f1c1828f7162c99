"""CLOSED and LISTEN: what answers flags that mean nothing there (RFC 9293 3.10.7.1, 3.10.7.2)."""

import pytest

from tcpcore import State
from tests.dialogue import SILENCE, configuration

#: Flags without ACK and without RST that begin nothing, and bytes with them.
NEITHER_SYN_NOR_ACK = [("F", 0), ("", 0), ("P", 20), ("FP", 20), ("SF", 0), ("FPU", 0)]


@pytest.mark.parametrize("flags, length", [("S", 0), *NEITHER_SYN_NOR_ACK])
def test_closed_port_resets_what_acknowledges_nothing(closed, flags, length):
    """<SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>."""
    closed.arrives(flags, length=length)
    closed.expects("RA", seq=0, wnd=0)


@pytest.mark.parametrize("flags", ["A", "SA", "FA", "FPUA"])
def test_closed_port_resets_an_acknowledgement_with_its_own_number(closed, flags):
    """<SEQ=SEG.ACK><CTL=RST>."""
    closed.arrives(flags, ack=77)
    closed.expects("R", seq=77, wnd=0)


@pytest.mark.parametrize("flags", ["R", "RA", "SR", "FR"])
@pytest.mark.parametrize("place", ["closed", "listening"])
def test_a_reset_is_never_answered(request, host, place, flags):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives(flags, ack=77)
    dialogue.expects(SILENCE)
    assert dialogue.state == State.CLOSED


@pytest.mark.parametrize("flags, length", NEITHER_SYN_NOR_ACK)
def test_listener_drops_what_is_neither_syn_nor_ack(listening, flags, length):
    """SYN+FIN with them: Linux takes it for a scan."""
    listening.arrives(flags, length=length)
    listening.expects(SILENCE)
    assert listening.state == State.CLOSED


@pytest.mark.parametrize("flags", ["A", "SA", "FA"])
def test_listener_resets_an_acknowledgement_of_nothing(listening, flags):
    listening.arrives(flags, ack=77)
    listening.expects("R", seq=77)
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


@pytest.mark.parametrize("flags", ["SEC", "SPU"])
def test_listener_takes_a_syn_with_ornaments(listening, flags):
    listening.arrives(flags, mss=1460)
    listening.expects("SA")
    assert listening.state == State.SYN_RECEIVED
