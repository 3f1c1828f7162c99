"""SYN crosses SYN (RFC 9293 3.5, figure 7; MUST-10)."""

import pytest

from tcpcore import State
from tests.dialogue import LOCAL, PEER, RTT, SILENCE, START, configuration


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


def test_two_stacks_open_to_each_other(host):
    here, there = host.stack, type(host.stack)(configuration(local_addr=PEER))
    ours, out = here.connect(PEER, 2, START, sport=1)
    theirs, back = there.connect(LOCAL, 1, START, sport=2)
    host.handles.append(int(ours[0]))
    for _ in range(6):
        out, back = here.receive(back.copy(), START).copy(), there.receive(out.copy(), START).copy()
    assert len(out) == len(back) == 0
    assert here.info(ours)["state"] == there.info(theirs)["state"] == State.ESTABLISHED
