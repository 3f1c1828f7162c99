"""The harness proves itself: the running kernel answers through it as it did when it was recorded."""

import pytest

from tests.corpus.interpreter import CORPUS
from tests.live.lab import SECONDS

#: Seconds; the longer scenarios are `make live`'s.
LONGEST = max(0.7, SECONDS / 60)


def duration(scenario):
    return sum(step.get("within", 0) for step in scenario["steps"])


CHOSEN = [scenario for scenario in CORPUS["scenarios"] if duration(scenario) <= LONGEST]


@pytest.fixture(scope="module")
def played(lab):
    """All of them at once."""
    found = lab.differences([(scenario, scenario["steps"]) for scenario in CHOSEN])
    return dict(zip([scenario["name"] for scenario in CHOSEN], found, strict=True))


@pytest.mark.parametrize("scenario", CHOSEN, ids=[scenario["name"] for scenario in CHOSEN])
def test_the_kernel_answers_as_recorded(scenario, played):
    if played[scenario["name"]] is None:
        pytest.skip("the machine is too busy for real time")
    assert played[scenario["name"]] == []
