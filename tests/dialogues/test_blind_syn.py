"""A SYN on a synchronized connection is challenged, whatever its number (RFC 9293 3.10.7.4 (4th), 5961 4)."""

import pytest

from tests.dialogue import WINDOW


@pytest.mark.parametrize("ahead", [-1000, -1, 0, 1, WINDOW + 1000, 1 << 31])
@pytest.mark.parametrize("flags", ["S", "SA"])
def test_syn_is_challenged_and_changes_nothing(connected, flags, ahead):
    state, said = connected.state, connected.said
    connected.arrives(flags, seq=said + ahead)
    connected.expects("A", ack=said)
    assert connected.state == state


def test_a_peer_that_lost_its_memory_resets_and_starts_anew(established):
    """RFC 9293 3.5.1: the challenge names our number, the peer's RST with it clears the way."""
    reborn = established.another(irs=12_345)
    reborn.arrives("S", mss=1460)
    established.expects("A")
    established.arrives("R")
    reborn.arrives("S", seq=0, mss=1460, at=1)
    reborn.expects("SA", ack=1)
