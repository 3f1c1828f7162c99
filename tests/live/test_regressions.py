"""What the kernel once proved the engine wrong in, replayed on both; and what is known to differ, which does.

A file of ``regressions`` is a scenario in the corpus format as the kernel answered it; ``known_NAME`` shows
the known difference of that name.
"""

import pytest

from tests.corpus.adapter import Host
from tests.corpus.interpreter import execute
from tests.live.base import config_of
from tests.live.comparison import differences
from tests.live.differences import kept_scenarios, on_engine
from tests.live.lab import compared
from tests.live.rules import PENDING, RULES, excuse
from tests.reference.engine import ReferenceEngine

KEPT = kept_scenarios()
SHOWN = {scenario["name"].removeprefix("known_"): scenario for scenario in KEPT
         if scenario["name"].startswith("known_")}
#: Which the kernel does not do twice alike, and two that take it half a minute.
ACCIDENTS = {"known_cookie_clock", "known_given_up_by_time", "known_full_socket_by_rto"}
REPEATED = [scenario for scenario in KEPT if scenario["name"] not in ACCIDENTS]
MENDED = [scenario for scenario in KEPT if not scenario["name"].startswith("known_")]


def each(scenarios):
    return pytest.mark.parametrize("scenario", scenarios, ids=[scenario["name"] for scenario in scenarios])


@each(MENDED)
def test_the_engine_answers_as_the_kernel_did(scenario):
    assert compared(scenario, scenario["steps"], on_engine(scenario)) == []


@each([scenario for scenario in MENDED if "cookie" not in scenario["name"]])
def test_the_reference_answers_as_the_kernel_did(scenario):
    """Which reads no cookies."""
    host = Host(ReferenceEngine(config_of(scenario)))
    assert compared(scenario, scenario["steps"], execute(scenario, host)) == []


@pytest.mark.parametrize("name", [*RULES, *PENDING])
def test_a_known_difference_is_one(name):
    """Or it goes off the list."""
    assert name in SHOWN, "no regressions/known_*.json shows it"
    scenario = SHOWN[name]
    played = on_engine(scenario)
    found = differences(scenario["steps"], played)
    assert found and excuse(scenario, scenario["steps"], played, found[0]) == name


def test_an_engine_that_is_wrong_is_told_from_the_kernel(lab):
    scenario = next(kept for kept in KEPT if kept["name"] == "close_wait_text_over_the_fin")
    wrong = on_engine(scenario, text_over_fin_resets=0)
    right = on_engine(scenario)
    told, untold = lab.differences([(scenario, wrong), (scenario, right)])
    if told is None or untold is None:
        pytest.skip("the machine is too busy for real time")
    assert told and not untold


@pytest.fixture(scope="module")
def found(lab):
    """All of them at once: how the kernel's answers differ from those kept."""
    return dict(zip([scenario["name"] for scenario in REPEATED],
                    lab.differences([(scenario, scenario["steps"]) for scenario in REPEATED]), strict=True))


@each(REPEATED)
def test_the_kernel_answers_as_it_did(scenario, found):
    if found[scenario["name"]] is None:
        pytest.skip("the machine is too busy for real time")
    assert found[scenario["name"]] == []
