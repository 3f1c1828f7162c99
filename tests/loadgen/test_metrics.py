"""Percentiles, thresholds and the shape of the record."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.output import OutputError, write_file
from loadgen.phases.metrics import Result, Threshold, ThresholdError, share, spread_ms
from loadgen.phases.report import as_csv, as_json, as_table


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300))
def test_percentiles_are_values_that_occurred(samples):
    spread = spread_ms(np.array(samples, dtype=np.int64))
    ordered = sorted(samples)
    assert spread["count"] == len(samples)
    assert spread["min"] == ordered[0] / 1e6
    assert spread["max"] == ordered[-1] / 1e6
    for name, tenths in (("p50", 500), ("p90", 900), ("p95", 950), ("p99", 990), ("p99.9", 999)):
        rank = -(-tenths * len(samples) // 1000)  # nearest rank, in whole numbers
        assert spread[name] == ordered[rank - 1] / 1e6


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_a_value_and_how_often_it_occurred_are_as_good_as_the_samples(samples):
    values, times = np.unique(np.array(samples) * 1_000_000, return_counts=True)
    assert spread_ms(values, times) == spread_ms(np.array(samples) * 1_000_000)


def test_nothing_measured_is_none_and_not_zero():
    assert spread_ms(np.empty(0, np.int64)) == {
        "count": 0,
        **dict.fromkeys(["min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean"]),
    }
    assert share(0, 0) is None
    assert share(1, 4) == 0.25


@pytest.fixture
def result():
    return Result(
        command="handshake",
        config={"connections": 10},
        seed=7,
        results={
            "served": 9,
            "success_ratio": 0.9,
            "handshake_ms": {"count": 9, "p50": 40.0, "p99.9": None},
            "backlog": {"effective": 128, "set_by": "somaxconn"},
        },
        counters={"client": {"OutSegs": 20}, "server": {"OutSegs": 10, "OutRsts": 0}, "link": {"lost": 1}},
        causes={"client": {"ConnectTimedOut": 1}, "server": {}},
        series={
            "time_ms": [0.0],
            "stages": [{"stage": "open", "at_ms": 40.0, "client": {"ESTABLISHED": 9}, "server": {}}],
        },
        wall={"elapsed_s": 0.5, "segments_per_s": 60.0},
    )


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("success_ratio>=0.9", True),
        ("success_ratio >= 90.1%", False),
        ("served==9", True),
        ("served!=9", False),
        ("handshake_ms.p50<41ms", True),
        ("handshake_ms.p50<0.04s", False),
        ("handshake_ms.p50<=40", True),
        ("handshake_ms.p99.9<1s", False),
        ("counters.server.OutRsts==0", True),
        ("causes.client.ConnectTimedOut<1", False),
        ("wall.segments_per_s>50", True),
        ("no_such_figure>0", False),
    ],
)
def test_threshold(result, text, met):
    assert Threshold.parse(text).met(result.figures()) is met


@pytest.mark.parametrize("text", ["", "served", "served=9", ">=9", "served>=", "served>=nine", "served>5ms"])
def test_no_threshold(text):
    with pytest.raises(ThresholdError):
        Threshold.parse(text)


def test_a_mistyped_figure_gets_the_nearest_name(result):
    with pytest.raises(ThresholdError, match="did you mean success_ratio"):
        Threshold.parse("sucess_ratio>=1").check_name(result.figures())


def test_json_has_the_keys_in_order(result):
    document = json.loads(as_json(result))
    assert list(document) == [
        "schema",
        "command",
        "config",
        "seed",
        "results",
        "counters",
        "causes",
        "series",
        "wall",
        "partial",
    ]
    assert document["schema"] == 1
    assert document["partial"] is False


def test_csv_has_every_figure_once(result):
    lines = as_csv(result).splitlines()
    assert lines[0] == "figure,value"
    assert "success_ratio,0.9" in lines
    assert "handshake_ms.p99.9," in lines
    assert "counters.client.OutSegs,20" in lines
    assert len({line.split(",")[0] for line in lines}) == len(lines)


def test_table_reads_well(result):
    result.partial = True
    text = as_table(
        result, [Threshold.parse("served>=10"), Threshold.parse("handshake_ms.p99.9<1s")], colour=False
    )
    assert "\x1b" not in text
    for words in (
        "INTERRUPTED",
        "90 %",
        "p50 40 ms",
        "p99.9 no samples",
        "set_by somaxconn",
        "MISSED",
        "no samples",
        "ConnectTimedOut",
        "9 ESTABLISHED",
    ):
        assert words in text
    assert "OutRsts" not in text  # zero everywhere


def test_colour_on_request(result):
    assert "\x1b[" in as_table(result, [], colour=True)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_file(path, "first")
    monkeypatch.setattr("os.replace", lambda *names: (_ for _ in ()).throw(OSError(28, "disk full")))
    with pytest.raises(OutputError, match="disk full"):
        write_file(path, "second")
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
