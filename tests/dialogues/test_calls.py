"""What the application asks for, state by state: RFC 9293 3.9.1, 3.10.1 to 3.10.4 and 3.10.6."""

import pytest

from tcpcore import Cause, State, segments
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, PEER, PEER_PORT, RTT, SILENCE, SPACE
from tests.requirements.verdicts import requirement

CONNECTED = ["established", "fin_wait_1", "fin_wait_2", "close_wait", "closing", "last_ack", "time_wait"]


@requirement("3.10.2")
@pytest.mark.parametrize("place", ["established", "close_wait"])
def test_send_sends(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.send(100)
    dialogue.expects("A", length=100)
    dialogue.arrives("A", at=RTT)
    dialogue.wait(10)
    assert dialogue.state == state


@requirement("3.10.2", "3.10.7.3 fourth")
def test_send_before_the_handshake_queues(syn_sent):
    syn_sent.send(100)
    syn_sent.expects(SILENCE)
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", length=100)
    syn_sent.arrives("A")


@requirement("3.10.2")
@pytest.mark.parametrize("place", ["fin_wait_1", "fin_wait_2", "closing", "last_ack", "time_wait"])
def test_send_after_close_sends_nothing(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.send(100)
    dialogue.expects(SILENCE)


@requirement("3.10.3")
@pytest.mark.knobs(auto_read=False)
def test_receive_gives_what_has_come_in_order(established):
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    assert established.recv() == 0
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=21)
    assert (established.recv(15), established.recv(15)) == (15, 5)
    established.expects(SILENCE)


@requirement("3.10.3")
@pytest.mark.knobs(auto_read=False)
def test_receive_in_close_wait_gives_what_is_left(established):
    established.arrives("FA", length=10)
    established.expects("A")
    assert (established.recv(), established.recv()) == (10, 0)


@requirement("3.10.6")
@pytest.mark.parametrize("place", ["syn_sent", *CONNECTED])
def test_status_tells_state_and_numbers(request, host, place):
    dialogue = request.getfixturevalue(place)
    (status,) = host.stack.info(dialogue.handle)
    assert State(status["state"]).name == place.upper()
    assert (int(status["snd_nxt"]) - dialogue.iss) % SPACE == dialogue.next


@requirement("3.10.6")
def test_status_of_what_does_not_exist_is_closed(closed):
    (status,) = closed.host.stack.info(12345)
    assert status["state"] == State.CLOSED


@requirement("SHLD-20", "MUST-47")
def test_reports_are_asked_for_or_not(stack, profile):
    for wanted, told in (((), []), (("lost",), ["ConnectRefused"])):
        host = stack(profile.replace(events=wanted))
        _, (syn,) = host.connect(PEER, 80, 0)
        host.receive(segments(1, src=PEER, dst=LOCAL, sport=80, dport=int(syn["sport"]), flags=20,
                              ack=(int(syn["seq"]) + 1) % SPACE), 0)  # fmt: skip
        assert [Cause(event["cause"]).name for event in host.events()] == told


# -- 3.9.1.1, 3.10.1: OPEN


@requirement("MUST-41")
def test_listening_disturbs_no_connection(syn_sent):
    syn_sent.listen()
    assert syn_sent.state == State.SYN_SENT
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A")
    assert syn_sent.state == State.ESTABLISHED


@requirement("MUST-42")
def test_a_port_listens_while_connections_of_it_are_opening(syn_sent):
    syn_sent.listen()
    other = syn_sent.another(port=2)
    other.arrives("S", mss=1460)
    other.expects("SA")
    third = syn_sent.another(port=3)
    third.arrives("S", mss=1460)
    third.expects("SA")
    assert [one.state for one in (syn_sent, other, third)] == [
        State.SYN_SENT, State.SYN_RECEIVED, State.SYN_RECEIVED]  # fmt: skip


def syn_from(stack, profile, **arguments):
    return stack(profile).connect(PEER, PEER_PORT, 0, **arguments)[1][0]


@requirement("MUST-43", "MUST-44")
def test_the_local_address_is_a_parameter_and_otherwise_the_hosts(stack, profile):
    chosen, default = syn_from(stack, profile, src="10.9.8.7"), syn_from(stack, profile)
    assert int(chosen["src"]) == 0x0A090807
    assert int(default["src"]) == 0x0A000001 and profile.local_addr == LOCAL


@requirement("MUST-45")
def test_the_address_the_syn_came_to_is_kept(stack, profile):
    host = stack(profile)
    host.listen("0.0.0.0", LOCAL_PORT)
    template = {"src": PEER, "sport": 1, "dport": LOCAL_PORT, "wnd": 1000}
    for address in (0x0A000009, 0x0A00000A):
        (synack,) = host.receive(segments(1, dst=address, seq=5, flags=2, **template), 0).copy()
        assert synack["src"] == address
        acked = {"seq": 6, "ack": int(synack["seq"]) + 1 & 0xFFFFFFFF, "flags": 16}
        host.receive(segments(1, dst=address, **acked, **template), 0)
        host.receive(segments(1, dst=address, **{**acked, "flags": 17}, **template), 0)
        assert State(host.info(host.lookup(PEER, 1, address, LOCAL_PORT))[0]["state"]) == State.CLOSE_WAIT


@requirement("MUST-46")
@pytest.mark.parametrize("address", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "0.0.0.0"])
@pytest.mark.engine_only("arguments")
def test_opening_to_no_host_is_refused(stack, profile, address):
    for wrong in ({"dst": address}, {"dst": PEER, "src": address}):
        with pytest.raises(ValueError, match="expected unicast"):
            stack(profile).connect(dport=80, now=0, **wrong)


@requirement("MUST-57", "MUST-63")
@pytest.mark.parametrize("wrong", [
    {"dst": "224.0.0.1"}, {"dst": "255.255.255.255"}, {"src": "224.0.0.1"}, {"src": "255.255.255.255"},
    {"src": "0.0.0.0"},
], ids=str)  # fmt: skip
def test_a_syn_to_or_from_no_host_is_dropped_in_silence(stack, profile, wrong):
    host = stack(profile)
    host.listen("0.0.0.0", LOCAL_PORT)
    syn = {"src": PEER, "dst": LOCAL, "sport": 1, "dport": LOCAL_PORT, "flags": 2, **wrong}
    assert len(host.receive(segments(1, **syn), 0)) == 0
    assert host.gauges()["half_open"] == 0


@requirement("3.10.1 active")
@pytest.mark.parametrize("place", ["established", "syn_received", "time_wait"])
def test_a_second_open_of_the_same_connection_is_refused(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    assert not dialogue.connect()
    dialogue.expects(SILENCE)
    assert dialogue.state == state


@requirement("3.10.1 resources")
def test_an_open_without_room_is_refused(stack, profile):
    host = stack(profile.replace(capacity=2))
    conns, segs = host.connect(PEER, PEER_PORT, 0, n=3)
    assert list(conns != 0) == [True, True, False] and len(segs) == 2
    assert host.causes["BlocksExhausted"] == 1


# -- 3.10.4: CLOSE


@requirement("3.10.4")
@pytest.mark.parametrize("place, sent, after", [
    ("syn_sent", None, "CLOSED"), ("established", "FA", "FIN_WAIT_1"), ("close_wait", "FA", "LAST_ACK"),
    ("fin_wait_1", None, "FIN_WAIT_1"), ("fin_wait_2", None, "FIN_WAIT_2"), ("closing", None, "CLOSING"),
    ("last_ack", None, "LAST_ACK"), ("time_wait", None, "TIME_WAIT"),
])  # fmt: skip
def test_close(request, host, place, sent, after):
    dialogue = request.getfixturevalue(place)
    dialogue.shutdown()
    dialogue.expects(sent)
    assert dialogue.state == State[after]


@requirement("3.10.4")
def test_close_waits_for_the_queued_text(established):
    established.arrives("A", wnd=0)
    established.send(10)
    established.shutdown()
    assert established.state == State.FIN_WAIT_1
    established.arrives("A", wnd=1000)
    established.expects("FA", length=10)
