"""What Linux does beside its rule of acceptance: each a knob of its own, here turned both ways.

Sources: recorded Linux 6.18; RFC 9293 3.10.7.4, RFC 5961 3.2, RFC 7323 5.3.
"""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import RTT, SILENCE, WINDOW


def turned(knob, *values, **besides):
    """The test runs on a host for each value of the knob, and is told the value."""
    return pytest.mark.parametrize(knob, [
        pytest.param(value, marks=pytest.mark.knobs(**{knob: value, **besides})) for value in values or (1, 0)
    ])  # fmt: skip


@turned("paws_tolerance_ticks", 0, 1, 5, tcp_timestamps=2)
def test_a_timestamp_may_be_so_much_too_old(established, paws_tolerance_ticks):
    established.arrives("A", seq=1, length=10, tsval=-paws_tolerance_ticks - 1)
    established.expects("A", ack=1)
    established.arrives("A", seq=1, length=10, tsval=-paws_tolerance_ticks)
    established.expects("A", ack=11)


@turned("paws_ignores_old_acks", tcp_timestamps=2)
def test_an_old_ack_with_an_old_timestamp(established, paws_ignores_old_acks):
    established.arrives("A", seq=0, tsval=-1000)
    established.expects(*([SILENCE] if paws_ignores_old_acks else ["A"]))


@turned("ts_recent_needs_good_ack", tcp_timestamps=2)
def test_an_ack_of_what_was_never_sent_moves_ts_recent(established, ts_recent_needs_good_ack):
    before = established.clock()
    established.arrives("A", seq=1, ack=2, length=10, at=1)
    established.expects("A", ack=1, tsecr=before if ts_recent_needs_good_ack else established.clock())


@turned("rst_seq_in_window")
def test_a_reset_right_behind_the_window(established, rst_seq_in_window):
    """Acceptable to Linux, as a bare number at the right edge; challenged, or outside by RFC 5961 3.2."""
    established.arrives("R", seq=1 + WINDOW)
    established.expects(*([SILENCE] if rst_seq_in_window else ["A"]))
    assert established.state == State.ESTABLISHED


@turned("fin_fills_buffer", auto_read=False)
def test_a_fin_waits_in_the_buffer(established, fin_fills_buffer):
    established.arrives("FA")
    established.expects("A", wnd=WINDOW - fin_fills_buffer)


@turned("fin_acked_at_once")
def test_a_fin_meets_text_that_may_go_out_by_its_ack(established, fin_acked_at_once):
    for window in (WINDOW, 100):
        established.arrives("A", length=10, wnd=window)
        established.expects("A")
    established.send(300)
    established.shutdown()
    assert established.state == State.FIN_WAIT_1
    established.arrives("FA", ack=1)
    if fin_acked_at_once:
        established.expects("A")
    established.expects("FA", length=300)
    assert established.state == State.CLOSING


@turned("flagless_dropped")
def test_old_text_without_an_ack(established, flagless_dropped):
    established.arrives("F", seq=-30, length=10)
    established.expects(*([SILENCE] if flagless_dropped else ["A"]))
    established.arrives("F", seq=1, length=10)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


@turned("fin_freezes_window", auto_read=False)
def test_reading_after_the_peers_fin(established, fin_freezes_window):
    established.arrives("FA", length=2000)
    established.expects("A", wnd=WINDOW - 2001)
    assert established.recv() == 2000
    established.arrives("FA", seq=2001)
    established.expects("A", wnd=WINDOW - 2001 if fin_freezes_window else WINDOW)


@turned("acceptance", "linux", "rfc")
def test_acceptance_alone_says_what_is_acceptable(established, acceptance):
    """The right edge of the window: inside for Linux. All else that Linux does stays as it is."""
    established.arrives("A", seq=1 + WINDOW)
    established.expects(*([SILENCE] if acceptance == "linux" else ["A"]))
    established.arrives("F", seq=-30)
    established.expects(SILENCE)


# -- what older kernels do (docs/kernel-versions.md)


@turned("beyond_window_dropped", auto_read=False)
def test_text_beyond_the_window_while_some_is_unread(established, beyond_window_dropped):
    """Since Linux 6.17 refused as a whole; before, taken as a whole."""
    established.arrives("A", seq=1, length=10)
    established.expects("A", ack=11)
    established.arrives("A", seq=11, length=WINDOW)
    established.expects("A", ack=11 if beyond_window_dropped else 11 + WINDOW)


@turned("beyond_window_dropped", auto_read=False)
def test_text_beyond_the_window_with_nothing_unread(established, beyond_window_dropped):
    established.arrives("A", seq=1, length=WINDOW + 10)
    established.expects("A", ack=11 + WINDOW)


@turned("tsecr_checked", 0, 1, 2, tcp_timestamps=2)
def test_an_echo_of_no_syn_ack_of_ours(syn_received, tsecr_checked):
    """Linux before 6.15 (2) asks that in SYN-SENT only."""
    syn_received.arrives("A", tsecr=12_345)
    syn_received.expects(*(["A"] if tsecr_checked == 1 else [SILENCE]))
    assert syn_received.state == (State.SYN_RECEIVED if tsecr_checked == 1 else State.ESTABLISHED)


@turned("tsecr_checked", 0, 1, 2, tcp_timestamps=2)
def test_an_echo_of_no_syn_of_ours(syn_sent, tsecr_checked):
    syn_sent.arrives("SA", mss=1460, tsecr=12_345)
    syn_sent.expects("R" if tsecr_checked else "A")
    assert syn_sent.state == (State.SYN_SENT if tsecr_checked else State.ESTABLISHED)


@turned("crossed_synack_opens")
def test_the_syn_ack_of_a_simultaneous_open(syn_sent, crossed_synack_opens):
    """Linux before 6.11: a challenge ACK, whose sender is thereby established, and its answer opens here."""
    syn_sent.arrives("S", mss=1460, at=RTT)
    syn_sent.expects("SA", seq=0, ack=1)
    syn_sent.arrives("SA", seq=0, mss=1460)
    syn_sent.expects("A")
    assert syn_sent.state == (State.ESTABLISHED if crossed_synack_opens else State.SYN_RECEIVED)
    syn_sent.arrives("A", seq=1)
    assert syn_sent.state == State.ESTABLISHED


@turned("paws_idle_s", 2147, 24 * 86_400, tcp_timestamps=2)
def test_a_timestamp_wears_out(established, paws_idle_s):
    """Since Linux 6.7 after 2147 s of silence, before after the 24 days of RFC 7323 5.5."""
    established.wait(2147)
    established.arrives("A", seq=1, length=10, tsval=-2_147_000 - 5000)
    established.expects("A", ack=1)
    established.wait(2149)
    established.arrives("A", seq=1, length=10, tsval=-2_149_000 - 5000)
    established.expects("A", ack=11 if paws_idle_s == 2147 else 1)
