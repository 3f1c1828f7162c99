"""FreeBSD's answer to blind RSTs and SYNs, at each edge of the window, and its three switches.

RFC 5961 3.2 and 4.2; net.inet.tcp.insecure_rst, insecure_syn, drop_synfin.
"""

import pytest

from tcpcore import State
from tests.dialogues.dialogue import SILENCE

pytestmark = pytest.mark.profile("freebsd")

WINDOW = 65_700                       # 65536 rounded up to whole segments, though 65535 is advertised
INSIDE = [1, 1000, WINDOW - 1]
OUTSIDE = [-1, -1000, WINDOW, WINDOW + 1, 1 << 31]


def test_the_exact_reset_kills(connected):
    connected.arrives("R")
    connected.expects(SILENCE)
    assert (connected.state, connected.error) == (State.CLOSED, "ECONNRESET")


@pytest.mark.parametrize("flags", ["R", "RA", "SR", "FR"])
@pytest.mark.parametrize("ahead", INSIDE)
def test_a_reset_elsewhere_in_the_window_is_challenged_at_snd_nxt(connected, ahead, flags):
    state = connected.state
    connected.arrives(flags, seq=connected.said + ahead)
    connected.expects("A")
    assert connected.state == state


def test_challenges_are_not_rationed(established):
    for ahead in (1, 2, 3):
        established.arrives("R", seq=established.said + ahead)
        established.expects("A")


@pytest.mark.parametrize("ahead", OUTSIDE)
@pytest.mark.parametrize("insecure", [
    pytest.param(0, id="secure"), pytest.param(1, marks=pytest.mark.knobs(insecure_rst=1), id="insecure")])
def test_a_reset_outside_the_window_is_silent(connected, ahead, insecure):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert connected.state == state


def test_a_reset_is_judged_by_its_number_and_not_by_its_text(established):
    established.arrives("R", seq=0, length=100)
    established.expects(SILENCE)
    assert established.state == State.ESTABLISHED


@pytest.mark.knobs(insecure_rst=1)
@pytest.mark.parametrize("ahead", [0, *INSIDE])
def test_with_insecure_rst_any_reset_in_the_window_kills(connected, ahead):
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert (connected.state, connected.error) == (State.CLOSED, "ECONNRESET")


@pytest.mark.knobs(insecure_syn=1)
@pytest.mark.parametrize("ahead", [0, *INSIDE])
def test_with_insecure_syn_one_in_the_window_drops_the_connection(connected, ahead):
    connected.arrives("S", seq=connected.said + ahead)
    connected.expects("RA", wnd=0)
    assert (connected.state, connected.error) == (State.CLOSED, "ECONNRESET")


@pytest.mark.knobs(insecure_syn=1)
@pytest.mark.parametrize("ahead", OUTSIDE)
def test_with_insecure_syn_one_outside_the_window_is_still_challenged(connected, ahead):
    state = connected.state
    connected.arrives("S", seq=connected.said + ahead)
    connected.expects("A")
    assert connected.state == state


@pytest.mark.knobs(drop_synfin=1)
def test_drop_synfin_swallows_syn_with_fin(connected):
    state = connected.state
    connected.arrives("SF", seq=connected.said)
    connected.expects(SILENCE)
    assert connected.state == state


@pytest.mark.knobs(drop_synfin=1)
def test_drop_synfin_in_listen(listening):
    listening.arrives("SF")
    listening.expects(SILENCE)


def test_without_it_syn_with_fin_opens_and_the_fin_is_forgotten(listening):
    listening.arrives("SF")
    listening.expects("SA", ack=1)
    listening.arrives("A", seq=1)
    assert listening.state == State.ESTABLISHED


@pytest.mark.knobs(drop_synfin=1)
def test_drop_synfin_in_syn_sent(syn_sent):
    syn_sent.arrives("SF", seq=0)
    syn_sent.arrives("SFA", seq=0)
    syn_sent.expects(SILENCE)
    assert syn_sent.state == State.SYN_SENT


@pytest.mark.knobs(drop_synfin=1)
@pytest.mark.parametrize("ahead", [-1000, 0, 1, 1000])
def test_drop_synfin_in_time_wait(time_wait, ahead):
    time_wait.arrives("SF", seq=time_wait.said + ahead)
    time_wait.arrives("SFA", seq=time_wait.said + ahead)
    time_wait.expects(SILENCE)
    assert time_wait.state == State.TIME_WAIT


@pytest.mark.parametrize("flags, answered_up_to", [
    ("S", 0), ("SA", 0), ("A", 1), ("F", 1), ("", 1), ("R", -1)])
@pytest.mark.parametrize("blackhole", [
    pytest.param(n, marks=pytest.mark.knobs(blackhole=n)) for n in (0, 1, 2)])
def test_blackhole_silences_a_closed_port(closed, blackhole, flags, answered_up_to):
    """1: to what carries a SYN; 2: to everything."""
    closed.iss = 0
    closed.arrives(flags, seq=500, ack=77)
    if blackhole <= answered_up_to:
        if "A" in flags:
            closed.expects("R", seq=77)
        else:
            closed.expects("RA", seq=0, ack=500 + len(flags))
    closed.expects(SILENCE)
