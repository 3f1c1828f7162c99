"""Options of SYNs: MSS (RFC 9293 3.7.1) and window scale (RFC 7323 2); `profile` is off the bench."""

import pytest

from tcpcore import segments
from tests.dialogues.dialogue import LOCAL, LOCAL_PORT, OPT_TS, PEER, RTT, SILENCE
from tests.requirements.verdicts import deviates, requirement

MSS, WSCALE, SACK = 1, 2, 4
def synack(stack, profile, **options):
    """How the profile answers a SYN with these options."""
    host = stack(profile)
    host.listen(LOCAL, LOCAL_PORT)
    syn = segments(1, src=PEER, dst=LOCAL, sport=1, dport=LOCAL_PORT, flags=2, wnd=1000, **options)
    return host.receive(syn, 5_000_000_000)[0]


def syn(stack, profile):
    return stack(profile).connect(PEER, 80, 5_000_000_000)[1][0]


# -- MSS


@requirement("MUST-14", "SHLD-5", "MAY-3")
def test_every_syn_carries_the_mss(stack, profile):
    for mss in (1460, 536, 9000):
        profile = profile.replace(mss=mss)
        for sent in (syn(stack, profile), synack(stack, profile), synack(stack, profile, mss=1000)):
            assert sent["opts"] & MSS and sent["mss"] == mss


@requirement("MUST-14", "MUST-16")
@pytest.mark.parametrize("offered", [300, 1000, 1460])
def test_the_peers_mss_is_heeded(listening, offered):
    listening.arrives("S", mss=offered)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(offered + 10)
    listening.expects("A", length=offered)
    listening.expects("A", length=10)
    listening.arrives("A")


@requirement("MUST-14", "MUST-16", freebsd=deviates("216 at least", tcp_min_snd_mss=48))
def test_a_small_mss_of_the_peers_is_heeded(listening):
    test_the_peers_mss_is_heeded(listening, 100)


@requirement("MUST-15")
def test_without_the_option_the_peers_mss_is_536(listening):
    listening.arrives("S")
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(600)
    listening.expects("A", length=536)
    listening.expects("A", length=64)
    listening.arrives("A")


@requirement("MUST-65")
def test_only_syns_carry_the_mss(established):
    established.send(100)
    established.expects("A", length=100, opts=0)
    established.arrives("A", length=10)
    established.expects("A", opts=0, within=0.5)
    established.shutdown()
    established.expects("FA", opts=0)


@requirement("MUST-16")
@pytest.mark.knobs(tcp_timestamps=2)
def test_the_timestamps_option_is_taken_off_the_segment(established):
    established.send(3000)
    established.expects("A", length=1448)
    established.expects("A", length=1448)
    established.expects("A", length=104)
    established.arrives("A")


@requirement("MUST-5")
def test_an_mss_option_outside_a_syn_changes_nothing(established):
    established.arrives("A", mss=100)
    established.send(1460)
    established.expects("A", length=1460)
    established.arrives("A")


# -- window scale


@requirement("RFC7323 2.2")
def test_a_syn_ack_has_the_options_of_the_syn_only(stack, profile):
    assert synack(stack, profile, mss=1460)["opts"] == MSS
    assert synack(stack, profile, mss=1460, wscale=3)["opts"] == MSS | WSCALE
    assert synack(stack, profile, mss=1460, tsval=7)["opts"] == MSS | OPT_TS
    assert synack(stack, profile, mss=1460, opts=MSS | SACK)["opts"] == MSS | SACK


@requirement("RFC7323 2.2")
def test_the_shift_makes_the_buffer_fit(stack, profile):
    for buffer, least in ((65_535, 0), (1 << 17, 1), (1 << 20, 4), (1 << 29, 14)):
        sent = syn(stack, profile.replace(rcv_buf=buffer))
        assert sent["wscale"] >= least and sent["wscale"] <= 14


def established_with(stack, profile, shift, wnd):
    """SND.WND and the bytes in flight after a handshake with this offer and a great SEND."""
    host = stack(profile)
    listener = host.listen(LOCAL, LOCAL_PORT)
    flow = {"src": PEER, "dst": LOCAL, "sport": 1, "dport": LOCAL_PORT, "wnd": wnd}
    (answer,) = host.receive(segments(1, flags=2, mss=1000, wscale=shift, **flow), 0).copy()
    numbers = {"seq": 1, "ack": (int(answer["seq"]) + 1) % (1 << 32)}
    host.receive(segments(1, flags=16, **numbers, **flow), 1_000_000)
    (conn,) = host.accept(listener)
    return int(host.send(conn, 1 << 30, 1_000_000)["payload_len"].sum())


@requirement("RFC7323 2.2", "RFC7323 2.3", "REC-1")
def test_windows_outside_syns_are_scaled(stack, profile):
    assert established_with(stack, profile, 3, 1000) == 8000


@requirement("RFC7323 2.3")
def test_a_shift_above_14_counts_as_14(stack, profile):
    assert established_with(stack, profile, 200, 1) == established_with(stack, profile, 14, 1) == 16_000


@requirement("RFC7323 2.2", "MUST-1")
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


@requirement("MUST-1")
def test_the_largest_window_is_unsigned(listening):
    listening.arrives("S", mss=1460, wnd=65_535)
    listening.expects("SA")
    listening.arrives("A", wnd=65_535)
    assert listening.accept()
    listening.send(44 * 1460)
    for _ in range(44):
        listening.expects("A", length=1460)
    listening.arrives("A", wnd=65_535)
