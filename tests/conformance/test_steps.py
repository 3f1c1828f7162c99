"""SEGMENT ARRIVES in the other states, step by step: RFC 9293 3.10.7.4, RFC 5961. TIME-WAIT: test_closing."""

import pytest

from tcpcore import State
from tests.conformance.verdicts import deviates
from tests.dialogue import RTT, SILENCE, SPACE, TICK, WINDOW

requirement = pytest.mark.requirement
AGAIN = "any SYN is taken for the first one again"
TRIM = "what lies outside is cut off, and an empty rest is not answered"
RESET = "a RST tells the peer that its attempt is over"
PACE = "an answer to a segment without text goes out once in 500 ms"


# -- first, the sequence number


@requirement("RFC9293 3.10.7.4 first", "RFC9293 3.5.2 group 3")
@pytest.mark.parametrize("seq, length", [
    (-500, 0), (-500, 100), (-199, 100), (5 + WINDOW, 10), (5 + WINDOW, 0),
])  # fmt: skip
@pytest.mark.parametrize("place", ["established", "fin_wait_2", "close_wait"])
def test_a_segment_outside_the_window_is_answered_by_an_ack_and_dropped(request, host, place, seq, length):
    dropped(request.getfixturevalue(place), seq, length)


@requirement("RFC9293 3.10.7.4 first", "RFC9293 3.5.2 group 3",
             freebsd=deviates("its ACK is taken, and the answer repeats our FIN", acceptance="rfc",
                              ack_repeats_control=0))
@pytest.mark.parametrize("seq, length", [(-500, 0), (-500, 100), (-199, 100), (5 + WINDOW, 10)])
@pytest.mark.parametrize("place", ["fin_wait_1", "closing", "last_ack"])
def test_the_same_while_our_fin_is_unacknowledged(request, host, place, seq, length):
    dropped(request.getfixturevalue(place), seq, length)


def dropped(dialogue, seq, length):
    """Such a segment, its ACK a good one, changes nothing and is answered by an empty ACK."""
    state, said = dialogue.state, dialogue.said
    dialogue.arrives("A", seq=seq - 1 + said, length=length)
    dialogue.expects("A", seq=dialogue.next, ack=said)
    assert dialogue.state == state


@requirement("RFC9293 3.10.7.4 first", linux=deviates(PACE, tcp_invalid_ratelimit=0))
def test_every_segment_outside_the_window_is_answered(established):
    for _ in range(3):
        established.arrives("A", seq=-500)
        established.expects("A")


@requirement("RFC9293 3.10.7.4 first",
             linux=deviates("SEG.LEN 0 is judged by the two edges of the window", acceptance="rfc"),
             freebsd=deviates(TRIM, acceptance="rfc"))
def test_the_number_right_of_the_window_is_outside_it(established):
    """Table 6: SEG.LEN 0 wants SEG.SEQ < RCV.NXT+RCV.WND."""
    established.arrives("A", seq=1 + WINDOW)
    established.expects("A")


@requirement("RFC9293 3.10.7.4 first",
             linux=deviates("of text that ends at RCV.NXT the ACK is taken", acceptance="rfc"),
             freebsd=deviates("of old text the ACK is taken", acceptance="rfc"))
def test_text_that_ends_left_of_the_window_is_dropped_with_its_ack(established):
    """Table 6: RCV.NXT =< SEG.SEQ+SEG.LEN-1."""
    established.arrives("A", length=10)
    established.expects("A", ack=11, within=0.5)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=11, length=0)
    established.expects("A", seq=1, length=100, within=2)
    established.arrives("A")


@requirement("RFC9293 3.10.7.4 first")
def test_a_segment_that_begins_or_ends_in_the_window_is_acceptable(established):
    established.arrives("A", length=10)
    established.expects("A", ack=11, within=0.5)
    established.arrives("A", seq=6, length=15)
    established.expects("A", ack=21, within=0.5)


@requirement("RFC9293 3.10.7.4 first", "RFC9293 MUST-66")
@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
def test_a_closed_window_refuses_text_and_hears_acks_and_resets(established):
    for space in (1460, 0):
        established.arrives("A", length=1460)
        established.expects("A", wnd=space, within=0.5)
    established.arrives("A", seq=2921, length=10)
    established.expects("A", wnd=0)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A")
    established.wait(20)
    established.arrives("R")
    assert established.state == State.CLOSED


@requirement("RFC9293 SHLD-31", "RFC9293 MAY-13")
def test_text_ahead_of_a_gap_is_held_and_acknowledged(established):
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=21)


@requirement("RFC9293 3.10.7.4 first",
             linux=deviates("a FIN right behind the window is taken", acceptance="rfc"),
             freebsd=deviates("a FIN right behind the window is taken", acceptance="rfc"))
@pytest.mark.knobs(rcv_buf=1460)
def test_text_and_fin_beyond_the_window_are_trimmed(established):
    established.arrives("FA", seq=1, length=1460)
    established.expects("A", ack=1461, within=0.5)
    assert established.state == State.ESTABLISHED


# -- second, RST


@requirement("RFC9293 3.10.7.4 second (1)", "RFC5961 3.2 (1)")
@pytest.mark.parametrize("ahead", [-1000, WINDOW + 2, 1 << 31])
def test_a_reset_outside_the_window_is_dropped_in_silence(connected, ahead):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert connected.state == state


@requirement("RFC9293 3.10.7.4 second (1)", "RFC5961 3.2 (1)",
             linux=deviates("after its FIN the peer may reset with the FIN's own number", rst_before_fin=0))
def test_a_reset_with_the_number_of_the_peers_fin_is_old(after_fin):
    state = after_fin.state
    after_fin.arrives("R", seq=after_fin.said - 1)
    after_fin.expects(SILENCE)
    assert after_fin.state == state


@requirement("RFC9293 3.10.7.4 second (2)", "RFC5961 3.2 (2)", "RFC9293 3.5.3")
def test_the_exact_reset_resets(connected):
    connected.arrives("R")
    connected.expects(SILENCE)
    assert connected.state == State.CLOSED


@requirement("RFC9293 3.10.7.4 second (3)", "RFC5961 3.2 (3)")
@pytest.mark.parametrize("ahead", [1, 1000, WINDOW - 2])
def test_any_other_reset_in_the_window_is_challenged(connected, ahead):
    state, said = connected.state, connected.said
    connected.arrives("R", seq=said + ahead)
    connected.expects("A", ack=said)
    assert connected.state == state


@requirement("RFC9293 3.10.7.4 second (3)", "RFC5961 3.2 (3)")
def test_any_other_reset_of_a_half_open_entry_is_challenged(syn_received):
    syn_received.arrives("R", seq=2)
    syn_received.expects("A", ack=1)
    assert syn_received.state == State.SYN_RECEIVED


@requirement("RFC9293 3.10.7.4 second, the user is told", "RFC9293 MUST-12")
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2"])
def test_the_user_hears_of_a_reset(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("R")
    assert dialogue.error == "ECONNRESET"


@requirement("RFC9293 3.10.7.4 second, the user is told",
             linux=deviates("EPIPE: the peer's end was read before", epipe_in_close_wait=0))
def test_the_user_hears_of_a_reset_in_close_wait(close_wait):
    close_wait.arrives("R")
    assert close_wait.error == "ECONNRESET"


@requirement("RFC9293 SHLD-2")
def test_a_reset_may_carry_text(established):
    established.arrives("R", length=20)
    established.expects(SILENCE)
    assert established.state == State.CLOSED


# -- fourth, SYN


@requirement("RFC9293 3.10.7.4 fourth", "RFC5961 4.2")
@pytest.mark.parametrize("flags", ["S", "SA"])
@pytest.mark.parametrize("ahead", [-1000, 0, 1, WINDOW + 1000, 1 << 31])
def test_a_syn_is_challenged_whatever_its_number(connected, flags, ahead):
    state, said = connected.state, connected.said
    connected.arrives(flags, seq=said + ahead)
    connected.expects("A", seq=connected.next, ack=said)
    assert connected.state == state


@requirement("RFC9293 3.10.7.4 fourth SYN-RECEIVED",
             freebsd=deviates(AGAIN, half_open_rules="rfc", acceptance="rfc"))
def test_a_new_syn_in_the_window_ends_a_passive_syn_received(syn_received):
    syn_received.arrives("S", seq=500, mss=1460)
    syn_received.host.heard.clear()
    assert syn_received.state == State.CLOSED


@requirement("RFC9293 3.10.7.4 fourth SYN-RECEIVED", linux=deviates(RESET, half_open_rules="rfc"),
             freebsd=deviates(AGAIN, half_open_rules="rfc", acceptance="rfc"))
def test_a_new_syn_in_the_window_of_a_passive_syn_received_is_not_answered(syn_received):
    syn_received.arrives("S", seq=500, mss=1460)
    syn_received.expects(SILENCE)


@requirement("RFC9293 3.10.7.4 fourth SYN-RECEIVED",
             freebsd=deviates("it says nothing and is dropped", acceptance="rfc"))
def test_a_syn_is_challenged_in_an_active_syn_received(syn_sent):
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA")
    syn_sent.arrives("S", seq=500, mss=1460)
    syn_sent.expects("A", ack=1)
    assert syn_sent.state == State.SYN_RECEIVED


# -- fifth, ACK


@requirement("RFC9293 3.10.7.4 fifth")
@pytest.mark.parametrize("flags, length", [("", 0), ("", 10), ("F", 0)])
def test_a_segment_without_ack_is_dropped(connected, flags, length):
    state = connected.state
    connected.arrives(flags, seq=connected.said, length=length)
    connected.expects(SILENCE)
    assert connected.state == state


@requirement("RFC9293 3.10.7.4 fifth SYN-RECEIVED")
def test_the_acknowledged_syn_establishes(syn_received):
    syn_received.arrives("A", at=RTT)
    assert syn_received.state == State.ESTABLISHED


@requirement("RFC9293 3.10.7.4 fifth SYN-RECEIVED",
             freebsd=deviates("the entry goes, too", bad_ack_ends_half_open=0))
@pytest.mark.parametrize("ack", [-1, 0, 2, 100_000])
def test_a_wrong_acknowledgement_is_reset_and_syn_received_stays(syn_received, ack):
    syn_received.arrives("A", ack=ack)
    syn_received.expects("R", seq=ack)
    assert syn_received.state == State.SYN_RECEIVED


@requirement("RFC9293 3.10.7.4 first SYN-RECEIVED",
             linux=deviates("the acknowledgement is looked at before the window", wrong_ack_first=0),
             freebsd=deviates("the acknowledgement is looked at before the window", half_open_rules="rfc",
                              acceptance="rfc", ack_repeats_control=0))
def test_the_window_is_looked_at_before_the_acknowledgement(syn_received):
    syn_received.arrives("A", seq=-500, ack=5)
    syn_received.expects("A", ack=1)


@requirement("RFC9293 3.10.7.4 fifth ESTABLISHED", "RFC5961 5.2")
@pytest.mark.parametrize("ack", [2, 100_000])
def test_an_acknowledgement_of_what_was_never_sent_is_answered_and_dropped(established, ack):
    established.arrives("A", seq=1, ack=ack, length=10)
    established.expects("A", ack=1)


@requirement("RFC9293 MAY-12", "RFC5961 5.2",
             freebsd=deviates("an ACK of any age is ignored, and its text taken", ack_range="rfc5961"))
def test_an_acknowledgement_older_than_the_largest_window_is_answered_and_dropped(established):
    established.arrives("A", seq=1, ack=-WINDOW, length=10)
    established.expects("A", ack=1)


@requirement("RFC9293 3.10.7.4 fifth ESTABLISHED")
def test_a_duplicate_acknowledgement_is_ignored_and_its_text_taken(established):
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A", at=0.1)
    established.arrives("A", ack=51, length=10)
    established.expects("A", ack=11, within=0.5)


@requirement("RFC9293 3.10.7.4 fifth ESTABLISHED, window")
def test_the_window_moves_with_new_segments_only(established):
    """SND.WL1 < SEG.SEQ, or equal and SND.WL2 =< SEG.ACK."""
    established.arrives("A", seq=11, length=10)
    established.expects("A", ack=1)
    established.arrives("A", seq=1, length=10, wnd=0)
    established.expects("A", ack=21)
    established.send(100)
    established.expects("A", ack=21, length=100)
    established.arrives("A", seq=21)


@requirement("RFC9293 3.10.7.4 fifth FIN-WAIT-1")
def test_fin_wait_1_ends_when_our_fin_is_acknowledged(fin_wait_1):
    fin_wait_1.arrives("A", ack=1)
    assert fin_wait_1.state == State.FIN_WAIT_1
    fin_wait_1.arrives("A", ack=2)
    assert fin_wait_1.state == State.FIN_WAIT_2


@requirement("RFC9293 3.10.7.4 fifth CLOSING")
def test_closing_ends_when_our_fin_is_acknowledged(closing):
    closing.arrives("A")
    closing.expects(SILENCE)
    assert closing.state == State.TIME_WAIT


@requirement("RFC9293 3.10.7.4 fifth LAST-ACK")
def test_last_ack_ends_when_our_fin_is_acknowledged(last_ack):
    last_ack.arrives("A", ack=1)
    assert last_ack.state == State.LAST_ACK
    last_ack.arrives("A", ack=2)
    assert (last_ack.state, last_ack.error) == (State.CLOSED, None)


# -- seventh and eighth, text and FIN


@requirement("RFC9293 3.10.7.4 seventh")
@pytest.mark.parametrize("place", ["established", "fin_wait_1", "fin_wait_2"])
def test_text_is_taken_and_acknowledged(request, host, place):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("A", length=100)
    dialogue.expects("A", within=0.5)


@requirement("RFC9293 3.10.7.4 seventh")
def test_text_after_the_peers_fin_is_ignored(after_fin):
    state, said = after_fin.state, after_fin.said
    after_fin.arrives("A", seq=said, ack=1, length=10)
    assert after_fin.state == state
    assert all(int(row["ack"]) == (after_fin.irs + said) % SPACE for _, row in after_fin.host.heard)
    after_fin.host.heard.clear()


@requirement("RFC9293 3.10.7.4 eighth")
@pytest.mark.parametrize("place, after", [
    ("syn_received", "CLOSE_WAIT"), ("established", "CLOSE_WAIT"), ("fin_wait_1", "TIME_WAIT"),
    ("fin_wait_2", "TIME_WAIT"),
])  # fmt: skip
def test_a_fin_is_acknowledged_and_moves_on(request, host, place, after):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("FA", at=RTT)
    dialogue.expects("A")
    assert dialogue.state == State[after]


@requirement("RFC9293 3.10.7.4 eighth", freebsd=deviates("the ACK repeats our FIN", ack_repeats_control=0))
def test_a_fin_crosses_ours(fin_wait_1):
    fin_wait_1.arrives("FA", ack=1, at=RTT)
    fin_wait_1.expects("A")
    assert fin_wait_1.state == State.CLOSING


@requirement("RFC9293 3.10.7.4 eighth")
def test_a_repeated_fin_leaves_close_wait(close_wait):
    close_wait.arrives("FA", seq=1, ack=1)
    close_wait.expects("A")
    assert close_wait.state == State.CLOSE_WAIT


@requirement("RFC9293 3.10.7.4 eighth", freebsd=deviates("the ACK repeats our FIN", ack_repeats_control=0))
@pytest.mark.parametrize("place", ["closing", "last_ack"])
def test_a_repeated_fin_leaves_the_state(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.arrives("FA", seq=dialogue.said - 1, ack=1)
    dialogue.expects("A", seq=2)
    assert dialogue.state == state


@requirement("RFC9293 3.10.7.4 eighth")
@pytest.mark.parametrize("place", ["closed", "listening", "syn_sent"])
def test_a_fin_before_the_handshake_changes_nothing(request, host, place):
    dialogue = request.getfixturevalue(place)
    state = dialogue.state
    dialogue.arrives("F", length=0)
    dialogue.host.heard.clear()
    assert dialogue.state == state


# -- RFC 5961 7


@requirement("RFC5961 7", freebsd=deviates("no limit in force", tcp_challenge_ack_limit=10))
def test_challenge_acks_are_throttled(established):
    """RFC 5961 gives 10 in 5 s as an example; Linux's limit is drawn anew each second, 1.5 times the knob at
    most, so that nobody can count it."""
    host = established.host
    for number in range(1000):
        host.run(host.now + TICK)
        established.arrives("S", seq=5000 + number)
    assert 1 <= len(host.heard) <= 30
    host.heard.clear()
