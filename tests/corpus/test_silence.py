"""A peer that is silent, as Linux 6.18 meets it: when it asks again, and when it gives up.

Recorded as `tests/live` records, in ``tests/data/silence.json``: orphans, a small ``tcp_rto_max_ms``, loss
probes (SACK and ``tcp_early_retrans`` 3), keepalive and TCP_USER_TIMEOUT; in ``tests/data/linger.json``: a
close() with SO_LINGER; in ``tests/data/closed_window.json``: FIN and RST at a window of 0. Replayed on both
stacks.
"""

from pathlib import Path

import pytest

from tcpcore import Engine
from tests.corpus.adapter import Host, configuration, without_counterpart
from tests.corpus.interpreter import compare, execute, load
from tests.reference.engine import ReferenceEngine

DATA = Path(__file__).parent.parent / "data"
SILENCE, LINGER, CLOSED = (load(DATA / f"{name}.json") for name in ("silence", "linger", "closed_window"))


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", SILENCE["scenarios"], ids=lambda scenario: scenario["name"])
def test_a_silent_peer_is_met_as_recorded(scenario, stack):
    replay(SILENCE, scenario, stack)


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", LINGER["scenarios"], ids=lambda scenario: scenario["name"])
def test_a_close_lingers_as_recorded(scenario, stack):
    replay(LINGER, scenario, stack)


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", CLOSED["scenarios"], ids=lambda scenario: scenario["name"])
def test_a_closed_window_is_met_as_recorded(scenario, stack):
    replay(CLOSED, scenario, stack)


def replay(recording, scenario, stack):
    assert not without_counterpart(scenario)
    host = Host(stack(configuration(recording["about"]["base_sysctl"], scenario["sysctl"])))
    played = execute(scenario, host)
    assert compare(scenario["steps"], played, scenario["name"]) == []
    assert host.stack.check() == []
