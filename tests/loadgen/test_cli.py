"""The command line: exit codes, hints, help, files; every run here is small and real."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from tcpcore import Config
from tests.loadgen.interrupting import interrupted

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def loadgen():
    return lambda *args: CliRunner().invoke(main, [str(arg) for arg in args])


def document(outcome):
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


# -- help -----------------------------------------------------------------------------


def test_help_reads_like_a_manual_page(loadgen):
    outcome = loadgen("--help")
    assert outcome.exit_code == 0
    for words in ("NUMBERS", "FILES", "EXAMPLES", "EXIT CODES", "handshake", "close"):
        assert words in outcome.stdout


@pytest.mark.parametrize("command", ["handshake", "close"])
def test_every_command_has_examples(loadgen, command):
    outcome = loadgen(command, "--help")
    assert outcome.exit_code == 0
    assert f"loadgen {command} " in outcome.stdout.partition("EXAMPLES")[2]
    assert "28232" in outcome.stdout  # ports per client address


# -- usage: 2 -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["handshak"], "did you mean 'handshake'"),
        (["handshake", "--conections", "5"], "--connections"),
        (["handshake", "--connections", "many"], "whole number"),
        (["handshake", "--rtt", "40"], "unit"),
        (["handshake", "--threshold", "served=5"], "threshold"),
        (["handshake", "-o", "tcp_syncookies"], "NAME=VALUE"),
        (["handshake", "-o", "tcp_syn_retries=1"], "client.tcp_syn_retries"),
        (["handshake", "--peer", "stateless"], "no such client any more"),
        (["handshake", "--by", "client"], "--by"),
        (["close", "--by", "nobody"], "simultaneous"),
        (["close", "--duration", "5s"], "--duration"),
    ],
)
def test_wrong_usage(loadgen, args, words):
    outcome = loadgen(*args)
    assert outcome.exit_code == 2
    assert words in " ".join(outcome.stderr.split())
    assert outcome.stdout == ""


# -- configuration: 3 -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conections = 5", "did you mean 'connections'"),
        ("connections = 'many'", "whole number"),
        ("connections = [1, 2]", "one value"),
        ("rtt = 40", "unit"),
        ("command = 'close'", "loadgen close"),
        ("knobs = 5", "table"),
        ("[knobs]\ntcp_syncokies = 1", "did you mean 'tcp_syncookies'"),
        ("[knobs]\ntcp_syncookies = 7", "tcp_syncookies"),
        ("[knobs]\nseed = 7", "--seed"),
        ("connections =", "config"),
        ("sysctl = 'no-such-file'", "no-such-file"),
    ],
)
def test_bad_configuration_file(loadgen, tmp_path, text, words):
    path = tmp_path / "run.toml"
    path.write_text(text)
    outcome = loadgen("handshake", "--config", path)
    assert outcome.exit_code == 3
    assert words in " ".join(outcome.stderr.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--config", "no-such-file.toml"], "no-such-file"),
        (["--sysctl", "no-such-file"], "no-such-file"),
        (["-o", "tcp_syncokies=1"], "did you mean 'tcp_syncookies'"),
        (["-o", "tcp_syncookies=7"], "tcp_syncookies"),
        (["-o", "events=lost"], "events"),
        (["--connections", "0"], "expected 1"),
        (["--loss", "150%"], "share"),
        (["--loss", "sin=1%"], "did you mean 'syn'"),
        (["--threshold", "sucess_ratio>=1"], "did you mean success_ratio"),
    ],
)
def test_bad_knobs_and_missing_files(loadgen, args, words):
    outcome = loadgen("handshake", *args)
    assert outcome.exit_code == 3
    assert words in " ".join(outcome.stderr.split())


def test_the_command_line_wins_over_the_file_and_the_file_over_the_sysctl(loadgen, tmp_path):
    (tmp_path / "host.sysctl").write_text("net.ipv4.tcp_synack_retries = 1\nnet.ipv4.tcp_fin_timeout = 7\n")
    path = tmp_path / "run.toml"
    path.write_text(
        "connections = 20\nrtt = '3ms'\nsysctl = 'host.sysctl'\n"
        "[knobs]\ntcp_synack_retries = 2\ntcp_retries2 = 4\n"
    )
    config = document(
        loadgen("handshake", "--config", path, "-n", "30", "-o", "tcp_retries2=5", "--format", "json")
    )["config"]
    assert config["connections"] == 30
    assert config["rtt_ms"] == 3
    knobs = config["knobs"]
    assert (knobs["tcp_fin_timeout"], knobs["tcp_synack_retries"], knobs["tcp_retries2"]) == (7, 2, 5)


def test_a_hosts_sysctl(loadgen):
    config = document(
        loadgen("handshake", "-n", 10, "--sysctl", EXAMPLES / "linux-6.18.sysctl", "--format", "json")
    )["config"]
    assert config["knobs"]["somaxconn"] == 4096


# -- results ----------------------------------------------------------------------------


def test_json_to_standard_output_and_nothing_else(loadgen):
    outcome = loadgen("handshake", "-n", 50, "--format", "json", "--seed", 9)
    result = document(outcome)
    assert set(result) >= {
        "schema", "command", "config", "seed", "results", "counters", "causes", "series", "wall", "partial"
    }  # fmt: skip
    assert set(result) >= {"kind", "scenario", "metrics", "outcomes", "verdict", "versions"}
    assert result["reproduce"] == "loadgen handshake --connections 50 --seed 9"
    assert {"from_client", "from_server", "lost", "duplicated", "reordered"} <= set(
        result["counters"]["link"]
    )
    assert (result["config"]["connections"], result["config"]["rtt_ms"]) == (50, 1.0)
    assert (result["schema"], result["command"], result["seed"], result["partial"]) == (
        1,
        "handshake",
        9,
        False,
    )
    assert outcome.stderr == ""


def test_the_format_goes_by_the_name_of_the_file(loadgen, tmp_path):
    for name, start in (("r.json", "{"), ("r.csv", "metric,value"), ("r.txt", "All 5 clients")):
        outcome = loadgen("handshake", "-n", 5, "--output", tmp_path / name)
        assert outcome.exit_code == 0
        assert outcome.stdout == ""
        assert (tmp_path / name).read_text().startswith(start)
    loadgen("handshake", "-n", 5, "--output", tmp_path / "r.json", "--format", "csv")
    assert (tmp_path / "r.json").read_text().startswith("metric,value")


def test_a_file_that_cannot_be_written(loadgen, tmp_path):
    outcome = loadgen("handshake", "-n", 5, "--output", tmp_path / "missing" / "r.json")
    assert outcome.exit_code == 1
    assert "cannot write" in outcome.stderr


def test_the_table_names_what_a_planner_looks_for(loadgen):
    outcome = loadgen("close", "-n", 30)
    assert outcome.exit_code == 0
    for words in (
        "connected",
        "served",
        "ghost",
        "success_ratio",
        "100 %",
        "p99",
        "time_wait",
    ):
        assert words in outcome.stdout
    assert (
        "stuck_last_ack" in loadgen("close", "-n", 30, "--last-ack-loss", "100%", "--time-wait", "0").stdout
    )


def test_thresholds(loadgen):
    good = loadgen(
        "handshake", "-n", 50, "--threshold", "success_ratio>=0.999", "--threshold", "handshake_ms.max<2ms"
    )
    assert good.exit_code == 0
    assert "met" in good.stdout
    assert "handshake_ms.max: is called connect.max now" in good.stderr
    missed = loadgen("handshake", "-n", 50, "--threshold", "connected>50", "--format", "json")
    assert missed.exit_code == 99
    assert json.loads(missed.stdout)["results"]["connected"] == 50
    assert "connected>50" in missed.stderr


def test_a_threshold_without_samples_is_missed(loadgen):
    outcome = loadgen(
        "handshake",
        "-n",
        5,
        "--loss",
        "syn=100%",
        "-o",
        "client.tcp_syn_retries=1",
        "--threshold",
        "connect.p99<1h",
    )
    assert outcome.exit_code == 99
    assert "no samples" in outcome.stdout


def test_an_interrupted_run_reports_what_it_has(loadgen, monkeypatch):
    asked = []

    def pending():
        asked.append(True)
        return len(asked) > 3  # once the run is under way

    monkeypatch.setattr("loadgen.sim.run.INSTANTS", 100)
    monkeypatch.setattr("loadgen.signals.pending", pending)
    outcome = loadgen("handshake", "-n", 1000, "--rate", "10k", "--format", "json")
    assert outcome.exit_code == 130
    result = json.loads(outcome.stdout)
    assert result["partial"] is True
    assert 0 < result["results"]["attempted"] < 1000
    assert result["results"]["attempted"] + result["results"]["not_started"] <= 1000


def test_sigint_to_the_process():
    code, stdout = interrupted("handshake", "-n", "5M", "--rate", "1k", "--format", "json")
    assert code == 130
    assert json.loads(stdout)["partial"] is True


@pytest.mark.parametrize("name", ["webfleet", "close"])
def test_the_examples_are_valid(loadgen, name):
    """With fewer connections: the files themselves run in `make demo`."""
    command = "handshake" if name == "webfleet" else "close"
    outcome = loadgen(command, "--config", EXAMPLES / f"{name}.toml", "-n", "2k")
    assert outcome.exit_code == 0, outcome.output


@pytest.mark.parametrize(
    "args",
    [("handshake", "-n", "20", "--loss", "10%"), ("close", "-n", "20", "--loss", "10%"),
     ("flood", "--flood-rate", "200", "--rate", "50", "--duration", "1s", "--loss", "10%")],
    ids=lambda args: args[0],
)  # fmt: skip
def test_a_random_seed_is_told_so_that_the_run_can_be_repeated(loadgen, args):
    first = document(loadgen(*args, "--seed", "random", "--format", "json"))
    other = document(loadgen(*args, "--seed", "random", "--format", "json"))
    again = document(loadgen(*args, "--seed", first["seed"], "--format", "json"))
    assert 0 <= first["seed"] < 2**53 and first["seed"] != other["seed"]
    assert but_the_command(again) == but_the_command(first)
    assert f"seed {first['seed']}" in loadgen(*args, "--seed", first["seed"]).stdout


def but_the_command(result):
    """Without what says how the seed was given."""
    scenario = {**result["scenario"], "seed": None}
    return {**result, "wall": None, "reproduce": None, "scenario": scenario}


@pytest.mark.parametrize(
    ("args", "now", "path"),
    [
        (("close", "--by", "simultaneous"), "write --closes both", ("closes", "both", 1.0)),
        (("close", "--by", "mix"), "write --closes turns", ("closes", "turns", True)),
        (("close", "--data", "1000"), "write --speaks server --request 1000 --response 1000", None),
    ],
)
def test_an_old_spelling_works_and_says_what_to_write(loadgen, args, now, path):
    outcome = loadgen(*args, "-n", 6, "--format", "json")
    assert now in outcome.stderr
    scenario = document(outcome)["scenario"]
    if path:
        assert scenario["server"][path[0]][path[1]]["value"] == path[2]
    else:
        assert scenario["load"][0]["request"]["value"] == 1000


def test_what_the_phases_must_not_be_used_for_is_in_their_help(loadgen):
    for command in ("handshake", "close"):
        said = " ".join(loadgen(command, "--help").stdout.split())
        assert "Everything is opened before anything is closed" in said and "that is `loadgen churn`" in said


@pytest.mark.parametrize("command", ["handshake", "close", "flood"])
def test_a_printed_scenario_gives_the_same_bytes(loadgen, tmp_path, command):
    args = {
        "handshake": ("-n", 20, "--syn-data", 10),
        "close": ("-n", 20, "--half-close", "50%", "--closes", "turns"),
        "flood": ("--duration", "1s", "--bursts", "100ms/100ms", "--flood-count", 50),
    }[command]
    printed = loadgen(command, *args, "--print-config")
    assert printed.exit_code == 0, printed.output
    (tmp_path / "printed.toml").write_text(printed.stdout)
    first = document(loadgen(command, *args, "--format", "json"))
    again = document(loadgen("run", tmp_path / "printed.toml", "--format", "json"))
    assert {**again, "wall": None} == {**first, "wall": None}


def test_a_random_seed_in_a_file_and_a_wrong_word(loadgen, tmp_path):
    (tmp_path / "c.toml").write_text('seed = "random"\n')
    given = ("handshake", "-n", 5, "--format", "json", "--config", tmp_path / "c.toml")
    assert document(loadgen(*given))["seed"] != document(loadgen(*given))["seed"]
    outcome = loadgen("handshake", "--seed", "rnadom")
    assert outcome.exit_code == 2 and "--seed" in outcome.output


HOSTS = Path(__file__).resolve().parents[1] / "config" / "data"


@pytest.mark.parametrize(
    ("name", "good"),
    [("linux-3.10-listing.sysctl", True), ("freebsd.conf", True), ("slashes.conf", True), ("bom.conf", True),
     ("tuning.sh", True), ("proxy.conf", False), ("conntrack.conf", False)],
)  # fmt: skip
def test_what_a_host_says_end_to_end(loadgen, name, good):
    """As many knobs as `Config` takes, or exit 3 and what is wrong."""
    outcome = loadgen("handshake", "-n", 5, "--format", "json", "--sysctl", HOSTS / name)
    text = (HOSTS / name).read_text(encoding="utf-8")
    if not good:
        with pytest.raises(ValueError, match="expected") as caught:
            Config.from_sysctl(text)
        assert (outcome.exit_code, outcome.stdout) == (3, "")
        assert str(caught.value)[:60] in outcome.output
    else:
        host = Config.from_sysctl(text)
        knobs = document(outcome)["config"]["knobs"]
        assert f"{len(host.sysctl_taken)} knobs taken" in outcome.stderr
        assert {n: knobs[n] for n in host.sysctl_taken if n in knobs and n != "ip_local_port_range"} == {
            n: getattr(host, n) for n in host.sysctl_taken if n in knobs and n != "ip_local_port_range"
        }


@pytest.mark.parametrize("text", ["TcpActiveOpens  18422  0.0\n", "LISTEN  512  511  0.0.0.0:443\n", ""])
def test_a_text_without_a_knob_is_bad_input(loadgen, tmp_path, text):
    (tmp_path / "host").write_text(text)
    outcome = loadgen("handshake", "-n", 5, "--sysctl", tmp_path / "host")
    assert (outcome.exit_code, outcome.stdout) == (3, "")
    assert "expected a setting that is a knob here" in outcome.output
