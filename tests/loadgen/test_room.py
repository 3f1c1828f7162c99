"""What loadgen says of queue sizes, against the counters of the same run."""

import dataclasses

import pytest

from loadgen.phases.check import Queue
from loadgen.phases.flood import Flood, FloodSettings
from loadgen.phases.flood_compare import POLICIES, _row, _why, compare, with_policy
from loadgen.phases.link import Path
from loadgen.phases.workload import room_of
from tcpcore import Config, State

MS = 1_000_000
S = 1000 * MS
BASE = FloodSettings(
    connections=50,
    rate=100_000,
    duration_ns=S // 2,
    patience_ns=900 * MS,
    path=Path(rtt_ns=40 * MS),
    backlog=64,
    flood_rate=1_000_000,
    spacing="poisson",
)
LOST = ("SynQueueFull", "SynQueueReserve", "SynQueueEvicted")


def flood(policy, cookies, flood_rate=BASE.flood_rate, **knobs):
    settings = with_policy(dataclasses.replace(BASE, flood_rate=flood_rate), policy, cookies)
    return dataclasses.replace(settings, knobs=settings.knobs.replace(**knobs))


@pytest.mark.parametrize("tcp_max_syn_backlog", [16, 64, 4096])
@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("flood_rate", [20_000, 1_000_000])       # 30 and 1,500 SYNs
def test_what_is_said_of_the_queue_is_what_it_counted(policy, cookies, tcp_max_syn_backlog, flood_rate):
    settings = flood(policy, cookies, flood_rate, tcp_max_syn_backlog=tcp_max_syn_backlog)
    run = Flood(settings)
    result = run.run()
    half_open, counters = result.results["half_open"], run.server.counters
    found_none = sum(run.server.causes[cause] for cause in LOST) + counters["TCPReqQFullDoCookies"]
    room = run.server.room(run.listener)
    assert half_open["room"] == room["half_open_max"] == room_of(settings)["half_open_max"]
    assert Queue.of(settings).places == half_open["room"]
    assert half_open["peak"] <= half_open["room"]
    assert half_open["overflows"] == found_none
    if policy != "freebsd":                                       # where a bucket is full before the cache is
        assert (half_open["peak"] == half_open["room"]) >= (found_none > 0)
    if cookies == 0:
        full = found_none > 0 or half_open["peak"] == half_open["room"]
        sentence = _why(settings, _row(settings, result))
        assert ("never full" in sentence) == (not full)
        assert f"{half_open['room']:,} places" in sentence


def test_the_reserve_of_linux_is_no_room():
    """backlog 1024 and tcp_max_syn_backlog 256 leave 193 places, and the flood takes them all."""
    settings = dataclasses.replace(flood("linux", 0, tcp_max_syn_backlog=256), backlog=1024)
    result = compare(settings, ["linux"])
    row = result.results["compare"]["linux"]
    assert row["half_open"]["room"] == row["half_open"]["peak"] == 193
    assert result.causes["linux"]["SynQueueReserve"] == row["half_open"]["overflows"] > 0
    assert "its 193 places are full after 193 ms" in result.results["verdict"]
    assert "1,025" not in result.results["verdict"]


@pytest.mark.parametrize(("backlog", "somaxconn", "effective", "set_by"), [
    (None, 16, 16, "somaxconn"), (8, 16, 8, "--backlog"), (16, 16, 16, "--backlog"),
    (20, 16, 16, "somaxconn"),
])
def test_the_effective_backlog_and_what_sets_it(backlog, somaxconn, effective, set_by):
    settings = dataclasses.replace(flood("drop-new", 0, somaxconn=somaxconn), backlog=backlog)
    run = Flood(settings)
    result = run.run()
    assert result.results["backlog"] == {"effective": effective, "set_by": set_by}
    assert result.results["half_open"]["room"] == effective + 1


def test_the_accept_queue_of_a_slow_application_fills_to_its_room():
    settings = dataclasses.replace(
        BASE, flood_rate=1000, backlog=4, connections=40, rate=1_000_000, accept_delay_ns=50 * MS
    )
    run = Flood(dataclasses.replace(settings, knobs=Config.linux()))
    figures = run.run().results
    assert figures["accept_queue"]["peak"] == run.server.room(run.listener)["accept_max"] == 5
    assert run.server.counters["ListenOverflows"] > 0
    assert run.server.state_counts()[State.LISTEN] == 1
