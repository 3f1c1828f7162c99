"""A FIN that waits behind a gap, and text before, over and behind its number, as Linux 6.18 takes them.

Recorded as `tests/live` records, in ``tests/data/waiting_fin.json``; replayed on both stacks. Source:
tcp_data_queue_ofo and tcp_ofo_queue.
"""

import pytest

from tcpcore import Engine
from tests.corpus.interpreter import load
from tests.corpus.test_silence import DATA, replay
from tests.reference.engine import ReferenceEngine

RECORDED = load(DATA / "waiting_fin.json")


@pytest.mark.parametrize("stack", [Engine, ReferenceEngine], ids=["engine", "reference"])
@pytest.mark.parametrize("scenario", RECORDED["scenarios"], ids=lambda scenario: scenario["name"])
def test_a_fin_that_waits_is_met_as_recorded(scenario, stack):
    replay(RECORDED, scenario, stack)
