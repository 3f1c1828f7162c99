"""Opening a connection: RFC 9293 3.5, 3.9.1.1, 3.10.1, and the addresses of 3.9.2.3."""

import numpy as np
import pytest

from tcpcore import Engine, State, segments
from tests.conformance.verdicts import deviates
from tests.dialogue import LOCAL, LOCAL_PORT, PEER, PEER_PORT, RTT, SECOND, SILENCE, SPACE, START

requirement = pytest.mark.requirement


@requirement("RFC9293 3.5 figure 6", "RFC9293 3.10.1 passive")
def test_three_segments_open_passively(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", ack=1)
    assert listening.state == State.SYN_RECEIVED
    listening.arrives("A", at=RTT)
    assert listening.state == State.ESTABLISHED


@requirement("RFC9293 3.5 figure 6", "RFC9293 3.10.1 active")
def test_three_segments_open_actively(syn_sent):
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A", seq=1, ack=1)
    assert syn_sent.state == State.ESTABLISHED


@requirement("RFC9293 MUST-10", "RFC9293 3.5 figure 7")
def test_crossing_syns_open(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA", seq=0, ack=1)
    assert syn_sent.state == State.SYN_RECEIVED
    syn_sent.arrives("SA", seq=0, mss=1460)
    syn_sent.host.heard.clear()           # its SYN is an old one, and may be answered
    assert syn_sent.state == State.ESTABLISHED


@requirement("RFC9293 3.5 figure 8")
def test_an_old_syn_is_undone_by_the_peers_reset(listening):
    """The peer did not send this SYN lately: it resets the answer, and its own SYN opens."""
    old = listening.another(irs=90)
    old.arrives("S", mss=1460)
    old.expects("SA")
    old.arrives("R")
    assert old.state == State.CLOSED
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.state == State.ESTABLISHED


@requirement("RFC9293 MUST-11", "RFC9293 3.10.7.4 second SYN-RECEIVED")
def test_a_passive_syn_received_falls_back_to_listen(syn_received):
    syn_received.arrives("R", seq=1)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED
    assert not syn_received.accept()
    other = syn_received.another(port=2)
    other.arrives("S", mss=1460)
    other.expects("SA")


@requirement("RFC9293 MUST-11", "RFC9293 3.10.7.4 second SYN-RECEIVED",
             linux=deviates("the error is ECONNRESET", refused_in_syn_received=1))
def test_an_active_syn_received_is_refused(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.arrives("R", seq=1)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ECONNREFUSED")


@requirement("RFC9293 3.5.1")
def test_a_peer_that_forgot_the_connection_clears_it_and_opens_anew(established):
    reborn = established.another(irs=12_345)
    reborn.arrives("S", mss=1460)
    established.expects("A")
    established.arrives("R")
    assert (established.state, established.error) == (State.CLOSED, "ECONNRESET")
    reborn.arrives("S", seq=0, mss=1460, at=1)
    reborn.expects("SA", ack=1)


@requirement("RFC9293 3.5.1")
def test_a_peer_that_forgot_the_connection_resets_its_text(established):
    """The active side of figure 10: the half that still believes in it sends, the other resets."""
    established.send(100)
    established.expects("A", length=100)
    established.arrives("R", at=RTT)
    assert (established.state, established.error) == (State.CLOSED, "ECONNRESET")


@requirement("RFC9293 MUST-41")
def test_listening_disturbs_no_connection(syn_sent):
    syn_sent.listen()
    assert syn_sent.state == State.SYN_SENT
    syn_sent.arrives("SA", mss=1460, at=RTT)
    syn_sent.expects("A")
    assert syn_sent.state == State.ESTABLISHED


@requirement("RFC9293 MUST-42")
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


def syn_from(profile, **arguments):
    return Engine(profile).connect(PEER, PEER_PORT, 0, **arguments)[1][0]


@requirement("RFC9293 MUST-43", "RFC9293 MUST-44")
def test_the_local_address_is_a_parameter_and_otherwise_the_hosts(profile):
    chosen, default = syn_from(profile, src="10.9.8.7"), syn_from(profile)
    assert int(chosen["src"]) == 0x0A090807
    assert int(default["src"]) == 0x0A000001 and profile.local_addr == LOCAL


@requirement("RFC9293 MUST-45")
def test_the_address_the_syn_came_to_is_kept(profile):
    host = Engine(profile)
    host.listen("0.0.0.0", LOCAL_PORT)
    template = {"src": PEER, "sport": 1, "dport": LOCAL_PORT, "wnd": 1000}
    for address in (0x0A000009, 0x0A00000A):
        (synack,) = host.receive(segments(1, dst=address, seq=5, flags=2, **template), 0).copy()
        assert synack["src"] == address
        acked = {"seq": 6, "ack": int(synack["seq"]) + 1 & 0xFFFFFFFF, "flags": 16}
        host.receive(segments(1, dst=address, **acked, **template), 0)
        host.receive(segments(1, dst=address, **{**acked, "flags": 17}, **template), 0)
    assert {int(row["laddr"]) for row in host.blocks if row["state"]} == {0x0A000009, 0x0A00000A}


@requirement("RFC9293 MUST-46")
@pytest.mark.parametrize("address", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "0.0.0.0"])
def test_opening_to_no_host_is_refused(profile, address):
    for wrong in ({"dst": address}, {"dst": PEER, "src": address}):
        with pytest.raises(ValueError, match="expected unicast"):
            Engine(profile).connect(dport=80, now=0, **wrong)


@requirement("RFC9293 MUST-57", "RFC9293 MUST-63")
@pytest.mark.parametrize("wrong", [
    {"dst": "224.0.0.1"}, {"dst": "255.255.255.255"}, {"src": "224.0.0.1"}, {"src": "255.255.255.255"},
    {"src": "0.0.0.0"},
], ids=str)  # fmt: skip
def test_a_syn_to_or_from_no_host_is_dropped_in_silence(profile, wrong):
    host = Engine(profile)
    host.listen("0.0.0.0", LOCAL_PORT)
    syn = {"src": PEER, "dst": LOCAL, "sport": 1, "dport": LOCAL_PORT, "flags": 2, **wrong}
    assert len(host.receive(segments(1, **syn), 0)) == 0
    assert host.gauges()["half_open"] == 0


@requirement("RFC9293 3.10.1 active")
@pytest.mark.parametrize("place", ["established", "syn_received", "time_wait"])
def test_a_second_open_of_the_same_connection_is_refused(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    assert not dialogue.connect()
    dialogue.expects(SILENCE)
    assert dialogue.state == state


@requirement("RFC9293 3.10.1 resources")
def test_an_open_without_room_is_refused(profile):
    host = Engine(profile.replace(capacity=2))
    conns, segs = host.connect(PEER, PEER_PORT, 0, n=3)
    assert list(conns != 0) == [True, True, False] and len(segs) == 2
    assert host.causes["BlocksExhausted"] == 1


@requirement("RFC9293 3.10.7.2 third")
def test_text_with_the_syn_is_queued_or_left_to_be_sent_again(listening):
    listening.arrives("S", seq=0, length=100, mss=1460)
    listening.expects("SA", ack=1)
    listening.arrives("A", seq=1)
    assert listening.state == State.ESTABLISHED
    listening.arrives("A", seq=1, length=100)
    listening.host.run(listening.host.now + SECOND)
    assert {int(row["ack"]) for _, row in listening.host.heard} == {(listening.irs + 101) % SPACE}
    listening.host.heard.clear()


@requirement("RFC9293 MUST-10")
def test_two_hosts_of_one_profile_open_to_each_other(profile):
    here, there = Engine(profile), Engine(profile.replace(local_addr=PEER))
    ours, out = here.connect(PEER, 2, START, sport=1)
    theirs, back = there.connect(LOCAL, 1, START, sport=2)
    for _ in range(6):
        out, back = here.receive(back.copy(), START).copy(), there.receive(out.copy(), START).copy()
    assert len(out) == len(back) == 0
    states = np.concatenate([here.info(ours)["state"], there.info(theirs)["state"]])
    assert set(states) == {State.ESTABLISHED}
