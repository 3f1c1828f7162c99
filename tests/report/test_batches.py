"""Intervals from within few runs: they hold the truth as often as they say, or there is none."""

import dataclasses

import numpy as np
import pytest

from loadgen.report import batches
from loadgen.report.result import build
from loadgen.scenario.model import Client, Link, Load, Run, Scenario
from loadgen.scenario.values import Distribution
from loadgen.sim import simulate
from tcpcore import Config

MS, S = 10**6, 10**9


def autoregressive(rng, n, memory):
    """Mean 0, each value a share of the one before it."""
    noise, values = rng.standard_normal(n), np.zeros(n)
    for k in range(1, n):
        values[k] = memory * values[k - 1] + noise[k]
    return values


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_how_often_the_interval_holds_the_mean(memory):
    rng = np.random.default_rng(1)
    held = said = 0
    for _ in range(400):
        run = autoregressive(rng, 1000, memory)
        if (found := batches.of_mean([run])) is not None:
            said += 1
            held += abs(run[-1000:].mean()) <= found[0]
    assert said > 300
    assert 0.91 <= held / said <= 0.99  # 95 % +- four standard deviations of so many trials


def test_none_where_it_goes_on_growing_or_is_too_short():
    rng = np.random.default_rng(2)
    assert batches.of_mean([np.arange(1000.0)]) is None
    assert batches.of_mean([autoregressive(rng, 1000, 0.999)]) is None
    assert batches.of_mean([rng.standard_normal(79)]) is None
    assert batches.of_mean([]) is None


def test_what_never_varies():
    assert batches.of_mean([np.full(100, 7.0)]) == (0.0, 10)


def test_three_runs_give_thirty_batches():
    rng = np.random.default_rng(3)
    half, n = batches.of_mean([rng.standard_normal(1000) for _ in range(3)])
    assert n == 30 and 0 < half < batches.of_mean([rng.standard_normal(1000)])[0] * 1.2


def test_of_a_ratio():
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(200):
        whole = rng.poisson(50, 1000)
        part = rng.binomial(whole, 0.9)
        value = part.sum() / whole.sum()
        half, n = batches.of_ratio([(np.cumsum(part), np.cumsum(whole))], value) or (0.0, 0)
        held += n == 0 or abs(value - 0.9) <= half
    assert held >= 178  # 95 % - 3 standard deviations
    assert batches.of_ratio([(np.zeros(0), np.zeros(0))], 0.5) is None


SCENARIO = Scenario(
    seed=2,
    load=(Load(arrivals="poisson", shape=((0, 500.0),), hold=Distribution("exp", 100.0 * MS)),),
    client=Client(hosts=5),
    link=Link(rtt=Distribution("const", 20.0 * MS)),
    run=Run(60 * S, warmup_ns=S, series_ns=100 * MS),
)


def result_of(seeds):
    outcomes = [simulate(SCENARIO, k, server=Config.linux(), client=Config.linux()) for k in range(seeds)]
    return build(dataclasses.replace(SCENARIO, run=dataclasses.replace(SCENARIO.run, seeds=seeds)), outcomes)


def test_a_result_of_one_run_says_how_many_batches():
    result = result_of(1)
    figure = result.figure("established.client.mean")
    assert figure.batches == 10 and figure.low < figure.value < figure.high
    assert result.to_dict()["metrics"]["established.client.mean"]["batches"] == 10
    assert result.figure("time_wait.client.mean").batches == 0  # it grows for a minute
    assert "outcomes, one run; 95 % intervals over 10 batches" in result.to_text()


def test_intervals_of_one_run_hold_what_littles_law_says():
    held = {"established.client.mean": 0, "served_per_s": 0}
    for k in range(30):
        outcome = simulate(SCENARIO, k, server=Config.linux(), client=Config.linux())
        result = build(SCENARIO, [outcome])
        for name, value in (("established.client.mean", 50), ("served_per_s", 500)):
            figure = result.figure(name)
            held[name] += figure.low is None or figure.low <= value <= figure.high
    assert all(n >= 25 for n in held.values())  # 95 % - 3 standard deviations


def test_from_four_seeds_on_intervals_are_over_seeds():
    assert result_of(3).figure("established.client.mean").batches == 30
    four = result_of(4).figure("established.client.mean")
    assert four.batches == 0 and four.low < 50 < four.high
    assert "batches" not in four.to_dict()
