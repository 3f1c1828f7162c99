"""pytest-benchmark: the listeners and their queues alone, one Python call per step.

Python's calls are most of the time, so this compares revisions only; in the engine a step costs a few
instructions.
"""

import pytest

from tests.extensions.listeners import Listeners

BATCH = 4096

pytestmark = pytest.mark.benchmark(group="listeners")


@pytest.mark.parametrize("listeners", [1, 1000])
def test_find(measure, listeners):
    """The listener of a SYN."""
    table = Listeners()
    ports = range(1, listeners + 1)
    for port in ports:
        table.open(0x0A000001, port, 1024)

    def find():
        for i in range(BATCH):
            table.find(0x0A000001, 1 + i % listeners)

    measure(find, listeners, BATCH)
    assert table.find(0x0A000001, listeners)


def test_through_both_queues(measure):
    """Half-open, established, accepted."""
    table = Listeners()
    web = table.open(0x0A000001, 80, BATCH)

    def through():
        for ref in range(1, BATCH + 1):
            table.half_opened(web)
            table.half_gone(web, False)
            table.push(web, ref)
        for _ in range(BATCH):
            table.pop(web)

    measure(through, BATCH, BATCH)
    assert table.counts(web)[0] == 0 and table.check() == []
