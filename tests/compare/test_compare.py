"""`loadgen compare`: verdicts and exit codes, tables, markdown, JSON; what cannot be compared."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

import loadgen
from loadgen.cli.compare import compare
from loadgen.report import plain
from loadgen.report.result import PARTIAL, build
from loadgen.scenario.model import Run
from tests.report import made, studies
from tests.report.studies import played

TARGET = [("first_try_ratio", ">=", 0.99)]


@pytest.fixture
def told(tmp_path):
    """Called with two results or studies and options: exit code, standard output and error."""

    def call(old, new, *options):
        names = []
        for name, one in (("old", old), ("new", new)):
            path = tmp_path / f"{name}.json"
            if hasattr(one, "to_json"):
                one.to_json(path)
            else:
                path = one
            names.append(str(path))
        done = CliRunner().invoke(compare, [*names, *options])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr

    return call


def lines(text, start):
    return [line for line in text.splitlines() if line.startswith(start)]


def test_what_differs_comes_first(told):
    code, out, _ = told(played(511), played(1023))
    assert code == 0
    head = out.splitlines()
    assert head[0].startswith("differs") and "511 -> 1023" in head[1] and "server.listen.backlog" in head[1]


def test_worse_is_99_and_better_is_0(told):
    good, bad = played(share=0.999, thresholds=TARGET), played(1023, share=0.95, thresholds=TARGET)
    code, out, err = told(good, bad)
    assert code == 99 and err.strip() == "worse: first_try_ratio"
    assert "worse, target missed" in out and "4 pairs" in out and "-4.89" in out
    code, out, err = told(bad, good)
    assert (code, err) == (0, "") and "better, target met" in out


def test_other_seeds_are_two_samples(told):
    code, out, _ = told(played(seed=1, thresholds=TARGET), played(seed=2, share=0.9, thresholds=TARGET))
    assert code == 99 and "4 and 4 runs" in out and "seed" in out


def test_one_run_a_side_has_no_verdict(told):
    pair = played(seeds=1, thresholds=TARGET), played(1023, seeds=1, share=0.5, thresholds=TARGET)
    code, out, _ = told(*pair)
    assert code == 0 and "?, target missed" in out and "not decided, one run a side" in out
    assert told(*pair, "--strict")[0] == 99


def test_an_allowed_change_is_no_regression(told):
    old, new = played(share=0.999), played(1023, share=0.996)
    assert told(old, new)[0] == 0  # nothing is judged
    assert told(old, new, "--threshold", "first_try_ratio: -0.1%")[0] == 99
    assert told(old, new, "--threshold", "first_try_ratio: -1%")[0] == 0
    code, out, _ = told(old, new, "--threshold", "first_try_ratio: -0.3%")
    assert code == 0 and "undecided" in out and "warning" in out
    assert told(old, new, "--threshold", "first_try_ratio: -0.3%", "--strict")[0] == 99


def test_percent_of_a_count_is_a_share_of_the_old_value(told):
    old, new = played(share=1.0), played(1023, share=0.9)
    assert told(old, new, "--threshold", "first_try: -9%")[0] == 99
    assert told(old, new, "--threshold", "first_try: -11%")[0] == 0


def test_what_is_small_and_not_sure_is_not_worse(told):
    old = played(share=0.999, thresholds=TARGET, seed=1, spread=10)
    new = played(1023, share=0.9989, thresholds=TARGET, seed=2, spread=10)
    code, out, _ = told(old, new)
    assert code == 0 and "same, target met" in out


def test_percentiles_of_neighbouring_buckets_have_not_moved(told):
    """20 ms lies in a bucket of 2**17 ns: no percentile tells more."""
    next_one, further = (played(1023, connect=20_000_000 + n * 2**17) for n in (1, 2))
    for options in ((), ("--threshold", "connect.p50: +0%")):
        code, out, _ = told(played(511), next_one, *options)
        assert code == 0 and "better" not in out and "worse" not in "".join(lines(out, "connect.p50"))
        code, out, _ = told(played(511), further, *options)
        assert code == (99 if options else 0) and "worse" in lines(out, "connect.p50")[0]


@pytest.mark.parametrize(
    "text, code, said",
    [
        ("first_try_ratio: +1%", 2, "higher is better: expected -1%"),
        ("connect.p99: 5", 2, "expected a time such as 5ms"),
        ("served: 5ms", 2, "expected a number"),
        ("half_open.peak: 5%", 2, "neither way is better"),
        ("first_try_ratio", 2, "expected METRIC: CHANGE"),
        ("first_try_ratio: -1 parsec", 2, "parsec"),
        ("fist_try_ratio: -1%", 3, "did you mean first_try_ratio?"),
    ],
)
def test_a_threshold_that_cannot_be(told, text, code, said):
    done = told(played(), played(), "--threshold", text)
    assert done[0] == code and said in done[2] and done[1] == ""


def test_one_run_of_one_thing_is_compared_exactly(told):
    one = played(thresholds=TARGET)
    code, out, _ = told(one, played(thresholds=TARGET))
    assert code == 0 and out.splitlines()[-1] == "the same: every figure of every run, exactly"
    better = played(share=0.9995, thresholds=TARGET)
    code, out, err = told(one, better)
    assert code == 99 and "behaviour changed" in err and "first_try_ratio" in out
    assert told(one, better, "--allow-change", "first_try*")[0] == 99  # load.api.first_try moved, too
    allowed = ("--allow-change", "first_try*", "--allow-change", "load.api.first_try*")
    code, out, _ = told(one, better, *allowed)
    assert code == 0 and "as --allow-change lets them" in out


def test_a_series_alone_is_a_change_of_behaviour(told):
    one = played()
    document = one.to_dict()
    document["series"]["server"] = {"half_open": [1] * len(document["series"].get("time_ms", []))}
    other = type(one).from_dict({**document, "causes": {"server": {"New": 1}}})
    code, out, _ = told(one, other)
    assert code == 99 and "causes" in out
    assert told(one, other, "--allow-change", "causes", "--allow-change", "series")[0] == 0


def test_partial_is_1(told):
    cut = played(1023, thresholds=TARGET)
    cut.status = PARTIAL
    code, _, err = told(played(thresholds=TARGET), cut)
    assert code == 1 and "partial" in err
    code, out, _ = told(played(thresholds=TARGET), cut, "--allow-partial")
    assert code == 0 and "warning: new: new is partial" in out


def test_another_duration_is_3(told):
    one = played()
    longer = replace(one.scenario, run=Run(duration_ns=10**9, seeds=4))
    settings = plain.to_json(longer)
    other = type(one).from_dict({**one.to_dict(), "scenario": settings, "config": plain.flat(settings)})
    code, out, err = told(one, other)
    assert code == 3 and "run.duration differs: 60 s and 1 s" in err and out == ""


def test_a_metric_that_one_does_not_have_is_3(told):
    other = build(*made.fine())
    code, _, err = told(played(), other, "--threshold", "load.api.served: -1%")
    assert code == 3 and "no such metric" in err


def test_wall_is_judged_when_asked_for(told):
    def timed(seconds, host="a", seeds=5):
        one = played(seeds=seeds)
        one.wall = {**one.wall, "seconds_by_replicate": [seconds] * seeds, "host": host}
        return one

    assert told(timed(1.0), timed(2.0))[0] == 0
    assert told(timed(1.0), timed(1.04), "--wall", "5%")[0] == 0
    code, out, err = told(timed(1.0), timed(1.06), "--wall", "5%")
    assert code == 99 and "worse: wall time" in err and "+6.0 %" in out
    assert "not of one machine" in told(timed(1.0), timed(2.0, "b"), "--wall", "5%")[1]
    code, out, _ = told(timed(1.0, seeds=4), timed(2.0, seeds=4), "--wall", "5%", "--strict")
    assert code == 99 and "4 and 4 runs, 5 are needed" in out


def test_how_many_did_not_move_and_which(told):
    code, out, _ = told(played(), played(1023))
    assert code == 0 and "figures not judged did not move (--all lists them)" in out
    everything = told(played(), played(1023), "--all")[1]
    assert "did not move" not in everything and len(everything) > 2 * len(out)


def test_markdown_and_json(told, tmp_path):
    good, bad = played(thresholds=TARGET), played(1023, share=0.95, thresholds=TARGET)
    text = told(good, bad, "--format", "markdown")[1]
    assert text.startswith("**worse: first_try_ratio**\n")
    assert "| `server.listen.backlog` | 511 | 1023 |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {4, 7}
    document = json.loads(told(good, bad, "--format", "json")[1])
    row = next(one for one in document["pairs"][0]["rows"] if one["metric"] == "first_try_ratio")
    assert (document["code"], row["verdict"], row["judged"], row["how"]) == (99, "worse", True, "paired")
    assert row["low"] < row["difference"] < row["high"] < 0
    assert told(good, bad, "-O", str(tmp_path / "c.md"))[1] == ""
    assert (tmp_path / "c.md").read_text() == text


def test_names_cannot_break_a_table(told):
    name = "a|b`c\n<script>"
    old, new = (build(made.scenario(name, "b"), [
        made.outcome(made.load(name, served=n), made.load("b", served=n), replicate=r) for r in range(4)
    ]) for n in (10, 20))  # fmt: skip
    text = told(old, new, "--format", "markdown", "--all")[1]
    assert "<script" not in text and "a\\|b'c " in text


# -- studies


def test_studies_are_matched_by_point(told, tmp_path):
    old = [played(backlog, share=0.999, thresholds=TARGET) for backlog in (63, 127, 255)]
    new = [played(63, share=0.9, thresholds=TARGET), *old[1:], played(511, thresholds=TARGET)]
    folders = studies.written(tmp_path / "a", old), studies.written(tmp_path / "b", new)
    code, out, err = told(*folders)
    assert code == 99 and "behaviour changed" in err
    assert lines(out, "server.listen.backlog=63")
    assert "only in the new study: server.listen.backlog=511" in out
    assert told(folders[0], folders[0])[1].splitlines()[-1].startswith("the same")
    assert told(folders[0], folders[0], "--strict")[0] == 0


def test_points_with_other_settings_beside_the_grid(told, tmp_path):
    old = [played(backlog, thresholds=TARGET) for backlog in (63, 127)]
    new = [played(backlog, 2000.0, share=0.9, thresholds=TARGET) for backlog in (63, 127)]
    code, out, err = told(studies.written(tmp_path / "a", old), studies.written(tmp_path / "b", new))
    assert code == 99 and err.strip() == "worse: first_try_ratio"
    assert "load.api.rate" in out and "1000.0 -> 2000.0" in out


def test_a_failed_point_is_1(told, tmp_path):
    folders = [studies.written(tmp_path / "a", [played()]),
               studies.written(tmp_path / "b", [played()], failed=["out of memory"])]  # fmt: skip
    code, out, _ = told(*folders)
    assert code == 1 and "out of memory" in out
    assert told(*folders, "--allow-partial")[0] == 0


def test_a_result_and_a_study_are_not_compared(told, tmp_path):
    code, _, err = told(played(), studies.written(tmp_path / "a", [played()]))
    assert code == 3 and "one is a result, the other a study" in err
    apart = [studies.written(tmp_path / name, [played(n), played(n + 1)]) for name, n in (("b", 1), ("c", 9))]
    assert "no point in common" in told(*apart)[2]


@pytest.mark.parametrize("content", ['{"schema": 1, "kin', '{"schema": 7, "outcomes": {}}', ""])
def test_what_is_no_result_is_3_in_one_line(told, tmp_path, content):
    path = tmp_path / "x.json"
    path.write_text(content)
    code, out, err = told(played(), path)
    assert (code, out) == (3, "") and err.count("\n") == 1 and "x.json" in err


# -- in Python


def test_a_program_compares_results_files_and_studies(told, tmp_path):
    good, bad = played(share=0.999, thresholds=TARGET), played(1023, share=0.95, thresholds=TARGET)
    _, out, _ = told(good, bad)
    done = loadgen.compare(good, tmp_path / "new.json")
    assert isinstance(done, loadgen.Comparison) and done.code == 99
    assert str(done) + "\n" == done.to_text() == out
    assert done.to_markdown().startswith("**worse") and json.loads(done.to_json())["code"] == 99
    assert [row.metric for _, row in done.worse] == ["first_try_ratio"]
    folder = studies.written(tmp_path / "s", [good, bad])
    points = [loadgen.api.Point({"backlog": one.scenario.server.listen.backlog}, one) for one in (good, bad)]
    same = loadgen.compare(folder, loadgen.Study(points))
    assert same.code == 0 and len(same.pairs) == 2 and same.only == ([], [])


def test_what_a_program_may_not_compare():
    good = played(share=0.999)
    assert loadgen.compare(good, played(share=0.99), ["first_try_ratio: -0.1%"]).code == 99
    with pytest.raises(ValueError, match="did you mean first_try_ratio"):
        loadgen.compare(good, good, ["first_tri_ratio: -0.1%"])
    with pytest.raises(ValueError, match="one is a result, the other a study"):
        loadgen.compare(good, loadgen.Study([loadgen.api.Point({}, good)]))
    with pytest.raises(ValueError, match="no point that was played"):
        loadgen.compare(loadgen.Study([]), good)
