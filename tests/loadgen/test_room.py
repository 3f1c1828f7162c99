"""What loadgen says of queue sizes, against the counters of the same run."""

import pytest

from loadgen.cli.comparing import variants
from loadgen.cli.spellings import POLICIES
from loadgen.report.compared import why
from tests.loadgen.playing import document_of, played, scenario_of
from tests.loadgen.test_flood import compared, options

BASE = {
    "connections": 50, "rate": 100, "duration": "1400ms", "rtt": "40ms", "flood_rate": 1000,
}  # fmt: skip
LOST = ("SynQueueFull", "SynQueueReserve", "SynQueueEvicted")


def flood(policy, cookies, **more):
    return scenario_of("flood", **options(policy, cookies, **{**BASE, **more}))


@pytest.mark.parametrize("tcp_max_syn_backlog", [16, 64, 4096])
@pytest.mark.parametrize("cookies", [0, 1, 2])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("flood_rate", [20, 1000])  # 30 and 1,400 SYNs
def test_what_is_said_of_the_queue_is_what_it_counted(policy, cookies, tcp_max_syn_backlog, flood_rate):
    scenario = flood(policy, cookies, flood_rate=flood_rate, series="1ms",
                     knobs={"tcp_max_syn_backlog": tcp_max_syn_backlog})  # fmt: skip
    result = document_of(scenario, "flood")
    half_open, causes = result["results"]["half_open"], result["causes"]["server"]
    found_none = sum(causes[cause] for cause in LOST) + result["counters"]["server"]["TCPReqQFullDoCookies"]
    assert half_open["peak"] <= half_open["room"]
    assert half_open["overflows"] == found_none
    if policy != "freebsd":  # where a bucket is full before the cache is
        assert (half_open["peak"] == half_open["room"]) >= (found_none > 0)
    if cookies == 0:
        full = found_none > 0 or half_open["peak"] == half_open["room"]
        row = {"policy": policy, "half_open": half_open,
               "residence_unanswered_ms": result["results"]["residence_unanswered_ms"]}  # fmt: skip
        sentence = why(scenario, row)
        assert ("never full" in sentence) == (not full)
        assert f"{half_open['room']:,} places" in sentence


def test_the_reserve_of_linux_is_no_room():
    """backlog 1024 and tcp_max_syn_backlog 256 leave 193 places, and the flood takes them all."""
    result = compared(
        ["linux"], **{**BASE, "backlog": 1024, "series": "1ms", "o": {"tcp_max_syn_backlog": 256}}
    )
    row = result["results"]["compare"]["linux"]
    assert row["half_open"]["room"] == row["half_open"]["peak"] == 193
    assert result["causes"]["linux"]["SynQueueReserve"] == row["half_open"]["overflows"] > 0
    assert "its 193 places are full after 193 ms" in result["results"]["verdict"]
    assert "1,025" not in result["results"]["verdict"]


def test_variants_have_what_belongs_to_their_policy():
    runs = variants(flood("linux", 0), ["freebsd", "drop-new"], set())
    assert list(runs) == ["freebsd", "freebsd_cookies", "drop_new", "drop_new_cookies"]
    assert runs["freebsd"].server.knobs["cookie_encoding"] == "freebsd"
    assert [one.server.knobs["tcp_syncookies"] for one in runs.values()] == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("backlog", "somaxconn", "effective", "set_by"),
    [
        (None, 16, 16, "somaxconn"),
        (8, 16, 8, "--backlog"),
        (16, 16, 16, "--backlog"),
        (20, 16, 16, "somaxconn"),
    ],
)
def test_the_effective_backlog_and_what_sets_it(backlog, somaxconn, effective, set_by):
    result = document_of(flood("drop-new", 0, backlog=backlog, knobs={"somaxconn": somaxconn}), "flood")
    assert result["results"]["backlog"] == {"effective": effective, "set_by": set_by}
    assert result["results"]["half_open"]["room"] == effective + 1


def test_the_accept_queue_of_a_slow_application_fills_to_its_room():
    result = played("flood", **options("linux", 1, **{
        **BASE, "flood_rate": 1, "backlog": 4, "connections": 40, "rate": 1000,
        "accept_time": "50ms"}))  # fmt: skip
    assert result["results"]["accept_queue"]["peak"] == 5
    assert result["counters"]["server"]["ListenOverflows"] > 0
