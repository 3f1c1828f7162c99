"""pytest-benchmark: initial sequence numbers by rule, alone and as part of an active open."""

import numpy as np
import pytest

from tcpcore import Engine
from tests.extensions.isn import make

BATCH = 4096
MS = 1_000_000

pytestmark = pytest.mark.benchmark(group="isn")


@pytest.mark.parametrize("rule", ["rfc6528", "rfc793", "random"])
def test_make(measure, rule):
    """The Python call around each number is most of the time: compare the rules, not the figures."""
    sports = np.arange(1024, 1024 + BATCH, dtype=np.uint16)
    numbers = measure(make, BATCH, BATCH, rule, 64, 7, "10.0.0.1", 80, "10.1.0.1", sports, MS)
    assert len(numbers) == BATCH


@pytest.mark.parametrize("rule", ["rfc6528", "rfc793", "random"])
def test_connect_and_abort(measure, rule):
    """The share of the rule in an active open."""
    engine = Engine(capacity=BATCH, isn=rule, tcp_timestamps=0)
    sports = np.arange(1024, 1024 + BATCH, dtype=np.uint16)

    def open_and_abort():
        conns, _ = engine.connect("10.0.0.2", 80, 0, sport=sports)
        engine.abort(conns, 0)

    measure(open_and_abort, BATCH, BATCH)
    assert engine.gauges()["blocks_used"] == 0
