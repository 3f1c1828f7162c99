"""The compiled event loop against the reference implementation, over random small scenarios."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadgen.scenario.model import Client, Closes, Event, Link, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from tests.reference.simulator import simulate
from tests.sim.scenarios import MS, S, configs, differences, play, scenarios

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


def does_what_the_reference_does(scenario):
    seen, outcome, engines = play(scenario)
    wanted, _ = simulate(scenario, *configs(scenario))
    assert differences(seen, wanted) == []
    assert [engine.check() for engine in engines] == [[]] * len(engines)
    for load in outcome.loads:
        parts = load.served + load.ghost + load.gave_up + load.reset + load.pending + load.not_started
        assert parts + sum(load.refused.values()) == load.attempted


def does_the_same_by_ones(scenario):
    one = dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, batch=1))
    assert differences(play(scenario)[0], play(one)[0]) == []


@settings(max_examples=60, suppress_health_check=SLOW)
@given(scenarios())
def test_the_loop_does_what_the_reference_does(scenario):
    does_what_the_reference_does(scenario)


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
    does_what_the_reference_does(scenario)


@settings(max_examples=60, suppress_health_check=SLOW)
@given(scenarios())
def test_the_batch_changes_nothing(scenario):
    does_the_same_by_ones(scenario)


@pytest.mark.parametrize(
    ("closes", "loss"),
    [
        (Closes(), {}),
        (Closes(server=1.0), {}),
        (Closes(reset=0.5), {}),
        (Closes(), {"all": 0.05}),
        (Closes(server=1.0), {"all": 0.05}),
    ],
)
def test_a_drained_run_leaves_nothing(closes, loss):
    """Every connection has ended, TIME_WAIT too: no block is in use, and the engines are sound.

    Not so where a RST may be lost: nobody tells the other end, and without keepalive it waits for ever.
    """
    load = Load(
        arrivals="poisson", shape=((0, 200.0),), hold=Distribution("exp", 50.0 * MS), request=10, response=10
    )
    scenario = Scenario(
        load=(load,),
        client=Client(hosts=3),
        server=Server(closes=closes),
        link=Link(rtt=Distribution("const", 20.0 * MS), loss=loss),
        run=Run(4 * S, series_ns=0, drain=True),
    )
    _, outcome, engines = play(scenario)
    assert outcome.left == {"client": 0, "server": 0}
    assert [engine.check() for engine in engines] == [[]] * len(engines)
    assert outcome.loads[0].pending == 0


@pytest.mark.parametrize(
    ("first", "event"),
    [
        (Load("first", "paced", shape=((0, 1.0),), count=10), ()),
        (
            Load("first", "paced", shape=((0, 10.0),), count=10, hold=Distribution("const", 10.0 * S)),
            (Event(1100 * MS, "reset-all", reconnect_within_ns=100 * MS),),
        ),
    ],
    ids=["before the first has begun", "after a reset-all"],
)
def test_ports_used_again_where_there_are_none(first, event):
    """Such a connection has any port: it was an address out of nothing, and the end of the process."""
    again = Load("again", "paced", shape=((0, 20.0),), start_ns=S, count=10, again="first")
    scenario = Scenario(load=(first, again), event=event, client=Client(hosts=3), run=Run(5 * S))
    does_what_the_reference_does(scenario)
    assert play(scenario)[1].loads[1].attempted >= 10
