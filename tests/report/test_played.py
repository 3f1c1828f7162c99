"""What is told of real runs is what their engines counted."""

import json
from importlib import resources

import jsonschema
import numpy as np
import pytest

from loadgen.report.result import Result, build
from loadgen.scenario.model import Accept, Client, Flood, Link, Listen, Load, Run, Scenario, Server
from loadgen.scenario.values import Distribution
from loadgen.sim import simulate

MS, S = 1_000_000, 1_000_000_000
SCHEMA = json.loads((resources.files("loadgen.report") / "schema.json").read_text())


def const(ns):
    return Distribution("const", float(ns))


def load(rate, hold, **more):
    return Load(hold=const(hold), shape=((0, float(rate)),), **more)


SCENARIOS = {
    "ports": Scenario(
        seed=7, client=Client(knobs={"ip_local_port_range": (50_000, 50_999)}), load=(load(100, 30 * MS),),
        link=Link(rtt=const(MS)), run=Run(duration_ns=20 * S),
    ),
    "flood": Scenario(
        seed=7,
        server=Server(knobs={"tcp_syncookies": 0, "tcp_max_syn_backlog": 256}, listen=Listen(backlog=256)),
        load=(load(50, 30 * MS, name="honest"),), flood=(Flood(rate=1000.0),), link=Link(rtt=const(20 * MS)),
        run=Run(duration_ns=5 * S),
    ),
    "stall": Scenario(
        seed=7,
        server=Server(listen=Listen(backlog=64), accept=Accept(stall_ns=250 * MS, stall_every_ns=2 * S)),
        load=(load(1000, 10 * MS),), link=Link(rtt=const(20 * MS)), run=Run(duration_ns=5 * S, seeds=4),
    ),
    "loss": Scenario(
        seed=7, load=(load(200, 50 * MS, name="a"), load(100, MS, name="b")),
        link=Link(rtt=const(20 * MS), loss={"syn": 0.1}), run=Run(duration_ns=5 * S, drain=True),
    ),
}  # fmt: skip


def played(scenario):
    return build(scenario, [simulate(scenario, replicate) for replicate in range(scenario.run.seeds)])


@pytest.fixture(scope="module", params=SCENARIOS)
def both(request):
    """A result and the outcomes it was built of."""
    scenario = SCENARIOS[request.param]
    outcomes = [simulate(scenario, replicate) for replicate in range(scenario.run.seeds)]
    return build(scenario, outcomes), outcomes


def test_the_document_is_what_the_schema_says_and_reads_back(both):
    text = both[0].to_text_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))
    assert Result.from_dict(json.loads(text)).to_text_json() == text


def test_two_runs_of_a_seed_differ_in_wall_only(both):
    first, second = both[0].to_dict(), played(both[0].scenario).to_dict()
    first["wall"] = second["wall"] = None
    assert json.dumps(first) == json.dumps(second)


def test_every_figure_that_a_loop_counted_is_told(both):
    result, outcomes = both
    for side in ("client", "server"):
        for name in outcomes[0].counters[side]:
            total = sum(outcome.counters[side][name] for outcome in outcomes)
            assert result.counters[side][name] == total
            assert result[f"counters.{side}.{name}"] == pytest.approx(total / len(outcomes))
    for name in outcomes[0].counters["link"]:
        plain = {"sent_by_client": "from_client", "sent_by_server": "from_server"}.get(name, name)
        if not name.startswith("lost_of"):
            assert f"counters.link.{plain}" in result, name


def test_populations_are_those_of_the_series(both):
    result, outcomes = both
    for name in ("half_open", "accept_queue", "time_wait.client", "established.server", "orphans.client"):
        assert result[f"{name}.peak"] is not None and result[f"{name}.mean"] is not None, name
    assert result["ports.in_use_peak"] is not None
    assert (np.diff(result.series["time_ms"]) > 0).all()
    assert result.series["time_ms"][0] == 0
    assert set(result.series["time_wait"]) <= set(range(10**6))
    assert len({len(result.series[name]) for name in result.series}) == 1


def test_histograms_have_a_sample_for_each_connection(both):
    result, _ = both
    assert result["connect.count"] == result.outcomes["connected"]
    assert result["served_after.count"] == result.outcomes["served"]


def test_ports():
    result = played(SCENARIOS["ports"])
    assert result["refused"] == result["refused.PortsExhausted"] > 0
    assert result["refused"] == result["counters.client.PortsExhausted"]
    assert result["ports.in_use_peak"] == 1000
    first = result["ports.first_refusal"]
    assert 8 * S < first < 12 * S
    assert f"refused for want of a port; first at {first / S:.3g} s" in result.verdict["sentence"]


def test_flood():
    result = played(SCENARIOS["flood"])
    assert result["flood.sent"] == 5000
    said = result.verdict["sentence"]
    assert "the half-open queue was full for unknown peers from 0.19 s on" in said
    assert result["half_open.full_from"] == pytest.approx(0.19 * S, abs=0.01 * S)
    assert result["half_open.full_for"] > 0.9 * result.scenario.run.duration_ns - 0.19 * S
    assert result["causes.server.SynQueueReserve"] > result["causes.server.SynQueueFull"]


def test_stall():
    result = played(SCENARIOS["stall"])
    overflows = result.counters["server"]["ListenOverflows"]
    assert overflows > 0 and f"overflowed {overflows:,} times" in result.verdict["sentence"]
    assert result["accept_queue.peak"] == 65  # backlog + 1
    assert result.figure("first_try_ratio").low is not None


def test_loss():
    result = played(SCENARIOS["loss"])
    lost = result["counters.link.lost"]
    assert lost == result["counters.link.client.syn.lost"] == result["counters.link.lost.syn"] > 0
    assert result.verdict["sentence"].endswith(f"the link lost {lost} segments")
    assert result["load.a.first_try_ratio"] == pytest.approx(0.9, abs=0.05)
    assert result["attempted"] == result["load.a.attempted"] + result["load.b.attempted"]
