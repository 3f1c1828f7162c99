"""pytest-benchmark: the listener's queues alone, through their Python face: a call for each step.

What this compares is one revision with another; in the engine a step costs a few instructions.
"""

import time

import pytest

from tests.extensions.listeners import Listeners

BATCH = 4096

pytestmark = pytest.mark.benchmark(timer=time.process_time)


@pytest.mark.parametrize("listeners", [1, 1000])
def test_find(benchmark, listeners):
    """The listener of a SYN."""
    organ = Listeners()
    ports = range(1, listeners + 1)
    for port in ports:
        organ.open(0x0A000001, port, 1024)

    def find():
        for i in range(BATCH):
            organ.find(0x0A000001, 1 + i % listeners)

    benchmark(find)
    assert organ.find(0x0A000001, listeners)


def test_through_both_queues(benchmark):
    """Half-open, established, accepted."""
    organ = Listeners()
    web = organ.open(0x0A000001, 80, BATCH)

    def through():
        for ref in range(1, BATCH + 1):
            organ.half_opened(web)
            organ.half_gone(web, False)
            organ.push(web, ref)
        for _ in range(BATCH):
            organ.pop(web)

    benchmark(through)
    assert organ.counts(web)[0] == 0 and organ.check() == []
