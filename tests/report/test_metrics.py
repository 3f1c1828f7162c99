"""The table of metrics: complete, unambiguous, found by any name a reader may use, refused with a hint."""

import pytest

from loadgen import Scenario, run
from loadgen.report import metrics, names
from loadgen.report.metrics import TABLE, UnknownMetric, check_name, concrete, find, lookup, nearest
from loadgen.report.thresholds import check_thresholds
from tcpcore import Config, Engine
from tests.report.made import scenario


def test_every_counter_and_cause_of_an_engine_has_a_meaning():
    engine = Engine(Config.linux())
    assert list(engine.counters) == list(names.COUNTERS)
    assert list(engine.causes) == list(names.CAUSES) == list(names.CAUSE_NAMES)
    assert set(names.COUNTERS) >= names.LOSSES


def test_a_name_is_one_row():
    given = [metric.name for metric in TABLE]
    assert len(given) == len(set(given))
    both = scenario("web", "api", floods=["spoofed"])
    expanded = concrete(both)
    wrong = [name for name, (metric, _) in expanded.items() if find(name) is not metric]
    assert wrong == []


def test_rows_are_told_in_words():
    assert [metric.name for metric in TABLE if not metric.meaning or metric.meaning.endswith(".")] == []
    assert {metric.unit for metric in TABLE} == {"count", "ratio", "ns", "1/s", "bytes"}
    assert {metric.better for metric in TABLE} == {"lower", "higher", "none"}
    assert {metric.kind for metric in TABLE} == set(metrics.SEEDS)


@pytest.mark.parametrize("name", [
    "attempted", "served", "success_ratio", "first_try_ratio", "first_try_loss", "listen_drop_ratio",
    "connect.p99", "connect.p99.9", "served_after.p50", "accept_wait.p99", "load.web.first_try_ratio",
    "refused.PortsExhausted",
    "ports.in_use_peak", "ports.first_refusal", "ports.sustainable_rate", "counters.server.ListenOverflows",
    "half_open.peak", "time_wait.client.peak", "memory.kernel.server.total", "states.client.TIME_WAIT",
    "load.web.connect.p99", "load.web.refused.PortsExhausted", "flood.spoofed.sent", "counters.link.lost",
])  # fmt: skip
def test_it_has(name):
    check_name(name, scenario("web", floods=["spoofed"]))


def test_a_load_may_be_called_anything():
    odd = scenario("first.try", "*[a]", r"\1")
    for load in ("first.try", "*[a]", r"\1"):
        check_name(f"load.{load}.connect.p50", odd)
        assert find(f"load.{load}.connect.p50").name == "load.NAME.connect.p50"


@pytest.mark.parametrize(("wrong", "right"), [
    ("first_tryratio", "first_try_ratio"), ("load.wbe.served", "load.web.served"), ("Served", "served"),
    ("ListenOverflow", "ListenOverflows"), ("connect.p98", "connect.p9"), ("prots", "ports."),
    ("counters.client.TCPSynRetran", "counters.client.TCPSynRetrans"),
])  # fmt: skip
def test_a_misspelt_name_is_refused_with_the_nearest(wrong, right):
    with pytest.raises(UnknownMetric, match="no metric is called") as error:
        check_name(wrong, scenario("web"))
    assert wrong in str(error.value) and right in str(error.value)


def test_a_load_that_is_not_there_is_refused():
    with pytest.raises(UnknownMetric):
        check_name("load.api.served", scenario("web"))


def test_thresholds_are_checked_before_the_run():
    check_thresholds(scenario("web", thresholds=[("load.web.served", ">=", 1.0)]))
    with pytest.raises(UnknownMetric, match="threshold 'servd>=1': .* did you mean served"):
        check_thresholds(scenario("web", thresholds=[("servd", ">=", 1.0, "servd>=1")]))


def test_lookup_takes_parts_patterns_and_full_names():
    assert [metric.name for metric in lookup("ports.in_use_peak")] == ["ports.in_use_peak"]
    assert [metric.name for metric in lookup("load.any.served")] == ["load.NAME.served"]
    assert {metric.name for metric in lookup("PORTS")} > {metric.name for metric in lookup("ports.*")}
    assert all(metric.name.startswith("counters.SIDE.") for metric in lookup("counters.server.*"))
    assert len(lookup("counters.server.*")) == len(names.COUNTERS)
    assert lookup("") == list(TABLE)
    assert lookup("nothing like it") == []
    assert nearest("connect.p98", n=3)


def test_a_mean_does_not_depend_on_the_points_of_the_series():
    """Stalls in step with the points are seen by none of them."""
    stalled = Scenario.from_toml("""
        server = { listen = { backlog = 128 }, accept = { stall = "300ms/3s" } }
        load = [ { rate = "800/s" } ]
        link = { rtt = "30ms" }
        run = { duration = "20s", series = "1s" }
    """)
    coarse, fine = (run(stalled.replace({"run.series": step})) for step in ("1s", "10ms"))
    for name in ("half_open.mean", "accept_queue.mean"):
        assert coarse[name] == pytest.approx(fine[name], rel=1e-12)
    # Little's law: what all waited for accept() is what there was of the queue over time.
    waited = coarse["accept_wait.mean"] * coarse["accept_wait.count"]
    assert coarse["accept_queue.mean"] == pytest.approx(waited / 20e9, rel=0.05)
