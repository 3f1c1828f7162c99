"""What a reader sees: the sentence, one figure a line, the width of the terminal, every form of it."""

import csv
import io
import re
from html.parser import HTMLParser
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.report import chart, html, table, tabular, words
from loadgen.report.estimate import Figure
from loadgen.report.result import build
from loadgen.report.series import Series
from loadgen.scenario.model import Load
from tests.report import made

COMMAND = "loadgen churn --rate 500 --clients 1 --hold 30ms --rtt 1ms --duration 10m --seeds 8 --seed 7"


@pytest.fixture(params=made.EVERY)
def result(request):
    return build(*made.EVERY[request.param](), command=COMMAND)


def said(given):
    return build(*given).verdict["sentence"]


# -- the sentence


@pytest.mark.parametrize(("kind", "sentence"), [
    ("ports", "6.0 % of 300,000 connects were refused for want of a port; first at 56.5 s"),
    ("flooded", "2.1 % of 1,000 clients were served: the half-open queue was full from 1 s on"),
    ("stalled", "all 480,000 clients in 8 runs were served, 96.6 % at the first try: the accept queue was "
                "full, first at 0.95 s, and overflowed 34,736 times"),
    ("herd", "39.7 % of 200,000 clients were served: 120,577 are ghosts, connected but never served; the "
             "accept queue was full from 0 s on and overflowed 300,000 times"),
    ("fine", "all 10,000 clients were served, all at the first try; connect.p99 40 ms"),
    ("only a flood", "1,000,000 spoofed segments, no client: the half-open queue was full and cookies "
                     "answered 990,000 SYNs; at most 4,097 half-open entries"),
    ("interrupted", "cut short at 12 s: 900 of 940 clients were served, none was lost (40 under way at the "
                    "end), all at the first try; connect.p99 9 ms; 60 clients had not begun"),
])  # fmt: skip
def test_the_sentence_answers(kind, sentence):
    assert said(made.EVERY[kind]()) == sentence


@pytest.mark.parametrize(("ends", "more", "sentence"), [
    ({"served": 1}, {}, "the one client was served, at the first try"),
    ({"served": 0, "ghost": 1}, {}, "0 % of 1 client was served: 1 is a ghost, connected but never served"),
    ({"served": 3, "refused": {"ConnectRefused": 1}}, {},
     "75.0 % of 4 clients were served: 1 was refused, the SYN was answered by a reset (ECONNREFUSED)"),
    ({"refused": {"SomethingNew": 2}}, {}, "0 % of 2 clients were served: 2 were refused, SomethingNew"),
    ({"served": 9, "reset": 1}, {}, "90.0 % of 10 clients were served: 1 was reset"),
    ({"served": 9, "gave_up": 1}, {}, "90.0 % of 10 clients were served: 1 gave up"),
    ({"served": 9, "gave_up": 1}, {"link": {"lost_of_client": 3}},
     "90.0 % of 10 clients were served: 1 gave up, the link lost 3 segments"),
    ({"served": 9, "gave_up": 1}, {"counters": {"server.ListenOverflows": 1}},
     "90.0 % of 10 clients were served: the accept queue was full and overflowed once"),
    ({"served": 9, "gave_up": 1}, {"causes": {"server.SynQueueEvicted": 1}},
     "90.0 % of 10 clients were served: 1 half-open entry gave way to others"),
    ({"served": 9, "gave_up": 1}, {"causes": {"server.SynQueueReserve": 4, "server.SynQueueFull": 2}},
     "90.0 % of 10 clients were served: the half-open queue was full for unknown peers"),
    ({"served": 9, "gave_up": 1}, {"counters": {"server.TCPReqQFullDrop": 4}},
     "90.0 % of 10 clients were served: the half-open queue was full and dropped 4 SYNs"),
    ({"served": 9_999, "pending": 1}, {},
     "9,999 of 10,000 clients were served, none was lost (1 under way at the end), all at the first try"),
    ({"served": 96, "pending": 4, "first_try": 90}, {"counters": {"server.ListenOverflows": 7}},
     "96 of 100 clients were served, none was lost (4 under way at the end), 90.0 % at the first try: the "
     "accept queue was full and overflowed 7 times"),
    ({"served": 94, "pending": 6}, {}, "94.0 % of 100 clients were served: 6 were still trying at the end"),
    ({"served": 94, "pending": 5, "gave_up": 6}, {}, "89.5 % of 105 clients were served: 6 gave up"),
    ({"served": 10, "first_try": 9}, {"link": {"lost_of_server": 1}},
     "all 10 clients were served, 90.0 % at the first try: the link lost 1 segment"),
    ({"served": 10, "first_try": 9}, {}, "all 10 clients were served, 90.0 % at the first try"),
    ({}, {}, "no client connected and no flood was sent"),
])  # fmt: skip
def test_other_answers(ends, more, sentence):
    assert said((made.scenario("load"), [made.outcome(made.load(**ends), **more)])) == sentence


def test_no_queue_is_blamed_that_lost_nothing():
    """The queue's own counters decide, not its size."""
    one = made.outcome(made.load(served=9, gave_up=1), peaks={"half_open": 10**6, "accept_queue": 10**6})
    assert "queue" not in said((made.scenario("load"), [one]))


# -- the table


def test_nothing_is_wider_than_the_terminal(result):
    for width in (40, 60, 80, 132):
        wide = [line for line in result.to_text(width=width).splitlines() if len(line) > width]
        assert wide == [], width


def test_without_a_terminal_it_is_80_columns(result):
    assert result.to_text() == result.to_text(width=80)


def test_colours_repeat_what_words_say(result):
    painted = result.to_text(colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == result.to_text()
    assert "\x1b" not in result.to_text()


def test_it_begins_with_the_sentence_and_ends_with_the_command(result):
    text = result.to_text()
    assert " ".join(text.split("\n\n")[0].split()).lower() == result.verdict["sentence"].lower()
    last = text.split("\n\n")[-1]
    assert last.startswith("virtual ") and "| wall " in last and "seed 7" in last
    command = last[last.index("reproduce: ") + len("reproduce: "):]
    assert command.replace("\\\n", " ").split() == COMMAND.split()


def test_names_in_the_table_are_those_that_thresholds_take(result):
    text = result.to_text()
    names = re.findall(r"^ *((?:[a-z_]+\.)*[a-z_]+(?:\.\w+)*) +[\d,.]+\b", text, re.M)
    figures = [name for name in names if "." in name or name.endswith("_ratio")]
    assert figures and all(name in result for name in figures)


def test_a_load_with_a_long_name_fits():
    name = "a-load-with-a-name-that-somebody-thought-would-explain-everything-about-it"
    one = made.outcome(made.load(name, served=5), made.load("b", served=1))
    text = build(made.scenario(name, "b"), [one]).to_text(width=60)
    assert name in text.replace("\n", "") and max(map(len, text.splitlines())) <= len(name) + 40


def test_warnings_limits_and_notes_are_told():
    text = build(
        *made.fine(), question="which backlog?", warnings=["a warning"], assumptions=["even spread"],
        not_modelled=["conntrack"],
        limits=[{"name": "backlog", "value": 511, "set_by": "listen()"}, "a limit"],
    ).to_text()  # fmt: skip
    for line in ("which backlog?", "! a warning", "assumed\neven spread", "not modelled\nconntrack",
                 "by listen()", "a limit"):  # fmt: skip
        assert line in text


def test_theory_rows_say_what_does_not_hold():
    row = {"row": "refused_ratio", "value": 0.0594, "low": 0.0581, "high": 0.0619, "state": "explained",
           "preconditions": [{"what": "Poisson arrivals", "holds": True},
                             {"what": "no retries", "holds": False}]}  # fmt: skip
    text = build(*made.ports(), theory=[row]).to_text()
    assert "S 0.0581 .. 0.0619 explained" in text and "not so here: no retries" in text
    assert "Poisson" not in text


# -- figures in words


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0 %"), (1.0, "100 %"), (0.06, "6.0 %"), (0.021, "2.1 %"), (0.9998, "99.98 %"),
    (0.99996, "99.996 %"),
    (0.00004, "0.004 %"), (0.5, "50.0 %"), (1 - 1e-9, "99.99999990 %"),
])  # fmt: skip
def test_percent(value, text):
    assert words.percent(value) == text


@given(st.floats(0, 1))
def test_only_all_is_100_percent(share):
    text = words.percent(share)
    if 1e-9 < share < 1 - 1e-9:
        assert float(text.split()[0]) not in (0, 100)


def test_an_interval_has_as_many_digits_as_it_needs():
    assert words.interval(Figure(0.06, "ratio", "lower", low=0.0581, high=0.0619)) == "5.81 .. 6.19 %"
    assert words.interval(Figure(5, "count", "lower", low=5.0, high=5.0)) == "+- 0"
    assert words.interval(Figure(5e6, "ns", "lower", low=4.9e6, high=5.1e6)) == "4.90 .. 5.10 ms"
    assert words.interval(Figure(5, "count", "lower")) == ""


# -- the chart


def drawn(**series):
    n = len(next(iter(series.values())))
    groups = {"server": {name: np.asarray(values) for name, values in series.items()}}
    return Series({"time_ms": {"": made.times(n, 1000)}, **groups})


def test_a_short_peak_is_seen():
    values = np.zeros(10_000, dtype=int)
    values[5_000] = 400
    text = chart.as_text(drawn(ESTABLISHED=values), 80)
    assert text.splitlines()[1].count("e") == 1 and "peak 400" in text


def test_no_chart_without_a_series():
    assert chart.as_text(Series({}), 80) == ""
    assert chart.as_text(drawn(ESTABLISHED=[5]), 80) == ""
    assert chart.as_text(drawn(ESTABLISHED=[0, 0]), 80) == ""


@given(st.lists(st.integers(0, 10**9), min_size=2, max_size=50), st.integers(40, 200))
def test_any_series_can_be_drawn(values, width):
    series = drawn(ESTABLISHED=values, half_open=values[::-1])
    text = chart.as_text(series, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert bool(text) == any(values)


# -- the page, CSV, frames


class Tags(HTMLParser):
    """Checks that what is opened is closed, and that nothing is fetched."""

    VOID = {"meta", "br"}  # of HTML, which have no end

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text, self.references, self.ids = [], set(), "", set(), []

    def handle_starttag(self, tag, attributes):
        self.seen.add(tag)
        for name, value in attributes:
            self.ids += [value] if name == "id" else []
            if value and value.startswith("#"):  # of a chart, within the page
                self.references.add(value[1:])
                continue
            assert name not in ("src", "onclick", "onload"), name
            assert name != "href" or value.startswith("data:"), value
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data + " "


def parsed(text):
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    assert tags.references <= set(tags.ids)
    assert len(tags.ids) == len(set(tags.ids))
    return tags


def test_the_page_stands_alone(result):
    text = html.page(result)
    page = parsed(text)
    assert not page.seen & {"script", "link", "img", "iframe"}
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").partition("base64,")[0]
    assert "prefers-color-scheme:dark" in text and len(text) < 1_000_000
    for word in result.verdict["sentence"].split()[1:]:
        assert word in page.text


def test_the_page_says_what_the_table_says(result):
    text = " ".join(parsed(html.page(result)).text.split())
    chart_lines = set(table.charted(result, 80).splitlines())
    for line in result.to_text().splitlines():
        if line not in chart_lines and not line.startswith("reproduce") and "|" not in line:
            for word in line.replace("\\", " ").split():
                assert word in text or word.lower() in text.lower(), line


def test_names_from_outside_are_text_in_the_page():
    bad = "<script>alert(1)</script>"
    scenario = made.scenario(Load(name=bad), "b", name=bad)
    result = build(scenario, [made.outcome(made.load(bad, served=1), made.load("b", served=1))],
                   command=bad, warnings=[bad], question=bad)  # fmt: skip
    assert "script" not in parsed(html.page(result)).seen
    assert "script" not in parsed(result._repr_html_()).seen


def test_the_notebook_has_the_chart(result):
    text = result._repr_html_()
    assert ("<svg" in text) == (len(result.series.times_ms) > 1)
    parsed(text)


def test_csv_has_a_line_for_each_figure(result):
    rows = list(csv.DictReader(io.StringIO(tabular.as_csv(result))))
    assert [row["metric"] for row in rows] == result.keys()
    for row in rows:
        value = result[row["metric"]]
        assert row["value"] == ("" if value is None else repr(value))
    assert {tuple(row) for row in rows} == {("metric", *tabular.COLUMNS)}


def test_without_a_library_to_frame_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(tabular.importlib, "import_module", missing)
    result = build(*made.fine())
    with pytest.raises(ImportError, match="to_frame needs pandas or polars: pip install pandas"):
        tabular.to_frame(result, "metrics", None)
    with pytest.raises(ImportError, match="needs polars: pip install polars"):
        tabular.to_frame(result, "metrics", "polars")


class Frame:
    """Stands for pandas: what is asked of it."""

    __name__ = "pandas"

    def DataFrame(self, columns):  # noqa: N802
        self.columns = columns
        return self

    def set_index(self, key):
        self.key = key
        return self


def test_a_frame_has_the_metrics_or_the_series(monkeypatch):
    monkeypatch.setattr(tabular.importlib, "import_module",
                        lambda name: Frame() if name == "pandas" else import_module(name))  # fmt: skip
    result = build(*made.ports())
    frame = result.to_frame()
    assert frame.key == "metric" and frame.columns["metric"] == result.keys()
    assert len({len(column) for column in frame.columns.values()}) == 1
    for column in frame.columns.values():  # polars takes one type a column
        assert len({type(value) for value in column} - {type(None)}) <= 1
    series = result.to_frame("series")
    assert series.key == "time_ms" and series.columns["client.TIME_WAIT"][-1] == 28_217
    with pytest.raises(ValueError, match="expected metrics or series, got 'x'"):
        result.to_frame("x")
    with pytest.raises(ValueError, match="expected pandas or polars, got 'dask'"):
        result.to_frame(library="dask")


def test_a_peak_between_two_points_is_said():
    series = drawn(ESTABLISHED=[5, 5], accept_queue=[0, 0], half_open=[3, 4])
    peaks = {"server.accept_queue": 129, "server.half_open": 4}
    text = chart.as_text(series, 80, peaks)
    assert "accept queue (server): its peak, 129, fell between two points" in text
    assert "half-open (server), peak 4\n" in text and "its peak, 4" not in text
