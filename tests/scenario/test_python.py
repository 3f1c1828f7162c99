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


def test_floods_events_and_accept_take_the_texts_of_a_file():
    scenario = loadgen.Scenario(
        load=[loadgen.Load(rate="3k/s", hold="exp:100ms")],
        server=loadgen.Server(accept=loadgen.Accept("exp:120us", workers=2, stall="250ms/2s")),
        flood=[loadgen.Flood(rate="50k/s", during=("30s", "end"), bursts="1s/10s")],
        event=[
            loadgen.Event("stall:400ms", at="20s"),
            loadgen.Event("reset-all", at=30, reconnect_within="1s"),
            loadgen.Event("knob:tcp_syncookies=0", at="40s"),
        ],
    )
    text = """
        schema = 1
        [server]
        accept = { time = "exp:120us", workers = 2, stall = "250ms/2s" }
        [[load]]
        rate = "3k/s"
        hold = "exp:100ms"
        [[flood]]
        rate = "50k/s"
        during = ["30s", "end"]
        bursts = "1s/10s"
        [[event]]
        at = "20s"
        do = "stall:400ms"
        [[event]]
        at = "30s"
        do = "reset-all"
        reconnect_within = "1s"
        [[event]]
        at = "40s"
        do = "knob:tcp_syncookies=0"
    """
    assert loadgen.Scenario.from_toml(text) == scenario
    assert loadgen.Event(5, "reset-all") == loadgen.Event("reset-all", at=5e-9)
    assert loadgen.Event(do="stall", for_ns=400_000_000) == loadgen.Event("stall:400ms")
    assert pickle.loads(pickle.dumps(scenario)) == scenario
    assert dataclasses.replace(scenario.event[0], at_ns=7).for_ns == 400_000_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: loadgen.Event("stall:soon"), "expected a time"),
        (lambda: loadgen.Event("stal:1s"), "did you mean 'stall'"),
        (lambda: loadgen.Event("reset-all:1s"), "expected reset-all alone"),
        (lambda: loadgen.Event("reset-all", at="soon"), "expected a time"),
        (lambda: loadgen.Flood(rate="often"), "often"),
        (lambda: loadgen.Flood(during=("1s",)), "expected two times"),
        (lambda: loadgen.Flood(bursts="1s"), "expected LENGTH/PERIOD"),
        (lambda: loadgen.Accept("exp"), "expected"),
        (lambda: loadgen.Accept(stall="250ms"), "expected LENGTH/PERIOD"),
    ],
)
def test_wrong_texts_of_them_say_what_is_right(make, message):
    with pytest.raises(loadgen.ScenarioError, match=message):
        make()
