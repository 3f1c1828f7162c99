"""Random conversations with the kernel and the engine at once: nothing must tell them apart.

``LIVE_SECONDS`` sets another time than what CI can spare (`make live`: an hour), ``LIVE_SEED`` another
beginning. A difference shrinks to the fewest turns, is printed in the corpus format and kept in
tests/live/regressions.
"""

import os
import time

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

from tests.live.differences import keep, known, on_engine, printed, undecidable
from tests.live.lab import SECONDS
from tests.live.stimuli import EXAMPLES, scenarios

SEED = int(os.environ.get("LIVE_SEED", 0))
#: Between two looks at the clock.
ROUND = 10


class Different(AssertionError):
    """The scenario that shows it, and the kernel's answers."""

    def __init__(self, scenario, differences, answers):
        shown = printed("the kernel answers:", scenario | {"steps": answers})
        super().__init__("\n".join([*differences, shown]))
        self.scenario, self.answers = scenario, answers


def tell_apart(example, lab):
    """How many scenarios were compared; `Different` for the shortest that differs."""
    pairs = [(scenario, on_engine(scenario)) for scenario in scenarios(example)]
    pairs = [(scenario, steps) for scenario, steps in pairs if not undecidable(steps) and not known(steps)]
    found = zip(pairs, lab.differences(pairs), strict=True)
    worst = [(scenario, differences) for (scenario, _), differences in found if differences]
    if worst:
        scenario, differences = min(worst, key=lambda pair: len(pair[0]["steps"]))
        raise Different(scenario, differences, lab.play([scenario])[0].steps)
    return len(pairs)


@pytest.mark.slow
def test_the_engine_answers_as_the_running_kernel(lab, record_property):
    compared = 0

    def converse(number):
        @seed(SEED + number)
        @settings(max_examples=ROUND, deadline=None, derandomize=False, database=None,
                  phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
        @given(EXAMPLES)
        def conversation(example):
            nonlocal compared
            compared += tell_apart(example, lab)
        conversation()

    number, flaky, end = 0, 0, time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            try:
                converse(number)
            except Flaky:                         # seen twice, but never again: the machine, not the engine
                flaky += 1
            number += 1
    except Different as difference:
        name = f"found_{difference.scenario['name']}_{SEED + number}"
        path = keep(difference.scenario | {"name": name}, difference.answers)
        pytest.fail(f"{difference}\nkept as {path}", pytrace=False)
    record_property("scenarios compared", compared)
    record_property("differences that came once", flaky)
    assert flaky <= 1 + number // 20
    assert compared > number                      # most of what is drawn can be told
