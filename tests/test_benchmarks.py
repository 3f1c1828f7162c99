"""The benchmarks run, and say what they measured; how fast is not a test's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.bench_attack import attacks, bucket_attack, evicted, measured
from benchmarks.compare import main as compare
from benchmarks.harness import Measured, Stopwatch
from benchmarks.lifecycle import PHASES, EnginePair, Lifecycle, NaivePair
from benchmarks.memory import LIMIT, LIMIT_WITHOUT_TIMESTAMPS, bytes_per_connection

ROOT = Path(__file__).resolve().parent.parent
N = 5000  # more than one batch, and the last one is not full


@pytest.mark.slow
def test_quick_run_prints_every_figure(tmp_path):
    told = tmp_path / "result.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--cycles", "1", "--output", str(told)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("memory floor, 100k", "life of a pair, 100k", "in plain Python", "bytes per connection"):
        assert name in done.stdout
    result = json.loads(told.read_text())
    assert result["connections"] == 100_000 and result["revision"] and result["cpu"]
    assert all(row["value"]["median"] > 0 for row in result["rows"])
    assert [row["mark"] for row in result["rows"] if row["unit"] == "B"] == ["ok", "ok"]


@pytest.mark.parametrize("pair", [EnginePair, NaivePair])
def test_every_phase_sees_every_connection(pair):
    life = Lifecycle(pair(N))
    for _ in range(2):  # the second one meets used blocks and a clock that has moved
        lap = life.cycle()
        assert list(lap) == [phase for phase, _ in PHASES]
        assert life.pair.left() == 0


def test_the_engines_of_a_cycle_are_sound():
    pair = EnginePair(N)
    Lifecycle(pair).cycle()
    for engine in (pair.client, pair.server):
        assert engine.check() == []
        assert set(engine.causes.values()) == {0}
    assert pair.client.counters["ActiveOpens"] == pair.server.counters["PassiveOpens"] == N
    assert pair.client.counters["TW"] >= N and pair.server.counters["RetransSegs"] == 0


def test_a_cycle_that_leaves_connections_is_no_measurement(monkeypatch):
    life = Lifecycle(EnginePair(N))
    monkeypatch.setattr(life.pair, "advance", lambda now: None)
    with pytest.raises(RuntimeError, match=f"{N} connections are left"):
        life.cycle()


def test_memory_keeps_its_limits():
    assert bytes_per_connection(100_000) <= LIMIT
    assert bytes_per_connection(100_000, tcp_timestamps=0) <= LIMIT_WITHOUT_TIMESTAMPS


def test_spread_is_half_of_what_the_middle_half_covers():
    assert Measured.of([5.0]) == Measured(5.0, 0.0, 1)
    assert Measured.of([1.0, 2.0, 3.0, 4.0, 100.0]) == Measured(3.0, 1.0, 5)


def test_stopwatch_counts_sections_only():
    watch = Stopwatch()
    with watch.timing("a"):
        sum(range(10_000))
    before = watch()
    sum(range(100_000))
    assert watch() == before > 0
    assert watch.lap() == {"a": round(before * 1e9)} and watch.lap() == {} and watch() == before


def write_result(path, median, spread=1.0, cpu="one"):
    value = {"median": median, "spread": spread, "samples": 5}
    rows = [
        {"name": "floor", "value": {**value, "median": 10 * median}, "judged": False},
        {"name": "life", "value": {**value, "median": 100.0}, "judged": True},
        {"name": "  in floors", "value": value, "judged": True},
    ]
    same = {"connections": 1, "flags": "-O3", "python": "3"}
    path.write_text(json.dumps({"revision": path.stem, "cpu": cpu, "rows": rows} | same))
    return str(path)


@pytest.mark.parametrize(
    ("median", "spread", "cpu", "status", "says"),
    [
        (50.0, 1.0, "one", 0, ""),
        (53.0, 1.0, "one", 0, ""),  # within three spreads of both
        (56.0, 1.0, "one", 1, "life, in floors"),
        (51.0, 0.0, "one", 0, ""),  # less than 3 %
        (40.0, 1.0, "one", 0, "better"),
        (50.0, 1.0, "two", 2, "cannot be compared"),
    ],
)
def test_compare(tmp_path, capsys, median, spread, cpu, status, says):
    old = write_result(tmp_path / "old.json", 50.0, spread)
    new = write_result(tmp_path / "new.json", median, spread, cpu)
    assert compare([old, new]) == status
    out, err = capsys.readouterr()
    assert says in out + err


def test_compare_needs_two_results(tmp_path, capsys):
    one = write_result(tmp_path / "one.json", 1.0)
    assert compare([one]) == 2
    assert compare([one, str(tmp_path / "none")]) == 2
    assert "neither a file nor a revision" in capsys.readouterr().err


def test_tuples_chosen_to_collide_do_not():
    """What a known key would cost shows that the attack is one; without the key it is far from that."""
    table = measured()["flow table"]
    control = table.pop("collide under the key (control)")
    assert control > 4 and max(table.values()) < control / 2


def test_nobody_can_aim_at_a_bucket():
    assert evicted(bucket_attack()) == evicted(attacks()["random"]) == 0
