"""A host's kernel memory: by the table of its profile, at the moment when it is most, and nobody else's."""

from loadgen.report.result import build
from tests.report import made


def of(**given):
    profile = given.pop("profile", "linux")
    result = build(made.scenario("load", profile=profile), [made.outcome(made.load(served=1), **given)])
    return result, result.memory


def test_bytes_are_entries_times_bytes_each():
    peaks = {"half_open": 2_000, "established.server": 2_000_000, "time_wait.server": 262_144}
    result, memory = of(peaks=peaks)
    server = memory["server"]
    assert (server["half_open"]["low"], server["half_open"]["high"]) == (682_000, 682_000)
    assert (server["established"]["low"], server["established"]["high"]) == (5_040_000_000, 7_640_000_000)
    assert (server["time_wait"]["low"], server["time_wait"]["high"]) == (67_108_864, 111_935_488)
    total = 682_000 + 7_640_000_000 + 111_935_488
    assert server["total"]["high"] == result["memory.kernel.server.total"] == total
    figure = result.figure("memory.kernel.server.established")
    assert (figure.source, figure.low, figure.high) == ("T", 5_040_000_000, 7_640_000_000)


def test_the_total_is_that_of_a_moment_and_not_of_the_peaks():
    series = {"time_ms": [0, 1, 2], "server.ESTABLISHED": [100, 0, 0], "server.TIME_WAIT": [0, 0, 100]}
    _, memory = of(series=series)
    server = memory["server"]
    assert server["established"]["count"] == server["time_wait"]["count"] == 100
    assert server["total"] == {"low": 252_000, "high": 382_000}


def test_a_peak_between_two_points_counts():
    series = {"time_ms": [0, 1], "server.half_open": [1, 2]}
    _, memory = of(series=series, peaks={"half_open": 50})
    assert memory["server"]["half_open"]["count"] == 50
    assert memory["server"]["total"]["high"] >= 50 * 341


def test_all_states_with_a_socket_are_connections():
    series = {"time_ms": [0, 1], "client.SYN_SENT": [1, 1], "client.ESTABLISHED": [2, 2],
              "client.LAST_ACK": [4, 4], "client.FIN_WAIT_1": [8, 0],
              "client.TIME_WAIT": [99, 99]}  # fmt: skip
    _, memory = of(series=series)
    assert memory["client"]["established"]["count"] == 15


def test_a_profile_without_a_table_has_no_figure():
    for profile in ("freebsd", "strict", "mine.toml"):
        result, memory = of(profile=profile, peaks={"half_open": 5})
        for side in ("client", "server"):
            assert not memory[side]["known"] and memory[side]["half_open"]["high"] is None
            assert memory[side]["note"].startswith(f"no figure known for {profile}")
            assert result[f"memory.kernel.{side}.total"] is None
        assert result.to_text().count(f"no figure known for {profile}") == 1
        assert memory["server"]["half_open"]["count"] == 5


def test_what_nobody_looked_at_is_not_0():
    result, memory = of()
    nothing = {"count": None, "bytes_each": [2520, 3820], "low": None, "high": None}
    assert memory["server"]["established"] == nothing
    assert result["memory.kernel.server.established"] is None


def test_the_simulators_memory_is_under_wall_only():
    result, memory = of(peaks={"half_open": 1})
    document = result.to_dict()
    assert document["wall"]["simulator_bytes"] == {"client": 1 << 20, "server": 1 << 20}
    assert document["memory"] == {"kernel": memory}
    assert not [name for name in result.keys() if "simulator" in name or "engine" in name]
