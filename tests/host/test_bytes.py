"""Kernel memory: a host's own sizes win over the table, and a system without either has no figure."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from loadgen.cli import main

DATA = Path(__file__).parent.parent / "data" / "host"


def server(tmp_path, *args):
    out = tmp_path / "out.json"
    words = ["churn", "--rate", "500", "--duration", "2s", "--closes", "server", "-O", str(out)]
    result = CliRunner().invoke(main, [*words, *map(str, args)])
    assert result.exit_code == 0, result.stderr
    return json.loads(out.read_text())["memory"]["kernel"]["server"]


def test_the_table_says_on_what_it_was_measured(tmp_path):
    found = server(tmp_path)
    assert found["origin"] == "measured on Linux 6.18"
    assert found["established"]["bytes_each"] == [2520, 3820]
    assert found["half_open"]["bytes_each"] == [341, 341]
    assert found["time_wait"]["bytes_each"] == [256, 427]
    assert found["orphan"]["bytes_each"] == [256, 3618]


def test_slabinfo_wins_and_is_named(tmp_path):
    path = DATA / "web1" / "slabinfo.txt"
    found = server(tmp_path, "--bytes", path)
    assert found["origin"] == str(path)
    assert found["established"]["bytes_each"] == [2521, 3773]
    assert found["time_wait"]["high"] == found["time_wait"]["count"] * 512


def test_freebsd_has_figures_only_of_its_user(tmp_path):
    without = server(tmp_path, "--profile", "freebsd")
    assert not without["known"] and without["total"] == {"low": None, "high": None}
    assert "vmstat -z" in without["note"]
    found = server(tmp_path, "--profile", "freebsd", "--bytes", DATA / "vmstat-z.txt")
    assert found["known"] and found["established"]["bytes_each"] == [1352, 2312]


def test_orphans_are_no_connections_of_an_application(tmp_path):
    found = server(tmp_path, "--rtt", "100ms")
    assert found["orphan"]["count"] > 0
    together = found["orphan"]["count"] + found["established"]["count"]
    assert together < 500  # a round trip of each at 500/s


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hello\n", "expected /proc/slabinfo of Linux or `vmstat -z` of FreeBSD"),
        ("slabinfo - version: 2.1\nTCP 1\n", ":2: expected a cache"),
        ("ITEM SIZE LIMIT USED\nfoo: 1, 2\n", ":2: expected a zone"),
        ("ITEM SIZE LIMIT USED\nfoo: 1, 2, 3, 4\n", "expected the caches of TCP"),
    ],
)
def test_a_file_without_sizes_is_refused_before_the_run(tmp_path, text, said):
    path = tmp_path / "bytes.txt"
    path.write_text(text)
    result = CliRunner().invoke(main, ["churn", "--bytes", str(path)])
    assert result.exit_code == 3 and result.stderr.count("\n") == 1
    assert f"server.bytes: {path}" in result.stderr and said in result.stderr
