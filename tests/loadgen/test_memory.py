"""Is the estimate of a run's memory near what the engines say they took, and never without an end?"""

import math

import pytest

import loadgen
from loadgen import memory
from loadgen.scenario import presets
from loadgen.scenario.hosts import resolve

RUNS = {
    "held": ("handshake", {"connections": "50k"}),
    "closed": ("close", {"connections": "50k"}),
    "clients close": ("churn", {"rate": "5k", "hold": "exp:100ms", "rtt": "20ms", "duration": "10s"}),
    "servers close": ("churn", {"rate": "5k", "hold": "5s", "duration": "10s", "closes": "server"}),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_engines_take_about_what_was_estimated(name):
    command, options = RUNS[name]
    scenario = presets.preset(command, options)
    hosts = resolve(scenario)
    taken = sum(loadgen.run(scenario).to_dict()["wall"]["simulator_bytes"].values())
    assert 0.8 < memory.engines_bytes(scenario, hosts.client, hosts.server) / taken < 1.4


def estimate(command, processes=1, **options):
    scenario = presets.preset(command, options)
    hosts = resolve(scenario)
    return memory.estimate_bytes(scenario, hosts.client, hosts.server, processes)


def test_what_an_estimate_depends_on():
    assert estimate("handshake", connections=10**6) > 5 * estimate("handshake", connections=10**5)
    assert estimate("churn", rate=100) < 100e6  # the interpreter
    assert estimate("churn", rate=20_000, hold="20s") > 2 * estimate("churn", rate=20_000, duration="5s")
    assert estimate("churn", 3, rate=100, seeds=2) // 2 == estimate("churn", rate=100)
    held, kept = (estimate("churn", rate=20_000, closes="server", **{"server.knobs.tcp_max_tw_buckets": most})
                  for most in (1000, 10**6))  # fmt: skip
    assert held < kept


def test_an_estimate_has_an_end():
    """All at once without a count, or from more clients than there are ports."""
    assert math.isfinite(estimate("churn", rate=1e9, clients=1, duration="1h"))
