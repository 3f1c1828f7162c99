"""Timestamps: negotiated, echoed, and old duplicates told by them (RFC 7323 3.2, 4.3, 5.3)."""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import OPT_TS, PEER, RTT, SILENCE
from tests.requirements.verdicts import deviates, requirement

HOUR = 3600

# 2: without an offset of its own, the stack's TSval wraps in these dialogues as the peer's does.
pytestmark = pytest.mark.knobs(tcp_timestamps=2)


def test_each_answer_echoes_what_it_answers(established):
    for at in (1, 2, 3):
        established.arrives("A", length=10, at=at)
        established.expects("A", tsecr=established.clock())


@pytest.mark.parametrize("age, acknowledged", [(1, 11), (2, 1)])
def test_one_tick_is_not_old_on_linux(established, age, acknowledged):
    established.arrives("A", seq=1, length=10, tsval=-age)
    established.expects("A", ack=acknowledged)


def test_an_old_pure_acknowledgement_is_not_answered(established):
    established.arrives("A", seq=0, tsval=-1000)
    established.expects(SILENCE)


def test_what_has_a_bad_acknowledgement_leaves_ts_recent_alone(established):
    before = established.clock()
    established.arrives("A", seq=1, ack=2, length=10, at=1)
    established.expects("A", ack=1, tsecr=before)
    established.arrives("S", seq=1, at=2)
    established.expects("A", ack=1, tsecr=before)


def test_a_half_open_entry_takes_it_with_the_third_segment_only(syn_received):
    before = syn_received.clock()
    syn_received.arrives("R", seq=5, at=0.5)
    syn_received.expects("A", ack=1, tsecr=before)


def test_an_echo_times_a_resent_syn_ack(syn_received):
    """RFC 7323 4.1: Karn's ambiguity is gone."""
    syn_received.expects("SA", at=1)
    syn_received.arrives("A", at=1 + RTT)
    assert syn_received.accept()
    syn_received.send(10)
    syn_received.expects("A", length=10)
    syn_received.expects("A", seq=1, length=10, at=1 + 4 * RTT)
    syn_received.arrives("A")
    syn_received.wait(100)


def test_an_echo_of_long_ago_is_no_round_trip(established):
    """Linux: tcp_rtt_tsopt_us; what was timed is one."""
    established.send(10)
    established.expects("A", length=10)
    established.arrives("A", at=RTT, tsecr=-3_000_000)
    established.send(10)
    established.expects("A", length=10)
    established.expects("A", seq=11, length=10, at=4 * RTT)


def test_a_peer_without_them_gets_none(listening):
    listening.timestamps = False
    listening.arrives("S", mss=1460)
    listening.expects("SA")
    assert not listening.tsval
    listening.arrives("A", at=RTT)
    listening.arrives("A", length=10)
    listening.expects("A", tsecr=0)


def test_third_segment_with_an_old_timestamp_does_not_complete(syn_received):
    syn_received.arrives("A", seq=1, tsval=-1000)
    syn_received.expects("A", ack=1)
    assert syn_received.state == State.SYN_RECEIVED


@pytest.mark.parametrize("tsecr", [-1, 12_345])
def test_syn_ack_that_echoes_what_was_never_sent_is_reset(syn_sent, tsecr):
    syn_sent.arrives("SA", seq=0, mss=1460, tsecr=tsecr)
    syn_sent.expects("R", seq=1)
    assert syn_sent.state == State.SYN_SENT
    syn_sent.arrives("SA", mss=1460)
    syn_sent.expects("A")
    assert syn_sent.state == State.ESTABLISHED


def test_old_fin_in_time_wait_is_acknowledged(time_wait):
    time_wait.arrives("FA", seq=1, tsval=-1000, at=RTT)
    time_wait.expects("A")
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.knobs(tcp_timestamps=2, tcp_rfc1337=1)
def test_a_reset_that_time_wait_ignores_has_a_timestamp_all_the_same(time_wait):
    time_wait.arrives("R", at=1)
    latest = time_wait.clock()
    time_wait.arrives("A", length=1, at=2)
    time_wait.expects("A", ack=time_wait.said - 1, tsecr=latest)


@pytest.mark.knobs(tcp_timestamps=2, tcp_syn_linear_timeouts=0)
def test_a_resent_syn_has_its_own_timestamp(syn_sent):
    first = syn_sent.tsval
    syn_sent.expects("S", at=1, opts=1 | OPT_TS)
    assert (syn_sent.tsval - first) % (1 << 32) == 1000
    syn_sent.expects(SILENCE)


# -- what RFC 7323 asks


@requirement("RFC7323 3.2")
@pytest.mark.knobs(tcp_timestamps=2)
def test_once_agreed_every_segment_carries_them(established):
    established.send(100)
    established.expects("A", length=100, opts=OPT_TS)
    established.arrives("A", length=10)
    established.expects("A", opts=OPT_TS, within=0.5)
    established.shutdown()
    established.expects("FA", opts=OPT_TS)


@requirement("RFC7323 3.2")
@pytest.mark.knobs(tcp_timestamps=2)
def test_a_syn_echoes_zero(closed):
    assert closed.connect()
    closed.expects("S", tsecr=0)


@requirement("RFC7323 4.3")
@pytest.mark.knobs(tcp_timestamps=2)
def test_what_is_echoed_is_the_last_in_order(established):
    """Not that of a segment ahead of a gap."""
    established.host.run(established.host.now + 1_000_000_000)
    stamped = established.clock()
    established.arrives("A", length=10)
    established.expects("A", tsecr=stamped, within=0.5)
    established.host.run(established.host.now + 1_000_000_000)
    established.arrives("A", seq=31, length=10)
    established.expects("A", ack=11, tsecr=stamped)


@requirement("RFC7323 5.3 R1")
@pytest.mark.knobs(tcp_timestamps=2)
def test_an_older_timestamp_is_acknowledged_and_dropped(established):
    established.arrives("A", seq=1, length=10, tsval=-1000)
    established.expects("A", ack=1)


@requirement("RFC7323 5.3 R1", freebsd=deviates("without text it is not answered", paws_answers="all"))
@pytest.mark.knobs(tcp_timestamps=2)
def test_an_older_timestamp_without_text_too(established):
    established.arrives("FA", seq=1, tsval=-1000)
    assert established.state == State.ESTABLISHED
    established.expects("A", ack=1)


@requirement("RFC7323 5.2 RST")
@pytest.mark.knobs(tcp_timestamps=2)
def test_a_reset_is_not_judged_by_its_timestamp(established):
    established.arrives("R", tsval=-1000)
    assert established.state == State.CLOSED


@requirement("RFC7323 5.5")
@pytest.mark.knobs(tcp_timestamps=2)
def test_after_24_idle_days_a_timestamp_has_worn_out(established):
    established.wait(25 * 24 * HOUR)
    established.arrives("A", length=10, tsval=-25 * 24 * HOUR * 1000 - 5000)
    established.expects("A", ack=11, within=0.5)


@requirement("RFC7323 3.2 missing",
             linux=deviates("it is taken", tolerate_missing_ts=0),
             freebsd=deviates("it is taken", tolerate_missing_ts=0))
@pytest.mark.knobs(tcp_timestamps=2)
def test_a_segment_that_lacks_the_agreed_option_is_dropped_but_a_reset(established):
    established.timestamps = False
    established.arrives("A", seq=1, length=10)
    established.expects(SILENCE, at=1)
    established.arrives("R", seq=1)
    assert established.state == State.CLOSED


@requirement("RFC7323 5.4")
def test_timestamps_tick_once_a_millisecond(stack, profile):
    first, later = (
        stack(profile).connect(PEER, 80, now, sport=5)[1][0]["tsval"] for now in (0, 7_000_000)
    )
    assert (int(later) - int(first)) % (1 << 32) == 7


@requirement("RFC7323 7.1")
def test_their_origin_differs_from_peer_to_peer(stack, profile):
    origins = {int(stack(profile).connect(f"10.0.1.{n}", 80, 0)[1][0]["tsval"]) for n in range(1, 50)}
    assert len(origins) == 49
