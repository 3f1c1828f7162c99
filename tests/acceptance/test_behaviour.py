"""The number of the simulator's behaviour goes up when a scenario and a seed come to something else."""

import json

import pytest

from loadgen.report.result import BEHAVIOUR
from tests.acceptance.behaviour import FILE, RUNS, figures

SAID = json.loads(FILE.read_text())
HOW = "raise loadgen.report.result.BEHAVIOUR, then python -m tests.acceptance.behaviour"


@pytest.mark.parametrize("name", RUNS)
def test_figures_are_those_of_this_behaviour(name):
    """A counter that is new changes nothing."""
    found = json.loads(json.dumps(figures(name)))
    assert {key: found.get(key) for key in SAID["runs"][name]} == SAID["runs"][name], HOW


def test_the_number_is_that_of_the_figures():
    assert SAID["behaviour"] == BEHAVIOUR and set(SAID["runs"]) == set(RUNS), HOW
