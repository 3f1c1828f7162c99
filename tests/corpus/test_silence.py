"""A peer that is silent, as Linux 6.18 meets it: when it asks again, and when it gives up.

Recorded as `tests/live` records, in ``tests/data/silence.json``: orphans, a small ``tcp_rto_max_ms``, loss
probes (SACK and ``tcp_early_retrans`` 3), keepalive and TCP_USER_TIMEOUT. Replayed on both stacks.
"""

from pathlib import Path

import pytest

from tcpcore import Engine
from tests.corpus.adapter import Host, configuration, without_counterpart
from tests.corpus.interpreter import compare, execute, load
from tests.reference.engine import ReferenceEngine

SILENCE = load(Path(__file__).parent.parent / "data" / "silence.json")


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", SILENCE["scenarios"], ids=lambda scenario: scenario["name"])
def test_a_silent_peer_is_met_as_recorded(scenario, stack):
    assert not without_counterpart(scenario)
    host = Host(stack(configuration(SILENCE["about"]["base_sysctl"], scenario["sysctl"])))
    played = execute(scenario, host)
    assert compare(scenario["steps"], played, scenario["name"]) == []
    assert host.stack.check() == []
