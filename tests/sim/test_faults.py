"""What random scenarios, or reading, have found in the event loop: one scenario each."""

import dataclasses

import pytest

from loadgen.scenario.model import (
    Accept,
    Client,
    Closes,
    Event,
    Flood,
    Link,
    Listen,
    Load,
    Run,
    Scenario,
    Server,
    Tries,
)
from loadgen.scenario.values import Distribution
from tests.reference.simulator import simulate
from tests.sim.scenarios import MS, S, configs, differences, play

ONE_NS = Distribution("const", 1.0)
QUICK = Run(duration_ns=S, series_ns=0)
NEVER = Distribution("const", 100.0 * S)


def paced(rate=100.0, **facts):
    return Load(**{"arrivals": "paced", "shape": ((0, rate),), **facts})


def agree(scenario):
    """What the loop gives, which is what the reference gives."""
    seen, outcome, _ = play(scenario)
    assert differences(seen, simulate(scenario, *configs(scenario))[0]) == []
    return outcome


def test_unlisten_with_an_accept_queue_and_twice():
    waiting = Server(accept=Accept(NEVER), listen=Listen(backlog=8))
    events = (Event(20 * MS, "unlisten"), Event(20 * MS, "unlisten"))
    outcome = agree(Scenario(load=(paced(),), server=waiting, event=events, run=QUICK))
    assert outcome.gauges["server"]["accept_queue"] == 0


def test_unlisten_sends_nothing_where_nothing_waits():
    agree(Scenario(load=(paced(),), event=(Event(20 * MS, "unlisten"),), run=QUICK))


def test_reset_all_resets_what_waits_for_accept():
    waiting = Server(accept=Accept(NEVER), listen=Listen(backlog=128))
    outcome = agree(
        Scenario(
            load=(paced(hold=NEVER, count=20),),
            server=waiting,
            event=(Event(S // 2, "reset-all"),),
            run=QUICK,
        )
    )
    assert outcome.counters["server"]["OutRsts"] == 20
    (load,) = outcome.loads
    assert (load.served, load.reset) == (1, 19)
    assert outcome.left["server"] == 0


@pytest.mark.parametrize("do", ["stall", "partition"])
def test_a_shorter_stall_or_partition_does_not_end_a_longer_one(do):
    events = (Event(10 * MS, do, 900 * MS), Event(20 * MS, do, MS))
    outcome = agree(Scenario(load=(paced(start_ns=30 * MS, count=50),), event=events, run=QUICK))
    assert outcome.loads[0].served_after.min is None or outcome.loads[0].served_after.min > 300 * MS


def test_a_poisson_flood_does_not_begin_with_its_start():
    flood = Flood(rate=1000.0, arrivals="poisson")
    first = [agree(Scenario(seed=seed, flood=(flood,), run=dataclasses.replace(QUICK, duration_ns=1))).floods[0].sent  # noqa: E501
             for seed in range(10)]  # fmt: skip
    assert first == [0] * 10


def test_only_the_reflecting_sources_answer():
    floods = (Flood("a", rate=100.0, sources="192.0.2.0/24"), Flood("b", rate=1.0, sources="reflect:1"))
    outcome = agree(Scenario(flood=floods, run=QUICK, link=Link(ONE_NS)))
    assert outcome.counters["server"]["InSegs"] == outcome.floods[0].sent + 2 * outcome.floods[1].sent


def test_patience_and_the_end_of_a_try_at_one_instant():
    load = Load(shape=((0, float("inf")),), count=8, hold=NEVER, patience_ns=S, tries=Tries(2, S))
    scenario = Scenario(load=(load,), run=Run(3 * S, series_ns=0), event=(Event(0, "partition", S // 2),))
    agree(scenario)
    for batch in (1, 3):
        run = dataclasses.replace(scenario.run, batch=batch)
        assert differences(play(dataclasses.replace(scenario, run=run))[0], play(scenario)[0]) == []


def test_closes_come_before_what_was_asked_for_after_them():
    load = Load(shape=((0, float("inf")),), count=9, close_at_ns=100 * MS, hold=NEVER)
    scenario = Scenario(
        load=(load,), flood=(Flood(rate=10.0, kind="fin"),), server=Server(closes=Closes(0.5)), run=QUICK
    )
    one = dataclasses.replace(scenario, run=dataclasses.replace(QUICK, batch=1))
    agree(scenario)
    assert differences(play(one)[0], play(scenario)[0]) == []


@pytest.mark.parametrize("shape", [((0, 0.0),), ((0, 4.0), (S, 0.0))])
def test_nothing_begins_at_a_rate_of_0(shape):
    outcome = agree(Scenario(load=(Load(arrivals="paced", shape=shape),), run=Run(4 * S, series_ns=0)))
    assert outcome.loads[0].attempted == (0 if len(shape) == 1 else 2)


def test_a_load_goes_on_after_a_rate_of_0():
    falls = ((0, 1000.1), (S, 0.0), (2 * S, 1000.1))
    outcome = agree(
        Scenario(
            load=(Load(arrivals="paced", shape=falls),), run=Run(3 * S, series_ns=0), client=Client(hosts=9)
        )
    )
    assert outcome.loads[0].attempted > 1900


def test_a_server_that_speaks_to_clients_that_do_not_speaks_once():
    load = paced(speaks="server", request=0, response=100, requests_per_connection=3)
    outcome = agree(Scenario(load=(load,), run=dataclasses.replace(QUICK, drain=True)))
    assert outcome.loads[0].requests == outcome.loads[0].attempted
    assert outcome.states["client"].sum() == outcome.left["client"] == 0


def test_text_of_a_connection_that_was_reset_in_the_same_round_is_not_read():
    load = paced(hold=Distribution(), request=1, response=0, requests_per_connection=2)
    resets = Server(closes=Closes(reset=1.0))
    agree(Scenario(load=(load, paced(rate=1000.0)), server=resets, run=QUICK, link=Link(ONE_NS)))


def test_a_connection_that_ended_before_it_was_heard_of_is_nobodys():
    load = paced(hold=Distribution(), request=0)
    outcome = agree(
        Scenario(load=(load,), server=Server(closes=Closes(reset=1.0)), run=QUICK, link=Link(ONE_NS))
    )
    assert (outcome.loads[0].served, outcome.loads[0].ghost) == (0, 100)


def test_the_end_of_a_drain_does_not_depend_on_who_watches():
    scenario = Scenario(load=(paced(count=5),), run=Run(S, series_ns=S, drain=True))
    watched, _, _ = play(scenario, stop=lambda: False)
    assert differences(watched, play(scenario)[0]) == []
    assert differences(watched, simulate(scenario, *configs(scenario))[0]) == []


def test_a_drain_ends_after_an_hour():
    forever = Server(accept=Accept(Distribution("const", 7200.0 * S)))
    outcome = agree(Scenario(load=(paced(count=3, hold=Distribution("const", 7200.0 * S)),), server=forever,
                             run=Run(S, series_ns=900 * S, drain=True)))  # fmt: skip
    assert outcome.virtual_ns == 3601 * S
    times = outcome.series["time"]["time_ns"].tolist()
    assert times == sorted(times)
    assert outcome.left["client"] == 3


@pytest.mark.parametrize("backlog", [0, 2])
def test_an_engine_has_places_for_all_that_a_syncache_holds(backlog):
    """FreeBSD's cache of half-open entries has thousands of places, whatever the backlog is."""
    flood = Flood(name="flood", kind="syn", rate=2000.0, sources="203.0.113.0/24")
    server = Server(profile="freebsd", listen=Listen(backlog=backlog))
    outcome = agree(Scenario(server=server, load=(paced(5.0),), flood=(flood,), run=QUICK))
    assert outcome.gauges["server"]["half_open"] > 1000


@pytest.mark.parametrize("again", [False, True])
def test_half_open_entries_of_closed_listeners_are_no_longer_counted(again):
    """S7.6: of two listeners together, at the ends of instants. Linux keeps what is lost until its timer."""
    load = Load(shape=((0, float("inf")),), count=1)
    events = (Event(0, "unlisten"), Event(10 * MS, "listen"))[: 1 + again]
    later = dataclasses.replace(load, name="later", start_ns=20 * MS)
    outcome = agree(
        Scenario(
            load=(load, later)[: 1 + again], event=events, client=Client(destinations=2),
            link=Link(loss={"syn-ack": 1.0}), run=Run(100 * MS, series_ns=0),
        )
    )  # fmt: skip
    assert outcome.peaks["server.half_open"] == again
