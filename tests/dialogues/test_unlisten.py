"""A listener that goes away (RFC 9293 3.10.4; Linux inet_csk_listen_stop)."""

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE
from tests.requirements.verdicts import deviates, requirement


def test_its_port_is_closed(listening):
    listening.unlisten()
    listening.arrives("S", mss=1460)
    listening.expects("RA", seq=0)


def test_half_open_entries_say_nothing_more(syn_received):
    syn_received.unlisten()
    syn_received.wait(0.5)
    syn_received.arrives("A")
    syn_received.expects("R", seq=1)
    syn_received.expects(SILENCE, at=100)
    assert syn_received.state == State.CLOSED


def test_unaccepted_connections_are_reset(syn_received):
    syn_received.arrives("A", at=RTT)
    syn_received.unlisten()
    syn_received.expects("RA")
    assert syn_received.state == State.CLOSED


def test_accepted_connections_live_on(established):
    established.unlisten()
    established.arrives("A", length=10)
    established.expects("A")
    assert established.state == State.ESTABLISHED


def test_its_port_can_be_taken_again(syn_received):
    syn_received.unlisten()
    syn_received.listen()
    other = syn_received.another(port=1)
    other.arrives("S", mss=1460)
    other.expects("SA")


@requirement("3.10.4 LISTEN",
             linux=deviates("half-open entries stay until their next timer", unlisten_forgets=1))
def test_close_of_listen_forgets_what_is_half_open(syn_received):
    syn_received.unlisten()
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED
    syn_received.arrives("A")
    syn_received.expects("R", seq=1)
