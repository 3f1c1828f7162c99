"""`loadgen churn`: what options set, what is refused and how, what is written. Every run here is small."""

import json
import subprocess
import sys

import pytest

import loadgen
from loadgen.cli import COMMANDS
from loadgen.cli.flags import FLAGS
from loadgen.scenario.values import Distribution
from tests.loadgen.hostile import command_of, invoke, options
from tests.loadgen.processes import environment

SMALL = ("churn", "--rate", "500", "--duration", "40ms", "--clients", "1", "--series", "10ms")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(*args):
    outcome = invoke([*SMALL, *map(str, args), "--format", "json"])
    assert outcome.code == 0, outcome.stderr
    return json.loads(outcome.stdout)


def printed(*args):
    """The scenario that the options stand for."""
    outcome = invoke([*SMALL, *map(str, args), "--print-config"])
    assert outcome.code == 0, outcome.stderr
    with open("printed.toml", "w") as file:
        file.write(outcome.stdout)
    return loadgen.Scenario.from_toml("printed.toml")


def refused(code, *args):
    """What is said: one line, but for the line of usage."""
    outcome = invoke([*SMALL, *map(str, args)])
    assert (outcome.code, outcome.stdout, outcome.wrong) == (code, "", []), outcome.stderr
    lines = [line for line in outcome.stderr.splitlines() if not line.startswith("Usage: ")]
    assert len(lines) == 1
    return lines[0]


# -- what options set -----------------------------------------------------------------------


def test_each_option_sets_its_place():
    scenario = printed(
        "--rate", "3k/s", "--hold", "exp:100ms", "--request", "600", "--response", "30k",
        "--speaks", "server", "--requests-per-connection", "3", "--patience", "5s", "--idle-timeout", "60s",
        "-n", "1k",
        "--clients", "7", "--destinations", "2", "--ports", "1024-65535", "--time-wait", "120s",
        "--backlog", "511", "--listeners", "4", "--accept-time", "40us", "--accept-workers", "2",
        "--accept-stall", "250ms/2s", "--closes", "mix:0.3", "--rtt", "80ms", "--jitter", "1ms",
        "--loss", "syn=1%", "--duration", "10m", "--warmup", "5s", "--drain", "--series", "2s",
        "--seeds", "8", "--seed", "9", "--client-profile", "freebsd",
    )  # fmt: skip
    (load,) = scenario.load
    assert [rate for _, rate in load.shape] == [3000.0]
    assert load.hold == Distribution("exp", 1e8)
    assert (load.request, load.response, load.speaks, load.requests_per_connection) == (
        600,
        30_000,
        "server",
        3,
    )
    assert (load.patience_ns, load.idle_timeout_ns, load.count) == (5 * 10**9, 60 * 10**9, 1000)
    assert (scenario.client.hosts, scenario.client.destinations, scenario.client.profile) == (7, 2, "freebsd")
    assert tuple(scenario.client.knobs["ip_local_port_range"]) == (1024, 65535)
    assert scenario.client.knobs["time_wait_ms"] == scenario.server.knobs["time_wait_ms"] == 120_000
    listen, accept = scenario.server.listen, scenario.server.accept
    assert (listen.backlog, listen.listeners) == (511, 4)
    assert (accept.time.a, accept.workers, accept.stall_ns, accept.stall_every_ns) == (
        40_000, 2, 250_000_000, 2 * 10**9)  # fmt: skip
    assert scenario.server.closes.server == 0.3
    assert (scenario.link.rtt.a, scenario.link.jitter_ns, dict(scenario.link.loss)) == (
        8e7,
        10**6,
        {"syn": 0.01},
    )
    run = scenario.run
    assert (run.duration_ns, run.warmup_ns, run.drain) == (600 * 10**9, 5 * 10**9, True)
    assert (run.series_ns, run.seeds, scenario.seed) == (2 * 10**9, 8, 9)


def test_a_flood_beside_the_clients():
    (flood,) = printed("--flood-rate", "50k/s", "--flood-kind", "ack", "--sources", "203.0.113.0/24").flood
    assert (flood.rate, flood.kind, flood.sources) == (50_000.0, "ack", "203.0.113.0/24")
    assert printed().flood == printed("--flood-rate", "0/s", "--flood-kind", "ack").flood == ()
    assert "--flood-rate" in refused(2, "--flood-kind", "ack")


@pytest.mark.parametrize(
    ("text", "count", "backoff", "factor", "jitter"),
    [("os", 0, 10**9, 2.0, 0.0), ("3", 3, 10**9, 2.0, 0.0), ("3,2s*1.5", 3, 2 * 10**9, 1.5, 0.0),
     ("3,2s*1.5,0.5", 3, 2 * 10**9, 1.5, 0.5)],
)  # fmt: skip
def test_tries(text, count, backoff, factor, jitter):
    tries = printed("--tries", text).load[0].tries
    assert (tries.count, tries.backoff_ns, tries.factor, tries.jitter) == (count, backoff, factor, jitter)


def test_knobs_by_side():
    scenario = printed("-o", "somaxconn=64", "-o", "client.tcp_tw_reuse=1", "-o", "both.tcp_timestamps=0",
                       "-o", "client.ip_local_port_range=1024-65535", "-o", "link.rtt=5ms",
                       "-o", "hold=2s")  # fmt: skip
    assert scenario.server.knobs["somaxconn"] == 64 and "somaxconn" not in scenario.client.knobs
    assert scenario.client.knobs["tcp_tw_reuse"] == 1 and "tcp_tw_reuse" not in scenario.server.knobs
    assert {bool(side.knobs["tcp_timestamps"]) for side in (scenario.server, scenario.client)} == {False}
    assert tuple(scenario.client.knobs["ip_local_port_range"]) == (1024, 65535)
    assert (scenario.link.rtt.a, scenario.load[0].hold.a) == (5e6, 2e9)


def test_the_stronger_word_wins(folder, monkeypatch):
    (folder / "c.toml").write_text("rtt = '3ms'\nseed = 3\nbacklog = 3\n[knobs]\nsomaxconn = 3\n")
    monkeypatch.setenv("LOADGEN_CHURN_SEED", "4")
    scenario = printed("--config", "c.toml", "--backlog", "5", "-o", "somaxconn=6")
    assert (scenario.link.rtt.a, scenario.seed, scenario.server.listen.backlog) == (3e6, 4, 5)
    assert scenario.server.knobs["somaxconn"] == 6


def test_every_line_says_where_it_comes_from(folder, monkeypatch):
    (folder / "c.toml").write_text("jitter = '3ms'\n")
    monkeypatch.setenv("LOADGEN_CHURN_RTT", "4ms")
    text = invoke([*SMALL, "--config", "c.toml", "-o", "client.tcp_tw_reuse=1", "--print-config"]).stdout
    for words in ("flag --rate", "flag -o", "LOADGEN_CHURN_RTT", "c.toml", "default"):
        assert words in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--rtt", "30m"], "link.rtt: 30min is unusually long (SYNs are sent again after 1 s); did you mean "
                           "30ms?"),
        (["--rtt", "exp:90s"], "link.rtt: 90s is unusually long (SYNs are sent again after 1 s)"),
        (["--jitter", "2m"], "link.jitter: 120s is unusually long (segments are sent again after 1 s); did "
                             "you mean 2ms?"),
        (["--accept-time", "1m"], "server.accept.time: 60s is unusually long (for each connection); did you "
                                  "mean 1ms?"),
    ],
    ids=str,
)  # fmt: skip
def test_a_time_that_is_hardly_meant_is_told_of_and_goes_on(args, said):
    found = invoke([*SMALL, *args, "--print-config"])
    assert found.code == 0 and found.stderr.splitlines() == [said] and "[link]" in found.stdout


@pytest.mark.parametrize("args", [["--rtt", "9s"], ["--hold", "30m"], ["--accept-time", "59s"]], ids=str)
def test_a_long_time_that_may_be_meant_is_not_told_of(args):
    assert invoke([*SMALL, *args, "--print-config"]).stderr == ""


# -- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--hold", "soon"], "--hold"),
        (["--rtt", "40"], "30ms"),
        (["--rate", "many"], "rate"),
        (["--tries", "often"], "COUNT"),
        (["--accept-stall", "250ms"], "LENGTH/PERIOD, got '250ms': how often? 250ms/2s is 250ms every 2 s"),
        (["--ports", "all"], "1024-65535"),
        (["--late", "10s"], "AFTER:SHARE"),
        (["--hodl", "1s"], "--hold"),
        (["-o", "somaxconn"], "NAME=VALUE"),
        (["-o", "ip_local_port_range=1,2"], "client.ip_local_port_range"),
        (["-o", "client.somaxconn=5"], "somaxconn"),
        (["-o", "tcp_tw_reuse=1"], "client.tcp_tw_reuse"),
        (["--threshold", "success_ratio"], "threshold"),
        (["--output", "x.docx"], ".json"),
    ],
    ids=str,
)
def test_what_cannot_be_read(args, words):
    assert words in refused(2, *args)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["-o", "somaxcon=5"], "somaxconn"),
        (["-o", "server.listen.baklog=5"], "backlog"),
        (["-o", "seed=5"], "--seed"),
        (["--threshold", "sucess_ratio>=1"], "success_ratio"),
        (["--threshold", "load.web.served>=1"], "load."),
        (["--sysctl", "no-such-file"], "no-such-file"),
        (["--arrivals", "trace:no-such-file"], "no-such-file"),
        (["--hold", "exp:0"], "hold"),
        (["--hold", "exp:-1s"], "hold"),
        (["--loss", "all=150%"], "loss"),
        (["--ports", "2000-1000"], "ip_local_port_range"),
        (["--ports", "1-70000"], "ip_local_port_range"),
        (["--clients", "0"], "hosts"),
        (["--duration", "0"], "duration"),
    ],
    ids=str,
)
def test_what_is_wrong(args, words):
    assert words in refused(3, *args)


def test_a_bad_row_of_a_trace_is_named(folder):
    (folder / "times.csv").write_text("1ms\n2ms\nthree\n")
    said = refused(3, "--arrivals", "trace:times.csv")
    assert "times.csv" in said and "3" in said and "three" in said


def test_an_output_that_cannot_be_written_is_said_before_the_run(monkeypatch):
    monkeypatch.setattr("loadgen.cli.playing.play", lambda *args, **more: pytest.fail("it was played"))
    assert "no folder" in refused(1, "--output", "no/such/file.json")


def test_too_much_memory_is_refused_unless_forced(monkeypatch):
    monkeypatch.setattr("loadgen.memory.available_bytes", lambda: 1)
    assert "--force" in refused(1)
    outcome = invoke([*SMALL, "--force"])
    assert outcome.code == 0


def test_a_big_run_says_what_it_takes(monkeypatch):
    monkeypatch.setattr("loadgen.memory.estimate_bytes", lambda *args: 3 * 10**9)
    monkeypatch.setattr("loadgen.memory.available_bytes", lambda: 4 * 10**9)
    assert "about 3 GB" in invoke(SMALL).stderr


# -- what is written ------------------------------------------------------------------------


def test_the_document_has_the_keys_of_the_contract():
    found = document("--seeds", "2", "--check")
    for key in ("schema", "command", "config", "seed", "results", "counters", "causes", "series", "wall",
                "partial", "kind", "name", "status", "replicates", "versions", "scenario", "limits",
                "assumptions",
                "not_modelled", "warnings", "verdict", "thresholds", "metrics", "outcomes", "histograms",
                "theory"):  # fmt: skip
        assert key in found
    assert (found["schema"], found["partial"], found["status"]) == (1, False, "complete")
    assert len(found["replicates"]) == 2
    assert all(not isinstance(value, dict) for value in found["config"].values())


def test_outcomes_sum_to_attempted():
    outcomes = document()["outcomes"]
    ends = [outcomes[end] for end in ("served", "ghost", "gave_up", "reset", "pending", "not_started")]
    assert sum(ends) + sum(outcomes["refused"].values()) == outcomes["attempted"]


@pytest.mark.parametrize("suffix", ["json", "csv", "html", "txt"])
def test_the_format_is_by_the_name_of_the_file(folder, suffix):
    assert invoke([*SMALL, "-O", f"r.{suffix}"]).code == 0
    text = (folder / f"r.{suffix}").read_text()
    assert {"json": text.startswith("{"), "csv": "," in text, "html": "<" in text, "txt": True}[suffix]
    assert invoke([*SMALL, "--format", {"txt": "table"}.get(suffix, suffix)]).stdout


def without_wall(text):
    found = json.loads(text)
    del found["wall"]
    return found


@pytest.mark.parametrize("args", [(), ("--closes", "mix:0.5", "--loss", "1%", "-o", "client.tcp_tw_reuse=1")])
def test_a_printed_scenario_gives_the_same_result(folder, args):
    made = invoke([*SMALL, *args, "--print-config"])
    (folder / "s.toml").write_text(made.stdout)
    first = invoke([*SMALL, *args, "--format", "json"])
    second = invoke(["run", "s.toml", "--format", "json"])
    assert (first.code, second.code) == (0, 0), second.stderr
    assert without_wall(first.stdout) == without_wall(second.stdout)


def test_one_and_two_jobs_give_the_same_result():
    args = [*SMALL, "--seeds", "3", "--format", "json"]
    assert without_wall(invoke(args).stdout) == without_wall(invoke([*args, "--jobs", "2"]).stdout)


def test_thresholds():
    assert invoke([*SMALL, "--threshold", "success_ratio>=0"]).code == 0
    outcome = invoke([*SMALL, "--threshold", "success_ratio>1", "--threshold", "attempted>=1"])
    assert outcome.code == 99
    assert "success_ratio>1" in outcome.stderr and "attempted" not in outcome.stderr
    assert outcome.stdout


def test_progress_is_for_terminals_only():
    assert invoke(SMALL).stderr == ""


# -- help and start -------------------------------------------------------------------------


def test_help_names_every_option():
    text = invoke(["churn", "--help"]).stdout
    for flag in FLAGS:
        assert f"--{flag.replace('_', '-')}" in text
    assert "EXAMPLES" in text and "loadgen churn --rate" in text


def test_options_mean_the_same_in_both_commands():
    churn, run = (options(command_of(name)) for name in ("churn", "run"))
    for name in set(churn) & set(run):
        assert (churn[name].opts, churn[name].help) == (run[name].opts, run[name].help)


def test_the_commands_are_those_of_the_help():
    text = invoke(["--help"]).stdout
    for name in COMMANDS:
        assert f"  {name} " in text


def test_the_start_imports_no_engine():
    script = (
        "import sys; from loadgen.entry import run; run(['--version']);"
        "print(sorted(m for m in ('numpy', 'rich', 'tcpcore', 'loadgen.sim', 'loadgen.phases', 'difflib')"
        " if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
