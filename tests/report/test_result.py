"""A result from hand-made outcomes: figures, sums, thresholds, the JSON document and the way back."""

import json
import pickle
import sys
from dataclasses import replace
from importlib import resources

import jsonschema
import numpy as np
import pytest

from loadgen import run
from loadgen.report import figures as making
from loadgen.report import result as module
from loadgen.report.metrics import UnknownMetric
from loadgen.report.result import Result, ResultError, build, load
from loadgen.scenario.model import Load, Scenario, Threshold
from loadgen.scenario.values import Distribution
from tcpcore import Config
from tests.report import made

SCHEMA = json.loads((resources.files("loadgen.report") / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.fixture(params=made.EVERY)
def result(request):
    return build(*made.EVERY[request.param](), command="loadgen run x.toml --seed 7")


def stable(result):
    """The document without `wall`."""
    return json.dumps({**json.loads(result.to_text_json()), "wall": None})


# -- figures


def test_figures_by_their_names():
    result = build(*made.ports())
    assert result["attempted"] == 300_000 and result["refused.PortsExhausted"] == 18_000
    assert result["success_ratio"] == pytest.approx(0.94)
    assert result["ports.first_refusal"] == int(56.5 * made.S)
    assert result["ports.in_use_peak"] == 28_232
    assert result["connect.p99"] == made.MS
    assert result["counters.client.PortsExhausted"] == 18_000
    assert result["states.client.TIME_WAIT"] == 28_217
    assert result["load.load.served_per_s"] == 282_000 / 600


def test_a_counter_that_stayed_0_is_0_and_a_misspelt_one_an_error():
    result = build(*made.ports())
    assert "counters.server.ListenOverflows" not in result.keys()
    assert result["counters.server.ListenOverflows"] == 0
    with pytest.raises(KeyError, match="did you mean counters.server.ListenOverflows"):
        result["counters.server.ListenOverflow"]
    assert "served" in result and "sevred" not in result and 5 not in result


def test_without_samples_there_is_no_figure():
    result = build(*made.only_flood())
    for name in ("success_ratio", "connect.p99", "ports.first_refusal", "time_wait.client.mean"):
        assert result[name] is None
    assert result["flood.sent"] == result["flood.spoofed.sent"] == 1_000_000


def test_ratios_carry_both_counts_and_no_interval_below_four_seeds():
    figure = build(*made.ports()).figure("refused_ratio")
    assert (figure.numerator, figure.denominator, figure.low, figure.n) == (18_000, 300_000, None, 1)
    few = build(*made.ports(3)).figure("refused_ratio")
    assert few.low is None and few.n == 3


def test_eight_seeds_give_an_interval_around_the_ratio_of_the_sums():
    scenario, outcomes = made.ports(8)
    figure = build(scenario, outcomes).figure("refused_ratio")
    refused = sum(outcome.loads[0].refused["PortsExhausted"] for outcome in outcomes)
    assert figure.value == refused / 2_400_000
    assert figure.low < figure.value < figure.high and figure.high - figure.low < 0.001
    assert len(figure.seeds) == 8 and figure.denominator == 2_400_000


def test_counts_are_sums_and_their_metrics_means():
    result = build(*made.ports(8))
    assert result.outcomes["attempted"] == 2_400_000 and result["attempted"] == 300_000
    assert result.counters["client"]["TW"] == 8 * 253_768 and result["counters.client.TW"] == 253_768
    assert result["ports.in_use_peak"] == 28_232 and result.figure("ports.in_use_peak").low is None


def test_a_percentile_of_several_seeds_is_that_of_all_samples():
    scenario, outcomes = made.stalled()
    result = build(scenario, outcomes)
    figure = result.figure("accept_wait.p99")
    assert result.histograms["accept_wait"].counts.sum() == 80_000
    assert min(figure.seeds) <= figure.value <= max(figure.seeds)
    assert figure.low < figure.value < figure.high
    assert result["accept_wait.count"] == 80_000
    assert result["accept_wait.min"] == 30_000


def test_series_are_arrays_by_name():
    result = build(*made.ports())
    assert result.series["time_wait"].max() == 28_217
    assert (result.series["time_wait"] == result.series["client.TIME_WAIT"]).all()
    assert result.series["established"][0] == 30  # both ends
    assert result.series["half_open"].dtype == np.int64
    assert len(result.series["time_ms"]) == 1201
    with pytest.raises(KeyError, match="no series is called 'waiting'"):
        result.series["waiting"]


# -- sustainable rate


def test_without_settings_there_is_no_sustainable_rate():
    assert build(*made.ports())["ports.sustainable_rate"] is None


def test_the_sustainable_rate_is_that_of_the_theory(monkeypatch):
    asked = []
    ports = type(sys)("loadgen.theory.ports")
    ports.sustainable_rate = lambda *given: asked.append(given) or 470.3
    monkeypatch.setitem(sys.modules, "loadgen.theory.ports", ports)
    scenario, outcomes = made.ports()
    resolved = type("Resolved", (), {"client": "C", "server": "S"})()
    result = build(scenario, outcomes, resolved)
    assert asked == [(scenario, "C", "S")]
    assert result["ports.sustainable_rate"] == 470.3 and result.figure("ports.sustainable_rate").source == "F"
    assert result.verdict["sentence"].endswith("first at 56.5 s; 470/s can be sustained")
    for unknown in (None, float("inf")):
        ports.sustainable_rate = lambda *given, rate=unknown: rate
        assert build(scenario, outcomes, resolved)["ports.sustainable_rate"] is None


def test_settings_say_who_set_them():
    config = Config.linux(somaxconn=1)
    resolved = type("Resolved", (), {"client": config, "server": config,
                                     "origins": {"server": {"somaxconn": "file"}}})()  # fmt: skip
    result = build(*made.ports(), resolved)
    result.origins = {"server.profile": "flag"}
    document = result.to_dict()
    VALIDATOR.validate(json.loads(result.to_text_json()))
    assert document["scenario"]["server"]["profile"] == {"value": "linux", "from": "flag"}
    assert document["hosts"]["server"]["somaxconn"] == {"value": 1, "from": "file"}
    assert document["hosts"]["client"]["ip_local_port_range"]["value"] == [32768, 60999]
    assert "seed" not in document["hosts"]["server"]


# -- outcomes


def test_outcomes_sum_to_attempted(result):
    ended = result.outcomes
    assert sum(making.ends(ended).values()) == ended["attempted"]
    for one in result.loads.values():
        assert sum(making.ends(one).values()) == one["attempted"]


def test_outcomes_that_do_not_sum_are_refused():
    scenario, [outcome] = made.fine()
    outcome.loads[0].served -= 1
    with pytest.raises(ResultError, match="sum to 9,999, attempted are 10,000"):
        build(scenario, [outcome])


def test_a_run_cut_short_is_partial():
    assert build(*made.interrupted()).status == "partial"
    scenario, outcomes = made.ports(8)
    assert build(scenario, outcomes[:5]).status == "partial"
    assert build(scenario, outcomes).status == "complete"
    nothing = build(scenario, [])
    assert nothing.status == "failed" and nothing.partial
    assert nothing.verdict["sentence"].startswith("cut short")
    VALIDATOR.validate(json.loads(nothing.to_text_json()))


# -- the document


def test_it_is_what_the_schema_says(result):
    VALIDATOR.validate(json.loads(result.to_text_json()))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(("path", "value"), [
    (("metrics", "served", "value"), "many"), (("outcomes", "served"), -1),
    (("thresholds", 0, "state"), "fine"),
    (("schema",), 2), (("series", "server"), [1]), (("metrics", "success_ratio", "numerator"), None),
])  # fmt: skip
def test_the_schema_refuses(path, value):
    document = json.loads(build(*made.flooded()).to_text_json())
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(document)


def test_keys_are_sorted_and_times_whole():
    text = build(*made.stalled()).to_text_json()
    document = json.loads(text)
    assert text == json.dumps(document, indent=1, sort_keys=True) + "\n"
    for name, metric in document["metrics"].items():
        if metric["unit"] == "ns" and metric["value"] is not None:
            assert isinstance(metric["value"], int), name


def test_two_runs_of_a_seed_differ_in_wall_only():
    scenario, outcomes = made.stalled()
    slower = [replace(one, wall_s=9.0, segments=5, engine_bytes={"client": 7}) for one in made.stalled()[1]]
    first, second = build(scenario, outcomes), build(scenario, slower)
    assert stable(first) == stable(second) and first.to_text_json() != second.to_text_json()


def test_it_is_read_back(result, tmp_path):
    result.to_json(tmp_path / "x.json")
    again = load(tmp_path / "x.json")
    assert again.to_text_json() == result.to_text_json()
    assert again.scenario == result.scenario
    assert again.to_text() == result.to_text()
    assert Result.from_dict(json.loads(result.to_text_json())).figures == result.figures


def test_it_pickles(result):
    again = pickle.loads(pickle.dumps(result))
    assert again.to_text_json() == result.to_text_json()


def test_a_file_that_contradicts_itself_is_refused(tmp_path):
    document = json.loads(build(*made.ports()).to_text_json())
    document["outcomes"]["served"] += 1
    path = tmp_path / "x.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ResultError, match="x.json: outcomes sum to 300,001, attempted are 300,000"):
        load(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"schema": 2}', '{"schema": 1, "outcomes": {}}', "null"]
)
def test_what_is_no_result_is_refused(text, tmp_path):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ResultError, match="x.json: "):
        load(path)


def test_what_a_later_version_adds_is_passed_over():
    document = json.loads(build(*made.ports()).to_text_json())
    document["news"] = 1
    document["metrics"]["served"]["news"] = 1
    document["scenario"]["news"] = {"value": 1, "from": "default"}
    document["scenario"]["load"][0]["news"] = {"value": 1, "from": "default"}
    VALIDATOR.validate(document)
    assert Result.from_dict(document)["served"] == 282_000


def test_the_scenario_comes_back_whole():
    scenario = Scenario(
        name="x", seed=3, load=(Load(name="a", hold=Distribution("trace", samples=(1, 2, 3), source="h.csv"),
                                     shape=((0, 1.0), (5, 2.0))), Load(name="b")),
        threshold=(Threshold("load.a.served", ">=", 1.0),),
    )  # fmt: skip
    outcome = made.outcome(made.load("a", served=2), made.load("b"))
    result = build(scenario, [outcome])
    assert Result.from_dict(json.loads(result.to_text_json())).scenario == scenario
    assert result.to_dict()["config"]["load.a.shape"] == [[0, 1.0], [5, 2.0]]


def test_a_long_trace_is_told_by_its_hash():
    scenario = Scenario(load=(Load(name="a", times_ns=tuple(range(5000))),))
    document = build(scenario, [made.outcome(made.load("a", served=1))]).to_dict()
    value = document["scenario"]["load"][0]["times_ns"]["value"]
    assert value["entries"] == 5000 and len(value["sha256"]) == 64


def test_the_old_names_stand_beside_the_new():
    results = build(*made.ports()).to_dict()["results"]
    assert results["attempted"] == 300_000 and results["failed"] == 18_000
    assert results["handshake_ms"]["p99"] == 1.0 and results["handshake_ms"]["count"] == 50
    assert results["time_wait_peak"] == {"client": 28_217, "server": None}


def test_theory_rows_may_be_mappings_or_dataclasses():
    row = {"row": "ports.refused_ratio", "value": 0.06, "low": 0.058, "high": 0.062, "state": "agree",
           "preconditions": [{"what": "Poisson arrivals", "holds": True}]}  # fmt: skip
    scenario, outcomes = made.ports()
    result = build(scenario, outcomes, theory=[row, Threshold("x")])
    assert result.theory[0] == row and result.theory[1]["metric"] == "x"
    with pytest.raises(TypeError, match="expected a mapping or a dataclass, got int"):
        build(scenario, outcomes, theory=[5])


# -- thresholds in a result


def test_an_unknown_threshold_is_an_error_before_anything_is_computed():
    scenario, outcomes = made.fine()
    scenario = replace(scenario, threshold=(Threshold("conect.p99", "<", 1.0),))
    with pytest.raises(UnknownMetric, match="did you mean connect.p99"):
        build(scenario, outcomes)


def test_what_is_not_met_is_missed_or_undecided():
    result = build(*made.stalled())
    assert [row["state"] for row in result.thresholds] == ["missed", "undecided"]
    assert result.missed == result.thresholds


# -- other forms


def test_repr_is_one_line():
    text = repr(build(*made.ports()))
    assert text.startswith("<Result run 'proxy', seed 7, one run, complete: 6.0 % of 300,000 connects were")
    assert "\n" not in text and len(text) < 200


def test_behaviour_has_a_number():
    versions = build(*made.fine()).versions
    assert set(versions) == {"tcpcore", "loadgen", "behaviour"} and versions["behaviour"] == module.BEHAVIOUR


@pytest.mark.parametrize(("duration", "said"), [("2s", True), ("2.1s", False)])
def test_a_stall_that_never_comes_is_said(duration, said):
    stalled = Scenario.from_toml(f"""
        server = {{ accept = {{ stall = "250ms/2s" }} }}
        load = [ {{ rate = "100/s" }} ]
        run = {{ duration = "{duration}" }}
    """)
    warnings = run(stalled).warnings
    assert any(text.startswith("no stall: the first begins after 2 s") for text in warnings) == said
