"""`loadgen flood` at the command line: what it refuses, what it prints, how it is interrupted."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from tests.loadgen.interrupting import interrupted

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--duration", "1s", "--patience", "500ms", "--flood-rate", "2k", "--backlog", "64")


@pytest.fixture
def flood():
    return lambda *args: CliRunner().invoke(main, ["flood", *map(str, args)])


def told(outcome):
    return " ".join(outcome.stderr.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--flood-rate", "1G"], "100,000,000"),
        (["--clients", "1G"], "--clients"),
        (["--sources", "@no-such-file"], "no-such-file"),
        (["--sources", "203.0.113.5/24"], "did you mean '203.0.113.0/24'"),
        (["--sources", "10.0.0.0/8"], "own hosts"),
        (["--policy", "evict-oldst"], "did you mean 'evict-oldest'"),
        (["--compare", "linux,freebds"], "did you mean 'freebsd'"),
        (["--compare", "al"], "did you mean 'all'"),
        (["--compare", ","], "expected 'all'"),
        (["--backlog", "-1"], "expected 0 to 2147483647, got -1"),
        (["--backlog", "5G"], "got 5G"),
        (["--backlog", "500", "--config", "no-such-file"], "no-such-file"),
        (["--duration", "0"], "--duration"),
        (["--threshold", "sucess_ratio>=1"], "did you mean success_ratio"),
        (["--compare", "linux", "--threshold", "sucess_ratio>=1"], "sucess_ratio"),
        (["--count", "0"], "--count"),
        (["--flood-count", "0"], "--flood-count"),
        (["--on", "1s"], "--on, --off"),
        (["--bursts", "1s/0"], "--bursts"),
        (["--start", "2h"], "--start"),
        (["--during", "2h,end"], "--during"),
        (["--start", "5s", "--stop", "5s"], "--start"),
        (["-o", "synq_policy=drop-old"], "synq_policy"),
    ],
)
def test_bad_input(flood, args, words):
    outcome = flood(*args)
    assert outcome.exit_code == 3
    assert words in told(outcome)
    assert outcome.stdout == ""


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--flood-rate", "fast"], "a rate such as"),
        (["--flood-rate", "10ms"], "a rate such as"),
        (["--sources", ""], "--sources"),
        (["--rate", "20k"], "write --flood-rate 20k"),
        (["--clients", "200/s"], "write --rate 200/s"),
        (["--flood-rate", "20k", "--clients", "200/s"], "write --rate 200/s"),
        (["--arrivals", "poisson"], "write --flood-arrivals poisson"),
        (["--backlog", "many"], "whole number"),
        (["--duration", "60"], "unit"),
        (["--kind", "xmas"], "'syn'"),
        (["--compare", "all", "--policy", "linux"], "--policy"),
        (["--compare", "all", "--check"], "--check"),
        (["--conections", "5"], "--connections"),
    ],
)
def test_wrong_usage(flood, args, words):
    outcome = flood(*args)
    assert outcome.exit_code == 2
    assert words in told(outcome)


def test_help_reads_like_a_manual_page(flood):
    outcome = flood("--help")
    assert outcome.exit_code == 0
    for words in ("POLICIES", "TIME", "evict-random", "EXAMPLES", "--accept-time", "--compare all"):
        assert words in outcome.stdout


def test_one_document_with_the_keys_of_every_workload(flood):
    outcome = flood(*SMALL, "--format", "json", "--seed", 5)
    assert outcome.exit_code == 0, outcome.output
    document = json.loads(outcome.stdout)
    assert set(document) >= {
        "schema", "command", "config", "seed", "results", "counters", "causes", "series", "wall", "partial"
    }  # fmt: skip
    assert (document["command"], document["seed"]) == ("flood", 5)
    queues = document["detection"]["queues"]
    assert len(queues["time_ms"]) == len(queues["half_open"]) == len(queues["accept_queue"]) == 10
    assert document["wall"]["segments_per_s"] > 0
    for name in ("connected", "served", "ghost", "handshake_ms", "residence_unanswered_ms"):
        assert name in document["results"]


def test_the_table_names_what_a_planner_looks_for(flood):
    outcome = flood(*SMALL, "--during", "200ms,end")
    assert outcome.exit_code == 0
    for words in (
        "success_ratio",
        "ghost",
        "half_open",
        "accept_queue",
        "backscatter",
        "from the queue alone",
    ):
        assert words in outcome.stdout


def test_a_comparison_in_every_format(flood, tmp_path):
    args = ("--compare", "drop-new,evict-oldest", *SMALL, "--jobs", 1)
    table = flood(*args)
    assert table.exit_code == 0, table.output
    assert "best first" in table.stdout and "Without cookies:" in table.stdout
    document = json.loads(flood(*args, "--format", "json").stdout)
    assert list(document["results"]["compare"])[-1] in ("drop_new", "evict_oldest")
    flood(*args, "--output", tmp_path / "compared.csv")
    assert "compare.drop_new.success_ratio," in (tmp_path / "compared.csv").read_text()


def test_thresholds(flood):
    args = (*SMALL, "-n", 50, "--format", "json", "--threshold", "success_ratio>=0.9")
    assert flood(*args, "--cookies", "overflow").exit_code == 0
    missed = flood(*args, "--cookies", "off", "--policy", "drop-new")
    assert missed.exit_code == 99
    assert "success_ratio>=0.9" in told(missed)
    compared = flood(
        *SMALL, "--compare", "drop-new", "--jobs", 1, "--threshold", "compare.drop_new.success_ratio>=0.9"
    )
    assert compared.exit_code == 99


def test_a_threshold_on_the_accept_queue_of_a_slow_application(flood):
    args = (*SMALL, "-n", 50, "--accept-time", "10ms", "--threshold", "refused.accept_queue_full==0")
    outcome = flood(*args)
    assert outcome.exit_code == 0, outcome.output  # a backlog of 64 holds what comes
    assert "refused.accept_queue_full: is called causes.server.AcceptQueueFull now" in told(outcome)


@pytest.mark.parametrize(
    ("args", "now", "where"),
    [
        (("--kind", "ack"), "--flood-kind ack", ("kind", "ack")),
        (("--count", "7"), "--flood-count 7", ("count", 7)),
        (("--on", "100ms", "--off", "200ms"), "--bursts 100ms/200ms", ("off_ns", 200_000_000)),
        (("--start", "100ms", "--stop", "200ms"), "--during 100ms,200ms", ("stop_ns", 200_000_000)),
    ],
)
def test_an_old_spelling_works_and_says_what_to_write(flood, args, now, where):
    outcome = flood(*SMALL, *args, "--format", "json")
    assert outcome.exit_code == 0, outcome.output
    assert f"write {now}" in told(outcome)
    assert json.loads(outcome.stdout)["scenario"]["flood"][0][where[0]]["value"] == where[1]


def test_old_spellings_of_the_server_and_the_clients(flood):
    outcome = flood(*SMALL, "--policy", "freebsd", "--cookies", "always", "--accept-delay", "1ms",
                    "--client-addresses", "3", "--workers", "1", "--format", "json")  # fmt: skip
    document = json.loads(outcome.stdout)
    knobs = document["config"]["knobs"]
    assert (knobs["synq_policy"], knobs["cookie_encoding"], knobs["tcp_syncookies"]) == (
        "freebsd",
        "freebsd",
        2,
    )
    assert (document["config"]["accept_delay_ms"], document["config"]["client_addresses"]) == (1.0, 3)
    for now in (
        "-o synq_policy=freebsd",
        "-o tcp_syncookies=2",
        "--accept-time 1ms",
        "--clients 3",
        "--jobs 1",
    ):
        assert f"write {now}" in told(outcome)


def test_erlangs_formula_beside_the_simulation(flood):
    """A refusing queue at a Poisson flood, clients that try once."""
    args = ("--flood-rate", "40", "--flood-arrivals", "poisson", "--rate", "10", "--tries", "1,180ms",
            "--patience", "0", "--backlog", "4", "--rtt", "4ms", "--duration", "60s", "--speaks", "nobody",
            "-o", "both.rto_initial_ms=200", "-o", "tcp_synack_retries=0", "-o", "tcp_syncookies=0",
            "-o", "synq_policy=drop-new", "--seeds", "4", "--check")  # fmt: skip
    outcome = flood(*args, "--format", "json")
    assert outcome.exit_code == 0, outcome.output
    rows = {row["row"]: row for row in json.loads(outcome.stdout)["theory"]}
    assert any(row["state"] == "agree" for row in rows.values()), rows


def test_sources_from_a_file(flood, tmp_path):
    path = tmp_path / "sources"
    path.write_text("203.0.113.0/28  # the lab\n\n198.51.100.7\n")
    document = json.loads(flood(*SMALL, "--sources", f"@{path}", "--format", "json").stdout)
    assert document["config"]["sources"] == "2 addresses and networks"


def test_the_profile_is_the_hosts(flood):
    document = json.loads(flood(*SMALL, "--profile", "freebsd", "--format", "json").stdout)
    assert document["config"]["knobs"]["synq_policy"] == "freebsd"
    assert document["results"]["half_open"]["room"] == 512 * 30


@pytest.mark.parametrize("more", [(), ("--compare", "all", "--jobs", "2")])
def test_sigint_reports_what_there_is(more):
    args = ("flood", "--flood-rate", "20k", "--duration", "2h", "--format", "json", *more)
    code, stdout = interrupted(*args, processes=2 if more else 1)
    assert code == 130
    document = json.loads(stdout)
    assert document["partial"] is True
    if not more:
        assert document["results"]["attempted"] > 0


def test_the_example_is_valid(flood):
    """With less of it: the file itself runs in `make demo`."""
    example = ROOT / "examples" / "flood.toml"
    outcome = flood("--config", example, "--duration", "2s", "--during", "0,1s")
    assert outcome.exit_code in (0, 99), outcome.output
    assert "success_ratio" in outcome.stdout
