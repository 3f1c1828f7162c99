"""A RST ends a connection only by the exact number (RFC 9293 3.10.7.4 (2nd), RFC 5961 3.2)."""

import pytest

from tcpcore import State
from tests.dialogue import SILENCE, WINDOW


def test_exact_number_resets(connected):
    connected.arrives("R")
    connected.expects(SILENCE)
    assert connected.state == State.CLOSED
    assert connected.error is not None


@pytest.mark.parametrize("place, error", [("established", "ECONNRESET"), ("close_wait", "EPIPE")])
def test_the_application_is_told(request, host, place, error):
    dialogue = request.getfixturevalue(place)
    dialogue.arrives("R")
    assert dialogue.error == error


@pytest.mark.parametrize("ahead", [1, 1000, WINDOW - 2])
def test_inexact_number_in_the_window_is_challenged(connected, ahead):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects("A")
    assert connected.state == state


@pytest.mark.parametrize("ahead", [-1000, WINDOW + 2, 1 << 31])
def test_number_outside_the_window_is_ignored(connected, ahead):
    state = connected.state
    connected.arrives("R", seq=connected.said + ahead)
    connected.expects(SILENCE)
    assert connected.state == state


def test_the_number_of_the_peers_fin_resets_too_on_linux(after_fin):
    after_fin.arrives("R", seq=after_fin.said - 1)
    assert after_fin.state == State.CLOSED


def test_the_acknowledgement_of_a_reset_is_not_looked_at(established):
    established.arrives("RA", ack=-100_000)
    assert established.state == State.CLOSED


def test_syn_with_reset_is_a_reset(established):
    established.arrives("SR", seq=5000)
    established.expects("A")
    assert established.state == State.ESTABLISHED
    established.arrives("SR", seq=1)
    assert established.state == State.CLOSED


@pytest.mark.knobs(insecure_rst=1)
def test_any_number_in_the_window_resets_if_so_configured(established):
    established.arrives("R", seq=1000)
    assert established.state == State.CLOSED
