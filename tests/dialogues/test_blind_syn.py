"""A SYN on a synchronized connection is challenged, whatever its number (RFC 9293 3.10.7.4 (4th), 5961 4)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, WINDOW
from tests.requirements.verdicts import requirement


@requirement("3.10.7.4 fourth", "RFC5961 4.2")
@pytest.mark.parametrize("flags", ["S", "SA", "SF"])
@pytest.mark.parametrize("ahead", [
    -1000, -1, 0, 1, 1000, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + 1000, 1 << 31,
])  # fmt: skip
def test_a_syn_is_challenged_whatever_its_number(connected, flags, ahead):
    state, said = connected.state, connected.said
    connected.arrives(flags, seq=said + ahead)
    connected.expects("A", seq=connected.next, ack=said)
    assert connected.state == state


@requirement("3.5.1")
def test_a_peer_that_forgot_the_connection_clears_it_and_opens_anew(established):
    reborn = established.another(irs=12_345)
    reborn.arrives("S", mss=1460)
    established.expects("A")
    established.arrives("R")
    assert (established.state, established.error) == (State.CLOSED, "ECONNRESET")
    reborn.arrives("S", seq=0, mss=1460, at=1)
    reborn.expects("SA", ack=1)


@requirement("3.5.1")
def test_a_peer_that_forgot_the_connection_resets_its_text(established):
    """The active side of figure 10: the half that still believes in it sends, the other resets."""
    established.send(100)
    established.expects("A", length=100)
    established.arrives("R", at=RTT)
    assert (established.state, established.error) == (State.CLOSED, "ECONNRESET")
