"""What the hosts of a scenario are: configs, who set each knob, which limits act."""

import dataclasses

import pytest

from loadgen.scenario import ScenarioError
from loadgen.scenario.hosts import resolve
from loadgen.scenario.model import Client, Listen, Load, Scenario, Server
from tcpcore import Config, Engine


def limits(server, **knobs):
    return {row["name"]: row for row in resolve(Scenario(server=server, **knobs)).limits}


def test_each_wins_over_the_one_before(tmp_path):
    now = tmp_path / "now.txt"
    now.write_text(
        "net.core.somaxconn = 8192\nnet.ipv4.tcp_synack_retries = 2\nnet.ipv4.tcp_fastopen = 1\n"
        "net.ipv4.tcp_max_orphans = 16384\n"
    )
    found = resolve(
        Scenario(server=Server("freebsd", str(now), {"tcp_synack_retries": 9}), client=Client("strict"))
    )
    assert found.server == Config.freebsd(somaxconn=8192, tcp_synack_retries=9, tcp_max_orphans=16384)
    assert found.client == Config.strict()
    origins = found.origins["server"]
    assert origins["somaxconn"] == f"sysctl {now}" and origins["tcp_synack_retries"] == "knobs"
    assert origins["accept_queue_rule"] == "profile freebsd" and origins["mss"] == "default"
    assert found.origins["client"]["isn_tick_ns"] == "profile strict"
    assert found.not_modelled == ["server: net.ipv4.tcp_fastopen"]


def test_an_older_kernel_and_which_rules_that_changes(tmp_path):
    client = Client(kernel="5.15.0-91-generic", knobs={"shutdown_waits": 1})
    found = resolve(Scenario(server=Server(kernel="5.15", knobs={"somaxconn": 2}), client=client))
    assert found.server == Config.linux("5.15", somaxconn=2)
    assert found.client == Config.linux("5.15", shutdown_waits=1)
    assert found.origins["server"]["tcp_challenge_ack_limit"] == "kernel 5.15"
    assert found.origins["client"]["shutdown_waits"] == "knobs"
    server, client = found.warnings
    assert server == ("server: kernel 5.15 does otherwise than 6.18: closed_window_ends = 0, "
                      "tcp_challenge_ack_limit = 1000, "
                      "beyond_window_dropped = 0, paws_idle_s = 2073600, tsecr_checked = 2, "
                      "bare_fin_needs_window = 1")  # fmt: skip
    assert client.startswith("client: kernel 5.15.0-91-generic does otherwise than 6.18: tcp_syn_linear")
    assert "shutdown_waits" not in client
    assert resolve(Scenario(server=Server(kernel="6.18"))).warnings == []
    old = resolve(Scenario(server=Server(kernel="4.3"))).warnings
    assert len(old) == 3 and old[1].startswith("server: Linux 4.3: not modelled: before 5.12 ")


def test_a_kernel_stands_for_that_of_the_sysctl_file(tmp_path):
    now = tmp_path / "now.txt"
    now.write_text("kernel.osrelease = 4.4.0\nnet.ipv4.tcp_syn_linear_timeouts = 2\nnet.core.somaxconn = 9\n")
    found = resolve(Scenario(client=Client(sysctl=str(now), kernel="5.15")))
    assert found.client == Config.linux("5.15", tcp_syn_linear_timeouts=2, somaxconn=9)
    assert found.origins["client"]["tcp_syn_linear_timeouts"] == f"sysctl {now}"
    assert found.origins["client"]["shutdown_waits"] == "kernel 5.15"
    assert len(found.warnings) == 1


@pytest.mark.parametrize(
    ("server", "message"),
    [
        (Server(kernel="5.99"), "expected a Linux version from 2.6 to 6.18 such as '5.15', got '5.99'; "
                                "the last 5.x is 5.19"),
        (Server("freebsd", kernel="5.15"), "acts only with profile linux, got profile freebsd"),
    ],
)  # fmt: skip
def test_a_kernel_that_cannot_be(server, message):
    with pytest.raises(ScenarioError) as caught:
        resolve(Scenario(server=server))
    assert str(caught.value) == f"server.kernel: {message}"


def test_a_profile_is_a_file(tmp_path):
    path = tmp_path / "ours.toml"
    path.write_text("somaxconn = 77\n")
    assert resolve(Scenario(server=Server(str(path)))).server == Config.linux(somaxconn=77)
    path.write_text(Config.strict().to_toml())
    assert resolve(Scenario(client=Client(str(path)))).client == Config.strict()


@pytest.mark.parametrize(
    ("server", "half_open", "accept", "beside"),
    [
        (Server(listen=Listen(backlog=511)), (512, "backlog"), (512, "backlog"),
         ["somaxconn 4096: listen() asks for 511",
          "tcp_max_syn_backlog 4096: acts only with tcp_syncookies=0"]),
        (Server(listen=Listen(backlog=9000)), (4097, "somaxconn"), (4097, "somaxconn"),
         ["backlog 9000: somaxconn caps it at 4096",
          "tcp_max_syn_backlog 4096: acts only with tcp_syncookies=0"]),
        (Server(), (4097, "somaxconn"), (4097, "somaxconn"),
         ["tcp_max_syn_backlog 4096: acts only with tcp_syncookies=0"]),
        (Server(listen=Listen(backlog=1024), knobs={"tcp_syncookies": 0, "tcp_max_syn_backlog": 1024}),
         (769, "tcp_max_syn_backlog"), (1025, "backlog"), ["somaxconn 4096: listen() asks for 1024"]),
        (Server(listen=Listen(backlog=10), knobs={"tcp_syncookies": 0}), (11, "backlog"), (11, "backlog"),
         ["somaxconn 4096: listen() asks for 10", "tcp_max_syn_backlog 4096: backlog leaves fewer places"]),
        (Server("strict", listen=Listen(backlog=10)), (11, "backlog"), (11, "backlog"),
         ["somaxconn 4096: listen() asks for 10",
          "tcp_max_syn_backlog 4096: acts only with synq_policy=linux"]),
    ],
)  # fmt: skip
def test_queues_are_as_large_as_the_engine_says(server, half_open, accept, beside):
    found = limits(server)
    assert (found["half_open"]["value"], found["half_open"]["set_by"]) == half_open
    assert (found["accept_queue"]["value"], found["accept_queue"]["set_by"]) == accept
    assert found["half_open"]["shadowed"] == beside
    engine = Engine(resolve(Scenario(server=server)).server.replace(capacity=10))
    room = engine.room(engine.listen("10.0.0.1", 80, server.listen.backlog))
    assert (room["half_open_max"], room["accept_max"]) == (half_open[0], accept[0])


def test_ports_and_time_wait():
    found = limits(
        Server(), client=Client(knobs={"ip_local_port_range": (1024, 65535), "tcp_max_tw_buckets": 5})
    )
    assert found["ports"] == {
        "name": "ports",
        "value": 64512,
        "set_by": "ip_local_port_range",
        "from": "knobs",
        "shadowed": [],
    }
    reserved = limits(Server(), client=Client(knobs={"ip_local_reserved_ports": "8080,40000-40009"}))
    assert reserved["ports"]["value"] == 28_222
    assert reserved["ports"]["shadowed"] == ["ip_local_reserved_ports: keeps 10 of them"]
    assert found["time_wait.client"]["value"] == 5 and found["time_wait.server"]["value"] == 262_144
    assert found["time_wait_ms"]["value"] == 60_000
    assert found["time_wait_ms"]["shadowed"] == [
        "tcp_fin_timeout 60: bounds FIN_WAIT_2 without an application"
    ]


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (Scenario(server=Server(sysctl="none.txt")), "server.sysctl: none.txt: No such file or directory"),
        (
            Scenario(client=Client(profile="none.toml")),
            "client.profile: none.toml: No such file or directory",
        ),
        (
            Scenario(client=Client(knobs={"tcp_rto_min_us": 2 * 10**9})),
            "client.knobs: tcp_rto_min_us: expected at most",
        ),
        (Scenario(client=Client(hosts=0)), "client.hosts: expected at least 1, got 0: a load needs clients"),
        (
            Scenario(load=[Load(concurrency=30_000)]),
            "load.concurrency: expected at most 28,232 users, got 30,000",
        ),
    ],
)
def test_what_cannot_be_is_one_line(scenario, said):
    with pytest.raises(ScenarioError) as error:
        resolve(scenario)
    assert str(error.value).startswith(said)


def test_a_file_that_is_no_sysctl_is_told_with_its_line(tmp_path):
    path = tmp_path / "now.txt"
    path.write_text("net.ipv4.tcp_syncookies = many\n")
    with pytest.raises(ScenarioError, match=r"server.sysctl: .*now.txt: line 1: tcp_syncookies: expected"):
        resolve(Scenario(server=Server(sysctl=str(path))))
    path.write_text("tcp_syncookis = 1\n")
    with pytest.raises(ScenarioError, match="client.profile: .*unknown knob 'tcp_syncookis'; did you mean"):
        resolve(Scenario(client=Client(profile=str(path.rename(tmp_path / "own.toml")))))


def test_a_frozen_scenario_is_not_changed_by_it():
    scenario = Scenario(server=Server(knobs={"mss": 900}))
    before = dataclasses.asdict(scenario)
    resolve(scenario)
    assert dataclasses.asdict(scenario) == before
