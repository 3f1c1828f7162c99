"""The pages: what the first screen says, all sections, under 1 MB, the data in it; `loadgen report`."""

import base64
import gzip
import json
import re
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from loadgen.cli.report import report
from loadgen.report import html, study_page
from loadgen.report.reading import read
from loadgen.report.result import ResultError, build
from tests.report import made, studies
from tests.report.studies import played
from tests.report.test_table import parsed

TARGET = [("first_try_ratio", ">=", 0.99)]
SECTIONS = [
    "1 Losses by cause", "2 Half-open and accept queue", "3 Latency", "4 States", "5 TIME_WAIT and ports",
    "6 Formula against simulation", "7 Kernel memory", "8 Response curve",
    "9 Counters", "10 Settings", "11 Wall time",
]  # fmt: skip


def text_of(page):
    return " ".join(parsed(page).text.split())


def data_of(page):
    kind, data = re.search(r'href="data:application/(\w+);base64,([^"]*)"', page).groups()
    raw = base64.b64decode(data)
    return json.loads(gzip.decompress(raw) if kind == "gzip" else raw)


def test_the_first_screen_answers():
    limits = [{"name": "accept_queue", "value": 512, "set_by": "backlog", "shadowed": ["somaxconn 4096: no"]}]
    result = build(*made.stalled(), question="Which backlog?", command="loadgen run x.toml --seed 7",
                   limits=limits, assumptions=["even load"], not_modelled=["conntrack"])  # fmt: skip
    text = text_of(html.page(result))
    first = text[: text.index(SECTIONS[0])]
    for said in (
        "Which backlog?", result.verdict["sentence"][1:], "95 % interval", "8 seeds", "1 target missed",
        "load.api.first_try_ratio", "Clients per second", "512 by backlog",
        "does not act: somaxconn 4096: no", "Assumed", "even load", "Not modelled", "conntrack",
        "reproduce: loadgen run x.toml --seed 7",
    ):  # fmt: skip
        assert said in first or said == "Clients per second", said


@pytest.mark.parametrize("name", made.EVERY)
def test_every_section_is_there_in_order(name):
    text = text_of(html.page(build(*made.EVERY[name]())))
    places = [text.index(title) for title in SECTIONS]
    assert places == sorted(places)


def test_one_run_says_that_it_has_no_interval():
    assert "1 run, too few for an interval" in text_of(html.page(build(*made.fine())))


def test_a_question_is_asked_where_none_was():
    assert "What becomes of 10,000 clients in 20 s of made?" in text_of(html.page(build(*made.fine())))


def test_the_data_are_in_the_page():
    result = build(*made.stalled())
    assert data_of(html.page(result)) == json.loads(result.to_text_json())


def test_long_series_stay_under_a_megabyte():
    n = 100_000
    rng = np.random.default_rng(2)
    series = {"time_ms": made.times(n, 10)}
    for side in ("client", "server"):
        for state in ("ESTABLISHED", "TIME_WAIT", "SYN_SENT", "FIN_WAIT_1", "half_open"):
            series[f"{side}.{state}"] = rng.integers(0, 10**6, n)
    result = build(made.scenario("a"), [made.outcome(made.load("a", served=5), series=series)])
    page = html.page(result)
    assert len(page.encode()) < 1_000_000
    assert data_of(page)["series"] == {} and "all but the series" in page


def test_meaning_does_not_hang_on_colour():
    page = html.page(build(*made.flooded()))
    assert "MISSED" in page and "target" in page and "stroke-dasharray" in page


# -- studies


def test_a_response_curve_has_its_bracket(tmp_path):
    results = [played(rate=rate, share=share, thresholds=TARGET)
               for rate, share in ((1e3, 0.999), (2e3, 0.998), (4e3, 0.95), (8e3, 0.5))]  # fmt: skip
    study = read(studies.written(tmp_path / "s", results))
    text = text_of(study_page.page(study))
    answer = "2 of 4 points meet the target; load.api.rate 2,000/s is met, 4,000/s is missed"
    assert answer in text
    assert "the edge lies between 2,000/s and 4,000/s" in text
    assert "One point in detail" in text
    assert "2 targets missed: load.api.rate=4000, load.api.rate=8000" in text


def test_more_than_one_edge_is_said(tmp_path):
    results = [played(rate=rate, share=share, thresholds=TARGET)
               for rate, share in ((1e3, 0.999), (2e3, 0.5), (4e3, 0.999))]  # fmt: skip
    text = text_of(study_page.page(read(studies.written(tmp_path / "s", results))))
    assert "not monotone" in text and "the edge lies" not in text


def test_two_settings_make_a_map(tmp_path):
    results = [played(backlog, rate, share=0.999 if backlog > 100 else 0.9, thresholds=TARGET)
               for backlog in (63, 127, 255) for rate in (1e3, 2e3)][:-1]  # fmt: skip
    page = study_page.page(read(studies.written(tmp_path / "s", results, failed=["out of memory"])))
    text = text_of(page)
    assert "8 first_try_ratio against" in text and "3 of 5 points meet the target; 1 failed" in text
    assert "! point cd0 failed: out of memory" in text and "url(#map-" in page


def test_what_a_search_found_is_the_answer(tmp_path):
    answer = "between 9,950 and 9,990/s"
    folder = studies.written(tmp_path / "s", [played(63), played(511)], searches=[answer])
    assert answer in text_of(study_page.page(read(folder)))[:300]


def test_a_study_of_failures_has_no_page(tmp_path):
    study = read(studies.written(tmp_path / "s", [], failed=["out of memory"]))
    with pytest.raises(ResultError, match="all 1 points failed: out of memory"):
        study_page.page(study)


def test_names_from_outside_are_text(tmp_path):
    bad = "<script>alert(1)</script>"
    folder = studies.written(tmp_path / "s", [played(63, name=bad), played(511, name=bad)], failed=[bad],
                             searches=[bad])  # fmt: skip
    assert "script" not in parsed(study_page.page(read(folder))).seen


# -- the command


def called(*arguments):
    done = CliRunner().invoke(report, list(map(str, arguments)))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_the_command_writes_the_page(tmp_path):
    result = played(thresholds=TARGET)
    result.to_json(tmp_path / "r.json")
    done = called(tmp_path / "r.json", "-O", tmp_path / "r.html")
    assert (done.exit_code, done.output) == (0, "")
    assert (tmp_path / "r.html").read_text() == html.page(read(tmp_path / "r.json"))
    assert called(tmp_path / "r.json").stdout == (tmp_path / "r.html").read_text()
    folder = studies.written(tmp_path / "s", [played(63), played(511)])
    assert called(folder, "-O", tmp_path / "s.html").exit_code == 0
    assert "How does success_ratio depend on server.listen.backlog?" in (tmp_path / "s.html").read_text()


def test_what_it_refuses(tmp_path, monkeypatch):
    played().to_json(tmp_path / "r.json")
    assert called(tmp_path / "r.json", "-O", tmp_path / "r.txt").exit_code == 2
    for bad in (tmp_path / "no.json", tmp_path):
        done = called(bad, "-O", tmp_path / "r.html")
        assert done.exit_code == 3 and done.stderr.count("\n") == 1
    (tmp_path / "c.json").write_text((tmp_path / "r.json").read_text()[:500])
    assert "cut short" in called(tmp_path / "c.json").stderr
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = called(tmp_path / "r.json", "-O", tmp_path / "r.html")
    assert done.exit_code == 3 and "pip install 'tcpcore[report]'" in done.stderr
    assert not (tmp_path / "r.html").exists()
