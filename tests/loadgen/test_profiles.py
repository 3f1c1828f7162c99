"""`loadgen profiles`, and the options that say what the hosts of a workload are."""

import csv
import io
import json
from dataclasses import fields

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from tcpcore import Config

HOST = """\
net.ipv4.tcp_synack_retries = 1
net.ipv4.tcp_fastopen = 2
kernel.ostype = Linux
net.ipv4.tcp_timestamps = 0
"""


@pytest.fixture
def loadgen():
    return lambda *args: CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture
def sysctl(tmp_path):
    path = tmp_path / "host.sysctl"
    path.write_text(HOST)
    return path


def document(outcome):
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.stdout)


def knobs(outcome):
    """What the engines of a workload ran with."""
    return document(outcome)["config"]["knobs"]


# -- the three side by side -------------------------------------------------------------


def test_every_knob_of_a_host_has_a_row_with_the_profiles_own_values(loadgen):
    table = document(loadgen("profiles", "--format", "json"))
    assert (table["schema"], table["command"]) == (1, "profiles")
    assert table["profiles"] == ["linux", "freebsd", "strict"]
    ours = {"capacity", "seed", "local_addr", "events"}
    assert set(table["knobs"]) == {knob.name for knob in fields(Config)} - ours
    for name in table["profiles"]:
        profile = getattr(Config, name)()
        for knob, row in table["knobs"].items():
            value = getattr(profile, knob)
            assert row[name] == (list(value) if isinstance(value, tuple) else value), knob


def test_differences_are_marked(loadgen):
    rows = document(loadgen("profiles", "--format", "json"))["knobs"]
    for row in rows.values():
        assert row["differs"] == (not row["linux"] == row["freebsd"] == row["strict"])
    table = loadgen("profiles").stdout.splitlines()
    (marked,) = (line for line in table if " time_wait_ms " in line)
    assert marked.split() == ["*", "time_wait_ms", "60000", "60000", "240000", "*"]
    (plain,) = (line for line in table if " tcp_window_scaling " in line)
    assert plain.split() == ["tcp_window_scaling", "1", "1", "1"]
    odd = sum(row["differs"] for row in rows.values())
    assert table[-1].startswith(f"{odd} of {len(rows)} knobs differ")


def test_differing_leaves_out_what_is_the_same(loadgen):
    rows = document(loadgen("profiles", "--differing", "--format", "json"))["knobs"]
    assert rows and all(row["differs"] for row in rows.values())
    assert "tcp_window_scaling" not in rows


def test_every_knob_says_what_it_does(loadgen):
    rows = document(loadgen("profiles", "--format", "json"))["knobs"]
    assert rows["time_wait_ms"]["doc"] == "2 MSL [0 to 1073741823, ms]"
    assert all(row["doc"] for row in rows.values())
    plain, explained = (loadgen("profiles", *args).stdout.splitlines() for args in ([], ["--explain"]))
    assert len(plain) == len(explained)
    for knob, row in rows.items():
        (line,) = (line for line in explained if line.removeprefix("*").split()[:1] == [knob])
        assert line.endswith(row["doc"])
    table = csv.DictReader(io.StringIO(loadgen("profiles", "--format", "csv").stdout))
    assert {row["knob"]: row["doc"] for row in table} == {knob: row["doc"] for knob, row in rows.items()}


@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
def test_every_cell_is_a_value_that_o_takes(loadgen, profile):
    """A column, given knob by knob to another profile, is that column again."""
    table = list(csv.DictReader(io.StringIO(loadgen("profiles", "--format", "csv").stdout)))
    args = [word for row in table for word in ("-o", f"{row['knob']}={row[profile]}")]
    again = list(csv.DictReader(io.StringIO(loadgen("profiles", *args, "--format", "csv").stdout)))
    assert [row["yours"] for row in again] == [row[profile] for row in table]


def test_your_own_settings_are_a_fourth_column(loadgen, sysctl):
    outcome = loadgen("profiles", "--profile", "freebsd", "--sysctl", sysctl, "-o", "insecure_rst=1",
                      "--format", "json")  # fmt: skip
    rows = document(outcome)["knobs"]
    assert (rows["insecure_rst"]["yours"], rows["insecure_rst"]["differs"]) == (1, True)
    assert rows["tcp_synack_retries"]["yours"] == 1
    assert rows["keepinit_ms"]["yours"] == Config.freebsd().keepinit_ms


def test_output_to_a_file(loadgen, tmp_path):
    for name, start in (("p.json", "{"), ("p.csv", "knob,differs,linux,freebsd,strict"), ("p.txt", " ")):
        outcome = loadgen("profiles", "--output", tmp_path / name)
        assert (outcome.exit_code, outcome.stdout) == (0, "")
        assert (tmp_path / name).read_text().startswith(start)
    outcome = loadgen("profiles", "--output", tmp_path / "missing" / "p.json")
    assert outcome.exit_code == 1 and "cannot write" in outcome.stderr


def test_every_command_has_examples(loadgen):
    assert "loadgen profiles " in loadgen("profiles", "--help").stdout.partition("EXAMPLES")[2]


# -- what the workloads make of the same options ---------------------------------------------


@pytest.mark.parametrize("command", ["handshake", "close"])
@pytest.mark.parametrize("profile", ["linux", "freebsd", "strict"])
def test_a_workload_runs_under_a_profile(loadgen, command, profile):
    outcome = loadgen(command, "-n", 20, "--profile", profile, "--format", "json")
    result = document(outcome)
    assert result["results"]["served"] == 20
    expected = getattr(Config, profile)()
    for knob in ("tcp_synack_retries", "rto_min_rule", "isn_tick_ns", "acceptance"):
        assert result["config"]["knobs"][knob] == getattr(expected, knob)


def test_each_source_wins_over_the_one_before(loadgen, sysctl, tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("profile = 'freebsd'\nsysctl = 'host.sysctl'\nrtt = '3ms'\n[knobs]\ntcp_retries2 = 4\n")
    args = ("handshake", "--config", path, "-n", 5, "--format", "json")
    ran = knobs(loadgen(*args, "-o", "tcp_fin_timeout=9"))
    assert (ran["keepinit_ms"], ran["tcp_synack_retries"]) == (75_000, 1)
    assert (ran["tcp_retries2"], ran["tcp_fin_timeout"]) == (4, 9)
    assert knobs(loadgen(*args, "--profile", "strict"))["keepinit_ms"] is None


def test_unknown_keys_of_a_host_are_ignored_counted_and_listed_on_request(loadgen, sysctl):
    outcome = loadgen("handshake", "-n", 5, "--sysctl", sysctl, "--format", "json")
    assert knobs(outcome)["tcp_timestamps"] == 0
    assert outcome.stderr.splitlines() == [
        f"{sysctl}: 2 knobs taken, 2 other keys ignored (-v lists them)",
        "  they matter and are not modelled: net.ipv4.tcp_fastopen",
    ]
    for command in (["handshake", "-n", 5], ["profiles"]):
        told = loadgen(*command, "-v", "--sysctl", sysctl).stderr
        assert told.splitlines() == [
            f"{sysctl}: 2 knobs taken, 2 other keys ignored",
            "  they matter and are not modelled: net.ipv4.tcp_fastopen", "  kernel.ostype",
        ]  # fmt: skip


def test_what_follows_from_an_old_kernel_or_from_freebsd_is_set_and_told(loadgen, tmp_path):
    path = tmp_path / "host.sysctl"
    path.write_text("kernel.osrelease = 3.10.0-1160.el7.x86_64\nnet.ipv4.tcp_synack_retries = 2\n")
    outcome = loadgen("handshake", "-n", 5, "--sysctl", path, "--format", "json")
    assert (knobs(outcome)["tcp_syn_linear_timeouts"], knobs(outcome)["tcp_synack_retries"]) == (0, 2)
    assert "  Linux 3.10: tcp_syn_linear_timeouts = 0 (before 6.5)" in outcome.stderr.splitlines()
    path.write_text("net.inet.tcp.msl=5000\n")
    outcome = loadgen("handshake", "-n", 5, "--sysctl", path, "--format", "json")
    assert (knobs(outcome)["time_wait_ms"], knobs(outcome)["synq_policy"]) == (10_000, "freebsd")


@pytest.mark.parametrize("command", ["handshake", "close", "profiles"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "net.ipv4.tcp_syncookies = 1"),
        ("net.netfilter.nf_conntrack_max = 1\n", "got 'net.netfilter.nf_conntrack_max'"),
        ("net.core.somaxconn = 1\nnet.ipv4.tcp_sack = 1 # on\n", "line 2: tcp_sack: expected a value"),
        ("net.ipv4.tcp_synack_retries = many\n", "tcp_synack_retries: expected an integer, got 'many'"),
        ("net.ipv4.tcp_synack_retries = 900\n", "tcp_synack_retries: expected an integer from 0 to 255"),
        ("net.ipv4.ip_local_port_range = 9000 80\n", "first <= last"),
    ],
)
def test_a_sysctl_file_that_is_none_or_says_nonsense(loadgen, tmp_path, command, text, words):
    path = tmp_path / "host.sysctl"
    path.write_text(text)
    outcome = loadgen(command, "--sysctl", path)
    assert outcome.exit_code == 3
    said = " ".join(outcome.stderr.split())
    assert str(path) in said and words in said


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["-o", "tcp_rto_min_us=2000000", "-o", "tcp_rto_max_ms=1000"], 3,
         "tcp_rto_min_us: expected at most tcp_rto_max_ms (1000 ms), got 2000000"),
        (["-o", "tcp_syncookies=1", "-o", "tcp_syncookies=2"], 2,
         "tcp_syncookies is contradictory: 2 here, 1 by another -o"),
        (["-o", "ip_local_port_range=9000,80"], 3, "first <= last"),
        (["--profile", "openbsd"], 2, "'linux', 'freebsd', 'strict'"),
        (["-o", "synq_policy=evict-oldst"], 3, "did you mean 'evict-oldest'?"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["handshake", "close", "profiles"])
def test_contradictory_and_unknown_settings(loadgen, command, args, code, words):
    if command != "profiles":                                      # which have two ends, and take a file
        args = [word.replace("ip_local_port_range", "client.ip_local_port_range") for word in args]
        if args[0] == "--profile":
            code, words = 3, "expected linux, freebsd, strict or a profile's .toml, got 'openbsd'"
    outcome = loadgen(command, *args)
    assert outcome.exit_code == code
    assert words in " ".join(outcome.stderr.split())
    assert outcome.stdout == ""


def test_one_knob_said_twice_alike_is_no_contradiction(loadgen):
    ran = knobs(loadgen("close", "-n", 5, "--time-wait", "1s", "-o", "time_wait_ms=1000", "--format", "json"))
    assert ran["time_wait_ms"] == 1000
    outcome = loadgen("close", "-n", 5, "--time-wait", "1s", "-o", "time_wait_ms=2000")
    assert outcome.exit_code == 2
    assert "2000 here, 1000 by --time-wait" in " ".join(outcome.stderr.split())
