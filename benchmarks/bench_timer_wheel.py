"""pytest-benchmark: the timer wheel alone, with N slots, one step of 4096 random slots each."""

import itertools

import numpy as np
import pytest

from benchmarks.harness import SIZES
from tests.extensions.timer_wheel import Timers

BATCH = 4096
TWO_MSL = 60_000

pytestmark = pytest.mark.benchmark(group="timer wheel")


@pytest.fixture(params=SIZES)
def slots(request):
    """The number of slots and an endless iterator of random batches of them."""
    n = request.param
    order = np.random.Generator(np.random.PCG64(7)).permutation(n).astype(np.uint32)
    return n, itertools.cycle([order[at : at + BATCH] for at in range(0, n - BATCH + 1, BATCH)])


def test_arm_and_cancel(measure, slots):
    """Resend timers: armed, and cancelled before they fire; the clock moves by 1 ms."""
    n, batches = slots
    timers = Timers(n)

    def resend_timer():
        batch = next(batches)
        timers.arm(batch, timers.clock + 1000)
        timers.cancel(batch)
        timers.pop(timers.clock + 1)

    measure(resend_timer, n, BATCH)
    assert timers.live == 0


def test_time_wait(measure, slots):
    """TIME_WAIT timers: armed for a minute, fired; as many are armed as there are slots."""
    n, batches = slots
    timers = Timers(n)
    step = max(1, TWO_MSL * BATCH // n)
    for _ in range(2 * n // BATCH):
        timers.arm(next(batches), timers.clock + TWO_MSL)
        timers.pop(timers.clock + step)

    def time_wait():
        timers.arm(next(batches), timers.clock + TWO_MSL)
        timers.pop(timers.clock + step)

    measure(time_wait, n, BATCH)
    assert timers.live > 0
