"""Windows, probes and acknowledgements as far as connections depend on them: RFC 9293 3.8.6."""

import pytest

from tcpcore import Config, State
from tests.dialogues.dialogue import RTT, SECOND, SILENCE
from tests.requirements.verdicts import deviates, requirement

AT_ONCE = "acknowledges at once"
PERSMIN = "probes come after 5 s"
PERSIST = {"persmin_ms": None, "persist_interval": "rto"}


# -- zero windows


def probes(dialogue, seconds):
    """When the stack probed in so many seconds of a closed window."""
    host = dialogue.host
    host.run(dialogue.ready + seconds * SECOND)
    times = [(when - dialogue.ready) / SECOND for when, _ in host.heard]
    host.heard.clear()
    return times


@pytest.fixture
def shut(established):
    """100 bytes wait for a window that the peer has closed."""
    established.arrives("A", wnd=0)
    established.settled()
    established.send(100)
    established.expects(SILENCE)
    return established


@requirement("MUST-36", "MUST-35", "SHLD-29", freebsd=deviates(PERSMIN, **PERSIST))
def test_a_closed_window_is_probed_after_one_timeout(shut):
    times = probes(shut, 2)
    assert times and 0.1 <= times[0] <= 1.1
    shut.arrives("A", wnd=1000)
    shut.expects("A", length=100)
    shut.arrives("A")


@requirement("SHLD-30", freebsd=deviates(PERSMIN, **PERSIST))
def test_probes_come_at_doubling_intervals(shut):
    times = [0, *probes(shut, 10)]
    waits = [late - early for early, late in zip(times, times[1:], strict=False)]
    assert len(waits) >= 3
    for shorter, longer in zip(waits, waits[1:], strict=False):
        assert longer == pytest.approx(2 * shorter, rel=0.25)


@requirement("MUST-37")
def test_a_peer_that_answers_may_keep_its_window_closed(shut):
    host = shut.host
    for _ in range(40):
        host.run(host.now + 130 * SECOND)
        assert host.heard, "no probe in 130 s"
        host.heard.clear()
        shut.arrives("A", wnd=0)
    assert shut.state == State.ESTABLISHED
    shut.arrives("A", wnd=1000)
    shut.expects("A", length=100)
    shut.arrives("A")


@requirement("MUST-34")
def test_a_window_that_shrinks_below_what_was_sent_does_no_harm(established):
    established.send(2920)
    established.expects("A", length=1460)
    established.expects("A", length=1460)
    established.arrives("A", ack=1461, wnd=100)
    assert established.state == State.ESTABLISHED
    established.arrives("A", wnd=2000)
    established.send(100)
    established.expects("A", length=100)
    established.arrives("A")


@requirement("SHLD-14")
@pytest.mark.knobs(auto_read=False, rcv_buf=5840)
def test_the_right_edge_never_moves_back(established):
    edge = 0
    for length in (100, 1360, 10, 1450, 1460):
        established.arrives("A", length=length)
        established.host.run(established.host.now + SECOND)
        (_, row), *_ = reversed(established.host.heard)
        established.host.heard.clear()
        assert established.said + int(row["wnd"]) >= edge
        edge = established.said + int(row["wnd"])


# -- silly windows


@requirement("MUST-38")
def test_a_part_of_a_segment_waits_while_a_full_one_is_queued(syn_received):
    peer = syn_received
    peer.arrives("A", wnd=2000, at=RTT)
    assert peer.accept()
    peer.send(4380)
    for at in (0.15, 0.2, 0.25):
        peer.expects("A", length=1460)
        peer.expects(SILENCE, at=at)
        peer.arrives("A", wnd=2000)


@requirement("MUST-39")
@pytest.mark.knobs(auto_read=False, rcv_buf=2920)
def test_a_closed_window_reopens_by_a_segment_at_least(established):
    for _ in range(2):
        established.arrives("A", length=1460)
    established.host.run(established.host.now + SECOND)
    established.host.heard.clear()
    assert established.recv(100) == 100
    established.expects(SILENCE, at=5)
    assert established.recv() == 2820
    (_, row), *_ = established.host.heard
    established.host.heard.clear()
    assert row["wnd"] >= 1460


# -- acknowledgements


@requirement("SHLD-18", linux=deviates(AT_ONCE, delack_ms=40), strict=deviates(AT_ONCE, delack_ms=40))
def test_an_ack_of_text_is_delayed(established):
    established.arrives("A", length=100)
    established.expects(SILENCE, at=0.03)
    established.expects("A", within=0.5)


@requirement("MUST-40")
def test_no_delay_reaches_half_a_second(established, case):
    established.arrives("A", length=100)
    established.expects("A", within=0.499)
    with pytest.raises(ValueError, match="delack_ms"):
        getattr(Config, case.profile)(delack_ms=500)


@requirement("SHLD-19")
def test_every_second_full_segment_is_acknowledged_at_once(established):
    for _ in range(4):
        established.arrives("A", length=1460)
    rows = [row for _, row in established.host.heard]
    established.host.heard.clear()
    assert len(rows) >= 2
    assert int(rows[-1]["ack"]) == (established.irs + established.said) % (1 << 32)


@pytest.mark.parametrize("length, at_once", [(1460, False), (1461, True)])
@pytest.mark.knobs(delack_ms=40)
def test_text_longer_than_a_segment_is_acknowledged_at_once(established, length, at_once):
    """Two that came as one, after receive offload."""
    established.arrives("A", length=length)
    established.expects("A" if at_once else SILENCE)
    established.host.heard.clear()


# -- scaled windows


def scaled(listening):
    """A peer that scales meets a host whose shift is 7 and whose buffer is 64240 bytes, 501.875 units."""
    listening.arrives("S", mss=1460, wscale=7)
    listening.expects("SA", wnd=64240, wscale=7)
    return listening


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7)
@pytest.mark.parametrize("rcv_buf, wnd, shift", [(None, 64240, 7), (4608, 4380, 0), (200_000, 65535, 2)])
def test_a_buffer_of_its_own_has_the_shift_that_it_needs(closed, rcv_buf, wnd, shift):
    """Linux: tcp_select_initial_window."""
    closed.listen(rcv_buf=rcv_buf)
    closed.arrives("S", mss=1460, wscale=7)
    closed.expects("SA", wnd=wnd, wscale=shift)


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7)
def test_a_scaled_window_is_rounded_up(listening):
    scaled(listening).arrives("A", at=RTT)
    listening.arrives("A", seq=0)
    listening.expects("A", wnd=502)


@pytest.mark.profile("freebsd")
@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7, rcv_buf=64240, delack_ms=0)
def test_freebsd_rounds_a_scaled_window_down(listening):
    scaled(listening).arrives("A", at=RTT)
    listening.arrives("A", length=10)
    listening.expects("A", wnd=501)


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7)
def test_the_window_of_a_half_open_entry_is_rounded_down(listening):
    scaled(listening).arrives("R", seq=10)
    listening.expects("A", wnd=501)


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7, auto_read=False)
def test_the_first_text_is_counted_from_the_window_of_the_syn_ack(listening):
    scaled(listening).arrives("A", at=RTT)
    listening.arrives("A", length=112)
    listening.expects("A", wnd=501)               # 64240 - 112 are 501 units
    listening.arrives("A", length=16)
    listening.expects("A", wnd=501)               # 64112 are more than 500: the edge is 16 bytes further


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7, auto_read=False, tcp_invalid_ratelimit=0)
def test_the_window_ends_where_it_was_told_last(listening):
    edge = 1 + 64240
    scaled(listening).arrives("A", at=RTT)
    listening.arrives("A", seq=edge)
    listening.expects(SILENCE)
    listening.arrives("A", seq=edge + 1)          # nothing but the SYN-ACK told it yet
    listening.expects("A", wnd=502)
    listening.arrives("A", seq=edge + 16)         # 502 units
    listening.expects(SILENCE)
    listening.arrives("A", seq=edge + 17)
    listening.expects("A")


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7)
@pytest.mark.parametrize("wscale, length, seq", [(0, 127, 128), (0, 128, 1), (None, 127, 1)])
def test_a_window_that_shrank_by_less_than_a_unit_of_our_shift(listening, wscale, length, seq):
    options = {} if wscale is None else {"wscale": wscale}
    listening.arrives("S", mss=1460, **options)
    listening.expects("SA")
    listening.arrives("A", at=RTT)
    assert listening.accept()
    listening.send(length)
    listening.expects("A", length=length)
    listening.arrives("A", ack=1, wnd=0)
    listening.arrives("A", seq=-999, ack=1, wnd=0)
    listening.expects("A", seq=seq)


@pytest.mark.knobs(tcp_window_scaling=1, rcv_wscale_min=7, auto_read=False)
def test_below_half_of_the_buffer_a_scaled_window_is_rounded_down(listening):
    scaled(listening).arrives("A", at=RTT)
    for _ in range(40):
        listening.arrives("A", length=1600)
        listening.expects("A")
    assert listening.accept()
    assert listening.recv(20_001) == 20_001
    listening.expects("A", wnd=158)               # of 20241 bytes
