"""The charts: thinned to extremes, in the page's colours, the same text for the same data, one name once."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.report import drawing, html, pictures, pictures_theory
from loadgen.report.result import build
from loadgen.theory.populations_check import expected_time_wait
from tests.report import made

CHARTS = [
    pictures.clients, pictures.losses, pictures.queues, pictures.latency, pictures.states,
    pictures_theory.time_wait, pictures_theory.formulas,
]  # fmt: skip


def moving(values):
    """A result whose clients and populations follow `values`."""
    n = len(values)
    cumulated = np.cumsum(values)
    series = {"time_ms": made.times(n, 1000)}
    series |= {f"load.a.{name}": cumulated for name in ("attempted", "connected", "served")}
    series |= {f"server.{name}": values for name in ("half_open", "accept_queue", "ESTABLISHED")}
    series |= {"client.TIME_WAIT": values, "client.blocks_used": values}
    total = int(cumulated[-1])
    one = made.outcome(made.load("a", served=total, connect=[10, 20, 30] if total else []), series=series,
                       virtual_ns=n * 10**9)  # fmt: skip
    limits = [{"name": "accept_queue", "value": 512, "set_by": "backlog", "shadowed": []}]
    return build(made.scenario("a"), [one], limits=limits)


def test_thinning_keeps_the_ends_and_the_extremes():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 10**6, 20_000)
    kept = drawing.thinned(values)
    assert len(kept) <= 402 and kept[0] == 0 and kept[-1] == 19_999 and (np.diff(kept) > 0).all()
    assert values[kept].max() == values.max() and values[kept].min() == values.min()
    for column in range(200):  # the envelope of each stretch is kept, and nothing is averaged
        stretch = slice(column * 100, column * 100 + 100)
        inside = [value for at, value in zip(kept, values[kept], strict=True) if at // 100 == column]
        assert max(inside) == values[stretch].max() and min(inside) == values[stretch].min()
    assert list(drawing.thinned(values[:5])) == [0, 1, 2, 3, 4]


@settings(max_examples=8)
@given(st.lists(st.integers(0, 10**9), min_size=3, max_size=20))
def test_any_series_can_be_drawn(values):
    result = moving(values)
    for chart in CHARTS:
        found = chart(result)
        assert found.svg or found.notes, chart
        if found.svg:
            ElementTree.fromstring(found.svg)
            assert "nan" not in found.svg and "inf" not in found.svg


def test_a_short_peak_is_in_the_drawing():
    values = np.zeros(50_000, dtype=np.int64)
    values[31_234] = 400
    found = pictures.queues(moving(values))
    assert len(found.svg) < 100_000 and "peak 400" in found.keys[0].text
    flat = pictures.queues(moving(np.zeros(50_000, dtype=np.int64)))
    assert found.svg != flat.svg


def test_colours_are_the_pages():
    text = "".join(chart(moving([1, 5, 3, 9])).svg for chart in CHARTS)
    assert "var(--c0)" in text and "var(--ink)" in text
    for word in ("#0000", "#010101", "#000000", "black", "white", "DejaVu", "<metadata", "<style"):
        assert word not in text, word


def test_the_same_data_give_the_same_text(monkeypatch):
    result = build(*made.stalled())
    first = html.page(result)
    import matplotlib

    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9)  # what a user has set
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1")
    assert html.page(result) == first


def test_without_matplotlib_there_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = build(*made.stalled())
    with pytest.raises(drawing.NoLibrary, match=r"pip install 'tcpcore\[report\]'"):
        html.page(result)
    assert "pip install" in result._repr_html_()


def test_a_limit_far_above_is_told_and_not_drawn():
    near = pictures.queues(moving([0, 400, 400]))
    assert [key.text for key in near.keys if key.kind == "limit"] == ["limit of accept queue: 512"]
    far = pictures.queues(moving([0, 4, 4]))
    assert [key.text for key in far.keys if key.kind == "limit"] == ["limit of accept queue: 512, far above"]


def test_littles_line_is_the_closed_form():
    scenario, given_ = made.ports()
    result = build(scenario, given_)
    result.hosts["client"] = {"time_wait_ms": {"value": 60_000, "from": "default"}}
    found = pictures_theory.time_wait(result)
    at_the_end = round(expected_time_wait(scenario, "client", 60.0, scenario.run.duration_ns / 1e9))
    assert 29_900 < at_the_end < 30_000
    said = f"Little's line of TIME_WAIT, client (F): {at_the_end:,} at the end"
    assert said in [key.text for key in found.keys]


def test_the_latency_axis_ends_with_the_samples():
    result = build(*made.stalled(1))
    upto, ns = pictures._percentiles(result.histograms["connect"])
    assert upto[0] == 1 and upto[-1] == 10_000 and (np.diff(upto) >= 0).all() and (np.diff(ns) >= 0).all()
    assert ns[-1] == result["connect.max"]


def test_formulas_have_a_row_each():
    rows = [
        {"row": "Little's law", "value": 100.0, "low": 90.0, "high": 120.0, "state": "agree"},
        {"row": "Erlang B", "value": 0.5, "low": 0.1, "high": 0.2, "state": "unexplained"},
        {"row": "not measured", "value": 1.0, "low": None, "high": None, "state": "explained"},
    ]
    found = pictures_theory.formulas(build(*made.fine(), theory=rows))
    assert found.svg.count(">1<") == found.svg.count(">2<") == 1 and ">3<" not in found.svg
    text = html.page(build(*made.fine(), theory=rows))
    assert "2 Erlang B" in text and "3 not measured" in text
