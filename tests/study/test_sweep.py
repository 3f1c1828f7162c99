"""`loadgen sweep`: a study that was interrupted, killed, damaged or played elsewhere is the same study."""

import errno
import importlib.util
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import loadgen
from loadgen import entry, output
from loadgen.report.reading import point_files, read
from loadgen.report.result import BEHAVIOUR, load
from loadgen.study import store
from tests.loadgen.processes import environment, started, until
from tests.study.made import TOML, contents, scenario, written

GRID = ("--grid", "backlog=1,5,9", "--grid", "load.rate=300/s,2k/s", "--seeds", "4")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own with a scenario in it."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    return tmp_path


def sweep(*args, jobs="1"):
    return entry.run(["sweep", "small.toml", "--jobs", jobs, *map(str, args)])


def points(folder):
    return point_files(Path(folder))


def results(folder):
    return {point.path.stem: point.result for point in read(folder).points}


def test_a_grid_has_a_result_file_a_point_and_a_table(here, capsys):
    assert sweep(*GRID, "--threshold", "success_ratio>=0.9", "-O", "study") == 99
    shown, told = (text.splitlines() for text in capsys.readouterr())
    which = "server.listen.backlog=1, load.rate=300/s: undecided"
    assert told == [f"target not met at 3 of 6 points, first {which}"]
    assert shown[0].split() == ["backlog", "rate", "success_ratio", "target"] and len(shown) == 7
    study = results(here / "study")
    assert len(study) == 6 and not read("study").failed
    for key, result in study.items():
        assert len(result.replicates) == 4 and result.status == "complete" and result.wall["seconds"] > 0
        assert set(result.point) == {"server.listen.backlog", "load.rate"} and len(key) == 64
    table = (here / "study" / "table.csv").read_text().splitlines()
    assert len(table) == 7 and table[0].startswith("server.listen.backlog,load.rate,seeds,status,target succ")
    assert [line.split(",")[0] for line in table[1:]] == ["1", "1", "5", "5", "9", "9"]
    assert (here / "study" / "lock").read_text() == ""


def test_the_same_with_any_number_of_jobs_and_any_executor(here):
    assert sweep(*GRID, "-O", "one") == 0
    assert sweep(*GRID, "-O", "two", jobs="2") == 0
    assert sweep(*GRID, "-O", "seven", jobs="7") == 0
    assert sweep(*GRID, "-O", "threads", "--executor", "tests.study.made:threads") == 0
    found = [contents(name) for name in ("one", "two", "seven", "threads")]
    assert found[0] == found[1] == found[2] == found[3]
    assert len(found[0]) == 6 + 3


def test_points_meet_the_same_arrivals_unless_they_are_independent(here):
    assert sweep(*GRID, "-O", "same") == 0 and sweep(*GRID, "--independent", "-O", "own") == 0
    for name, seeds in (("same", 1), ("own", 6)):
        assert len({result.seed for result in results(here / name).values()}) == seeds
    by_rate = {}
    for result in results(here / "same").values():
        by_rate.setdefault(result.point["load.rate"], set()).add(result["attempted"])
    assert [len(values) for values in by_rate.values()] == [1, 1]


def test_the_command_of_a_point_gives_its_result(here):
    assert sweep(*GRID, "--threshold", "success_ratio>=0.5", "--duration", "20ms", "-O", "study") == 0
    kept = load(points("study")[0])
    words = shlex.split(kept.command)
    assert words[:3] == ["loadgen", "run", "small.toml"]
    assert entry.run([*words[1:], "-O", "again.json"]) in (0, 99)
    again = load("again.json")
    assert again.figures == kept.figures and again.outcomes == kept.outcomes


def test_the_python_function_gives_the_same_figures(here):
    assert sweep(*GRID, "-O", "study") == 0
    grid = {"server.listen.backlog": ["1", "5", "9"], "load.rate": ["300/s", "2k/s"]}
    kept = list(results(here / "study").values())
    for point in loadgen.sweep(scenario(), grid, seeds=4):
        [same] = [one for one in kept if one.point == point.values]
        assert same.figures == point.result.figures


def test_a_herd_that_begins_at_once_is_kept_and_read_again(here):
    written(here, TOML.replace('"300/s"', '"inf"\ncount = 20'))
    assert sweep("--grid", "backlog=1,9", "--seeds", "2", "-O", "study") == 0
    for result in results(here / "study").values():
        assert result.scenario.load[0].shape == ((0, float("inf")),) and result["attempted"] == 20


def test_series_are_kept_on_demand(here):
    assert sweep(*GRID, "-O", "without") == 0 and sweep(*GRID, "--keep-series", "-O", "with") == 0
    assert not len(load(points("without")[0]).series) and len(load(points("with")[0]).series)


def test_zip_only_and_a_dry_run(here, capsys):
    args = ("--zip", "backlog=1,5,9", "--zip", "load.rate=300,600,900", "--only", "rate > 100*backlog")
    assert sweep(*args, "--seeds", "2", "-O", "study", "--dry-run") == 0
    told = capsys.readouterr().out
    assert told.startswith("2 points, 2 seeds: 4 runs\n")
    assert "wall time about" in told and "memory about" in told
    assert not (here / "study").exists()
    assert sweep(*args, "--seeds", "2", "-O", "study") == 0
    assert [one.point["server.listen.backlog"] for one in results(here / "study").values()] != []
    assert len(points("study")) == 2


def test_a_target_that_every_point_meets_is_no_error(here, capsys):
    args = ("--grid", "backlog=5,9", "--seeds", "1", "--threshold", "attempted>=0", "-O", "study")
    assert sweep(*args) == 0 and capsys.readouterr().err == ""
    assert sweep(*args[:-4], "--threshold", "attempted<0", "-O", "other") == 99
    assert "target not met at 2 of 2 points" in capsys.readouterr().err


def test_a_dry_run_of_a_search_counts_the_runs_that_it_would_make(here, capsys):
    args = ("-o", "server.accept.time=exp:1ms", "--search", "load.rate=900..1100", "--threshold",
            "first_try_loss<=0.001", "-o", "backlog=63", "--dry-run")  # fmt: skip
    assert sweep(*args) == 0
    told = capsys.readouterr().out
    assert "both ends of each (runs of 30s to 50s: the accept queue forgets slowly)" in told
    assert "about 9 values between them, 8 seeds: 88 runs" in told
    assert "more for each value that needs 64 seeds (a rough estimate)" in told


def test_a_long_study_says_how_long_before_it_begins(here, capsys, monkeypatch):
    args = ("--grid", "backlog=5,9", "--seeds", "2", "-O", "study")
    monkeypatch.setattr("loadgen.cli.estimating._LONG_S", 0)
    assert sweep(*args) == 0
    assert re.fullmatch(
        r"this takes about .* with \d+ jobs? \(a rough estimate\)\n", capsys.readouterr().err
    )
    assert sweep(*args) == 0 and capsys.readouterr().err == ""  # all is there


# -- what is resumed -------------------------------------------------------------------------


def test_the_same_command_plays_what_is_missing(here, capsys):
    assert sweep(*GRID, "-O", "study") == 0
    whole = contents("study")
    lost, damaged, left = points("study")[:3]
    lost.unlink()
    damaged.write_text(damaged.read_text()[:1000])
    (left.parent / ".loadgen-left").write_text("by one who was killed")
    stamp = left.stat().st_mtime_ns
    capsys.readouterr()
    assert sweep(*GRID, "-O", "study") == 0
    assert contents("study") == whole and left.stat().st_mtime_ns == stamp
    assert "was damaged: the point was played again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--duration", "20ms"), "scenario.run.duration_ns: 30000000 there, 20000000 here"),
        (("-o", "tcp_syncookies=0"), "server.knobs.tcp_syncookies"),
        (("--seeds", "5"), "study.seeds: 4 there, 5 here"),
        (("--grid", "client.hosts=1,2"), "grid.client.hosts: nothing there, 1,2 here"),
        (("--independent",), "study.independent: False there, True here"),
        (("--threshold", "served>=1"), "scenario.threshold.0.metric"),
    ],
)
def test_another_study_is_refused_with_the_keys_that_differ(here, capsys, more, said):
    assert sweep(*GRID, "-O", "study") == 0
    before = contents("study")
    capsys.readouterr()
    assert sweep(*GRID, *more, "-O", "study") == 3
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert contents("study") == before


def test_a_study_of_another_version_is_refused(here, capsys):
    assert sweep(*GRID, "-O", "study") == 0
    path = here / "study" / "study.toml"
    document = store.read_document(path.parent)
    path.write_text(store.study_toml({**document, "behaviour": 0}))
    assert sweep(*GRID, "-O", "study") == 3
    assert f"behaviour: 0 there, {BEHAVIOUR} here" in capsys.readouterr().err
    path.write_text(path.read_text().replace("behaviour = 0", f"behaviour = {BEHAVIOUR}"))
    assert sweep(*GRID, "-O", "study") == 3
    assert "its hash is not that of what it says" in capsys.readouterr().err
    path.write_text("schema = 9\n")
    assert sweep(*GRID, "-O", "study") == 3
    assert "a study of schema 9; this version reads schema 1" in capsys.readouterr().err


def test_extend_adds_values_and_seeds(here):
    assert sweep("--grid", "backlog=1,5", "--seeds", "4", "-O", "study") == 0
    before = {path.name: path.stat().st_mtime_ns for path in points("study")}
    assert sweep("--grid", "backlog=9", "--seeds", "4", "--extend", "-O", "study") == 0
    assert len(points("study")) == 3
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in points("study")}.items()
    assert sweep("--grid", "backlog=9", "--seeds", "6", "--extend", "-O", "study") == 0
    assert {len(one.replicates) for one in results(here / "study").values()} == {6}
    assert sweep("--grid", "backlog=1,5,9", "--seeds", "6", "-O", "whole") == 0
    assert contents("study") == contents("whole")
    assert sweep("--grid", "backlog=1", "--grid", "client.hosts=2", "--extend", "-O", "study") == 3


def test_two_halves_are_one_when_their_files_are_copied(here):
    assert sweep("--grid", "backlog=1,5", "--seeds", "4", "-O", "one") == 0
    assert sweep("--grid", "backlog=9", "--seeds", "4", "-O", "two") == 0
    assert sweep("--grid", "backlog=1,5,9", "--seeds", "4", "-O", "whole") == 0
    assert {path.name for path in points("one")} | {path.name for path in points("two")} == {
        path.name for path in points("whole")
    }


#: `python -c KILLED N WHERE loadgen's arguments`: killed (-9) when it writes the N-th point, with half of the
#: temporary file written, before that has the point's name, or right after.
KILLED = """
import os, signal, sys
from loadgen import entry
from loadgen.study.store import Store
left, where, write = int(sys.argv[1]), sys.argv[2], Store.write

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def counted(self, key, result):
    global left
    left -= 1
    if left == 0 and where == "half":
        os.fsync = lambda file: (os.truncate(file, 1000), die())
    elif left == 0 and where == "unnamed":
        os.replace = die
    write(self, key, result)
    if left == 0:
        die()

Store.write = counted
sys.exit(entry.run(sys.argv[3:]))
"""


@pytest.mark.slow
def test_killed_at_ten_moments_of_writing_and_resumed_it_equals_an_undisturbed_one(here):
    args = ("sweep", "small.toml", "--grid", "backlog=1..200/200", "--seeds", "1", "--jobs", "2", "-O")
    with started(*args, "undisturbed", cwd=here) as process:
        assert process.wait(600) == 0
    moments, left = random.Random(13), 0
    for kill in range(10):
        n, where = 1 + moments.randrange(15), ("half", "unnamed", "named")[kill % 3]
        words = [sys.executable, "-c", KILLED, str(n), where, *args, "study"]
        process = subprocess.run(words, cwd=here, env=environment(), capture_output=True, timeout=600)
        assert process.returncode == -signal.SIGKILL, process.stderr
        left += n - (where != "named")
        assert len(points("study")) == left < 200
        assert len(list(here.glob("study/points/??/.loadgen-*"))) == (where != "named")
        assert all(load(path).status == "complete" for path in points("study"))
    with started(*args, "study", cwd=here) as process:
        assert process.wait(600) == 0
    assert contents("study") == contents("undisturbed")


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_keeps_what_is_finished(here, times):
    written(here, TOML.replace('"30ms"', '"5s"').replace("300/s", "3k/s"))
    args = ("sweep", "small.toml", "--grid", "backlog=1..500/500", "--seeds", "1", "--jobs", "2", "-O", "s")
    with started(*args, cwd=here) as process:
        until(lambda: len(points("s")) >= 2)
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert stderr == b"" and all(load(path).status == "complete" for path in points("s"))
    if times == 1:
        rows = (here / "s" / "table.csv").read_text().splitlines()
        assert len(rows) == 1 + len(points("s")) >= 3
        assert not list((here / "s").rglob(".loadgen-*"))


# -- what cannot be --------------------------------------------------------------------------


def test_a_full_disk_leaves_whole_files_and_says_so_in_a_line(here, capsys, monkeypatch):
    calls = []

    def fsync(handle):
        calls.append(handle)
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(output.os, "fsync", fsync)
        assert sweep(*GRID, "-O", "study") == 1
    error = capsys.readouterr().err
    assert re.fullmatch(r"Error: cannot write study/points/.*\.json: No space left on device\n", error)
    assert len(points("study")) == 2 and not list(Path("study").rglob(".loadgen-*"))
    assert all(load(path).status == "complete" for path in points("study"))
    assert sweep(*GRID, "-O", "study") == 0 and sweep(*GRID, "-O", "whole") == 0
    assert contents("study") == contents("whole")


def test_one_sweep_at_a_time(here, capsys):
    assert sweep(*GRID, "-O", "study") == 0
    with store.Store(here / "study"):
        assert sweep(*GRID, "-O", "study") == 1
    assert f"another sweep writes to it (process {os.getpid()} on" in capsys.readouterr().err
    assert sweep(*GRID, "-O", "study") == 0


ONE = ("--grid", "backlog=1", "--executor")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 2, "give --grid, --zip or --search"),
        (("--grid", "backlgo=1"), 3, "--grid: backlgo: no such place and no such knob; did you mean"),
        (("--grid", "link.rtt=1ms..9/3"), 3, "--grid: link.rtt: expected two numbers of one unit"),
        (("--grid", "backlog=1e12"), 3, "--grid: server.listen.backlog: expected"),
        (("--zip", "backlog=1,2", "--zip", "client.hosts=1"), 3, "--zip: expected as many values"),
        (("--grid", "backlog=1", "--only", "backlgo>1"), 3, "--only: backlgo is not in the grid; did"),
        (("--grid", "backlog=1", "--only", "backlog>1"), 3, "--only: no point is left"),
        (("--grid", "load.rate=1..9/10001"), 2, "these are 10,001 points: --yes plays them"),
        (("--grid", "backlog=1", "--threshold", "first_try_ratoi>=1"), 3, "did you mean first_try_rat"),
        (("--search", "load.rate=1..9"), 2, "--search: give a --threshold, too"),
        (("--search", "load.rate=9..1", "--threshold", "served>1"), 3, "the smaller number first"),
        (("--search", "load.rate=1..9", "--threshold", "served>1", "--seeds", "2"), 2, "at least 4 seeds"),
        (("--search", "load.rate=1..9", "--grid", "load.rate=1", "--threshold", "served>1"), 3,
         "load.rate: it is in the grid"),
        (("--grid", "load.rate=0,1", "-o", "load.hold=5parsec"), 2, "hold"),
        (("--grid", "backlog=1", "-O", "small.toml"), 1, "small.toml: expected a folder for the study"),
        (("--grid", "backlog=1", "-O", "."), 1, ".: there are other files in it and no study.toml"),
        ((*ONE, "nobody"), 3, "expected processes, dask:ADDRESS"),
        ((*ONE, "no.such:thing"), 3, "no.such:thing: No module named"),
        ((*ONE, "tests.study.made:nothing"), 3, "has no nothing"),
        ((*ONE, "tests.study.made:no_executor"), 3, "it gave a int"),
        ((*ONE, "tests.study.made:broken"), 1, "nobody is there"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_in_a_line_before_anything_is_played(here, capsys, args, code, said):
    assert sweep(*args, *(() if "-O" in args else ("-O", "s"))) == code
    error = capsys.readouterr().err
    assert said in error and error.count("\n") <= 2 and "Traceback" not in error
    assert not (here / "s").exists()


def test_without_a_folder_there_is_nothing_to_resume(here, capsys):
    assert sweep("--grid", "backlog=1") == 2
    assert "give --output FOLDER" in capsys.readouterr().err


def test_a_point_that_is_too_large_fails_and_the_others_are_played(here, capsys):
    assert sweep("--grid", "load.rate=300/s,1M/s", "--seeds", "1", "--memory", "62M", "-O", "study") == 1
    error = capsys.readouterr().err
    assert error.startswith("failed: load.rate=1M/s: it takes about ") and error.count("\n") == 1
    assert len(points("study")) == 1
    [record] = (here / "study" / "failed").iterdir()
    assert json.loads(record.read_text())["point"] == {"load.rate": "1M/s"}
    assert sweep("--grid", "load.rate=300/s,1M/s", "--seeds", "1", "--memory", "8G", "-O", "study") == 0
    assert len(points("study")) == 2 and not list((here / "study" / "failed").iterdir())


def test_parquet_without_its_library_says_what_to_install(here, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert sweep("--grid", "backlog=1", "--export", "parquet", "-O", "study") == 3
    assert "pip install 'tcpcore[parquet]'" in capsys.readouterr().err and not (here / "study").exists()


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow, of the extra parquet")
def test_a_parquet_file_has_the_table(here):
    assert sweep(*GRID, "--export", "parquet", "-O", "study") == 0
    table = importlib.import_module("pyarrow.parquet").read_table("study/table.parquet")
    lines = (here / "study" / "table.csv").read_text().splitlines()
    assert table.column_names == lines[0].split(",") and table.num_rows == len(lines) - 1


# -- a search --------------------------------------------------------------------------------

SEARCH = ("--search", "load.rate=300..6000", "--threshold", "success_ratio>=0.5", "--tolerance", "20%",
          "--seeds", "4", "--max-seeds", "16")  # fmt: skip


def test_a_search_on_the_simulator_is_the_same_when_it_is_resumed(here, capsys):
    text = TOML.replace('"30ms"', '"100ms"')
    written(here, text.replace("[[load]]", 'accept = { time = "1ms" }\n[[load]]'))
    code = sweep(*SEARCH, "-O", "whole")
    out = capsys.readouterr().out
    found = json.loads((here / "whole" / "search.json").read_text())
    assert code == (0 if found["searches"][0]["status"] == "found" else 1)
    assert found["searches"][0]["sentence"] in out
    assert sweep(*SEARCH, "-O", "again", jobs="2") == code
    for path in points("again")[::2]:
        path.unlink()
    assert sweep(*SEARCH, "-O", "again", jobs="2") == code
    assert contents("again") == contents("whole")


def test_without_a_bracket_the_exit_code_is_1_and_the_end_is_named(here, capsys):
    args = ("--search", "load.rate=10..20", "--threshold", "success_ratio>=0.01", "--seeds", "4", "-O", "s")
    assert sweep(*args) == 1
    assert "both ends meet the target, load.rate=10 and 20" in capsys.readouterr().out
