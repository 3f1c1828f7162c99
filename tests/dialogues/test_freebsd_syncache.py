"""FreeBSD's half-open entries live in a cache of their own, beside LISTEN, that knows three segments."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import PEER_PORT, SILENCE, SPACE

pytestmark = pytest.mark.profile("freebsd")

WINDOW = 65_535                       # what the SYN-ACK could tell


def test_it_counts_as_syn_received(syn_received):
    assert syn_received.host.stack.state_counts()[State.SYN_RECEIVED] == 1


def test_the_synack_echoes_only_what_was_offered(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", opts=1, mss=1460, wnd=65_535)


@pytest.mark.knobs(tcp_timestamps=2, tcp_sack=1, tcp_window_scaling=1)
@pytest.mark.parametrize("offer, echo", [
    ({"mss": 1460}, {"opts": 1}),
    ({"mss": 1460, "wscale": 3}, {"opts": 3, "wscale": 6}),
    ({"wscale": 3, "opts": 6}, {"opts": 7, "wscale": 6}),
])
def test_option_by_option(listening, offer, echo):
    listening.timestamps = False
    listening.arrives("S", **offer)
    listening.expects("SA", **echo)


@pytest.mark.knobs(tcp_timestamps=2)
def test_a_repeated_syn_brings_its_own_timestamp_or_none(listening):
    listening.arrives("S", mss=1460)
    listening.expects("SA", opts=9, tsecr=listening.clock())
    listening.arrives("S", seq=0, tsval=500)
    listening.expects("SA", opts=9, tsecr=(listening.clock() + 500) % SPACE)
    listening.timestamps = False
    listening.arrives("S", seq=0)
    listening.expects("SA", opts=1)


@pytest.mark.parametrize("flags", ["R", "RA", "SR", "FR"])
def test_the_exact_reset_ends_the_entry(syn_received, flags):
    syn_received.arrives(flags, seq=1, ack=9999)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED


@pytest.mark.parametrize("flags", ["R", "RA"])
@pytest.mark.parametrize("ahead", [1, 1000, WINDOW - 1])
def test_a_reset_in_the_window_is_challenged(syn_received, ahead, flags):
    syn_received.arrives(flags, seq=1 + ahead, ack=9999)
    syn_received.expects("A")
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.parametrize("insecure", [
    pytest.param(0, id="secure"), pytest.param(1, marks=pytest.mark.knobs(insecure_rst=1), id="insecure")])
@pytest.mark.parametrize("ahead", [-1, -1000, WINDOW, WINDOW + 1, 1 << 31])
def test_a_reset_outside_it_is_silent(syn_received, ahead, insecure):
    syn_received.arrives("R", seq=1 + ahead)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.knobs(insecure_rst=1)
@pytest.mark.parametrize("ahead", [0, 1, WINDOW - 1])
def test_with_insecure_rst_any_in_the_window_ends_it(syn_received, ahead):
    syn_received.arrives("R", seq=1 + ahead)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.CLOSED


@pytest.mark.parametrize("insecure", [
    pytest.param(0, id="secure"), pytest.param(1, marks=pytest.mark.knobs(insecure_syn=1), id="insecure")])
@pytest.mark.parametrize("number", [0, 1, 5000, 70_000, -1000])
def test_any_syn_is_taken_for_the_first_one_again(syn_received, number, insecure):
    syn_received.arrives("S", seq=number)
    syn_received.expects("SA", ack=1)
    assert syn_received.state == State.SYN_RECEIVED


def test_a_repeated_syn_restarts_the_timer_and_the_count(syn_received):
    syn_received.expects("SA", at=1)
    syn_received.expects("SA", at=3.2)
    syn_received.arrives("S", seq=0, at=4)
    syn_received.expects("SA")
    for at in (5, 7.2, 11.4):
        syn_received.expects("SA", at=at)
    syn_received.wait(19.59)
    assert syn_received.state == State.SYN_RECEIVED
    syn_received.wait(19.61)
    assert syn_received.state == State.CLOSED


def test_the_synack_goes_again_after_1_and_twice_that_with_slop(syn_received):
    for at in (1, 3.2, 7.4):
        syn_received.expects("SA", at=at)
    syn_received.wait(15.59)
    assert syn_received.state == State.SYN_RECEIVED
    syn_received.wait(15.61)
    assert syn_received.state == State.CLOSED
    assert syn_received.host.stack.causes["SynQueueExpired"] == 1


@pytest.mark.parametrize("flags", ["SA", "F", "", "P"])
@pytest.mark.parametrize("number", [0, 1, 1000])
def test_anything_else_is_silent(syn_received, flags, number):
    syn_received.arrives(flags, seq=number)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.parametrize("ahead", [0, 1, 1000, WINDOW - 1])
def test_an_ack_in_the_window_completes_it(syn_received, ahead):
    syn_received.arrives("A", seq=1 + ahead)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.ESTABLISHED


@pytest.mark.parametrize("ahead", [-1, -1000, WINDOW, WINDOW + 1])
def test_an_ack_outside_it_is_reset_and_ends_the_entry(syn_received, ahead):
    syn_received.arrives("A", seq=1 + ahead)
    syn_received.expects("R", seq=1)
    assert syn_received.state == State.CLOSED


@pytest.mark.parametrize("ack", [0, 2, 1000, -1000])
def test_so_is_an_ack_of_something_else(syn_received, ack):
    syn_received.arrives("A", ack=ack)
    syn_received.expects("R", seq=ack)
    assert syn_received.state == State.CLOSED


def test_fin_and_text_with_the_third_segment_count(syn_received):
    syn_received.arrives("FA", length=10)
    syn_received.expects("A")
    assert syn_received.state == State.CLOSE_WAIT


@pytest.mark.knobs(somaxconn=2)
def test_the_accept_queue_is_asked_by_the_third_segment(listening):
    """Backlog 2: three wait."""
    others = [listening.another(PEER_PORT + n) for n in range(1, 5)]
    for other in others:
        other.arrives("S", mss=1460)
        other.expects("SA")
    for other in others[:3]:
        other.arrives("A")
        assert other.state == State.ESTABLISHED
    others[3].arrives("A")
    others[3].expects("R", seq=1)
    assert others[3].state == State.CLOSED
    assert listening.host.stack.causes["AcceptQueueFull"] == 1


@pytest.mark.knobs(tcp_timestamps=2, tolerate_missing_ts=0)
@pytest.mark.parametrize("ack", [1, 5])
def test_an_ack_without_the_timestamp_that_was_agreed_is_dropped(syn_received, ack):
    syn_received.timestamps = False
    syn_received.arrives("A", ack=ack)
    syn_received.expects(SILENCE)
    assert syn_received.state == State.SYN_RECEIVED
    syn_received.timestamps = True
    syn_received.arrives("A")
    assert syn_received.state == State.ESTABLISHED
