"""Scenarios made in Python take texts as the command line and the file do."""

import dataclasses
import pickle

import pytest

import loadgen
from loadgen.scenario.values import Distribution

S = 10**9


def test_texts_of_times_rates_and_shares():
    run = loadgen.Run(duration="60s", warmup="1.5s", series="250ms", seeds=4)
    assert (run.duration_ns, run.warmup_ns, run.series_ns) == (60 * S, 3 * S // 2, S // 4)
    assert loadgen.Run(warmup="auto").warmup_ns is None
    assert loadgen.Run(duration=2, warmup=0.5) == loadgen.Run(2 * S, S // 2)
    link = loadgen.Link(rtt="40ms", loss="0.1%", duplicate={"syn": "2%"}, jitter="1ms", late_after="10s")
    assert link.rtt == Distribution("const", 40e6)
    assert (link.loss, link.duplicate) == ({"all": 0.001}, {"syn": 0.02})
    assert (link.jitter_ns, link.late_after_ns) == (10**6, 10 * S)
    load = loadgen.Load(rate="3k/s", hold="exp:100ms")
    assert load.shape == ((0, 3000.0),) and load.hold == Distribution("exp", 1e8)


def test_nanoseconds_as_before():
    assert loadgen.Run(S, None, 2) == loadgen.Run(duration_ns=S, warmup_ns=None, seeds=2)
    assert loadgen.Link(Distribution("const", 1.0), {"syn": 0.5}).loss == {"syn": 0.5}
    assert loadgen.Link() == loadgen.Link(loss={})
    changed = dataclasses.replace(loadgen.Run(duration="10s"), seeds=3)
    assert (changed.duration_ns, changed.seeds) == (10 * S, 3)


def test_a_scenario_of_texts_pickles_and_writes_itself():
    scenario = loadgen.Scenario(
        load=[loadgen.Load(rate="3k/s", hold="exp:100ms")],
        link=loadgen.Link(rtt="normal:40ms,5ms", loss="1%"),
        run=loadgen.Run(duration="10s", warmup="auto"),
    )
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert loadgen.Scenario.from_toml(scenario.to_toml()) == scenario


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: loadgen.Run(duration="60"), "60"),
        (lambda: loadgen.Run(warmup="soon"), "soon"),
        (lambda: loadgen.Link(rtt="exp:0ms"), "mean above 0"),
        (lambda: loadgen.Link(loss="200%"), "200%"),
        (lambda: loadgen.Load(rate="often"), "often"),
    ],
)
def test_a_wrong_text_is_a_scenario_error(make, says):
    with pytest.raises(loadgen.ScenarioError, match=says):
        make()
