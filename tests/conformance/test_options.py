"""Options of SYNs, and timestamps: RFC 9293 3.7.1, RFC 7323; `profile` is the profile off the bench."""

import pytest

from tcpcore import Engine, State, segments
from tests.conformance.verdicts import deviates
from tests.dialogue import LOCAL, LOCAL_PORT, OPT_TS, PEER, RTT, SILENCE

requirement = pytest.mark.requirement
MSS, WSCALE, SACK = 1, 2, 4
HOUR = 3600


def synack(profile, **options):
    """How the profile answers a SYN with these options."""
    host = Engine(profile)
    host.listen(LOCAL, LOCAL_PORT)
    syn = segments(1, src=PEER, dst=LOCAL, sport=1, dport=LOCAL_PORT, flags=2, wnd=1000, **options)
    return host.receive(syn, 5_000_000_000)[0]


def syn(profile):
    return Engine(profile).connect(PEER, 80, 5_000_000_000)[1][0]


# -- MSS


@requirement("RFC9293 MUST-14", "RFC9293 SHLD-5", "RFC9293 MAY-3")
def test_every_syn_carries_the_mss(profile):
    for mss in (1460, 536, 9000):
        profile = profile.replace(mss=mss)
        for sent in (syn(profile), synack(profile), synack(profile, mss=1000)):
            assert sent["opts"] & MSS and sent["mss"] == mss


@requirement("RFC9293 MUST-14", "RFC9293 MUST-16")
@pytest.mark.parametrize("offered", [100, 1000, 1460])
def test_the_peers_mss_is_heeded(listening, offered):
    listening.arrives("S", mss=offered)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(offered + 10)
    listening.expects("A", length=offered)
    listening.expects("A", length=10)
    listening.arrives("A")


@requirement("RFC9293 MUST-15")
def test_without_the_option_the_peers_mss_is_536(listening):
    listening.arrives("S")
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(600)
    listening.expects("A", length=536)
    listening.expects("A", length=64)
    listening.arrives("A")


@requirement("RFC9293 MUST-65")
def test_only_syns_carry_the_mss(established):
    established.send(100)
    established.expects("A", length=100, opts=0)
    established.arrives("A", length=10)
    established.expects("A", opts=0, within=0.5)
    established.shutdown()
    established.expects("FA", opts=0)


@requirement("RFC9293 MUST-16")
@pytest.mark.knobs(tcp_timestamps=2)
def test_the_timestamps_option_is_taken_off_the_segment(established):
    established.send(3000)
    established.expects("A", length=1448)
    established.expects("A", length=1448)
    established.expects("A", length=104)
    established.arrives("A")


@requirement("RFC9293 MUST-5")
def test_an_mss_option_outside_a_syn_changes_nothing(established):
    established.arrives("A", mss=100)
    established.send(1460)
    established.expects("A", length=1460)
    established.arrives("A")


# -- window scale


@requirement("RFC7323 2.2")
def test_a_syn_ack_has_the_options_of_the_syn_only(profile):
    assert synack(profile, mss=1460)["opts"] == MSS
    assert synack(profile, mss=1460, wscale=3)["opts"] == MSS | WSCALE
    assert synack(profile, mss=1460, tsval=7)["opts"] == MSS | OPT_TS
    assert synack(profile, mss=1460, opts=MSS | SACK)["opts"] == MSS | SACK


@requirement("RFC7323 2.2")
def test_the_shift_makes_the_buffer_fit(profile):
    for buffer, least in ((65_535, 0), (1 << 17, 1), (1 << 20, 4), (1 << 29, 14)):
        sent = syn(profile.replace(rcv_buf=buffer))
        assert sent["wscale"] >= least and sent["wscale"] <= 14


def established_with(profile, shift, wnd):
    """SND.WND and the bytes in flight after a handshake with this offer and a great SEND."""
    host = Engine(profile)
    listener = host.listen(LOCAL, LOCAL_PORT)
    flow = {"src": PEER, "dst": LOCAL, "sport": 1, "dport": LOCAL_PORT, "wnd": wnd}
    (answer,) = host.receive(segments(1, flags=2, mss=1000, wscale=shift, **flow), 0).copy()
    numbers = {"seq": 1, "ack": (int(answer["seq"]) + 1) % (1 << 32)}
    host.receive(segments(1, flags=16, **numbers, **flow), 1_000_000)
    (conn,) = host.accept(listener)
    return int(host.send(conn, 1 << 30, 1_000_000)["payload_len"].sum())


@requirement("RFC7323 2.2", "RFC7323 2.3", "RFC9293 REC-1")
def test_windows_outside_syns_are_scaled(profile):
    assert established_with(profile, 3, 1000) == 8000


@requirement("RFC7323 2.3")
def test_a_shift_above_14_counts_as_14(profile):
    assert established_with(profile, 200, 1) == established_with(profile, 14, 1) == 16_000


@requirement("RFC7323 2.2", "RFC9293 MUST-1")
@pytest.mark.knobs(tcp_window_scaling=1)
def test_the_window_of_a_syn_is_not_scaled(syn_sent):
    """The SYN-ACK offers 2000 bytes, whatever its shift says."""
    syn_sent.send(5000)
    syn_sent.arrives("SA", mss=1000, wscale=7, wnd=2000, at=RTT)
    syn_sent.expects("A", length=1000)
    syn_sent.expects("A", length=1000)
    syn_sent.expects(SILENCE, at=2 * RTT)
    syn_sent.abort()
    syn_sent.host.heard.clear()


@requirement("RFC9293 MUST-1")
def test_the_largest_window_is_unsigned(listening):
    listening.arrives("S", mss=1460, wnd=65_535)
    listening.expects("SA")
    listening.arrives("A", wnd=65_535)
    assert listening.accept()
    listening.send(44 * 1460)
    for _ in range(44):
        listening.expects("A", length=1460)
    listening.arrives("A", wnd=65_535)


# -- timestamps


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
             linux=deviates("it is taken", tolerate_missing_ts=0))
@pytest.mark.knobs(tcp_timestamps=2)
def test_a_segment_that_lacks_the_agreed_option_is_dropped(established):
    established.timestamps = False
    established.arrives("A", seq=1, length=10)
    established.expects(SILENCE, at=1)


@requirement("RFC7323 5.4")
def test_timestamps_tick_once_a_millisecond(profile):
    first, later = (
        Engine(profile).connect(PEER, 80, now, sport=5)[1][0]["tsval"] for now in (0, 7_000_000)
    )
    assert (int(later) - int(first)) % (1 << 32) == 7


@requirement("RFC7323 7.1")
def test_their_origin_differs_from_peer_to_peer(profile):
    origins = {int(Engine(profile).connect(f"10.0.1.{n}", 80, 0)[1][0]["tsval"]) for n in range(1, 50)}
    assert len(origins) == 49
