"""Whatever the loop hands over: a result that adds up, matches its schema, reads back and can be shown."""

import json
from importlib import resources

import jsonschema
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loadgen.report import html, tabular
from loadgen.report.names import CAUSES, COUNTERS, STATES
from loadgen.report.result import Result, build
from tests.report import made

SCHEMA = json.loads((resources.files("loadgen.report") / "schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

COUNTS = st.integers(0, 10**12) | st.integers(0, 3)
TIMES = st.lists(st.integers(0, 10**12), max_size=5)
POPULATIONS = ("half_open", "accept_queue", "time_wait.client", "established.server", "ports_in_use", "odd")


def sides(names):
    keys = [f"{side}.{name}" for side in ("client", "server") for name in names]
    return st.dictionaries(st.sampled_from(keys), COUNTS, max_size=6)


@st.composite
def loads(draw, name):
    ends = {end: draw(COUNTS) for end in made.ENDS}
    return made.load(
        name, **ends, connect=draw(TIMES), served_after=draw(TIMES),
        refused=draw(st.dictionaries(st.sampled_from([*CAUSES, "New"]), COUNTS, max_size=3)),
        first_try=draw(st.integers(0, ends["served"])),
        first_refusal_ns=draw(st.none() | COUNTS), tries=draw(COUNTS),
    )  # fmt: skip


@st.composite
def outcomes(draw, names, replicate):
    points = draw(st.integers(0, 5))
    populations = (*STATES, "half_open", "accept_queue")
    keys = [f"{side}.{name}" for side in ("client", "server") for name in populations]
    series = {"time_ms": np.arange(points)} | {
        key: draw(st.lists(st.integers(0, 10**9), min_size=points, max_size=points))
        for key in draw(st.lists(st.sampled_from(keys), max_size=4))
    }
    return made.outcome(
        *(draw(loads(name)) for name in names), replicate=replicate, floods={"f": draw(COUNTS)},
        counters=draw(sides(COUNTERS)), causes=draw(sides(CAUSES)), states=draw(sides(STATES)),
        peaks=draw(st.dictionaries(st.sampled_from(POPULATIONS), COUNTS, max_size=4)), series=series,
        link=draw(st.dictionaries(st.sampled_from(["lost_of_client", "client.syn.lost", "new"]), COUNTS)),
        accept_wait=draw(TIMES), virtual_ns=draw(COUNTS), partial=draw(st.booleans()),
    )  # fmt: skip


@st.composite
def runs(draw):
    names = draw(st.lists(st.sampled_from(["a", "b.c", "<d>"]), unique=True, max_size=3))
    seeds = draw(st.integers(0, 5))
    thresholds = draw(st.lists(st.tuples(
        st.sampled_from(["served", "connect.p99", "success_ratio", "half_open.peak"]),
        st.sampled_from([">=", "<", "==", "!="]), st.floats(0, 1e12)), max_size=2))  # fmt: skip
    scenario = made.scenario(*names, floods=["f"], seeds=seeds or 1, thresholds=thresholds)
    return scenario, [draw(outcomes(names, replicate)) for replicate in range(seeds)]


@settings(max_examples=25)
@given(runs())
def test_any_outcomes_make_a_result(given):
    result = build(*given)
    text = result.to_text_json()
    document = json.loads(text)
    VALIDATOR.validate(document)
    again = Result.from_dict(document)
    assert again.to_text_json() == text
    assert again.to_text() == result.to_text()
    for name, figure in result.figures.items():
        assert figure.low is None or figure.source == "T" or figure.low <= figure.high, name
        if figure.unit == "ratio" and name != "listen_drop_ratio" and figure.value is not None:
            assert figure.value == figure.numerator / figure.denominator, name
    for name in ("connect", "served_after", "accept_wait"):
        told = [result[f"{name}.{part}"] for part in ("min", "p50", "p90", "p95", "p99", "max")]
        assert told == [None] * 6 or told == sorted(told), name
    assert max(map(len, result.to_text().splitlines())) <= 80
    assert html.page(result) and tabular.as_csv(result) and repr(result)
