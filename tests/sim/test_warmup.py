"""What a warm-up leaves out, how long it is by itself, and what a run that was cut short did not reach."""

import dataclasses
import math

import numpy as np
import pytest

from loadgen.report.result import build
from loadgen.scenario.model import Accept, Client, Closes, Flood, Link, Listen, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from loadgen.sim import simulate
from loadgen.theory import ports
from loadgen.theory.warmup import shortened, warmup_of
from tcpcore import Config
from tests.sim.scenarios import MS, S, configs, play

HOLD = Distribution("exp", 200.0 * MS)
RTT = Link(rtt=Distribution("const", 20.0 * MS))
STEADY = Scenario(
    seed=3,
    load=(Load(arrivals="poisson", shape=((0, 300.0),), hold=HOLD),),
    client=Client(hosts=3),
    server=Server(listen=Listen(backlog=8), accept=Accept(Distribution("exp", 3.0 * MS))),
    flood=(Flood(rate=100.0),),
    link=dataclasses.replace(RTT, loss={"all": 0.01}),
    run=Run(4 * S, series_ns=100 * MS),
)


def warmed(scenario, warmup_ns):
    return dataclasses.replace(scenario, run=dataclasses.replace(scenario.run, warmup_ns=warmup_ns))


def both(warmup_ns, scenario=STEADY):
    """(all of a run, the same without its beginning)"""
    return play(warmed(scenario, 0))[1], play(warmed(scenario, warmup_ns))[1]


def stopped(scenario, stretches):
    """Cut short after so many points of the series."""
    calls = iter(range(10**6))
    return play(scenario, stop=lambda: next(calls) >= stretches)[1]


def test_the_two_parts_are_the_whole():
    whole, part = both(1500 * MS)
    assert part.warmup_ns == 1500 * MS
    (load,), (all_of,) = part.loads, whole.loads
    assert load.in_warmup + load.attempted == all_of.attempted
    assert 0 < load.in_warmup < load.attempted
    ended = load.served + load.ghost + load.gave_up + load.reset + load.pending + load.not_started
    assert ended + sum(load.refused.values()) == load.attempted
    for side in ("client", "server", "link"):
        for name, n in whole.counters[side].items():
            warm = 0 if name == "CurrEstab" else part.warmup_counters[side].get(name, 0)
            assert part.counters[side][name] + warm == n
    assert part.floods[0].sent == pytest.approx(250, abs=1)
    assert whole.floods[0].sent == pytest.approx(400, abs=1)


def test_what_is_counted_began_after_the_warm_up():
    """The arrivals of the series after it, by their number; each has one time to connect at most."""
    whole, part = both(1500 * MS)
    begun = whole.series["load"]["load.attempted"][whole.series["time"]["time_ns"] == 1500 * MS]
    assert part.loads[0].in_warmup == begun[0]
    assert part.loads[0].connect.counts.sum() == part.loads[0].connected < whole.loads[0].connected
    for name, values in whole.series["load"].items():
        assert np.array_equal(values, part.series["load"][name])  # the series is that of the whole run


def test_a_warm_up_changes_no_event():
    whole, part = both(777_777_777)
    assert whole.segments == part.segments
    assert np.array_equal(whole.states["client"], part.states["client"])


def test_means_and_peaks_are_those_of_the_measured_part():
    """All of 400 connections begin at once: the peak of half-open entries is at the beginning."""
    burst = Load("burst", arrivals="paced", shape=((0, math.inf),), count=400, hold=HOLD)
    steady = Load("steady", arrivals="paced", shape=((0, 10.0),), hold=HOLD)
    scenario = Scenario(load=(burst, steady), link=RTT, run=Run(4 * S, series_ns=10 * MS))
    whole, part = (build(one, [outcome]) for one, outcome in zip(
        (scenario, warmed(scenario, S)), both(S, scenario), strict=True))  # fmt: skip
    assert whole["half_open.peak"] > 300 and part["half_open.peak"] <= 2
    # Ten a second, each half open for the time of a round trip.
    assert part["half_open.mean"] == pytest.approx(10 * RTT.rtt.a / S, rel=0.1)
    assert (part["load.burst.attempted"], part["load.burst.in_warmup"]) == (0, 400)
    assert part["served_per_s"] == part["served"] / 3
    assert part.warmup_ns == part.to_dict()["warmup_ns"] == S
    assert "warm-up left out: the first 1 s, in which 410 connections began" in part.to_text()
    assert "warm-up" not in whole.to_text()


def test_a_run_cut_short_within_its_warm_up_has_measured_nothing():
    outcome = stopped(warmed(STEADY, 3 * S), 10)
    (load,) = outcome.loads
    assert outcome.partial
    assert load.attempted == load.not_started > 0
    assert not any(n for name, n in outcome.counters["server"].items() if name != "CurrEstab")
    build(warmed(STEADY, 3 * S), [outcome])


# -- "auto" -----------------------------------------------------------------------------------------------


def auto(scenario):
    """Seconds"""
    return warmup_of(warmed(scenario, None), *configs(scenario)) / S


def lasting(seconds, **rest):
    return Scenario(**{"run": Run(seconds * S), "link": RTT, "client": Client(hosts=1000), **rest})


def of_hold(hold, rate=100.0):
    return (Load(shape=((0, rate),), hold=hold),)


@pytest.mark.parametrize(
    ("hold", "seconds"),
    [(Distribution("const", 2.0 * S), 2.0), (Distribution("exp", 2.0 * S), 2 * math.log(100))],
)
def test_until_1_percent_of_the_first_connections_are_left(hold, seconds):
    assert seconds <= auto(lasting(600, load=of_hold(hold))) <= 1.25 * seconds + 0.05


def test_the_accept_queue_relaxes():
    """Near load 1 its relaxation time is K^2 s / pi^2."""
    server = Server(listen=Listen(backlog=62), accept=Accept(Distribution("exp", 10.0 * MS)))
    found = auto(lasting(600, load=of_hold(HOLD, 100.0), server=server))
    assert found == pytest.approx(math.log(100) * 64**2 * 0.010 / math.pi**2, rel=0.05)


def test_a_period_of_stalls():
    server = Server(accept=Accept(stall_ns=250 * MS, stall_every_ns=7 * S))
    assert auto(lasting(600, load=of_hold(HOLD), server=server)) == 7.0


def test_time_wait_counts_only_where_its_number_is_a_limit():
    one = Client(hosts=1)
    enough, few = (lasting(600, load=of_hold(HOLD, rate), client=one) for rate in (300.0, 600.0))
    server, client = configs(few)
    assert auto(enough) < 2
    assert auto(few) == pytest.approx(ports.blocking_time(few, client, server), abs=0.002)
    capped = Server(knobs={"tcp_max_tw_buckets": 1000}, closes=Closes(server=1.0))
    assert auto(lasting(600, load=of_hold(HOLD), server=capped)) == 60.0


def test_half_of_the_run_at_most_and_then_it_says_so():
    scenario = warmed(lasting(60, load=of_hold(HOLD, 600.0), client=Client(hosts=1)), None)
    assert auto(scenario) == 30.0
    (warning,) = shortened(scenario, *configs(scenario))
    assert "half of the run is 30 s" in warning
    assert shortened(warmed(scenario, 0), *configs(scenario)) == []


def test_a_run_that_is_its_beginning_has_none():
    for load in (
        Load(shape=((0, math.inf),), count=10, hold=HOLD),
        Load(shape=((0, 10.0),), count=10, hold=HOLD),
        Load(times_ns=(1, 2, 3), hold=HOLD),
    ):
        assert auto(lasting(600, load=(load,))) == 0.0
    assert auto(lasting(600, flood=(Flood(rate=10.0),))) == 0.0


def test_auto_is_what_the_run_uses():
    outcome = simulate(
        warmed(lasting(4, load=of_hold(HOLD)), None), server=Config.linux(), client=Config.linux()
    )
    assert outcome.warmup_ns == auto(lasting(4, load=of_hold(HOLD))) * S
    assert outcome.loads[0].in_warmup > 0


# -- not started ------------------------------------------------------------------------------------------


def cut_and_whole(load, warmup_ns=0, seconds=10):
    scenario = warmed(lasting(seconds, load=(load,)), warmup_ns)
    return stopped(scenario, 5).loads[0], play(scenario)[1].loads[0]


SHAPES = [((0, 300.0),), ((0, 0.0), (2 * S, 400.0), (3 * S, 0.0), (5 * S, 100.0))]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("arrivals", ["paced", "poisson"])
@pytest.mark.parametrize("warmup_ns", [0, 2500 * MS])
def test_what_was_not_reached_is_counted(shape, arrivals, warmup_ns):
    load = Load(arrivals=arrivals, shape=shape, hold=HOLD)
    short, whole = cut_and_whole(load, warmup_ns)
    assert short.not_started > 0 and short.not_started_exact
    assert short.attempted == whole.attempted


def test_what_was_not_reached_of_a_trace_and_of_a_count():
    trace = Load(times_ns=tuple(range(0, 9 * S, 100 * MS)), hold=HOLD)
    assert cut_and_whole(trace, 450 * MS)[0].attempted == 85
    counted = Load(arrivals="paced", shape=((0, 100.0),), count=77, hold=HOLD)
    assert cut_and_whole(counted)[0].attempted == 77


def test_of_very_many_the_expected_number_is_said():
    """Counting 10**12 by drawing each would take hours."""
    many = Load(arrivals="poisson", shape=((0, 1e8),), hold=HOLD)
    scenario = lasting(10_000, load=(many,), client=Client(hosts=1))
    outcome = play(scenario, stop=lambda: True)[1]
    (load,) = outcome.loads
    assert not load.not_started_exact
    assert load.attempted == pytest.approx(1e12, rel=1e-6)
    warnings = build(scenario, [outcome]).warnings
    assert any("not counted: it is the number expected" in warning for warning in warnings)
