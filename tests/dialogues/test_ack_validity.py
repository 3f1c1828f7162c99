"""Which acknowledgements are believed (RFC 9293 3.10.7.4 (5th), RFC 5961 5.2)."""

import pytest

from tcpcore import State
from tests.dialogue import RTT, SILENCE, WINDOW


@pytest.mark.parametrize("ack", [
    pytest.param(2, id="of what was never sent"),
    pytest.param(100_000, id="far ahead"),
    pytest.param(1 - WINDOW - 1, id="older than the largest window"),
])
def test_incredible_acknowledgement_is_answered_and_its_data_dropped(established, ack):
    established.arrives("A", seq=1, ack=ack, length=10)
    established.expects("A", ack=1)
    established.arrives("FA", seq=1, ack=ack)
    established.expects(SILENCE)
    established.arrives("FA", seq=1, ack=ack, at=0.5)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


def test_where_we_opened_the_syn_counts_among_what_was_acknowledged(syn_sent):
    """SND.UNA - 1 acknowledges less than everything, but not less than anything."""
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A")
    syn_sent.arrives("FA", ack=0)
    syn_sent.expects("A")
    assert syn_sent.state == State.CLOSE_WAIT


def test_where_the_peer_opened_it_does_not(established):
    established.arrives("FA", seq=1, ack=0)
    established.expects("A", ack=1)
    assert established.state == State.ESTABLISHED


def test_old_acknowledgement_is_ignored_and_its_data_taken(established):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", at=0.1)
    established.arrives("A", ack=1)
    established.expects(SILENCE)
    established.arrives("A", ack=51, length=10)
    established.expects("A")


def test_fin_is_acknowledged_by_its_own_number_only(fin_wait_1):
    fin_wait_1.arrives("A", ack=1)
    assert fin_wait_1.state == State.FIN_WAIT_1
    fin_wait_1.arrives("A", ack=3)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.FIN_WAIT_1
    fin_wait_1.arrives("A", ack=2)
    assert fin_wait_1.state == State.FIN_WAIT_2


def test_last_fin_is_acknowledged_by_its_own_number_only(last_ack):
    last_ack.arrives("A", ack=1)
    assert last_ack.state == State.LAST_ACK
    last_ack.arrives("A", ack=3)
    last_ack.expects("A")
    assert last_ack.state == State.LAST_ACK
    last_ack.arrives("A", ack=2)
    assert last_ack.state == State.CLOSED
