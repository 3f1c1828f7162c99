"""The compiled event loop against the reference implementation, over random small scenarios."""

import dataclasses

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.scenario.model import Event
from loadgen.scenario.values import Distribution
from tests.reference.simulator import simulate
from tests.sim.scenarios import MS, configs, differences, play, scenarios

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


@settings(max_examples=40, suppress_health_check=SLOW)
@given(
    scenarios(),
    st.sampled_from([10 * MS, 50 * MS, 90 * MS]),
    st.lists(st.sampled_from([None, 0, 1 * MS, 20 * MS, 300 * MS]), min_size=1, max_size=3),
)
def test_clients_that_were_reset_come_again_as_in_the_reference(scenario, at, withins):
    """Most random scenarios have no connection left when a reset-all comes: here they last."""
    resets = [Event(at + 7 * i * MS, "reset-all", reconnect_within_ns=w) for i, w in enumerate(withins)]
    scenario = dataclasses.replace(
        scenario,
        event=(*resets, *scenario.event),
        load=[dataclasses.replace(load, hold=Distribution("const", 2e9)) for load in scenario.load],
    )
    seen, _, engines = play(scenario)
    wanted, _ = simulate(scenario, *configs(scenario))
    assert differences(seen, wanted) == []
    assert [engine.check() for engine in engines] == [[]] * len(engines)


@settings(max_examples=60, suppress_health_check=SLOW)
@given(scenarios())
def test_the_batch_changes_nothing(scenario):
    one = dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, batch=1))
    assert differences(play(scenario)[0], play(one)[0]) == []
