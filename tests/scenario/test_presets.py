"""The scenarios that handshake, close, churn and flood stand for, and what they choose themselves."""

import pytest

from loadgen.scenario import ScenarioError
from loadgen.scenario.model import Closes, Scenario
from loadgen.scenario.presets import BASES, OPTIONS, PRESETS, churn, close, flood, handshake, preset
from loadgen.scenario.tables import SCENARIO
from loadgen.scenario.values import Distribution

SECOND = 10**9


@pytest.mark.parametrize("kind", PRESETS)
def test_a_preset_without_options_can_be_played_and_written(kind):
    scenario = PRESETS[kind]()
    assert scenario.name == kind and scenario.load
    assert Scenario.from_toml(scenario.to_toml()) == scenario
    assert scenario == preset(kind, {})


def test_every_option_is_a_place():
    for paths in OPTIONS.values():
        for path in paths:
            keys = SCENARIO
            for word in path.split("."):
                node = keys[word]
                keys = getattr(node, "keys", None)
                if word == "knobs":
                    break


def test_a_handshake_flat_out_is_all_at_once_and_fits():
    scenario = handshake(connections="1M", rtt="40ms")
    (load,) = scenario.load
    assert load.shape == ((0, float("inf")),) and load.count == 10**6 and load.speaks == "nobody"
    assert scenario.server.knobs == {"somaxconn": 10**6, "tcp_max_syn_backlog": 2 * 10**6}
    assert scenario.client.hosts == -(-(10**6) // 7058)  # a quarter of 28,232 ports
    assert load.hold.mean > scenario.run.duration_ns  # held to the end
    assert 160_000_000 <= scenario.run.duration_ns < SECOND


def test_limits_that_are_given_are_not_raised(tmp_path):
    scenario = handshake(connections=5000, somaxconn=128, backlog=64)
    assert scenario.server.knobs == {"somaxconn": 128, "tcp_max_syn_backlog": 10_000}
    assert scenario.server.listen.backlog == 64
    assert scenario.run.duration_ns > 60 * SECOND  # SYNs are sent again
    (tmp_path / "now.txt").write_text("net.core.somaxconn = 256\n")
    scenario = handshake(connections=5000, sysctl=tmp_path / "now.txt")
    assert "somaxconn" not in scenario.server.knobs


def test_a_handshake_at_a_rate():
    scenario = handshake(connections="200k", rate="50k", rtt="40ms", loss="1%", hold="5s")
    (load,) = scenario.load
    assert load.shape == ((0, 50_000.0),) and load.arrivals == "paced" and load.count == 200_000
    assert scenario.server.knobs == {} and scenario.link.loss == {"all": 0.01}
    assert scenario.run.duration_ns > (4 + 5 + 120) * SECOND
    assert handshake(rate="1k", duration="3s").load[0].count == 3000
    assert handshake(connections=10, rate=1, duration="3s").run.duration_ns == 3 * SECOND


def test_close_closes_when_all_are_open():
    scenario = close(connections="100k", rate="10k", rtt="40ms", hold="2s", closes="server")
    (load,) = scenario.load
    assert load.close_at_ns > 12 * SECOND and load.close_rate == 10_000 and load.hold.is_zero
    assert scenario.server.closes == Closes(1.0) and scenario.run.drain
    assert scenario.run.duration_ns > load.close_at_ns + 10 * SECOND
    many = close(connections="1M")
    assert many.client.knobs == {"tcp_max_tw_buckets": 10**6}
    assert many.server.knobs["tcp_max_tw_buckets"] == 10**6
    assert many.load[0].close_rate == 0
    assert "tcp_max_tw_buckets" not in close(
        connections="1M", **{"client.tcp_max_tw_buckets": 10}
    ).client.knobs or (
        close(connections="1M", **{"client.tcp_max_tw_buckets": 10}).client.knobs["tcp_max_tw_buckets"] == 10
    )


def test_churn_has_clients_enough_unless_they_are_given():
    scenario = churn(rate="200k/s", hold="exp:100ms", rtt="20ms", duration="120s")
    assert scenario.client.hosts == pytest.approx(200_000 * 60.1 / 7058, rel=0.01)
    assert scenario.load[0].arrivals == "poisson" and scenario.load[0].hold == Distribution("exp", 1e8)
    scenario = churn(rate="12k", clients=4, hold="30ms", time_wait="120s", ports="1024-65535", duration="6m")
    assert scenario.client.hosts == 4 and scenario.run.duration_ns == 360 * SECOND
    assert scenario.client.knobs == {"ip_local_port_range": (1024, 65535), "time_wait_ms": 120_000}
    assert scenario.server.knobs == {"time_wait_ms": 120_000}
    assert churn(time_wait=1.5).client.knobs == {"time_wait_ms": 1500}
    assert churn(rate=500, clients=1, destinations=2).client.destinations == 2
    assert churn(connections=70).load[0].count == 70 and churn(connections=70).client.hosts == 1
    assert churn(**{"client.tcp_tw_reuse": 1}).client.knobs == {"tcp_tw_reuse": 1}


def test_churn_in_a_closed_loop():
    (load,) = churn(concurrency="100").load
    assert load.concurrency == 100 and load.shape == ((0, 0.0),)
    with pytest.raises(ScenarioError, match="load.rate: there is no load with a rate in the scenario"):
        churn(concurrency=100, rate=5)


def test_flood_of_nothing_and_of_nobody():
    assert flood(flood_rate="1k/s").flood[0].rate == 1000
    assert flood(flood_rate=0).flood == () and flood(flood_rate=0).load
    alone = flood(rate=0, patience="5s")
    assert alone.load == () and alone.flood
    assert flood(profile="freebsd").server.profile == flood(profile="freebsd").client.profile == "freebsd"
    assert flood(synq_policy="drop-new", tcp_syncookies=0).server.knobs["synq_policy"] == "drop-new"


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("chrun", {}, "no preset is called 'chrun'; did you mean 'churn'?"),
        ("churn", {"rat": 3}, "rat: no such place and no such knob; did you mean 'rate'?"),
        ("churn", {"rate": 0}, "load.0.rate: expected more than 0/s"),
        ("churn", {"rate": "3k/sek"}, "load.rate: expected a rate such as"),
        ("churn", {"clients": 0}, "client.hosts: expected at least 1, got 0: a load needs clients"),
        ("churn", {"time_wait": "1"}, "time_wait: expected a time with its unit"),
        ("flood", {"flood_rate": "-1"}, "flood.rate: expected nothing negative"),
        ("handshake", {"connections": 0}, "load.count: expected 1 to"),
    ],
)
def test_what_cannot_be_is_one_line(kind, options, said):
    with pytest.raises(ScenarioError) as error:
        preset(kind, options)
    assert str(error.value).startswith(said)


def test_the_bases_are_files_too():
    for scenario in BASES.values():
        assert Scenario.from_toml(scenario.to_toml()) == scenario
