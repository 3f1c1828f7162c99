"""`loadgen run FILE` and the Python API: files, overrides, interruptions, executors."""

import json
import pickle
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import loadgen
from tests.loadgen.hostile import invoke
from tests.loadgen.processes import alive, children, killed, started, until, until_working

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCENARIO = """\
schema = 1
seed = 5
[[load]]
name = "web"
rate = 400
hold = "exp:20ms"
[[load]]
name = "api"
rate = "100/s"
[link]
rtt = "5ms"
[run]
duration = "100ms"
series = "20ms"
[[threshold]]
metric = "load.web.served"
is = ">= 1"
"""
ENDLESS = ("churn", "--rate", "20k", "--clients", "200", "--hold", "exp:100ms", "--duration", "5m",
           "--format", "json")  # fmt: skip
NUMBERS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.toml").write_text(SCENARIO)
    return tmp_path


def document(*args):
    outcome = invoke(["run", *map(str, args), "--format", "json"])
    assert outcome.code == 0, outcome.stderr
    return json.loads(outcome.stdout)


def said(code, *args):
    outcome = invoke(["run", *map(str, args)])
    assert (outcome.code, outcome.stdout, outcome.wrong) == (code, "", []), outcome.stderr
    return outcome.stderr


def test_a_file_is_played():
    found = document("s.toml")
    assert set(found["loads"]) == {"web", "api"} and found["seed"] == 5
    assert [row["state"] for row in found["thresholds"]] == ["met"]
    assert found["command"] == "loadgen run s.toml --format json".removesuffix(" --format json")


def test_each_value_says_where_it_comes_from():
    found = document("s.toml", "-o", "client.hosts=3")["scenario"]
    assert found["link"]["rtt"]["from"] == "file s.toml:11"
    assert found["client"]["hosts"]["from"] == "flag -o"
    assert found["run"]["batch"]["from"] == "default"


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("backlog=7", ("server", "listen", "backlog"), 7),
        ("server.listen.backlog=8", ("server", "listen", "backlog"), 8),
        ("link.rtt=9ms", ("link", "rtt"), "const:9000000"),
        ("somaxconn=64", ("server", "knobs"), {"somaxconn": 64}),
        ("client.tcp_tw_reuse=1", ("client", "knobs"), {"tcp_tw_reuse": 1}),
    ],
)
def test_any_place_can_be_changed(change, path, value):
    found = document("s.toml", "-o", change)["scenario"]
    for word in path:
        found = found[word]
    if path != ("link", "rtt"):
        assert found["value"] == value


def test_load_rate_scales_all_loads():
    found = {
        name: load["attempted"] for name, load in document("s.toml", "-o", "load.rate=5k/s")["loads"].items()
    }
    assert found["web"] == pytest.approx(400, rel=0.3) and found["api"] == pytest.approx(100, rel=0.5)


def test_overrides_and_the_file_itself():
    found = document("s.toml", "--seeds", "2", "--duration", "50ms", "--seed", "9")
    assert (found["seed"], len(found["replicates"]), found["replicates"][0]["virtual_ns"]) == (
        9,
        2,
        50_000_000,
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("schema = 1\n[server.listen]\nbaklog = 5\n", ("s.toml:3", "backlog")),
        ("schema = 1\n[[load]]\nhold = 'exp:0'\n", ("s.toml:3", "mean")),
        ("schema = 2\n", ("s.toml:1", "schema")),
        ("schema = \n", ("s.toml:1",)),
        (SCENARIO.replace("load.web.served", "load.web.severd"), ("severd", "load.web.served")),
        ("schema = 1\n[[load]]\nrate = 1\n[[event]]\nat = '2h'\ndo = 'reset-all'\n", ("s.toml:5", "at")),
    ],
)
def test_what_is_wrong_with_a_file(folder, text, words):
    (folder / "s.toml").write_text(text)
    message = said(3, "s.toml")
    assert all(word in message for word in words)


def test_no_such_file():
    assert "no.toml" in said(3, "no.toml")


def test_the_example(folder):
    found = document(EXAMPLES / "edge-web.toml", "--duration", "3s", "-o", "flood.during=1s,2s",
                     "-o", "event.at=2s")  # fmt: skip
    assert found["name"] == "edge-web" and found["loads"]["browsers"]["served"] > 1000
    assert found["floods"]["scanners"]["sent"] == pytest.approx(20, abs=2)


# -- interruptions ---------------------------------------------------------------------------


def workers_of(pid):
    """The workers among the children of a process: multiprocessing has one of its own beside them."""
    return [child for child in children(pid) if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_played_is_reported(number, jobs):
    with started(*ENDLESS, "--seeds", "4", "--jobs", jobs) as process:
        until_working(process, 2.0 + 2.0 * int(jobs))
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    found = json.loads(stdout)
    assert found["partial"] is True and found["status"] == "partial"
    assert found["outcomes"]["attempted"] > 0 and found["outcomes"]["gave_up"] == 0
    assert 1 <= len(found["replicates"]) <= int(jobs)


@pytest.mark.parametrize("number", [*NUMBERS, signal.SIGKILL])
def test_workers_end_with_their_parent(number):
    with started(*ENDLESS, "--seeds", "4", "--jobs", "2") as process:
        until_working(process, 5.0)
        workers = workers_of(process.pid)
        assert len(workers) == 2
        process.send_signal(number)
        process.communicate(timeout=60)
        assert [pid for pid in workers if alive(pid) and not killed(pid)] == []
        until(lambda: not any(map(alive, workers)))


# -- Python ----------------------------------------------------------------------------------


def scenario(**more):
    return loadgen.Scenario.from_toml("s.toml").replace({"run.seeds": 3, **more})


def without_wall(result):
    return {key: part for key, part in result.to_dict().items() if key != "wall"}


def test_run_is_the_same_on_any_executor():
    first = loadgen.run(scenario())
    with ThreadPoolExecutor(3) as executor:
        second = loadgen.run(scenario(), executor=executor)
    third = loadgen.run(scenario(), jobs=2)
    assert without_wall(first) == without_wall(second) == without_wall(third)


def test_a_seed_changes_the_result_and_nothing_else():
    assert loadgen.run(scenario(), seed=7).seed == 7
    assert without_wall(loadgen.run(scenario(), seed=5)) == without_wall(loadgen.run(scenario()))


def test_a_result_answers_by_name_and_pickles():
    result = loadgen.run(scenario())
    assert result["attempted"] > 0 and result["load.web.served"] > 0
    assert without_wall(pickle.loads(pickle.dumps(result))) == without_wall(result)


def test_a_sweep_meets_the_same_arrivals_at_every_point():
    grid = {"server.listen.backlog": [1, 100], "link.rtt": ["1ms", "5ms"]}
    study = loadgen.sweep(scenario(), grid, seeds=2)
    assert [tuple(point.values.values()) for point in study] == [
        (1, "1ms"),
        (1, "5ms"),
        (100, "1ms"),
        (100, "5ms"),
    ]
    assert len({point.result["attempted"] for point in study}) == 1
    assert len(study) == 4 and len(study[1:]) == 3 and "backlog=100" in repr(study)
    assert all(len(point.result.replicates) == 2 for point in study)


@pytest.mark.parametrize("grid", [{"server.listen.baklog": [1]}, {"link.rtt": ["1ms", "soon"]}])
def test_a_wrong_grid_costs_nothing(grid, monkeypatch):
    monkeypatch.setattr("loadgen.api.play", lambda *args, **more: pytest.fail("it was played"))
    with pytest.raises(loadgen.ScenarioError):
        loadgen.sweep(scenario(), grid)


def test_the_package_names_what_it_has():
    for name in loadgen.__all__:
        assert getattr(loadgen, name) is not None
    assert set(loadgen.__all__) <= set(dir(loadgen))
    with pytest.raises(AttributeError, match="no attribute 'rnu'"):
        loadgen.rnu  # noqa: B018
