"""The compiled event loop against the reference implementation, over random small scenarios."""

import dataclasses

from hypothesis import HealthCheck, given, settings

from tests.reference.simulator import simulate
from tests.sim.scenarios import configs, differences, play, scenarios

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, suppress_health_check=SLOW)
@given(scenarios())
def test_the_loop_does_what_the_reference_does(scenario):
    seen, outcome, engines = play(scenario)
    wanted, _ = simulate(scenario, *configs(scenario))
    assert differences(seen, wanted) == []
    assert [engine.check() for engine in engines] == [[]] * len(engines)
    for load in outcome.loads:
        parts = load.served + load.ghost + load.gave_up + load.reset + load.pending + load.not_started
        assert parts + sum(load.refused.values()) == load.attempted


@settings(max_examples=60, suppress_health_check=SLOW)
@given(scenarios())
def test_the_batch_changes_nothing(scenario):
    one = dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, batch=1))
    assert differences(play(scenario)[0], play(one)[0]) == []
