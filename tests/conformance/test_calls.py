"""The other calls, state by state: RFC 9293 3.10.2 SEND, 3.10.3 RECEIVE, 3.10.6 STATUS; and errors."""

import pytest

from tcpcore import Engine, State, segments
from tests.dialogue import LOCAL, PEER, RTT, SILENCE, SPACE

requirement = pytest.mark.requirement
CONNECTED = ["established", "fin_wait_1", "fin_wait_2", "close_wait", "closing", "last_ack", "time_wait"]


@requirement("RFC9293 3.10.2")
@pytest.mark.parametrize("place", ["established", "close_wait"])
def test_send_sends(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.send(100)
    dialogue.expects("A", length=100)
    dialogue.arrives("A")


@requirement("RFC9293 3.10.2")
def test_send_before_the_handshake_queues(syn_sent):
    syn_sent.send(100)
    syn_sent.expects(SILENCE)
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", length=100)
    syn_sent.arrives("A")


@requirement("RFC9293 3.10.2")
@pytest.mark.parametrize("place", ["fin_wait_1", "fin_wait_2", "closing", "last_ack", "time_wait"])
def test_send_after_close_sends_nothing(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.send(100)
    dialogue.expects(SILENCE)


@requirement("RFC9293 3.10.3")
@pytest.mark.knobs(auto_read=False)
def test_receive_gives_what_has_come_in_order(established):
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    assert established.recv() == 0
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=21)
    assert (established.recv(15), established.recv(15)) == (15, 5)


@requirement("RFC9293 3.10.3")
@pytest.mark.knobs(auto_read=False)
def test_receive_in_close_wait_gives_what_is_left(established):
    established.arrives("FA", length=10)
    established.expects("A")
    assert (established.recv(), established.recv()) == (10, 0)


@requirement("RFC9293 3.10.6")
@pytest.mark.parametrize("place", ["syn_sent", *CONNECTED])
def test_status_tells_state_and_numbers(request, host, place):
    dialogue = request.getfixturevalue(place)
    (status,) = host.stack.info(dialogue.handle)
    assert State(status["state"]).name == place.upper()
    assert (int(status["snd_nxt"]) - dialogue.iss) % SPACE == dialogue.next


@requirement("RFC9293 3.10.6")
def test_status_of_what_does_not_exist_is_closed(closed):
    (status,) = closed.host.stack.info(12345)
    assert status["state"] == State.CLOSED


@requirement("RFC9293 3.10.8 USER TIMEOUT", "RFC9293 MUST-47")
@pytest.mark.knobs(tcp_retries2=3)
def test_the_user_hears_that_the_peer_is_silent(established):
    established.send(100)
    established.host.run(established.host.now + 600_000_000_000)
    assert (established.state, established.error) == (State.CLOSED, "ETIMEDOUT")
    established.host.heard.clear()


@requirement("RFC9293 SHLD-20", "RFC9293 MUST-47")
def test_reports_are_asked_for_or_not(profile):
    for wanted, told in (((), []), (("lost",), ["ConnectRefused"])):
        host = Engine(profile.replace(events=wanted))
        _, (syn,) = host.connect(PEER, 80, 0)
        host.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=int(syn["sport"]), flags=20,
                              ack=(int(syn["seq"]) + 1) % SPACE), 0)  # fmt: skip
        names = list(host.causes)
        assert [names[event["cause"] - 1] for event in host.events()] == told


