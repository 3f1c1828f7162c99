"""`loadgen flood` at the command line: what it refuses, what it prints, how it is interrupted."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main
from loadgen.phases.flood import Flood
from tests.loadgen.interrupting import interrupted

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--duration", "500ms", "--patience", "500ms", "--rate", "2k", "--backlog", "64")


@pytest.fixture
def flood():
    return lambda *args: CliRunner().invoke(main, ["flood", *map(str, args)])


def told(outcome):
    return " ".join(outcome.stderr.split())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--rate", "0"], "--rate"),
        (["--rate", "0/s"], "at least one event"),
        (["--rate", "1G"], "a tick of 1 ms would hold more"),
        (["--clients", "1G"], "--clients"),
        (["--clients", "100M", "--duration", "20h"], "within --duration"),
        (["--sources", ""], "empty list"),
        (["--sources", "@no-such-file"], "no-such-file"),
        (["--sources", "203.0.113.5/24"], "did you mean 203.0.113.0/24"),
        (["--sources", "10.0.0.0/8"], "own hosts"),
        (["--policy", "evict-oldst"], "did you mean 'evict-oldest'"),
        (["--compare", "linux,freebds"], "did you mean 'freebsd'"),
        (["--compare", "al"], "did you mean 'all'"),
        (["--compare", ","], "expected 'all'"),
        (["--backlog", "-1"], "expected 0 to 2147483647, got -1"),
        (["--backlog", "5G"], "got 5G"),
        (["--backlog", "500", "-o", "capacity=100"], "capacity"),
        (["--duration", "0"], "--duration"),
        (["--count", "0"], "--count"),
        (["--on", "1s"], "--on, --off"),
        (["--start", "2h"], "--start"),
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
        (["--rate", "fast"], "a rate such as"),
        (["--rate", "10ms"], "a rate such as"),
        (["--backlog", "many"], "whole number"),
        (["--duration", "60"], "unit"),
        (["--kind", "xmas"], "'syn'"),
        (["--threshold", "sucess_ratio>=1"], "did you mean success_ratio"),
        (["--compare", "all", "--policy", "linux"], "--policy"),
        (["--connections", "5"], "--connections"),
    ],
)
def test_wrong_usage(flood, args, words):
    outcome = flood(*args)
    assert outcome.exit_code == 2
    assert words in told(outcome)


def test_help_reads_like_a_manual_page(flood):
    outcome = flood("--help")
    assert outcome.exit_code == 0
    for words in ("POLICIES", "TIME", "evict-random", "EXAMPLES", "--accept-delay", "--compare all"):
        assert words in outcome.stdout


def test_one_document_with_the_keys_of_every_workload(flood):
    outcome = flood(*SMALL, "--format", "json", "--seed", 5)
    assert outcome.exit_code == 0, outcome.output
    document = json.loads(outcome.stdout)
    assert list(document) == [
        "schema", "command", "config", "seed", "results", "counters", "causes", "series", "wall", "partial"
    ]  # fmt: skip
    assert (document["command"], document["seed"]) == ("flood", 5)
    queues = document["series"]["queues"]
    assert len(queues["time_ms"]) == len(queues["half_open"]) == len(queues["accept_queue"]) == 10
    assert document["wall"]["segments_per_s"] > 0
    for name in ("connected", "served", "ghost", "handshake_ms", "residence_unanswered_ms"):
        assert name in document["results"]


def test_the_table_names_what_a_planner_looks_for(flood):
    outcome = flood(*SMALL, "--start", "200ms")
    assert outcome.exit_code == 0
    for words in ("success_ratio", "ghost", "half_open", "accept_queue", "backscatter", "from the queue"):
        assert words in outcome.stdout


def test_a_comparison_in_every_format(flood, tmp_path):
    args = ("--compare", "drop-new,evict-oldest", *SMALL, "--workers", 1)
    table = flood(*args)
    assert table.exit_code == 0, table.output
    assert "best first" in table.stdout and "Without cookies:" in table.stdout
    document = json.loads(flood(*args, "--format", "json").stdout)
    assert list(document["results"]["compare"])[-1] in ("drop_new", "evict_oldest")
    flood(*args, "--output", tmp_path / "compared.csv")
    assert "compare.drop_new.success_ratio," in (tmp_path / "compared.csv").read_text()


def test_thresholds(flood):
    args = (*SMALL, "--format", "json", "--threshold", "success_ratio>=0.9")
    assert flood(*args, "--cookies", "overflow").exit_code == 0
    missed = flood(*args, "--cookies", "off", "--policy", "drop-new")
    assert missed.exit_code == 99
    assert "success_ratio>=0.9" in told(missed)
    compared = flood(
        *SMALL, "--compare", "drop-new", "--workers", 1, "--threshold", "compare.drop_new.success_ratio>=0.9"
    )
    assert compared.exit_code == 99


def test_a_threshold_on_the_accept_queue_of_a_slow_application(flood):
    args = (*SMALL, "--accept-delay", "10ms", "--threshold", "refused.accept_queue_full==0")
    assert flood(*args).exit_code == 0  # a backlog of 64 holds what comes in half a second


def test_books_that_do_not_balance(flood, monkeypatch):
    monkeypatch.setattr(Flood, "_serve", lambda self, conns: setattr(self, "served", self.served + 1))
    outcome = flood(*SMALL)
    assert outcome.exit_code == 1
    assert "books do not balance" in told(outcome)


def test_sources_from_a_file(flood, tmp_path):
    path = tmp_path / "sources"
    path.write_text("203.0.113.0/28  # the lab\n\n198.51.100.7\n")
    document = json.loads(flood(*SMALL, "--sources", f"@{path}", "--format", "json").stdout)
    assert document["config"]["sources"] == "2 addresses and networks"


def test_the_profile_is_the_hosts(flood):
    document = json.loads(flood(*SMALL, "--profile", "freebsd", "--format", "json").stdout)
    assert document["config"]["knobs"]["synq_policy"] == "freebsd"
    assert document["results"]["half_open"]["room"] == 512 * 30


@pytest.mark.parametrize("more", [(), ("--compare", "all", "--workers", "2")])
def test_sigint_reports_what_there_is(more):
    args = ("flood", "--rate", "20k", "--duration", "2h", "--format", "json", *more)
    code, stdout = interrupted(*args, processes=2 if more else 1)
    assert code == 130
    document = json.loads(stdout)
    assert document["partial"] is True
    if not more:
        assert document["results"]["attempted"] > 0


def test_the_example_is_valid(flood):
    """With less of it: the file itself runs in `make demo`."""
    example = ROOT / "examples" / "flood.toml"
    outcome = flood("--config", example, "--duration", "1s", "--start", "0", "--stop", "1s")
    assert outcome.exit_code in (0, 99), outcome.output
    assert "success_ratio" in outcome.stdout
