"""When an attempt or a connection is given up: by number, by time, by what silence means (RFC 9293 3.8.3)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SECOND
from tests.requirements.verdicts import deviates, requirement


def resent(dialogue, flags):
    """How many rows with these flags go out before the connection is gone."""
    host, rows = dialogue.host, 0
    while dialogue.state != State.CLOSED:
        host.fire(host.stack.next_timer())
        for _, row in host.heard:
            assert row["flags"] & 0x12 == (0x12 if flags == "SA" else 0x02 if flags == "S" else 0x10)
            rows += 1
        host.heard.clear()
    return rows


def times(knob, *numbers, **knobs):
    """The test with this knob at each of these numbers."""
    return pytest.mark.parametrize("most", [
        pytest.param(number, marks=pytest.mark.knobs(**{knob: number, **knobs})) for number in numbers
    ])  # fmt: skip


@times("tcp_syn_retries", 0, 1, 3, retries_rule="count", tcp_syn_linear_timeouts=0)
def test_a_syn_is_sent_again_so_often_and_no_more(syn_sent, most):
    assert resent(syn_sent, "S") == most
    assert syn_sent.error == "ETIMEDOUT"


@times("tcp_synack_retries", 0, 1, 3)
def test_a_syn_ack_is_sent_again_so_often_and_no_more(syn_received, most):
    assert resent(syn_received, "SA") == most


@times("tcp_retries2", 1, 3, retries_rule="count")
def test_text_is_sent_again_so_often_and_no_more(established, most):
    established.send(100)
    established.expects("A", length=100)
    assert resent(established, "A") == most
    assert established.error == "ETIMEDOUT"


@times("tcp_retries2", 1, 3)
def test_so_many_probes_without_an_answer_and_no_more(established, most):
    established.arrives("A", wnd=0)
    established.send(100)
    assert resent(established, "A") == most
    assert established.error == "ETIMEDOUT"


@pytest.mark.knobs(keepinit_ms=2500, tcp_syn_linear_timeouts=0)
def test_an_attempt_ends_with_keepinit_exactly(syn_sent):
    """The SYN goes again after 1 s; after 3 s it would have gone once more."""
    syn_sent.expects("S", at=1)
    syn_sent.wait(2.49)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.wait(2.51)
    assert (syn_sent.state, syn_sent.error) == (State.CLOSED, "ETIMEDOUT")


@pytest.mark.knobs(tcp_orphan_retries=1, tcp_retries2=15)
def test_probes_of_an_orphan_end_sooner(established):
    established.arrives("A", wnd=0)
    established.close()
    assert resent(established, "A") == 1
    assert established.host.now < established.ready + 10 * SECOND


@pytest.mark.knobs(tcp_retries2=2, retries_rule="count")
def test_an_acknowledgement_gives_the_peer_its_time_again(established):
    for _ in range(3):
        established.send(100)
        established.expects("A", length=100)
        for _ in range(2):
            established.expects("A", seq=established.next - 100, length=100, within=10)
        established.arrives("A")
    assert established.state == State.ESTABLISHED


def test_the_peers_mss_is_cut_to_ours(listening):
    listening.arrives("S", mss=9000)
    listening.expects("SA")
    listening.arrives("A")
    assert listening.accept()
    listening.send(2000)
    listening.expects("A", length=1460)
    listening.expects("A", length=540)
    listening.arrives("A")


# -- what RFC 9293 3.8.3 asks


def lasts(dialogue, seconds=4000):
    """How long the stack goes on without an answer, and how often it resends."""
    host, resent = dialogue.host, 0
    while dialogue.state != State.CLOSED and host.now < dialogue.ready + seconds * SECOND:
        host.fire(host.stack.next_timer())
        resent += len(host.heard)
        host.heard.clear()
    return (host.now - dialogue.ready) / SECOND, resent


@requirement("MUST-20", "SHLD-10", "SHLD-11", "3.10.8 USER TIMEOUT")
def test_text_is_given_up_at_r2_and_not_before_100_seconds(established):
    established.send(100)
    took, resent = lasts(established)
    assert established.state == State.CLOSED and established.error == "ETIMEDOUT"
    assert took >= 100 and resent >= 3


@requirement("MUST-20")
def test_a_fin_is_given_up_at_r2(fin_wait_1):
    took, resent = lasts(fin_wait_1)
    assert fin_wait_1.state == State.CLOSED and took >= 100 and resent >= 3


@requirement("MUST-21", "MUST-47", "3.10.8 USER TIMEOUT")
@pytest.mark.knobs(tcp_retries2=4)
def test_r2_can_be_set_and_the_user_hears_that_the_peer_is_silent(established):
    established.send(100)
    took, resent = lasts(established)
    assert resent == 5 and took < 60      # the first one, and four more
    assert (established.state, established.error) == (State.CLOSED, "ETIMEDOUT")


@requirement("MUST-22", "MUST-23",
             linux=deviates("given up after 131 s", tcp_syn_retries=7),
             freebsd=deviates("given up after 75 s", keepinit_ms=None))
def test_a_syn_is_given_up_after_three_minutes_at_least(syn_sent):
    took, resent = lasts(syn_sent)
    assert syn_sent.error == "ETIMEDOUT"
    assert took >= 180 and resent >= 3


@requirement("MUST-22", "MUST-23",
             linux=deviates("given up after 63 s", tcp_synack_retries=7),
             freebsd=deviates("given up after 16 s", tcp_synack_retries=7))
def test_a_syn_ack_is_given_up_after_three_minutes_at_least(syn_received):
    took, resent = lasts(syn_received)
    assert took >= 180 and resent >= 3

# -- at the ends of the ranges


@times("tcp_retries2", 0, 1, 31, 32, 127, 255)
def test_the_time_that_so_many_resends_take(established, most):
    """Given up at the first timeout that is so long after the first resend (Linux: retransmits_timed_out)."""
    model = sum(min(0.2 * 2**k, 120) for k in range(most + 1))
    established.send(100)
    took, resends = lasts(established, seconds=60_000)
    assert (established.state, established.error) == (State.CLOSED, "ETIMEDOUT")
    assert resends >= 2 and model <= took <= model + 0.5 + 2 * min(0.2 * 2**most, 120)


@times("tcp_retries2", 0, 1, 31, 32, 127, 255, retries_rule="count")
def test_so_many_resends_and_no_more(established, most):
    established.send(100)
    assert lasts(established, seconds=60_000)[1] == 1 + most
    assert established.error == "ETIMEDOUT"


@times("tcp_retries2", 0, 1, 127, 255)
def test_so_many_probes_and_no_more(established, most):
    established.arrives("A", wnd=0)
    established.send(100)
    assert lasts(established, seconds=60_000)[1] == most
    assert established.error == "ETIMEDOUT"


@times("tcp_orphan_retries", 1, 127, 255)
def test_the_time_of_an_orphan(established, most):
    model = sum(min(0.2 * 2**k, 120) for k in range(most + 1))
    established.close()
    assert model <= lasts(established, seconds=60_000)[0] <= model + 0.5 + 2 * min(0.2 * 2**most, 120)


@times("tcp_syn_retries", 0, 1, 127)
def test_a_syn_ends_however_many(syn_sent, most):
    took, resends = lasts(syn_sent, seconds=60_000)
    assert syn_sent.error == "ETIMEDOUT" and took > 1 and 1 <= resends <= most + 4


@times("tcp_synack_retries", 127, 255)
def test_a_syn_ack_ends_however_many(syn_received, most):
    assert lasts(syn_received, seconds=60_000)[1] == most


@pytest.mark.knobs(tcp_retries2=255, tcp_rto_max_ms=2**30 - 1, rto_initial_ms=2**30 - 1)
def test_a_give_up_time_of_years_ends_too(established):
    """2**32 ms, 49.7 days, is less than what 255 resends may take."""
    established.send(100)
    took, resends = lasts(established, seconds=100 * 365 * 86400)
    assert established.error == "ETIMEDOUT" and resends <= 256 and took > 7 * 365 * 86400
